// team.hpp -- processes that run many instances of a litmus test at the same time, and what came out.
//
// As in litmus7 (Alglave, Maranget, Sarkar, Sewell: "Litmus: Running tests against hardware", TACAS
// 2011): one instance lasts nanoseconds, to begin together takes a hundred, so a team begins a
// row of instances together and goes through it in step. Where the instances lie, how long a row is,
// who begins late, who has the lines in its cache, and on which processors the team runs is drawn
// anew for every few batches.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "stress/litmus/program.hpp"

namespace assay_litmus {

inline constexpr std::size_t most_threads = 8, most_values = 16;

using outcome = std::vector<value>;  // of the threads in turn, then the final values

struct tally {
    std::map<outcome, std::uint64_t> seen;
    std::uint64_t instances = 0;
};

// Processors that this process may use.
[[nodiscard]] std::vector<int> processors();

// Runs the test for so long. Throws std::runtime_error when a process of the team dies or hangs.
[[nodiscard]] tally run_team(const test& t, double seconds, std::uint64_t seed);

}  // namespace assay_litmus
