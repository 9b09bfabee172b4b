// stepped.hpp -- a build of the library in which a test can kill or stop a process before its n-th
// access to shared memory, make it give way there, or run something else there. Include it before
// any header of the library.
#pragma once

#if defined(ASSAY_ABI)
#error "the library is already included, without the steps"
#endif
#define ASSAY_ABI stepped
#define ASSAY_STEP() ::testing_stepped::step()

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>

namespace testing_stepped {

inline thread_local long die_after = 0;      // accesses; 0: never
inline thread_local long stop_after = 0;     // accesses; 0: never
inline thread_local long intrude_after = 0;  // accesses; 0: never
inline thread_local void (*intruder)(void*) = nullptr;
inline thread_local void* intruder_data = nullptr;
inline thread_local void (*between)(void*) = nullptr;  // runs before each access, but not in itself
inline thread_local void* between_of = nullptr;        // its argument
inline thread_local std::uint32_t noise = 0;           // seed of random yields; 0: none

inline void step() noexcept {
    if (noise != 0) {
        noise ^= noise << 13;  // xorshift32 (Marsaglia, 2003)
        noise ^= noise >> 17;
        noise ^= noise << 5;
        if (noise % 32 == 0) ::sched_yield();
    }
    if (auto* const others = between; others != nullptr) {
        between = nullptr;
        others(between_of);
        between = others;
    }
    if (stop_after > 0 && --stop_after == 0) ::kill(::getpid(), SIGSTOP);
    if (die_after > 0 && --die_after == 0) ::kill(::getpid(), SIGKILL);
    if (intrude_after > 0 && --intrude_after == 0) intruder(intruder_data);
}

}  // namespace testing_stepped

#include <assay/owner.hpp>

#include <atomic>
#include <utility>
#include <vector>

#include "lib/tests/processes.hpp"

namespace testing_stepped {

// Who lives, among the processes of one test; in memory that they share.
class population {
public:
    assay::owner_id enter() {
        const std::uint32_t n = next_.fetch_add(1);
        pids_[n % limit] = ::getpid();
        return assay::make_owner(n % assay::max_attachments, 1 + n / assay::max_attachments);
    }
    // All that this process ever was is dead now. Called by whoever reaped it.
    void bury(pid_t pid) {
        for (auto& p : pids_)
            if (p == pid) p = -1;
    }
    [[nodiscard]] bool alive(assay::owner_id id) const {
        return pids_[((assay::owner_incarnation(id) - 1) * assay::max_attachments +
                      assay::owner_slot(id)) %
                     limit] > 0;
    }

private:
    static constexpr std::uint32_t limit = 1u << 15;
    std::atomic<std::uint32_t> next_;
    std::atomic<pid_t> pids_[limit];
};

class member final : public assay::membership {
public:
    explicit member(population& all) : all_(all) { id_ = all.enter(); }
    [[nodiscard]] bool alive(assay::owner_id id) const noexcept override { return all_.alive(id); }

private:
    assay::owner_id renew() override { return all_.enter(); }
    population& all_;
};

// Runs `operation`, and in the middle of it, before its n-th access, `other`: to `other` the
// process that operates looks like one that stopped there. False when there was no n-th access.
template <class Operation, class Other>
bool interrupted_at(long n, Operation operation, Other other) {
    intruder = [](void* f) { (*static_cast<Other*>(f))(); };
    intruder_data = &other;
    intrude_after = n;
    operation();
    return std::exchange(intrude_after, 0) == 0;
}

// Runs `operation` in a child that is killed before its n-th access, for n = 1, 2, ... until it
// gets through. `prepare(n)` runs before the fork; `examine(n)` after the death, while the
// survivors still take the process for a living one that has stopped; `bury` tells them; then
// `recovered(n)`. Returns the number of accesses.
template <class Prepare, class Operation, class Examine, class Recovered>
long killed_at_each_step(population& all, Prepare prepare, Operation operation, Examine examine,
                         Recovered recovered) {
    for (long n = 1;; ++n) {
        prepare(n);
        testing_processes::child victim([&] {
            die_after = n;
            operation();
            die_after = 0;
        });
        const pid_t pid = victim.pid();
        const int code = victim.exit_code();
        EXPECT_TRUE(code == 0 || code == 128 + SIGKILL) << code;
        examine(n);
        all.bury(pid);
        recovered(n);
        if (code != 128 + SIGKILL || testing::Test::HasFailure()) return n - 1;
    }
}

// Runs `operation` in a child that stops before its n-th access, for n = 1, 2, ... until it gets
// through. `meanwhile(n)` runs while it is stopped; then it continues, and ends with the result of
// `operation`, which `afterwards(n, result)` gets. `prepare(n)` runs before the fork.
template <class Prepare, class Operation, class Meanwhile, class Afterwards>
long stopped_at_each_step(population& all, Prepare prepare, Operation operation,
                          Meanwhile meanwhile, Afterwards afterwards) {
    for (long n = 1;; ++n) {
        prepare(n);
        testing_processes::child other([&] {
            stop_after = n;
            const int result = operation();
            stop_after = 0;
            return result;
        });
        const bool stopped = other.stopped_or_ended();
        if (stopped) {
            meanwhile(n);
            other.send(SIGCONT);
        }
        const pid_t pid = other.pid();
        const int result = other.exit_code();
        all.bury(pid);
        afterwards(n, result);
        if (!stopped || testing::Test::HasFailure()) return n - 1;
    }
}

// Runs `operation` with `others` before each of its accesses: what other processes do there.
template <class Operation, class Others>
auto interleaved(Operation&& operation, Others&& others) {
    struct scope {
        explicit scope(Others& f) {
            between_of = &f;
            between = [](void* g) { (*static_cast<std::remove_reference_t<Others>*>(g))(); };
        }
        ~scope() { between = nullptr; }
    } const during(others);
    return operation();
}

}  // namespace testing_stepped
