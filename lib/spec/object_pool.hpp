// object_pool.hpp -- the sequential specification of assay::object_pool.
//   acquire()  -> some object that is free, or none exactly when all are taken
//   release(i) -> 1 when object i was taken (the handle is of its present life), else 0
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct object_pool {
    std::size_t capacity = 1;
    std::uint64_t taken = 0;  // a set of objects; at most 64

    auto operator<=>(const object_pool&) const = default;

    [[nodiscard]] std::vector<object_pool> after(const operation& o) const {
        std::vector<object_pool> next;
        if (o.name == "release") {
            const bool was_taken = (taken >> o.argument & 1) != 0;
            if (o.result && *o.result != (was_taken ? 1 : 0)) return {};
            return {{capacity, taken & ~(std::uint64_t{1} << o.argument)}};
        }
        for (std::size_t i = 0; i < capacity; ++i)
            if ((taken >> i & 1) == 0 && (!o.result || *o.result == static_cast<std::int64_t>(i)))
                next.push_back({capacity, taken | std::uint64_t{1} << i});
        const bool full = taken == (std::uint64_t{1} << capacity) - 1;
        if (full && (!o.result || *o.result == none)) next.push_back(*this);
        return next;
    }
};

}  // namespace assay::spec
