// matrix.cpp -- see matrix.hpp. Runners, one for each core, take item after item (a cell, and what
// is done to it); for each kill point a runner forks a process of its own, which sets the scene,
// forks the victim, and is the survivors. So a kill point can neither spoil nor outlive another.
//
// Runners use no heap between their kill points: victims then differ in nothing, and run over the
// same instructions each time.
#include "stress/kill/matrix.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>

#include "scripts/stage.hpp"
#include "stress/kill/page.hpp"
#include "stress/shared.hpp"

namespace assay_kill {
namespace {

using clock = std::chrono::steady_clock;
using assay_stage::verdict;
using assay_stress::share;

constexpr int not_on_the_track = 3;  // exit status of a point whose victim went another way
constexpr double patience = 10, canary_patience = 2;
constexpr double canary_budget = 10;  // most are caught in a moment

double seconds_since(clock::time_point t) {
    return std::chrono::duration<double>(clock::now() - t).count();
}

outcome* mine = nullptr;  // of the item that this process works on

struct item {
    const cell* what;
    fate how;
    track* of_operation;
    track* of_recovery;  // scratch: recorded anew for each death before it
    outcome* result;
};

// What one kill point is: the victim dies (stops) after `at` instructions; with recovery, after
// `first` instructions, and the one who recovers after `at`.
struct point {
    fate how;
    std::uint32_t first, at;
    bool record = false, stepwise = false;
};

// --- one kill point, in a process of its own ---------------------------------------------------

// Some operations take another way now and then (what the allocator finds, how long a number in
// /proc is). Step by step, k instructions are k instructions, or all that there are.
void advance(victim& v, const track& t, std::uint32_t k, bool stepwise) {
    if (stepwise)
        v.step_to(k);
    else if (!v.run_to(t, k))
        ::_exit(not_on_the_track);
}

void record(victim& v, scene& s, track& t) {
    const auto now_there = s.bytes();
    std::vector<std::byte> before(now_there.begin(), now_there.end());
    t.length = 0;
    t.changes[0] = 0;  // as it was at the beginning
    t.num_changes = 1;
    for (bool more = true; more;) {
        if (t.length + 1 == track::most) fail("more than %zu instructions", track::most);
        t.at[t.length] = v.place();
        more = v.step();
        ++t.length;
        if (std::ranges::equal(before, now_there)) continue;
        t.changes[t.num_changes++] = static_cast<std::uint32_t>(t.length);
        before.assign(now_there.begin(), now_there.end());
    }
    t.plan();
}

void play(const item& it, const point& p, const std::string& segment) {
    now("setting the scene");
    const std::unique_ptr<scene> s = it.what->set(segment);
    if (p.how == fate::recovered) {
        victim first([&] {
            s->open();
            s->operate();
        });
        advance(first, *it.of_operation, p.first, false);
        first.kill();
    }
    now("preparing the victim");
    victim v([&] {
        s->open();
        if (p.how == fate::recovered)
            s->recover();
        else
            s->operate();
    });
    track& t = p.how == fate::recovered ? *it.of_recovery : *it.of_operation;
    now("running the victim to its kill point");
    if (p.record) return record(v, *s, t);
    advance(v, t, p.at, p.stepwise);
    if (p.how == fate::stopped)
        v.stop();
    else
        v.kill();
    now("attaching, after the death");
    s->open();
    now("operations of survivors");
    s->others(p.how == fate::stopped);
    if (p.how == fate::stopped) {
        now("waiting for the victim, which was continued");
        v.finish();
    } else {
        now("recover()");
        s->recover();
    }
    now("looking whether all is whole");
    s->whole(p.how == fate::stopped);
}

[[noreturn]] void play_and_exit(const item& it, const point& p, const std::string& segment) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
        play(it, p, segment);
        const std::string path = "/dev/shm/" + segment;
        if (p.record)
            ::unlink(path.c_str());  // of a victim whose operation creates it, and ends there
        else if (::access(path.c_str(), F_OK) == 0)
            fail("all have left, and the segment is still there");
    } catch (const std::exception& e) {
        fail("an exception while %s: %s", mine->now, e.what());
    }
    ::_exit(0);
}

