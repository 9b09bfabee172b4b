// Read, then written, by two at once; and counters that disagree with what they count.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// A "lock-free" queue moves its head with a load and a store: an element comes out twice.
template <bool fixed>
void an_element_comes_out_twice(scenario& s) {
    struct queue {
        word<std::uint64_t> head;
        cell<std::int64_t> element[2];
    };
    shared<queue> q(s);
    q->element[0].write(1);
    q->element[1].write(2);
    recorder h;
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            note(h, "dequeue", 0, [&] {
                std::uint64_t at = q->head.load(acquire);
                if (fixed) {
                    while (!q->head.compare_exchange(at, at + 1, acq_rel, acquire)) {
                    }
                } else {
                    q->head.store(at + 1, release);
                }
                return q->element[at].read();
            });
        });
    s.finally([&] { check_linearizable(h, spec::queue{2, {1, 2}}); });
    s.run();
}

// A value of two words is updated while it is read.
template <bool fixed>
void a_value_is_read_half_updated(scenario& s) {
    struct pair {
        word<std::uint32_t> version, a, b;
    };
    shared<pair> p(s);
    s.process("updater", [&] {
        if (fixed) {
            p->version.store(1, relaxed);
            fence(release);
        }
        p->a.store(1, relaxed);
        p->b.store(1, relaxed);
        if (fixed) p->version.store(2, release);
    });
    s.process("reader", [&] {
        const std::uint32_t before = p->version.load(acquire);
        const std::uint32_t a = p->a.load(relaxed), b = p->b.load(relaxed);
        if (fixed) {
            fence(acquire);
            if (before % 2 != 0 || p->version.load(relaxed) != before) return;
        }
        check(a == b, "half of an update");
    });
    s.run();
}

// Leaves the count of waiters with a compare-exchange that is repeated with what it expected
// first; after a while it gives up, and one waiter stays counted.
template <bool fixed>
void a_waiter_stays_counted(scenario& s) {
    shared<word<std::uint32_t>> waiters(s);
    waiters->store(2, relaxed);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            std::uint32_t n = waiters->load(relaxed);
            const std::uint32_t first = n;
            for (int i = 0; i < 2; ++i) {
                if (!fixed) n = first;
                if (waiters->compare_exchange(n, n - 1, acq_rel, relaxed)) return;
            }
        });
    s.finally([&] { check(waiters->load(relaxed) == 0, "a waiter who is gone is counted"); });
    s.run();
}

// An entry is published, and counted afterwards: whoever erases it in between counts it out first.
template <bool fixed>
void the_size_falls_below_zero(scenario& s) {
    struct map {
        word<std::uint32_t> present, size;
    };
    shared<map> m(s);
    s.process("inserter", [&] {
        if (fixed) m->size.fetch_add(1, relaxed);
        m->present.store(1, release);
        if (!fixed) m->size.fetch_add(1, relaxed);
    });
    s.process("eraser", [&] {
        std::uint32_t one = 1;
        if (m->present.compare_exchange(one, 0, acq_rel, relaxed))
            check(m->size.fetch_sub(1, relaxed) > 0, "fewer than no entries");
    });
    s.run();
}

// A bump allocator: reads the offset, and then adds to it.
template <bool fixed>
void two_allocations_overlap(scenario& s) {
    struct arena {
        word<std::uint32_t> used;
        cell<int> bytes[2];
    };
    shared<arena> a(s);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            std::uint32_t at = 0;
            if (fixed) {
                at = a->used.fetch_add(1, relaxed);
            } else {
                at = a->used.load(relaxed);
                a->used.store(at + 1, relaxed);
            }
            a->bytes[at].write(1);
        });
    s.run();
}

// A table writes its entry at the count, and then stores the count plus one.
template <bool fixed>
void an_entry_of_the_table_is_lost(scenario& s) {
    struct table {
        word<std::uint32_t> count, name[2];
    };
    shared<table> t(s);
    for (const std::uint32_t name : {1u, 2u})
        s.process(name == 1 ? "first" : "second", [&, name] {
            std::uint32_t n = t->count.load(acquire);
            if (fixed) {
                n = t->count.fetch_add(1, acq_rel);
                t->name[n].store(name, release);
            } else {
                t->name[n].store(name, release);
                t->count.store(n + 1, release);
            }
        });
    s.finally([&] {
        check(
            t->count.load(relaxed) == 2 && t->name[0].load(relaxed) + t->name[1].load(relaxed) == 3,
            "a name is lost");
    });
    s.run();
}

