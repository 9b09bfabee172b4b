// main.cpp -- assay-corpus: the bug corpus on the real machine, to see what a stress test finds.
//
// Each bug has so many runs of so many seconds. A run is a process that repeats the scenario until
// a check fails, it crashes, it stands still, or (under the thread sanitizer) a race is reported.
// The fixed forms have one run each: what is found in them is a false alarm.
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "model/corpus/known_bug.hpp"

// How the sanitizer tells the watcher; a build without it ignores this.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() {
    return "halt_on_error=1:exitcode=66:atexit_sleep_ms=0";
}

namespace assay::model {

namespace {

constexpr int failed_status = 1, race_status = 66;
constexpr auto patience = std::chrono::seconds(1);  // without a finished scenario: it stands still
using seconds = std::chrono::duration<double>;
using actors = std::vector<std::function<void()>>;

struct options {
    std::string mode = "plain", json;
    std::vector<std::string> filters;
    unsigned runs = 3;
    double limit = 0.5;
    std::uint64_t seed = 1;
};

}  // namespace

void fail(checker::verdict what, const std::string& message) {
    int none = 0;
    if (shared_board->verdict.compare_exchange_strong(none, static_cast<int>(what)))
        std::snprintf(shared_board->message, sizeof board::message, "%s", message.c_str());
    ::_exit(failed_status);
}

void await_again(unsigned tries) {
    if (tries < 100)
        pause();
    else
        ::sched_yield();
}

namespace {

// --- threads -----------------------------------------------------------------------------------

// A thread for each process, waiting for the next scenario; the caller is the first process.
class team {
public:
    team(std::uint64_t seed, std::uint64_t mean_gap) : seed_(seed), mean_gap_(mean_gap) {
        begin_noise(0);
    }
    ~team() {
        for (auto& t : threads_) t.request_stop();
    }
    team(const team&) = delete;
    team& operator=(const team&) = delete;

