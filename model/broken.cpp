// broken.cpp -- canaries: small programs with one known bug each, which the checker must find with
// the verdict stated here. The seed is the architecture document that this library grew from.
#include <cstdint>

#include "assay/sync.hpp"
#include "lib/spec/object_pool.hpp"
#include "lib/spec/queue.hpp"
#include "model/linearizability.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// --- the seed's queue, with more than the one producer it can bear -------------------------------

template <class Slot>
struct seed_queue {
    static constexpr std::uint64_t slots = 3;
    word<std::uint64_t> head, tail;
    Slot buffer[slots];

    static std::int64_t get(const word<std::int64_t>& s) { return s.load(relaxed); }
    static std::int64_t get(const cell<std::int64_t>& s) { return s.read(); }
    static void set(word<std::int64_t>& s, std::int64_t v) { s.store(v, relaxed); }
    static void set(cell<std::int64_t>& s, std::int64_t v) { s.write(v); }

    bool enqueue(std::int64_t value) {
        const std::uint64_t t = tail.load(acquire);
        const std::uint64_t next = (t + 1) % slots;
        if (next == head.load(acquire)) return false;
        set(buffer[t], value);
        tail.store(next, release);
        return true;
    }
    std::int64_t dequeue() {
        const std::uint64_t h = head.load(acquire);
        if (h == tail.load(acquire)) return spec::none;
        const std::int64_t v = get(buffer[h]);
        head.store((h + 1) % slots, release);
        return v;
    }
};

void seed_enqueue_races(scenario& s) {
    shared<seed_queue<cell<std::int64_t>>> q(s);
    s.process("first producer", [&] { q->enqueue(1); });
    s.process("second producer", [&] { q->enqueue(2); });
    s.run();
}

void seed_enqueue_loses_elements(scenario& s) {
    shared<seed_queue<word<std::int64_t>>> q(s);
    recorder h;
    for (const std::int64_t v : {1, 2})
        s.process(v == 1 ? "first producer" : "second producer", [&, v] {
            h({"enqueue", v, std::nullopt, 0}, [&] { return q->enqueue(v) ? 1 : 0; });
        });
    s.finally([&] {
        for (int i = 0; i < 3; ++i)
            h({"dequeue", 0, std::nullopt, 0}, [&] { return q->dequeue(); });
        check_linearizable(h, spec::queue{2, {}});
    });
    s.run();
}

// Takes the newer of two elements first. With one producer and one consumer nothing else is wrong.
struct swapping_queue : seed_queue<word<std::int64_t>> {
    std::int64_t dequeue() {
        const std::uint64_t h = head.load(relaxed), second = (h + 1) % slots;
        const std::uint64_t t = tail.load(acquire);
        if (h != t && second != t) {
            const std::int64_t newer = get(buffer[second]);
            set(buffer[second], get(buffer[h]));
            set(buffer[h], newer);
        }
        return seed_queue::dequeue();
    }
};

void queue_swaps_two_elements(scenario& s) {
    shared<swapping_queue> q(s);
    recorder h;
    s.process("producer", [&] {
        for (const std::int64_t v : {1, 2})
            h({"enqueue", v}, [&] { return q->enqueue(v) ? 1 : 0; });
    });
    s.process("consumer", [&] { h({"dequeue"}, [&] { return q->dequeue(); }); });
    s.finally([&] {
        for (int i = 0; i < 2; ++i) h({"dequeue"}, [&] { return q->dequeue(); });
        check_linearizable(h, spec::queue{2, {}});
    });
    s.run();
}

// --- a record that is read while it is overwritten -------------------------------------------------

