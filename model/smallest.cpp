#include "model/smallest.hpp"

#include <algorithm>
#include <chrono>

namespace assay::model {
namespace {

using checker::verdict;

// What a process has done wrong while it ran is wrong whether or not the others have started.
// What is judged at the end, or because somebody waits, may be wrong only without them.
bool needs_everybody(const checker::result& again) {
    if (checker::concerns_progress(again.what) || again.what == verdict::nondeterministic)
        return true;
    return again.what == verdict::assertion && again.steps.last == checker::trace::nobody;
}

class hunt {
public:
    hunt(scenario::body body, const checker::settings& how, const checker::result& first,
         double seconds)
        : body_(body), best_{how, first, {}}, seconds_(seconds) {
        best_.how.smallest = first.what;
        best_.how.tell = nullptr;
    }

    smaller run(std::size_t processes, bool everybody) {
        std::uint64_t failing = 0;
        for (std::size_t p = 0; p < processes && !everybody; ++p) {
            checker::settings how = best_.how;
            how.running.left_out |= 1u << p;
            failing += try_with(how, seconds_ / 4);
        }
        failing += try_with(best_.how, seconds_ / 4);
        checker::settings shorter = best_.how;
        for (shorter.running.max_events = longest(); --shorter.running.max_events > 0;) {
            const std::uint64_t found = try_with(shorter, left());
            if (found == 0) break;
            failing += found;
            shorter.running.max_events = std::min(shorter.running.max_events, longest());
        }
        best_.how.smallest = verdict::verified;
        describe(processes, std::max<std::uint64_t>(1, failing));
        return std::move(best_);
    }

private:
    [[nodiscard]] double left() const {
        return seconds_ - std::chrono::duration<double>(clock::now() - start_).count();
    }
    [[nodiscard]] std::size_t longest() const {
        const checker::graph& g = *best_.found.counterexample;
        std::size_t n = 0;
        for (std::size_t p = 0; p < g.processes(); ++p) n = std::max(n, g.length(p));
        return n;
    }
    [[nodiscard]] static std::size_t events(const checker::graph& g) {
        std::size_t n = 0;
        for (std::size_t p = 0; p < g.processes(); ++p) n += g.length(p);
        return n;
    }

    // The number of executions that fail like the first one, with these settings. The smallest of
    // them is the best so far, unless it is larger.
    std::uint64_t try_with(checker::settings how, double seconds) {
        if (left() <= 0) return 0;
        how.stop_at.seconds = std::min(seconds, left());
        checker::result r = explore(body_, how);
        if (r.what != best_.found.what ||
            (r.what == verdict::assertion && r.message != best_.found.message))
            return 0;
        const bool fewer = how.running.left_out != best_.how.running.left_out;
        if (fewer || events(*r.counterexample) <= events(*best_.found.counterexample)) {
            const std::uint64_t failing = r.failing;
            how.stop_at = best_.how.stop_at;
            best_.found = std::move(r);
            best_.how = how;
            return failing;
        }
        return r.failing;
    }

    void describe(std::size_t processes, std::uint64_t failing) {
        std::size_t left_out = 0;
        for (std::size_t p = 0; p < processes; ++p) left_out += best_.how.running.left_out >> p & 1;
        best_.remark = "the smallest of " + std::to_string(failing) +
                       " failing executions: " + std::to_string(processes - left_out) +
                       (left_out > 0 ? " of " + std::to_string(processes) : "") + " processes";
    }

    using clock = std::chrono::steady_clock;
    scenario::body body_;
    smaller best_;
    double seconds_;
    clock::time_point start_ = clock::now();
};

}  // namespace

smaller smallest(scenario::body body, const checker::settings& how, const checker::result& first,
                 const checker::result& again, double seconds) {
    return hunt(body, how, first, seconds)
        .run(first.counterexample->processes(), needs_everybody(again));
}

}  // namespace assay::model