    void run(const actors& all) {
        for (std::size_t p = threads_.size() + 1; p < all.size(); ++p)
            threads_.emplace_back([this, p](const std::stop_token& stop) { work(p, stop); });
        all_ = &all;
        left_.store(all.size() - 1, std::memory_order_relaxed);
        generation_.fetch_add(1, std::memory_order_release);
        act(0);
        this_process = max_processes;
        for (unsigned n = 0; left_.load(std::memory_order_acquire) != 0; ++n) await_again(n);
    }

private:
    void begin_noise(std::size_t p) const {
        this_start() = assay_stress::random(seed_ * max_processes + p);
        assay_stress::noise::begin(seed_ * max_processes + p, mean_gap_);
    }
    static assay_stress::random& this_start() {
        thread_local assay_stress::random dice;
        return dice;
    }
    void act(std::size_t p) const {
        this_process = p;
        // Not always in step: a few hundred cycles earlier or later.
        for (auto n = this_start().below(32); n != 0; --n) pause();
        (*all_)[p]();
    }
    void work(std::size_t p, const std::stop_token& stop) {
        begin_noise(p);
        std::uint64_t seen = 0;
        for (unsigned n = 0; !stop.stop_requested(); ++n) {
            const std::uint64_t now = generation_.load(std::memory_order_acquire);
            if (now == seen) {
                await_again(n);
                continue;
            }
            seen = now;
            n = 0;
            act(p);
            left_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::uint64_t seed_, mean_gap_;
    const actors* all_ = nullptr;
    std::atomic<std::uint64_t> generation_{0};
    std::atomic<std::size_t> left_{0};
    std::vector<std::jthread> threads_;
};
team* the_team = nullptr;

void run_on_threads(const actors& all) { the_team->run(all); }

// --- processes that die ------------------------------------------------------------------------

std::uint32_t mortal = 0;  // a set of processes
assay_stress::random fate;

void run_on_processes(const actors& all) {
    pid_t pids[max_processes];
    for (std::size_t p = 0; p < all.size(); ++p) {
        shared_board->dead[p] = false;
        const std::uint64_t seed = fate.next(), last = fate.between(1, 12);
        pids[p] = ::fork();
        if (pids[p] != 0) continue;
        this_process = p;
        assay_stress::noise::begin(seed, 3);
        if ((mortal >> p & 1) != 0) assay_stress::noise::die_at(last);
        all[p]();
        ::_exit(0);
    }
    for (std::size_t n = 0; n < all.size(); ++n) {
        int status = 0;
        const pid_t ended = ::wait(&status);
        const auto p = static_cast<std::size_t>(std::find(pids, pids + all.size(), ended) - pids);
        if (WIFSIGNALED(status)) shared_board->dead[p] = true;
    }
    if (shared_board->verdict.load() != 0) ::_exit(failed_status);
}

// --- a run -------------------------------------------------------------------------------------

[[noreturn]] void repeat(scenario::body body, const options& o, std::uint64_t seed) {
    static_cast<void>(!std::freopen("/dev/null", "w", stderr));
    const auto end = now() + std::chrono::duration_cast<clock::duration>(seconds(o.limit));
    fate = assay_stress::random(seed);
    if (o.mode != "kill") the_team = new team(seed, o.mode == "noise" ? 4 : 0);
    do {
        scenario s(o.mode == "kill" ? run_on_processes : run_on_threads);
        body(s);
        shared_board->rounds.fetch_add(1);
    } while (now() < end);
    ::_exit(0);
}

struct outcome {
    std::string what;  // empty: nothing was found
    double seconds = 0;
    std::uint64_t rounds = 0;
};

std::string describe(int status) {
    const auto said = static_cast<checker::verdict>(shared_board->verdict.load());
    if (WIFSIGNALED(status)) return "crash";
    if (WEXITSTATUS(status) == race_status) return "sanitizer report";
    return WEXITSTATUS(status) == 0 ? "" : checker::name(said);
}

// Starts a run and watches it.
outcome run_once(scenario::body body, const checker::settings& how, const options& o,
                 std::uint64_t seed) {
    new (shared_board) board{};
    mortal = how.allowed.may_crash;
    const auto start = now();
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::setpgid(0, 0);
        repeat(body, o, seed);
    }
    ::setpgid(pid, pid);
    outcome r;
    auto moved = start;
    for (int status = 0;;) {
        const std::uint64_t rounds = shared_board->rounds.load();
        if (rounds != r.rounds) moved = now();
        r.rounds = rounds;
        if (::waitpid(pid, &status, WNOHANG) == pid) {
            r.what = describe(status);
            r.seconds = seconds(now() - start).count();
            break;
        }
        if (now() - moved > (r.rounds == 0 ? 5 : 1) * patience) {  // to start takes time
            r.what = "stands still";
            r.seconds = seconds(moved - start).count();
            ::kill(-pid, SIGKILL);
            ::waitpid(pid, &status, 0);
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ::kill(-pid, SIGKILL);  // what is left of it
    r.rounds = shared_board->rounds.load();
    return r;
}

nlohmann::json runs_of(scenario::body body, const known_bug& b, const options& o, unsigned n) {
    std::vector<std::string> found;
    std::vector<double> times;
    std::uint64_t rounds = 0;
    for (unsigned i = 0; i < n; ++i) {
        const outcome r = run_once(body, b.how, o, o.seed + i);
        rounds += r.rounds;
        if (r.what.empty()) continue;
        if (std::find(found.begin(), found.end(), r.what) == found.end()) found.push_back(r.what);
        times.push_back(r.seconds);
    }
    nlohmann::json j = {
        {"runs", n}, {"caught", times.size()}, {"rounds", rounds}, {"what", std::move(found)}};
    std::sort(times.begin(), times.end());
    if (!times.empty()) j["median_seconds"] = times[times.size() / 2];
    return j;
}

}  // namespace
}  // namespace assay::model

int main(int argc, char** argv) {
    using namespace assay::model;
    CLI::App app{
        "Runs the bug corpus on the real machine: how often does a stress test find each bug?\n"
        "Exit status: 0, whatever was found; 3 usage. scripts/corpus makes a table of it."};
    options o;
    app.add_option("filter", o.filters, "beginnings of names");
    app.add_option("--mode", o.mode,
                   "plain; noise: random pauses at each access; kill: processes, which die")
        ->check(CLI::IsMember({"plain", "noise", "kill"}))
        ->capture_default_str();
    app.add_option("--runs", o.runs, "of each bug")->capture_default_str();
    app.add_option("--seconds", o.limit, "of each run")->capture_default_str();
    app.add_option("--seed", o.seed, "of the noise and the deaths")->capture_default_str();
    app.add_option("--json", o.json, "write the results here");
    CLI11_PARSE(app, argc, argv);
    void* const memory =
        ::mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 3;
    shared_board = static_cast<board*>(memory);
    nlohmann::json bugs = nlohmann::json::array();
    for (const known_bug& b : known_bugs()) {
        const bool wanted =
            o.filters.empty() || std::any_of(o.filters.begin(), o.filters.end(), [&](auto& f) {
                return std::string_view(b.name).starts_with(f);
            });
        if (!wanted || (b.how.allowed.crashes > 0) != (o.mode == "kill")) continue;
        nlohmann::json j = {
            {"name", b.name}, {"source", b.source}, {"verdict", assay::checker::name(b.what)}};
        if (b.broken != nullptr) j["broken"] = runs_of(b.broken, b, o, o.runs);
        j["fixed"] = runs_of(b.fixed, b, o, 1);
        std::printf("%-52s %s  fixed: %s\n", b.name,
                    b.broken == nullptr ? "-" : j["broken"].dump().c_str(),
                    j["fixed"]["what"].dump().c_str());
        std::fflush(stdout);
        bugs.push_back(std::move(j));
    }
    if (!o.json.empty())
        std::ofstream(o.json) << nlohmann::json{{"mode", o.mode},
                                                {"runs", o.runs},
                                                {"seconds", o.limit},
                                                {"bugs", std::move(bugs)}}
                                     .dump(1)
                              << '\n';
    return 0;
}
