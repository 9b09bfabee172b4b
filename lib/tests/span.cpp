// Spans: the bounds, and the iterators of a heap array.
#include <assay/span.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <ranges>
#include <vector>

namespace {

using assay::span;

static_assert(std::ranges::contiguous_range<span<int>>);
static_assert(std::ranges::sized_range<span<int>>);
static_assert(std::is_convertible_v<span<int>, span<const int>>);
static_assert(!std::is_convertible_v<span<const int>, span<int>>);
static_assert(std::is_convertible_v<span<int>, std::span<int>>);
static_assert(!assay::shareable<span<int>>, "a view contains a pointer of one process");
static_assert(!assay::shareable<std::span<int>> && !assay::shareable<int*>);

TEST(span, at_refuses_exactly_the_indices_that_are_outside) {
    int data[5] = {1, 2, 3, 4, 5};
    const span<int> s(data, 5);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(&s.at(i), data + i);
    for (const std::size_t i :
         {std::size_t{5}, std::size_t{6}, std::numeric_limits<std::size_t>::max()})
        EXPECT_THROW(static_cast<void>(s.at(i)), std::out_of_range) << i;
}

TEST(span, the_error_names_index_and_size) {
    int data[3] = {};
    try {
        static_cast<void>(span<int>(data, 3).at(7));
        FAIL();
    } catch (const std::out_of_range& e) {
        EXPECT_NE(std::string(e.what()).find("7"), std::string::npos);
        EXPECT_NE(std::string(e.what()).find("3 elements"), std::string::npos);
    }
}

TEST(span, subspan_is_inside_or_refused_even_when_the_sum_wraps) {
    int data[5] = {1, 2, 3, 4, 5};
    const span<int> s(data, 5);
    for (std::size_t offset = 0; offset <= 7; ++offset)
        for (std::size_t count = 0; count <= 7; ++count)
            if (offset + count <= 5) {
                const auto sub = s.subspan(offset, count);
                EXPECT_EQ(sub.data(), data + offset);
                EXPECT_EQ(sub.size(), count);
            } else {
                EXPECT_THROW(static_cast<void>(s.subspan(offset, count)), std::out_of_range);
            }
    constexpr auto most = std::numeric_limits<std::size_t>::max();
    EXPECT_THROW(static_cast<void>(s.subspan(1, most)), std::out_of_range);
    EXPECT_THROW(static_cast<void>(s.subspan(most, 2)), std::out_of_range);
}

TEST(span, algorithms_and_ranges_see_the_elements_in_order) {
    std::vector<int> v(100);
    std::iota(v.begin(), v.end(), 0);
    const span<int> s(v.data(), v.size());
    EXPECT_TRUE(std::equal(s.begin(), s.end(), v.begin(), v.end()));
    EXPECT_TRUE(std::equal(s.rbegin(), s.rend(), v.rbegin(), v.rend()));
    EXPECT_EQ(std::accumulate(s.begin(), s.end(), 0), 4950);
    EXPECT_EQ(s.front(), 0);
    EXPECT_EQ(s.back(), 99);
    EXPECT_EQ(s.size_bytes(), 100 * sizeof(int));
    std::ranges::reverse(s);
    EXPECT_EQ(v.front(), 99);
    const span<const int> constant = s;
    EXPECT_EQ(constant[0], 99);
    EXPECT_EQ(std::span<const int>(constant).size(), 100u);
}

TEST(span, an_empty_span_has_no_elements) {
    const span<int> s;
    EXPECT_TRUE(s.empty());
    EXPECT_EQ(s.begin(), s.end());
    EXPECT_THROW(static_cast<void>(s.at(0)), std::out_of_range);
    EXPECT_EQ(s.subspan(0, 0).size(), 0u);
}

}  // namespace
