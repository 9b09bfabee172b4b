// program.hpp -- litmus tests as straight C++ on real words: what model/litmus_code.cpp writes into the build.
#pragma once

#include <assay/sync.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay_litmus {

using enum std::memory_order;
using value = std::int32_t;

// Runs one thread of n instances, one after the other. Each instance has its own locations, of which
// `at` has the addresses, and leaves its thread's results in `out`.
using thread_code = void (*)(void* const* at, value* out, std::size_t n);

struct thread {
    thread_code run;
    std::size_t results;  // values for each instance
};

struct test {
    const char* name;
    const char* source;
    std::vector<thread> threads;
    std::vector<value> initial;      // of each location, atomic ones first
    std::size_t atomic;              // so many of them
    std::vector<std::size_t> shown;  // locations whose final values belong to the outcome
    // Outcomes, separated by blanks: the values of all threads, '/', the final values.
    const char* allowed;      // under RC11
    const char* interleaved;  // those of them that some interleaving has
    const char* why_not;      // it cannot be run; or null
    bool canary;              // `allowed` is a deliberate mistake
};

// Written by model/litmus_code.cpp.
[[nodiscard]] std::vector<test> all_tests();

// For what it writes:

inline assay::word<value>& word_at(void* p) { return *static_cast<assay::word<value>*>(p); }
inline assay::cell<value>& cell_at(void* p) { return *static_cast<assay::cell<value>*>(p); }

// Arithmetic wraps.
inline value sum(value a, value b, value c = 0) {
    return static_cast<value>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b) +
                              static_cast<std::uint32_t>(c));
}

// Between two looks at a location that has not got its value yet.
void look_again();

}  // namespace assay_litmus
