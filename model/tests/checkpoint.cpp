// A stopped exploration goes on where it stopped: nothing is explored twice, and nothing is missed.
#include "../checker/checkpoint.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "assay/sync.hpp"
#include "model/scenario.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// n processes store to and load from one word: (n!)^2 executions.
template <int N>
void store_and_load(scenario& s) {
    shared<word<std::uint32_t>> w(s);
    for (int i = 0; i < N; ++i)
        s.process("p", [&, i] {
            w->store(static_cast<std::uint32_t>(i), std::memory_order_relaxed);
            static_cast<void>(w->load(std::memory_order_relaxed));
        });
    s.run();
}

// Compare-exchange loops, a death and spurious failures: every type of item.
void counted_by_three_who_may_die(scenario& s) {
    shared<word<std::uint32_t>> w(s);
    for (int i = 0; i < 3; ++i)
        s.process("p", [&] {
            std::uint32_t seen = w->load(std::memory_order_relaxed);
            while (!w->compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel,
                                             std::memory_order_relaxed)) {
            }
        });
    s.finally([&] { check(w->load(std::memory_order_relaxed) <= 3); });
    s.run();
}

struct temporary {
    std::string path = testing::TempDir() + "assay-checkpoint-" + std::to_string(getpid());
    ~temporary() { static_cast<void>(std::remove(path.c_str())); }
};

// Explores in pieces of so many executions, through the file each time. Returns the last result.
checker::result in_pieces(scenario::body body, checker::settings how, std::uint64_t piece,
                          int& pieces) {
    const temporary file;
    how.keep_open_work = true;
    how.stop_at.executions = piece;
    for (pieces = 1;; ++pieces) {
        const checker::result r = explore(body, how);
        if (!r.open) return r;
        EXPECT_EQ(r.what, verdict::bounded);
        checker::save(*r.open, describe(how), file.path);
        how.resume = std::make_shared<checker::checkpoint>(checker::load(describe(how), file.path));
        how.workers = how.workers % 3 + 1;
    }
}

void expect_equal(const checker::result& a, const checker::result& b) {
    EXPECT_EQ(a.what, b.what) << a.message << b.message;
    EXPECT_EQ(a.executions, b.executions);
    EXPECT_EQ(a.blocked, b.blocked);
    EXPECT_EQ(a.runs, b.runs);
    EXPECT_EQ(a.revisits, b.revisits);
    EXPECT_EQ(a.rejected, b.rejected);
}

TEST(checkpoint, many_interruptions_do_not_change_the_counts) {
    for (const unsigned workers : {1u, 2u}) {
        checker::settings how;
        how.workers = workers;
        const checker::result whole = explore(store_and_load<6>, how);
        EXPECT_EQ(whole.executions, 518400u);
        int pieces = 0;
        expect_equal(in_pieces(store_and_load<6>, how, 60000, pieces), whole);
        EXPECT_EQ(pieces, 9);
    }
}

TEST(checkpoint, every_type_of_item_goes_on) {
    checker::settings how;
    how.allowed.crashes = 1;
    how.allowed.spurious_failures = 1;
    const checker::result whole = explore(counted_by_three_who_may_die, how);
    EXPECT_GT(whole.executions, 1000u);
    int pieces = 0;
    expect_equal(in_pieces(counted_by_three_who_may_die, how, 1 + whole.runs / 50, pieces), whole);
    EXPECT_GT(pieces, 20);
}

TEST(checkpoint, interrupt_leaves_the_rest_open) {
    const std::atomic<bool> at_once{true};
    checker::settings how;
    how.interrupted = &at_once;
    how.keep_open_work = true;
    const checker::result first = explore(store_and_load<4>, how);
    EXPECT_EQ(first.what, verdict::bounded);
    EXPECT_EQ(first.message, "interrupted");
    ASSERT_TRUE(first.open);
    how.interrupted = nullptr;
    how.resume = first.open;
    EXPECT_EQ(explore(store_and_load<4>, how).executions, 576u);
}

TEST(checkpoint, of_something_else_is_refused_with_the_reason) {
    const temporary file;
    checker::settings how;
    how.keep_open_work = true;
    how.stop_at.executions = 10;
    const checker::result r = explore(store_and_load<4>, how);
    ASSERT_TRUE(r.open);
    checker::save(*r.open, describe(how), file.path);
    const auto reason = [&](const checker::settings& other) {
        try {
            static_cast<void>(checker::load(describe(other), file.path));
        } catch (const checker::bad_checkpoint& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    EXPECT_EQ(reason(how), "");
    checker::settings other = how;
    other.allowed.crashes = 1;
    EXPECT_NE(reason(other).find("made with 'deaths: 0', and this is 'deaths: 1'"),
              std::string::npos)
        << reason(other);
    other = how;
    other.weaker.push_back({"a.hpp", 1, checker::order::relaxed});
    EXPECT_NE(reason(other), "");

    std::fstream damaged(file.path, std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(400);
    damaged.put('!').put('?');
    damaged.close();
    EXPECT_NE(reason(how).find("damaged"), std::string::npos) << reason(how);
    std::remove(file.path.c_str());
    EXPECT_NE(reason(how).find("No such file"), std::string::npos) << reason(how);
}

}  // namespace
}  // namespace assay::model
