// litmus.hpp -- assay-stress litmus: the litmus tests of the model checker, on this host's processors.
//
// What a real processor (and the compiler before it) makes of a program must be among what the model
// allows, or the proofs are about something else. The programs and their outcomes are those that
// the checker's tests use; the build makes C++ of them (program.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay_litmus {

struct settings {
    std::vector<std::string> filters;
    std::string json, page;
    double seconds = 30;
    std::uint64_t seed = 0;
    bool list = false;
};

// The result is the exit status.
int run(const settings& s);

}  // namespace assay_litmus
