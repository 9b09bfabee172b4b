// Right programs in which other tools saw bugs, or never ended; where such a tool has since gone
// blind to the wrong program beside it, that is here too, and must be found.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// Store one, load the other: with seq_cst somebody sees a 1. loom takes it for acq_rel and raises a
// false alarm; shuttle takes everything for seq_cst, and has none for relaxed either.
enum class total { none, accesses, fences };
template <total how>
void both_miss_the_other(scenario& s) {
    struct flags {
        word<std::uint32_t> mine[2], saw[2];
    };
    shared<flags> f(s);
    for (const std::size_t p : {0u, 1u})
        s.process(p == 0 ? "first" : "second", [&, p] {
            const auto o = how == total::accesses ? seq_cst : relaxed;
            f->mine[p].store(1, o);
            if (how == total::fences) fence(seq_cst);
            f->saw[p].store(f->mine[1 - p].load(o), relaxed);
        });
    s.finally([&] {
        check(f->saw[0].load(relaxed) + f->saw[1].load(relaxed) > 0, "neither sees the other");
    });
    s.run();
}

// Left-right with one counter of readers and seq_cst fences on both sides.
template <bool fixed>
void left_right_by_fences(scenario& s) {
    struct sides {
        word<std::uint32_t> shown, readers;
        cell<int> value[2];
    };
    shared<sides> d(s);
    for (auto& v : d->value) v.write(0);
    s.process("reader", [&] {
        d->readers.fetch_add(1, relaxed);
        if (fixed) fence(seq_cst);
        const std::uint32_t side = d->shown.load(acquire);
        check(d->value[side].read() >= 0);
        d->readers.fetch_sub(1, release);
    });
    s.process("writer", [&] {
        d->value[1].write(1);
        d->shown.store(1, release);
        if (fixed) fence(seq_cst);
        await([&] { return d->readers.load(relaxed) == 0; });
        fence(acquire);
        d->value[0].write(1);
    });
    s.run();
}

// A fence orders what was loaded before it, and nothing that is loaded after.
template <bool fixed>
void a_fence_behind_the_load(scenario& s) {
    struct message {
        word<std::uint32_t> sent;
        cell<int> text;
    };
    shared<message> m(s);
    s.process("sender", [&] {
        m->text.write(1);
        m->sent.store(1, seq_cst);
    });
    s.process("receiver", [&] {
        if (!fixed) fence(seq_cst);
        if (m->sent.load(relaxed) != 1) return;
        if (fixed) fence(seq_cst);
        m->text.write(2);
    });
    s.run();
}

// A release store orders what is before it, not the relaxed store behind it: a fence does.
template <bool fixed>
void a_release_store_is_no_fence(scenario& s) {
    struct pair {
        word<std::uint32_t> a, b;
    };
    shared<pair> p(s);
    s.process("writer", [&] {
        p->a.store(1, fixed ? relaxed : release);
        if (fixed) fence(release);
        p->b.store(1, relaxed);
    });
    s.process("reader", [&] {
        if (p->b.load(relaxed) == 0) return;
        fence(acquire);
        check(p->a.load(relaxed) == 1);
    });
    s.run();
}

// Fences on both sides of relaxed accesses, and plain data: the thread sanitizer does not know
// fences, and calls it a race.
void data_ordered_by_fences(scenario& s) {
    struct message {
        word<std::uint32_t> sent;
        cell<int> text;
    };
    shared<message> m(s);
    m->text.write(0);
    s.process("sender", [&] {
        m->text.write(1);
        fence(release);
        m->sent.store(1, relaxed);
    });
    s.process("receiver", [&] {
        if (m->sent.load(relaxed) == 0) return;
        fence(acquire);
        check(m->text.read() == 1);
    });
    s.run();
}

// A lock that is taken by looking first and exchanging then: its loop ends.
void a_lock_that_looks_before_it_exchanges(scenario& s) {
    struct locked {
        word<std::uint32_t> lock;
        cell<int> x;
    };
    shared<locked> l(s);
    l->lock.store(1, relaxed);  // the first process has it
    s.process("first", [&] {
        l->x.write(1);
        l->lock.store(0, seq_cst);
    });
    s.process("second", [&] {
        do {
            while (l->lock.load(seq_cst) != 0) pause();
        } while (l->lock.exchange(1, seq_cst) != 0);
        check(l->x.read() == 1);
    });
    s.run();
}

