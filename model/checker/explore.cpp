#include "explore.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <thread>

#include "liveness.hpp"

namespace assay::checker {

namespace {

using steady = std::chrono::steady_clock;

// The oldest open item of a search is the root of the largest part of what it has left. A worker
// gives it away when somebody has nothing to do. Each item depends only on events that are older
// than itself, which nobody changes before it is taken; so the parts are independent, and the
// counts do not depend on who explores what.
class pool {
public:
    explicit pool(unsigned workers) : busy_(workers) {}

    [[nodiscard]] bool somebody_is_hungry() const noexcept {
        return hungry_.load(std::memory_order_relaxed) > 0;
    }
    void give(std::unique_ptr<search::task> t) {
        ++given_;
        put(std::move(t));
        changed_.notify_one();
    }
    void put(std::unique_ptr<search::task> t) {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(t));
        hungry_.fetch_sub(1, std::memory_order_relaxed);
    }
    // What nobody took; when the workers have ended.
    [[nodiscard]] std::deque<std::unique_ptr<search::task>>& left() noexcept { return tasks_; }
    // Waits for a task. Null when there will be none.
    [[nodiscard]] std::unique_ptr<search::task> take() {
        std::unique_lock lock(mutex_);
        if (--busy_ == 0) changed_.notify_all();
        hungry_.fetch_add(1, std::memory_order_relaxed);
        changed_.wait(lock, [&] { return stop_ || !tasks_.empty() || busy_ == 0; });
        if (stop_ || tasks_.empty()) return nullptr;
        ++busy_;
        auto t = std::move(tasks_.front());
        tasks_.pop_front();
        return t;
    }
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        changed_.notify_all();
    }
    [[nodiscard]] std::uint64_t given() const noexcept { return given_.load(); }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::unique_ptr<search::task>> tasks_;
    unsigned busy_;  // workers that may still give something
    std::atomic<int> hungry_{0};
    std::atomic<std::uint64_t> given_{0};
    bool stop_ = false;
};

class exploration {
public:
    exploration(std::size_t processes, const subject_maker& make, const settings& how,
                const observer& watch)
        : processes_(processes),
          make_(&make),
          how_(&how),
          watch_(&watch),
          locations_(how.resume ? how.resume->locations
                                : std::make_shared<location_table>(processes)),
          sites_(how.weaker, how.force_sc),
          pool_(std::max(1u, how.workers)),
          start_(steady::now()) {}

    result run() {
        if (how_->resume) {
            static_cast<counts&>(out_) = how_->resume->so_far;
            hit_event_bound_ = how_->resume->hit_event_bound;
            sites_.restore(how_->resume->sites);
            double left = 0;
            for (const auto& t : how_->resume->open) {
                left += t.it.share;
                pool_.put(std::make_unique<search::task>(t));
            }
            explored_ = 1 - left;
        }
        std::vector<std::thread> others;
        for (unsigned w = 1; w < how_->workers; ++w) others.emplace_back([this] { work(false); });
        work(how_->resume == nullptr);
        for (auto& t : others) t.join();
        return finish();
    }

private:
    void work(bool first) {
        search s(processes_, *locations_, how_->allowed);
        runtime r(processes_, how_->running, sites_);
        const auto program = (*make_)(*locations_);
        result mine;
        double told = 0;  // of what this worker has explored
        for (bool more = first || next(s); more; more = s.backtrack() || next(s)) {
            program->run(r, s);
            if (!account(s, r, mine)) break;
            if (how_->tell && mine.runs % 256 == 0) {
                explored_.fetch_add(s.explored() - told, std::memory_order_relaxed);
                told = s.explored();
                tell();
            }
            if (pool_.somebody_is_hungry() && s.open_items() > 1) pool_.give(s.split());
        }
        merge(s, r, mine);
    }

    [[nodiscard]] bool next(search& s) {
        while (auto t = pool_.take())
            if (s.start(std::move(*t)) || s.backtrack()) return true;
        return false;
    }

    // One run has ended. False: it was the last one.
    bool account(const search& s, runtime& r, result& mine) {
        ++mine.runs;
        const std::uint64_t runs = count_run(mine);
        if (s.dead_end()) return !reached_a_bound(runs, mine);
        if (!r.failed() && !r.complete()) {
            for (std::size_t p = 0; p < processes_; ++p)
                if (r.state_of(p) == runtime::state::bounded) note_event_bound(s.current(), p);
            if (how_->check_liveness)
                if (const auto f = classify(s.current(), r)) r.fail(f->what, f->message);
        }
        if (!r.failed() && s.symmetry_misleads()) {
            symmetry_misleads_ = true;
            end(verdict::bounded, "symmetry");
            return false;
        }
        if (r.failed()) {
            ++mine.executions;
            if (how_->smallest != verdict::verified) {
                consider(*r.failed(), s.current(), r.started_from());
                r.forget_failure();
                return !reached_a_bound(runs, mine);
            }
            end(r.failed()->what, r.failed()->message, &s.current(), r.started_from());
            return false;
        }
        ++(r.complete() ? mine.executions : mine.blocked);
        if (r.complete()) mine.stands_for += s.stands_for();
        if (*watch_) (*watch_)(s, r);
        return !reached_a_bound(runs, mine);
    }

