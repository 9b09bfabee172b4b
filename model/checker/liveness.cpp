#include "liveness.hpp"

namespace assay::checker {

namespace {

[[nodiscard]] bool reads_the_latest(const graph& g, const event& read) {
    return g.source(read).mo + std::size_t{1} == g.of(read.loc).mo.size();
}

// What the process read in the lap that it would repeat.
template <class F>
void for_each_read_of_the_last_lap(const graph& g, std::size_t p, F&& f) {
    for (std::size_t i = g.length(p); i-- > start_of_wait(g, p);) {
        const event& e = g[{static_cast<std::uint16_t>(p), static_cast<std::uint16_t>(i)}];
        if (e.reads()) f(e);
    }
}

[[nodiscard]] bool sleeps(const graph& g, std::size_t p) {
    bool asleep = false;
    if (g.last(p)->what == kind::pause) return false;
    for_each_read_of_the_last_lap(
        g, p, [&](const event& e) { asleep |= e.condition == until::not_queued; });
    return asleep;
}

// A sleeper compares the futex word before it falls asleep. Does the word say now that there is
// nothing to wait for?
[[nodiscard]] bool sleeps_in_vain(const graph& g, std::size_t p) {
    for (std::size_t i = g.length(p); i-- > 0;) {
        const event& e = g[{static_cast<std::uint16_t>(p), static_cast<std::uint16_t>(i)}];
        if (!e.has(inner)) continue;
        return g.write(g.of(e.loc).mo.back(), e.loc).val != e.expected;
    }
    return false;
}

}  // namespace

// A loop that pauses reads the same again and again; one that sleeps or awaits hangs on the last
// reads, which block it.
std::size_t start_of_wait(const graph& g, std::size_t process) {
    const std::size_t n = g.length(process);
    const bool spins = n > 0 && g.last(process)->what == kind::pause;
    std::size_t i = spins ? n - 1 : n;
    for (; i > 0; --i) {
        const event& e =
            g[{static_cast<std::uint16_t>(process), static_cast<std::uint16_t>(i - 1)}];
        if (spins ? e.what == kind::pause : !e.reads() || !blocks(e)) break;
    }
    return i;
}

bool knows_the_latest(const graph& g, std::size_t process) {
    bool all = true;
    for_each_read_of_the_last_lap(g, process, [&](const event& e) {
        // Nor does bad luck last: a weak compare-exchange does not fail for ever.
        all = all && reads_the_latest(g, e) && !e.has(failed);
    });
    return all;
}

std::optional<failure> classify(const graph& g, const runtime& r) {
    using state = runtime::state;
    verdict what = verdict::verified;
    std::string who;
    bool died = false;
    for (std::size_t p = 0; p < g.processes(); ++p) {
        const state s = r.state_of(p);
        if (s == state::crashed) died = true;
        if (s == state::bounded) return std::nullopt;
        if (s != state::blocked) continue;
        if (!knows_the_latest(g, p)) return std::nullopt;
        verdict mine = verdict::deadlock;
        if (sleeps(g, p)) mine = sleeps_in_vain(g, p) ? verdict::lost_wake_up : verdict::deadlock;
        if (g.last(p)->what == kind::pause && !g.last(p)->has(lap)) mine = verdict::livelock;
        // The most telling one: somebody who sleeps although his condition holds.
        if (what == verdict::verified || mine == verdict::lost_wake_up) what = mine;
        who += (who.empty() ? "process " : ", process ") + std::to_string(p);
    }
    if (what == verdict::verified) return std::nullopt;
    if (died) what = verdict::blocked_by_dead;
    return failure{what, who + " can never go on"};
}

}  // namespace assay::checker