// A lap that reads one place twice, and fails only because it changed in between, is no livelock.
void a_lap_that_reads_one_place_twice(scenario& s) {
    shared<word<std::uint32_t>> x(s);
    s.process("writer", [&] { x->store(1, release); });
    s.process("taker", [&] {
        std::uint32_t seen = x->load(acquire);
        while (!x->compare_exchange(seen, seen + 2, acq_rel, acquire)) pause();
    });
    s.finally([&] { check(x->load(relaxed) == 3 || x->load(relaxed) == 1); });
    s.run();
}

// A compare-exchange of a negative 32-bit number is one of its 32 bits.
void a_negative_number_is_compared(scenario& s) {
    shared<word<std::int32_t>> x(s);
    x->store(-1, relaxed);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            std::int32_t seen = -1;
            if (!x->compare_exchange(seen, -2, acq_rel, relaxed)) check(seen == -2);
        });
    s.finally([&] { check(x->load(relaxed) == -2); });
    s.run();
}

// A long loop that ends by itself is neither blocked nor a livelock.
void a_long_loop_ends(scenario& s) {
    shared<word<std::uint32_t>> x(s);
    s.process("looks often", [&] {
        std::uint32_t sum = 0;
        for (int i = 0; i < 12; ++i) {
            sum += x->load(relaxed);
            pause();
        }
        check(sum <= 12);
    });
    s.process("writer", [&] { x->store(1, relaxed); });
    s.run();
}

// Two writers, and two who wait for one of them and then look at the other: with seq_cst they agree
// on the order of the writes.
template <bool fixed>
void two_waiters_agree_on_the_order(scenario& s) {
    struct flags {
        word<std::uint32_t> flag[2], seen;
    };
    shared<flags> f(s);
    constexpr auto look = fixed ? seq_cst : acquire;
    for (const std::size_t p : {0u, 1u}) {
        s.process(p == 0 ? "sets x" : "sets y", [&, p] { f->flag[p].store(1, seq_cst); });
        s.process(p == 0 ? "x, then y" : "y, then x", [&, p] {
            while (f->flag[p].load(look) == 0) pause();
            if (f->flag[1 - p].load(look) == 1) f->seen.fetch_add(1, relaxed);
        });
    }
    s.finally([&] { check(f->seen.load(relaxed) > 0, "each saw the other order"); });
    s.run();
}

// Several wait for one lock, whatever its kind; each gets it, and nothing says how long to spin.
struct ticket_lock {
    word<std::uint32_t> next, serving;

    void lock(std::size_t) {
        const std::uint32_t mine = next.fetch_add(1, relaxed);
        while (serving.load(acquire) != mine) pause();
    }
    void unlock(std::size_t) { serving.store(serving.load(relaxed) + 1, release); }
};
struct queue_lock {                               // Mellor-Crummey and Scott
    word<std::uint32_t> tail, next[3], waits[3];  // process + 1

    void lock(std::size_t p) {
        const auto me = static_cast<std::uint32_t>(p + 1);
        next[p].store(0, relaxed);
        waits[p].store(1, relaxed);
        const std::uint32_t before = tail.exchange(me, acq_rel);
        if (before == 0) return;
        next[before - 1].store(me, release);
        while (waits[p].load(acquire) == 1) pause();
    }
    void unlock(std::size_t p) {
        auto me = static_cast<std::uint32_t>(p + 1);
        if (next[p].load(acquire) == 0) {
            if (tail.compare_exchange(me, 0, acq_rel, relaxed)) return;
            while (next[p].load(acquire) == 0) pause();
        }
        waits[next[p].load(relaxed) - 1].store(0, release);
    }
};
struct exchange_lock {
    word<std::uint32_t> taken;

