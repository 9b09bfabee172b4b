// suite.cpp -- whether the suite can be believed: it prints no number for a queue that loses an item,
// sees a stall where arithmetic says it is, and counts nothing that it dropped. Nothing here
// depends on how long anything takes.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/latency.hpp"
#include "perf/runner.hpp"
#include "perf/statistics.hpp"

namespace assay_perf {
namespace {

using number = item<8>;

// --- statistics --------------------------------------------------------------------------------

TEST(statistics, quartiles_lie_between_the_nearest_ranks) {
    const quartiles q = quartiles_of({4, 1, 3, 2});
    EXPECT_DOUBLE_EQ(q.low, 1.75);
    EXPECT_DOUBLE_EQ(q.median, 2.5);
    EXPECT_DOUBLE_EQ(q.high, 3.25);
    EXPECT_DOUBLE_EQ(quartiles_of({7}).high, 7);
    EXPECT_THROW(static_cast<void>(quartiles_of({})), std::invalid_argument);
}

TEST(statistics, a_histogram_is_wrong_by_one_percent_at_most) {
    for (double exact = 1; exact < 1e12; exact *= 1.013) {
        const auto ns = static_cast<std::uint64_t>(exact);
        histogram h;
        h.add(ns);
        h.add(histogram::largest);  // so that the maximum does not hide the bucket
        EXPECT_NEAR(h.percentile(50), static_cast<double>(ns), 0.01 * static_cast<double>(ns));
    }
}

TEST(statistics, a_percentile_is_the_smallest_time_that_so_many_do_not_exceed) {
    histogram h;
    for (std::uint64_t ns = 1; ns <= 100; ++ns) h.add(ns);
    EXPECT_DOUBLE_EQ(h.percentile(50), 50);
    EXPECT_DOUBLE_EQ(h.percentile(99), 99);
    EXPECT_DOUBLE_EQ(h.percentile(99.9), 100);
    histogram both = h;
    both.add(h);
    EXPECT_EQ(both.count(), 200u);
    EXPECT_DOUBLE_EQ(both.percentile(50), 50);
    EXPECT_EQ(both.max(), 100u);
}

// --- the probe ---------------------------------------------------------------------------------

TEST(probe, a_prober_that_was_killed_is_an_error_and_no_endless_wait) {
    const std::vector<int> all = allowed_cpus();
    if (all.size() < 2) GTEST_SKIP() << "there is one processor only";
    prober probe(all.front(), all.back());
    EXPECT_GT(probe.round_trip_ns(), 0);
    std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    pid_t whose = 0;
    if (!(children >> whose)) GTEST_SKIP() << "the kernel does not name the children of a process";
    ASSERT_EQ(::kill(whose, SIGKILL), 0);
    EXPECT_THROW(static_cast<void>(probe.round_trip_ns()), std::runtime_error);
}

// --- items -------------------------------------------------------------------------------------

// The library's queue, with one deliberate bug in one of a million items.
enum class bug { none, loses, repeats, swaps, tears };

template <class T, bug Bug>
struct broken_queue : assay_queue<T> {
    struct user : assay_queue<T>::user {
        using good = typename assay_queue<T>::user;
        using good::good;
        bool put(const T& x) {
            const bool rare = ++calls % 1'000'000 == 999;
            if (Bug == bug::loses && rare) return true;
            if (Bug == bug::tears && rare) {
                T torn = x;
                ++torn.word[T::words - 1];
                return good::put(torn);
            }
            if (Bug == bug::swaps && calls % 1'000'000 == 998) {
                kept = x;
                return true;
            }
            if (!good::put(x)) return false;
            if ((Bug == bug::repeats || Bug == bug::swaps) && rare)
                while (!good::put(Bug == bug::repeats ? x : kept)) {
                }
            return true;
        }
        std::uint64_t calls = 0;
        T kept{};
    };
};

constexpr double run_seconds = 0.02;

template <class C, class T>
outcome carried(unsigned each_side) {
    traffic t = crowd(each_side, 64, 1);
    t.wait = waits::yield;  // the tests run beside others
    return throughput<C, T>(t, run_seconds);
}

TEST(items, a_faithful_queue_gets_a_number) {
    for (const unsigned n : {1u, 2u}) {
        outcome o;
        // On a loaded host a worker may miss the whole measured time.
        for (int attempt = 0; attempt < 50 && o.invalid.empty() && !(o.value > 0); ++attempt)
            o = carried<assay_queue<number>, number>(n);
        EXPECT_EQ(o.invalid, "");
        EXPECT_GT(o.value, 0);
    }
}

template <bug Bug, class T = number>
void expect_no_number(unsigned each_side, const std::string& because) {
    outcome o;
    // On a loaded host a run may end before the first thousand items.
    for (int attempt = 0; attempt < 50 && o.invalid.empty(); ++attempt)
        o = carried<broken_queue<T, Bug>, T>(each_side);
    EXPECT_NE(o.invalid.find(because), std::string::npos) << o.invalid;
}

TEST(items, canary_a_queue_that_drops_one_item_in_a_million_gets_no_number) {
    expect_no_number<bug::loses>(1, "lost");
    expect_no_number<bug::loses>(2, "some are lost");
}
TEST(items, canary_a_queue_that_repeats_one_item_in_a_million_gets_no_number) {
    expect_no_number<bug::repeats>(1, "duplicated");
}
TEST(items, canary_a_queue_that_swaps_two_items_in_a_million_gets_no_number) {
    expect_no_number<bug::swaps>(1, "out of order");
    expect_no_number<bug::swaps>(2, "out of order");
}
TEST(items, canary_a_queue_that_tears_one_item_in_a_million_gets_no_number) {
    expect_no_number<bug::tears, item<64>>(1, "torn");
}
TEST(items, canary_items_that_are_not_those_that_went_in_are_noticed) {
    team_result r;
    r.parts.push_back({1, 1, 2, 2, 0 + 3, 0 + 9});
    r.parts.push_back({1, 1, 2, 2, 1 + 2, 1 + 4});  // as many, and the same sum
    EXPECT_NE(imbalance(r, 1), "");
}

TEST(team, a_worker_that_dies_leaves_no_number) {
    const team_result r = run_team({allowed_cpus().front()}, 0.001, [](worker& w) {
        w.meet();
        std::abort();
    });
    EXPECT_NE(r.failure.find("died"), std::string::npos) << r.failure;
}

TEST(team, a_worker_that_ends_before_it_begins_leaves_no_number) {
    const team_result r = run_team({allowed_cpus().front()}, 0.001, [](worker&) { ::_exit(0); });
    EXPECT_NE(r.failure.find("before it began"), std::string::npos) << r.failure;
}

TEST(team, a_processor_that_this_process_may_not_use_is_named_with_the_cure) {
    try {
        pin(1000);
        FAIL() << "it runs on cpu1000";
    } catch (const std::system_error& e) {
        EXPECT_NE(std::string(e.what()).find("cpu1000"), std::string::npos);
        EXPECT_NE(std::string(e.what()).find("Permit"), std::string::npos);
    }
}

// --- stalls ------------------------------------------------------------------------------------

constexpr std::uint64_t ms = 1'000'000, period = 1000 * ms, stall = 10 * ms;
constexpr std::uint64_t interval = 20'000, service = 10'000;  // busy for half of the time

// A receiver that stops for 10 ms in each second, with a clock of its own. `sent(i, free)` says
// when message i is handed over, the receiver being free from then on.
template <class Sent>
histogram simulated(Sent sent) {
    histogram times;
    std::uint64_t free = 0;
    for (std::uint64_t i = 0; i < 60 * period / interval; ++i) {
        const open_loop load{sent(i, free) - i * interval, interval};
        std::uint64_t begin = std::max(load.due(i), free);
        const std::uint64_t into = begin % period;
        if (into >= period / 2 && into < period / 2 + stall) begin += period / 2 + stall - into;
        load.arrived(times, i, begin);
        free = begin + service;
    }
    return times;
}

TEST(stall, moves_percentiles_to_the_computed_values) {
    const histogram times = simulated([](std::uint64_t i, std::uint64_t) { return i * interval; });
    for (const double percent : {99.0, 99.5, 99.9}) {
        const double computed = stalled_percentile(stall, period, 0.5, percent);
        EXPECT_NEAR(times.percentile(percent), computed, 0.05 * computed) << percent;
    }
    EXPECT_LT(times.percentile(97), 0.001 * stall);  // those that met no stall
}

// What a generator would report that waits for the receiver and counts from then.
TEST(stall, canary_coordinated_omission_hides_it) {
    const histogram times =
        simulated([](std::uint64_t i, std::uint64_t free) { return std::max(i * interval, free); });
    for (const double percent : {99.0, 99.9}) {
        const double computed = stalled_percentile(stall, period, 0.5, percent);
        EXPECT_LT(times.percentile(percent), 0.05 * computed) << percent;
    }
}

// --- conclusions -------------------------------------------------------------------------------

figure with_samples(const std::vector<double>& values, const std::string& regime) {
    figure f{.of = {.name = "x/throughput", .kind = "throughput"}};
    for (const double v : values) f.samples.push_back({v, regime, 150, 0});
    return f;
}

TEST(conclusions, a_median_is_over_the_regime_that_the_row_shares) {
    std::vector<figure> row{with_samples({1, 2, 3, 4, 5}, "near"),
                            with_samples({7, 8, 9, 10, 11}, "near"), with_samples({90}, "far")};
    row[1].samples.push_back({100, "far", 300, 5});
    conclude(row, 5);
    EXPECT_DOUBLE_EQ(row[0].middle->median, 3);
    EXPECT_TRUE(row[0].flags.empty());
    EXPECT_DOUBLE_EQ(row[1].middle->median, 9);
    EXPECT_EQ(row[1].flags, std::vector<std::string>{"mixed regimes"});
    EXPECT_FALSE(row[2].middle);
    EXPECT_EQ(row[2].flags, std::vector<std::string>{"other regime"});
}

TEST(conclusions, an_invalid_figure_prints_no_number_whatever_its_samples) {
    std::vector<figure> row{with_samples({1, 2, 3}, "far")};
    row[0].invalid = "an item was lost";
    conclude(row, 3);
    EXPECT_FALSE(row[0].middle);
    const nlohmann::json j = report({}, row)["figures"][0];
    EXPECT_TRUE(j["median"].is_null() && j["low"].is_null() && j["high"].is_null());
    EXPECT_EQ(j["flags"][0], "an item was lost");
}

TEST(conclusions, dropped_samples_are_counted_and_few_are_flagged) {
    std::vector<figure> row{with_samples({1, 2}, "far"), with_samples({}, "far")};
    row[0].starved = 3;
    conclude(row, 15);
    EXPECT_EQ(row[0].flags, std::vector<std::string>{"few samples"});
    EXPECT_EQ(row[1].flags, std::vector<std::string>{"every sample was dropped"});
    EXPECT_EQ(report({}, row)["figures"][0]["dropped"]["starved"], 3);
}

// --- limits ------------------------------------------------------------------------------------

// Two rows, one of which is compared with a limit; each run notes that it was its turn.
plan two_rows(std::string& turns) {
    plan p{.with = {.repetitions = 3, .seconds = 0}};
    const auto add = [&](const char* name, const char* kind, const char* contender,
                         const char* limit, char turn) {
        p.add({.name = name,
               .kind = kind,
               .contender = contender,
               .limit = limit,
               .what = turn == 'L' ? "as fast as can be" : "",
               .busy = false,
               .run = [&turns, turn](double) {
                   turns += turn;
                   return outcome{.value = turn == 'L' ? 2.0 : 6.0};
               }});
    };
    add("x/throughput/fast", "throughput", "assay", "transport", 'A');
    add("x/throughput/fast", "throughput", "pipe", "transport", 'B');
    add("x/throughput/free", "throughput", "assay", "", 'C');
    add("transport", "limit", "assay", "", 'L');
    return p;
}

std::vector<std::string> names_of(const plan& p) {
    std::vector<std::string> names;
    for (const measurement& m : p.all) names.push_back(m.full_name());
    return names;
}

using names = std::vector<std::string>;

TEST(limits, a_row_that_is_compared_with_one_has_it_as_its_last_contender) {
    std::string turns;
    plan p = two_rows(turns);
    choose(p, {});
    EXPECT_EQ(names_of(p), (names{"transport", "x/throughput/fast/assay", "x/throughput/fast/pipe",
                                  "x/throughput/fast/limit", "x/throughput/free/assay"}));
    EXPECT_EQ(p.all[3].limit, "transport");
    EXPECT_EQ(p.all[3].kind, "throughput");
    EXPECT_EQ(p.all[3].what, "as fast as can be");
}

TEST(limits, a_filter_leaves_the_limits_of_the_rows_that_it_names) {
    std::string turns;
    const auto chosen = [&](const std::string& filter) {
        plan p = two_rows(turns);
        choose(p, {filter});
        return names_of(p);
    };
    EXPECT_EQ(chosen("x/throughput/fast/pipe"),
              (names{"x/throughput/fast/pipe", "x/throughput/fast/limit"}));
    EXPECT_EQ(chosen("x/throughput/free"), (names{"x/throughput/free/assay"}));
    EXPECT_EQ(chosen("limits"), (names{"transport"}));
    EXPECT_EQ(chosen("warp"), names{});
}

TEST(limits, canary_a_limit_that_nobody_measures_is_named) {
    std::string turns;
    plan p = two_rows(turns);
    p.all.pop_back();
    try {
        choose(p, {});
        FAIL() << "it is measured";
    } catch (const std::runtime_error& e) {
        EXPECT_NE(std::string(e.what()).find("transport"), std::string::npos) << e.what();
    }
}

// A run that was disturbed is repeated at the end, so only the first rounds are certain.
TEST(limits, are_measured_in_turns_with_the_row) {
    std::string turns;
    plan p = two_rows(turns);
    choose(p, {"x/throughput/fast"});
    const std::vector<figure> row = measure(p);
    EXPECT_EQ(turns.substr(0, 9), "ABLABLABL");
    const nlohmann::json figures = report(p, row)["figures"];
    ASSERT_EQ(figures.size(), 3u);
    EXPECT_EQ(figures[2]["contender"], "limit");
    EXPECT_EQ(figures[2]["what"], "as fast as can be");
    EXPECT_TRUE(figures[2]["ratio_to_limit"].is_null());
}

TEST(limits, canary_a_ratio_is_to_the_limit_of_the_row_in_its_regime) {
    std::vector<figure> row{with_samples({6, 6, 6}, "near"), with_samples({2, 2}, "near")};
    row[1].of.contender = in_turns;
    for (const double v : {60.0, 60.0}) row[1].samples.push_back({v, "far", 300, 3});
    figure elsewhere = with_samples({100, 100, 100}, "near");
    elsewhere.of.name = "transport";
    elsewhere.of.kind = "limit";
    conclude(row, 3);
    row.insert(row.begin(), elsewhere);
    const nlohmann::json said = report({}, row);
    EXPECT_DOUBLE_EQ(said["figures"][0]["ratio_to_limit"], 3);

    row[2].middle.reset();  // all of its samples were dropped
    EXPECT_TRUE(report({}, row)["figures"][0]["ratio_to_limit"].is_null());
}

TEST(progress, says_nothing_about_the_time_until_something_was_done) {
    EXPECT_EQ(time_left(0.1, 0, 100), "");
    EXPECT_EQ(time_left(10, 25, 100), ", about 30 s left");
}

}  // namespace
}  // namespace assay_perf
