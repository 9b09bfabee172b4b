// replay.cpp -- scripts: every execution can be run again from its line of text, and a line
// that does not belong to the program is refused, with where. (That the script of every
// counterexample leads back to it, assay-model checks whenever it prints one.)
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "assay/ring_buffer.hpp"
#include "assay/sync.hpp"
#include "model/explain.hpp"
#include "model/smallest.hpp"

namespace assay::model {
namespace {

using checker::bad_script;
using checker::fingerprint;
using word32 = word<std::uint32_t>;

void stores_and_loads(scenario& s) {
    struct words {
        word32 x, y;
    };
    shared<words> w(s);
    s.process("one", [&] {
        w->x.store(1, seq_cst);
        w->y.store(1, seq_cst);
        static_cast<void>(w->y.fetch_add(2, acq_rel));
    });
    s.process("two", [&] {
        w->y.store(3, relaxed);
        static_cast<void>(w->x.load(seq_cst));
        static_cast<void>(w->y.exchange(4, relaxed));
    });
    s.process("three", [&] {
        static_cast<void>(w->y.load(acquire));
        static_cast<void>(w->x.load(relaxed));
    });
    s.run();
}

void weak_exchanges(scenario& s) {
    shared<word32> w(s);
    for (const std::uint32_t mine : {1u, 2u})
        s.process(mine == 1 ? "one" : "two", [&, mine] {
            std::uint32_t seen = 0;
            while (!w->compare_exchange_weak(seen, seen + mine, acq_rel, relaxed)) {
            }
        });
    s.run();
}

void sleepers_and_a_waker(scenario& s) {
    shared<word32> bell(s);
    for (const char* name : {"sleeper", "other sleeper"})
        s.process(name, [&] {
            if (bell->load(acquire) == 0) static_cast<void>(wait(*bell, 0, deadline::max()));
        });
    s.process("waker", [&] {
        bell->store(1, release);
        wake(*bell, everyone);
    });
    s.run();
}

void plain_data_and_deaths(scenario& s) {
    struct pair {
        cell<int> a, b;
        word32 full;
    };
    shared<pair> p(s);
    p->a.write(0);
    p->b.write(0);
    s.process("writer", [&] {
        p->a.write(1);
        p->b.write(2);
        p->full.store(1, release);
    });
    s.process("reader", [&] {
        if (p->full.load(acquire) == 1 || died(0)) static_cast<void>(p->a.read() + p->b.read());
    });
    s.run();
}

struct sample {
    scenario::body body;
    checker::settings how;
};

std::vector<sample> samples() {
    std::vector<sample> all{{stores_and_loads, {}},
                            {weak_exchanges, {}},
                            {sleepers_and_a_waker, {}},
                            {plain_data_and_deaths, {}}};
    all[1].how.allowed.spurious_failures = 2;
    all[2].how.allowed.spurious_wakes = 2;
    all[2].how.allowed.crashes = 1;
    all[2].how.check_liveness = false;  // a dead waker
    all[3].how.allowed.crashes = 2;
    return all;
}

TEST(replay, every_execution_can_be_run_again_from_its_script) {
    for (const sample& s : samples()) {
        std::vector<std::pair<std::string, std::uint64_t>> seen;
        const auto r = explore(s.body, s.how, [&](const checker::search& found, const auto&) {
            seen.emplace_back(checker::script(found.current()).text(),
                              fingerprint(found.current()));
        });
        ASSERT_EQ(r.what, checker::verdict::verified) << r.message;
        ASSERT_GE(seen.size(), 10u);
        for (const auto& [text, graph] : seen) {
            const auto again = replay(s.body, s.how, text);
            EXPECT_EQ(fingerprint(*again.counterexample), graph) << text;
            EXPECT_EQ(again.what, checker::verdict::verified) << text << ": " << again.message;
            EXPECT_EQ(checker::script(text).text(), text);
        }
    }
}

TEST(replay, script_tells_all_that_was_not_by_default) {
    std::string all;
    for (const sample& s : samples())
        static_cast<void>(explore(s.body, s.how, [&](const checker::search& found, const auto&) {
            all += checker::script(found.current()).text();
        }));
    for (const char mark : {'-', 'f', 'w', 'x'}) EXPECT_NE(all.find(mark), all.npos) << mark;
}

std::string problem_with(const std::string& text, scenario::body body = stores_and_loads) {
    try {
        static_cast<void>(replay(body, {}, text));
    } catch (const bad_script& e) {
        return e.what();
    }
    return "none";
}

TEST(replay, script_that_does_not_fit_is_refused_with_where) {
    for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
             {"", "no checksum at character 1"},
             {"A+1", "no checksum at character 4"},
             {"+1:0", "no process at character 1"},
             {"A*1:0", "no step at character 2"},
             {"A+x:0", "no number at character 3"},
             {"A+99999999:0", "no number at character 3"},
             {"A+1:0z", "something more at character 6"},
             {"A-7:0", "step 1, number 1 of process 0, that process knows of a newer write"},
             {"B+1A+2-2:0", "step 4, number 3 of process 0, that process knows of a newer"},
             {"A+9:0", "step 4, number 4 of process 0, that process has ended"},
             {"A+1D+1:0", "step 2, number 1 of process 3, that process has ended"},
             {"A+1w:0", "step 2, number 2 of process 0, that process is not asleep there"},
             {"A+2:0", "leads to other accesses"}})
        EXPECT_NE(problem_with(text).find(why), std::string::npos) << problem_with(text);
}