// As a ring of one record would be whose reader does not look again after its copy.
void ring_tears_a_record(scenario& s) {
    struct record {
        word<std::uint64_t> reserved, value, negated;
    };
    shared<record> r(s);
    s.process("writer", [&] {
        r->reserved.store(1, relaxed);
        fence(release);
        r->value.store(7, relaxed);
        r->negated.store(~7ull + 1, relaxed);
    });
    s.process("reader", [&] {
        if (r->reserved.load(relaxed) != 0) return;
        const std::uint64_t sum = r->value.load(relaxed) + r->negated.load(relaxed);
        fence(acquire);
        check(sum == 0, "half a record");
    });
    s.run();
}

// --- the seed's free list: no tag on its head ------------------------------------------------------

struct seed_pool {
    static constexpr std::uint32_t empty = 0xffffffff;
    word<std::uint32_t> head;
    word<std::uint32_t> next[2];

    void format() {
        head.store(0, relaxed);
        next[0].store(1, relaxed);
        next[1].store(empty, relaxed);
    }
    std::int64_t acquire_one() {
        std::uint32_t old = head.load(acquire);
        while (old != empty) {
            const std::uint32_t after = next[old].load(relaxed);
            if (head.compare_exchange(old, after, acq_rel, acquire)) return old;
            pause();
        }
        return spec::none;
    }
    void release_one(std::int64_t i) {
        std::uint32_t old = head.load(relaxed);
        do next[i].store(old, relaxed);
        while (!head.compare_exchange(old, static_cast<std::uint32_t>(i), acq_rel, relaxed));
    }
};

void seed_free_list_hands_out_twice(scenario& s) {
    shared<seed_pool> pool(s);
    pool->format();
    recorder h;
    const auto take = [&] {
        return h({"acquire", 0, std::nullopt, 0}, [&] { return pool->acquire_one(); });
    };
    s.process("slow", [&] { take(); });
    s.process("quick", [&] {
        const std::int64_t a = take(), b = take();
        if (a == spec::none || b == spec::none) return;
        h({"release", a, std::nullopt, 0}, [&] {
            pool->release_one(a);
            return 1;
        });
        take();
    });
    s.finally([&] {
        take();
        check_linearizable(h, spec::object_pool{2});
    });
    s.run();
}

// --- publication ------------------------------------------------------------------------------------

// One slot and a flag, in an order of the test's choice.
template <bool publish_first>
struct mailbox {
    word<std::uint32_t> full;
    cell<int> letter;

    void send(std::memory_order publish) {
        if constexpr (publish_first) full.store(1, publish);
        letter.write(7);
        if constexpr (!publish_first) full.store(1, publish);
    }
    void receive(std::memory_order observe) {
        if (full.load(observe) == 1) check(letter.read() == 7, "an unwritten letter");
    }
};

template <bool publish_first>
void pass_a_letter(scenario& s, std::memory_order publish, std::memory_order observe) {
    shared<mailbox<publish_first>> m(s);
    m->letter.write(0);
    s.process("sender", [&] { m->send(publish); });
    s.process("receiver", [&] { m->receive(observe); });
    s.run();
}
void publishes_before_it_writes(scenario& s) { pass_a_letter<true>(s, release, acquire); }
void publishes_without_release(scenario& s) { pass_a_letter<false>(s, relaxed, acquire); }
void reads_without_acquire(scenario& s) { pass_a_letter<false>(s, release, relaxed); }

// Dekker's announce-then-look without a total order: each misses the other.
void both_enter_without_seq_cst(scenario& s) {
    struct doors {
        word<std::uint32_t> mine[2];
        cell<int> inside;
    };
    shared<doors> d(s);
    d->inside.write(0);
    for (const std::size_t p : {0u, 1u})
        s.process(p == 0 ? "first" : "second", [&, p] {
            d->mine[p].store(1, release);
            if (d->mine[1 - p].load(acquire) == 0) d->inside.write(1);
        });
    s.run();
}

// --- death, sleep, progress -------------------------------------------------------------------------

// Vyukov's bounded queue (2010): a slot is claimed before it is written. Whoever dies in between
// blocks every consumer behind it.
struct vyukov_queue {
    static constexpr std::uint64_t slots = 2;
    struct slot {
        word<std::uint64_t> sequence;
        cell<std::int64_t> value;
    };
    word<std::uint64_t> head, tail;
    slot ring[slots];

