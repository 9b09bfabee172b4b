// What was checked is no longer so when it is acted upon.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// Two erase one key: both find it, both store DELETED, and the size goes down twice.
template <bool fixed>
void two_erase_the_same_entry(scenario& s) {
    struct map {
        word<std::uint32_t> present, size;
    };
    shared<map> m(s);
    m->present.store(1, relaxed);
    m->size.store(1, relaxed);
    recorder h;
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            note(h, "erase", 5, [&] {
                std::uint32_t is = m->present.load(acquire);
                if (is == 0) return false;
                if (!fixed) m->present.store(0, release);
                if (fixed && !m->present.compare_exchange(is, 0, acq_rel, acquire)) return false;
                m->size.fetch_sub(1, relaxed);
                return true;
            });
        });
    s.finally([&] { check_linearizable(h, spec::large_map{{{5, 1}}}); });
    s.run();
}

// A semaphore is released up to its maximum: looked at, then added to.
template <bool fixed>
void a_semaphore_exceeds_its_maximum(scenario& s) {
    static constexpr std::uint32_t maximum = 1;
    shared<word<std::uint32_t>> count(s);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            std::uint32_t n = count->load(relaxed);
            if (fixed) {
                while (n < maximum && !count->compare_exchange(n, n + 1, release, relaxed)) {
                }
            } else if (n < maximum) {
                count->fetch_add(1, release);
            }
        });
    s.finally([&] { check(count->load(relaxed) <= maximum, "above its maximum"); });
    s.run();
}

// A map of one slot. An update looks for its key, and writes the value without having claimed the
// slot, which by then may be another key's.
template <bool fixed>
struct one_slot_map {
    enum : std::uint32_t { empty, busy, occupied };
    word<std::uint32_t> state, key, value;

    // Has the slot to itself: it was `is`.
    [[nodiscard]] bool claim(std::uint32_t is) {
        std::uint32_t seen = is;
        while (!state.compare_exchange(seen, busy, acq_rel, acquire)) {
            if (seen != busy) return false;
            pause();
            seen = is;
        }
        return true;
    }
    bool insert(std::uint32_t k, std::uint32_t v) {
        if (!claim(empty)) return false;
        key.store(k, relaxed);
        value.store(v, relaxed);
        state.store(occupied, release);
        return true;
    }
    bool assign(std::uint32_t k, std::uint32_t v) {  // only what is there
        if (fixed ? !claim(occupied) : state.load(acquire) != occupied) return false;
        const bool mine = key.load(relaxed) == k;
        if (mine) value.store(v, relaxed);
        if (fixed) state.store(occupied, release);
        return mine;
    }
    bool erase(std::uint32_t k) {
        if (!claim(occupied)) return false;
        const bool mine = key.load(relaxed) == k;
        state.store(mine ? empty : occupied, release);
        return mine;
    }
};
template <bool fixed>
void an_update_writes_into_another_entry(scenario& s) {
    shared<one_slot_map<fixed>> m(s);
    m->insert(1, 10);
    s.process("updater", [&] { m->assign(1, 11); });
    s.process("replacer", [&] {
        if (m->erase(1)) m->insert(2, 20);
    });
    s.finally([&] { check(m->value.load(relaxed) == 20, "key 2 has the value of key 1"); });
    s.run();
}

// The top of a stack is looked at while it is popped, and its slot filled again.
template <bool fixed>
void the_top_is_read_while_it_changes(scenario& s) {
    struct slot {
        word<std::uint32_t> ready;  // 0 taken, 1 ready, 2 being read
        cell<int> value;
    };
    shared<slot> top(s);
    top->value.write(1);
    top->ready.store(1, relaxed);
    s.process("looker", [&] {
        std::uint32_t is = 1;
        if (fixed ? !top->ready.compare_exchange(is, 2, acquire, relaxed)
                  : top->ready.load(acquire) != 1)
            return;
        check(top->value.read() > 0);
        if (fixed) top->ready.store(1, release);
    });
    s.process("pops and pushes", [&] {
        await([&] {
            std::uint32_t is = 1;
            return top->ready.compare_exchange(is, 0, acquire, relaxed);
        });
        top->value.write(2);
        top->ready.store(1, release);
    });
    s.run();
}

// A reader looks for a writer under one lock, and counts itself under another.
template <bool fixed>
void reader_and_writer_are_both_inside(scenario& s) {
    static constexpr std::uint32_t writing = 0x100;
    struct lock {
        word<std::uint32_t> writer, readers;  // fixed: both in `readers`
        cell<int> inside;
    };
    shared<lock> l(s);
    l->inside.write(0);
    s.process("reader", [&] {
        if (fixed) {
            std::uint32_t none = 0;
            if (!l->readers.compare_exchange(none, 1, acquire, relaxed)) return;
        } else {
            if (l->writer.load(seq_cst) != 0) return;
            l->readers.fetch_add(1, seq_cst);
        }
        check(l->inside.read() == 0 || true);
        l->readers.fetch_sub(1, release);
    });
    s.process("writer", [&] {
        if (fixed) {
            std::uint32_t none = 0;
            if (!l->readers.compare_exchange(none, writing, acquire, relaxed)) return;
        } else {
            if (l->readers.load(seq_cst) != 0) return;
            l->writer.store(1, seq_cst);
        }
        l->inside.write(1);
        if (fixed)
            l->readers.store(0, release);
        else
            l->writer.store(0, seq_cst);
    });
    s.run();
}

