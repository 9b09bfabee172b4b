// Event: no wake-up is lost among the living, and the dead delay nobody for long.
#include "lib/tests/stepped.hpp"

#include <assay/event.hpp>

#include <atomic>
#include <thread>

namespace {

using namespace testing_stepped;
using namespace std::chrono_literals;
using testing_processes::child;
using testing_processes::shared_value;

struct bell {
    assay::event rung;
    assay::word<std::uint64_t> count;
};

TEST(event, a_condition_that_holds_needs_no_wake) {
    shared_value<bell> b;
    b->rung.format();
    int looks = 0;
    EXPECT_TRUE(b->rung.wait_until([&] { return ++looks > 0; }, assay::now()));
    EXPECT_EQ(looks, 1);
}

TEST(event, a_wait_ends_at_its_deadline_and_not_before) {
    shared_value<bell> b;
    b->rung.format();
    const auto until = assay::after(10ms);
    EXPECT_FALSE(b->rung.wait_until([] { return false; }, until));
    EXPECT_GE(assay::now(), until);
    EXPECT_EQ(assay::after(std::chrono::nanoseconds::max()), assay::deadline::max());
}

TEST(event, what_the_condition_throws_passes_through) {
    shared_value<bell> b;
    b->rung.format();
    EXPECT_THROW(static_cast<void>(b->rung.wait_until(
                     [&]() -> bool { throw std::runtime_error("no"); }, assay::after(1s))),
                 std::runtime_error);
}

// Waiters sleep only between wakes, so that a lost one costs a slice: many rounds, and as many
// slices would be longer than the test may run.
TEST(event, every_waiter_sees_every_change) {
    shared_value<bell> b;
    b->rung.format();
    constexpr std::uint64_t rounds = 4000;
    shared_value<std::atomic<std::uint64_t>[3]> at;
    std::vector<child> waiters;
    for (int w = 0; w < 3; ++w)
        waiters.emplace_back([&, w] {
            noise = 17u + static_cast<unsigned>(w);
            for (std::uint64_t i = 1; i <= rounds; ++i) {
                const auto reached = [&] { return b->count.load(assay::relaxed) >= i; };
                if (!b->rung.wait_until(reached, assay::deadline::max())) return 1;
                (*at)[w] = i;
            }
            return 0;
        });
    for (std::uint64_t i = 1; i <= rounds; ++i) {
        b->count.store(i, assay::seq_cst);
        b->rung.notify();
        while ((*at)[0] < i || (*at)[1] < i || (*at)[2] < i) ::sched_yield();
    }
    for (auto& w : waiters) EXPECT_EQ(w.exit_code(), 0);
}

TEST(event, a_notifier_killed_before_its_wake_delays_the_waiter_only) {
    for (long n = 1; n <= 4; ++n) {
        shared_value<bell> b;
        b->rung.format();
        child waiter([&] {
            const auto rung = [&] { return b->count.load(assay::relaxed) != 0; };
            return b->rung.wait_until(rung, assay::deadline::max()) ? 0 : 1;
        });
        ::usleep(2000);  // asleep, most likely
        child notifier([&] {
            die_after = n + 1;
            b->count.store(1, assay::seq_cst);
            b->rung.notify();
            die_after = 0;
        });
        notifier.exit_code();
        EXPECT_EQ(waiter.exit_code(), 0);
    }
}

TEST(event, a_killed_waiter_costs_the_next_notifier_nothing_but_a_call) {
    shared_value<bell> b;
    b->rung.format();
    for (long n = 1; n <= 7; ++n) {
        child waiter([&] {
            die_after = n;
            static_cast<void>(b->rung.wait_until([] { return false; }, assay::deadline::max()));
        });
        waiter.exit_code();
        b->rung.notify();
        EXPECT_TRUE(b->rung.wait_until([] { return true; }, assay::now()));
    }
}

}  // namespace