    void format() {
        for (std::uint64_t i = 0; i < slots; ++i) ring[i].sequence.store(i, relaxed);
    }
    bool enqueue(std::int64_t v) {
        std::uint64_t at = tail.load(relaxed);
        for (;;) {
            slot& s = ring[at % slots];
            const std::uint64_t sequence = s.sequence.load(acquire);
            if (sequence == at) {
                if (!tail.compare_exchange(at, at + 1, relaxed, relaxed)) continue;
                s.value.write(v);
                s.sequence.store(at + 1, release);
                return true;
            }
            if (sequence < at) return false;
            pause();
            at = tail.load(relaxed);
        }
    }
    bool dequeue(std::int64_t& v) {
        const std::uint64_t at = head.load(relaxed);  // one consumer
        slot& s = ring[at % slots];
        if (s.sequence.load(acquire) != at + 1) return false;
        v = s.value.read();
        s.sequence.store(at + slots, release);
        head.store(at + 1, relaxed);
        return true;
    }
};

void vyukov_queue_waits_for_the_dead(scenario& s) {
    shared<vyukov_queue> q(s);
    q->format();
    s.process("mortal", [&] { static_cast<void>(q->enqueue(1)); });
    s.process("survivor", [&] {
        if (!q->enqueue(2)) return;
        std::int64_t v = 0;
        await([&] { return q->dequeue(v); });  // its own element is inside
    });
    s.run();
}

// The waker looks whether anybody waits, the sleeper whether there is something to wait for: without
// a total order each misses the other (as in llvm-project issue 109290).
void sleeps_through_its_wake(scenario& s) {
    struct bell {
        word<std::uint32_t> rung, waiting;
    };
    shared<bell> b(s);
    s.process("sleeper", [&] {
        b->waiting.store(1, release);
        if (b->rung.load(acquire) == 0) static_cast<void>(wait(b->rung, 0, deadline::max()));
    });
    s.process("waker", [&] {
        b->rung.store(1, release);
        if (b->waiting.load(acquire) == 1) wake(b->rung, everyone);
    });
    s.run();
}

struct spin_lock {
    word<std::uint32_t> taken;
    void wait_and_lock() {
        await([this] {
            std::uint32_t free = 0;
            return taken.compare_exchange(free, 1, acquire, relaxed);
        });
    }
    void lock() {
        for (std::uint32_t free = 0; !taken.compare_exchange(free, 1, acquire, relaxed); free = 0)
            pause();
    }
    void unlock() { taken.store(0, release); }
};

template <class Lock>
void lock_in_two_orders(scenario& s, Lock lock) {
    struct pair {
        spin_lock a, b;
    };
    shared<pair> locks(s);
    for (const bool forward : {true, false})
        s.process(forward ? "a then b" : "b then a", [&, forward] {
            spin_lock& first = forward ? locks->a : locks->b;
            spin_lock& second = forward ? locks->b : locks->a;
            lock(first);
            lock(second);
            second.unlock();
            first.unlock();
        });
    s.run();
}
void waits_in_a_circle(scenario& s) {
    lock_in_two_orders(s, [](spin_lock& l) { l.wait_and_lock(); });
}
void spins_in_a_circle(scenario& s) {
    lock_in_two_orders(s, [](spin_lock& l) { l.lock(); });
}

void spin_lock_of_a_dead_process(scenario& s) {
    shared<spin_lock> l(s);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            l->lock();
            l->unlock();
        });
    s.run();
}

// --- what only shared memory can get wrong ----------------------------------------------------------

void follows_a_pointer_of_another_process(scenario& s) {
    struct list {
        word<word<std::uint32_t>*> first;
        word<std::uint32_t> item;
    };
    shared<list> l(s);
    s.process("writer", [&] { l->first.store(&l->item, release); });
    s.process("reader", [&] {
        if (auto* const item = l->first.load(acquire)) item->store(1, relaxed);
    });
    s.run();
}

