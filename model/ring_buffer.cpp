// The ring buffer under the checker: whole records, in order, none twice; losses are counted, and
// nobody is told less than he must know. Edges: [ring:published] [ring:committed] [ring:taken]
// [ring:announced].
#include "assay/ring_buffer.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "lib/spec/ring_buffer.hpp"
#include "model/linearizability.hpp"
#include "model/suite.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

using specification = spec::ring_buffer;

// Two words, so that half a record can be told from a whole one.
struct record {
    std::int64_t value;
    std::int64_t negated;
    [[nodiscard]] static record of(std::int64_t v) { return {v, -v}; }
    [[nodiscard]] bool whole() const { return value == -negated; }
};
// Too large for blocks.
struct large_record {
    std::int64_t value;
    std::int64_t negated;
    std::int64_t again;
    [[nodiscard]] static large_record of(std::int64_t v) { return {v, -v, v}; }
    [[nodiscard]] bool whole() const { return value == -negated && value == again; }
};

// The records as the specification writes them: one number, the first its last digit.
template <class Record>
std::int64_t number(std::span<const Record> records) {
    std::int64_t n = 0, unit = 1;
    for (const Record& r : records) {
        check(r.whole(), "half a record");
        n += unit * r.value;
        unit *= 10;
    }
    return n;
}

// A ring in shared memory, and what was done with it.
template <class Record>
struct fixture_of {
    using record = Record;
    using ring = assay::ring_buffer<record>;
    std::uint64_t capacity;
    block memory;
    recorder calls;

    fixture_of(scenario& s, std::uint64_t n, std::uint64_t start)
        : capacity(n), memory(s, ring::size_bytes(n), line_size, contents::leftovers) {
        ring::format(memory.get(), n, start);
    }

    // One process's handle, whose calls are recorded.
    struct user {
        fixture_of& f;
        member me;
        ring r{f.memory.get(), f.capacity, me};
        std::optional<typename ring::reader> reader{};

        explicit user(fixture_of& fix) : f(fix) {}

        void perform(std::string_view todo) {
            for (std::size_t i = 0; i < todo.size(); ++i) {
                std::string_view one = todo.substr(i, 1);
                if (todo[i] == '(') {
                    one = todo.substr(i + 1, todo.find(')', i) - i - 1);
                    i += one.size() + 1;
                }
                if (one[0] == '!' && !died(0)) return;
                if (one[0] == '?' && !died(2)) return;
                if (one[0] >= '1' && one[0] <= '9') push(one, '0');
                if (one[0] >= 'A' && one[0] <= 'I') push_overwrite(one, 'A' - 1);
                if (std::string_view("-=Psc").find(one[0]) != one.npos) consume(one[0]);
                if (std::string_view("plLjknN").find(one[0]) != one.npos) look(one[0]);
            }
        }

    private:
        struct batch {
            std::array<record, 3> records{};
            std::size_t n = 0;
            batch(std::string_view letters, char zero) : n(letters.size()) {
                for (std::size_t i = 0; i < n; ++i) records[i] = record::of(letters[i] - zero);
            }
            [[nodiscard]] std::span<const record> all() const { return {records.data(), n}; }
        };

        void push(std::string_view letters, char zero) {
            const batch b(letters, zero);
            append(b, [&] { return b.n == 1 ? r.push(b.records[0]) : r.push_bulk(b.all()); });
        }
        void push_overwrite(std::string_view letters, char zero) {
            const batch b(letters, zero);
            f.calls({"drop", std::int64_t(b.n)}, [&] {
                append(b, [&] {
                    if (b.n == 1)
                        r.push_overwrite(b.records[0]);
                    else
                        r.push_overwrite_bulk(b.all());
                    return b.n;
                });
                return 0;
            });
        }
        template <class F>
        void append(const batch& b, F run) {
            std::int64_t done = 0;
            f.calls({"announce", std::int64_t(b.n)}, [&] {
                f.calls({"append", number<record>(b.all())},
                        [&] { return done = static_cast<std::int64_t>(run()); });
                return done == 0 ? spec::not_tried : done;
            });
        }

