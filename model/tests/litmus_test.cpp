// litmus_test.cpp -- every row of the litmus table, by the oracle and by the model checker.
#include "litmus.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "oracle.hpp"

namespace assay::proof {
namespace {

struct enumerator {
    const char* name;
    summary (*enumerate)(const program&, const visitor&);
};

const enumerator oracle_side{"oracle", oracle::enumerate};
const enumerator engine_side{"checker", engine::enumerate};

class litmus : public testing::TestWithParam<litmus_test> {};

void expect_verdict(const litmus_test& test, const enumerator& side) {
    SCOPED_TRACE(std::string(side.name) + ", " + test.name + ": " + test.source + "\n" +
                 to_string(test.code));
    std::set<std::string> outcomes;
    const summary found = side.enumerate(test.code, [&](const execution& x) {
        if (x.is_complete()) outcomes.insert(outcome_of(test, x));
    });
    ASSERT_EQ(found.race, test.race);
    if (test.race) return;
    EXPECT_EQ(outcomes, expected_outcomes(test));
    EXPECT_EQ(found.complete, test.executions);
    EXPECT_EQ(found.stuck, test.stuck);
}

TEST_P(litmus, oracle_finds_exactly_the_allowed_outcomes) {
    expect_verdict(GetParam(), oracle_side);
}
TEST_P(litmus, checker_finds_exactly_the_allowed_outcomes) {
    expect_verdict(GetParam(), engine_side);
}

// GoogleTest allows letters, digits and underscores in names.
std::string test_name(const testing::TestParamInfo<litmus_test>& info) {
    std::string s;
    for (const char c : info.param.name)
        s += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
    return s;
}

INSTANTIATE_TEST_SUITE_P(table, litmus, testing::ValuesIn(litmus_tests()), test_name);

TEST(litmus_table, names_are_unique) {
    std::set<std::string> names;
    for (const litmus_test& t : litmus_tests()) EXPECT_TRUE(names.insert(t.name).second) << t.name;
}

}  // namespace
}  // namespace assay::proof
