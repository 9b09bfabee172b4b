// litmus.hpp -- the named tests of the memory-model literature, with their verdicts under RC11.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "program.hpp"

namespace assay::proof {

struct litmus_test {
    std::string name;    // as published, where it is
    std::string source;  // where the test and its verdict come from; what it is about
    program code;
    // All outcomes, and no others: the final values of the registers that are read into, thread by
    // thread in program order, then '/' and the final values of the locations in `shown`.
    std::string outcomes;
    std::uint64_t executions;  // graphs, not outcomes
    std::vector<int> shown{};
    std::uint64_t stuck = 0;  // executions that wait for ever
    bool race = false;        // then nothing else is specified
};

[[nodiscard]] const std::vector<litmus_test>& litmus_tests();

// The outcome of one execution, spelled as in `outcomes`.
[[nodiscard]] std::string outcome_of(const litmus_test& test, const execution& x);
[[nodiscard]] std::set<std::string> expected_outcomes(const litmus_test& test);

}  // namespace assay::proof
