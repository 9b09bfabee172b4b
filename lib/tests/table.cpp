// The table of a segment: names, space, and what is left when its users die. Built with a step at
// each shared access, where a process can be delayed or killed.
#include "lib/tests/stepped.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "assay/posix_shm.hpp"

namespace {

using namespace assay;
using testing_processes::child;
using testing_processes::message_of;
using testing_processes::shared_value;
using testing_processes::unique_name;

// A segment with so many bytes for entries. Without a name: nothing is left, whoever is killed.
template <class Table>
struct space_of {
    explicit space_of(std::uint64_t bytes)
        : segment(unique_name(), posix_shm_impl<Table>::size_for(bytes)),
          t(*segment.get_table()),
          base(static_cast<char*>(segment.get_base_addr())) {
        segment.unlink();
    }
    posix_shm_impl<Table> segment;
    Table& t;
    char* base;
};
using space = space_of<table>;
using small_space = space_of<table_small>;

// Entries are disjoint, inside the data area, and differently named; the counts say so too.
template <class Table>
void expect_whole(const Table& t) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    std::set<std::string> names;
    std::uint64_t sum = 0;
    for (const auto& e : t) {
        ranges.emplace_back(e.offset, e.offset + e.size);
        EXPECT_TRUE(names.insert(e.name).second) << "twice: " << std::string(e.name);
        sum += e.size;
    }
    std::sort(ranges.begin(), ranges.end());
    std::uint64_t free_from = t.data_begin();
    for (const auto& [from, to] : ranges) {
        EXPECT_GE(from, free_from) << "entries overlap";
        free_from = to;
    }
    EXPECT_LE(free_from, t.data_end());
    EXPECT_EQ(t.get_entry_count(), ranges.size());
    EXPECT_EQ(t.get_total_allocated_size(), sum);
    EXPECT_EQ(t.get_available_size(), t.data_end() - t.data_begin() - sum);
}

template <class Table>
void names_at_the_limit() {
    space_of<Table> s(4096);
    const std::string longest(Table::max_name_size, 'x');
    std::string other = longest;
    other.back() = 'y';
    ASSERT_NE(s.t.allocate(longest, 8), nullptr);
    ASSERT_NE(s.t.allocate(other, 8), nullptr);
    EXPECT_NE(s.t.find(longest)->offset, s.t.find(other)->offset);
    EXPECT_EQ(s.t.find(longest)->name.str(), longest);

    ASSERT_NE(s.t.allocate("cut", 8), nullptr);
    const std::string too_long = longest + 'z';
    for (const std::string& bad : {too_long, std::string(), std::string("cut\0", 4)}) {
        EXPECT_EQ(s.t.find(bad), nullptr) << "a name was cut";
        EXPECT_FALSE(s.t.erase(bad));
        const auto text = message_of<std::invalid_argument>([&] { s.t.allocate(bad, 8); });
        EXPECT_NE(text.find(std::to_string(Table::max_name_size)), std::string::npos) << text;
        EXPECT_THROW(s.t.add(bad, s.t.data_begin(), 8), std::invalid_argument);
        EXPECT_THROW(s.t.open_or_create(bad, {8}, [](void*) {}), std::invalid_argument);
    }
    EXPECT_EQ(s.t.get_entry_count(), 3u);
}

TEST(table, names_at_the_limit_are_kept_and_longer_ones_refused) {
    names_at_the_limit<table>();
    names_at_the_limit<table_small>();
    names_at_the_limit<table_large>();
    names_at_the_limit<table_huge>();
}

TEST(table, sizes_are_those_of_the_seed) {
    static_assert(table::max_name_size == 31 && table::max_entries == 64);
    static_assert(table_small::max_name_size == 15 && table_small::max_entries == 16);
    static_assert(table_large::max_name_size == 63 && table_large::max_entries == 256);
    static_assert(table_huge::max_name_size == 255 && table_huge::max_entries == 1024);
    EXPECT_LT(table_small::size_bytes(), table::size_bytes());
}

