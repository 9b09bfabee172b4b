// table.cpp -- finding a name among the 64 that a table holds, beside a hash table in one process.
#include <array>
#include <random>
#include <string>
#include <unordered_map>

#include "perf/assay.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

constexpr std::size_t names = 64;

std::array<std::string, names> some_names(std::uint64_t seed) {
    std::mt19937_64 dice(seed);
    std::array<std::string, names> all;
    for (std::size_t i = 0; i < names; ++i)
        all[i] = "prices_" + std::to_string(i) + "_" + std::to_string(dice() % 1'000'000);
    return all;
}

outcome find_in_table(const std::vector<int>& cpus, std::uint64_t seed, double seconds) {
    const auto segment = private_segment(names * 64);
    const auto all = some_names(seed);
    for (const std::string& name : all) segment->get_table()->allocate(name, 64);
    return each(repeat(cpus, seconds, [&](worker& w) {
        return [&, &table = *segment->get_table()](std::uint64_t n) {
            const auto* const found = table.find(all[n * 29 % names]);
            if (found == nullptr) w.fail("a name was not found");
            keep(found);
        };
    }));
}

outcome find_in_map(const std::vector<int>& cpus, std::uint64_t seed, double seconds) {
    const auto all = some_names(seed);
    std::unordered_map<std::string, std::uint64_t> map;
    for (std::size_t i = 0; i < names; ++i) map[all[i]] = i;
    return each(repeat(cpus, seconds, [&](worker&) {
        return [&](std::uint64_t n) { keep(map.find(all[n * 29 % names])->second); };
    }));
}

const enlist rows([](plan& p) {
    for (const auto& cpus : teams()) {
        const std::string what = "find/64entries/" + processes(cpus);
        const auto seed = p.with.seed;
        p.add(of_row("table", what, cpus, "", "assay",
                     [=](double s) { return find_in_table(cpus, seed, s); }));
        p.add(of_row("table", what, cpus, "", "std::unordered_map (one process)",
                     [=](double s) { return find_in_map(cpus, seed, s); }));
    }
});

}  // namespace
}  // namespace assay_perf