// The exit status; -1 after patience seconds.
int wait_for(pid_t pid, double seconds) {
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    const auto start = clock::now();
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) != pid) {
        if (seconds_since(start) > seconds) return -1;
        const timespec tick{0, 100'000'000};
        ::sigtimedwait(&ended, nullptr, &tick);  // blocked by main
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool try_point(const item& it, const point& p, const char* segment) {
    for (const bool stepwise : {false, true}) {
        point q = p;
        q.stepwise = stepwise;
        const pid_t pid = ::fork();
        if (pid == 0) play_and_exit(it, q, segment);
        ::setpgid(pid, pid);
        const int status = wait_for(pid, it.what->caught_by.empty() ? patience : canary_patience);
        if (status == 0) return true;
        ::kill(-pid, SIGKILL);
        if (status < 0) ::waitpid(pid, nullptr, 0);
        char path[300];
        std::snprintf(path, sizeof path, "/dev/shm/%s", segment);
        ::unlink(path);
        if (status == not_on_the_track) {
            ++it.result->detours;
            continue;
        }
        if (status < 0)
            std::snprintf(it.result->message, sizeof it.result->message, "hangs in: %s",
                          it.result->now);
        else if (status != 1)
            std::snprintf(it.result->message, sizeof it.result->message, "%s in: %s",
                          ::strsignal(status - 128), it.result->now);
        return false;
    }
    return false;
}

// --- one item, in a runner ---------------------------------------------------------------------

enum class next { point, death, none };  // the next death before a recovery

// Calls f(point, number, share) for each kill point of the item, as long as f wants more. The share
// is what the points up to here, and those of the same death, make up of all.
template <class F>
void each_point(const item& it, const char* segment, F&& f) {
    const track& t = *it.of_operation;
    if (it.how != fate::recovered) {
        for (std::uint64_t n = 0; n < t.length; ++n)
            if (f(point{it.how, 0, t.order[n]}, t.order[n], 1.0) != next::point) return;
        return;
    }
    std::uint64_t number = 0;
    for (std::uint32_t c = 0; c < t.num_changes; ++c) {
        if (!try_point(it, {it.how, t.changes[c], 0, true}, segment)) return;
        const track& r = *it.of_recovery;
        it.result->instructions = r.length;
        const double share = (c + 1.0) / t.num_changes;
        next wanted = next::point;
        for (std::uint64_t n = 0; n < r.length && wanted == next::point; ++n)
            wanted = f(point{it.how, t.changes[c], r.order[n]}, number + r.order[n], share);
        if (wanted == next::none) return;
        number += r.length;
    }
}

void work(const item& it, const char* segment, double budget, const settings& s) {
    const auto start = clock::now();
    mine = it.result;
    it.result->message[0] = 0;
    double begun = 0;  // the share of which a point was tried: one of each at least
    each_point(it, segment, [&](const point& p, std::uint64_t number, double share) {
        if (s.at >= 0 && number != static_cast<std::uint64_t>(s.at)) return next::point;
        if (!s.all && s.at < 0 && begun == share && seconds_since(start) > budget * share) {
            it.result->cut = true;
            return next::death;
        }
        begun = share;
        it.result->at = number;
        if (!try_point(it, p, segment)) return next::none;
        ++it.result->points;
        return next::point;
    });
    it.result->cut |= s.at >= 0;
    it.result->seconds = seconds_since(start);
    it.result->state = it.result->message[0] != 0 ? outcome::failed : outcome::done;
}

void pin_to(unsigned n) {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return;
    unsigned seen = 0;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
        if (!CPU_ISSET(i, &set) || seen++ != n) continue;
        CPU_ZERO(&set);
        CPU_SET(i, &set);
        ::sched_setaffinity(0, sizeof set, &set);  // tracer and victim take turns: one core is best
        return;
    }
}

unsigned cores() {
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof set, &set) == 0
               ? static_cast<unsigned>(std::max(1, CPU_COUNT(&set)))
               : 1;
}

// Runs f(n, segment) for n in [0, items) on all cores; meanwhile(done) now and then.
template <class F, class G>
void distribute(std::size_t items, const std::string& prefix, F f, G meanwhile) {
    const assay_stress::shared<std::atomic<std::size_t>> next;
    std::vector<pid_t> runners;
    for (unsigned r = 0; r < cores(); ++r) {
        const std::string segment = prefix + "kill-" + std::to_string(r);
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            pin_to(r);
            for (std::size_t n; (n = next->fetch_add(1)) < items;) f(n, segment.c_str());
            ::_exit(0);
        }
        runners.push_back(pid);
    }
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    while (!runners.empty()) {
        std::erase_if(runners, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) == pid; });
        const timespec tick{0, 200'000'000};
        if (!runners.empty()) ::sigtimedwait(&ended, nullptr, &tick);
        meanwhile();
    }
}

