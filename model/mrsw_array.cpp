// The array of one writer under the checker: every snapshot is of one version, whoever is slow or
// dies. Edges: [mrsw:published] [mrsw:begun].
#include "assay/mrsw_array.hpp"

#include <array>

#include "lib/spec/mrsw_array.hpp"
#include "model/linearizability.hpp"
#include "model/tests.hpp"
#include "spoiled/mrsw_array.hpp"

namespace assay::model {
namespace {

constexpr std::uint64_t elements = 2;
using shipped = assay::mrsw_array<std::int64_t>;

template <class Array>
struct fixture {
    block memory;
    recorder calls;
    spec::mrsw_array initial;

    explicit fixture(scenario& s, std::uint64_t start = 0)
        : memory(s, Array::size_bytes(elements), line_size, contents::leftovers),
          initial{start, {0, 0}} {
        Array::format(memory.get(), elements, start);
    }

    struct user {
        fixture& f;
        member me;
        Array all{f.memory.get(), elements, me};

        explicit user(fixture& fix) : f(fix) {}

        void write(std::uint64_t i, std::int64_t v) {
            const auto both = spec::mrsw_array::pack(static_cast<std::int64_t>(i), v);
            record("write", both, [&] { return spec::mrsw_array::number(all.write(i, v)); });
        }
        void fill(std::int64_t v) {
            record("fill", v, [&] {
                return spec::mrsw_array::number(
                    all.write(0, std::span<const std::int64_t>(std::array{v, v})));
            });
        }
        void recover() {
            record("recover", 0, [&] { return all.recover() ? 1 : 0; });
            check(!all.interrupted(), "still interrupted");
        }
        void snapshot() {
            record("snapshot", 0, [&] {
                spec::mrsw_array seen{0, {0, 0}};
                seen.version = all.snapshot(seen.elements);
                return seen.image();
            });
        }
        void read(std::uint64_t i) {
            record("read", static_cast<std::int64_t>(i), [&] { return all.read(i); });
        }
        void version() {
            record("version", 0, [&] { return spec::mrsw_array::number(all.version()); });
        }

    private:
        template <class Use>
        void record(const char* name, std::int64_t argument, Use use) {
            f.calls({name, argument, std::nullopt, 0}, [&]() -> std::int64_t {
                try {
                    return use();
                } catch (const corrupt& e) {
                    check(false, e.what());
                    return 0;
                }
            });
        }
    };

