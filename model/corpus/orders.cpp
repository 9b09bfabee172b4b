// The interleavings are right, and a memory order is too weak. Most cannot happen on x86.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// A ring of one place: the consumer gives the place back without release, after having read it
// (iceoryx) or cleared it (valkey). The producer writes into it while that goes on.
template <bool clears, bool fixed>
void a_place_is_given_back_without_release(scenario& s) {
    struct ring {
        word<std::uint64_t> written, read;
        cell<std::int64_t> place;
    };
    shared<ring> r(s);
    s.process("producer", [&] {
        for (std::uint64_t i = 0; i < 2; ++i) {
            if (r->read.load(acquire) != i) return;
            r->place.write(7);
            r->written.store(i + 1, release);
        }
    });
    s.process("consumer", [&] {
        if (r->written.load(acquire) == 0) return;
        check(r->place.read() == 7);
        if (clears) r->place.write(0);
        r->read.store(1, fixed ? release : relaxed);
    });
    s.run();
}

// A free list whose pop has a release fence where it needs an acquire fence: the object is used
// before its last user has finished with it.
template <bool fixed>
void a_free_list_has_the_fence_the_wrong_way(scenario& s) {
    struct pool {
        word<std::uint32_t> head;  // 0 none, 1 the object
        cell<int> object;
    };
    shared<pool> p(s);
    p->object.write(0);
    s.process("giver", [&] {
        p->object.write(1);
        fence(release);
        p->head.store(1, relaxed);
    });
    s.process("taker", [&] {
        std::uint32_t top = p->head.load(relaxed);
        fence(fixed ? acquire : release);
        if (top == 1 && p->head.compare_exchange(top, 0, relaxed, relaxed)) p->object.write(2);
    });
    s.run();
}

// A pop reads the head without acquire, and then a successor that is out of date: the rest of the
// list is cut off, and after a while the pool is empty although nobody holds anything.
template <bool fixed>
void a_stale_successor_cuts_the_free_list_off(scenario& s) {
    static constexpr std::uint32_t end = 9;
    struct list {
        word<std::uint32_t> head, next[2];
    };
    shared<list> l(s);
    l->head.store(0, relaxed);
    for (auto& n : l->next) n.store(end, relaxed);
    s.process("giver", [&] {  // has object 1; object 0 is in the list
        l->next[1].store(0, relaxed);
        std::uint32_t top = 0;
        static_cast<void>(l->head.compare_exchange(top, 1, release, relaxed));
    });
    s.process("taker", [&] {
        std::uint32_t top = l->head.load(fixed ? acquire : relaxed);
        if (top != 1) return;
        const std::uint32_t after = l->next[top].load(relaxed);
        if (l->head.compare_exchange(top, after, acquire, relaxed))
            check(after == 0, "object 0 is lost");
    });
    s.run();
}

// A fence before the index is stored, and none after it is loaded: half of a pair does nothing.
template <bool fixed>
void a_fence_has_no_partner(scenario& s) {
    struct ring {
        word<std::uint64_t> written;
        cell<std::int64_t> place;
    };
    shared<ring> r(s);
    r->place.write(0);
    s.process("producer", [&] {
        r->place.write(7);
        fence(acq_rel);
        r->written.store(1, relaxed);
    });
    s.process("consumer", [&] {
        if (r->written.load(relaxed) == 0) return;
        if (fixed) fence(acq_rel);
        check(r->place.read() == 7);
    });
    s.run();
}

// A sequence lock, with what can be wrong in it.
enum class flaw { none, no_reader_fence, no_writer_fence, no_second_look };
template <flaw wrong>
void a_sequence_lock_lets_a_torn_pair_through(scenario& s) {
    struct pair {
        word<std::uint32_t> sequence, a, b;
    };
    shared<pair> p(s);
    s.process("writer", [&] {
        p->sequence.store(1, wrong == flaw::no_writer_fence ? release : relaxed);
        if (wrong != flaw::no_writer_fence) fence(release);  // the odd number before the data
        p->a.store(1, relaxed);
        p->b.store(1, relaxed);
        p->sequence.store(2, release);
    });
    s.process("reader", [&] {
        const std::uint32_t before = p->sequence.load(acquire);
        if (before % 2 != 0) return;
        const std::uint32_t a = p->a.load(relaxed), b = p->b.load(relaxed);
        if (wrong != flaw::no_reader_fence) fence(acquire);  // the data before the second look
        const auto second = wrong == flaw::no_reader_fence ? acquire : relaxed;
        if (wrong != flaw::no_second_look && p->sequence.load(second) != before) return;
        check(a == b, "a torn pair");
    });
    s.run();
}

