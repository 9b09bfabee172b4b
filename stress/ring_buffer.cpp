// ring_buffer.cpp -- one writer, one consumer, and readers that consume nothing; all of them are
// delayed, stopped and killed. Record number p is the p-th that was committed: nobody sees a torn
// one, and for the consumer and each reader, what they got and what they lost adds up.
#include <assay/posix_shm.hpp>
#include <assay/ring_buffer.hpp>

#include <algorithm>
#include <span>
#include <vector>

#include "stress/broken.hpp"
#include "stress/harness.hpp"
#include "stress/payload.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;
using record = stamped<9>;
using number = unsigned long long;  // for printf

void expect_record(const record& r, std::uint64_t position, const char* who) {
    if (!r.whole()) fail("%s saw a torn record at position %llu", who, number{position});
    if (r.number != position)
        fail("%s saw record %llu out of order, at position %llu", who, number{r.number},
             number{position});
}

template <class Ring>
constexpr bool complete = requires(Ring& r, std::span<record> s) {
    r.pop_bulk(s);
};

template <class Ring>
void write(worker& w, Ring& ring, bool overwrite) {
    while (w.running()) {
        const std::uint64_t at = ring.total_written();  // also what a dead writer left
        if constexpr (complete<Ring>) {
            if (w.dice.one_in(4)) {
                std::vector<record> some;
                for (std::uint64_t n = w.dice.between(2, 20); n != 0; --n)
                    some.push_back(record::make(7, at + some.size()));
                w.op(overwrite ? "push_overwrite_bulk" : "push_bulk", at, some.size());
                if (overwrite)
                    ring.push_overwrite_bulk(some);
                else
                    static_cast<void>(ring.push_bulk(some));
                continue;
            }
            if (!overwrite) {
                w.op("push", at);
                static_cast<void>(ring.push(record::make(7, at)));
                continue;
            }
        }
        w.op("push_overwrite", at);
        ring.push_overwrite(record::make(7, at));
    }
}

// Total_read is where a dead consumer stopped; its last operation took what it took.
template <class Ring>
void consume(worker& w, Ring& ring, bool overwrite) {
    std::uint64_t next = ring.total_read();
    const auto skip_lost = [&](std::uint64_t lost) {
        if (lost != 0 && !overwrite) fail("%llu records lost without overwriting", number{lost});
        next += lost;
    };
    while (w.running()) {
        if constexpr (complete<Ring>) {
            if (w.dice.one_in(4)) {
                record some[20];
                w.op("read_bulk", next);
                const auto got = ring.read_bulk(std::span(some, w.dice.between(1, 20)));
                skip_lost(got.lost);
                for (std::size_t i = 0; i < got.count; ++i)
                    expect_record(some[i], next++, "the consumer");
                continue;
            }
            if (w.dice.one_in(32)) {
                const std::uint64_t lost_before = ring.lost();
                w.op("skip", next);
                const std::uint64_t skipped = ring.skip(w.dice.between(1, 5));
                skip_lost(ring.lost() - lost_before);
                next += skipped;
                continue;
            }
        }
        w.op("read", next);
        const auto got = ring.read();
        skip_lost(got.lost);
        if (got.record) expect_record(*got.record, next++, "the consumer");
        if constexpr (complete<Ring>)
            if (ring.total_read() != next)
                fail("delivered and lost are %llu, total_read says %llu", number{next},
                     number{ring.total_read()});
    }
}

template <class Ring>
void look_on(worker& w, Ring& ring) {
    typename Ring::reader follow(ring, w.dice.below(100));
    std::optional<std::uint64_t> next;
    std::uint64_t newest = 0;
    std::vector<record> some(64);
    while (w.running()) {
        w.op("next");
        const auto got = follow.next();
        if (next) *next += got.lost;
        if (got.record) {
            if (!next) next = got.record->number;
            expect_record(*got.record, (*next)++, "a reader");
        }
        w.op("get_last_n");
        const std::size_t n = ring.get_last_n(w.dice.between(1, 64), some);
        for (std::size_t i = 0; i < n; ++i)
            expect_record(some[i], some[0].number + i, "get_last_n");
        if (n != 0 && some[n - 1].number < newest) fail("get_last_n went back, out of order");
        if (n != 0) newest = some[n - 1].number;
        w.op("peek_bulk");
        const std::size_t m = ring.peek_bulk(w.dice.below(10), std::span(some).first(5));
        for (std::size_t i = 0; i < m; ++i) expect_record(some[i], some[0].number + i, "peek_bulk");
    }
}

template <class Ring>
void records_are_whole_and_add_up(context& c, bool overwrite) {
    constexpr std::uint64_t capacities[] = {1, 2, 3, 5, 64, 100, 1024};
    const std::string name = c.segment("ring");
    while (auto e = c.next()) {
        random dice(e->seed ^ 1);
        const std::uint64_t capacity = capacities[dice.below(std::size(capacities))];
        const std::uint64_t size = posix_shm::size_for(Ring::size_bytes(capacity) + 4096);
        if (!complete<Ring>) e->kills = false;  // that canary counts only what it delivers itself
        posix_shm here(name, size);
        Ring ring(here, "ring", capacity);
        team(*e, complete<Ring> ? e->processes : 2, [&](worker& w) {
            posix_shm segment(name);
            Ring mine(segment, "ring", capacity);
            if (w.index == 0) return write(w, mine, overwrite);
            if (w.index == 1) return consume(w, mine, overwrite);
            if constexpr (complete<Ring>) look_on(w, mine);
        }).run();

        std::uint64_t next = ring.total_read();
        for (auto got = ring.read(); got.record || got.lost != 0; got = ring.read()) {
            next += got.lost;
            if (got.record) expect_record(*got.record, next++, "the last consumer");
        }
        if (next != ring.total_written())
            fail("delivered and lost are %llu, written %llu", number{next},
                 number{ring.total_written()});
    }
}

template <class Ring, bool Overwrite>
void run(context& c) {
    records_are_whole_and_add_up<Ring>(c, Overwrite);
}

const enlist checks{
    {"ring_buffer/consumer_gets_every_record",
     "push, pop, bulk and skip, with readers; nothing is lost, torn or out of order", "operations",
     run<assay::ring_buffer<record>, false>},
    {"ring_buffer/overwritten_records_are_counted",
     "push_overwrite, with a consumer and readers: never torn, delivered + lost = written",
     "operations", run<assay::ring_buffer<record>, true>},
    {"ring_buffer/canary_seed_overwrite_tears_records",
     "the seed's push_overwrite, which moves the reader's position",
     "operations",
     run<broken::ring_buffer<record>, true>,
     1,
     {"torn", "out of order", "delivered and lost"}},
};

}  // namespace
}  // namespace assay_stress