        static std::int64_t result(const typename ring::reading& r) {
            const std::int64_t what = r.record ? number<record>({&*r.record, 1}) : 0;
            return specification::pack(what, std::int64_t(r.lost));
        }
        static std::int64_t result(const std::array<record, 2>& out,
                                   const typename ring::bulk_reading& r) {
            return specification::pack(number<record>({out.data(), r.count}), std::int64_t(r.lost));
        }

        void consume(char what) {
            std::array<record, 2> out{};
            if (what == '-') f.calls({"take", 1}, [&] { return result(r.read()); });
            if (what == '=') f.calls({"take", 2}, [&] { return result(out, r.read_bulk(out)); });
            const std::uint64_t lost = r.lost();
            if (what == 'P')
                f.calls({"take", 1}, [&] {
                    const auto got = r.pop();
                    return result({got, r.lost() - lost});
                });
            if (what == 's')
                f.calls({"skip", 1}, [&] {
                    const std::uint64_t n = r.skip(1);
                    return specification::pack(std::int64_t(n), std::int64_t(r.lost() - lost));
                });
            const std::uint64_t before = r.total_read();
            if (what == 'c')
                f.calls({"skip", 9}, [&] {
                    r.clear();
                    const std::uint64_t gone = r.lost() - lost;
                    return specification::pack(std::int64_t(r.total_read() - before - gone),
                                               std::int64_t(gone));
                });
        }
        void look(char what) {
            std::array<record, 2> out{};
            const auto last = [&](std::uint64_t n) {
                return number<record>({out.data(), r.get_last_n(n, out)});
            };
            if (what == 'p')
                f.calls({"peek", 1}, [&] {
                    const auto got = r.peek();
                    return got ? number<record>({&*got, 1}) : 0;
                });
            if (what == 'l') f.calls({"last", 1}, [&] { return last(1); });
            if (what == 'L') f.calls({"last", 2}, [&] { return last(2); });
            if (what == 'j' || what == 'k')
                f.calls({"join", what == 'k' ? 2 : 0}, [&] {
                    reader.emplace(r, what == 'k' ? 2 : 0);
                    return 0;
                });
            if (what == 'n') f.calls({"next", 1}, [&] { return result(reader->next()); });
            if (what == 'N')
                f.calls({"next", 2}, [&] { return result(out, reader->next_bulk(out)); });
        }
    };

    // Everything left comes out, the ring is as good as new, and the whole is explained.
    void finish() {
        user u(*this);
        for (std::uint64_t i = 0; i <= capacity; ++i) u.perform("-");
        check_linearizable(calls, specification{std::int64_t(capacity)});
        known_better();
        for (std::uint64_t i = 0; i < capacity; ++i)
            check(u.r.push(record::of(std::int64_t(i))), "room is lost");
        check(!u.r.push(record::of(9)), "more records than fit");
        for (std::uint64_t i = 0; i < capacity; ++i) {
            const auto got = u.r.pop();
            check(got && got->value == std::int64_t(i), "not what was pushed");
        }
    }

    // "Full" and "empty" are as exact as the caller can know: what precedes a call counts.
    void known_better() const {
        const auto& all = calls.operations();
        if (std::ranges::any_of(all, [](const auto& o) { return !o.result; })) return;
        const bool overwrites =
            std::ranges::any_of(all, [](const auto& o) { return o.call.name == "drop"; });
        for (const auto& o : all) {
            std::int64_t written = 0, read = 0, read_at_most = 0;
            for (const auto& other : all) {
                const bool before = calls.precedes(other, o);
                if (other.call.name == "append" && before) written += *other.result;
                if (other.call.name == "skip") {
                    if (before) read += (*other.result & 0xffffffff) + (*other.result >> 32);
                } else if (other.call.name == "take") {
                    const std::int64_t n =
                        specification::digits(*other.result & 0xffffffff) + (*other.result >> 32);
                    if (before) read += n;
                    if (!calls.precedes(o, other)) read_at_most += n;
                }
            }
            const std::int64_t got = *o.result & 0xffffffff, lost = *o.result >> 32;
            if (o.call.name == "append")
                check(got >= std::min(specification::digits(o.call.argument),
                                      std::int64_t(capacity) - written + read),
                      "full, although the writer knew of room");
            if (o.call.name == "take")
                check(
                    specification::digits(got) + lost >= std::min(o.call.argument, written - read),
                    "empty, although the consumer knew of records");
            if (o.call.name == "peek")  // where nobody overwrites what it knew
                check(got != 0 || overwrites || written <= read_at_most,
                      "empty, although the reader knew of records");
        }
    }
};

