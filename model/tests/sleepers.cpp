// sleepers.cpp -- mistakes in sleeping that the random programs of that name have found.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>

#include "assay/sync.hpp"
#include "model/scenario.hpp"

namespace assay::model {
namespace {

using checker::verdict;
using words = std::array<word<std::uint32_t>, 2>;

constexpr auto never = std::chrono::steady_clock::time_point::max();

void expect(scenario::body body, verdict what, std::uint64_t executions,
            const checker::settings& how = {}) {
    const checker::result r = explore(body, how);
    EXPECT_EQ(checker::name(r.what), std::string(checker::name(what))) << r.message;
    if (executions != 0) {
        EXPECT_EQ(r.executions, executions);
    }
}

TEST(sleepers, neighbouring_words_have_queues_of_their_own) {
    expect(
        [](scenario& s) {
            shared<words> w(s);
            for (const std::size_t i : {0U, 1U}) {
                s.process("sleeps", [&, i] {
                    if ((*w)[i].load(std::memory_order_acquire) == 0)
                        static_cast<void>(wait((*w)[i], 0, never));
                });
            }
            s.process("wakes", [&] {
                (*w)[0].store(1, std::memory_order_release);
                wake((*w)[0], 1);
            });
            s.run();
        },
        verdict::deadlock, 0);  // of the other, whom nobody wakes
}

// The word is changed by one who has not run yet when the search orders the calls of the others.
TEST(sleepers, who_found_the_word_changed_may_have_called_before_a_wake) {
    static std::set<bool> woke;
    woke.clear();
    const checker::result r = explore(
        [](scenario& s) {
            shared<words> w(s);
            s.process("wakes", [&] { wake((*w)[0], 1); });
            s.process("sleeps", [&] { static_cast<void>(wait((*w)[0], 0, never)); });
            s.process("stores", [&] { (*w)[0].store(1, std::memory_order_relaxed); });
            s.run();
        },
        [] {
            checker::settings how;
            how.check_liveness = false;
            return how;
        }(),
        [](const checker::search& found, const checker::runtime& run) {
            if (!run.complete()) return;
            const checker::graph& g = found.current();
            const checker::event& look = g[{1, 0}];
            if (look.val == 1) woke.insert(g[{0, 0}].rf != checker::initial);
        });
    EXPECT_EQ(checker::name(r.what), std::string("verified")) << r.message;
    EXPECT_EQ(woke,
              (std::set<bool>{false, true}));  // the wake's call after the sleeper's, and before
}

// Who wakes by itself and dies is in nobody's way: the wake goes to the one who lives.
TEST(sleepers, one_that_woke_by_itself_and_died_takes_no_wake) {
    checker::settings how;
    how.allowed.spurious_wakes = 1;
    how.allowed.crashes = 1;
    how.allowed.may_crash = 1;
    how.check_liveness = false;
    expect(
        [](scenario& s) {
            shared<words> w(s);
            s.process("dies", [&] { static_cast<void>(wait((*w)[0], 0, never)); });
            s.process("wakes", [&] {
                if (!died(0)) return;
                check(wake((*w)[0], 1) == 0, "a dead one sleeps");
            });
            s.run();
        },
        verdict::verified, 0, how);
}

}  // namespace
}  // namespace assay::model
