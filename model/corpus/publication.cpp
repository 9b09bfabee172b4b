// Something can be seen, or taken, before it is complete.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// The header is announced while its fields are still zero: whoever opens it divides by a capacity
// of 0 (SIGFPE), or finds a file of no size and no magic number.
template <bool fixed>
void an_opener_meets_an_unfinished_header(scenario& s) {
    struct header {
        word<std::uint32_t> magic, capacity;
    };
    shared<header> h(s);
    s.process("creator", [&] {
        if (!fixed) h->magic.store(1, release);
        h->capacity.store(8, relaxed);
        if (fixed) h->magic.store(1, release);
    });
    s.process("opener", [&] {
        if (h->magic.load(acquire) == 1) check(h->capacity.load(relaxed) != 0, "capacity 0");
    });
    s.run();
}

// One compare-exchange moves the index, and the element is written, or read, behind it.
template <bool late_write, bool late_read>
struct one_slot_queue {
    word<std::uint64_t> head, tail;
    cell<std::int64_t> slot;

    bool enqueue(std::int64_t v) {
        std::uint64_t t = tail.load(relaxed);
        if (t != head.load(acquire)) return false;
        if (!late_write) slot.write(v);
        if (!tail.compare_exchange(t, t + 1, acq_rel, relaxed)) return false;
        if (late_write) slot.write(v);
        return true;
    }
    std::int64_t dequeue() {
        std::int64_t v = spec::none;
        std::uint64_t h = head.load(relaxed);
        if (h == tail.load(acquire)) return spec::none;
        if (!late_read) v = slot.read();
        if (!head.compare_exchange(h, h + 1, acq_rel, relaxed)) return spec::none;
        if (late_read) v = slot.read();
        return v;
    }
};
template <bool late_write, bool late_read>
void one_producer_one_consumer(scenario& s) {
    shared<one_slot_queue<late_write, late_read>> q(s);
    q->slot.write(0);
    recorder h;
    s.process("producer", [&] {
        for (const std::int64_t v : {1, 2}) note(h, "enqueue", v, [&] { return q->enqueue(v); });
    });
    s.process("consumer", [&] {
        for (int i = 0; i < 2; ++i) note(h, "dequeue", 0, [&] { return q->dequeue(); });
    });
    s.finally([&] { check_linearizable(h, spec::queue{1, {}}); });
    s.run();
}

// A stack moves its top, and then fills or empties the slot below it.
template <bool fixed>
void a_stack_moves_its_top_first(scenario& s) {
    struct stack {
        word<std::uint32_t> top, ready;  // fixed: the slot says when it can be read
        cell<std::int64_t> slot;
    };
    shared<stack> k(s);
    k->slot.write(0);
    s.process("pusher", [&] {
        k->top.store(1, release);
        k->slot.write(7);
        if (fixed) k->ready.store(1, release);
    });
    s.process("popper", [&] {
        std::uint32_t one = 1;
        if (!k->top.compare_exchange(one, 0, acq_rel, acquire)) return;
        if (fixed) await([&] { return k->ready.load(acquire) == 1; });
        check(k->slot.read() == 7);
    });
    s.run();
}

// A map marks the entry OCCUPIED, and then writes key and value.
template <bool fixed>
void an_entry_is_occupied_before_it_is_written(scenario& s) {
    enum : std::uint32_t { empty, claimed, occupied };
    struct entry {
        word<std::uint32_t> state;
        cell<std::int32_t> key, value;
    };
    shared<entry> e(s);
    e->key.write(0);
    e->value.write(0);
    s.process("inserter", [&] {
        std::uint32_t is = empty;
        if (!e->state.compare_exchange(is, fixed ? claimed : occupied, acq_rel, acquire)) return;
        e->key.write(5);
        e->value.write(50);
        if (fixed) e->state.store(occupied, release);
    });
    s.process("finder", [&] {
        if (e->state.load(acquire) == occupied)
            check(e->key.read() == 5 && e->value.read() == 50, "a torn entry");
    });
    s.run();
}

// A ring advances its position, and then copies the record to where it pointed.
template <bool fixed>
void a_ring_advances_before_it_copies(scenario& s) {
    struct ring {
        word<std::uint64_t> position;
        cell<std::int64_t> record[2];
    };
    shared<ring> r(s);
    for (auto& c : r->record) c.write(0);
    s.process("writer", [&] {
        if (!fixed) r->position.store(1, release);
        for (auto& c : r->record) c.write(9);
        if (fixed) r->position.store(1, release);
    });
    s.process("reader", [&] {
        if (r->position.load(acquire) == 1)
            check(r->record[0].read() == 9 && r->record[1].read() == 9);
    });
    s.run();
}

// Once: whoever does not run the function returns at once, before it has finished.
template <bool fixed>
void once_returns_before_the_function_has(scenario& s) {
    struct once {
        word<std::uint32_t> state;  // 0, 1 running, 2 done
        cell<int> result;
    };
    shared<once> o(s);
    o->result.write(0);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            std::uint32_t is = 0;
            if (o->state.compare_exchange(is, 1, acq_rel, acquire)) {
                o->result.write(42);
                o->state.store(2, release);
            } else if (fixed) {
                await([&] { return o->state.load(acquire) == 2; });
            }
            check(o->result.read() == 42);
        });
    s.run();
}