void reads_what_nobody_wrote(scenario& s) {
    shared<cell<int>> c(s);
    s.process("reader", [&] { check(c->read() >= 0 || true); });
    s.process("bystander", [] {});
    s.run();
}

// A counter in memory that somebody else has used before: whoever made it forgot to store zero.
void counts_on_from_what_was_left(scenario& s) {
    block memory(s, sizeof(word<std::uint32_t>), 64, contents::leftovers);
    const auto count = [&] { return static_cast<word<std::uint32_t>*>(memory.get()); };
    s.process("first", [=] { count()->fetch_add(1, relaxed); });
    s.process("second", [=] { count()->fetch_add(1, relaxed); });
    s.run();
}

void is_different_each_time(scenario& s) {
    static int calls = 0;
    shared<word<std::uint32_t>> w(s);
    s.process("first", [&] { w->store(static_cast<std::uint32_t>(++calls), relaxed); });
    s.process("second", [&] { static_cast<void>(w->load(relaxed)); });
    s.run();
}

void forgets_its_memory(scenario& s) {
    shared<word<std::uint32_t>> w(s);
    s.process("first", [&] {
        w->store(1, relaxed);
        int* volatile forgotten = new int(7);
        static_cast<void>(forgotten);
    });
    s.run();
}

}  // namespace

std::vector<test> broken_tests() {
    return {
        {"broken/canary_seed_enqueue_races", seed_enqueue_races, {verdict::data_race}},
        {"broken/canary_seed_enqueue_loses_elements",
         seed_enqueue_loses_elements,
         {verdict::not_linearizable}},
        {"broken/canary_queue_swaps_two_elements",
         queue_swaps_two_elements,
         {verdict::not_linearizable}},
        {"broken/canary_ring_tears_a_record", ring_tears_a_record, {verdict::assertion}},
        {"broken/canary_seed_free_list_hands_out_twice",
         seed_free_list_hands_out_twice,
         {verdict::not_linearizable}},
        {"broken/canary_publishes_before_it_writes",
         publishes_before_it_writes,
         {verdict::data_race}},
        {"broken/canary_publishes_without_release",
         publishes_without_release,
         {verdict::data_race}},
        {"broken/canary_reads_without_acquire", reads_without_acquire, {verdict::data_race}},
        {"broken/canary_both_enter_without_seq_cst",
         both_enter_without_seq_cst,
         {verdict::data_race}},
        {"broken/canary_vyukov_queue_waits_for_the_dead",
         vyukov_queue_waits_for_the_dead,
         {verdict::blocked_by_dead},
         one_death(1)},
        {"broken/canary_sleeps_through_its_wake", sleeps_through_its_wake, {verdict::lost_wake_up}},
        {"broken/canary_waits_in_a_circle", waits_in_a_circle, {verdict::deadlock}},
        {"broken/canary_spins_in_a_circle", spins_in_a_circle, {verdict::livelock}},
        {"broken/canary_spin_lock_of_a_dead_process",
         spin_lock_of_a_dead_process,
         {verdict::blocked_by_dead},
         one_death(1)},
        {"broken/canary_follows_a_pointer_of_another_process",
         follows_a_pointer_of_another_process,
         {verdict::misuse}},
        {"broken/canary_reads_what_nobody_wrote",
         reads_what_nobody_wrote,
         {verdict::uninitialised_read}},
        {"broken/canary_counts_on_from_what_was_left",
         counts_on_from_what_was_left,
         {verdict::uninitialised_read}},
        {"broken/canary_is_different_each_time",
         is_different_each_time,
         {verdict::nondeterministic}},
        {"broken/canary_forgets_its_memory", forgets_its_memory, {verdict::leak}},
    };
}

}  // namespace assay::model
