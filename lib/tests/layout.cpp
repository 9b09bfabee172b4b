// What the bytes of a segment have in common, at the ends of their ranges.
#include "assay/layout.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace assay;

constexpr auto most = std::numeric_limits<std::uint64_t>::max();
__extension__ using wide = unsigned __int128;

// Numbers near which sums and products leave the range.
std::vector<std::uint64_t> edges() {
    std::vector<std::uint64_t> all{0, 1, 2, 3, 63, 64, 65, most, most - 1, most / 2, most / 2 + 1};
    for (int bit = 0; bit < 64; bit += 7) {
        all.push_back(std::uint64_t{1} << bit);
        all.push_back((std::uint64_t{1} << bit) - 1);
    }
    std::mt19937_64 random(7);
    for (int i = 0; i < 200; ++i) all.push_back(random() >> (random() % 64));
    return all;
}

TEST(layout, sums_and_products_are_exact_or_nothing) {
    for (const auto a : edges())
        for (const auto b : edges()) {
            const wide sum = wide{a} + b, product = wide{a} * b;
            EXPECT_EQ(checked_add(a, b).has_value(), sum <= most) << a << " + " << b;
            EXPECT_EQ(checked_mul(a, b).has_value(), product <= most) << a << " * " << b;
            if (sum <= most) {
                EXPECT_EQ(checked_add(a, b), static_cast<std::uint64_t>(sum));
            }
            if (product <= most) {
                EXPECT_EQ(checked_mul(a, b), static_cast<std::uint64_t>(product));
            }
        }
}

TEST(layout, align_up_gives_the_next_multiple) {
    for (const auto n : edges())
        for (std::uint64_t alignment = 1; alignment <= max_structure_bytes; alignment *= 2) {
            if (n > max_structure_bytes) continue;
            const auto up = align_up(n, alignment);
            EXPECT_EQ(up % alignment, 0u);
            EXPECT_GE(up, n);
            EXPECT_LT(up - n, alignment);
        }
}

TEST(layout, hash_is_fnv_1a_as_published) {
    static_assert(hash_bytes("") == 0xcbf29ce484222325);
    static_assert(hash_bytes("a") == 0xaf63dc4c8601ec8c);
    static_assert(hash_bytes("foobar") == 0x85944171f73967e8);
}

TEST(layout, words_hash_as_their_bytes_do) {
    EXPECT_EQ(hash_words({0x0807060504030201}), hash_bytes("\1\2\3\4\5\6\7\10"));
    EXPECT_NE(hash_words({1, 2}), hash_words({2, 1}));
}

struct plain {
    int a;
    char b;
};
struct same_shape {
    int c;
    char d;
};
struct named {
    static constexpr std::string_view shm_type_name = "point";
    int a;
};
struct renamed {
    static constexpr std::string_view shm_type_name = "line";
    int a;
};
enum class colour : std::uint32_t {};
struct with_destructor {
    ~with_destructor() {}
};

TEST(layout, only_plain_bytes_are_shareable) {
    static_assert(shareable<int> && shareable<plain> && shareable<colour> && shareable<bool>);
    static_assert(shareable<std::array<int, 3>> && shareable<std::byte>);
    static_assert(!shareable<int*> && !shareable<int&> && !shareable<const int>);
    static_assert(!shareable<int plain::*> && !shareable<volatile int> && !shareable<void>);
    static_assert(!shareable<std::string> && !shareable<with_destructor>);
    static_assert(!shareable<std::span<int>> && !shareable<std::string_view>);
}

TEST(layout, type_tags_tell_apart_what_every_compiler_agrees_on) {
    static_assert(type_tag<int> != type_tag<unsigned> && type_tag<int> != type_tag<float>);
    static_assert(type_tag<double> != type_tag<std::int64_t>);
    static_assert(type_tag<colour> != type_tag<std::uint32_t>);
    static_assert(type_tag<bool> != type_tag<std::uint8_t>);
    static_assert(type_tag<std::uint8_t> != type_tag<std::uint16_t>);
    static_assert(type_tag<plain> == type_tag<same_shape>, "names are not portable");
    static_assert(type_tag<named> != type_tag<renamed>, "unless the type says its own");
}

TEST(layout, every_kind_has_a_name_and_nonsense_is_unknown) {
    EXPECT_EQ(to_string(kind::raw), "raw");
    EXPECT_EQ(to_string(kind::large_map), "large_map");
    EXPECT_EQ(to_string(static_cast<kind>(8)), "unknown");
    EXPECT_EQ(to_string(static_cast<kind>(0xffffffff)), "unknown");
}

}  // namespace
