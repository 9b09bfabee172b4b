// array.cpp -- reads of an array in a segment, beside a vector on the heap.
#include <assay/array.hpp>

#include <memory>
#include <numeric>
#include <vector>

#include "perf/assay.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

constexpr std::size_t count = 32768;  // 256 KiB

// All elements in order; the time is for one element.
template <class Numbers>
outcome sum(const Numbers& numbers, double seconds) {
    outcome o = each(repeat({allowed_cpus().front()}, seconds, [&](worker&) {
        return [&](std::uint64_t) { keep(std::accumulate(numbers.begin(), numbers.end(), 0ull)); };
    }));
    o.value /= count;
    return o;
}

// Elements at places that a multiplication scatters.
template <class Numbers>
outcome scattered(const Numbers& numbers, double seconds) {
    return each(repeat({allowed_cpus().front()}, seconds, [&](worker&) {
        return [&](std::uint64_t n) { keep(numbers[n * 0x9e3779b97f4a7c15 >> 49]); };
    }));
}
static_assert(count == 1u << (64 - 49));

template <class F>
void add(plan& p, const std::string& what, F measured) {
    const std::vector<int> one{allowed_cpus().front()};
    p.add(of_row("array", what, one, "", "assay", [=](double seconds) {
        const auto segment = private_segment(count * 8 + 64);
        assay::array<std::uint64_t> numbers(*segment, "numbers", count);
        std::iota(numbers.begin(), numbers.end(), 0);
        return measured(numbers, seconds);
    }));
    p.add(of_row("array", what, one, "", "std::vector (one process)", [=](double seconds) {
        std::vector<std::uint64_t> numbers(count);
        std::iota(numbers.begin(), numbers.end(), 0);
        return measured(numbers, seconds);
    }));
}

const enlist rows([](plan& p) {
    add(p, "sum", [](const auto& numbers, double s) { return sum(numbers, s); });
    add(p, "scattered_reads", [](const auto& numbers, double s) { return scattered(numbers, s); });
});

}  // namespace
}  // namespace assay_perf
