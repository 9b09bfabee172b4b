// Queue: processes that die or stand still before any of their accesses.
#include "lib/tests/queue.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <span>

namespace {

using namespace testing_queue;

// After its process died before one of its accesses, the elements inside are those of
// `before` + `added`, without some at the ends: up to `lost` at the front, any of `added` behind.
void expect_window(const std::vector<std::uint64_t>& inside, std::vector<std::uint64_t> before,
                   const std::vector<std::uint64_t>& added, std::size_t lost, const char* what,
                   long n) {
    const std::size_t least = before.size();
    before.insert(before.end(), added.begin(), added.end());
    bool found = false;
    for (std::size_t from = 0; from <= lost && from <= before.size(); ++from)
        for (std::size_t to = std::max(least, from); to <= before.size(); ++to)
            found = found || std::ranges::equal(inside, std::span(before).subspan(from, to - from));
    EXPECT_TRUE(found) << what << " killed before access " << n << ": "
                       << testing::PrintToString(inside);
}

template <class Operation>
void survives(const char* what, std::uint64_t capacity, std::uint64_t filled,
              std::vector<std::uint64_t> added, std::size_t lost, Operation operation) {
    SCOPED_TRACE(what);
    shared_queue_of<narrow> s(capacity);
    std::vector<std::uint64_t> before;
    const long steps = killed_at_each_step(
        *s.everyone,
        [&](long n) {
            before.clear();
            for (std::uint64_t i = 0; i < filled; ++i)
                before.push_back(static_cast<std::uint64_t>(n) * 100 + i);
            ASSERT_EQ(s.q.enqueue_bulk(before), filled);
        },
        [&] { operation(s.q); },
        [&](long n) {
            expect_window(drain(s.q), before, added, lost, what, n);
            expect_whole(s.q);
            EXPECT_EQ(s.q.recover(), 0u);
        },
        [&](long n) {
            EXPECT_LE(s.q.recover(), 1u) << n;
            expect_all_hands(s);
            expect_whole(s.q, 1);
        });
    EXPECT_GE(steps, 4);
}

TEST(queue, every_operation_may_die_at_every_step) {
    const auto enqueue = [](narrow& q) { static_cast<void>(q.enqueue(1)); };
    const auto dequeue = [](narrow& q) { static_cast<void>(q.dequeue()); };
    for (const std::uint64_t n : {1u, 2u, 17u}) {
        survives("enqueue", n, 0, {1}, 0, enqueue);
        survives("enqueue the last", n, n - 1, {1}, 0, enqueue);
        survives("enqueue into a full queue", n, n, {}, 0, enqueue);
        survives("dequeue", n, n, {}, 1, dequeue);
        survives("dequeue the last", n, 1, {}, 1, dequeue);
        survives("dequeue from an empty queue", n, 0, {}, 0, dequeue);
    }
    survives("enqueue_bulk", 17, 1, {1, 2, 3}, 0, [](narrow& q) {
        static_cast<void>(q.enqueue_bulk(std::array<std::uint64_t, 3>{1, 2, 3}));
    });
    survives("dequeue_bulk", 17, 4, {}, 3, [](narrow& q) {
        std::array<std::uint64_t, 3> some;
        static_cast<void>(q.dequeue_bulk(some));
    });
    survives("dequeue and enqueue", 2, 2, {1}, 1, [](narrow& q) {
        static_cast<void>(q.dequeue());
        static_cast<void>(q.enqueue(1));
    });
    survives("dequeue and close", 2, 1, {}, 1, [](narrow& q) {
        static_cast<void>(q.dequeue());
        q.~narrow();
    });
}

TEST(queue, recovery_may_die_at_every_step) {
    shared_queue_of<narrow> s(2);
    long step = 0;
    killed_at_each_step(
        *s.everyone,
        [&](long) {
            for (int i = 0; i < 2; ++i) {  // dead inside an operation, each a little later
                child victim([&] {
                    die_after = 3 + ++step % 8;
                    static_cast<void>(s.q.enqueue(1));
                });
                const pid_t pid = victim.pid();
                victim.exit_code();
                step += i;
                s.everyone->bury(pid);
            }
        },
        [&] { s.q.recover(); }, [&](long) { drain(s.q); },
        [&](long) {
            s.q.recover();
            expect_all_hands(s);
        });
}

// Two operations overlap: one stops before its a-th access, the other is killed before its b-th, the
// first goes on and is killed c accesses later. Some of their hands can only be decided together.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr long every = 5;  // forks are slow there
#else
constexpr long every = 1;
#endif
template <class First, class Second>
void two_die_together(std::uint64_t capacity, std::uint64_t filled, First first, Second second) {
    shared_queue_of<narrow> s(capacity);
    std::size_t most = 0;
    bool ended = false;
    for (long a = 1; !ended && !testing::Test::HasFailure(); a += every)
        for (long b = 1, overshot = 0; overshot == 0; b += every)
            for (const long c : {1, 4}) {
                for (std::uint64_t i = 0; i < filled; ++i) ASSERT_TRUE(s.q.enqueue(i));
                child one([&] {
                    stop_after = a;
                    die_after = a + c;
                    first(s.q);
                    stop_after = die_after = 0;
                });
                int status = 0;
                ::waitpid(one.pid(), &status, WUNTRACED);
                ended = ended || !WIFSTOPPED(status);
                child two([&] {
                    die_after = b;
                    second(s.q);
                    die_after = 0;
                });
                const pid_t pids[] = {one.pid(), two.pid()};
                overshot += two.exit_code() == 0;
                if (WIFSTOPPED(status)) {
                    one.send(SIGCONT);
                    one.wait();
                }
                for (const pid_t pid : pids) s.everyone->bury(pid);
                drain(s.q);
                most = std::max(most, s.q.recover());
                ASSERT_EQ(s.q.recover(), 0u);
                expect_all_hands(s);
                ASSERT_FALSE(testing::Test::HasFailure()) << a << " " << b << " " << c;
            }
    EXPECT_EQ(most, 2u);
}

TEST(queue, hands_of_two_who_died_together_both_come_back) {
    const auto enqueue = [](narrow& q) { static_cast<void>(q.enqueue(1)); };
    const auto dequeue = [](narrow& q) { static_cast<void>(q.dequeue()); };
    two_die_together(2, 0, enqueue, enqueue);
    two_die_together(2, 2, dequeue, dequeue);
    two_die_together(1, 1, dequeue, enqueue);
    two_die_together(1, 0, enqueue, dequeue);
}

// Random deaths and standstills among running processes.
TEST(queue, survivors_of_random_kills_lose_one_element_each_at_most) {
    std::mt19937 random(20240607);
    for (const std::uint64_t n : {1u, 3u, 50u}) {
        shared_queue s(n);
        shared_value<ledger> l;
        std::vector<child> survivors;
        survivors.emplace_back([&] { produce(s.q, *l, 0); });
        survivors.emplace_back([&] { consume(s.q, *l, 1); });
        child stopped([&] { produce(s.q, *l, 1); });
        std::uint64_t killed_consumers = 0;
        for (unsigned round = 0; round < 60; ++round) {
            child victim([&, round] {
                if (round % 2 == 0)
                    produce(s.q, *l, 2);
                else
                    consume(s.q, *l, 2);
            });
            const pid_t pid = victim.pid();
            stopped.send(round % 4 == 0 ? SIGCONT : SIGSTOP);
            ::usleep(static_cast<useconds_t>(random() % 3000));
            victim.kill();
            s.everyone->bury(pid);
            killed_consumers += round % 2;
            if (round % 8 == 0) s.q.recover();
            // The last element of a killed producer is in doubt: let the next skip it.
            l->produced[2] += round % 2 == 0 && l->produced[2] < ledger::rounds;
        }
        stopped.send(SIGSTOP);
        EXPECT_EQ(survivors[0].exit_code(), 0);  // completes, whoever is dead or stands still
        while (!s.q.empty()) ::sched_yield();
        l->over = true;
        EXPECT_EQ(survivors[1].exit_code(), 0);
        stopped.kill();
        const auto [lost, twice] = balance(*l);
        EXPECT_EQ(twice, 0u);
        EXPECT_EQ(l->disorder, 0u);
        EXPECT_LE(lost, killed_consumers + 30);  // and the elements in doubt of 30 producers
        drain(s.q);
        expect_whole(s.q);
    }
}

}  // namespace