TEST(replay, script_of_another_program_is_refused) {
    std::string other;
    static_cast<void>(explore(weak_exchanges, {}, [&](const checker::search& found, const auto&) {
        other = checker::script(found.current()).text();
    }));
    EXPECT_NE(problem_with(other).find("does not fit the program"), std::string::npos);
    EXPECT_EQ(problem_with(other, weak_exchanges), "none");
}

TEST(replay, both_sides_of_a_race_are_in_the_trace) {
    const scenario::body racy = [](scenario& s) {
        shared<cell<int>> c(s);
        s.process("one", [&] { c->write(1); });
        s.process("two", [&] { static_cast<void>(c->read()); });
        s.run();
    };
    const auto found = explore(racy, {});
    const auto again = replay(racy, {}, found.script);
    EXPECT_EQ(again.what, checker::verdict::data_race);
    EXPECT_EQ(again.message, found.message);
    const auto& [steps, last, other] = again.steps;
    ASSERT_EQ(steps.size(), 2u);
    EXPECT_EQ(last, 1);
    EXPECT_EQ(other, 0);
    EXPECT_TRUE(steps[0].plain && steps[0].write && steps[1].plain && !steps[1].write);
    EXPECT_EQ(steps[0].offset, steps[1].offset);
}

// --- smaller ones --------------------------------------------------------------------------------

// Two of these race, whatever the others do.
void race_among_many(scenario& s) {
    struct state {
        word32 x, turn;
        cell<int> c;
    };
    shared<state> all(s);
    s.process("bystander", [&] { all->x.store(1, relaxed); });
    s.process("slow", [&] {
        for (std::uint32_t i = 0; i < 5; ++i) static_cast<void>(all->x.fetch_add(i, relaxed));
        if (all->turn.load(relaxed) == 1) all->c.write(1);
    });
    s.process("other bystander", [&] { static_cast<void>(all->x.load(relaxed)); });
    s.process("quick", [&] {
        all->c.write(2);
        all->turn.store(1, relaxed);
    });
    s.run();
}

TEST(replay, smallest_counterexample_leaves_out_who_does_not_matter) {
    const auto first = explore(race_among_many, {});
    ASSERT_EQ(first.what, checker::verdict::data_race);
    const auto again = replay(race_among_many, {}, first.script);
    const smaller small = smallest(race_among_many, {}, first, again, 10);
    EXPECT_EQ(small.how.running.left_out, 1u << 0 | 1u << 2);
    EXPECT_NE(small.remark.find("2 of 4 processes"), std::string::npos) << small.remark;
    const auto best = replay(race_among_many, small.how, small.found.script);
    EXPECT_EQ(best.what, checker::verdict::data_race);
    EXPECT_EQ(best.counterexample->length(1), 11u);  // five read-modify-writes and a load
    EXPECT_EQ(best.counterexample->length(3), 1u);
    EXPECT_EQ(fingerprint(*best.counterexample), fingerprint(*small.found.counterexample));
}

// --- weaker orders in a shipped header -----------------------------------------------------------

void record_is_whole(scenario& s) {
    struct record {
        std::int64_t value, negated;
    };
    using ring = ring_buffer<record>;
    block memory(s, ring::size_bytes(1));
    ring::format(memory.get(), 1);
    s.process("writer", [&] {
        member me;
        check(ring(memory.get(), 1, me).push({7, -7}), "there is room for one");
    });
    s.process("reader", [&] {
        member me;
        ring r(memory.get(), 1, me);
        if (const auto seen = r.read(); seen.record)
            check(seen.record->value == -seen.record->negated, "half a record");
    });
    s.run();
}

TEST(replay, counterexample_of_a_weakened_order_names_its_line_and_edge) {
    const auto as_shipped = explore(record_is_whole, {});
    ASSERT_EQ(as_shipped.what, checker::verdict::verified) << as_shipped.message;
    std::string all;
    for (const checker::site& s : as_shipped.sites) {
        if (!s.file.ends_with("ring_buffer.hpp") || s.what != checker::kind::write ||
            s.success != checker::order::release)
            continue;
        checker::settings how;
        how.weaker = {{"ring_buffer.hpp", s.line, checker::order::relaxed}};
        const auto first = explore(record_is_whole, how);
        if (!checker::failed_verdict(first.what)) continue;
        const auto again = replay(record_is_whole, how, first.script);
        const std::string text = to_text(explain("ring", {"writer", "reader"}, again));
        const std::string line = "ring_buffer.hpp:" + std::to_string(s.line);
        EXPECT_NE(
            text.find(line + " is relaxed here, and the source says release for the edge [ring:"),
            std::string::npos)
            << text;
        EXPECT_NE(text.find("the source says release\n"), std::string::npos) << text;
        all += text;
    }
    for (const char* edge : {"edge [ring:published]", "edge [ring:committed]"})
        EXPECT_NE(all.find(edge), std::string::npos) << all;
}

}  // namespace
}  // namespace assay::model