    // The newest version as well is explained, at the end.
    void finish() {
        user(*this).snapshot();
        check_linearizable(calls, initial);
    }
};

template <class Array>
void fill_and_snapshot(scenario& s, int fills, int readers, std::uint64_t start) {
    fixture<Array> f(s, start);
    using user = typename fixture<Array>::user;
    s.process("writer", [&f, fills] {
        user u(f);
        for (int v = 1; v <= fills; ++v) u.fill(v);
    });
    static constexpr const char* names[] = {"reader", "other reader"};
    for (int r = 0; r < readers; ++r)
        s.process(names[r], [&f] {
            user u(f);
            for (int n = 0; n < 2; ++n) u.snapshot();
        });
    s.finally([&f] { f.finish(); });
    s.run();
}
template <class Array = shipped>
void one_reader(scenario& s) {
    fill_and_snapshot<Array>(s, 3, 1, 0);
}
void versions_that_wrap(scenario& s) { fill_and_snapshot<shipped>(s, 4, 1, ~std::uint64_t{0} - 2); }
void two_readers(scenario& s) { fill_and_snapshot<shipped>(s, 2, 2, 0); }

// The elements change one at a time: only what differs is copied from version to version.
template <class Array = shipped>
void single_elements(scenario& s) {
    fixture<Array> f(s);
    using user = typename fixture<Array>::user;
    s.process("writer", [&f] {
        user u(f);
        u.write(0, 1);
        u.write(1, 2);
        u.write(0, 3);
    });
    s.process("reader", [&f] {
        user u(f);
        u.version();
        u.read(0);
        u.snapshot();
    });
    s.finally([&f] { f.finish(); });
    s.run();
}

// Elements smaller than a word: who writes one leaves its neighbour in the same word as it was.
void shared_words(scenario& s) {
    using narrow = assay::mrsw_array<std::int32_t>;
    block memory(s, narrow::size_bytes(elements), line_size, contents::leftovers);
    narrow::format(memory.get(), elements);
    s.process("writer", [&memory] {
        member me;
        narrow all(memory.get(), elements, me);
        all.write(0, 1);
        all.write(1, 2);
        all.write(0, 3);
    });
    s.process("reader", [&memory] {
        member me;
        narrow all(memory.get(), elements, me);
        std::array<std::int32_t, elements> seen;
        const auto version = all.snapshot(seen);
        static constexpr std::array<std::int32_t, elements> versions[] = {
            {0, 0}, {1, 0}, {1, 2}, {3, 2}};
        check(seen == versions[version], "not the elements of that version");
    });
    s.run();
}

// An exception abandons an update; the next one does not contain what it had set.
void abandoned_update(scenario& s) {
    fixture<shipped> f(s);
    s.process("writer", [&f] {
        fixture<shipped>::user u(f);
        u.write(0, 1);
        try {
            u.all.update([](auto& edit) {
                edit.set(0, 99);
                throw 0;
            });
        } catch (int) {
        }
        check(u.all.interrupted(), "the abandoned update is not seen");
        u.write(1, 2);
    });
    s.process("reader", [&f] {
        fixture<shipped>::user u(f);
        u.snapshot();
        u.snapshot();
    });
    s.finally([&f] { f.finish(); });
    s.run();
}

// The role of the writer passes on, and back, by a word with release and acquire.
void handed_over(scenario& s) {
    fixture<shipped> f(s);
    shared<word<std::uint32_t>> turn(s);
    s.process("first writer", [&] {
        fixture<shipped>::user u(f);
        u.write(0, 1);
        turn->store(1, release);
        if (turn->load(acquire) == 2) u.write(0, 4);
    });
    s.process("second writer", [&] {
        if (turn->load(acquire) != 1) return;
        fixture<shipped>::user u(f);
        u.write(1, 2);
        u.write(1, 3);
        turn->store(2, release);
    });
    s.process("reader", [&] { fixture<shipped>::user(f).snapshot(); });
    s.finally([&f] { f.finish(); });
    s.run();
}

// Mortal writers, each followed by the next when all before are known to be dead.
template <class Array>
void succession(scenario& s, std::size_t successors) {
    fixture<Array> f(s);
    using user = typename fixture<Array>::user;
    const bool long_reigns = successors == 1;
    s.process("writer", [&f, long_reigns] {
        user u(f);
        u.write(0, 1);
        if (long_reigns) u.fill(2);
    });
    static constexpr const char* names[] = {"successor", "successor's successor"};
    for (std::size_t p = 0; p < successors; ++p)
        s.process(names[p], [&f, p, long_reigns] {
            for (std::size_t before = 0; before <= p; ++before)
                if (!died(before)) return;
            user u(f);
            u.recover();
            u.write(1, static_cast<std::int64_t>(3 + p));
            if (long_reigns) u.write(0, 5);
        });
    s.process("reader", [&f] {
        user u(f);
        u.snapshot();
        u.snapshot();
    });
    s.finally([&f] { f.finish(); });
    s.run();
}
template <class Array = shipped>
void one_successor(scenario& s) {
    succession<Array>(s, 1);
}
void two_successors(scenario& s) { succession<shipped>(s, 2); }

// One update cannot spoil a copy: the other buffer takes it.
void first_attempt(scenario& s) {
    fixture<shipped> f(s);
    s.process("writer", [&f] { fixture<shipped>::user(f).fill(1); });
    s.process("reader", [&f] {
        fixture<shipped>::user u(f);
        std::array<std::int64_t, elements> out;
        const auto version = u.all.try_snapshot(out);
        check(version.has_value(), "one update has spoilt a copy");
        for (const std::int64_t e : out)
            check(e == static_cast<std::int64_t>(*version), "a mixture of versions");
    });
    s.run();
}

// Whoever sees a version, in any way, sees what the writer did before.
template <class Look>
void with_a_letter(scenario& s, Look sees_version_one) {
    fixture<shipped> f(s);
    shared<cell<int>> letter(s);
    letter->write(0);
    s.process("writer", [&] {
        letter->write(7);
        fixture<shipped>::user(f).fill(1);
    });
    s.process("reader", [&] {
        fixture<shipped>::user u(f);
        if (sees_version_one(u.all)) check(letter->read() == 7);
    });
    s.run();
}
void letter_by_version(scenario& s) {
    with_a_letter(s, [](const shipped& all) { return all.version() == 1; });
}
void letter_by_read(scenario& s) {
    with_a_letter(s, [](const shipped& all) { return all.read(1) == 1; });
}
void letter_by_first_attempt(scenario& s) {
    with_a_letter(s, [](const shipped& all) {
        std::int64_t out;
        return all.try_snapshot(std::span(&out, 1)) == 1u;
    });
}

checker::settings two_deaths(std::uint32_t who) {
    checker::settings how = one_death(who);
    how.allowed.crashes = 2;
    return how;
}

}  // namespace

std::vector<test> mrsw_array_tests() {
    using enum checker::verdict;
    return {
        {"mrsw_array/snapshots_are_linearizable", one_reader<>, {verified, 1081}},
        {"mrsw_array/snapshots_of_two_readers_are_linearizable", two_readers, {verified, 6084}},
        {"mrsw_array/versions_that_wrap_are_linearizable", versions_that_wrap, {verified, 14512}},
        {"mrsw_array/elements_that_change_one_at_a_time_are_linearizable",
         single_elements<>,
         {verified, 276}},
        {"mrsw_array/elements_that_share_a_word_keep_apart", shared_words, {verified, 49}},
        {"mrsw_array/abandoned_update_is_never_seen", abandoned_update, {verified, 141}},
        {"mrsw_array/writers_that_hand_over_are_linearizable", handed_over, {verified, 723}},
        {"mrsw_array/one_update_spoils_no_copy", first_attempt, {verified, 3}},
        {"mrsw_array/version_carries_what_the_writer_did_before", letter_by_version, {verified, 2}},
        {"mrsw_array/read_carries_what_the_writer_did_before", letter_by_read, {verified, 3}},
        {"mrsw_array/first_attempt_carries_what_the_writer_did_before",
         letter_by_first_attempt,
         {verified, 3}},
        {"mrsw_array/snapshots_survive_any_death", two_readers, {verified, 37344}, one_death()},
        {"mrsw_array/successor_starts_from_a_published_version",
         one_successor<>,
         {verified, 24395},
         one_death(1)},
        {"mrsw_array/two_successors_start_from_a_published_version",
         two_successors,
         {verified, 17152},
         two_deaths(3)},
        {"mrsw_array/canary_does_not_look_again",
         one_reader<mrsw_array_does_not_look_again<std::int64_t>>,
         {not_linearizable}},
        {"mrsw_array/canary_allows_one_version_more",
         one_reader<mrsw_array_allows_one_version_more<std::int64_t>>,
         {not_linearizable}},
        {"mrsw_array/canary_has_one_buffer",
         one_reader<mrsw_array_has_one_buffer<std::int64_t>>,
         {not_linearizable}},
        {"mrsw_array/canary_announces_afterwards",
         one_reader<mrsw_array_announces_afterwards<std::int64_t>>,
         {not_linearizable}},
        {"mrsw_array/canary_copies_nothing",
         single_elements<mrsw_array_copies_nothing<std::int64_t>>,
         {not_linearizable}},
        {"mrsw_array/canary_takes_over_blindly",
         one_successor<mrsw_array_takes_over_blindly<std::int64_t>>,
         {not_linearizable},
         one_death(1)},
        {"mrsw_array/canary_publishes_the_dead",
         one_successor<mrsw_array_publishes_the_dead<std::int64_t>>,
         {not_linearizable},
         one_death(1)},
    };
}

}  // namespace assay::model
