// payload.hpp -- elements that show where they come from, and whether they are whole.
#pragma once

#include <cstdint>

namespace assay_stress {

// `Words` words of filling make the copy slow enough to be caught half done.
template <unsigned Words>
struct stamped {
    std::uint64_t from = 0;
    std::uint64_t number = 0;
    std::uint64_t filling[Words] = {};
    std::uint64_t sum = 0;

    static stamped make(std::uint64_t who, std::uint64_t n) noexcept {
        stamped s;
        s.from = who;
        s.number = n;
        for (unsigned i = 0; i < Words; ++i) s.filling[i] = mix(who, n + i);
        s.sum = s.total();
        return s;
    }
    [[nodiscard]] bool whole() const noexcept {
        for (unsigned i = 0; i < Words; ++i)
            if (filling[i] != mix(from, number + i)) return false;
        return sum == total();
    }

private:
    static std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
        return (a * 0x9e3779b97f4a7c15 + b) * 0xbf58476d1ce4e5b9;
    }
    [[nodiscard]] std::uint64_t total() const noexcept {
        std::uint64_t t = mix(number, from);
        for (const std::uint64_t f : filling) t = mix(t, f);
        return t;
    }
};

}  // namespace assay_stress
