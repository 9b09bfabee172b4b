// Arrays: what a heap array does, for several processes, by name.
#include <assay/array.hpp>
#include <assay/posix_shm.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <ranges>

#include "lib/tests/processes.hpp"

namespace {

using assay::array;
using assay::posix_shm;
using testing_processes::child;
using testing_processes::unique_name;

constexpr std::uint64_t mib = 1 << 20;

struct odd {
    char bytes[13];
};
struct settings {
    int level = 7;  // not zero, though the type is trivially copyable
    double scale = 0.5;
};
struct sealed {  // only made from something
    explicit sealed(int v) : value(v) {}
    int value;
};
struct alignas(256) wide {
    int value = 0;
};

static_assert(std::ranges::contiguous_range<array<int>>);
static_assert(std::ranges::contiguous_range<const array<int>>);
static_assert(std::same_as<decltype(std::declval<const array<int>&>()[0]), const int&>);

TEST(array, elements_that_one_process_writes_another_reads_by_name) {
    posix_shm segment(unique_name(), mib);
    array<int> a(segment, "numbers", 1000);
    std::iota(a.begin(), a.end(), 5);
    child other([&] {
        posix_shm mine(segment.name());
        array<int> b(mine, "numbers");
        if (b.size() != 1000 || b.name() != "numbers") return 1;
        for (std::size_t i = 0; i < b.size(); ++i)
            if (b[i] != static_cast<int>(i) + 5) return 2;
        b.fill(-1);
        return 0;
    });
    EXPECT_EQ(other.exit_code(), 0);
    EXPECT_EQ(std::count(a.cbegin(), a.cend(), -1), 1000);
}

TEST(array, new_elements_have_the_value_of_a_default_object) {
    posix_shm segment(unique_name(), mib);
    array<std::uint8_t>(segment, "dirt", 4096).fill(0xff);
    segment.get_table()->erase("dirt");
    array<int> zero(segment, "zero", 300);
    for (const int v : zero) ASSERT_EQ(v, 0);
    array<settings> set(segment, "settings", 20);
    for (const auto& s : set) {
        ASSERT_EQ(s.level, 7);
        ASSERT_EQ(s.scale, 0.5);
    }
    array<sealed> closed(segment, "sealed", 20);
    for (const auto& s : closed) ASSERT_EQ(s.value, 0);
}

TEST(array, opening_leaves_the_elements_as_they_are) {
    posix_shm segment(unique_name(), mib);
    {
        array<std::uint64_t> a(segment, "a", 3);
        a.fill(9);
    }
    const array<std::uint64_t> again(segment, "a", 3);
    EXPECT_EQ(again.front(), 9u);
    EXPECT_EQ(again.back(), 9u);
    EXPECT_TRUE(array<std::uint64_t>::exists(segment, "a"));
    EXPECT_FALSE(array<std::uint32_t>::exists(segment, "a"));
    EXPECT_FALSE(array<std::uint64_t>::exists(segment, "b"));
}

TEST(array, another_type_or_count_is_refused) {
    posix_shm segment(unique_name(), mib);
    array<int> a(segment, "a", 10);
    EXPECT_THROW(array<int>(segment, "a", 11), assay::mismatch);
    EXPECT_THROW(array<float>(segment, "a", 10), assay::mismatch);
    EXPECT_THROW(array<long>(segment, "a"), assay::mismatch);
    EXPECT_THROW(array<int>(segment, "nothing"), assay::not_found);
}

TEST(array, counts_that_no_memory_can_hold_are_refused) {
    for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{1} << 61, std::uint64_t{1} << 46,
                                  std::numeric_limits<std::uint64_t>::max()})
        EXPECT_THROW(static_cast<void>(array<std::uint64_t>::size_bytes(n)), std::invalid_argument);
    EXPECT_EQ(array<odd>::size_bytes(7), 91u);
}

TEST(array, elements_of_any_size_and_alignment_lie_adjacent_and_aligned) {
    posix_shm segment(unique_name(), mib);
    array<odd> a(segment, "odd", 7);
    array<wide> b(segment, "wide", 3);
    EXPECT_EQ(reinterpret_cast<char*>(&a[6]) - reinterpret_cast<char*>(&a[0]), 6 * 13);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data()) % alignof(wide), 0u);
    EXPECT_EQ(&b.back() - &b.front(), 2);
}

TEST(array, at_refuses_what_is_outside) {
    posix_shm segment(unique_name(), mib);
    array<int> a(segment, "a", 4);
    a.at(3) = 1;
    EXPECT_THROW(static_cast<void>(a.at(4)), std::out_of_range);
    EXPECT_THROW(static_cast<void>(std::as_const(a).at(4)), std::out_of_range);
}

TEST(array, iterators_and_views_agree_with_the_index) {
    posix_shm segment(unique_name(), mib);
    array<int> a(segment, "a", 50);
    std::iota(a.begin(), a.end(), 0);
    const auto& c = a;
    EXPECT_EQ(c.end() - c.begin(), 50);
    EXPECT_EQ(*a.rbegin(), 49);
    EXPECT_EQ(*(c.rend() - 1), 0);
    EXPECT_EQ(a.as_span().data(), a.data());
    EXPECT_EQ(c.as_span().size(), 50u);
    EXPECT_FALSE(c.empty());
    std::ranges::sort(a, std::greater<>());
    EXPECT_TRUE(std::ranges::is_sorted(c, std::greater<>()));
}

TEST(array, elements_outlive_the_process_that_wrote_them) {
    posix_shm segment(unique_name(), mib);
    child writer([&] {
        posix_shm mine(segment.name());
        array<int> a(mine, "a", 8);
        a.fill(3);
        ::kill(::getpid(), SIGKILL);
    });
    writer.wait();
    const array<int> a(segment, "a");
    EXPECT_EQ(std::count(a.begin(), a.end(), 3), 8);
}

}  // namespace
