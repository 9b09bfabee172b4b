// A process dies in the middle, and the others cannot go on, or undo too much.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// Whoever looks at the top of a stack waits for the slot to be written; the writer is dead.
template <bool fixed>
void looking_waits_for_a_dead_writer(scenario& s) {
    struct stack {
        word<std::uint32_t> top, ready;
        cell<int> slot;
    };
    shared<stack> k(s);
    s.process("mortal", [&] {
        k->top.store(1, release);
        k->slot.write(7);
        k->ready.store(1, release);
    });
    s.process("looker", [&] {
        if (k->top.load(acquire) == 0) return;
        for (int looks = 0; k->ready.load(acquire) == 0; ++looks) {
            if (fixed && looks == 2) return;  // says that it could not tell
            pause();
        }
        check(k->slot.read() == 7);
    });
    s.run();
}

// A pop takes the slot of a push, and waits for it to be filled; the pusher is dead.
template <bool fixed>
void a_pop_waits_for_a_dead_pusher(scenario& s) {
    struct stack {
        word<std::uint32_t> top, ready;  // top: 0, or 1 and in whose name
        cell<int> slot;
    };
    shared<stack> k(s);
    s.process("mortal", [&] {
        k->top.store(my_mark(), release);
        k->slot.write(7);
        k->ready.store(1, release);
    });
    s.process("popper", [&] {
        const std::uint32_t pusher = k->top.exchange(0, acq_rel);
        if (pusher == 0) return;
        bool written = false;
        await([&] {
            const bool dead = fixed && died(pusher - 1);
            written = k->ready.load(acquire) == 1;
            return written || dead;
        });
        if (written) check(k->slot.read() == 7);
    });
    s.run();
}

// Each process that attaches raises a count, and the last one to leave cleans up. The dead never
// leave.
template <bool fixed>
void the_dead_stay_counted(scenario& s) {
    struct segment {
        word<std::uint32_t> count, attached[2], removed;
    };
    shared<segment> g(s);
    const auto attach = [&] {
        g->count.fetch_add(1, acq_rel);
        g->attached[self()].store(1, release);
    };
    const auto detach = [&] {
        const std::size_t other = 1 - self();
        g->attached[self()].store(0, release);
        const bool last = fixed ? g->attached[other].load(acquire) == 0 || died(other)
                                : g->count.fetch_sub(1, acq_rel) == 1;
        if (last) g->removed.store(1, relaxed);
    };
    s.process("mortal", [&] {
        attach();
        detach();
    });
    s.process("survivor", [&] {
        attach();
        const bool alone = died(0);
        detach();
        if (alone) check(g->removed.load(relaxed) == 1, "the last one has not cleaned up");
    });
    s.run();
}

// A bounded queue whose slots are claimed before they are written: who dies in between blocks
// every consumer behind it.
struct claimed_queue {
    word<std::uint32_t> tail, full[2];
    cell<int> value[2];

    void enqueue(int v) {
        const std::uint32_t at = tail.fetch_add(1, acq_rel);
        value[at].write(v);
        full[at].store(1, release);
    }
};
template <bool fixed>
void consumers_wait_behind_a_dead_producer(scenario& s) {
    shared<claimed_queue> q(s);
    s.process("mortal", [&] { q->enqueue(1); });
    s.process("survivor", [&] {
        q->enqueue(2);
        for (std::uint32_t at = 0; at < 2; ++at) {
            bool there = false;
            await([&] {
                const bool dead = fixed && died(0);
                there = q->full[at].load(acquire) == 1;
                return there || dead;
            });
            if (there && q->value[at].read() == 2) return;
        }
        check(false, "its own element is lost");
    });
    s.run();
}

// Once: who runs the function is dead, and the others wait for it to finish.
template <bool fixed>
void once_waits_for_a_dead_executor(scenario& s) {
    static constexpr std::uint32_t done = 9;
    shared<word<std::uint32_t>> state(s);  // 0, 1 + who runs it, done
    const auto call = [&] {
        std::uint32_t is = 0;
        if (state->compare_exchange(is, my_mark(), acq_rel, acquire)) {
            state->store(done, release);
            return;
        }
        await([&] {
            is = state->load(acquire);
            if (is == done || !fixed || !died(is - 1)) return is == done;
            return state->compare_exchange(is, done, acq_rel, relaxed);
        });
    };
    s.process("mortal", call);
    s.process("survivor", call);
    s.finally([&] { check(state->load(relaxed) == done); });
    s.run();
}

