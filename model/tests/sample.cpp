// sample.cpp -- executions taken by chance are executions, find what is rare, and can be repeated.
#include "model/checker/sample.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <string>

#include "assay/sync.hpp"
#include "model/scenario.hpp"

namespace assay::model {
namespace {

using checker::strategy;
using checker::verdict;
using word32 = word<std::uint32_t>;

constexpr checker::sampling walk(std::uint64_t n) { return {n, 7, strategy::walk, 3}; }
constexpr checker::sampling pct(std::uint64_t n, unsigned depth = 3) {
    return {n, 7, strategy::pct, depth};
}

// All kinds of choices, and few enough executions to meet each of them.
void everything(scenario& s) {
    struct words {
        word32 x, y, bell;
    };
    shared<words> w(s);
    s.process("one", [&] {
        std::uint32_t seen = 0;
        static_cast<void>(w->x.compare_exchange_weak(seen, 1, acq_rel, relaxed));
        w->y.store(1, relaxed);
        w->bell.store(1, release);
        wake(w->bell, everyone);
    });
    s.process("two", [&] {
        w->y.store(2, seq_cst);
        static_cast<void>(w->x.fetch_add(2, seq_cst));
    });
    s.process("sleeps", [&] {
        while (w->bell.load(acquire) == 0) static_cast<void>(wait(w->bell, 0, deadline::max()));
        static_cast<void>(w->x.load(relaxed));
    });
    s.run();
}

checker::settings of_everything() {
    checker::settings how;
    how.allowed.spurious_failures = 1;
    how.allowed.spurious_wakes = 1;
    return how;
}

TEST(sample, meets_every_execution_and_no_other) {
    std::set<std::uint64_t> all;
    const auto explored =
        explore(everything, of_everything(), [&](const checker::search& found, const auto& r) {
            if (r.complete()) all.insert(fingerprint(found.current()));
        });
    ASSERT_EQ(explored.what, verdict::verified) << explored.message;
    const auto r = sample(everything, of_everything(), walk(1000 * all.size()));
    EXPECT_EQ(r.what, verdict::bounded) << r.message;
    EXPECT_EQ(r.blocked, 0u);
    EXPECT_EQ(r.distinct, all.size());
}

TEST(sample, waits_end_when_what_they_wait_for_comes) {
    for (const auto& which : {walk(200), pct(200)}) {
        const auto r = sample(
            [](scenario& s) {
                shared<std::array<word32, 2>> w(s);
                s.process("awaits", [&] { await([&] { return (*w)[0].load(acquire) == 2; }); });
                s.process("pauses", [&] {
                    while ((*w)[0].load(acquire) != 1) pause();
                    (*w)[0].store(2, release);
                });
                s.process("sets", [&] { (*w)[0].store(1, release); });
                s.run();
            },
            {}, which);
        EXPECT_EQ(r.what, verdict::bounded) << r.message;
        EXPECT_EQ(r.executions, 200u);
    }
}

// --- planted bugs --------------------------------------------------------------------------------

// Depth 2: one process must stop in the middle of a read and a write, far down its path.
template <std::uint32_t Length>
void lost_update(scenario& s) {
    struct words {
        word32 count, other;
    };
    shared<words> w(s);
    for (const bool first : {true, false})
        s.process(first ? "first" : "second", [&, first] {
            for (std::uint32_t i = 0; i < Length; ++i) w->other.fetch_add(1, acq_rel);
            if (first) {
                w->count.store(w->count.load(acquire) + 1, release);
            } else {
                static_cast<void>(w->count.fetch_add(1, acq_rel));
            }
        });
    s.finally([&] { check(w->count.load(relaxed) == 2, "an update is lost"); });
    s.run();
}

// Depth 3: two orders in a row have to be unusual.
template <std::uint32_t Length>
void two_unusual_orders(scenario& s) {
    struct words {
        word32 a, b, other;
    };
    shared<words> w(s);
    s.process("first", [&] {
        for (std::uint32_t i = 0; i < Length; ++i) w->other.fetch_add(1, acq_rel);
        w->a.store(1, seq_cst);
        w->a.store(0, seq_cst);
        w->b.store(1, seq_cst);
        w->b.store(0, seq_cst);
    });
    s.process("second", [&] {
        if (w->a.load(seq_cst) == 1) check(w->b.load(seq_cst) == 0, "both windows were hit");
    });
    s.run();
}

TEST(sample, canary_finds_planted_bugs_within_the_stated_number) {
    struct planted {
        scenario::body body;
        checker::sampling which;
    };
    for (const auto& [body, which] :
         {planted{lost_update<20>, walk(200)}, planted{lost_update<20>, pct(2000, 2)},
          planted{two_unusual_orders<20>, pct(100000, 3)}}) {
        const auto found = sample(body, {}, which);
        ASSERT_EQ(found.what, verdict::assertion) << which.samples;
        const auto again = replay(body, {}, found.script);
        EXPECT_EQ(again.what, found.what);
        EXPECT_EQ(again.message, found.message);
        EXPECT_EQ(fingerprint(*again.counterexample), fingerprint(*found.counterexample));
    }
}

TEST(sample, equal_seeds_give_equal_samples) {
    const auto a = sample(lost_update<20>, {}, walk(5000)),
               b = sample(lost_update<20>, {}, walk(5000));
    EXPECT_EQ(a.runs, b.runs);
    EXPECT_EQ(a.script, b.script);
}

}  // namespace
}  // namespace assay::model
