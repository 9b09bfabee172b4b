#include <assay/sync.hpp>

#include <gtest/gtest.h>

TEST(sync, layout_is_that_of_the_bare_type) {
    static_assert(sizeof(assay::word<std::uint64_t>) == sizeof(std::uint64_t));
    static_assert(std::is_standard_layout_v<assay::word<std::uint32_t>>);
    assay::word<std::uint32_t> w{};
    w.store(7, assay::relaxed);
    EXPECT_EQ(w.load(assay::relaxed), 7u);
}