// --- the matrix --------------------------------------------------------------------------------

std::string name_of(const item& it) {
    constexpr const char* suffix[] = {"_killed", "_stopped", "_recovery_killed"};
    return it.what->caught_by.empty() ? it.what->name + suffix[static_cast<int>(it.how)]
                                      : it.what->name;
}

bool selected(const settings& s, const std::string& name) {
    return s.filters.empty() ||
           std::any_of(s.filters.begin(), s.filters.end(),
                       [&](const std::string& f) { return name.starts_with(f); });
}

std::vector<item> items_of(const settings& s) {
    std::vector<item> list;
    for (const cell& c : cells()) {
        track* const t = share<track>();
        for (const fate how : {fate::killed, fate::stopped, fate::recovered}) {
            if (how == fate::recovered && !c.recovers) continue;
            if (how != fate::recovered && c.recovers && !c.caught_by.empty()) continue;
            if (how == fate::stopped && !c.stops) continue;
            const item it{&c, how, t, how == fate::recovered ? share<track>() : nullptr,
                          share<outcome>()};
            if (selected(s, name_of(it))) list.push_back(it);
        }
    }
    return list;
}

void record_all(std::vector<item>& list, const std::string& prefix) {
    distribute(
        list.size(), prefix,
        [&](std::size_t n, const char* segment) {
            const item& it = list[n];
            mine = it.result;
            if (it.of_operation->claimed.exchange(1) != 0) return;  // shared with another item
            if (!try_point(it, {fate::killed, 0, 0, true}, segment))
                it.result->state = outcome::failed;
        },
        [] {});
    for (const item& it : list) {
        const track& t = *it.of_operation;
        it.result->instructions = t.length;
        it.result->changes = t.num_changes - 1;
        // Of the recovery nobody knows yet; it mostly looks at all of the structure.
        it.result->expected = it.how == fate::recovered ? 500 * t.num_changes : t.length;
    }
}

assay_stage::check check_of(const item& it, bool caught) {
    const outcome& r = *it.result;
    assay_stage::check c{.name = name_of(it), .what = it.what->what, .unit = "kill points"};
    c.amount = r.points;
    c.seconds = r.seconds;
    c.canary = !it.what->caught_by.empty();
    c.reproduce = "assay-stress kill " + c.name + " --at " + std::to_string(r.at);
    const std::string found =
        std::string(r.message) +
        (r.message[0] != 0 ? " (after instruction " + std::to_string(r.at) + ")" : "");
    if (c.canary) {
        c.verdict = caught ? verdict::verified : verdict::failed;
        c.detail = caught              ? "caught: " + found
                   : r.message[0] == 0 ? "this deliberate bug was not caught"
                                       : "failed, but not as its bug should: " + found;
        c.amount = std::max<std::uint64_t>(c.amount, 1);
    } else if (r.state != outcome::done) {
        c.verdict = verdict::failed;
        c.detail = r.state == outcome::failed ? found : "its runner died";
    } else {
        c.verdict = r.cut ? verdict::bounded : verdict::verified;
        const std::string instructions = std::to_string(r.instructions - mark_instructions);
        c.detail = it.how == fate::recovered
                       ? "recover() of " + instructions +
                             " instructions, after a death in each of " +
                             std::to_string(r.changes + 1) + " states"
                       : instructions + " instructions, " + std::to_string(r.changes) +
                             " change shared memory";
        c.detail += "; survivors made " + std::to_string(r.survivors) + " operations";
        if (r.detours != 0)
            c.detail += "; " + std::to_string(r.detours) + " points by single steps alone";
    }
    return c;
}

bool bug_found(const item& it) {
    const std::string found = it.result->message;
    return std::any_of(
        it.what->caught_by.begin(), it.what->caught_by.end(),
        [&](const std::string& word) { return found.find(word) != std::string::npos; });
}