    void lock(std::size_t) {
        for (std::uint32_t is = 0; !taken.compare_exchange(is, 1, acquire, relaxed); is = 0)
            pause();
    }
    void unlock(std::size_t) { taken.store(0, release); }
};
template <class Lock, std::size_t processes>
void several_wait_for_a_lock(scenario& s) {
    struct locked {
        Lock lock;
        cell<int> count;
    };
    shared<locked> l(s);
    l->count.write(0);
    static constexpr const char* names[] = {"first", "second", "third"};
    for (std::size_t p = 0; p < processes; ++p)
        s.process(names[p], [&, p] {
            l->lock.lock(p);
            l->count.write(l->count.read() + 1);
            l->lock.unlock(p);
        });
    s.finally([&] { check(l->count.read() == static_cast<int>(processes)); });
    s.run();
}

// A reader that repeats until nothing was written while it read.
void a_reader_that_tries_again(scenario& s) {
    struct pair {
        word<std::uint32_t> sequence, a, b;
    };
    shared<pair> p(s);
    s.process("writer", [&] {
        p->sequence.store(1, relaxed);
        fence(release);
        p->a.store(1, relaxed);
        p->b.store(1, relaxed);
        p->sequence.store(2, release);
    });
    s.process("reader", [&] {
        for (;;) {
            const std::uint32_t before = p->sequence.load(acquire);
            const std::uint32_t a = p->a.load(relaxed), b = p->b.load(relaxed);
            fence(acquire);
            if (before % 2 == 0 && p->sequence.load(relaxed) == before) return check(a == b);
            pause();
        }
    });
    s.run();
}

}  // namespace

std::vector<known_bug> false_alarms() {
    return {
        {"F1_store_buffering_with_seq_cst", "loom#180, shuttle#326", verdict::assertion,
         both_miss_the_other<total::none>, both_miss_the_other<total::accesses>, 3},
        {"F2_store_buffering_with_fences", "genmc#50", verdict::assertion,
         both_miss_the_other<total::none>, both_miss_the_other<total::fences>, 3},
        {"F3_left_right_by_fences", "relacy#26", verdict::data_race, left_right_by_fences<false>,
         left_right_by_fences<true>, 3},
        {"F4_a_fence_behind_the_load", "miri#2192", verdict::data_race,
         a_fence_behind_the_load<false>, a_fence_behind_the_load<true>, 2},
        {"F5_a_release_store_is_no_fence", "temper#16", verdict::assertion,
         a_release_store_is_no_fence<false>, a_release_store_is_no_fence<true>, 2},
        {"F6_data_ordered_by_fences", "google/sanitizers#1352, oneTBB#1290", verdict::verified,
         nullptr, data_ordered_by_fences, 2},
        {"F7_a_lock_that_looks_before_it_exchanges", "genmc#17", verdict::verified, nullptr,
         a_lock_that_looks_before_it_exchanges, 2},
        {"F8_a_lap_that_reads_one_place_twice", "genmc#29", verdict::verified, nullptr,
         a_lap_that_reads_one_place_twice, 3},
        {"F9_a_negative_number_is_compared", "genmc#41", verdict::verified, nullptr,
         a_negative_number_is_compared, 2},
        {"F10_a_long_loop_ends", "lincheck#1023", verdict::verified, nullptr, a_long_loop_ends, 13},
        {"F11_two_waiters_agree_on_the_order", "loom#191", verdict::assertion,
         two_waiters_agree_on_the_order<false>, two_waiters_agree_on_the_order<true>, 16},
        {"F12_several_wait_for_an_exchange_lock", "loom#162", verdict::verified, nullptr,
         several_wait_for_a_lock<exchange_lock, 3>, 36},
        {"F13_several_wait_for_a_ticket_lock", "loom#53", verdict::verified, nullptr,
         several_wait_for_a_lock<ticket_lock, 3>, 36},
        {"F14_several_wait_for_a_queue_lock", "genmc#15", verdict::verified, nullptr,
         several_wait_for_a_lock<queue_lock, 2>, 14},
        {"F15_a_reader_that_tries_again", "lincheck#138", verdict::verified, nullptr,
         a_reader_that_tries_again, 39},
    };
}

}  // namespace assay::model