    // How many there were so far, of all workers: exact where a bound depends on it. Otherwise they
    // do not fight for the counter.
    std::uint64_t count_run(const result& mine) {
        const std::uint64_t step = how_->stop_at.executions != 0 ? 1 : 256;
        if (mine.runs % step != 0) return 0;
        return step + all_runs_.fetch_add(step, std::memory_order_relaxed);
    }

    void note_event_bound(const graph& g, std::size_t p) {
        if (hit_event_bound_.exchange(true)) return;
        const site latest = sites_.get(g.last(p)->site);
        const std::lock_guard lock(mutex_);
        event_bound_ = "process " + std::to_string(p) + " has done " + std::to_string(g.length(p)) +
                       " events, the latest at " + latest.file + ":" + std::to_string(latest.line) +
                       "; more are allowed by --events, but a loop that writes in each round has "
                       "no end: let it wait for a change by reading only";
    }

    [[nodiscard]] bool reached_a_bound(std::uint64_t runs, const result& mine) {
        if (how_->stop_at.executions != 0 && runs >= how_->stop_at.executions)
            end(verdict::bounded, "executions");
        if (how_->stop_at.seconds > 0 && mine.runs % 256 == 0 && seconds() > how_->stop_at.seconds)
            end(verdict::bounded, "seconds");
        if (how_->interrupted != nullptr && how_->interrupted->load(std::memory_order_relaxed))
            end(verdict::bounded, "interrupted");
        return ended_.load(std::memory_order_relaxed);
    }

    // Is this failure easier to read than the best so far: fewer events, fewer switches?
    void consider(const failure& f, const graph& g, const clock& start) {
        if (f.what != how_->smallest) return;
        const std::lock_guard lock(mutex_);
        ++out_.failing;
        std::size_t events = 0;
        for (std::size_t p = 0; p < processes_; ++p) events += g.length(p);
        if (out_.failing > 1 && events > fewest_events_) return;
        graph began = g;
        began.restrict(g, start);
        const std::string text = script(began).text();
        const auto switches = static_cast<std::size_t>(
            std::count_if(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
        if (out_.failing > 1 && events == fewest_events_ && switches >= fewest_switches_) return;
        fewest_events_ = events;
        fewest_switches_ = switches;
        out_.what = f.what;
        out_.message = f.message;
        out_.script = text;
        out_.counterexample = g;
    }

    void tell() {
        const std::unique_lock lock(telling_, std::try_to_lock);
        const double now = seconds();
        if (!lock || now < last_told_ + 0.3) return;
        last_told_ = now;
        how_->tell({all_runs_.load(std::memory_order_relaxed), now,
                    explored_.load(std::memory_order_relaxed)});
    }

    void end(verdict what, const std::string& message, const graph* g = nullptr,
             const clock& start = {}) {
        {
            const std::lock_guard lock(mutex_);
            // A failure counts more than a bound that another worker has hit.
            const bool better = !failed_verdict(out_.what) && out_.what != what;
            if (better) {
                out_.what = what;
                out_.message = message;
            }
            if (better && g != nullptr) {
                graph began = *g;
                began.restrict(*g, start);
                out_.script = script(began).text();
                out_.counterexample = *g;
            }
        }
        ended_ = true;
        pool_.stop();
    }

    void merge(search& s, const runtime& r, const result& mine) {
        const std::lock_guard lock(mutex_);
        while (auto t = how_->keep_open_work && ended_ ? s.split() : nullptr)
            open_.push_back(std::move(*t));
        out_.executions += mine.executions;
        out_.blocked += mine.blocked;
        out_.stands_for += mine.stands_for;
        out_.runs += mine.runs;
        out_.accesses += r.stats().accesses;
        out_.revisits += s.stats().revisits;
        out_.rejected += s.stats().rejected;
        out_.peak_items += s.stats().peak_items;
        out_.peak_graphs += s.stats().peak_graphs;
    }

    result finish() {
        out_.symmetry_misled = symmetry_misleads_ || how_->symmetry_misled;
        if (out_.what == verdict::verified && hit_event_bound_) {
            out_.what = verdict::bounded;
            out_.message = event_bound_;
        }
        if (out_.what == verdict::verified && (out_.executions == 0 || out_.accesses == 0)) {
            out_.what = verdict::nothing_explored;
            out_.message = "no complete execution, or no modelled access";
        }
        out_.seconds += seconds();
        out_.shared_tasks += pool_.given();
        out_.sites = sites_.all();
        out_.locations = locations_;
        if (how_->keep_open_work && ended_ && out_.what == verdict::bounded) keep_open_work();
        return std::move(out_);
    }

    void keep_open_work() {
        for (auto& t : pool_.left()) open_.push_back(std::move(*t));
        auto open = std::make_shared<checkpoint>();
        open->so_far = out_;
        open->hit_event_bound = hit_event_bound_;
        open->symmetry_misled = out_.symmetry_misled;
        open->locations = locations_;
        open->sites = out_.sites;
        open->open = std::move(open_);
        out_.open = std::move(open);
    }

    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(steady::now() - start_).count();
    }

    std::size_t processes_;
    const subject_maker* make_;
    const settings* how_;
    const observer* watch_;
    std::shared_ptr<location_table> locations_;
    site_table sites_;
    pool pool_;
    steady::time_point start_;
    std::atomic<std::uint64_t> all_runs_{0};
    std::atomic<bool> hit_event_bound_{false};
    std::string event_bound_ = "events per process";  // the first time; unknown after a resume
    std::atomic<bool> ended_{false};
    std::atomic<bool> symmetry_misleads_{false};
    std::mutex mutex_;
    std::vector<search::task> open_;
    result out_;
    std::size_t fewest_events_ = 0, fewest_switches_ = 0;
    std::atomic<double> explored_{0};
    std::mutex telling_;
    double last_told_ = 0;
};

}  // namespace

