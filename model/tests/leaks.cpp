// leaks.cpp -- processes that are abandoned in the middle of anything leave nothing behind.
//
// ASSAY_LEAK_RUNS  runs of programs (1000). AddressSanitizer's leak check has the last word.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "assay/sync.hpp"
#include "model/scenario.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace assay::model {
namespace {

using checker::verdict;
using text = std::vector<std::string>;

// Two processes with something on the heap: one may die or wait for ever, and what the final
// check has on the heap is abandoned if the check fails.
void busy(scenario& s, bool fails) {
    shared<word<std::uint32_t>> w(s);
    const auto seen = std::make_shared<text>();
    s.process("sets", [&, seen] {
        for (std::uint32_t i = 1; i <= 3; ++i) {
            const std::string mine(100, 'x');
            w->store(i, release);
            seen->push_back(mine);
        }
    });
    s.process("awaits", [&] {
        const text mine(3, std::string(100, 'y'));
        await([&] { return died(0) || w->load(acquire) == 3; });
    });
    s.process("pauses", [&] {
        const text mine(3, std::string(100, 'z'));
        while (!died(0) && w->load(acquire) != 3) pause();
    });
    s.finally([&] {
        const text last(3, std::string(100, 'l'));
        check(!fails || seen->size() != 3 || last.empty(), "as wanted");
    });
    s.run();
}

TEST(leaks, abandoned_runs_leave_nothing) {
    const char* const wanted = std::getenv("ASSAY_LEAK_RUNS");
    const std::uint64_t runs = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 1'000;
    checker::settings how;
    how.allowed.crashes = 1;
    how.allowed.may_crash = 1;
    std::uint64_t done = 0, blocked = 0, failed = 0;
    while (done < runs) {
        const auto good = explore([](scenario& s) { busy(s, false); }, how);
        const auto bad = explore([](scenario& s) { busy(s, true); }, how);
        ASSERT_EQ(good.what, verdict::verified) << good.message;
        ASSERT_EQ(bad.what, verdict::assertion) << bad.message;
        done += good.runs + bad.runs;
        blocked += good.blocked;
        ++failed;
    }
    EXPECT_GT(blocked, 0U);
    EXPECT_GT(failed, 0U);
#if defined(__SANITIZE_ADDRESS__)
    EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
#endif
}

}  // namespace
}  // namespace assay::model
