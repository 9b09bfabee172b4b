#include "explore.hpp"

#include <chrono>

#include "liveness.hpp"

namespace assay::checker {

namespace {

using steady = std::chrono::steady_clock;

[[nodiscard]] double seconds_since(steady::time_point start) {
    return std::chrono::duration<double>(steady::now() - start).count();
}

}  // namespace

result explore(std::size_t processes, const subject_maker& make, const settings& how,
               const observer& watch) {
    const auto start = steady::now();
    result out;
    location_table locations(processes);
    site_table sites(how.weaker, how.force_sc);
    search s(processes, locations, how.allowed);
    runtime r(processes, how.running, sites);
    const auto p = make(locations);

    bool hit_event_bound = false;
    bool stopped = false;
    for (bool more = true; more; more = s.backtrack()) {
        p->run(r, s);
        ++out.runs;
        if (!r.failed() && !r.complete()) {
            for (std::size_t i = 0; i < processes; ++i)
                hit_event_bound |= r.state_of(i) == runtime::state::bounded;
            if (how.check_liveness)
                if (auto f = classify(s.current(), r)) r.fail(f->what, f->message);
        }
        if (r.failed()) {
            out.what = r.failed()->what;
            out.message = r.failed()->message;
            out.counterexample = s.current();
            ++out.executions;
            break;
        }
        ++(r.complete() ? out.executions : out.blocked);
        if (watch) watch(s, r);
        if (how.stop_at.executions != 0 && out.runs >= how.stop_at.executions) {
            out.what = verdict::bounded;
            out.message = "executions";
            stopped = true;
            break;
        }
        if (how.stop_at.seconds > 0 && out.runs % 256 == 0 &&
            seconds_since(start) > how.stop_at.seconds) {
            out.what = verdict::bounded;
            out.message = "time";
            stopped = true;
            break;
        }
    }
    if (out.what == verdict::verified && hit_event_bound) {
        out.what = verdict::bounded;
        out.message = "events per process";
    }
    static_cast<void>(stopped);
    out.accesses = r.stats().accesses;
    out.revisits = s.stats().revisits;
    out.rejected = s.stats().rejected;
    out.peak_items = s.stats().peak_items;
    out.peak_graphs = s.stats().peak_graphs;
    if (!failed_verdict(out.what) && (out.executions == 0 || out.accesses == 0)) {
        out.what = verdict::nothing_explored;
        out.message = "no complete execution, or no modelled access";
    }
    out.seconds = seconds_since(start);
    out.sites = sites.all();
    return out;
}

}  // namespace assay::checker