std::string describe(const settings& how) {
    const rules& r = how.allowed;
    const auto line = [](const char* label, auto setting) {
        return std::string(label) + ": " + std::to_string(setting) + "\n";
    };
    std::string text =
        line("release sequences", static_cast<int>(r.sequence)) + line("deaths", r.crashes) +
        line("who may die", r.may_crash) + line("death at every event", r.crash_at_every_event) +
        line("spurious failures", r.spurious_failures) + line("spurious wakes", r.spurious_wakes) +
        line("waits are filtered", r.filter_waits) + line("events", how.running.max_events) +
        line("races", how.running.check_races) +
        line("death between plain writes", how.running.crash_between_plain_writes) +
        line("left out", how.running.left_out) + line("liveness", how.check_liveness) +
        line("force-sc", how.force_sc) + line("symmetry", how.use_symmetry);
    text += "identical processes:";
    for (const auto group : r.identical) text += " " + std::to_string(group);
    text += "\n";
    for (const weakening& w : how.weaker)
        text += "weaker: " + w.file + ":" + std::to_string(w.line) + ":" +
                std::to_string(w.column) + "=" + name(w.use) + "/" +
                (w.failure ? name(*w.failure) : "") + "\n";
    return text;
}

result explore(std::size_t processes, const subject_maker& make, const settings& how,
               const observer& watch) {
    settings one_by_one = how;
    one_by_one.allowed.identical.clear();
    // With a process left out, the others that are like it are no longer exchangeable with it.
    bool misled = how.resume && how.resume->symmetry_misled;
    if (how.use_symmetry && !misled && how.running.left_out == 0 &&
        !how.allowed.identical.empty()) {
        result r = exploration(processes, make, how, watch).run();
        if (!r.symmetry_misled) return r;
        misled = true;
        one_by_one.resume = nullptr;
    }
    one_by_one.symmetry_misled = misled;
    return exploration(processes, make, one_by_one, watch).run();
}

// The program runs twice: along the script, to get the graph that the execution starts from, and
// then along that graph like any execution, so that it also has to do the same again.
result replay(std::size_t processes, const subject_maker& make, const settings& how,
              const std::string& text) {
    script choices(text);
    rules allowed = how.allowed;
    if (!how.use_symmetry) allowed.identical.clear();
    const auto locations = std::make_shared<location_table>(processes);
    site_table sites(how.weaker, how.force_sc);
    search s(processes, *locations, allowed);
    runtime r(processes, how.running, sites);
    const auto program = make(*locations);

    s.follow(&choices);
    r.follow(&choices);
    program->run(r, s);
    choices.finish(s.current());
    s.follow(nullptr);
    r.follow(nullptr);
    r.forget_failure();

    result out;
    r.record(&out.steps);
    program->run(r, s);
    if (!r.failed() && !r.complete() && how.check_liveness)
        if (const auto f = classify(s.current(), r)) r.fail(f->what, f->message);
    if (r.failed()) {
        out.what = r.failed()->what;
        out.message = r.failed()->message;
    }
    out.runs = 2;
    out.executions = 1;
    out.accesses = r.stats().accesses;
    out.counterexample = s.current();
    out.sites = sites.all();
    out.locations = locations;
    out.script = text;
    return out;
}

}  // namespace assay::checker
