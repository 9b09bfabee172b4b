// The table under the checker: names with space of their own, linearizable, whoever dies.
// Edges: [table:published] [table:reused].

// g++ 12 is wrong about std::sort of arrays shorter than what that sorts by insertion.
#pragma GCC diagnostic ignored "-Warray-bounds"

#include "assay/table.hpp"

#include <string>
#include <vector>

#include "lib/spec/table.hpp"
#include "model/linearizability.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

constexpr std::uint64_t cell_bytes = line_size;

template <std::size_t entries>
struct fixture {
    using names = table_impl<8, entries>;
    static constexpr std::uint64_t begin = align_up(names::size_bytes(), line_size);

    std::int64_t cells;
    block memory;
    recorder calls;
    spec::table initial{cells, entries, {}};

    fixture(scenario& s, std::int64_t n)
        : cells(n), memory(s, begin + static_cast<std::uint64_t>(n) * cell_bytes) {
        names::format(memory.get());
    }
    // What is there before the processes start.
    void prepare(std::int32_t name, std::int32_t n) {
        user u(*this);
        u.allocate(name, n);
    }

    // One process's view. What a name's first cell holds is written by who made it.
    struct user {
        fixture& f;
        member me;
        names t{f.memory.get(), f.memory.get(), begin,
                begin + static_cast<std::uint64_t>(f.cells) * cell_bytes, me};

        explicit user(fixture& fix) : f(fix) {}
        [[nodiscard]] static std::string text(std::int32_t name) {
            return std::string(1, static_cast<char>('a' + name));
        }
        // Checks that the fields belong together: each name has a size of its own.
        [[nodiscard]] std::int64_t first(std::uint64_t offset) const {
            return static_cast<std::int64_t>((offset - begin) / cell_bytes);
        }
        void allocate(std::int32_t name, std::int32_t n) {
            f.calls({"allocate", spec::table::pack(name, n), std::nullopt, 0}, [&] {
                const auto size = static_cast<std::uint64_t>(n) * cell_bytes;
                const auto* const e = t.allocate(text(name), size);
                return e == nullptr ? spec::none : first(e->offset);
            });
        }
        void find(std::int32_t name, std::int32_t n) {
            f.calls({"find", name, std::nullopt, 0}, [&] {
                const auto d = t.describe(text(name));
                if (!d) return spec::none;
                check(d->size == static_cast<std::uint64_t>(n) * cell_bytes, "half an entry");
                return first(d->offset);
            });
        }
        void erase(std::int32_t name) {
            f.calls({"erase", name, std::nullopt, 0}, [&] { return t.erase(text(name)) ? 1 : 0; });
        }
        // Makes it, or finds what another has made, and reads what its maker wrote there.
        void open(std::int32_t name) {
            const auto [d, created] =
                t.open_or_create(text(name), {.size_bytes = cell_bytes},
                                 [](void* at) { static_cast<cell<int>*>(at)->write(7); });
            auto* const at = static_cast<std::byte*>(f.memory.get()) + d.offset;
            check(reinterpret_cast<cell<int>*>(at)->read() == 7, "not formatted");
        }
    };
    // Whatever died: what is there can be erased, and then all of the space is there.
    void finish(std::int32_t names_used) {
        user u(*this);
        for (std::int32_t name = 0; name < names_used; ++name) u.erase(name);
        u.allocate(names_used, static_cast<std::int32_t>(cells));
        check_linearizable(calls, initial);
    }
};

void two_add_one_name(scenario& s) {
    fixture<2> f(s, 3);
    s.process("first", [&f] { fixture<2>::user(f).allocate(0, 1); });
    s.process("second", [&f] { fixture<2>::user(f).allocate(0, 2); });
    s.finally([&f] { f.finish(1); });
    s.run();
}
void two_add_two_names(scenario& s) {
    fixture<2> f(s, 3);
    s.process("first", [&f] { fixture<2>::user(f).allocate(0, 1); });
    s.process("second", [&f] {
        fixture<2>::user u(f);
        u.allocate(1, 2);
        u.find(0, 1);
    });
    s.finally([&f] { f.finish(2); });
    s.run();
}
void erase_races_add(scenario& s) {
    fixture<1> f(s, 2);
    f.prepare(0, 2);
    s.process("erases", [&f] { fixture<1>::user(f).erase(0); });
    s.process("adds", [&f] {
        fixture<1>::user u(f);
        u.allocate(0, 2);
        u.find(0, 2);
    });
    s.finally([&f] { f.finish(1); });
    s.run();
}
// The entry is used for another name while somebody reads it.
void entry_is_reused_under_a_reader(scenario& s) {
    fixture<1> f(s, 3);
    f.prepare(0, 1);
    s.process("reuses", [&f] {
        fixture<1>::user u(f);
        u.erase(0);
        u.allocate(1, 2);
    });
    s.process("reads", [&f] {
        fixture<1>::user u(f);
        u.find(0, 1);
        u.find(1, 2);
    });
    s.finally([&f] { f.finish(2); });
    s.run();
}
// A walk over the entries meets what is there throughout, and at most what comes meanwhile.
void walked_while_another_adds_and_erases(scenario& s) {
    fixture<2> f(s, 3);
    f.prepare(0, 1);
    s.process("adds and erases", [&f] {
        fixture<2>::user u(f);
        u.allocate(1, 2);
        u.erase(1);
    });
    s.process("walks", [&f] {
        fixture<2>::user u(f);
        std::vector<std::string> met;
        for (const auto& entry : u.t) met.push_back(entry.name);
        check(!met.empty() && met.size() <= 2 && met[0] == "a", "a name is not met once");
    });
    s.finally([&f] { f.finish(1); });
    s.run();
}
void what_is_found_is_formatted(scenario& s) {
    fixture<2> f(s, 2);
    for (const char* name : {"first", "second"})
        s.process(name, [&f] { fixture<2>::user(f).open(0); });
    s.run();
}

