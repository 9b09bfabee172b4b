// harness.hpp -- processes that share memory, are disturbed, stopped and killed, and are watched.
//
// main.cpp runs each check in a process of its own, the conductor, which sets up a structure and
// forks a team of workers. All of them share a board: who does what, who failed first and why.
// Nothing here sleeps to synchronise: workers start behind a gate and meet at a barrier, both
// futexes on the board.
//
//   check({.name = "queue/...", .what = "...", .unit = "operations", .run = [](context& c) {
//       while (const auto e = c.next()) {              // one episode: a plan drawn from the seed
//           team t(c, *e, e->processes, [&](worker& w) {
//               while (w.running()) { w.op("enqueue", value); ... }
//           });
//           t.run();
//           ... whatever must hold when all workers are gone; fail("...") when it does not
//       }
//   }});
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stress/noise.hpp"
#include "stress/quota.hpp"
#include "stress/shared.hpp"

namespace assay_stress {

using clock = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

inline constexpr unsigned max_workers = 256;
inline constexpr unsigned log_lines = 64;  // the last operations of each worker that are kept

// --- what the processes of a check share -------------------------------------------------------

struct log_line {
    const char* what;  // a literal: the address is the same in every fork of this program
    std::uint64_t a, b;
};

struct alignas(64) worker_slot {
    std::atomic<int> pid;
    std::atomic<unsigned> life;  // how often it was started again
    std::atomic<bool> finished;
    std::atomic<std::uint64_t>
        operations;  // begun; the last of them is at log[(operations - 1) % 64]
    log_line log[log_lines];
};

struct board {
    enum : std::uint32_t { fine, speaking, failed, skipped };

    std::atomic<std::uint32_t> state;
    char message[1500];  // of whoever failed first
    char plan[300];      // of the episode that runs
    std::atomic<std::uint64_t> episode_seed;
    std::atomic<std::uint64_t> amount, episodes, kills, stops, throttled, slowest_us;
    std::atomic<std::uint32_t> gate, stop;
    std::atomic<std::uint32_t> arrived, round;  // of the barrier
    std::atomic<std::uint32_t> team;            // workers in use
    ranking order;                              // in episodes by priorities
    worker_slot workers[max_workers];
};

// The board of this process's check; set before the conductor forks.
inline board* the_board = nullptr;

// Says why on the board, unless somebody did so before, and ends the process without running any
// destructor: what lies in shared memory stays as it was found.
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...);
// The host does not permit this check.
[[noreturn, gnu::format(printf, 1, 2)]] void skip(const char* format, ...);

// Raised once by one process, awaited by others.
class flag {
public:
    void raise();
    void await();
    void lower() { value_ = 0; }

private:
    std::atomic<std::uint32_t> value_;
};

// --- the plan ----------------------------------------------------------------------------------

enum class pinning { none, spread, one_core };

// What one episode does. Everything is drawn from the seed. The kernel's schedule is not.
struct episode {
    std::uint64_t seed;
    unsigned processes;
    double seconds;
    pinning pins;
    std::uint64_t noise;  // accesses between disturbances, on average; 0: none
    bool priorities;      // instead of noise
    bool kills, stops;
    std::span<const quota_group> quotas;  // of every second process, if there are any
};

// What a check is given.
class context {
public:
    context(std::uint64_t seed, double budget, unsigned processes, bool canary, std::string prefix);

    // The next episode, or nothing when the time is over: never before the first one, nor while
    // the check has not done what it must (`more`).
    [[nodiscard]] std::optional<episode> next(bool more = false);
    // From the next episode on every second process has a quota of processor time: the kernel stops
    // it wherever it is, for a while, and no one tells it. Skips where the host does not permit it.
    void throttle(std::uint64_t quota_us = 1000);
    // Fails when no process was ever stopped so, which would prove nothing.
    void expect_throttled() const;
    // Whether there is time for another round, in checks that count rounds instead.
    [[nodiscard]] bool time_left() const { return clock::now() < until_; }
    [[nodiscard]] unsigned processes() const { return processes_; }  // asked for, or 0
    [[nodiscard]] bool canary() const { return canary_; }
    [[nodiscard]] std::uint64_t seed() const { return seed_; }
    // The name of a segment that nobody else uses.
    [[nodiscard]] std::string segment(const std::string& name) const { return prefix_ + name; }
    // Fails when a segment of this check is left in /dev/shm.
    void expect_clean() const;
    void add(std::uint64_t amount) const { the_board->amount += amount; }

private:
    std::uint64_t seed_;
    double budget_;
    clock::time_point until_;
    unsigned processes_;
    bool canary_;
    std::string prefix_;
    std::vector<quota_group> quotas_;
    std::uint64_t episodes_ = 0;
};

