// random_programs.hpp -- families of random programs, and smaller versions of a program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program.hpp"

namespace assay::proof {

// What the programs of a family are made of. Weights are relative.
struct family {
    const char* name;

    int threads_min = 2;
    int threads_max = 3;
    int per_thread_max = 4;  // instructions
    int events_max = 7;      // of the whole program
    int locations = 2;
    int plain_locations = 0;

    int loads = 4;
    int stores = 4;
    int rmws = 2;  // exchange, fetch_add
    int cases = 1;
    int weak_cases = 0;
    int fences = 1;
    int awaits = 0;
    int plain = 0;
    int skips = 1;
    int waits = 0;  // futex
    int wakes = 0;

    int sc_percent = 15;       // of the orders
    int relaxed_percent = 0;   // of the others, besides those that are so by chance
    int sc_fence_percent = 0;  // an SC fence follows an access
    int crashes_max = 0;
    int spurious_failures_max = 0;
    int spurious_wakes_max = 0;
    int identical_min = 1;  // threads that have the code of the first
    int identical_max = 1;
    bool reduce = false;  // program::reduce
};

[[nodiscard]] const std::vector<family>& families();

// A program of the family; equal seeds give equal programs.
[[nodiscard]] program random_program(const family& f, std::uint64_t seed);

// Programs that are simpler in one respect: a thread, an instruction, a dependency, a memory order,
// a budget less. What is left of a mismatch when none of them shows it is worth reading.
[[nodiscard]] std::vector<program> smaller(const program& p);

// Enumerates the executions of a program by the oracle and by the model checker. Empty if both
// find the same set, none twice, and the same verdict on races; else says what differs.
[[nodiscard]] std::string disagreement(const program& p);

}  // namespace assay::proof