// An unbuffered channel has room for one, and so its sender is back before anyone has received.
template <bool fixed>
void a_rendezvous_does_not_wait(scenario& s) {
    struct channel {
        word<std::uint32_t> full, received;
    };
    shared<channel> c(s);
    s.process("sender", [&] {
        c->full.store(1, release);
        if (fixed) await([&] { return c->full.load(acquire) == 0; });
        check(c->received.load(relaxed) == 1, "sent, and nobody has received it");
    });
    s.process("receiver", [&] {
        await([&] { return c->full.load(acquire) == 1; });
        c->received.store(1, relaxed);
        c->full.store(0, release);
    });
    s.run();
}

// The creator writes the first count with a constructor, behind an opener who has counted himself.
template <bool fixed>
void a_constructor_forgets_who_came_first(scenario& s) {
    shared<word<std::uint32_t>> count(s);
    s.process("creator", [&] {
        if (fixed)
            count->fetch_add(1, acq_rel);
        else
            count->store(1, release);
    });
    s.process("opener", [&] { count->fetch_add(1, acq_rel); });
    s.finally([&] { check(count->load(relaxed) == 2, "a count is lost"); });
    s.run();
}

// Two create at once: each finds nothing, and the second constructor resets a value that lives.
template <bool fixed>
void two_creators_both_construct(scenario& s) {
    struct counter {
        word<std::uint32_t> state, value;
    };
    shared<counter> c(s);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            std::uint32_t is = c->state.load(acquire);
            if (is == 0 && (!fixed || c->state.compare_exchange(is, 1, acq_rel, acquire))) {
                c->value.store(0, relaxed);
                c->state.store(2, release);
            }
            if (fixed) await([&] { return c->state.load(acquire) == 2; });
            c->value.fetch_add(1, relaxed);
        });
    s.finally([&] { check(c->value.load(relaxed) == 2, "a live value was reset"); });
    s.run();
}

// A segment is linked behind the last; whoever walks along reads the link without acquire.
template <bool fixed>
void a_segment_is_reached_without_acquire(scenario& s) {
    struct list {
        word<std::uint32_t> next;
        cell<int> segment;
    };
    shared<list> l(s);
    l->segment.write(0);
    s.process("appender", [&] {
        l->segment.write(3);
        l->next.store(1, release);
    });
    s.process("enumerator", [&] {
        if (l->next.load(fixed ? acquire : relaxed) == 1) check(l->segment.read() == 3);
    });
    s.run();
}

}  // namespace

std::vector<known_bug> publication_bugs() {
    return {
        {"Z1_L14_an_opener_meets_an_unfinished_header", "zeroipc 04bf0b5 and v1 open",
         verdict::assertion, an_opener_meets_an_unfinished_header<false>,
         an_opener_meets_an_unfinished_header<true>, 2},
        {"Z4a_the_index_is_published_before_the_element", "zeroipc fa95d57", verdict::data_race,
         one_producer_one_consumer<true, false>, one_producer_one_consumer<false, false>, 6},
        {"Z4b_the_slot_is_freed_before_it_is_read", "zeroipc fa95d57", verdict::data_race,
         one_producer_one_consumer<false, true>, one_producer_one_consumer<false, false>, 6},
        {"Z7_a_rendezvous_does_not_wait", "zeroipc abc413b", verdict::assertion,
         a_rendezvous_does_not_wait<false>, a_rendezvous_does_not_wait<true>, 1},
        {"Z8_a_stack_moves_its_top_first", "zeroipc 13431d0", verdict::data_race,
         a_stack_moves_its_top_first<false>, a_stack_moves_its_top_first<true>, 2},
        {"Z9_an_entry_is_occupied_before_it_is_written", "zeroipc 13431d0", verdict::data_race,
         an_entry_is_occupied_before_it_is_written<false>,
         an_entry_is_occupied_before_it_is_written<true>, 3},
        {"Z12_once_returns_before_the_function_has", "zeroipc 13431d0", verdict::data_race,
         once_returns_before_the_function_has<false>, once_returns_before_the_function_has<true>,
         4},
        {"Z38_a_ring_advances_before_it_copies", "zeroipc c06a6fa", verdict::data_race,
         a_ring_advances_before_it_copies<false>, a_ring_advances_before_it_copies<true>, 2},
        {"L4_a_constructor_forgets_who_came_first", "zeroipc v1 memory", verdict::assertion,
         a_constructor_forgets_who_came_first<false>, a_constructor_forgets_who_came_first<true>,
         2},
        {"L21_two_creators_both_construct", "zeroipc v1 atomic_value", verdict::assertion,
         two_creators_both_construct<false>, two_creators_both_construct<true>, 16},
        {"C16_a_segment_is_reached_without_acquire", "dotnet/runtime#78142", verdict::data_race,
         a_segment_is_reached_without_acquire<false>, a_segment_is_reached_without_acquire<true>,
         2},
    };
}

}  // namespace assay::model
