// mrsw_array.hpp -- the sequential specification of assay::mrsw_array with up to four elements that
// are small integers, 0 to 255. Versions are compared by their last 16 bits.
//   write(i, v) -> the new version   argument: pack(i, v)
//   fill(v)     -> the new version; all elements are v, at once
//   recover()   -> 1 and a new version with the same elements, or 0
//   snapshot()  -> image(): the version and all elements
//   read(i)     -> element i
//   version()   -> the version
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct mrsw_array {
    std::uint64_t version = 0;
    std::vector<std::int64_t> elements;

    auto operator<=>(const mrsw_array&) const = default;

    [[nodiscard]] static constexpr std::int64_t pack(std::int64_t index,
                                                     std::int64_t value) noexcept {
        return index << 8 | value;
    }
    [[nodiscard]] static std::int64_t number(std::uint64_t version) noexcept {
        return static_cast<std::int64_t>(version & 0xffff);
    }
    [[nodiscard]] std::int64_t image() const noexcept {
        std::int64_t all = number(version);
        for (const std::int64_t e : elements) all = all << 8 | e;
        return all;
    }

    [[nodiscard]] std::vector<mrsw_array> after(const operation& o) const {
        const auto possible = [&o](std::int64_t result) {
            return !o.result || *o.result == result;
        };
        const auto index = static_cast<std::size_t>(o.argument);
        if (o.name == "snapshot" || o.name == "version" || o.name == "read") {
            const std::int64_t seen = o.name == "read"      ? elements[index]
                                      : o.name == "version" ? number(version)
                                                            : image();
            return possible(seen) ? std::vector{*this} : std::vector<mrsw_array>{};
        }
        std::vector<mrsw_array> next;
        if (o.name == "recover" && possible(0)) next.push_back(*this);
        mrsw_array newer{version + 1, elements};
        if (o.name == "write") newer.elements[index >> 8] = o.argument & 0xff;
        if (o.name == "fill") newer.elements.assign(elements.size(), o.argument);
        if (possible(o.name == "recover" ? 1 : number(newer.version))) next.push_back(newer);
        return next;
    }
};

}  // namespace assay::spec
