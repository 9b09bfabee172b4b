// limits.hpp -- the names of the limits that figures are compared with.
#pragma once

#include <string>
#include <vector>

#include "perf/host.hpp"

namespace assay_perf {

// What an operation costs that takes and gives back anything shared: two locked instructions.
inline const std::string two_locked_limit = "two_fetch_adds";

[[nodiscard]] inline std::string fetch_add_limit(const std::vector<int>& cpus) {
    return "fetch_add/" + placement(cpus);
}

[[nodiscard]] inline std::string round_trip_limit(bool two_lines, const std::vector<int>& pair) {
    return std::string(two_lines ? "round_trip_two_lines/" : "round_trip_one_line/") +
           placement(pair);
}

[[nodiscard]] inline std::string limit_of_transport(std::size_t payload, std::size_t capacity,
                                                    const std::vector<int>& pair) {
    return "transport/" + std::to_string(payload) + "B/cap" + std::to_string(capacity) + "/" +
           placement(pair);
}

}  // namespace assay_perf
