// guess.cpp -- the guess of how much of an exploration is done, against what turned out to be the truth.
#include "model/scenario.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "assay/sync.hpp"

namespace assay::model {
namespace {

using word32 = word<std::uint32_t>;

// The guess before each run, one worker.
std::vector<double> guesses(scenario::body body) {
    std::vector<double> all;
    const auto r = explore(
        body, {}, [&](const checker::search& s, const auto&) { all.push_back(s.explored()); });
    EXPECT_EQ(all.size(), r.runs);
    return all;
}

// How far it is from the truth at the worst of all runs.
double worst(const std::vector<double>& guess) {
    double off = 0;
    for (std::size_t i = 0; i < guess.size(); ++i)
        off = std::max(
            off, std::abs(guess[i] - static_cast<double>(i) / static_cast<double>(guess.size())));
    return off;
}

// Each of seven reads has two ways, whatever the others do.
void readers_of_one_write(scenario& s) {
    shared<word32> w(s);
    s.process("writer", [&] { w->store(1, relaxed); });
    for (int i = 0; i < 7; ++i) s.process("reader", [&] { static_cast<void>(w->load(relaxed)); });
    s.run();
}

TEST(guess, is_exact_where_the_same_forks_follow_on_each_way) {
    const auto guess = guesses(readers_of_one_write);
    EXPECT_EQ(guess.size(), 128u);
    EXPECT_LT(worst(guess), 1e-9);
}

void stores_and_loads(scenario& s) {
    struct words {
        word32 x, y;
    };
    shared<words> w(s);
    for (int i = 0; i < 3; ++i) {
        s.process("one", [&] {
            w->x.store(1, relaxed);
            static_cast<void>(w->y.load(relaxed));
        });
    }
    for (int i = 0; i < 2; ++i) {
        s.process("other", [&] {
            w->y.store(1, relaxed);
            static_cast<void>(w->x.load(relaxed));
        });
    }
    s.run();
}

void increments(scenario& s) {
    shared<word32> w(s);
    for (int i = 0; i < 6; ++i) s.process("adder", [&] { w->fetch_add(1, acq_rel); });
    s.run();
}

TEST(guess, is_near_the_truth_with_revisits_and_with_read_modify_writes) {
    for (const auto body : {stores_and_loads, increments}) {
        const auto guess = guesses(body);
        ASSERT_GT(guess.size(), 300u);
        EXPECT_TRUE(std::is_sorted(guess.begin(), guess.end()));
        EXPECT_GT(guess.back(), 0.9);
        EXPECT_LE(guess.back(), 1);
        EXPECT_LT(worst(guess), 0.1);
    }
}

}  // namespace
}  // namespace assay::model
