// queue.cpp -- producers and consumers that are delayed, stopped and killed: every element once, in
// each producer's order, whole; and at most the dying operation's own elements are lost.
#include <assay/posix_shm.hpp>
#include <assay/queue.hpp>

#include <algorithm>
#include <chrono>
#include <span>
#include <vector>

#include "stress/broken.hpp"
#include "stress/harness.hpp"
#include "stress/payload.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;
using namespace std::chrono_literals;

constexpr std::uint64_t most_numbers = 1 << 20;  // per producer and episode
constexpr std::size_t most_bulk = 8;

// What a producer did, and which of its elements came out; survives its death.
struct account {
    std::atomic<std::uint64_t> begun;  // numbers 1 to begun were enqueued, or died with us
    std::atomic<std::uint64_t> out[most_numbers / 64];

    // The last ones were not enqueued after all: the queue is full, and the time over.
    void give_up(std::uint64_t n) { begun -= n; }
    // False when it was there before.
    bool came_out(std::uint64_t number) {
        const std::uint64_t bit = std::uint64_t{1} << (number % 64);
        return (out[number / 64].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
    }
    [[nodiscard]] std::uint64_t missing() const {
        std::uint64_t n = 0;
        for (std::uint64_t i = 1; i <= begun; ++i) n += (out[i / 64] >> (i % 64) & 1) == 0;
        return n;
    }
};

template <class Element>
void deliver(const Element& x, const shared<account>& accounts, unsigned producers) {
    if (!x.whole())
        fail("a torn element: from %llu, number %llu", (unsigned long long)x.from,
             (unsigned long long)x.number);
    if (x.from >= producers || x.number == 0 || x.number > accounts[x.from].begun)
        fail("an element that nobody enqueued: from %llu, number %llu", (unsigned long long)x.from,
             (unsigned long long)x.number);
    if (!accounts[x.from].came_out(x.number))
        fail("element %llu of producer %llu came out twice", (unsigned long long)x.number,
             (unsigned long long)x.from);
}

template <class Queue, class Element>
void produce(worker& w, Queue& q, account& mine, std::size_t bulk) {
    while (w.running() && mine.begun + bulk < most_numbers) {
        const std::uint64_t first = mine.begun + 1;
        mine.begun += bulk;
        if constexpr (requires(std::span<const Element> s) { q.enqueue_bulk(s); }) {
            if (bulk > 1) {
                std::vector<Element> all;
                for (std::size_t i = 0; i < bulk; ++i)
                    all.push_back(Element::make(w.index, first + i));
                for (std::span<const Element> left = all; !left.empty();) {
                    w.op("enqueue_bulk", first, left.size());
                    left = left.subspan(q.enqueue_bulk(left));
                    if (!w.running()) return mine.give_up(left.size());
                }
                continue;
            }
            if (w.dice.one_in(16)) {
                bool done = false;
                while (!done) {
                    w.op("wait_enqueue", first);
                    done = q.wait_enqueue(Element::make(w.index, first), 2ms);
                    if (!done && !w.running()) return mine.give_up(1);
                }
                continue;
            }
        }
        for (const Element x = Element::make(w.index, first);;) {
            w.op("enqueue", first);
            if (q.enqueue(x)) break;
            if (!w.running()) return mine.give_up(1);
        }
    }
}

template <class Queue, class Element>
void consume(worker& w, Queue& q, const shared<account>& accounts, unsigned producers,
             std::size_t bulk) {
    std::vector<std::uint64_t> last(producers);
    const auto take = [&](const Element& x) {
        deliver(x, accounts, producers);
        if (x.number <= last[x.from])
            fail("out of order: element %llu of producer %llu after its %llu",
                 (unsigned long long)x.number, (unsigned long long)x.from,
                 (unsigned long long)last[x.from]);
        last[x.from] = x.number;
    };
    while (w.running()) {
        if constexpr (requires(std::span<Element> s) { q.dequeue_bulk(s); }) {
            if (bulk > 1) {
                Element some[most_bulk];
                w.op("dequeue_bulk");
                const std::size_t n = q.dequeue_bulk(std::span<Element>(some, bulk));
                for (std::size_t i = 0; i < n; ++i) take(some[i]);
                continue;
            }
            if (w.dice.one_in(16)) {
                w.op("wait_dequeue");
                if (const auto x = q.wait_dequeue(2ms)) take(*x);
                continue;
            }
        }
        w.op("dequeue");
        if (const auto x = q.dequeue()) take(*x);
    }
}

// The queue has lost no slot: it still holds as many elements as it was made for.
template <class Queue, class Element>
void expect_capacity(Queue& q, std::uint64_t capacity) {
    if constexpr (requires { q.recover(); }) q.recover();
    std::uint64_t n = 0;
    while (n <= capacity && q.enqueue(Element::make(0, 1))) ++n;
    if (n != capacity)
        fail("a queue for %llu elements holds %llu after all this", (unsigned long long)capacity,
             (unsigned long long)n);
    while (q.dequeue()) {
    }
}

template <template <class> class QueueOf, unsigned Words>
void conserves_elements(context& c) {
    using Element = stamped<Words>;
    using Queue = QueueOf<Element>;
    constexpr std::uint64_t capacities[] = {1, 2, 3, 7, 64, 1000};
    const std::string name = c.segment("queue");
    while (const auto e = c.next()) {
        random dice(e->seed ^ 1);
        const std::uint64_t capacity = capacities[dice.below(std::size(capacities))];
        const unsigned n = std::min(e->processes, 60u);  // a queue has 64 hands
        const unsigned producers = 1 + static_cast<unsigned>(dice.below(n - 1));
        const std::size_t bulk = dice.one_in(3) ? most_bulk : 1;
        posix_shm here(name, posix_shm::size_for(2 * Queue::size_bytes(capacity) + 65536));
        Queue q(here, "q", capacity);
        const shared<account> accounts(producers);
        team crew(*e, n, [&](worker& w) {
            posix_shm mine(name);
            Queue own(mine, "q", capacity);
            if (w.index < producers)
                produce<Queue, Element>(w, own, accounts[w.index], bulk);
            else
                consume<Queue, Element>(w, own, accounts, producers, bulk);
        });
        crew.run();

        while (const auto x = q.dequeue()) deliver(*x, accounts, producers);
        std::uint64_t missing = 0;
        for (unsigned i = 0; i < producers; ++i) missing += accounts[i].missing();
        if (missing > crew.deaths() * bulk)
            fail("%llu elements are lost, and %llu processes died with up to %zu",
                 (unsigned long long)missing, (unsigned long long)crew.deaths(), bulk);
        expect_capacity<Queue, Element>(q, capacity);
    }
}

template <class T>
using real = assay::queue<T>;

const enlist checks{
    {"queue/conserves_elements",
     "producers and consumers, singly, in bulk and waiting; every element once, in order, whole",
     "operations", conserves_elements<real, 5>},
    {"queue/conserves_small_elements", "the same with elements of three words", "operations",
     conserves_elements<real, 1>},
    {"queue/canary_seed_enqueue_loses_elements",
     "the seed's enqueue, with several producers",
     "operations",
     conserves_elements<broken::queue, 5>,
     1,
     {"are lost", "twice", "torn", "out of order"}},
    {"queue/canary_publishes_before_the_write",
     "claims a slot, then writes it",
     "operations",
     conserves_elements<broken::claiming_queue, 5>,
     1,
     {"are lost", "twice", "torn", "out of order", "nobody enqueued"}},
};

}  // namespace
}  // namespace assay_stress
