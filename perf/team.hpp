// team.hpp -- forked, pinned processes that work at one thing at the same time, and what each did
// between two common moments.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "perf/host.hpp"
#include "perf/statistics.hpp"

namespace assay_perf {

inline constexpr unsigned most_workers = 256;

// Zeroed, page-aligned memory that processes forked from here on share.
class shared_memory {
public:
    explicit shared_memory(std::size_t bytes)
        : bytes_(bytes == 0 ? 1 : bytes),
          at_(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
        if (at_ == MAP_FAILED) throw std::bad_alloc();
    }
    ~shared_memory() { ::munmap(at_, bytes_); }
    shared_memory(const shared_memory&) = delete;
    shared_memory& operator=(const shared_memory&) = delete;
    [[nodiscard]] void* get() const noexcept { return at_; }

private:
    std::size_t bytes_;
    void* at_;
};

// One T (zero bytes) in such memory.
template <class T>
class shared {
    static_assert(std::is_trivially_destructible_v<T>);

public:
    shared() : memory_(sizeof(T)) {}
    [[nodiscard]] T* operator->() const noexcept { return static_cast<T*>(memory_.get()); }
    [[nodiscard]] T& operator*() const noexcept { return *static_cast<T*>(memory_.get()); }

private:
    shared_memory memory_;
};

enum class phase : std::uint32_t { setup, ramp, measured, over };

struct moment {
    std::uint64_t ns, cpu_ns, done;
};

struct alignas(64) worker_slot {
    moment begin, end;
    std::atomic<bool> arrived;
    // What a FIFO worker put or took in all, and two sums over it: a lost or duplicated item shows.
    std::atomic<bool> finished;
    std::uint64_t items, sum, squares;
};

struct board {
    alignas(64) std::atomic<phase> now;             // read by all, written three times
    alignas(64) std::atomic<bool> failed, claimed;  // who claims it writes the message, then fails
    char message[400];
    worker_slot workers[most_workers];
};

// A process of a team, seen from inside.
class worker {
public:
    worker(unsigned which, board& b) : index(which), board_(b), slot_(b.workers[which]) {}

    const unsigned index;

    // Says that it is ready, and waits for the others.
    void meet();

    // Whether it goes on. `done` operations so far; called after each, or a few.
    [[nodiscard]] bool running(std::uint64_t done) noexcept {
        dawdle(done);
        // relaxed: only a signal
        const phase p = board_.now.load(std::memory_order_relaxed);
        return p == seen_ || changed(p, done);
    }

    // Whether what happens now counts.
    [[nodiscard]] bool measuring() const noexcept { return seen_ == phase::measured; }

    // Ends the process; the measurement then prints no number.
    [[noreturn, gnu::format(printf, 2, 3)]] void fail(const char* format, ...);

    [[nodiscard]] worker_slot& slot() noexcept { return slot_; }
    [[nodiscard]] worker_slot& other(unsigned which) noexcept { return board_.workers[which]; }
    [[nodiscard]] bool failed() const noexcept { return board_.failed; }

private:
    bool changed(phase p, std::uint64_t done) noexcept;

#ifdef ASSAY_PERF_SLOWDOWN
    // Makes the program that many per cent slower: scripts/compare has to find it. A worker pauses
    // whenever another tenth of a millisecond has begun. The clock is read so seldom that reading it
    // costs nothing to speak of, and after so few operations that no pause is left out: a sample
    // may be as short as ten of those periods. A pipeline of two answers in its own way, though both
    // pause at the same moments: the queue stays fuller or emptier than before.
    void dawdle(std::uint64_t done) noexcept {
        constexpr unsigned long long period = 100'000, percent = ASSAY_PERF_SLOWDOWN;
        if (done - looked_ < 1024) return;
        looked_ = done;
        const auto now = now_ns(), begun = now / period;
        const auto periods = paused_ == 0 ? 0 : begun - paused_;
        paused_ = begun;
        const auto until = now + periods * period * percent / (100 + percent);
        while (now_ns() < until) {
        }
    }
    std::uint64_t looked_ = 0;
    unsigned long long paused_ = 0;
#else
    void dawdle(std::uint64_t) const noexcept {}
#endif

    board& board_;
    worker_slot& slot_;
    phase seen_ = phase::ramp;
};

// What the workers did in the measured time.
struct team_result {
    std::string failure;  // why there is no number, if so
    struct part {
        double seconds, cpu_seconds;
        std::uint64_t done;
        std::uint64_t items, sum, squares;  // as the worker left them in its slot
    };
    std::vector<part> parts = {};
    double cpu_share = 1;  // of the worst processor: what its workers had of it

    // Nanoseconds per operation: workers [first, last) together, and on average for each.
    [[nodiscard]] double ns_together(unsigned first, unsigned last) const;
    [[nodiscard]] double ns_each() const;
};

// Worker i runs body on cpus[i]. The first quarter of the time is not measured: the ramp.
[[nodiscard]] team_result run_team(const std::vector<int>& cpus, double seconds,
                                   const std::function<void(worker&)>& body);

// How long a line travels between two processors and back: an idle process on the second, woken for
// each question. The caller is moved to the first one.
class prober {
public:
    prober(int cpu, int other);
    ~prober();
    prober(const prober&) = delete;
    prober& operator=(const prober&) = delete;

    // Throws std::runtime_error when that process has been killed.
    [[nodiscard]] double round_trip_ns();

private:
    struct line {
        alignas(64) std::atomic<std::uint32_t> turn;
        alignas(64) std::atomic<std::uint32_t> questions;
    };
    [[noreturn]] void answer();
    void await(std::uint32_t turn);

    int cpu_, pid_ = -1;
    shared<line> line_;
};

// Below: two threads of one core. 41 to 75 ns were seen there, and 145 and more between cores.
inline constexpr double near_ns = 100;

}  // namespace assay_perf
