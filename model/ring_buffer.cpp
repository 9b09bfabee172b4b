// The ring buffer under the checker: whole records, in order, none twice; losses are counted.
// Edges: [ring:committed] [ring:taken] [ring:announced].
#include "assay/ring_buffer.hpp"

#include "model/tests.hpp"

namespace assay::model {
namespace {

// Two words, so that half a record can be told from a whole one.
struct record {
    std::int64_t value;
    std::int64_t negated;
    [[nodiscard]] static record of(std::int64_t v) { return {v, -v}; }
    [[nodiscard]] bool whole() const { return value == -negated; }
};
using ring = assay::ring_buffer<record>;

struct fixture {
    std::uint64_t capacity;
    block memory;

    fixture(scenario& s, std::uint64_t n, std::uint64_t start = 0)
        : capacity(n), memory(s, ring::size_bytes(n)) {
        ring::format(memory.get(), n, start);
    }
    struct user {
        member me;
        ring r;
        explicit user(fixture& f) : r(f.memory.get(), f.capacity, me) {}
    };
};

// Takes what is there and checks that it follows what came before.
struct follower {
    std::int64_t last = 0;
    void see(const ring::reading& r) {
        last += static_cast<std::int64_t>(r.lost);
        if (!r.record) return;
        check(r.record->whole(), "half a record");
        check(r.record->value == last + 1, "a record is missing, repeated or out of order");
        last = r.record->value;
    }
};

void push_and_pop(scenario& s, std::uint64_t start) {
    fixture f(s, 2, start);
    s.process("writer", [&] {
        fixture::user u(f);
        for (std::int64_t i = 1; i <= 3; ++i)
            if (!u.r.push(record::of(i))) return;
    });
    s.process("consumer", [&] {
        fixture::user u(f);
        follower seen;
        for (int i = 0; i < 3; ++i) {
            const auto r = u.r.read();
            check(r.lost == 0, "push lost a record");
            seen.see(r);
        }
    });
    s.run();
}
void popped_records_were_pushed_in_order(scenario& s) { push_and_pop(s, 0); }
void positions_may_wrap(scenario& s) { push_and_pop(s, ~std::uint64_t{0}); }

void overwriting_writer_counts_what_it_took_away(scenario& s) {
    fixture f(s, 1);
    s.process("writer", [&] {
        fixture::user u(f);
        for (std::int64_t i = 1; i <= 3; ++i) u.r.push_overwrite(record::of(i));
    });
    s.process("consumer", [&] {
        fixture::user u(f);
        follower seen;
        for (int i = 0; i < 2; ++i) seen.see(u.r.read());
    });
    s.run();
}

void readers_that_consume_nothing_see_whole_records(scenario& s) {
    fixture f(s, 1);
    s.process("writer", [&] {
        fixture::user u(f);
        for (std::int64_t i = 1; i <= 2; ++i) u.r.push_overwrite(record::of(i));
    });
    s.process("follower", [&] {
        fixture::user u(f);
        ring::reader position(u.r, 1);
        const auto r = position.next();
        if (r.record) check(r.record->whole(), "half a record");
    });
    s.process("looks at the newest", [&] {
        fixture::user u(f);
        record out[1];
        if (u.r.get_last_n(1, out) == 1) check(out[0].whole(), "half a record");
    });
    s.run();
}

// The writer may die anywhere; another goes on, and what readers see stays whole.
void next_writer_continues_after_a_death(scenario& s) {
    fixture f(s, 2);
    s.process("mortal writer", [&] {
        fixture::user u(f);
        u.r.push_overwrite(record::of(1));
        u.r.push_overwrite(record::of(2));
    });
    s.process("next writer", [&] {
        if (!died(0)) return;
        fixture::user u(f);
        u.r.push_overwrite(record::of(7));
    });
    s.process("consumer", [&] {
        fixture::user u(f);
        for (int i = 0; i < 2; ++i)
            if (const auto r = u.r.read(); r.record) check(r.record->whole(), "half a record");
    });
    s.run();
}

}  // namespace

std::vector<test> ring_buffer_tests() {
    return {
        {"ring_buffer/popped_records_were_pushed_in_order",
         popped_records_were_pushed_in_order,
         {checker::verdict::verified, 48}},
        {"ring_buffer/positions_may_wrap", positions_may_wrap, {checker::verdict::verified, 48}},
        {"ring_buffer/overwriting_writer_counts_what_it_took_away",
         overwriting_writer_counts_what_it_took_away,
         {checker::verdict::verified, 504}},
        {"ring_buffer/readers_that_consume_nothing_see_whole_records",
         readers_that_consume_nothing_see_whole_records,
         {checker::verdict::verified, 544}},
        {"ring_buffer/next_writer_continues_after_a_death",
         next_writer_continues_after_a_death,
         {checker::verdict::verified, 220},
         one_death(1)},
    };
}

}  // namespace assay::model