// --- broken: what the table does, with one mistake each -----------------------------------------------

enum class mistake { publishes_first, does_not_look_again, forgets_the_fence };

template <mistake m>
struct broken_entry {
    word<std::uint64_t> state, name, size;

    void fill(std::uint64_t n, std::uint64_t bytes) {
        if constexpr (m == mistake::publishes_first) state.store(state.load(relaxed) + 1, release);
        if constexpr (m != mistake::forgets_the_fence) fence(release);
        name.store(n, relaxed);
        size.store(bytes, relaxed);
        if constexpr (m != mistake::publishes_first) state.store(state.load(relaxed) + 1, release);
    }
    void retire() { state.store(state.load(relaxed) + 1, relaxed); }
    void read(std::uint64_t wanted, std::uint64_t bytes) {
        const std::uint64_t before = state.load(acquire);
        if ((before & 1) == 0 || name.load(relaxed) != wanted) return;
        const std::uint64_t found = size.load(relaxed);
        fence(acquire);
        if (m != mistake::does_not_look_again && state.load(relaxed) != before) return;
        check(found == bytes, "half an entry");
    }
};
template <mistake m>
void reads_half_an_entry(scenario& s) {
    shared<broken_entry<m>> e(s);
    e->state.store(0, relaxed);
    e->name.store(0, relaxed);
    e->size.store(0, relaxed);
    e->fill(1, 1);
    s.process("reuses", [&e] {
        e->retire();
        e->fill(2, 2);
    });
    s.process("reads", [&e] {
        e->read(1, 1);
        e->read(2, 2);
    });
    s.run();
}

}  // namespace

std::vector<test> table_tests() {
    using checker::verdict;
    return {
        {"table/one_name_is_added_once", two_add_one_name, {verdict::verified, 14}},
        {"table/two_names_do_not_overlap", two_add_two_names, {verdict::verified, 20}},
        {"table/erase_and_add_of_one_name_are_linearizable",
         erase_races_add,
         {verdict::verified, 26}},
        {"table/reader_never_sees_half_an_entry",
         entry_is_reused_under_a_reader,
         {verdict::verified, 456}},
        {"table/walk_meets_what_is_there_throughout",
         walked_while_another_adds_and_erases,
         {verdict::verified, 4}},
        {"table/what_is_found_is_formatted", what_is_found_is_formatted, {verdict::verified, 16}},
        {"table/one_name_is_added_once_and_a_process_may_die",
         two_add_one_name,
         {verdict::verified, 144},
         one_death()},
        {"table/two_names_do_not_overlap_and_a_process_may_die",
         two_add_two_names,
         {verdict::verified, 289},
         one_death()},
        {"table/erase_and_add_of_one_name_survive_a_death",
         erase_races_add,
         {verdict::verified, 250},
         one_death()},
        {"table/reader_never_sees_half_an_entry_of_the_dead",
         entry_is_reused_under_a_reader,
         {verdict::verified, 2251},
         one_death(1)},
        {"table/what_is_found_is_formatted_whoever_dies",
         what_is_found_is_formatted,
         {verdict::verified, 123},
         one_death()},
        {"table/canary_publishes_before_it_fills",
         reads_half_an_entry<mistake::publishes_first>,
         {verdict::assertion}},
        {"table/canary_does_not_look_again",
         reads_half_an_entry<mistake::does_not_look_again>,
         {verdict::assertion}},
        {"table/canary_fills_without_the_fence",
         reads_half_an_entry<mistake::forgets_the_fence>,
         {verdict::assertion}},
    };
}

}  // namespace assay::model
