// Queue: exact capacity, first in first out, nothing lost but what the dead had in their hands.
#include "lib/tests/queue.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <random>
#include <thread>

namespace {

using namespace testing_queue;

TEST(queue, capacity_n_holds_exactly_n_in_order) {
    for (const std::uint64_t n : {1u, 2u, 3u, 7u, 8u, 15u, 16u, 17u, 31u, 33u, 100u, 1024u}) {
        SCOPED_TRACE(n);
        for (const std::uint64_t laps : {std::uint64_t{0}, before_wrap - 1, before_wrap / 2}) {
            shared_queue s(n, laps);
            EXPECT_EQ(s.q.capacity(), n);
            expect_whole(s.q, 4);
        }
    }
}

TEST(queue, order_is_kept_at_every_fill_level_across_the_wrap) {
    for (const std::uint64_t n : {1u, 3u, 16u, 20u})
        for (std::uint64_t level = 0; level < n; ++level) {
            shared_queue s(n, before_wrap - 2);
            std::uint64_t in = 0, out = 0;
            for (; in < level; ++in) ASSERT_TRUE(s.q.enqueue(in));
            for (std::uint64_t i = 0; i < 6 * n; ++i) {
                ASSERT_TRUE(s.q.enqueue(in++));
                ASSERT_EQ(s.q.size(), level + 1);
                ASSERT_EQ(s.q.dequeue(), out++);
            }
        }
}

TEST(queue, a_handle_that_was_idle_for_laps_finds_its_way) {
    for (const std::uint64_t n : {1u, 5u, 40u})
        for (const std::uint64_t missed : {1u, 4u, 5u, 39u, 41u, 123u, 1000u}) {
            shared_queue s(n);
            queue idle(s.memory.get(), n, s.me);
            ASSERT_TRUE(idle.enqueue(1));
            ASSERT_EQ(idle.dequeue(), 1u);
            for (std::uint64_t i = 0; i < missed; ++i) {
                ASSERT_TRUE(s.q.enqueue(i));
                ASSERT_EQ(s.q.dequeue(), i);
            }
            expect_whole(idle, 1);
        }
}

TEST(queue, bulk_moves_what_fits_in_order) {
    shared_queue s(10);
    std::vector<std::uint64_t> in(7), out(20);
    std::iota(in.begin(), in.end(), 1);
    EXPECT_EQ(s.q.enqueue_bulk(in), 7u);
    EXPECT_EQ(s.q.enqueue_bulk(in), 3u);
    EXPECT_EQ(s.q.enqueue_bulk(in), 0u);
    EXPECT_EQ(s.q.enqueue_bulk({}), 0u);
    EXPECT_EQ(s.q.dequeue_bulk({out.data(), 4}), 4u);
    EXPECT_EQ(s.q.dequeue_bulk(std::span(out).subspan(4)), 6u);
    EXPECT_EQ(s.q.dequeue_bulk(out), 0u);
    EXPECT_EQ(std::vector(out.begin(), out.begin() + 10),
              (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 1, 2, 3}));
}

TEST(queue, elements_of_any_size_and_alignment_arrive_whole) {
    struct odd {
        char bytes[13];
    };
    struct alignas(128) wide {
        std::array<std::uint32_t, 70> words;
    };
    shared_queue_of<assay::queue<char>> small(3);
    shared_queue_of<assay::queue<odd>> medium(3);
    shared_queue_of<assay::queue<wide>> large(3);
    for (int i = 0; i < 20; ++i) {
        odd o{};
        std::fill(std::begin(o.bytes), std::end(o.bytes), static_cast<char>(i));
        wide w{};
        w.words.fill(static_cast<std::uint32_t>(i));
        ASSERT_TRUE(small.q.enqueue(static_cast<char>(i)));
        ASSERT_TRUE(medium.q.enqueue(o));
        ASSERT_TRUE(large.q.enqueue(w));
        EXPECT_EQ(small.q.dequeue(), static_cast<char>(i));
        const auto o2 = medium.q.dequeue();
        ASSERT_TRUE(o2);
        EXPECT_TRUE(std::ranges::equal(o2->bytes, o.bytes));
        EXPECT_EQ(large.q.dequeue()->words, w.words);
    }
}