// Letters: 1 to 9 are pushed, A to I (also 1 to 9) pushed with overwriting, several in brackets in
// bulk; - takes one, = up to two in bulk, P pops, s passes over one, c over all; p peeks, l and L
// ask for the newest and the newest two; j begins a reader, k one with the newest two, n and N
// ask it for one and for two. ! ends the process unless the first has died, ? unless the third.
template <programs Programs, std::uint64_t Capacity, std::uint64_t Start, class Record>
void mix(scenario& s) {
    using fixture = fixture_of<Record>;
    fixture f(s, Capacity, Start);
    Programs.each([&](std::size_t, const char* name, std::string_view todo) {
        s.process(name, [&f, todo] { typename fixture::user(f).perform(todo); });
    });
    s.finally([&] { f.finish(); });
    s.run();
}

// From position 0, and so that positions pass 2^32 and 2^64.
template <programs Programs, std::uint64_t Capacity, class Record = record>
std::vector<suite::start> from() {
    return {{"", mix<Programs, Capacity, 0, Record>},
            {"_at_32_bits", mix<Programs, Capacity, (std::uint64_t{1} << 32) - 3, Record>},
            {"_at_64_bits", mix<Programs, Capacity, ~std::uint64_t{0} - 2, Record>}};
}

using fixture = fixture_of<record>;
using ring = fixture::ring;

// A record that is no whole number of words, while its slot is written again.
void narrow_records(scenario& s) {
    using narrow = std::array<std::int32_t, 3>;
    using narrow_ring = assay::ring_buffer<narrow>;
    block memory(s, narrow_ring::size_bytes(1), line_size, contents::leftovers);
    narrow_ring::format(memory.get(), 1);
    s.process("writer", [&memory] {
        member me;
        narrow_ring r(memory.get(), 1, me);
        for (const std::int32_t n : {1, 2}) r.push_overwrite({n, n, n});
    });
    s.process("consumer", [&memory] {
        member me;
        narrow_ring r(memory.get(), 1, me);
        if (const auto got = r.pop())
            check((*got == narrow{1, 1, 1}) || (*got == narrow{2, 2, 2}), "half a record");
    });
    s.run();
}

// The consumer takes one of two that it knows of. Who sees that also sees that one is left.
void counted_by_a_third(scenario& s) {
    fixture f(s, 2, 0);
    s.process("writer", [&f] { fixture::user(f).perform("12"); });
    s.process("consumer", [&f] {
        fixture::user u(f);
        if (u.r.size() == 2) u.perform("-");
    });
    s.process("counts", [&f] {
        fixture::user u(f);
        if (u.r.total_read() == 0) return;
        check(u.r.size() == 1, "fewer than the consumer left");
        check(u.r.total_written() == 2, "fewer than were read");
    });
    s.finally([&f] { f.finish(); });
    s.run();
}

// One record after another, and the ring was never empty.
void peeked_when_never_empty(scenario& s) {
    fixture f(s, 2, 0);
    fixture::user(f).perform("1");
    s.process("writes and takes", [&f] { fixture::user(f).perform("2-"); });
    s.process("peeks", [&f] {
        fixture::user u(f);
        check(u.r.peek().has_value(), "empty, although there was always a record");
    });
    s.finally([&f] { f.finish(); });
    s.run();
}

constexpr std::uint32_t first_dies = 1, first_or_third_dies = 5;

}  // namespace

