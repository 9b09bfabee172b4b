// rc11.hpp -- the memory model: RC11, one named piece per axiom, in the order of the paper.
//
//   Lahav, Vafeiadis, Kang, Hur, Dreyer: "Repairing sequential consistency in C/C++11",
//   PLDI 2017, section 3.  po is written sb there.
//
//   COHERENCE     hb;eco? is irreflexive
//   ATOMICITY     rmw n (rb;mo) is empty: nothing gets between the halves of an RMW
//   SC            psc is acyclic
//   NO-THIN-AIR   po u rf is acyclic
//
// The search never builds a graph that breaks coherence, atomicity or no-thin-air: it only offers
// choices that respect them, and the first three functions say which. SC is the one axiom that
// needs the whole graph, so it is a test.
#pragma once

#include <cstdint>
#include <vector>

#include "graph.hpp"

namespace assay::checker {

// C++20 (P0982) dropped the writes that the releasing process itself makes later from its release
// sequence; the paper still has them. The weaker rule allows more executions.
enum class release_sequence { cpp20, rc11 };

// --- happens-before --------------------------------------------------------------------------
//   sw = [E^rel];([F];po)?;rs;rf;[R^rlx];(po;[F])?;[E^acq]         hb = (po u sw)+
// Sets the clocks of `id`, the last event of its process, from the event before it, its value and
// the write that it reads from. Also sets the order in effect, which for a compare-exchange
// depends on whether it succeeds.
void derive(graph& g, event_id id, release_sequence rule);

// --- COHERENCE: irreflexive(hb;eco?) ---------------------------------------------------------
// The highest position in mo of `loc` that one who knows `known` knows of: a write in it, or a
// write read by a read in it. A new event that knows as much may not read from, nor be placed
// before, anything at a lower position; and because a new event is last in hb, nothing else can
// go wrong.
[[nodiscard]] std::size_t coherence_bound(const graph& g, location_id loc, const clock& known);

// --- ATOMICITY: empty(rmw n (rb;mo)) ---------------------------------------------------------
// May a write be placed right after position p? Not if the write there is taken, that is, read by
// an RMW whose write follows it.
[[nodiscard]] inline bool keeps_atomicity(const graph& g, location_id loc, std::size_t p) {
    return !g.taken(loc, p);
}

// --- SC: acyclic(psc) ------------------------------------------------------------------------
class sc_test {
public:
    // Is psc acyclic in g?
    [[nodiscard]] bool operator()(const graph& g);

private:
    using bits = std::uint64_t;
    using row = bits*;  // one bit per event

    void number_events(const graph& g);
    void find_predecessors(const graph& g);
    void po_other_location(const graph& g, event_id e, row out);
    void scb_before(const graph& g, event_id e, row out);
    void eco_before(const graph& g, event_id e, row out);
    void add_known(const clock& known, row out);
    [[nodiscard]] bool acyclic();

    [[nodiscard]] std::size_t number(event_id e) const { return first_[e.process] + e.index; }
    [[nodiscard]] row at(std::vector<bits>& matrix, std::size_t i) {
        return matrix.data() + i * words_;
    }

    struct sc_event {
        event_id id;
        bool fence;
    };
    std::vector<sc_event> sc_;        // the nodes of psc
    std::vector<std::size_t> first_;  // number of each process's first event
    std::size_t words_ = 0;           // of a row
    std::vector<bits> before_;        // psc: for each SC event the SC events before it
    std::vector<bits> scratch_;
    std::vector<bits> switched_;  // see find_predecessors
};

// --- NO-THIN-AIR: acyclic(po u rf) -----------------------------------------------------------
// Holds by construction: a read only reads from writes that exist, and a write may only be given
// to an older read that is not in the write's own causal prefix. This states it for the tests.
[[nodiscard]] bool no_thin_air(const graph& g);

}  // namespace assay::checker
