// large_map.hpp -- the sequential specification of assay::large_map with small integer keys and
// values.
//   insert(k, v) -> 1, or 0 exactly when k is present      argument: pack(k, v)
//   assign(k, v) -> 1 when k was absent, 0 when replaced   argument: pack(k, v)
//   find(k)      -> its value, or none exactly when absent
//   erase(k)     -> 1, or 0 exactly when absent
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct large_map {
    std::map<std::int64_t, std::int64_t> entries;

    auto operator<=>(const large_map&) const = default;

    [[nodiscard]] static constexpr std::int64_t pack(std::int32_t key,
                                                     std::int32_t value) noexcept {
        return std::int64_t{key} << 32 | static_cast<std::uint32_t>(value);
    }

    [[nodiscard]] static bool takes_value(const operation& o) noexcept {
        return o.name == "insert" || o.name == "assign";
    }
    [[nodiscard]] static std::int64_t key_of(const operation& o) noexcept {
        return takes_value(o) ? o.argument >> 32 : o.argument;
    }

    [[nodiscard]] std::vector<large_map> after(const operation& o) const {
        const std::int64_t key = key_of(o);
        const std::int64_t value = static_cast<std::int32_t>(o.argument & 0xffffffff);
        const auto at = entries.find(key);
        const bool present = at != entries.end();
        large_map next = *this;
        std::int64_t expected;
        if (o.name == "find") {
            expected = present ? at->second : none;
        } else if (o.name == "erase") {
            expected = present ? 1 : 0;
            next.entries.erase(key);
        } else {
            expected = present ? 0 : 1;
            if (!present || o.name == "assign") next.entries[key] = value;
        }
        if (o.result && *o.result != expected) return {};
        return {next};
    }
};

}  // namespace assay::spec