// A slot of the dead is cleaned with a plain store, behind someone who has taken it over already.
template <bool fixed>
void cleaning_up_evicts_a_newcomer(scenario& s) {
    shared<word<std::uint32_t>> slot(s);  // 0, or 1 + its owner
    s.process("mortal", [&] {
        slot->store(1, release);
        slot->store(0, release);
    });
    s.process("cleaner", [&] {
        std::uint32_t owner = slot->load(acquire);
        if (owner != 1 || !died(0)) return;
        if (fixed)
            static_cast<void>(slot->compare_exchange(owner, 0, acq_rel, relaxed));
        else
            slot->store(0, release);
    });
    s.process("newcomer", [&] {
        std::uint32_t owner = slot->load(acquire);
        if (!died(0) || (owner != 0 && owner != 1)) return;
        if (!slot->compare_exchange(owner, 3, acq_rel, relaxed)) return;
        check(slot->load(acquire) == 3, "evicted");
    });
    s.run();
}

// Unblocking skips a record whose producer has died, unless head and tail meet: that is a ring
// without records, or one that is full.
template <bool fixed>
void a_full_ring_is_not_unblocked(scenario& s) {
    static constexpr std::uint32_t places = 2;
    struct ring {
        word<std::uint32_t> head, tail, committed[places];
    };
    shared<ring> r(s);
    const auto claim = [&] { return r->tail.fetch_add(1, acq_rel); };
    s.process("mortal", [&] {
        const std::uint32_t at = claim();
        r->committed[at].store(1, release);
    });
    s.process("survivor", [&] {
        await([&] { return died(0) || r->tail.load(acquire) == 1; });
        const std::uint32_t mine = claim();
        r->committed[mine].store(1, release);
        std::uint32_t head = 0;
        await([&] {
            const bool dead = died(0);
            const std::uint32_t tail = r->tail.load(acquire);
            bool next = r->committed[head].load(acquire) == 1;
            if (!next && dead) next = fixed ? head != tail : head % places != tail % places;
            head += next ? 1 : 0;
            return head == mine + 1;
        });
    });
    s.run();
}

// An object is lent to a process, and nobody notes to whom.
template <bool fixed>
void a_loan_is_lost_with_its_holder(scenario& s) {
    shared<word<std::uint32_t>> holder(s);  // of the only object: 0, or 1 + who
    const auto borrow = [&] {
        std::uint32_t is = 0;
        const auto me = my_mark();
        if (holder->compare_exchange(is, me, acq_rel, acquire)) return true;
        return fixed && died(is - 1) && holder->compare_exchange(is, me, acq_rel, relaxed);
    };
    s.process("mortal", [&] {
        if (borrow()) holder->store(0, release);
    });
    s.process("survivor", [&] {
        await(borrow);
        holder->store(0, release);
    });
    s.run();
}

}  // namespace

std::vector<known_bug> death_bugs() {
    return {
        {"Z20_looking_waits_for_a_dead_writer", "zeroipc d4e747e", verdict::blocked_by_dead,
         looking_waits_for_a_dead_writer<false>, looking_waits_for_a_dead_writer<true>, 15,
         one_death(1)},
        {"Z33_a_pop_waits_for_a_dead_pusher", "zeroipc 45c9220", verdict::blocked_by_dead,
         a_pop_waits_for_a_dead_pusher<false>, a_pop_waits_for_a_dead_pusher<true>, 10,
         one_death(1)},
        {"L3_the_dead_stay_counted", "zeroipc v1 reference count", verdict::assertion,
         the_dead_stay_counted<false>, the_dead_stay_counted<true>, 76, one_death(1)},
        {"L12_consumers_wait_behind_a_dead_producer", "zeroipc c06a6fa queue",
         verdict::blocked_by_dead, consumers_wait_behind_a_dead_producer<false>,
         consumers_wait_behind_a_dead_producer<true>, 15, one_death(1)},
        {"L20_once_waits_for_a_dead_executor", "zeroipc c06a6fa once", verdict::blocked_by_dead,
         once_waits_for_a_dead_executor<false>, once_waits_for_a_dead_executor<true>, 9,
         one_death(1)},
        {"C9_cleaning_up_evicts_a_newcomer", "iceoryx2#1578", verdict::assertion,
         cleaning_up_evicts_a_newcomer<false>, cleaning_up_evicts_a_newcomer<true>, 56,
         one_death(1)},
        {"C21_a_full_ring_is_not_unblocked", "agrona#159", verdict::blocked_by_dead,
         a_full_ring_is_not_unblocked<false>, a_full_ring_is_not_unblocked<true>, 8, one_death(1)},
        {"C24_a_loan_is_lost_with_its_holder", "iceoryx#1546, shaq#67, rocm#8673",
         verdict::blocked_by_dead, a_loan_is_lost_with_its_holder<false>,
         a_loan_is_lost_with_its_holder<true>, 8, one_death(1)},
    };
}

}  // namespace assay::model
