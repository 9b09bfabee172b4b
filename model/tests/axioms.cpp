// axioms.cpp -- RC11, relation by relation. To be read with the paper; see axioms.hpp.
//
// Almost every function recomputes what it needs: this text is for comparing with the paper, and
// its graphs have about a dozen events. Only hb, which everything needs, is handed on.
#include "axioms.hpp"

namespace assay::proof {
namespace {

relation only(const candidate& g, event_set s) { return relation::identity(g.size, s); }

relation id(const candidate& g) { return relation::identity(g.size); }

// hb|loc and sb|loc: the edges between accesses of one location.
relation at_one_location(const candidate& g, const relation& r) { return r & g.same_location; }

// sb|!=loc: all others, so also those from and to fences.
relation sb_elsewhere(const candidate& g) { return g.sb - g.same_location; }

event_set atomic_accesses(const candidate& g) { return (g.R | g.W) - g.plain; }

}  // namespace

int candidate::add() {
    for (relation* r : {&sb, &rf, &mo, &rmw, &same_location}) r->grow();
    return size++;
}

// "Reads before": a read is before all writes that overwrite what it read.
relation rb(const candidate& g) { return (inverse(g.rf) >> g.mo) - id(g); }

// "Extended coherence order".
relation eco(const candidate& g) { return plus(g.rf | g.mo | rb(g)); }

// "Release sequence". RC11 has [W] ; sb|loc? ; [Wrlx] ; (rf ; rmw)*; C++20 dropped sb|loc?.
relation rs(const candidate& g) { return only(g, g.W & atomic_accesses(g)) >> star(g.rf >> g.rmw); }

// "Synchronises with": from a release write, or the release fence before a write, to an acquire
// read, or the acquire fence after a read.
relation sw(const candidate& g) {
    const auto Rrlx = only(g, g.R & atomic_accesses(g));
    const auto F = only(g, g.F);
    return only(g, g.releases) >> maybe(F >> g.sb) >> rs(g) >> g.rf >> Rrlx >> maybe(g.sb >> F) >>
           only(g, g.acquires);
}

// "Happens before".
relation hb(const candidate& g) { return plus(g.sb | sw(g)); }

// "SC before": what the SC order has to respect.
relation scb(const candidate& g, const relation& hb) {
    return g.sb | sb_elsewhere(g) >> hb >> sb_elsewhere(g) | at_one_location(g, hb) | g.mo | rb(g);
}

// "Partial SC order", between SC events that are accesses or fences ...
relation psc_base(const candidate& g, const relation& hb) {
    const auto Esc = only(g, g.Esc);
    const auto Fsc = only(g, g.Esc & g.F);
    return (Esc | Fsc >> maybe(hb)) >> scb(g, hb) >> (Esc | maybe(hb) >> Fsc);
}

// ... and between SC fences.
relation psc_F(const candidate& g, const relation& hb) {
    const auto Fsc = only(g, g.Esc & g.F);
    return Fsc >> (hb | hb >> eco(g) >> hb) >> Fsc;
}

// COHERENCE: hb ; eco? is irreflexive.
bool coherence(const candidate& g, const relation& hb) {
    return (hb >> maybe(eco(g))).irreflexive();
}

// ATOMICITY: no write comes between the halves of a read-modify-write.
bool atomicity(const candidate& g) { return (g.rmw & (rb(g) >> g.mo)).empty(); }

// SC: psc is acyclic.
bool sequential_consistency(const candidate& g, const relation& hb) {
    if (g.Esc.empty()) return true;  // psc relates SC events only
    return acyclic(psc_base(g, hb) | psc_F(g, hb));
}

// NO-THIN-AIR: sb u rf is acyclic. This is what excludes load buffering.
bool no_thin_air(const candidate& g) { return acyclic(g.sb | g.rf); }

bool consistent(const candidate& g) {
    const relation h = hb(g);
    return coherence(g, h) && atomicity(g) && sequential_consistency(g, h) && no_thin_air(g);
}

bool racy(const candidate& g) {
    if (g.plain.empty()) return false;
    const auto accesses = only(g, g.R | g.W);
    const auto conflicts = (only(g, g.W) >> g.same_location >> accesses) |
                           (accesses >> g.same_location >> only(g, g.W));
    const auto one_plain =
        conflicts & (only(g, g.plain) >> conflicts | conflicts >> only(g, g.plain));
    const auto h = hb(g);
    return !(one_plain - id(g) - h - inverse(h)).empty();
}

}  // namespace assay::proof
