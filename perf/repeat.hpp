// repeat.hpp -- one operation, again and again, by each worker of a team.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "perf/host.hpp"
#include "perf/plan.hpp"
#include "perf/team.hpp"

namespace assay_perf {

// The compiler has to compute it, and must not keep memory in registers.
template <class T>
void keep(const T& value) noexcept {
    asm volatile("" : : "m"(value) : "memory");
}

inline constexpr unsigned batch_of_repeats = 16;  // calls between two looks at the phase

// Each worker makes its operation by enter(worker), and calls it with 0, 1, 2, ...
template <class Enter>
[[nodiscard]] team_result repeat(const std::vector<int>& cpus, double seconds, Enter&& enter) {
    return run_team(cpus, seconds, [&](worker& w) {
        auto operation = enter(w);
        w.meet();
        for (std::uint64_t n = 0; w.running(n); n += batch_of_repeats)
            for (unsigned i = 0; i < batch_of_repeats; ++i) operation(n + i);
    });
}

// Nanoseconds for one, on average over the workers.
[[nodiscard]] inline outcome each(const team_result& r) {
    if (!r.failure.empty()) return {.invalid = r.failure};
    return {.value = r.ns_each(), .cpu_share = r.cpu_share};
}
// Nanoseconds for one, where those of workers [first, last) count together.
[[nodiscard]] inline outcome together(const team_result& r, unsigned first, unsigned last) {
    if (!r.failure.empty()) return {.invalid = r.failure};
    return {.value = r.ns_together(first, last), .cpu_share = r.cpu_share};
}

// Teams for a row of one process, of two, four, ... up to the host's processors.
[[nodiscard]] inline std::vector<std::vector<int>> teams() {
    const std::vector<int> all = allowed_cpus();
    std::vector<std::vector<int>> found;
    for (std::size_t n = 1; n <= all.size(); n *= 2)
        found.emplace_back(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
    return found;
}

[[nodiscard]] inline std::string processes(const std::vector<int>& cpus) {
    return std::to_string(cpus.size()) + (cpus.size() == 1 ? "process" : "processes");
}

// A figure of `contender` in the row structure/throughput/what/placement.
[[nodiscard]] inline measurement of_row(const std::string& structure, const std::string& what,
                                        const std::vector<int>& cpus, const std::string& limit,
                                        const std::string& contender,
                                        std::function<outcome(double)> run) {
    return {.name = structure + "/throughput/" + what + "/" + placement(cpus),
            .structure = structure,
            .kind = "throughput",
            .contender = contender,
            .parameters = {{"processes", cpus.size()}, {"placement", placement(cpus)}},
            .unit = "ns",
            .limit = limit,
            .cpus = cpus,
            .run = std::move(run)};
}

}  // namespace assay_perf
