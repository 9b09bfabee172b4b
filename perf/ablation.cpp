// ablation.cpp -- each optimisation against the same code without it.
#include <assay/array.hpp>

#include <algorithm>
#include <atomic>
#include <random>
#include <vector>

#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

void add(plan& p, const std::string& what, const std::string& variant, const std::vector<int>& cpus,
         std::function<outcome(double)> run) {
    measurement m = of_row("ablation", what, cpus, "", variant, std::move(run));
    m.name = "ablation/" + what + "/" + placement(cpus);
    m.kind = "ablation";
    p.add(std::move(m));
}

// --- a line of its own -------------------------------------------------------------------------

// Two processes, each with a counter of its own: on one line, or on two.
outcome counters(const std::vector<int>& pair, std::size_t apart, double seconds) {
    using word = std::atomic<std::uint64_t>;
    const shared_memory memory(4096);
    return each(repeat(pair, seconds, [&](worker& w) {
        word& mine = *new (static_cast<std::byte*>(memory.get()) + w.index * apart) word(0);
        return [&mine](std::uint64_t) { mine.fetch_add(1, std::memory_order_relaxed); };
    }));
}

// --- prefetch ----------------------------------------------------------------------------------

constexpr std::size_t many_numbers = 1 << 23;  // 64 MiB: beyond most caches
constexpr std::size_t ahead = 8;               // as in the seed's example

// A sum over elements in random order, known in advance.
template <bool Prefetch>
outcome gather(std::uint64_t seed, double seconds) {
    const auto segment = private_segment(many_numbers * 8 + 64);
    assay::array<std::uint64_t> numbers(*segment, "numbers", many_numbers);
    std::mt19937_64 dice(seed);
    std::vector<std::uint32_t> order(1 << 20);
    for (auto& i : order) i = static_cast<std::uint32_t>(dice() % many_numbers);
    return each(repeat({allowed_cpus().front()}, seconds, [&](worker&) {
        return [&, sum = std::uint64_t{0}](std::uint64_t n) mutable {
            const std::size_t mask = order.size() - 1;
            if (Prefetch) __builtin_prefetch(&numbers[order[(n + ahead) & mask]], 0, 1);
            // Some work that needs the element, so that the next read cannot begin by itself.
            sum += numbers[order[n & mask]];
            for (int i = 0; i < 8; ++i) sum = sum * 0x9e3779b97f4a7c15 + 1;
            keep(sum);
        };
    }));
}

// --- branch-free -------------------------------------------------------------------------------

// The smaller of two random numbers. So many that no predictor learns them by heart.
template <class Min>
outcome minimum(std::uint64_t seed, Min min, double seconds) {
    std::mt19937_64 dice(seed);
    std::vector<std::uint64_t> numbers(1 << 20);
    for (auto& x : numbers) x = dice();
    return each(repeat({allowed_cpus().front()}, seconds, [&](worker&) {
        return [&](std::uint64_t n) {
            const std::size_t mask = numbers.size() - 1;
            keep(min(numbers[n & mask], numbers[(n + 1) & mask]));
        };
    }));
}

std::uint64_t branching_min(std::uint64_t a, std::uint64_t b) {
    if (a > b) {
        asm volatile("");  // or the compiler makes it branch-free, too
        return b;
    }
    return a;
}
std::uint64_t branch_free_min(std::uint64_t a, std::uint64_t b) {
    return a ^ ((a ^ b) & -std::uint64_t{a > b});
}

const enlist rows([](plan& p) {
    const std::vector<int> one{allowed_cpus().front()};
    const auto seed = p.with.seed;
    for (const auto& pair : pairs()) {
        add(p, "line_of_its_own/two_counters", "with", pair,
            [=](double s) { return counters(pair, 64, s); });
        add(p, "line_of_its_own/two_counters", "without", pair,
            [=](double s) { return counters(pair, 8, s); });
        using ring = assay_ring_buffer<item<8>>;
        for (const std::size_t batch : {most_batch, std::size_t{1}})
            add(p, "bulk/ring_buffer_8B", batch == 1 ? "without" : "with", pair, [=](double s) {
                return throughput<ring, item<8>>({1, 1, few, batch, waits::spin, pair}, s);
            });
    }
    add(p, "prefetch/random_sum_64MiB", "with", one,
        [=](double s) { return gather<true>(seed, s); });
    add(p, "prefetch/random_sum_64MiB", "without", one,
        [=](double s) { return gather<false>(seed, s); });
    add(p, "branch_free/minimum", "with", one,
        [=](double s) { return minimum(seed, branch_free_min, s); });
    add(p, "branch_free/minimum", "without", one,
        [=](double s) { return minimum(seed, branching_min, s); });
});

}  // namespace
}  // namespace assay_perf