// An insert that loses the race for a slot goes on to the next one, without looking what the
// winner has put there: the same key.
template <bool fixed>
void a_lost_slot_hides_the_same_key(scenario& s) {
    struct map {
        word<std::uint32_t> key[2];  // 0: free
    };
    shared<map> m(s);
    recorder h;
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            note(h, "insert", spec::large_map::pack(5, 1), [&] {
                for (auto& k : m->key) {
                    std::uint32_t is = k.load(acquire);
                    if (is == 5) return false;
                    if (is == 0 && k.compare_exchange(is, 5, acq_rel, acquire)) return true;
                    if (fixed && is == 5) return false;
                }
                return false;
            });
        });
    s.finally([&] { check_linearizable(h, spec::large_map{}); });
    s.run();
}

// Two consumers of a queue for one: each sees that it is not empty, both take. With more taken
// than was there, the difference says that it is full.
template <bool fixed>
void an_emptied_queue_looks_full(scenario& s) {
    struct queue {
        word<std::uint32_t> head, tail;
    };
    shared<queue> q(s);
    q->tail.store(1, relaxed);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            std::uint32_t h = q->head.load(acquire);
            if (h == q->tail.load(acquire)) return;
            if (fixed)
                static_cast<void>(q->head.compare_exchange(h, h + 1, acq_rel, relaxed));
            else
                q->head.fetch_add(1, acq_rel);
        });
    s.finally([&] {
        check(q->tail.load(relaxed) - q->head.load(relaxed) <= 1, "a full queue of nothing");
    });
    s.run();
}

// A push takes the slot that a consumer has claimed but not yet given back for the sign of a full
// queue.
template <bool fixed>
struct sequenced_queue {
    static constexpr std::uint64_t slots = 2;
    word<std::uint64_t> head, tail, sequence[slots];
    cell<std::int64_t> value[slots];

    void format() {
        for (std::uint64_t i = 0; i < slots; ++i) sequence[i].store(i, relaxed);
    }
    bool enqueue(std::int64_t v) {  // one producer
        const std::uint64_t at = tail.load(relaxed);
        while (sequence[at % slots].load(acquire) != at) {
            if (!fixed || at - head.load(acquire) >= slots) return false;
            pause();
        }
        value[at % slots].write(v);
        sequence[at % slots].store(at + 1, release);
        tail.store(at + 1, relaxed);
        return true;
    }
    std::int64_t dequeue() {
        std::uint64_t at = head.load(relaxed);
        do {
            if (sequence[at % slots].load(acquire) < at + 1) return spec::none;
        } while (!head.compare_exchange(at, at + 1, acq_rel, relaxed));
        const std::int64_t v = value[at % slots].read();
        sequence[at % slots].store(at + slots, release);
        return v;
    }
};
template <bool fixed>
void a_claimed_slot_counts_as_full(scenario& s) {
    shared<sequenced_queue<fixed>> q(s);
    q->format();
    recorder h;
    const auto take = [&] { note(h, "dequeue", 0, [&] { return q->dequeue(); }); };
    const auto put = [&](std::int64_t v) { note(h, "enqueue", v, [&] { return q->enqueue(v); }); };
    put(1);
    put(2);
    s.process("consumer", [&] { take(); });
    s.process("consumer and producer", [&] {
        take();
        put(3);
    });
    s.finally([&] {
        for (int i = 0; i < 3; ++i) take();
        check_linearizable(h, spec::queue{2, {}});
    });
    s.run();
}

}  // namespace

std::vector<known_bug> check_then_act_bugs() {
    return {
        {"Z10_two_erase_the_same_entry", "zeroipc 13431d0", verdict::not_linearizable,
         two_erase_the_same_entry<false>, two_erase_the_same_entry<true>, 4},
        {"Z13_a_semaphore_exceeds_its_maximum", "zeroipc 13431d0, 2f7d22d", verdict::assertion,
         a_semaphore_exceeds_its_maximum<false>, a_semaphore_exceeds_its_maximum<true>, 4},
        {"Z24_an_update_writes_into_another_entry", "zeroipc a194317", verdict::assertion,
         an_update_writes_into_another_entry<false>, an_update_writes_into_another_entry<true>, 7},
        {"Z29_the_top_is_read_while_it_changes", "zeroipc a984cd6", verdict::data_race,
         the_top_is_read_while_it_changes<false>, the_top_is_read_while_it_changes<true>, 3},
        {"Z36_reader_and_writer_are_both_inside", "zeroipc c06a6fa", verdict::data_race,
         reader_and_writer_are_both_inside<false>, reader_and_writer_are_both_inside<true>, 4},
        {"Z37_a_lost_slot_hides_the_same_key", "zeroipc c06a6fa", verdict::not_linearizable,
         a_lost_slot_hides_the_same_key<false>, a_lost_slot_hides_the_same_key<true>, 4},
        {"C22_a_claimed_slot_counts_as_full", "heapless#583", verdict::not_linearizable,
         a_claimed_slot_counts_as_full<false>, a_claimed_slot_counts_as_full<true>, 9},
        {"C23a_an_emptied_queue_looks_full", "SerenityOS#14972", verdict::assertion,
         an_emptied_queue_looks_full<false>, an_emptied_queue_looks_full<true>, 4},
    };
}

}  // namespace assay::model