// The consumer's role goes to another thread, its position does not: what had been taken is taken
// once more.
template <bool fixed>
void a_role_is_handed_over_without_its_position(scenario& s) {
    struct ring {
        word<std::uint64_t> read, role;
    };
    shared<ring> r(s);
    recorder h;
    const auto take = [&] {
        note(h, "dequeue", 0, [&] {
            const std::uint64_t at = r->read.load(relaxed);
            r->read.store(at + 1, relaxed);
            return at;
        });
    };
    s.process("first", [&] {
        take();
        r->role.store(1, fixed ? release : relaxed);
    });
    s.process("second", [&] {
        if (r->role.load(fixed ? acquire : relaxed) == 1) take();
    });
    s.finally([&] { check_linearizable(h, spec::queue{2, {0, 1}}); });
    s.run();
}

// Announce, then look whether the other has: a load may return an old value, however strong its
// acquire; a read-modify-write cannot.
template <bool fixed>
void a_load_is_believed_to_be_up_to_date(scenario& s) {
    struct gate {
        word<std::uint32_t> closed, users;
        cell<int> resource;
    };
    shared<gate> g(s);
    g->resource.write(0);
    const auto look = [](word<std::uint32_t>& w) {
        return fixed ? w.fetch_or(0, acq_rel) : w.load(acquire);
    };
    s.process("user", [&] {
        g->users.fetch_or(1, acq_rel);
        if (look(g->closed) == 0) g->resource.write(1);
    });
    s.process("closer", [&] {
        g->closed.fetch_or(1, acq_rel);
        if (look(g->users) == 0) g->resource.write(2);
    });
    s.run();
}

// Head and tail are loaded in the wrong order, or without order: a queue with fewer than no
// elements.
template <bool fixed>
void a_snapshot_has_the_tail_before_the_head(scenario& s) {
    struct ends {
        word<std::uint32_t> head, tail;
    };
    shared<ends> q(s);
    s.process("producer", [&] { q->tail.store(1, release); });
    s.process("consumer", [&] {
        if (q->tail.load(acquire) == 1) q->head.store(1, release);
    });
    s.process("another", [&] {
        const std::uint32_t head = q->head.load(fixed ? acquire : relaxed);
        check(q->tail.load(relaxed) >= head, "the tail is before the head");
    });
    s.run();
}

// The producer's view of the reservation is newer than that of the reader: more is used than there
// is, the unsigned difference wraps to a huge free space, and the compare-exchange succeeds.
template <bool fixed>
void a_ring_is_reserved_beyond_its_capacity(scenario& s) {
    static constexpr std::uint32_t capacity = 1;
    struct ring {
        word<std::uint32_t> reserved, read;
    };
    shared<ring> r(s);
    r->reserved.store(1, relaxed);  // full
    s.process("consumer", [&] { r->read.store(1, release); });
    for (const char* name : {"first producer", "second producer"})
        s.process(name, [&] {
            std::uint32_t read = fixed ? r->read.load(acquire) : 0;
            std::uint32_t reserved = r->reserved.load(relaxed);
            if (!fixed) read = r->read.load(acquire);
            const std::uint32_t used = reserved - read;
            if (fixed && used > capacity) return;
            if (capacity - used >= 1)
                static_cast<void>(
                    r->reserved.compare_exchange(reserved, reserved + 1, relaxed, relaxed));
        });
    s.finally([&] {
        check(r->reserved.load(relaxed) - r->read.load(relaxed) <= capacity, "over-subscribed");
    });
    s.run();
}

// A block goes back to a free list by a relaxed exchange, and is filled again elsewhere.
template <bool fixed>
void a_block_is_recycled_without_order(scenario& s) {
    struct blocks {
        word<std::uint32_t> free;
        cell<std::int64_t> block;
    };
    shared<blocks> b(s);
    b->block.write(1);
    s.process("consumer", [&] {
        check(b->block.read() == 1);
        b->free.fetch_add(1, fixed ? release : relaxed);
    });
    s.process("producer", [&] {
        std::uint32_t one = 1;
        if (b->free.compare_exchange(one, 0, acquire, relaxed)) b->block.write(2);
    });
    s.run();
}

// A stack locks the item that it pops, with a write barrier behind: the processor may have read
// the item's successor before it had the lock.
template <bool fixed>
struct locked_item_stack {
    static constexpr std::uint32_t end = 9;
    word<std::uint32_t> head, next[2], locked[2];

