// table.hpp -- the sequential specification of assay::table: names, and the space that belongs to
// them. Space is counted in cells of one size, at most 30 of them.
//   allocate(name, n) -> the first cell of n free ones in a row, the lowest that there are; or none,
//                        exactly when the name is taken, no n are free in a row, or no entry is free
//   find(name)        -> its first cell, or none exactly when absent
//   erase(name)       -> 1, or 0 exactly when absent; the cells are free again
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct table {
    std::int64_t cells = 1;
    std::size_t entries = 1;
    std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>> used;  // name: first, count

    auto operator<=>(const table&) const = default;

    [[nodiscard]] static constexpr std::int64_t pack(std::int32_t name, std::int32_t n) noexcept {
        return std::int64_t{name} << 32 | n;
    }

    [[nodiscard]] std::vector<table> after(const operation& o) const {
        table next = *this;
        std::int64_t expected = none;
        if (o.name == "find") {
            if (const auto at = used.find(o.argument); at != used.end())
                expected = at->second.first;
        } else if (o.name == "erase") {
            expected = next.used.erase(o.argument) != 0 ? 1 : 0;
        } else {
            const std::int64_t name = o.argument >> 32, n = o.argument & 0xffffffff;
            if (!used.contains(name) && used.size() < entries) expected = gap(n);
            if (expected != none) next.used[name] = {expected, n};
        }
        if (o.result && *o.result != expected) return {};
        return {next};
    }

private:
    [[nodiscard]] std::int64_t gap(std::int64_t n) const {
        std::uint64_t taken = 0;
        for (const auto& [name, range] : used)
            taken |= ((std::uint64_t{1} << range.second) - 1) << range.first;
        const std::uint64_t row = (std::uint64_t{1} << n) - 1;
        for (std::int64_t at = 0; at + n <= cells; ++at)
            if ((taken >> at & row) == 0) return at;
        return none;
    }
};

}  // namespace assay::spec
