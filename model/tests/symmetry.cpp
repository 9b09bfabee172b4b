// symmetry.cpp -- identical processes: fewer executions, which stand for all of them.
//
// (That the executions left are one of each kind, and none is missing, is tested on random
// programs: fuzz.cpp, the families `identical`.)
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>

#include "assay/sync.hpp"
#include "model/scenario.hpp"
#include "model/tests/random_programs.hpp"

namespace assay::model {
namespace {

using checker::verdict;
using word32 = word<std::uint32_t>;

template <int N>
void increments(scenario& s) {
    shared<word32> w(s);
    s.identical("increments", N, [&] { w->fetch_add(1, relaxed); });
    s.run();
}

template <int N>
void readers(scenario& s) {
    shared<word32> w(s);
    s.process("writer", [&] { w->store(1, relaxed); });
    s.identical("reader", N, [&] { static_cast<void>(w->load(acquire)); });
    s.run();
}

// Each takes a node of its own, pushes it and pops one.
struct stack {
    word32 nodes, head;
    std::array<word32, 8> next;
};
template <int N>
void pushes_and_pops(scenario& s) {
    shared<stack> st(s);
    s.identical("pushes and pops", N, [&] {
        const std::uint32_t node = 1 + st->nodes.fetch_add(1, relaxed);
        std::uint32_t top = st->head.load(relaxed);
        do st->next[node].store(top, relaxed);
        while (!st->head.compare_exchange(top, node, release, relaxed));
        top = st->head.load(acquire);
        while (top != 0)
            if (st->head.compare_exchange(top, st->next[top].load(relaxed), acquire, acquire))
                break;
    });
    s.run();
}

// Two kinds; with a lock that some may die in.
void two_kinds_who_wait_and_die(scenario& s) {
    shared<std::array<word32, 2>> w(s);
    s.identical("sets", 2, [&] { (*w)[0].fetch_add(1, release); });
    s.identical("waits", 2, [&] {
        std::uint32_t seen = 0;
        while ((seen = (*w)[0].load(acquire)) == 0) pause();
        (*w)[1].store(seen, relaxed);
    });
    s.run();
}

struct sample {
    const char* name;
    scenario::body body;
    std::uint64_t reduced, all;
    int deaths = 0;
};

class symmetry : public testing::TestWithParam<sample> {};

TEST_P(symmetry, executions_left_stand_for_all) {
    const sample& of = GetParam();
    for (const unsigned workers : {1u, 2u}) {
        checker::settings how;
        how.workers = workers;
        how.allowed.crashes = of.deaths;
        how.check_liveness = of.deaths == 0;
        const auto reduced = explore(of.body, how);
        how.use_symmetry = false;
        const auto all = explore(of.body, how);
        EXPECT_EQ(reduced.what, verdict::verified) << reduced.message;
        EXPECT_EQ(all.what, verdict::verified) << all.message;
        EXPECT_FALSE(reduced.symmetry_misled);
        EXPECT_EQ(reduced.executions, of.reduced);
        EXPECT_EQ(reduced.stands_for, of.all);
        EXPECT_EQ(all.executions, of.all);
        EXPECT_EQ(all.stands_for, of.all);
    }
}

INSTANTIATE_TEST_SUITE_P(samples, symmetry,
                         testing::Values(sample{"increments", increments<6>, 1, 720},
                                         sample{"readers", readers<6>, 7, 64},
                                         sample{"stack", pushes_and_pops<3>, 25680, 154080},
                                         sample{"kinds", two_kinds_who_wait_and_die, 16, 64},
                                         sample{"deaths", two_kinds_who_wait_and_die, 211, 842, 2}),
                         [](const auto& s) { return std::string(s.param.name); });

// Causality against modification order: a process reads 5, which was written because its twin had
// read the newer 7. Reduced by the order of what they read, that would be missed.
TEST(symmetry, that_would_miss_executions_is_not_used) {
    using namespace proof;
    const std::vector<instruction> twin{load(0, 0, rlx), store(1, 1, rlx)};
    program p{
        .threads = {
            twin, twin, {load(0, 1, rlx), skip_ne(0, 1, 1), store(0, 5, rlx)}, {store(0, 7, rlx)}}};
    p.reduce = true;
    EXPECT_EQ(disagreement(p), "");
    EXPECT_TRUE(engine::enumerate(p, [](const execution&) {}).misled);
    p.threads[2][2] = store(0, 5, rel);
    p.threads[2][0] = load(0, 1, acq);
    for (auto* const code : {&p.threads[0], &p.threads[1]}) (*code)[1] = store(1, 1, rel);
    EXPECT_EQ(disagreement(p), "");
    EXPECT_FALSE(engine::enumerate(p, [](const execution&) {}).misled);
}

// --- who is not identical ------------------------------------------------------------------------

void asks_for_its_number(scenario& s) {
    shared<word32> w(s);
    s.identical("asks", 2, [&] { w->store(static_cast<std::uint32_t>(self()), relaxed); });
    s.run();
}
void is_a_member(scenario& s) {
    shared<word32> w(s);
    s.identical("member", 2, [&] {
        member me;
        w->store(1, relaxed);
    });
    s.run();
}
void is_asked_about(scenario& s) {
    shared<word32> w(s);
    s.identical("dies", 2, [&] { w->store(1, relaxed); });
    s.process("asks", [&] { static_cast<void>(died(1)); });
    s.run();
}
void stores_an_address(scenario& s) {
    shared<word<word32*>> w(s);
    shared<word32> target(s);
    s.identical("stores", 2, [&] { w->store(target.get(), relaxed); });
    s.run();
}
void sleeps(scenario& s) {
    shared<word32> w(s);
    s.identical("sleeps", 2, [&] { static_cast<void>(wait(*w, 1, deadline::max())); });
    s.run();
}
void has_a_captured_counter(scenario& s) {
    shared<word32> w(s);
    std::uint32_t started = 0;
    s.identical("counts", 2,
                [&] { static_cast<void>(w->load(relaxed)), w->store(++started, relaxed); });
    s.run();
}

TEST(symmetry, who_knows_who_it_is_is_refused) {
    for (const auto& [body, why] : std::vector<std::pair<scenario::body, std::string>>{
             {asks_for_its_number, "asks for its own number"},
             {is_a_member, "asks for its own number"},
             {is_asked_about, "somebody asks whether it has died"},
             {stores_an_address, "it stores an address"},
             {sleeps, "it sleeps"},
             {has_a_captured_counter, "where they have seen the same it accesses at"}}) {
        checker::settings how;
        const auto r = explore(body, how);
        EXPECT_EQ(r.what, verdict::misuse) << why;
        EXPECT_NE(r.message.find(why), std::string::npos) << r.message;
        EXPECT_EQ(replay(body, how, r.script).message, r.message);
        how.use_symmetry = false;
        EXPECT_NE(explore(body, how).what, verdict::misuse) << why;
    }
}

}  // namespace
}  // namespace assay::model
