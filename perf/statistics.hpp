// statistics.hpp -- medians with quartiles, and a histogram whose buckets are at most 1 % wide.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace assay_perf {

struct quartiles {
    double low, median, high;
};

// By linear interpolation between the nearest ranks (Hyndman and Fan, "Sample quantiles", 1996,
// type 7). Throws std::invalid_argument for no values.
[[nodiscard]] inline quartiles quartiles_of(std::vector<double> values) {
    if (values.empty()) throw std::invalid_argument("quartiles of no values");
    std::ranges::sort(values);
    const auto at = [&](double part) {
        const double rank = part * static_cast<double>(values.size() - 1);
        const auto below = static_cast<std::size_t>(rank);
        const double above = values[std::min(below + 1, values.size() - 1)];
        return values[below] + (rank - std::floor(rank)) * (above - values[below]);
    };
    return {at(0.25), at(0.5), at(0.75)};
}

// Counts of times in nanoseconds, each bucket less than 1 % of its values wide (the layout of
// Tene's HdrHistogram, which Debian does not package for C++). Trivial, so that a process
// can leave it in shared memory.
class histogram {
public:
    static constexpr std::uint64_t largest = (std::uint64_t{1} << 40) - 1;  // 18 minutes

    void add(std::uint64_t ns, std::uint64_t times = 1) noexcept {
        ns = std::min(ns, largest);
        counts_[bucket(ns)] += times;
        count_ += times;
        max_ = std::max(max_, ns);
    }
    void add(const histogram& other) noexcept {
        for (std::size_t i = 0; i < buckets; ++i) counts_[i] += other.counts_[i];
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
    }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] std::uint64_t max() const noexcept { return max_; }

    // The smallest time that `percent` of all do not exceed, to within its bucket; 0 of nothing.
    [[nodiscard]] double percentile(double percent) const noexcept {
        const double wanted = std::ceil(percent / 100 * static_cast<double>(count_) - 1e-6);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets; ++i) {
            seen += counts_[i];
            if (seen != 0 && static_cast<double>(seen) >= wanted)
                return std::min(middle(i), static_cast<double>(max_));
        }
        return 0;
    }

private:
    static constexpr unsigned fine_bits = 7;  // 2^7 buckets per power of two: 0.8 % at most
    static constexpr std::size_t buckets = (40 - fine_bits + 1) << fine_bits;

    static constexpr std::size_t bucket(std::uint64_t ns) noexcept {
        if (ns < (1u << fine_bits)) return ns;
        const auto shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - fine_bits;
        return (std::size_t{shift} << fine_bits) + (ns >> shift);
    }
    static constexpr double middle(std::size_t i) noexcept {
        if (i < (2u << fine_bits)) return static_cast<double>(i);
        const std::size_t shift = (i >> fine_bits) - 1;
        const std::uint64_t first = ((i & ((1u << fine_bits) - 1)) | (1u << fine_bits)) << shift;
        return static_cast<double>(first) + static_cast<double>((1ull << shift) - 1) / 2;
    }

    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t count_ = 0, max_ = 0;
};

}  // namespace assay_perf