[[nodiscard]] unsigned cores();  // that this process may use

// --- workers -----------------------------------------------------------------------------------

class worker {
public:
    worker(unsigned which, unsigned lives, std::uint64_t seed)
        : index(which), life(lives), dice(seed), slot_(the_board->workers[which]) {}

    const unsigned index;
    const unsigned life;  // 0, or how often this worker was killed before
    random dice;

    // Whether the episode goes on.
    [[nodiscard]] bool running() const {
        return the_board->stop.load(std::memory_order_relaxed) == 0;
    }
    // Says what this worker does next: for the log, for the watchdog, and to be counted.
    void op(const char* what, std::uint64_t a = 0, std::uint64_t b = 0) {
        const auto n = slot_.operations.load(std::memory_order_relaxed);
        slot_.log[n % log_lines] = {what, a, b};
        slot_.operations.store(n + 1, std::memory_order_relaxed);
    }
    // Waits for all workers of the team. Only in teams that nobody is killed from.
    void meet();

private:
    worker_slot& slot_;
};

// A process of the conductor's own, outside any team. Killed and reaped when this object goes.
class child {
public:
    explicit child(const std::function<void()>& body);
    ~child();
    child(child&& o) noexcept : pid_(o.pid_) { o.pid_ = -1; }
    child& operator=(child&&) = delete;

    void kill();
    // Waits for the end; true when the process was killed, false when its body returned. Any other
    // end fails the check.
    bool reap();
    [[nodiscard]] int pid() const { return pid_; }

private:
    int pid_;
};

// Called in a forked process before anything else: it dies with its parent.
void begin_process(int parent);
// Runs the body of a process and ends it; an exception that escapes fails the check.
[[noreturn]] void run_process(const std::function<void()>& body);

class team {
public:
    using body = std::function<void(worker&)>;

    // What else than the plan decides; the defaults suit a structure that keeps its promises.
    struct rules {
        bool mortal = true;      // may be killed
        bool restart = true;     // and are then started again
        bool lock_free = true;   // the others go on while one is stopped
        double patience = 10.0;  // seconds without any operation before a worker counts as hung
    };

    team(const episode& e, unsigned n, body b) : team(e, n, std::move(b), rules{}) {}
    team(const episode& e, unsigned n, body b, const rules& r);
    ~team();
    team(const team&) = delete;
    team& operator=(const team&) = delete;

    // Forks the workers, opens the gate, disturbs them as planned, and returns when all have ended:
    // by themselves, or within patience after the episode's time.
    void run();

    [[nodiscard]] std::uint64_t deaths() const { return deaths_; }

private:
    struct member {
        int pid = -1;
        unsigned lives = 0;
        std::uint64_t seen = 0;  // operations at the last look
        clock::time_point changed;
    };

    void spawn(unsigned i);
    [[noreturn]] void work(unsigned i, unsigned life, int parent);
    void reap();
    void watch();
    void hurt();
    void release_stopped(bool always);
    [[nodiscard]] unsigned alive() const;
    [[nodiscard]] std::uint64_t operations() const;  // of all workers
    [[nodiscard]] std::optional<unsigned> victim();

    const episode plan_;
    const body body_;
    const rules rules_;
    random dice_;
    std::vector<member> members_;
    std::uint64_t deaths_ = 0;
    std::uint64_t at_kill_ = 0;  // operations of all when one was killed
    bool stopping_ = false;
    clock::time_point next_kill_, next_stop_, resume_;
    std::optional<unsigned> stopped_;
    std::vector<std::uint64_t> at_stop_;  // operations of all when one was stopped
};

// --- checks ------------------------------------------------------------------------------------

struct check {
    std::string name;  // component/property
    std::string what;
    std::string unit;
    std::function<void(context&)> run;
    double weight = 1;  // share of the time
    // For a canary: one of these words must be in the failure's message. Empty: must not fail.
    std::vector<std::string> caught_by = {};
};

inline std::vector<check>& all_checks() {
    static std::vector<check> list;
    return list;
}

struct enlist {
    enlist(std::initializer_list<check> checks) {
        all_checks().insert(all_checks().end(), checks.begin(), checks.end());
    }
};

}  // namespace assay_stress
