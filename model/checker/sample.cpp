#include "sample.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <unordered_set>

#include "liveness.hpp"

namespace assay::checker {

namespace {

class chance final : public guide {
public:
    chance(const sampling& which, std::size_t processes)
        : which_(which), random_(which.seed), priority_(processes) {}

    // A new execution begins.
    void begin() {
        longest_ = std::max(longest_, events_);
        events_ = 0;
        made_ = true;
        if (which_.how != strategy::pct) return;
        for (std::size_t p = 0; p < priority_.size(); ++p)
            priority_[p] = static_cast<int>(p + which_.depth);
        std::shuffle(priority_.begin(), priority_.end(), random_);
        changes_.clear();
        for (unsigned i = 1; i < which_.depth; ++i) changes_.push_back(below(longest_));
    }

    std::optional<std::size_t> next(const std::vector<std::size_t>& waiting) override {
        if (waiting.empty()) return std::nullopt;
        made_ = false;
        turn_ = waiting[below(waiting.size())];
        if (which_.how == strategy::pct)
            turn_ = *std::max_element(waiting.begin(), waiting.end(),
                                      [&](auto a, auto b) { return priority_[a] < priority_[b]; });
        return turn_;
    }
    [[nodiscard]] bool on_turn(std::size_t process) const override {
        return !made_ && process == turn_;
    }
    bool take(mark) override {
        if (below(8) != 0) return false;
        return made_ = true;
    }
    std::size_t choose(std::size_t bound, std::size_t last) override {
        bool at_will = which_.how == strategy::walk;
        for (std::size_t i = 0; i < changes_.size() && !made_; ++i) {
            if (changes_[i] != events_) continue;
            if (below(2) == 0)
                at_will = true;
            else
                priority_[turn_] = static_cast<int>(i);
        }
        if (!made_) ++events_;
        made_ = true;
        return at_will ? bound + below(last - bound + 1) : last;
    }
    bool fails() override { return below(4) == 0; }
    [[nodiscard]] bool insists() const noexcept override { return false; }
    void misfit(const std::string&, bool) override {}

private:
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

    sampling which_;
    std::mt19937_64 random_;
    std::size_t turn_ = 0;
    bool made_ = true;  // the event of this turn
    std::size_t events_ = 0;
    std::size_t longest_ = 20;
    std::vector<int> priority_;
    std::vector<std::size_t> changes_;  // events
};

// The graph without what those did last who wait for what has been overtaken. False: there is none.
bool forget_vain_waits(const graph& g, const runtime& r, graph& out) {
    clock keep;
    bool any = false;
    for (std::uint16_t p = 0; p < g.processes(); ++p) {
        keep.count[p] = static_cast<std::uint16_t>(g.length(p));
        if (r.state_of(p) != runtime::state::blocked || knows_the_latest(g, p)) continue;
        any = true;
        keep.count[p] = static_cast<std::uint16_t>(start_of_wait(g, p));
    }
    if (any) out.restrict(g, keep);
    return any;
}

}  // namespace

result sample(std::size_t processes, const subject_maker& make, const settings& how,
              const sampling& which) {
    const auto start = std::chrono::steady_clock::now();
    const auto locations = std::make_shared<location_table>(processes);
    site_table sites(how.weaker, how.force_sc);
    rules allowed = how.allowed;
    allowed.identical.clear();
    search s(processes, *locations, allowed);
    runtime r(processes, how.running, sites);
    const auto program = make(*locations);
    chance choices(which, processes);
    std::unordered_set<std::uint64_t> seen;

    result out;
    out.what = verdict::bounded;
    out.message = "samples";
    const graph empty(processes, *locations);
    graph began = empty;
    while (out.runs < which.samples && !failed_verdict(out.what)) {
        choices.begin();
        s.go_on_from(empty);
        s.follow(&choices);
        r.follow(&choices);
        for (bool again = true; again;) {
            program->run(r, s);
            graph rest = empty;
            again = !r.failed() && !r.complete() && forget_vain_waits(s.current(), r, rest);
            r.forget_failure();
            if (again) s.go_on_from(rest);
        }
        s.follow(nullptr);
        r.follow(nullptr);
        began = s.current();
        program->run(r, s);
        if (!r.failed() && !r.complete() && how.check_liveness)
            if (const auto f = classify(s.current(), r)) r.fail(f->what, f->message);
        ++out.runs;
        ++(r.failed() || r.complete() ? out.executions : out.blocked);
        seen.insert(fingerprint(s.current()));
        if (r.failed()) {
            out.what = r.failed()->what;
            out.message = r.failed()->message;
            out.script = script(began).text();
            out.counterexample = s.current();
        }
        const std::chrono::duration<double> used = std::chrono::steady_clock::now() - start;
        out.seconds = used.count();
        if (how.stop_at.seconds > 0 && out.seconds > how.stop_at.seconds) break;
    }
    out.distinct = seen.size();
    out.accesses = r.stats().accesses;
    out.sites = sites.all();
    out.locations = locations;
    return out;
}

}  // namespace assay::checker
