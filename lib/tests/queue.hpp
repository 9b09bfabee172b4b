// queue.hpp -- what the tests of the queue share: a queue of several processes, and the books of who put
// what into it.
#pragma once
#include "lib/tests/stepped.hpp"

#include <sched.h>

#include <assay/posix_shm.hpp>
#include <assay/queue.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace testing_queue {

using namespace testing_stepped;
using namespace std::chrono_literals;
using testing_processes::child;
using testing_processes::shared_memory;
using testing_processes::shared_value;

using queue = assay::queue<std::uint64_t>;
inline constexpr std::uint64_t before_wrap = ~0ull;  // laps: the turn wraps after the next

// A queue in memory that children share, and the handle of this process to it.
template <class Q>
struct shared_queue_of {
    explicit shared_queue_of(std::uint64_t count, std::uint64_t laps = before_wrap)
        : memory(Q::size_bytes(count)),
          me(*everyone.operator->()),
          q((Q::format(memory.get(), count, laps), memory.get()), count, me) {}

    shared_value<population> everyone;
    shared_memory memory;
    member me;
    Q q;
};
using shared_queue = shared_queue_of<queue>;

template <class Q>
std::vector<std::uint64_t> drain(Q& q) {
    std::vector<std::uint64_t> all;
    while (const auto v = q.dequeue()) all.push_back(*v);
    return all;
}

// Accepts exactly capacity() elements and returns exactly them, in order, `laps` times.
template <class Q>
void expect_whole(Q& q, int laps = 3) {
    for (int lap = 0; lap < laps; ++lap) {
        ASSERT_TRUE(q.empty());
        for (std::uint64_t i = 0; i < q.capacity(); ++i) {
            ASSERT_FALSE(q.full());
            ASSERT_EQ(q.size(), i);
            ASSERT_TRUE(q.enqueue(1000 + i));
            ASSERT_FALSE(q.empty());
        }
        ASSERT_TRUE(q.full());
        ASSERT_EQ(q.size(), q.capacity());
        ASSERT_FALSE(q.enqueue(7));
        std::uint64_t v = 0;
        for (std::uint64_t i = 0; i < q.capacity(); ++i) {
            ASSERT_TRUE(q.dequeue(v));
            ASSERT_EQ(v, 1000 + i);
            ASSERT_EQ(q.size(), q.capacity() - i - 1);
        }
        ASSERT_FALSE(q.dequeue(v));
        ASSERT_EQ(q.dequeue(), std::nullopt);
    }
}

using narrow = assay::queue<std::uint64_t, 4>;

// All hands can be taken, so none is lost; and no node is in two places, or values would change.
inline void expect_all_hands(shared_queue_of<narrow>& s) {
    std::vector<std::unique_ptr<narrow>> all;
    const auto use = [&](narrow& q) {
        const std::uint64_t tag = all.size() * 1000;
        while (q.enqueue(tag + q.size())) continue;
        for (std::uint64_t i = 0; i < q.capacity(); ++i) ASSERT_EQ(q.dequeue(), tag + i);
    };
    use(s.q);  // takes its hand, or has it already
    for (int i = 0; i < 3; ++i) {
        all.push_back(std::make_unique<narrow>(s.memory.get(), s.q.capacity(), s.me));
        use(*all.back());
    }
    for (auto& q : all) use(*q);
    use(s.q);
    narrow fifth(s.memory.get(), s.q.capacity(), s.me);
    EXPECT_TRUE(fifth.empty());  // observers need none
    EXPECT_THROW(static_cast<void>(fifth.enqueue(1)), assay::no_space);
    all.pop_back();
    EXPECT_TRUE(fifth.enqueue(1));
    EXPECT_EQ(fifth.dequeue(), 1u);
}

// What `producers` x `rounds` elements leave behind: how often each arrived, and whether some
// consumer saw one producer's elements out of order.
struct ledger {
    static constexpr std::uint32_t producers = 4, rounds = 6000;
    std::atomic<std::uint8_t> arrived[producers][rounds];
    std::atomic<std::uint32_t> produced[producers];  // enqueue has returned for that many
    std::atomic<std::uint64_t> consumed;
    std::atomic<std::uint32_t> disorder;
    std::atomic<bool> over;
};

constexpr std::uint64_t element(std::uint32_t p, std::uint32_t i) {
    return std::uint64_t{p} << 32 | i;
}

template <class Q>
void produce(Q& q, ledger& l, std::uint32_t p) {
    noise = p * 2654435761u | 1;
    for (std::uint32_t i = l.produced[p]; i < ledger::rounds; ++i) {
        while (!q.enqueue(element(p, i))) {
            if (l.over) return;
            ::sched_yield();  // there may be more processes than cores
        }
        l.produced[p] = i + 1;
    }
}

struct order_check {
    std::int64_t last[ledger::producers] = {-1, -1, -1, -1};
    void operator()(ledger& l, std::uint64_t v) {
        const auto p = static_cast<std::uint32_t>(v >> 32), i = static_cast<std::uint32_t>(v);
        if (p >= ledger::producers || i >= ledger::rounds) {
            ++l.disorder;
            return;
        }
        if (i <= last[p]) ++l.disorder;
        last[p] = i;
        ++l.arrived[p][i];
        ++l.consumed;
    }
};

template <class Q>
void consume(Q& q, ledger& l, std::uint32_t seed) {
    noise = seed * 2246822519u | 1;
    order_check seen;
    while (!l.over)
        if (const auto v = q.dequeue())
            seen(l, *v);
        else
            ::sched_yield();
}

// Lost and duplicated elements, of those whose enqueue returned.
inline std::pair<std::uint64_t, std::uint64_t> balance(const ledger& l) {
    std::uint64_t lost = 0, twice = 0;
    for (std::uint32_t p = 0; p < ledger::producers; ++p)
        for (std::uint32_t i = 0; i < ledger::rounds; ++i) {
            lost += i < l.produced[p] && l.arrived[p][i] == 0;
            twice += l.arrived[p][i] > 1;
        }
    return {lost, twice};
}

}  // namespace testing_queue