// An overwriting ring of one record: the writer laps the reader in the middle of its copy.
template <bool fixed>
void a_record_is_overwritten_while_it_is_read(scenario& s) {
    struct ring {
        word<std::uint64_t> begun, written, a, b;
    };
    shared<ring> r(s);
    s.process("writer", [&] {
        for (const std::uint64_t v : {1u, 2u}) {
            r->begun.store(v, relaxed);
            fence(release);
            r->a.store(v, relaxed);
            r->b.store(v, relaxed);
            r->written.store(v, release);
        }
    });
    s.process("reader", [&] {
        const std::uint64_t at = r->written.load(acquire);
        if (at == 0) return;
        const std::uint64_t a = r->a.load(relaxed), b = r->b.load(relaxed);
        fence(acquire);
        if (fixed && r->begun.load(relaxed) != at) return;  // lapped
        check(a == b, "a torn record");
    });
    s.run();
}

// ... and both of them store the read position: it goes back.
template <bool fixed>
void the_read_position_goes_back(scenario& s) {
    struct ring {
        word<std::uint64_t> written, read;
    };
    shared<ring> r(s);
    r->written.store(1, relaxed);
    const auto advance = [&](std::uint64_t to) {
        if (!fixed) return r->read.store(to, release);
        std::uint64_t from = r->read.load(relaxed);
        while (from < to && !r->read.compare_exchange(from, to, release, relaxed)) {
        }
    };
    s.process("writer", [&] {
        for (std::uint64_t w = 1; w < 3; ++w) {
            if (w - r->read.load(acquire) >= 1) advance(w);  // drops the oldest
            r->written.store(w + 1, release);
        }
    });
    s.process("reader", [&] {
        const std::uint64_t at = r->read.load(acquire);
        if (at != r->written.load(acquire)) advance(at + 1);
    });
    s.finally([&] {
        check(r->written.load(relaxed) - r->read.load(relaxed) <= 1, "a position has gone back");
    });
    s.run();
}

// A barrier for two: who gives up counts itself out, perhaps of the next round.
template <bool fixed>
void giving_up_spoils_the_next_round(scenario& s) {
    struct barrier {
        word<std::uint32_t> arrived, round;
        word<std::uint32_t> both;  // fixed: round * 16 + arrived
    };
    shared<barrier> b(s);
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            if (fixed) {
                std::uint32_t is = b->both.load(relaxed), next;
                do next = is % 16 == 1 ? is + 15 : is + 1;
                while (!b->both.compare_exchange(is, next, acq_rel, relaxed));
                if (next % 16 == 0) return;
                static_cast<void>(b->both.compare_exchange(next, next - 1, acq_rel, relaxed));
                return;
            }
            const std::uint32_t round = b->round.load(acquire);
            if (b->arrived.fetch_add(1, acq_rel) == 1) {
                b->arrived.store(0, relaxed);
                b->round.fetch_add(1, acq_rel);
            } else if (b->round.load(acquire) == round) {  // too late, says the clock
                b->arrived.fetch_sub(1, acq_rel);
            }
        });
    s.finally([&] {
        check(b->arrived.load(relaxed) == 0 && b->both.load(relaxed) % 16 == 0,
              "the next round begins with a wrong count");
    });
    s.run();
}

}  // namespace

std::vector<known_bug> lost_update_bugs() {
    return {
        {"Z2_an_element_comes_out_twice", "zeroipc fa95d57", verdict::not_linearizable,
         an_element_comes_out_twice<false>, an_element_comes_out_twice<true>, 4},
        {"Z18_a_value_is_read_half_updated", "zeroipc 2f7d22d", verdict::assertion,
         a_value_is_read_half_updated<false>, a_value_is_read_half_updated<true>, 14},
        {"Z25_a_waiter_stays_counted", "zeroipc a194317", verdict::assertion,
         a_waiter_stays_counted<false>, a_waiter_stays_counted<true>, 4},
        {"Z28_the_size_falls_below_zero", "zeroipc 8512a51", verdict::assertion,
         the_size_falls_below_zero<false>, the_size_falls_below_zero<true>, 2},
        {"L5_two_allocations_overlap", "zeroipc v1 allocator", verdict::data_race,
         two_allocations_overlap<false>, two_allocations_overlap<true>, 2},
        {"L10a_a_record_is_overwritten_while_it_is_read", "zeroipc v1 ring", verdict::assertion,
         a_record_is_overwritten_while_it_is_read<false>,
         a_record_is_overwritten_while_it_is_read<true>, 7},
        {"L10b_the_read_position_goes_back", "zeroipc v1 ring", verdict::assertion,
         the_read_position_goes_back<false>, the_read_position_goes_back<true>, 19},
        {"L18_an_entry_of_the_table_is_lost", "zeroipc c06a6fa table", verdict::assertion,
         an_entry_of_the_table_is_lost<false>, an_entry_of_the_table_is_lost<true>, 4},
        {"L19_giving_up_spoils_the_next_round", "zeroipc c06a6fa barrier", verdict::assertion,
         giving_up_spoils_the_next_round<false>, giving_up_spoils_the_next_round<true>, 12},
    };
}

}  // namespace assay::model