    void format() {
        next[0].store(1, relaxed);
        next[1].store(end, relaxed);
    }
    std::int64_t pop() {
        std::uint32_t item = head.load(relaxed);
        if (item == end || locked[item].exchange(1, relaxed) != 0) return spec::none;
        fence(fixed ? acq_rel : release);
        if (head.compare_exchange(item, next[item].load(relaxed), relaxed, relaxed)) return item;
        return spec::none;  // its place in the list is another one now; it stays locked
    }
    void push(std::int64_t i) {
        const auto item = static_cast<std::uint32_t>(i);
        std::uint32_t top = head.load(relaxed);
        do {
            next[item].store(top, relaxed);
            fence(release);
        } while (!head.compare_exchange(top, item, relaxed, relaxed));
        fence(release);
        locked[item].store(0, relaxed);
    }
};
template <bool fixed>
void a_successor_is_read_before_the_lock_is_held(scenario& s) {
    shared<locked_item_stack<fixed>> k(s);
    k->format();
    struct items {
        word<std::uint32_t> taken[2];
    };
    shared<items> items(s);
    const auto pop = [&] {
        const std::int64_t i = k->pop();
        if (i != spec::none) items->taken[i].store(1, relaxed);
        return i;
    };
    s.process("juggler", [&] {
        if (pop() != 0 || pop() != 1) return;
        items->taken[0].store(0, relaxed);
        k->push(0);
    });
    s.process("popper", [&] { pop(); });
    s.finally([&] {
        const std::uint32_t top = k->head.load(relaxed);
        check(top == k->end || items->taken[top].load(relaxed) == 0, "a taken item is on top");
    });
    s.run();
}

}  // namespace

std::vector<known_bug> order_bugs() {
    return {
        {"C1_a_place_is_given_back_without_release", "iceoryx#1396", verdict::data_race,
         a_place_is_given_back_without_release<false, false>,
         a_place_is_given_back_without_release<false, true>, 3},
        {"C2_a_free_list_has_the_fence_the_wrong_way", "iceoryx#2196, iceoryx2#120",
         verdict::data_race, a_free_list_has_the_fence_the_wrong_way<false>,
         a_free_list_has_the_fence_the_wrong_way<true>, 2},
        {"C3_a_stale_successor_cuts_the_free_list_off", "iceoryx#2006", verdict::assertion,
         a_stale_successor_cuts_the_free_list_off<false>,
         a_stale_successor_cuts_the_free_list_off<true>, 2},
        {"C4_a_fence_has_no_partner", "iceoryx2#119", verdict::data_race,
         a_fence_has_no_partner<false>, a_fence_has_no_partner<true>, 2},
        {"C5_data_is_read_after_the_second_look", "iceoryx2#125", verdict::assertion,
         a_sequence_lock_lets_a_torn_pair_through<flaw::no_reader_fence>,
         a_sequence_lock_lets_a_torn_pair_through<flaw::none>, 11},
        {"C6_a_role_is_handed_over_without_its_position", "iceoryx2#1356",
         verdict::not_linearizable, a_role_is_handed_over_without_its_position<false>,
         a_role_is_handed_over_without_its_position<true>, 2},
        {"C7_a_load_is_believed_to_be_up_to_date", "iceoryx2#1699", verdict::data_race,
         a_load_is_believed_to_be_up_to_date<false>, a_load_is_believed_to_be_up_to_date<true>, 3},
        {"C10_a_snapshot_has_the_tail_before_the_head", "ODP#636", verdict::assertion,
         a_snapshot_has_the_tail_before_the_head<false>,
         a_snapshot_has_the_tail_before_the_head<true>, 5},
        {"C11_a_ring_is_reserved_beyond_its_capacity", "iree#23707", verdict::assertion,
         a_ring_is_reserved_beyond_its_capacity<false>,
         a_ring_is_reserved_beyond_its_capacity<true>, 9},
        {"C12_a_cleared_slot_is_given_back_without_release", "valkey#3878", verdict::data_race,
         a_place_is_given_back_without_release<true, false>,
         a_place_is_given_back_without_release<true, true>, 3},
        {"C14_a_block_is_recycled_without_order", "concurrentqueue#404, #325", verdict::data_race,
         a_block_is_recycled_without_order<false>, a_block_is_recycled_without_order<true>, 2},
        {"C17_a_successor_is_read_before_the_lock_is_held", "open-mpi/ompi#13762",
         verdict::assertion, a_successor_is_read_before_the_lock_is_held<false>,
         a_successor_is_read_before_the_lock_is_held<true>, 10},
        {"C18a_data_is_written_before_the_odd_number", "nexus#503", verdict::assertion,
         a_sequence_lock_lets_a_torn_pair_through<flaw::no_writer_fence>,
         a_sequence_lock_lets_a_torn_pair_through<flaw::none>, 11},
        {"C18b_nobody_looks_a_second_time", "AtomicRing#4", verdict::assertion,
         a_sequence_lock_lets_a_torn_pair_through<flaw::no_second_look>,
         a_sequence_lock_lets_a_torn_pair_through<flaw::none>, 11},
    };
}

}  // namespace assay::model
