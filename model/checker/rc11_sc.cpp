// rc11_sc.cpp -- the SC axiom.
//
//   scb      = po u po|!=loc;hb;po|!=loc u hb|loc u mo u rb
//   psc_base = ([E^sc] u [F^sc];hb?) ; scb ; ([E^sc] u hb?;[F^sc])
//   psc_F    = [F^sc] ; (hb u hb;eco;hb) ; [F^sc]
//   psc      = psc_base u psc_F                                               is acyclic
//
// (a,b) in po|!=loc unless both access the same location; a fence accesses none, so it always
// counts as different. Every relation is computed as the set of predecessors of one event, one
// bit per event. What happens-before an event is a range of each process, read off its clock.
// Initial writes come before everything and after nothing, so they are on no cycle and left out.
#include <algorithm>
#include <bit>

#include "mutant.hpp"
#include "rc11.hpp"

namespace assay::checker {

namespace {

void set(std::uint64_t* row, std::size_t bit) { row[bit / 64] |= std::uint64_t{1} << (bit % 64); }
[[nodiscard]] bool test(const std::uint64_t* row, std::size_t bit) {
    return (row[bit / 64] >> (bit % 64) & 1) != 0;
}

// Sets bits [from, to).
void set_range(std::uint64_t* row, std::size_t from, std::size_t to) {
    for (; from < to && from % 64 != 0; ++from) set(row, from);
    for (; from + 64 <= to; from += 64) row[from / 64] = ~std::uint64_t{0};
    for (; from < to; ++from) set(row, from);
}

[[nodiscard]] bool different_location(const event& a, const event& b) {
    return !a.accesses() || !b.accesses() || a.loc != b.loc;
}

// hb without the event itself.
[[nodiscard]] clock strictly_before(const graph& g, event_id e) {
    clock known = g[e].hb;
    known.count[e.process] = e.index;
    return known;
}

}  // namespace

bool sc_test::operator()(const graph& g) {
    if (!g.may_have_sc()) return true;
    number_events(g);
    if (sc_.size() < 2) return true;
    find_predecessors(g);
    return acyclic();
}

void sc_test::number_events(const graph& g) {
    sc_.clear();
    first_.resize(g.processes() + 1);
    std::size_t n = 0;
    for (std::size_t p = 0; p < g.processes(); ++p) {
        first_[p] = n;
        for (std::uint16_t i = 0; i < g.length(p); ++i) {
            const event_id id{static_cast<std::uint16_t>(p), i};
            const event& e = g[id];
            const bool fence = e.what == kind::fence;
            if (e.ord == order::seq_cst && (fence || e.accesses())) sc_.push_back({id, fence});
        }
        n += g.length(p);
    }
    first_[g.processes()] = n;
    words_ = (n + 63) / 64;
}

void sc_test::add_known(const clock& known, row out) {
    for (std::size_t p = 0; p + 1 < first_.size(); ++p)
        set_range(out, first_[p], first_[p] + known.count[p]);
}

// The events a with (a, e) in po|!=loc.
void sc_test::po_other_location(const graph& g, event_id e, row out) {
    for (std::uint16_t i = 0; i < e.index; ++i)
        if (different_location(g[{e.process, i}], g[e])) set(out, first_[e.process] + i);
}

// The events a with (a, e) in scb.
void sc_test::scb_before(const graph& g, event_id e, row out) {
    const event& b = g[e];
    const std::size_t mine = first_[e.process];
    set_range(out, mine, mine + e.index);  // po

    // po|!=loc;hb;po|!=loc. hb grows along po, so only the latest event before e that is of
    // another location matters for the right end.
    for (std::uint16_t i = e.index; i-- > 0;) {
        const event_id c{e.process, i};
        if (!different_location(g[c], b)) continue;
        const clock known = strictly_before(g, c);
        for (std::size_t p = 0; p < g.processes(); ++p) {
            const row left = at(switched_, first_[p] + p + known.count[p]);
            for (std::size_t w = 0; w < words_; ++w) out[w] |= left[w];
        }
        break;
    }
    if (is(mutant::scb_whole_hb)) add_known(strictly_before(g, e), out);
    if (!b.accesses() || !g.touched(b.loc)) return;

    const graph::history& h = g.of(b.loc);
    const clock known = strictly_before(g, e);
    for (const event_id w : h.mo)  // hb|loc, mo
        if (w != initial && (known.contains(w) || (b.writes() && g[w].mo < b.mo)))
            set(out, number(w));
    for (const event_id r : h.reads)  // hb|loc, rb
        if (known.contains(r) || (b.writes() && g.source(g[r]).mo < b.mo)) set(out, number(r));
}

// The events a with (a, e) in eco = (rf u mo u rb)+, that is rf u (mo u rb);rf?.
void sc_test::eco_before(const graph& g, event_id e, row out) {
    const event& b = g[e];
    const graph::history& h = g.of(b.loc);
    const std::size_t last = b.reads() ? g.source(b).mo : b.mo - std::size_t{1};
    for (std::size_t p = 1; p <= last; ++p) set(out, number(h.mo[p]));
    for (const event_id r : h.reads) {
        const std::size_t read = g.source(g[r]).mo;
        if (read < last || (b.writes() && read == last)) set(out, number(r));
    }
    out[number(e) / 64] &= ~(bits{1} << (number(e) % 64));
}

void sc_test::find_predecessors(const graph& g) {
    // switched_[p, k]: the events a of process p with (a, d) in po|!=loc for a d among the
    // first k events of p. Rows first_[p] + p ... first_[p] + p + length(p).
    const std::size_t n = first_.back();
    switched_.assign((n + g.processes()) * words_, 0);
    for (std::size_t p = 0; p < g.processes(); ++p) {
        for (std::uint16_t k = 0; k < g.length(p); ++k) {
            const row now = at(switched_, first_[p] + p + k);
            const row next = now + words_;
            std::copy(now, now + words_, next);
            po_other_location(g, {static_cast<std::uint16_t>(p), k}, next);
        }
    }

    const std::size_t columns = (sc_.size() + 63) / 64;
    before_.assign(sc_.size() * columns, 0);
    for (std::size_t y = 0; y < sc_.size(); ++y) {
        const event_id id = sc_[y].id;
        bits* const out = before_.data() + y * columns;

        // scb;([E^sc] u hb?;[F^sc]): everything scb-before y or, if y is a fence, scb-before
        // anything that happens-before y.
        scratch_.assign(words_ * 2, 0);
        const row scb = scratch_.data();
        const row eco = scb + words_;
        scb_before(g, id, scb);
        if (sc_[y].fence) {
            const clock known = strictly_before(g, id);
            for (std::size_t p = 0; p < g.processes(); ++p) {
                for (std::uint16_t i = 0; i < known.count[p]; ++i) {
                    const event_id b{static_cast<std::uint16_t>(p), i};
                    if (!is(mutant::psc_base_without_fence_right)) scb_before(g, b, scb);
                    if (g[b].accesses()) eco_before(g, b, eco);
                }
            }
        }
        for (std::size_t x = 0; x < sc_.size(); ++x) {
            const event_id left = sc_[x].id;
            bool edge = test(scb, number(left));  // [E^sc];scb
            if (sc_[x].fence && !edge) {
                // [F^sc];hb;scb, psc_F: is one of those events after x in hb?
                const bool fences = sc_[y].fence && !is(mutant::no_psc_fences);
                edge = fences && x != y && g[id].hb.contains(left);
                for (std::size_t p = 0; p < g.processes() && !edge; ++p)
                    for (std::uint16_t i = 0; i < g.length(p) && !edge; ++i)
                        edge = (test(scb, first_[p] + i) || (fences && test(eco, first_[p] + i))) &&
                               g[{static_cast<std::uint16_t>(p), i}].hb.contains(left);
            }
            if (edge) out[x / 64] |= bits{1} << (x % 64);
        }
    }
}

// Removes events that have no predecessor left until none remains, or none can be removed.
bool sc_test::acyclic() {
    const std::size_t columns = (sc_.size() + 63) / 64;
    scratch_.assign(columns, 0);
    bits* const open = scratch_.data();
    set_range(open, 0, sc_.size());
    for (std::size_t left = sc_.size(); left > 0;) {
        const std::size_t old = left;
        for (std::size_t y = 0; y < sc_.size(); ++y) {
            if (!test(open, y)) continue;
            const bits* const earlier = before_.data() + y * columns;
            bool minimal = true;
            for (std::size_t w = 0; w < columns && minimal; ++w)
                minimal = (earlier[w] & open[w]) == 0;
            if (!minimal) continue;
            open[y / 64] &= ~(bits{1} << (y % 64));
            --left;
        }
        if (left == old) return false;
    }
    return true;
}

}  // namespace assay::checker