TEST(table, entry_shows_the_fields_that_were_given) {
    space s(4096);
    const auto at = s.t.data_begin() + 128;
    ASSERT_TRUE(s.t.add("mine", at, 96, 12, 8));
    const auto* const e = s.t.find("mine");
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(e->name.str(), "mine");
    EXPECT_EQ(e->offset, at);
    EXPECT_EQ(e->size, 96u);
    EXPECT_EQ(e->elem_size, 12u);
    EXPECT_EQ(e->num_elem, 8u);
    EXPECT_TRUE(e->active);
    EXPECT_EQ(s.t.describe("mine")->what, kind::raw);
    EXPECT_EQ(s.t.find("Mine"), nullptr);
}

TEST(table, ranges_of_the_caller_must_be_inside_and_free) {
    space s(4096);
    const auto begin = s.t.data_begin(), end = s.t.data_end();
    EXPECT_TRUE(s.t.add("first", begin, 100));
    EXPECT_TRUE(s.t.add("last", end - 1, 1));
    EXPECT_FALSE(s.t.add("first", begin + 200, 1)) << "the name is taken";
    const std::pair<std::uint64_t, std::uint64_t> bad[] = {
        {begin - 1, 10},     {end, 1},         {end - 1, 2},         {0, 8},
        {begin, UINT64_MAX}, {UINT64_MAX, 1},  {UINT64_MAX - 7, 16}, {begin + 200, 0},
        {begin + 99, 1},     {begin + 50, 10}, {begin, 4096},        {end - 10, 10}};
    for (const auto& [offset, size] : bad)
        EXPECT_THROW(s.t.add("bad", offset, size), std::invalid_argument) << offset << " " << size;
    EXPECT_TRUE(s.t.add("between", begin + 100, 4096 - 101)) << "exactly the gap";
    expect_whole(s.t);
}

TEST(table, requests_without_sense_are_refused) {
    space s(4096);
    const auto format = [](void*) { FAIL() << "formatted"; };
    for (const std::uint64_t alignment : {0ull, 3ull, 48ull, 1ull << 63, ~0ull}) {
        EXPECT_THROW(s.t.allocate("a", 8, alignment), std::invalid_argument) << alignment;
        EXPECT_THROW(s.t.open_or_create("a", {8, alignment}, format), std::invalid_argument);
        EXPECT_FALSE(s.t.can_allocate(8, alignment));
    }
    EXPECT_THROW(s.t.allocate("a", 0), std::invalid_argument);
    EXPECT_THROW(s.t.open_or_create("a", {0}, format), std::invalid_argument);
    EXPECT_FALSE(s.t.can_allocate(0));
    for (const std::uint64_t size : {4097ull, 1ull << 48, 1ull << 63, ~0ull, ~0ull - 63}) {
        EXPECT_EQ(s.t.allocate("a", size), nullptr) << size;
        EXPECT_THROW(s.t.open_or_create("a", {size}, format), no_space);
        EXPECT_FALSE(s.t.can_allocate(size));
    }
    EXPECT_EQ(s.t.get_entry_count(), 0u);
}

TEST(table, alignment_is_that_of_the_address_up_to_a_page) {
    space s(64 << 10);
    s.t.allocate("one byte", 1, 1);
    for (std::uint64_t a = 1; a <= 4096; a *= 2) {
        const auto* const e = s.t.allocate("a" + std::to_string(a), 3, a);
        ASSERT_NE(e, nullptr);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(s.base + e->offset) % a, 0u);
    }
}

TEST(table, space_of_erased_entries_is_used_again) {
    space s(1000);
    for (int i = 0; i < 10000; ++i) {
        ASSERT_NE(s.t.allocate("a", 900), nullptr) << i;
        ASSERT_TRUE(s.t.erase("a"));
        ASSERT_FALSE(s.t.erase("a")) << "erased twice";
    }
    EXPECT_EQ(s.t.get_available_size(), 1000u);
}

