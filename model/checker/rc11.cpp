#include "rc11.hpp"

#include <algorithm>

#include "mutant.hpp"

namespace assay::checker {

// --- happens-before --------------------------------------------------------------------------

namespace {

void derive_read(const graph& g, event& e) {
    const event& w = g.source(e);
    e.val = e.size == 8 ? w.val : truncate(w.val, e.size);
    const bool fails = e.operation == op::compare_exchange && !succeeds(e);
    e.ord = fails && !is(mutant::failed_cas_keeps_order) ? e.failure : e.success;

    e.porf.join(w.porf);
    if (acquires(e.ord)) e.hb.join(w.message);
}

void derive_write(const graph& g, event_id id, event& e, release_sequence rule) {
    e.message = {};
    if (releases(e.ord))
        e.message = e.hb;
    else if (e.fenced > 0)
        e.message = g[{id.process, static_cast<std::uint16_t>(e.fenced - 1)}].hb;
    if (e.has(rmw) && !is(mutant::no_rmw_release_chain)) {
        // (rf;rmw)* in rs: an RMW carries on the release sequence of the write it reads from.
        e.message.join(g.source(*g.before(id)).message);
    }
    if (rule == release_sequence::rc11) {
        // [W];(po|loc)?;[W]: what our latest release write of this location sent goes on. What
        // that write itself had inherited from an RMW chain does not.
        for (std::uint16_t i = id.index; i-- > 0;) {
            const event& earlier = g[{id.process, i}];
            if (!earlier.writes() || earlier.loc != e.loc || !releases(earlier.ord)) continue;
            e.message.join(earlier.hb);
            break;
        }
    }
}

void derive_fence(const graph& g, event_id id, event& e) {
    if (acquires(e.ord) && !is(mutant::acquire_fence_is_empty)) {
        // What the reads before it have brought, relaxed ones too, arrives here.
        for (std::uint16_t i = 0; i < id.index; ++i)
            if (const event& r = g[{id.process, i}]; r.reads()) e.hb.join(g.source(r).message);
    }
    if (releases(e.ord)) e.fenced = static_cast<std::uint16_t>(id.index + 1);
}

}  // namespace

void derive(graph& g, event_id id, release_sequence rule) {
    event& e = g[id];
    if (const event* previous = g.before(id)) {
        e.hb = previous->hb;
        e.porf = previous->porf;
        e.fenced = previous->fenced;
    } else {
        e.hb = e.porf = clock{};
        e.fenced = 0;
    }
    e.hb.include(id);
    e.porf.include(id);
    switch (e.what) {
        case kind::read:
            derive_read(g, e);
            break;
        case kind::write:
            derive_write(g, id, e, rule);
            break;
        case kind::fence:
            derive_fence(g, id, e);
            break;
        case kind::pause:
        case kind::point:
            break;
    }
    if (e.ord == order::seq_cst) g.note_sc();
}

// --- COHERENCE -------------------------------------------------------------------------------

std::size_t coherence_bound(const graph& g, location_id loc, const clock& known) {
    const graph::history& h = g.of(loc);
    std::size_t bound = h.mo.size() - 1;
    while (bound > 0 && !known.contains(h.mo[bound])) --bound;
    if (is(mutant::bound_ignores_reads)) return bound;
    for (auto r = h.reads.rbegin(); r != h.reads.rend() && bound + 1 < h.mo.size(); ++r)
        if (known.contains(*r)) bound = std::max<std::size_t>(bound, g.source(g[*r]).mo);
    return bound;
}

// --- NO-THIN-AIR -----------------------------------------------------------------------------

bool no_thin_air(const graph& g) {
    // A clock that contains its own source's clock, along every edge, cannot close a cycle
    // unless some read's source knows the read.
    for (std::size_t p = 0; p < g.processes(); ++p) {
        for (std::uint16_t i = 0; i < g.length(p); ++i) {
            const event_id id{static_cast<std::uint16_t>(p), i};
            const event& e = g[id];
            if (e.reads() && e.rf != initial && g[e.rf].porf.contains(id)) return false;
        }
    }
    return true;
}

}  // namespace assay::checker
