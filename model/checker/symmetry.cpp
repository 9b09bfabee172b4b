#include "symmetry.hpp"

#include <algorithm>

namespace assay::checker {

namespace {

// Have these events of two processes the same outcome? Never if they write: then one is earlier.
[[nodiscard]] bool same(const event& a, const event& b) {
    if (a.has(crash) && b.has(crash)) return true;
    if (a.writes() || b.writes() || a.what != b.what || a.flags != b.flags) return false;
    return !a.reads() || a.rf == b.rf;
}

// Have two processes done the same in their first n events?
[[nodiscard]] bool same_start(const graph& g, std::uint16_t a, std::uint16_t b, std::size_t n) {
    if (g.length(a) < n || g.length(b) < n) return false;
    for (std::uint16_t i = 0; i < n; ++i)
        if (!same(g[{a, i}], g[{b, i}])) return false;
    return true;
}

}  // namespace

event_id symmetry::twin(const graph& g, event_id e) const {
    if (!identical(e.process)) return initial;
    for (std::uint16_t p = e.process; p-- > 0;) {
        if (groups_[p] != groups_[e.process] || g.length(p) <= e.index) continue;
        if (same_start(g, p, e.process, e.index)) return {p, e.index};
    }
    return initial;
}

std::size_t symmetry::lowest(const graph& g, event_id twin) {
    const event& t = g[twin];
    if (t.has(crash)) return 0;
    if (t.writes()) return t.mo;
    if (!t.reads()) return 0;
    return g.source(t).mo + std::size_t{succeeds(t) ? 1u : 0u};
}

void symmetry::order(graph& g, event_id e) const {
    event_id t = twin(g, e);
    if (t == initial) return;
    if (g[t].reads() && succeeds(g[t])) ++t.index;  // a read-modify-write is there as a whole
    g[e].porf.join(g[t].porf);
}

std::uint64_t symmetry::orbit(const graph& g) const {
    std::uint64_t n = 1;
    for (std::uint16_t p = 0; p < g.processes(); ++p) {
        if (!identical(p)) continue;
        std::uint64_t members = 1, equal = 1;  // among those up to p
        for (std::uint16_t q = 0; q < p; ++q) {
            if (groups_[q] != groups_[p]) continue;
            ++members;
            equal += g.length(p) == g.length(q) && same_start(g, p, q, g.length(p));
        }
        n = n * members / equal;
    }
    return n;
}

}  // namespace assay::checker
