// axioms.hpp -- RC11, transcribed from the paper for the oracle.
//
// Lahav, Vafeiadis, Kang, Hur, Dreyer: "Repairing sequential consistency in C/C++11", PLDI 2017,
// figure 1 and section 4. Each relation and each axiom is one function with the paper's name.
// One deviation, which is the C++20 standard's (P0982): a release sequence is continued by
// read-modify-writes only, no longer by the writer's own later stores.
#pragma once

#include "program.hpp"
#include "relation.hpp"

namespace assay::proof {

// An execution graph. A read-modify-write is two events related by rmw; the initial writes are
// events too, and sb-before all others.
struct candidate {
    int size = 0;
    event_set R, W, F;
    event_set plain;     // non-atomic accesses; not the initial writes of atomic locations
    event_set acquires;  // mode at least acquire; a read half of an RMW has the RMW's acquire part
    event_set releases;  // mode at least release
    event_set Esc;       // mode seq_cst
    relation sb{0};
    relation rf{0};
    relation mo{0};
    relation rmw{0};
    relation same_location{0};

    // Adds an event with no location and no edges.
    int add();
};

[[nodiscard]] relation rb(const candidate& g);
[[nodiscard]] relation eco(const candidate& g);
[[nodiscard]] relation rs(const candidate& g);
[[nodiscard]] relation sw(const candidate& g);
[[nodiscard]] relation hb(const candidate& g);
[[nodiscard]] relation scb(const candidate& g, const relation& hb);
[[nodiscard]] relation psc_base(const candidate& g, const relation& hb);
[[nodiscard]] relation psc_F(const candidate& g, const relation& hb);

[[nodiscard]] bool coherence(const candidate& g, const relation& hb);
[[nodiscard]] bool atomicity(const candidate& g);
[[nodiscard]] bool sequential_consistency(const candidate& g, const relation& hb);
[[nodiscard]] bool no_thin_air(const candidate& g);

[[nodiscard]] bool consistent(const candidate& g);

// Conflicting accesses, at least one of them plain, that hb does not order. The behaviour of a
// program with a consistent racy execution is undefined.
[[nodiscard]] bool racy(const candidate& g);

}  // namespace assay::proof