TEST(table, free_neighbours_merge_in_whatever_order_they_are_erased) {
    space s(3000);
    std::array<int, 3> order{0, 1, 2};
    do {
        for (int i = 0; i < 3; ++i)
            ASSERT_NE(s.t.allocate("part" + std::to_string(i), 1000, 1), nullptr);
        EXPECT_FALSE(s.t.can_allocate(1, 1));
        for (const int i : order) EXPECT_TRUE(s.t.erase("part" + std::to_string(i)));
        EXPECT_TRUE(s.t.can_allocate(3000, 1));
        ASSERT_NE(s.t.allocate("all", 3000, 1), nullptr);
        s.t.clear();
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST(table, the_lowest_gap_that_fits_is_taken) {
    space s(1000);
    for (const char* name : {"a", "b", "c", "d"}) s.t.allocate(name, 200, 1);
    s.t.erase("a");
    s.t.erase("c");
    EXPECT_EQ(s.t.allocate("fits the first gap", 200, 1)->offset, s.t.data_begin());
    EXPECT_EQ(s.t.allocate("fits the second", 150, 1)->offset, s.t.data_begin() + 400);
    EXPECT_EQ(s.t.allocate("fits no gap but the last", 180, 1)->offset, s.t.data_begin() + 800);
    EXPECT_EQ(s.t.allocate("fits none", 51, 1), nullptr);
    expect_whole(s.t);
}

TEST(table, full_is_said_and_ends_with_the_next_erase) {
    small_space s(4096);
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(s.t.allocate("n" + std::to_string(i), 8));
    EXPECT_EQ(s.t.get_available_entries(), 0u);
    EXPECT_EQ(s.segment.get_capacity().available_entries, 0u);
    EXPECT_FALSE(s.t.can_allocate(1));
    EXPECT_EQ(s.t.allocate("more", 8), nullptr);
    EXPECT_FALSE(s.t.add("more", s.t.data_end() - 8, 8));
    const auto text = message_of<no_space>([&] { s.t.open_or_create("more", {8}, [](void*) {}); });
    EXPECT_NE(text.find("16"), std::string::npos) << text;
    EXPECT_TRUE(s.t.erase("n7"));
    EXPECT_TRUE(s.t.open_or_create("more", {8}, [](void*) {}).second);
}

TEST(table, no_space_names_what_was_needed_and_what_is_free) {
    space s(1000);
    s.t.allocate("a", 400, 1);
    const auto text = message_of<no_space>([&] {
        s.t.open_or_create("b", {601, 1}, [](void*) {});
    });
    EXPECT_NE(text.find("601"), std::string::npos) << text;
    EXPECT_NE(text.find("600"), std::string::npos) << text;
}

TEST(table, iteration_yields_the_active_entries) {
    small_space s(4096);
    EXPECT_EQ(s.t.begin(), s.t.end());
    std::set<std::string> expected;
    for (int i = 0; i < 16; ++i) {
        expected.insert("n" + std::to_string(i));
        s.t.allocate("n" + std::to_string(i), 8);
    }
    for (const char* gone : {"n0", "n7", "n8", "n15"}) {
        expected.erase(gone);
        s.t.erase(gone);
    }
    std::set<std::string> found;
    for (const auto& e : s.t) found.insert(e.name);
    EXPECT_EQ(found, expected);
    for (const auto& e : s.t) s.t.erase(e.name.str());  // while iterating
    EXPECT_EQ(s.t.get_entry_count(), 0u);
}

// Words of an entry as layout_version 1 has them: name, offset, size, ...
template <class Entry>
std::uint64_t* words_of(const Entry* e, std::size_t name_size) {
    return reinterpret_cast<std::uint64_t*>(const_cast<Entry*>(e)) + name_size / 8;
}

TEST(table, entries_that_point_outside_are_corrupt_and_harm_nobody_else) {
    const std::pair<std::uint64_t, std::uint64_t> nonsense[] = {
        {0, 8}, {UINT64_MAX, 8}, {8, UINT64_MAX}, {UINT64_MAX - 7, 16}, {1ull << 63, 1ull << 63}};
    for (const auto& [offset, size] : nonsense) {
        space s(4096);
        const auto* const e = s.t.allocate("victim", 64);
        words_of(e, 32)[0] = offset;
        words_of(e, 32)[1] = size;
        const auto text = message_of<corrupt>([&] { static_cast<void>(s.t.describe("victim")); });
        EXPECT_NE(text.find("victim"), std::string::npos) << text;
        EXPECT_THROW(s.t.open_or_create("victim", {8}, [](void*) {}), corrupt);
        EXPECT_LE(s.t.get_available_size(), 4096u);
        s.t.allocate("another", 64);
        if (const auto d = s.t.describe("another")) {
            EXPECT_GE(d->offset, s.t.data_begin());
            EXPECT_LE(d->offset + 64, s.t.data_end());
        }
        EXPECT_TRUE(s.t.erase("victim"));
        s.t.clear();
        EXPECT_NE(s.t.allocate("all", 4096, 1), nullptr);
    }
}

TEST(table, a_name_without_an_end_is_read_to_its_limit) {
    space s(4096);
    const auto* const e = s.t.allocate("victim", 64);
    std::memset(words_of(e, 0), 'x', 32);
    EXPECT_EQ(e->name.str(), std::string(32, 'x'));
    EXPECT_EQ(s.t.find("victim"), nullptr);
}

TEST(table, a_creator_that_dies_leaves_neither_lock_nor_entry_nor_lost_space) {
    space s(4096);
    for (int round = 0; round < 10; ++round) {
        child creator([&] {
            s.t.open_or_create("half", {3000, 64}, [](void*) { ::raise(SIGKILL); });
        });
        EXPECT_EQ(creator.exit_code(), 128 + SIGKILL);
        EXPECT_EQ(s.t.find("half"), nullptr);
        ASSERT_NE(s.t.allocate("whole", 4096, 1), nullptr);
        EXPECT_TRUE(s.t.erase("whole"));
    }
}

TEST(table, every_operation_may_die_at_every_step) {
    small_space s(2048);
    using operation = void (*)(table_small&);
    const operation all[] = {[](table_small& t) { t.allocate("new", 100); },
                             [](table_small& t) { t.add("new", t.data_end() - 100, 100); },
                             [](table_small& t) {
                                 t.open_or_create("new", {100, 64}, [](void*) {});
                             },
                             [](table_small& t) { t.erase("old"); },
                             [](table_small& t) { t.clear(); }};
    for (const operation operate : all)
        for (long step = 1;; ++step) {
            s.t.clear();
            s.t.allocate("old", 100);
            child victim([&] {
                testing_stepped::die_after = step;
                operate(s.t);
                testing_stepped::die_after = 0;
            });
            const int code = victim.exit_code();
            EXPECT_EQ(s.t.get_entry_count(),
                      (s.t.find("old") ? 1u : 0u) + (s.t.find("new") ? 1 : 0));
            EXPECT_TRUE(s.t.find("old") || !s.t.find("new"));
            if (const auto d = s.t.describe("new")) {
                EXPECT_EQ(d->size, 100u);
            }
            expect_whole(s.t);
            s.t.clear();  // takes the lock from the dead
            ASSERT_NE(s.t.allocate("all", 2048, 1), nullptr) << "space was lost at step " << step;
            if (code != 128 + SIGKILL) {
                EXPECT_EQ(code, 0);
                EXPECT_GT(step, 5) << "the operation has no steps: nothing was tested";
                break;
            }
        }
}

TEST(table, find_waits_for_nobody) {
    space s(4096);
    s.t.allocate("there", 8);
    child holder([&] { s.t.open_or_create("never", {8}, [](void*) { ::raise(SIGSTOP); }); });
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(holder.pid()), &info, WSTOPPED | WNOWAIT);
    EXPECT_NE(s.t.find("there"), nullptr);
    EXPECT_TRUE(s.t.describe("there"));
    EXPECT_EQ(s.t.find("never"), nullptr);
    EXPECT_EQ(s.t.get_entry_count(), 1u);
    holder.send(SIGCONT);
    EXPECT_EQ(holder.exit_code(), 0);
    EXPECT_NE(s.t.find("never"), nullptr);
}

TEST(table, find_sees_whole_entries_while_others_add_and_erase) {
    small_space s(64 << 10);
    ASSERT_TRUE(s.t.allocate("stays", 4321));
    shared_value<std::atomic<bool>> stop;
    std::vector<child> writers;
    for (std::uint64_t i = 0; i < 2; ++i)
        writers.emplace_back([&, i] {
            testing_stepped::noise = static_cast<std::uint32_t>(i + 1);
            for (std::uint64_t n = 1 + i; !stop->load(); n += 2) {
                // All fields of one entry are functions of its size.
                const std::uint64_t size = 1 + n % 500;
                const placement p{size, 8, kind::array, size + 1, size + 2, size + 3};
                s.t.open_or_create("x", p, [](void*) {});
                s.t.open_or_create(i == 0 ? "y" : "z", p, [](void*) {});
                s.t.erase("x");
                s.t.erase(i == 0 ? "y" : "z");
            }
        });
    int seen = 0;
    for (int i = 0; i < 20000 || (seen < 100 && i < 2000000); ++i) {
        const auto stays = s.t.describe("stays");
        ASSERT_TRUE(stays && stays->size == 4321u) << "an entry that nobody erased was not found";
        for (const char* name : {"x", "y", "z"})
            if (const auto d = s.t.describe(name)) {
                ++seen;
                ASSERT_TRUE(d->elem_size == d->size + 1 && d->num_elem == d->size + 2 &&
                            d->tag == d->size + 3)
                    << "fields of two entries in one description";
            }
    }
    *stop = true;
    for (child& c : writers) EXPECT_EQ(c.exit_code(), 0);
    EXPECT_GT(seen, 0);
    expect_whole(s.t);
}

TEST(table, two_creators_at_once_never_overlap_and_lose_nothing) {
    constexpr int rounds = 2000;
    small_space s(64 << 10);
    shared_value<std::atomic<int>> arrived, failures;
    const auto create = [&](int self) {
        testing_stepped::noise = static_cast<std::uint32_t>(77 + self);
        const std::string name(1, static_cast<char>('a' + self));
        for (int round = 0; round < rounds; ++round) {
            const auto meet = [&](int point) {
                ++*arrived;
                while (arrived->load() < 2 * (4 * round + point)) ::sched_yield();
            };
            meet(1);
            const auto* const e = s.t.allocate(name, 1000 + static_cast<unsigned>(round) % 100);
            meet(2);
            const auto* const other = s.t.find(self == 0 ? "b" : "a");
            if (e == nullptr || other == nullptr || s.t.get_entry_count() != 2 ||
                (e->offset < other->offset + other->size && other->offset < e->offset + e->size))
                ++*failures;
            meet(3);
            s.t.erase(name);
            meet(4);
        }
    };
    child second([&] { create(1); });
    create(0);
    testing_stepped::noise = 0;
    EXPECT_EQ(second.exit_code(), 0);
    EXPECT_EQ(failures->load(), 0);
    EXPECT_EQ(s.t.get_available_size(), 64u << 10);
}

// The seed's allocation: read where the free space begins, then move it.
TEST(table, canary_seed_creators_overlap) {
    struct seed_table {
        std::atomic<std::uint64_t> next;
        std::atomic<int> arrived, overlaps;
        std::atomic<std::uint64_t> got[2];
    };
    shared_value<seed_table> t;
    const auto create = [&](unsigned self) {
        for (int round = 1; round <= 200 && t->overlaps == 0; ++round) {
            const std::uint64_t offset = t->next;
            ++t->arrived;  // both have read before one writes
            while (t->arrived < 2 * round && t->overlaps == 0) ::sched_yield();
            t->next = offset + 64;
            t->got[self] = offset;
            if (t->got[0] == t->got[1]) ++t->overlaps;
        }
    };
    child second([&] { create(1); });
    create(0);
    EXPECT_EQ(second.exit_code(), 0);
    EXPECT_GT(t->overlaps, 0);
}

}  // namespace
