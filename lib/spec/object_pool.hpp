// object_pool.hpp -- the sequential specification of assay::object_pool, of up to 8 objects. A
// handle is pack(object, tenure), where tenure says how often the object was given back before, or
// always 0 for those who do not ask for stale handles.
//   acquire()  -> a handle of some object that is free, or none exactly when all are taken
//   release(h) -> 1 when h is of the object's present tenure, else 0 (it was released before)
//   adopt(h)   -> the same; the caller owns it then
//   valid(h)   -> the same, without effect
// and what recover() does to one object, whenever it does it (no result: it may do nothing):
//   reclaim(pack(object, process)) frees the object if it is that process's
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct object_pool {
    static constexpr int nobody = -1;

    struct object {
        int owner = nobody;
        std::int64_t tenure = 0;
        auto operator<=>(const object&) const = default;
    };

    std::size_t capacity = 1;
    bool counts_tenures = false;
    std::array<object, 8> objects{};

    auto operator<=>(const object_pool&) const = default;

    [[nodiscard]] static constexpr std::int64_t pack(std::int64_t index,
                                                     std::int64_t second) noexcept {
        return second << 8 | index;
    }

    [[nodiscard]] std::vector<object_pool> after(const operation& o) const {
        if (o.result == not_tried) return {*this};
        if (o.name == "acquire") return after_acquire(o);
        object_pool next = *this;
        object& it = next.objects[static_cast<std::size_t>(o.argument & 0xff)];
        const std::int64_t second = o.argument >> 8;
        if (o.name == "reclaim") {
            if (it.owner != second) return {};
            it = {nobody, it.tenure + (counts_tenures ? 1 : 0)};
            return {next};
        }
        const bool valid = it.owner != nobody && it.tenure == second;
        if (o.result && *o.result != (valid ? 1 : 0)) return {};
        if (valid && o.name == "release") it = {nobody, it.tenure + (counts_tenures ? 1 : 0)};
        if (valid && o.name == "adopt") it.owner = o.process;
        return {next};
    }

private:
    [[nodiscard]] std::vector<object_pool> after_acquire(const operation& o) const {
        std::vector<object_pool> next;
        bool all_taken = true;
        for (std::size_t i = 0; i < capacity; ++i) {
            const object& it = objects[i];
            if (it.owner != nobody) continue;
            all_taken = false;
            if (o.result && *o.result != pack(static_cast<std::int64_t>(i), it.tenure)) continue;
            next.push_back(*this);
            next.back().objects[i].owner = o.process;
        }
        if (all_taken && (!o.result || *o.result == none)) next.push_back(*this);
        return next;
    }
};

}  // namespace assay::spec
