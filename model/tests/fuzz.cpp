// fuzz.cpp -- on random programs, the model checker and the oracle find the same executions.
//
// ASSAY_FUZZ_PROGRAMS   programs per family (1000)
// ASSAY_FUZZ_SEED       of all families; printed at the start of each
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <set>
#include <sstream>

#include "oracle.hpp"
#include "random_programs.hpp"

namespace assay::proof {

void showValue(const program& p, std::ostream& out) { out << "\n" << to_string(p); }

namespace {

std::uint64_t environment(const char* name, std::uint64_t otherwise) {
    const char* s = std::getenv(name);
    return s == nullptr ? otherwise : std::strtoull(s, nullptr, 10);
}

std::uint64_t seed() {
    static const std::uint64_t chosen = environment("ASSAY_FUZZ_SEED", std::random_device()());
    return chosen;
}

rc::Gen<program> programs_of(const family& f) {
    return [&f](rc::Random random, int) {
        return rc::shrinkable::shrinkRecur(random_program(f, random.next()), [](const program& p) {
            return rc::seq::fromContainer(smaller(p));
        });
    };
}

// Checks a property of `count` programs of a family.
void for_programs(const family& f, std::uint64_t count,
                  const std::function<void(const program&)>& property) {
    std::cout << "ASSAY_FUZZ_SEED=" << seed() << " ASSAY_FUZZ_PROGRAMS=" << count << "\n";
    rc::detail::TestParams how;
    how.seed = seed();
    how.maxSuccess = static_cast<int>(count);
    const auto result =
        rc::detail::checkTestable([&] { property(*programs_of(f)); },
                                  rc::detail::TestMetadata{.id = "", .description = f.name}, how);
    if (!result.is<rc::detail::SuccessResult>()) {
        std::ostringstream message;
        rc::detail::printResultMessage(result, message);
        ADD_FAILURE() << message.str();
    }
}

class fuzz : public testing::TestWithParam<family> {};

TEST_P(fuzz, checker_and_oracle_find_the_same_executions) {
    for_programs(GetParam(), environment("ASSAY_FUZZ_PROGRAMS", 1000), [&](const program& p) {
        const std::string difference = disagreement(p);
        if (!difference.empty()) RC_FAIL(difference);
    });
}

// The two shortcuts of the oracle (oracle.hpp) change nothing.
TEST_P(fuzz, oracle_needs_no_shortcut) {
    family f = GetParam();
    // The number of interleavings is exponential, and greatest where many threads have equal length.
    f.events_max = std::min(f.events_max, f.reduce ? 5 : 6);
    const std::uint64_t count = environment("ASSAY_FUZZ_PROGRAMS", 1000) / 40;
    for_programs(f, count, [&](const program& p) {
        const auto found = [&](oracle::shortcuts use) {
            std::set<std::string> all;
            const summary s = oracle::enumerate(
                p, [&](const execution& x) { all.insert(canonical(x)); }, use);
            return s.race ? std::set<std::string>{"race"} : all;
        };
        const auto quick = found({});
        RC_ASSERT(quick == found({.prune_prefixes = false}));
        RC_ASSERT(quick == found({.one_interleaving = false}));
    });
}

INSTANTIATE_TEST_SUITE_P(programs, fuzz, testing::ValuesIn(families()),
                         [](const auto& f) { return std::string(f.param.name); });

}  // namespace
}  // namespace assay::proof
