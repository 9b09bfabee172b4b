// The audit of memory orders: what it must call needed, and what it must not.
#include "model/audit.hpp"

#include <gtest/gtest.h>

#include <cassert>
#include <csignal>

#include "assay/queue.hpp"
#include "model/explain.hpp"

namespace assay::model {
namespace {

struct mailbox {
    word<std::uint32_t> full;
    cell<int> letter;
};

// One order that is needed on each side, and next to the reader's, in the same line, one that is not.
void letter_is_read_after_it_was_written(scenario& s) {
    shared<mailbox> m(s);
    shared<word<std::uint32_t>> unrelated(s);
    s.process("writer", [&] {
        m->letter.write(7);
        m->full.store(1, release);
        unrelated->store(1, release);
    });
    s.process("reader", [&] {
        if (unrelated->load(seq_cst) <= 1 && m->full.load(acquire) == 1)
            check(m->letter.read() == 7);
    });
    s.run();
}

// What the weakened program does then is its own business: it may crash.
void reader_of_a_stale_word_crashes(scenario& s) {
    shared<word<std::uint32_t>> first(s), second(s);
    s.process("writer", [&] {
        first->store(1, relaxed);
        second->store(1, release);
    });
    s.process("reader", [&] {
        if (second->load(acquire) == 1 && first->load(relaxed) == 0) std::raise(SIGKILL);
    });
    s.run();
}

void fence_is_needed(scenario& s) {
    shared<mailbox> m(s);
    s.process("writer", [&] {
        m->letter.write(7);
        fence(release);
        m->full.store(1, relaxed);
    });
    s.process("reader", [&] {
        const bool full = m->full.load(relaxed) == 1;
        fence(acquire);
        if (full) check(m->letter.read() == 7);
    });
    s.run();
}

nlohmann::json audit_here(scenario::body body) {
    const std::vector<test> tests{{"audit/test", body, {checker::verdict::verified, 0}}};
    return audit(tests, {{"model/tests/audit.cpp"}, 2}, [](const std::string&) {});
}

// "load seq_cst -> acquire: survived", sorted.
std::vector<std::string> outcomes(scenario::body body) {
    std::vector<std::string> all;
    const nlohmann::json found = audit_here(body);
    for (const auto& site : found["sites"])
        for (const auto& w : site["weakenings"]) {
            const std::string to = w["weaken"];
            all.push_back(site["what"].get<std::string>() + " " + site["order"].get<std::string>() +
                          " -> " + to.substr(to.find('=') + 1) + ": " +
                          w["outcome"].get<std::string>());
        }
    std::ranges::sort(all);
    return all;
}

using lines = std::vector<std::string>;

TEST(audit, canary_needless_strength_next_to_a_needed_order_is_a_survivor) {
    EXPECT_EQ(outcomes(letter_is_read_after_it_was_written),
              (lines{"load acquire -> relaxed: caught", "load seq_cst -> acquire: survived",
                     "store release -> relaxed: caught", "store release -> relaxed: survived"}));
}

TEST(audit, fences_are_dropped_one_by_one) {
    EXPECT_EQ(outcomes(fence_is_needed),
              (lines{"fence acquire -> dropped: caught", "fence release -> dropped: caught"}));
}

TEST(audit, canary_weakened_program_that_crashes_is_not_called_caught) {
    EXPECT_EQ(outcomes(reader_of_a_stale_word_crashes),
              (lines{"load acquire -> relaxed: crashed", "store release -> relaxed: crashed"}));
}

TEST(audit, says_through_which_sites_processes_synchronise) {
    lines through;
    const nlohmann::json found = audit_here(letter_is_read_after_it_was_written);
    for (const auto& site : found["sites"])
        if (site["synchronises"]) through.push_back(site["order"]);
    std::ranges::sort(through);
    EXPECT_EQ(through, (lines{"acquire", "release", "release", "seq_cst"}));
}

// --- the queue -----------------------------------------------------------------------------------

// Whoever comes second gets the hand of the first, and writes to the node that is with it.
void one_hand_for_two(scenario& s) {
    using small_queue = queue<std::int64_t, 1>;
    block memory(s, small_queue::size_bytes(2));
    small_queue::format(memory.get(), 2);
    for (const char* const name : {"first", "second"})
        s.process(name, [&] {
            member me;
            small_queue q(memory.get(), 2, me);
            try {
                check(q.enqueue(1), "there is room for two");
            } catch (const no_space&) {  // the other still has it
            }
        });
    s.run();
}

TEST(audit, canary_weakened_release_of_the_queue_gives_a_counterexample_with_line_and_edge) {
    const auto as_shipped = explore(one_hand_for_two, {});
    ASSERT_EQ(as_shipped.what, checker::verdict::verified) << as_shipped.message;
    int found = 0;
    for (const checker::site& s : as_shipped.sites) {
        const bool of_hands =
            s.file.ends_with("hands.hpp") && s.function.find("free") != s.function.npos;
        if (!of_hands || s.what != checker::kind::write || s.success != checker::order::release)
            continue;
        ++found;
        checker::settings how;
        how.weaker = {{"hands.hpp", s.line, checker::order::relaxed, {}, s.column}};
        const auto first = explore(one_hand_for_two, how);
        ASSERT_EQ(first.what, checker::verdict::data_race);
        const auto again = replay(one_hand_for_two, how, first.script);
        const std::string text = to_text(explain("queue", {"first", "second"}, again));
        const std::string line = "hands.hpp:" + std::to_string(s.line) + " is relaxed here";
        EXPECT_NE(text.find(line), text.npos) << text;
        EXPECT_NE(text.find("edge [hands:owner]"), text.npos) << text;
    }
    EXPECT_EQ(found, 1);
}

// --- which access is meant ------------------------------------------------------------------------

std::string refusal(const std::string& text, const std::vector<checker::site>& executed) {
    try {
        check_weakening(checker::parse_weakening(text), executed);
    } catch (const checker::bad_weakening& e) {
        return e.what();
    }
    return "";
}

TEST(audit, weakening_that_matches_no_access_names_those_nearby) {
    checker::settings how;
    const auto executed = explore(letter_is_read_after_it_was_written, how).sites;
    const auto one = std::ranges::find(executed, checker::order::seq_cst, &checker::site::success);
    ASSERT_NE(one, executed.end());
    const std::string line = "audit.cpp:" + std::to_string(one->line);
    EXPECT_EQ(refusal(line + "=relaxed", executed), "");
    EXPECT_EQ(refusal("tests/" + line + ":" + std::to_string(one->column) + "=acquire", executed),
              "");
    EXPECT_NE(refusal(line + ":1=relaxed", executed).find("Nearby are"), std::string::npos);
    EXPECT_NE(refusal("audit.cpp:1=relaxed", executed), "");
    EXPECT_NE(refusal("dit.cpp:" + std::to_string(one->line) + "=relaxed", executed), "");
    EXPECT_NE(refusal(line + "=release", executed).find("cannot have that order"),
              std::string::npos);
    EXPECT_NE(refusal(line + "=acquire/relaxed", executed).find("cannot"), std::string::npos);
    for (const char* const text :
         {"audit.cpp", "audit.cpp=relaxed", "audit.cpp:1", "audit.cpp:1=weak", ":1=relaxed",
          "audit.cpp:x=relaxed", "audit.cpp:1=relaxed/"})
        EXPECT_NE(refusal(text, executed).find("is not FILE:LINE"), std::string::npos) << text;
}

// Else the scenario would "catch" every weakening.
TEST(audit, canary_scenario_that_fails_as_the_source_is) {
    const scenario::body races = [](scenario& s) {
        shared<cell<int>> letter(s);
        for (const char* name : {"one", "other"}) s.process(name, [&] { letter->write(1); });
        s.run();
    };
    try {
        static_cast<void>(audit_here(races));
        FAIL() << "it weakened what is wrong already";
    } catch (const std::runtime_error& e) {
        EXPECT_NE(std::string(e.what()).find("audit/test fails as the sources are (data race)"),
                  std::string::npos)
            << e.what();
    }
}

TEST(audit, assert_that_does_not_hold_is_a_counterexample) {
    const auto found = explore(
        [](scenario& s) {
            shared<word<std::uint32_t>> w(s);
            s.process("writer", [&] { w->store(1, relaxed); });
            s.process("reader", [&] {
                const bool still_zero = w->load(relaxed) == 0;
                assert(still_zero);
            });
            s.run();
        },
        {});
    EXPECT_EQ(found.what, checker::verdict::assertion);
    EXPECT_NE(found.message.find("still_zero"), std::string::npos) << found.message;
}

}  // namespace
}  // namespace assay::model