std::vector<test> ring_buffer_tests() {
    return tests_of(
        "ring_buffer",
        {
            {"popped_in_order", from<"123|---", 2>(), {38, 413, 1208}},
            {"popped_in_order_through_laps", from<"12345|-----", 2>(), {693, 8055}},
            {"popped_in_order_from_one_slot", from<"123|---", 1>(), {30, 313}},
            {"bulk", from<"(12)(34)|===", 2>(), {14, 147}},
            {"bulk_of_which_a_part_fits", from<"(12)(34)|-=", 3>(), {22, 236}},
            {"records_that_are_no_whole_words", {{"", narrow_records}}, {37}},
            {"counted_by_a_third", {{"", counted_by_a_third}}, {16}},
            {"peeked_when_never_empty", {{"", peeked_when_never_empty}}, {5}},
            {"passed_over", from<"123|s-", 2>(), {19, 225}},
            {"passed_over_while_lapped", from<"ABC|s-", 2>(), {64, 785}},
            {"cleared", from<"123|c-", 2>(), {19, 215}},
            {"cleared_while_lapped", from<"ABC|c-", 2>(), {66, 778}},
            {"peeked_by_two", from<"12|-|p|p", 2>(), {540, 5434}},
            {"peeked_by_two_while_consumed", from<"123|--|p|p", 2>(), {39223}},
            {"peeked_by_two_while_slots_are_used_again", from<"12|-|p|p", 1>(), {3133, 27876}},
            {"peeked_by_two_while_lapped", from<"AB|-|p|p", 1>(), {30302, 294910}},
            {"peeked_by_two_while_lapped_through_two_slots", from<"ABC|-|p|p", 2>(), {74440}},
            {"peeked_by_two_while_lapped_twice", from<"ABC|-|p|p", 1>(), {16833181}},
            {"lapped", from<"ABC|--", 1>(), {771, 8186}},
            {"lapped_through_two_slots", from<"ABCD|--", 2>(), {969, 11123}},
            {"lapped_by_bulks", from<"(AB)(CD)|==", 2>(), {118, 1205}},
            {"lapped_while_popping", from<"ABC|PP", 1>(), {3327, 32178}},
            {"pushed_after_overwriting", from<"ABC4|---", 2>(), {548, 5600}},
            {"followed_by_two_readers", from<"AB|jn|kn", 1>(), {1147, 10731}},
            {"followed_by_two_readers_and_a_consumer", from<"12|-|jn|kn", 1>(), {4119}},
            {"followed_by_two_readers_through_two_slots", from<"ABC|jnn|kn", 2>(), {15408}},
            {"followed_in_bulk", from<"ABCD|kN", 2>(), {774, 8882}},
            {"newest_two", from<"ABC|lL|L", 2>(), {8120, 77474}},
            {"newest_one_for_two", from<"AB|l|l", 1>(), {256, 2450}},
            {"next_writer_goes_on", from<"AB|!C|--", 2>(), {0, 750}, first_dies},
            {"next_writer_goes_on_in_one_slot", from<"AB|!C|-|p", 1>(), {0, 274641}, first_dies},
            {"next_writer_goes_on_before_a_reader", from<"AB|!C|kn", 1>(), {0, 1488}, first_dies},
            {"next_writer_pushes", from<"AB|!3|--", 2>(), {0, 435}, first_dies},
            {"next_consumer_goes_on", from<"--|!--|12", 2>(), {0, 232}, first_dies},
            {"next_consumer_goes_on_while_lapped", from<"--|!--|ABC", 2>(), {0, 4565}, first_dies},
            {"large_records_popped_in_order", from<"123|---", 2, large_record>(), {31, 319}},
            {"large_records_in_bulk", from<"(12)(34)|===", 2, large_record>(), {10, 106}},
            {"large_records_lapped", from<"ABC|--", 1, large_record>(), {573, 5810}},
            {"large_records_peeked_by_two", from<"12|-|p|p", 1, large_record>(), {549, 4764}},
            {"large_records_followed_by_two_readers",
             from<"AB|jn|kn", 1, large_record>(),
             {1110, 9546}},
            {"newest_two_large_records", from<"ABC|lL|L", 2, large_record>(), {4512, 39496}},
            {"next_writer_of_large_records",
             from<"AB|!C|--", 2, large_record>(),
             {0, 541},
             first_dies},
            {"next_writer_of_large_records_before_a_reader",
             from<"AB|!C|kn", 1, large_record>(),
             {0, 1441},
             first_dies},
            {"next_consumer_of_large_records",
             from<"--|!--|ABC", 2, large_record>(),
             {0, 2636},
             first_dies},
            {"next_writer_and_next_consumer",
             from<"AB|!C|-|?-", 1>(),
             {0, 3563, 52749},
             first_or_third_dies},
        });
}

}  // namespace assay::model