// A canary is caught by either way of dying; the row is that of the one that did.
void report_canaries(const std::vector<item>& list, assay_stage::report& report) {
    for (const cell& c : cells()) {
        const item* shown = nullptr;
        for (const item& it : list)
            if (it.what == &c && !c.caught_by.empty() && (shown == nullptr || !bug_found(*shown)))
                shown = &it;
        if (shown != nullptr) report.add(check_of(*shown, bug_found(*shown)));
    }
}

class progress {
public:
    explicit progress(const std::vector<item>& list) : list_(list) {}
    ~progress() {
        if (terminal_) std::fprintf(stderr, "\r\033[K");
    }
    void show() const {
        if (!terminal_) return;
        std::uint64_t done = 0, expected = 0;
        const item* running = nullptr;
        for (const item& it : list_) {
            const outcome& r = *it.result;
            done += r.points;
            expected += r.state == outcome::open ? std::max<std::uint64_t>(r.expected, r.points)
                                                 : r.points.load();
            if (r.state == outcome::open && r.points != 0) running = &it;
        }
        const double rate = static_cast<double>(done) / std::max(0.1, seconds_since(start_));
        std::fprintf(stderr, "\r\033[K%llu of about %llu kill points  %s, about %.0f s left\r",
                     static_cast<unsigned long long>(done),
                     static_cast<unsigned long long>(expected),
                     running == nullptr ? "" : name_of(*running).c_str(),
                     static_cast<double>(expected - done) / std::max(rate, 1.0));
    }

private:
    const std::vector<item>& list_;
    const bool terminal_ = ::isatty(STDERR_FILENO) != 0;
    const clock::time_point start_ = clock::now();
};

}  // namespace

void fail(const char* format, ...) {
    std::va_list args;
    va_start(args, format);
    std::vsnprintf(mine->message, sizeof mine->message, format, args);
    va_end(args);
    ::_exit(1);
}

void now(const char* what) { mine->now = what; }
void count(std::uint64_t operations) { mine->survivors += operations; }

int run(const settings& s, const std::string& prefix) {
    std::stable_sort(cells().begin(), cells().end(),
                     [](const cell& a, const cell& b) { return a.name < b.name; });
    std::vector<item> list = items_of(s);
    if (list.empty()) {
        std::fprintf(stderr, "assay-stress kill: no row begins so; --list names them\n");
        return 2;
    }
    if (s.list) {
        for (const item& it : list)
            std::printf("%-56s %s\n", name_of(it).c_str(), it.what->what.c_str());
        return 0;
    }
    assay_stage::report report("assay-stress", 0);
    if (const char* why = victim::obstacle()) {
        for (const item& it : list) {
            const bool canary = !it.what->caught_by.empty();
            if (canary && &it != list.data() && (&it - 1)->what == it.what) continue;  // one row
            report.add({.name = name_of(it),
                        .what = it.what->what,
                        .unit = "kill points",
                        .verdict = verdict::skipped,
                        .detail = why,
                        .canary = canary});
        }
        return report.finish(s.json);
    }
    const auto start = clock::now();
    record_all(list, prefix);
    // The short ones first: what they leave of their time goes to the long ones.
    std::stable_sort(list.begin(), list.end(), [](const item& a, const item& b) {
        return a.result->expected < b.result->expected;
    });
    progress shown(list);
    distribute(
        list.size(), prefix,
        [&](std::size_t n, const char* segment) {
            if (list[n].result->state != outcome::open) return;
            const double left = s.seconds - seconds_since(start);
            const auto rest = static_cast<double>(list.size() - n);
            const double share = left * std::min<double>(cores(), rest) / rest;
            const bool canary = !list[n].what->caught_by.empty();
            work(list[n], segment, canary ? std::max(share, canary_budget) : share, s);
        },
        [&] { shown.show(); });
    std::stable_sort(list.begin(), list.end(), [](const item& a, const item& b) {
        return a.what->name != b.what->name ? a.what->name < b.what->name : a.how < b.how;
    });
    std::vector<row> rows;
    for (const item& it : list) {
        if (!it.what->caught_by.empty()) continue;
        report.add(check_of(it, false));
        rows.push_back({it.what->name, it.how, it.result});
    }
    report_canaries(list, report);
    const std::string page = page_of(rows);
    std::printf("\n%s", page.c_str());
    if (!s.page.empty() && !write_page(s.page, page)) return 1;
    return report.finish(s.json);
}

}  // namespace assay_kill
