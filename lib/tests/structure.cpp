// Create-or-open by name: who gets to create, what is refused, and what a death leaves. Shown with
// array, the structure that adds nothing of its own.
#include "assay/structure.hpp"

#include <atomic>
#include <random>

#include "assay/array.hpp"
#include "assay/posix_shm.hpp"
#include "lib/tests/processes.hpp"

namespace {

using namespace assay;
using testing_processes::child;
using testing_processes::message_of;
using testing_processes::shared_value;
using testing_processes::unique_name;

struct nameless_segment {
    nameless_segment() : s(unique_name(), 1 << 20) { s.unlink(); }
    posix_shm s;
};

// Another kind of structure, for whom an element is 8 bytes behind a header.
template <shareable T>
class other_kind : public structure<other_kind<T>, T> {
public:
    static constexpr kind structure_kind = kind::queue;
    other_kind(posix_shm& s, std::string_view name, std::uint64_t count = 0)
        : structure<other_kind<T>, T>(s, name, count) {}
    static std::uint64_t size_bytes(std::uint64_t count) {
        if (count > 1000) throw std::invalid_argument("too many");
        return 64 + count * sizeof(T);
    }
    static void format(void*, std::uint64_t) {}
};

// An entry as a broken or hostile process might have made it.
void forge(posix_shm& s, const char* name, std::uint64_t size, std::uint64_t alignment,
           std::uint64_t count) {
    s.get_table()->open_or_create(
        name, {size, alignment, kind::array, sizeof(int), count, type_tag<int>}, [](void*) {});
}

TEST(structure, is_created_once_and_then_opened) {
    nameless_segment n;
    EXPECT_FALSE(array<int>::exists(n.s, "a"));
    array<int> first(n.s, "a", 5);
    EXPECT_TRUE(array<int>::exists(n.s, "a"));
    EXPECT_EQ(first.name(), "a");
    first[4] = 7;
    array<int> same(n.s, "a", 5), opened(n.s, "a");
    EXPECT_EQ(opened.size(), 5u);
    EXPECT_EQ(opened[4], 7);
    EXPECT_EQ(same.data(), first.data());
    EXPECT_EQ(n.s.get_table()->get_entry_count(), 1u);
}

TEST(structure, without_a_count_it_is_only_opened) {
    nameless_segment n;
    const auto text = message_of<not_found>([&] { array<int>(n.s, "missing"); });
    EXPECT_NE(text.find("'missing'"), std::string::npos) << text;
    EXPECT_EQ(n.s.get_table()->get_entry_count(), 0u);
}

TEST(structure, what_is_there_must_be_what_was_asked_for) {
    nameless_segment n;
    array<int> ints(n.s, "a", 5);
    EXPECT_NE(message_of<mismatch>([&] { other_kind<int>(n.s, "a"); }).find("array"),
              std::string::npos);
    EXPECT_NE(message_of<mismatch>([&] { array<double>(n.s, "a"); }).find("8"), std::string::npos);
    EXPECT_THROW(array<float>(n.s, "a"), mismatch);
    EXPECT_THROW(array<unsigned>(n.s, "a"), mismatch);
    const auto counts = message_of<mismatch>([&] { array<int>(n.s, "a", 6); });
    EXPECT_NE(counts.find("5"), std::string::npos) << counts;
    EXPECT_NE(counts.find("6"), std::string::npos) << counts;
    EXPECT_FALSE(array<float>::exists(n.s, "a"));
    EXPECT_FALSE(other_kind<int>::exists(n.s, "a"));
    n.s.get_table()->allocate("raw", 100);
    EXPECT_THROW(array<int>(n.s, "raw", 25), mismatch);
}

TEST(structure, too_large_is_refused_before_anything_is_made) {
    nameless_segment n;
    EXPECT_THROW(array<int>(n.s, "a", 1 << 20), no_space);
    EXPECT_THROW(array<int>(n.s, "a", UINT64_MAX / 2), std::invalid_argument);
    EXPECT_THROW(array<int>(n.s, std::string(200, 'x'), 1), std::invalid_argument);
    EXPECT_EQ(n.s.get_table()->get_entry_count(), 0u);
}

TEST(structure, entries_that_contradict_themselves_are_corrupt) {
    nameless_segment n;
    forge(n.s, "short", 16, 64, 5);
    forge(n.s, "none", 16, 64, 0);
    forge(n.s, "absurd", 16, 64, UINT64_MAX / 2);
    forge(n.s, "wrapping", 16, 64, UINT64_MAX / 4 + 2);  // times 4 is 4 again
    n.s.get_table()->allocate("odd", 3, 1);
    forge(n.s, "misaligned", 20, 1, 5);
    for (const char* name : {"short", "none", "absurd", "wrapping", "misaligned"})
        EXPECT_THROW(array<int>(n.s, name), corrupt) << name;
}

TEST(structure, outlives_the_segment_object_it_came_from) {
    auto segment = std::make_unique<posix_shm>(unique_name(), 1 << 20);
    segment->unlink();
    array<int> a(*segment, "a", 1000);
    segment.reset();
    a.fill(3);
    EXPECT_EQ(a.back(), 3);
}

// Each process tries to be the one that formats; the element counts how many did.
TEST(structure, of_racing_creators_exactly_one_formats) {
    nameless_segment n;
    for (int round = 0; round < 200; ++round) {
        const std::string name = "a" + std::to_string(round % 50);
        shared_value<std::atomic<int>> formatted, ready;
        const auto contend = [&] {
            ++*ready;
            while (ready->load() < 2) ::sched_yield();
            n.s.get_table()->open_or_create(
                name, {64, 64, kind::array, sizeof(int), 16, type_tag<int>}, [&](void* memory) {
                    ++*formatted;
                    static_cast<int*>(memory)[0] = 42;
                });
            return array<int>(n.s, name, 16)[0] == 42 ? 0 : 1;
        };
        child other(contend);
        EXPECT_EQ(contend(), 0);
        EXPECT_EQ(other.exit_code(), 0);
        EXPECT_EQ(formatted->load(), 1) << round;
        EXPECT_TRUE(n.s.get_table()->erase(name));
    }
}

struct kills_its_creator {
    kills_its_creator() { ::raise(SIGKILL); }
    int value;
};

TEST(structure, a_creator_that_dies_while_it_formats_leaves_nothing) {
    nameless_segment n;
    const auto free_before = n.s.get_capacity().available_memory;
    for (int round = 0; round < 5; ++round) {
        child creator([&] { array<kills_its_creator>(n.s, "a", 100); });
        EXPECT_EQ(creator.exit_code(), 128 + SIGKILL);
        EXPECT_FALSE(array<kills_its_creator>::exists(n.s, "a"));
        EXPECT_EQ(n.s.get_capacity().available_memory, free_before);
    }
    EXPECT_EQ(array<int>(n.s, "a", 100).size(), 100u);
}

struct throws {
    throws() { throw std::runtime_error("no"); }
    int value;
};

TEST(structure, a_constructor_that_throws_leaves_nothing_and_no_lock) {
    nameless_segment n;
    EXPECT_THROW(array<throws>(n.s, "a", 3), std::runtime_error);
    EXPECT_EQ(n.s.get_table()->get_entry_count(), 0u);
    EXPECT_EQ(array<int>(n.s, "a", 100).size(), 100u);
}

}  // namespace