TEST(queue, impossible_counts_are_refused) {
    EXPECT_THROW(static_cast<void>(queue::size_bytes(0)), std::invalid_argument);
    for (const std::uint64_t n : {1ull << 45, 1ull << 61, ~0ull, ~0ull - 63})
        EXPECT_THROW(static_cast<void>(queue::size_bytes(n)), std::invalid_argument);
}

TEST(queue, another_number_of_hands_is_refused) {
    shared_queue_of<assay::queue<std::uint64_t, 8>> s(1000);
    EXPECT_THROW(queue(s.memory.get(), 500, s.me), assay::mismatch);
}

TEST(queue, processes_meet_by_name_in_a_segment) {
    const std::string name = testing_processes::unique_name();
    assay::posix_shm segment(name, 1 << 20);
    queue q(segment, "jobs", 10);
    EXPECT_TRUE(queue::exists(segment, "jobs"));
    child other([&] {
        assay::posix_shm same(name, 0);
        queue p(same, "jobs");
        return p.name() == "jobs" && p.capacity() == 10 && p.enqueue(42) ? 0 : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
    EXPECT_EQ(q.dequeue(), 42u);
    EXPECT_THROW(queue(segment, "jobs", 11), assay::mismatch);
    EXPECT_EQ(q.recover(), 0u);
    child killed([&] {
        assay::posix_shm same(name, 0);
        queue p(same, "jobs");
        static_cast<void>(p.enqueue(43));
        ::kill(::getpid(), SIGKILL);
    });
    EXPECT_EQ(killed.exit_code(), 128 + SIGKILL);
    EXPECT_EQ(q.recover(), 1u);
    EXPECT_EQ(q.dequeue(), 43u);
}

// --- hands ---------------------------------------------------------------------------------------

TEST(queue, hands_are_exhausted_exactly_and_come_back_with_their_handle) {
    for (const std::uint64_t n : {1u, 2u, 9u}) {
        shared_queue_of<narrow> s(n);
        expect_all_hands(s);
        expect_all_hands(s);
    }
}

TEST(queue, hands_of_the_dead_are_taken_over_when_none_is_free) {
    shared_queue_of<narrow> s(3);
    for (int i = 0; i < 20; ++i) {
        child c([&] { return s.q.enqueue(1) && s.q.dequeue() ? 0 : 1; });  // no destructor runs
        const pid_t pid = c.pid();
        ASSERT_EQ(c.exit_code(), 0);
        s.everyone->bury(pid);
    }
    expect_all_hands(s);
}

TEST(queue, a_forked_child_and_its_parent_do_not_share_a_hand) {
    shared_queue s(64);
    ASSERT_TRUE(s.q.enqueue(0));
    ASSERT_EQ(s.q.dequeue(), 0u);
    constexpr std::uint64_t rounds = 4000;
    child other([&] {
        for (std::uint64_t i = 0; i < rounds; ++i)
            while (!s.q.enqueue(2 * i + 1)) ::sched_yield();
    });
    std::uint64_t mine = 0, theirs = 0;
    while (theirs < rounds) {
        if (mine < rounds && s.q.enqueue(2 * mine)) ++mine;
        while (const auto v = s.q.dequeue()) theirs += *v % 2;
    }
    EXPECT_EQ(other.exit_code(), 0);
    for (auto& hand : drain(s.q)) EXPECT_EQ(hand % 2, 0u);
    expect_whole(s.q);
}

// The child becomes known by the second handle before it uses the first.
TEST(queue, a_forked_child_takes_a_hand_of_its_own_for_each_handle_that_it_inherits) {
    shared_queue_of<narrow> first(2), second(2);
    ASSERT_TRUE(first.q.enqueue(1) && second.q.enqueue(2));
    child other([&] {
        return second.q.dequeue() == 2u && first.q.dequeue() == 1u && first.q.enqueue(3) &&
                       second.q.enqueue(4)
                   ? 0
                   : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
    ASSERT_TRUE(first.q.enqueue(5) && second.q.enqueue(6));
    EXPECT_EQ(drain(first.q), (std::vector<std::uint64_t>{3, 5}));
    EXPECT_EQ(drain(second.q), (std::vector<std::uint64_t>{4, 6}));
}

TEST(queue, the_destructor_in_a_forked_child_leaves_the_parents_hands_alone) {
    shared_queue s(4);
    ASSERT_TRUE(s.q.enqueue(5));
    child other([&] { s.q.~queue(); });
    EXPECT_EQ(other.exit_code(), 0);
    child taker([&] { return s.q.enqueue(6) ? 0 : 1; });
    EXPECT_EQ(taker.exit_code(), 0);
    ASSERT_TRUE(s.q.enqueue(7));
    EXPECT_EQ(drain(s.q), (std::vector<std::uint64_t>{5, 6, 7}));
}

// --- conservation --------------------------------------------------------------------------------

template <class Q>
void run_processes(Q& q, ledger& l, std::uint32_t producers, std::uint32_t consumers) {
    std::vector<child> in, out;
    for (std::uint32_t p = 0; p < producers; ++p) in.emplace_back([&] { produce(q, l, p); });
    for (std::uint32_t c = 0; c < consumers; ++c) out.emplace_back([&] { consume(q, l, c); });
    for (auto& p : in) EXPECT_EQ(p.exit_code(), 0);
    while (!q.empty()) ::sched_yield();
    l.over = true;
    for (auto& c : out) EXPECT_EQ(c.exit_code(), 0);
}

TEST(queue, every_element_arrives_once_and_in_its_producers_order) {
    for (const std::uint64_t n : {1u, 2u, 64u})
        for (const auto& [producers, consumers] :
             {std::pair{2u, 2u}, {1u, 1u}, {4u, 1u}, {1u, 3u}}) {
            shared_queue s(n);
            shared_value<ledger> l;
            run_processes(s.q, *l, producers, consumers);
            EXPECT_EQ(l->consumed, std::uint64_t{producers} * ledger::rounds);
            EXPECT_EQ(balance(*l), std::pair(std::uint64_t{0}, std::uint64_t{0}));
            EXPECT_EQ(l->disorder, 0u);
            expect_whole(s.q, 1);
        }
}

// Plain payload: the thread sanitizer sees a missing edge between the exchanges.
TEST(queue, threads_share_one_handle_without_a_race) {
    shared_queue s(8);
    shared_value<ledger> l;
    std::vector<std::thread> in, out;
    for (std::uint32_t p = 0; p < 3; ++p) in.emplace_back([&, p] { produce(s.q, *l, p); });
    for (std::uint32_t c = 0; c < 2; ++c) out.emplace_back([&, c] { consume(s.q, *l, c); });
    produce(s.q, *l, 3);  // the thread that made the handle
    for (auto& t : in) t.join();
    while (!s.q.empty()) ::sched_yield();
    l->over = true;
    for (auto& t : out) t.join();
    EXPECT_EQ(balance(*l), std::pair(std::uint64_t{0}, std::uint64_t{0}));
    EXPECT_EQ(l->disorder, 0u);
}

TEST(queue, threads_that_come_and_go_share_a_few_hands) {
    shared_queue_of<narrow> s(8);
    for (int i = 0; i < 50; ++i) {
        std::vector<std::thread> few;
        for (int k = 0; k < 3; ++k)
            few.emplace_back([&] { EXPECT_TRUE(s.q.enqueue(1) && s.q.dequeue()); });
        for (auto& t : few) t.join();
    }
    expect_whole(s.q, 1);
}

// The queue of the project's first sketch: two plain indices, and the tail is not reserved before
// the slot is written. It must fail the same check, or the check is worth nothing.
class sketch {
public:
    explicit sketch(std::uint64_t n) : n_(n), memory_(sizeof(indices) + n * sizeof(slot)) {}
    bool enqueue(std::uint64_t value) {
        const std::uint64_t tail = at().tail.load(assay::acquire), next = (tail + 1) % n_;
        if (next == at().head.load(assay::acquire)) return false;
        std::this_thread::yield();  // in its window, so that a quiet machine shows it as well
        slots()[tail].store(value, assay::relaxed);
        at().tail.store(next, assay::release);
        return true;
    }
    std::optional<std::uint64_t> dequeue() {
        const std::uint64_t head = at().head.load(assay::acquire);
        if (head == at().tail.load(assay::acquire)) return std::nullopt;
        const std::uint64_t value = slots()[head].load(assay::relaxed);
        at().head.store((head + 1) % n_, assay::release);
        return value;
    }
    bool empty() { return at().head.load(assay::acquire) == at().tail.load(assay::acquire); }

private:
    using slot = assay::word<std::uint64_t>;
    struct indices {
        slot head, tail;
    };
    indices& at() { return *static_cast<indices*>(memory_.get()); }
    slot* slots() { return reinterpret_cast<slot*>(&at() + 1); }
    std::uint64_t n_;
    shared_memory memory_;
};

TEST(queue, canary_the_sketch_with_two_producers_loses_elements) {
    bool caught = false;
    for (int round = 0; round < 50 && !caught; ++round) {  // almost always the first
        sketch q(64);
        shared_value<ledger> l;
        run_processes(q, *l, 2, 1);
        const auto [lost, twice] = balance(*l);
        caught = lost + twice + l->disorder > 0;
    }
    EXPECT_TRUE(caught);
}

// --- damage --------------------------------------------------------------------------------------

TEST(queue, damaged_memory_gives_an_error_or_an_answer_but_never_a_crash) {
    std::mt19937_64 random(1);
    std::uint64_t refused = 0;
    for (int round = 0; round < 3000; ++round) {
        const std::uint64_t n = 1 + random() % 6;
        shared_queue_of<narrow> s(n, 0);
        for (std::uint64_t i = random() % (n + 1); i > 0; --i) ASSERT_TRUE(s.q.enqueue(i));
        auto* words = static_cast<std::uint64_t*>(s.memory.get());
        for (std::uint64_t k = 1 + random() % 8; k > 0; --k) {
            const std::uint64_t at = random() % (narrow::size_bytes(n) / 8);
            switch (random() % 4) {
                case 0:
                    words[at] = random();
                    break;
                case 1:
                    words[at] ^= std::uint64_t{1} << random() % 64;
                    break;
                case 2:
                    words[at] = random() % 32;
                    break;
                case 3:
                    words[at] = words[random() % (narrow::size_bytes(n) / 8)];
                    break;
            }
        }
        const auto attempt = [&](auto f) {
            try {
                f();
            } catch (const std::runtime_error&) {
                ++refused;
            }
        };
        for (int i = 0; i < 20; ++i) {
            attempt([&] { static_cast<void>(s.q.enqueue(1)); });
            attempt([&] { static_cast<void>(s.q.dequeue()); });
            attempt([&] { EXPECT_LE(s.q.size(), n); });
            attempt([&] { s.q.recover(); });
            attempt([&] { static_cast<void>(narrow(s.memory.get(), n, s.me).dequeue()); });
        }
    }
    EXPECT_GT(refused, 0u);
}

// --- waiting -------------------------------------------------------------------------------------

TEST(queue, a_waiting_consumer_gets_the_element_and_a_waiting_producer_the_space) {
    shared_queue s(1);
    constexpr std::uint64_t rounds = 2000;
    child consumer([&] {
        for (std::uint64_t i = 0; i < rounds; ++i) {
            if (s.q.wait_dequeue() != i) return 1;
            if (i % 100 == 0) ::usleep(200);
        }
        return 0;
    });
    for (std::uint64_t i = 0; i < rounds; ++i) {
        ASSERT_TRUE(s.q.wait_enqueue(i));
        if (i % 150 == 0) ::usleep(200);
    }
    EXPECT_EQ(consumer.exit_code(), 0);
}

TEST(queue, waits_end_at_their_deadline) {
    shared_queue s(1);
    const auto start = assay::now();
    EXPECT_EQ(s.q.wait_dequeue(start + 5ms), std::nullopt);
    EXPECT_GE(assay::now(), start + 5ms);
    EXPECT_TRUE(s.q.wait_enqueue(1, start));  // over, but there is space
    EXPECT_FALSE(s.q.wait_enqueue(2, 1ms));
    EXPECT_EQ(s.q.wait_dequeue(std::chrono::nanoseconds::max()), 1u);
}

TEST(queue, a_waiter_survives_the_death_of_whoever_should_have_woken_it) {
    for (long n = 1; n <= 30; ++n) {
        shared_queue s(1);
        child consumer([&] { return s.q.wait_dequeue() == 1u ? 0 : 1; });
        child producer([&] {
            die_after = n;
            const bool done = s.q.enqueue(1);
            die_after = 0;
            return done ? 0 : 1;
        });
        if (producer.exit_code() != 0 && s.q.size() == 0) static_cast<void>(s.q.enqueue(1));
        EXPECT_EQ(consumer.exit_code(), 0);
    }
}

}  // namespace
