// scenario.cpp -- what scenarios can find: each verdict once, with a program that deserves it and,
// where it matters, its repaired twin with the exact number of executions.
#include "model/scenario.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "assay/sync.hpp"

namespace assay::model {
namespace {

using checker::verdict;
using word32 = word<std::uint32_t>;

struct expected {
    verdict what;
    std::uint64_t executions;
};

void expect(scenario::body body, expected want, checker::settings how = {}) {
    const checker::result r = explore(body, how);
    EXPECT_EQ(checker::name(r.what), std::string(checker::name(want.what))) << r.message;
    if (want.executions != 0) {
        EXPECT_EQ(r.executions, want.executions);
    }
    EXPECT_GE(r.runs, r.executions);
}

[[nodiscard]] checker::settings crashes(int n) {
    checker::settings s;
    s.allowed.crashes = n;
    return s;
}

// --- plain data ----------------------------------------------------------------------------------

template <class T, unsigned N>
struct ring {
    bool try_push(const T& v) noexcept {
        const auto t = tail.load(relaxed);
        if (t - head.load(acquire) == N) return false;
        slots[t % N].write(v);
        tail.store(t + 1, release);
        return true;
    }
    bool try_pop(T& v) noexcept {
        const auto h = head.load(relaxed);
        if (tail.load(acquire) == h) return false;
        v = slots[h % N].read();
        head.store(h + 1, release);
        return true;
    }
    word<std::uint64_t> tail;
    word<std::uint64_t> head;
    cell<T> slots[N];
};

template <unsigned N, int Items, int Tries>
void bounded_tries(scenario& s) {
    shared<ring<int, N>> r(s);
    std::vector<int> got;
    s.process("producer", [&] {
        for (int i = 0, k = 0; i < Tries && k < Items; ++i) k += r->try_push(k + 1);
    });
    s.process("consumer", [&] {
        int v = 0;
        for (int i = 0; i < Tries; ++i)
            if (r->try_pop(v)) got.push_back(v);
    });
    s.finally([&] {
        for (std::size_t i = 0; i < got.size(); ++i) check(got[i] == static_cast<int>(i) + 1);
    });
    s.run();
}

TEST(scenario, ring_for_one_producer_has_these_executions) {
    expect(bounded_tries<1, 3, 4>, {verdict::verified, 65});
    expect(bounded_tries<2, 4, 6>, {verdict::verified, 2947});
}

TEST(scenario, counts_do_not_depend_on_the_number_of_workers) {
    for (const unsigned workers : {1u, 2u, 3u, 5u}) {
        checker::settings how;
        how.workers = workers;
        expect(bounded_tries<2, 4, 6>, {verdict::verified, 2947}, how);
    }
}

TEST(scenario, ring_for_one_producer_races_with_two) {
    expect(
        [](scenario& s) {
            shared<ring<int, 2>> r(s);
            for (int i = 0; i < 2; ++i) s.process("producer", [&] { r->try_push(1); });
            s.run();
        },
        {verdict::data_race, 2});
}

TEST(scenario, weaker_order_at_one_line_is_found) {
    checker::settings how;
    const scenario::body body = bounded_tries<1, 1, 1>;
    const auto sites = explore(body, how).sites;
    int releases = 0;
    for (const checker::site& at : sites) {
        if (at.success != checker::order::release) continue;
        ++releases;
        how.weaker = {{"scenario.cpp", at.line, checker::order::relaxed}};
        // One push cannot show that the slot is given back properly.
        const bool is_push = at.function.find("push") != std::string::npos;
        expect(body, {is_push ? verdict::data_race : verdict::verified, 0}, how);
    }
    EXPECT_EQ(releases, 2);
}

TEST(scenario, cell_that_nobody_wrote_is_an_uninitialised_read) {
    expect(
        [](scenario& s) {
            shared<cell<int>> c(s);
            s.process("reader", [&] { static_cast<void>(c->read()); });
            s.run();
        },
        {verdict::uninitialised_read, 1});
}

// --- waiting -------------------------------------------------------------------------------------

TEST(scenario, await_goes_on_with_the_write_that_it_waits_for) {
    expect(
        [](scenario& s) {
            shared<ring<int, 2>> r(s);
            s.process("producer", [&] {
                for (int i = 0; i < 8; ++i) await([&] { return r->try_push(i); });
            });
            s.process("consumer", [&] {
                for (int i = 0; i < 8; ++i) {
                    int v = -1;
                    await([&] { return r->try_pop(v); });
                    check(v == i);
                }
            });
            s.run();
        },
        {verdict::verified, 2187});
}

void spin(scenario& s, bool ends) {
    shared<word32> w(s);
    s.process("spins", [&] {
        while (w->load(acquire) != 2) assay::pause();
    });
    s.process("other", [&] {
        w->store(1, release);
        if (ends) w->store(2, release);
    });
    s.run();
}

TEST(scenario, loop_with_pause_needs_no_annotation) {
    expect([](scenario& s) { spin(s, true); }, {verdict::verified, 3});
    expect([](scenario& s) { spin(s, false); }, {verdict::livelock, 0});
}

TEST(scenario, loop_that_counts_its_pauses_is_not_cut_short) {
    expect(
        [](scenario& s) {
            shared<word32> w(s);
            bool gave_up = false;
            s.process("tries", [&] {
                for (int i = 0; i < 5; ++i) {
                    if (w->load(relaxed) != 0) return;
                    assay::pause();
                }
                gave_up = true;
            });
            s.process("other", [&] { w->store(1, relaxed); });
            s.finally([&] { check(!gave_up); });
            s.run();
        },
        {verdict::assertion, 0});
}

// The count is where the state of the process does not show it at once.
template <class Count>
void gives_up_after_five_laps(scenario& s, Count next_lap, bool awaits) {
    shared<word32> w(s);
    bool gave_up = false;
    s.process("tries", [&, next_lap]() mutable {
        const auto done = [&] {
            if (w->load(relaxed) != 0) return true;
            gave_up = next_lap() == 5;
            return gave_up;
        };
        if (awaits) return await(done);
        while (!done()) assay::pause();
    });
    s.process("other", [&] { w->store(1, relaxed); });
    s.finally([&] { check(!gave_up); });
    s.run();
}
template <bool Awaits>
void counts_in_the_scenario_function(scenario& s) {
    int laps = 0;
    gives_up_after_five_laps(
        s, [&] { return ++laps; }, Awaits);
}
template <bool Awaits>
void counts_in_its_function_object(scenario& s) {
    gives_up_after_five_laps(
        s, [laps = 0]() mutable { return ++laps; }, Awaits);
}
template <bool Awaits>
void counts_on_the_heap(scenario& s) {
    const auto laps = std::make_unique<int>(0);
    gives_up_after_five_laps(
        s, [&] { return ++*laps; }, Awaits);
}
template <bool Awaits>
void counts_on_its_own_heap(scenario& s) {
    shared<word32> w(s);
    bool gave_up = false;
    s.process("tries", [&] {
        const auto laps = std::make_unique<int>(0);
        const auto done = [&] { return w->load(relaxed) != 0 || (gave_up = ++*laps == 5); };
        if (Awaits) return await(done);
        while (!done()) assay::pause();
    });
    s.process("other", [&] { w->store(1, relaxed); });
    s.finally([&] { check(!gave_up); });
    s.run();
}
template <bool Awaits>
void counts_in_its_own_frame(scenario& s) {
    shared<word32> w(s);
    bool gave_up = false;
    s.process("tries", [&] {
        int laps = 0;
        const auto done = [&] { return w->load(relaxed) != 0 || (gave_up = ++laps == 5); };
        if (Awaits) return await(done);
        while (!done()) assay::pause();
    });
    s.process("other", [&] { w->store(1, relaxed); });
    s.finally([&] { check(!gave_up); });
    s.run();
}

TEST(scenario, loop_that_counts_its_laps_anywhere_is_not_cut_short) {
    for (const scenario::body body :
         {counts_in_the_scenario_function<false>, counts_in_the_scenario_function<true>,
          counts_in_its_function_object<false>, counts_in_its_function_object<true>,
          counts_on_the_heap<false>, counts_on_the_heap<true>, counts_on_its_own_heap<false>,
          counts_on_its_own_heap<true>, counts_in_its_own_frame<false>,
          counts_in_its_own_frame<true>}) {
        expect(body, {verdict::assertion, 0});
    }
}

// What another process does in between is no change of its own.
TEST(scenario, loop_is_cut_although_others_change_the_variables_of_the_scenario) {
    for (const unsigned workers : {1u, 2u}) {
        checker::settings how;
        how.workers = workers;
        expect(
            [](scenario& s) {
                shared<word32> w(s);
                std::vector<int> notes;
                s.process("notes", [&] {
                    for (std::uint32_t i = 1; i <= 3; ++i) {
                        notes.push_back(static_cast<int>(i));
                        w->store(i, release);
                    }
                });
                s.process("spins", [&] {
                    while (w->load(acquire) != 3) assay::pause();
                    check(notes.size() == 3);
                });
                s.run();
            },
            {verdict::verified, 4}, how);
    }
}

// The pause is in a function that each lap enters anew.
[[gnu::noinline]] void rest() { assay::pause(); }

TEST(scenario, pause_may_be_in_a_function) {
    expect(
        [](scenario& s) {
            shared<word32> w(s);
            s.process("spins", [&] {
                while (w->load(acquire) != 2) rest();
            });
            s.process("other", [&] {
                w->store(1, release);
                w->store(2, release);
            });
            s.run();
        },
        {verdict::verified, 3});
}

void sleeper(scenario& s, bool wakes, bool stores) {
    shared<word32> w(s);
    s.process("sleeps", [&] {
        while (w->load(acquire) == 0) static_cast<void>(wait(*w, 0, deadline::max()));
    });
    s.process("wakes", [&] {
        if (stores) w->store(1, release);
        if (wakes) wake(*w, everyone);
    });
    s.run();
}

TEST(scenario, sleep_and_wake_have_these_executions) {
    expect([](scenario& s) { sleeper(s, true, true); }, {verdict::verified, 4});
    checker::settings how;
    how.allowed.spurious_wakes = 1;
    expect([](scenario& s) { sleeper(s, true, true); }, {verdict::verified, 9}, how);
}

TEST(scenario, missing_wake_is_a_lost_wake_up_and_a_missing_store_a_deadlock) {
    expect([](scenario& s) { sleeper(s, false, true); }, {verdict::lost_wake_up, 0});
    expect([](scenario& s) { sleeper(s, false, false); }, {verdict::deadlock, 0});
}

TEST(scenario, sleeper_of_a_dead_waker_is_blocked_by_it) {
    expect([](scenario& s) { sleeper(s, true, true); }, {verdict::blocked_by_dead, 0}, crashes(1));
}

// "Announce, then look" without the fences in between: each looks before it sees the other.
void announce_then_look(scenario& s, std::memory_order order) {
    struct state {
        word32 waiting, ready;
    };
    shared<state> m(s);
    s.process("sleeps", [&, order] {
        m->waiting.store(1, relaxed);
        fence(order);
        if (m->ready.load(relaxed) == 0) static_cast<void>(wait(m->waiting, 1, deadline::max()));
    });
    s.process("wakes", [&, order] {
        m->ready.store(1, relaxed);
        fence(order);
        if (m->waiting.load(relaxed) == 1) {
            m->waiting.store(0, relaxed);
            wake(m->waiting, everyone);
        }
    });
    s.run();
}

TEST(scenario, announcing_and_looking_needs_sequential_consistency) {
    expect([](scenario& s) { announce_then_look(s, seq_cst); }, {verdict::verified, 0});
    const auto r = explore([](scenario& s) { announce_then_look(s, acq_rel); }, {});
    EXPECT_TRUE(r.what == verdict::lost_wake_up || r.what == verdict::deadlock) << r.message;
}

// --- death ---------------------------------------------------------------------------------------

void counter_under_a_lock(scenario& s) {
    shared<owned_lock> lock(s);
    shared<cell<int>> counter(s);
    counter->write(0);
    for (int i = 0; i < 2; ++i)
        s.process("counts", [&] {
            member me;
            lock->lock(me);
            counter->write(counter->read() + 1);
            lock->unlock();
        });
    s.finally([&] { check(counter->read() == 2 || died(0) || died(1)); });
    s.run();
}

TEST(scenario, lock_of_a_dead_process_is_taken_over) {
    expect(counter_under_a_lock, {verdict::verified, 14});
    expect(counter_under_a_lock, {verdict::verified, 97}, crashes(1));
}

TEST(scenario, plain_spin_lock_is_blocked_by_its_dead_holder) {
    const scenario::body body = [](scenario& s) {
        shared<word32> lock(s);
        for (int i = 0; i < 2; ++i)
            s.process("locks", [&] {
                std::uint32_t free = 0;
                while (!lock->compare_exchange(free, 1, acquire, relaxed)) {
                    free = 0;
                    assay::pause();
                }
                lock->store(0, release);
            });
        s.run();
    };
    expect(body, {verdict::verified, 0});
    expect(body, {verdict::blocked_by_dead, 0}, crashes(1));
}

TEST(scenario, who_sees_a_death_sees_what_came_before_it) {
    expect(
        [](scenario& s) {
            shared<cell<int>> c(s);
            c->write(0);
            s.process("dies", [&] { c->write(1); });
            s.process("looks", [&] {
                if (died(0)) check(c->read() >= 0);  // otherwise a data race
            });
            s.run();
        },
        {verdict::verified, 0}, crashes(1));
}

TEST(scenario, process_can_die_between_two_plain_writes) {
    expect(
        [](scenario& s) {
            struct pair {
                cell<int> a, b;
            };
            shared<pair> p(s);
            p->a.write(0);
            p->b.write(0);
            s.process("writes", [&] {
                p->a.write(1);
                p->b.write(1);
            });
            s.finally([&] { check(p->a.read() == p->b.read()); });
            s.run();
        },
        {verdict::assertion, 0}, crashes(1));
}

// --- misuse --------------------------------------------------------------------------------------

TEST(scenario, pointer_in_shared_memory_is_reported) {
    expect(
        [](scenario& s) {
            struct node {
                word<word<int>*> link;
                word<int> x;
            };
            shared<node> n(s);
            s.process("stores", [&] { n->link.store(&n->x, release); });
            s.process("follows", [&] {
                if (auto* const p = n->link.load(acquire)) p->store(1, relaxed);
            });
            s.run();
        },
        {verdict::misuse, 0});
}

TEST(scenario, accesses_of_mixed_size_are_reported) {
    expect(
        [](scenario& s) {
            block b(s, 8);
            s.process("wide",
                      [&] { static_cast<word<std::uint64_t>*>(b.get())->store(1, relaxed); });
            s.process("narrow", [&] { static_cast<word32*>(b.get())->store(1, relaxed); });
            s.run();
        },
        {verdict::misuse, 0});
}

TEST(scenario, memory_that_a_process_keeps_is_a_leak) {
    expect(
        [](scenario& s) {
            shared<word32> w(s);
            s.process("keeps", [&] {
                const auto* const kept = new std::vector<int>(10);
                w->store(static_cast<std::uint32_t>(kept->size()), relaxed);
            });
            s.run();
        },
        {verdict::leak, 1});
}

TEST(scenario, abandoned_process_leaks_nothing_and_others_keep_their_data) {
    expect(
        [](scenario& s) {
            shared<word32> w(s);
            std::vector<std::string> out;
            s.process("waits", [&] {
                const std::string text(100, 'x');
                out.push_back(text);
                await([&] { return w->load(relaxed) == 1; });
                out.push_back(text);
            });
            s.process("sets", [&] {
                w->store(2, relaxed);
                w->store(1, relaxed);
            });
            s.finally([&] { check(out.size() == 2 && out[1].size() == 100); });
            s.run();
        },
        {verdict::verified, 1});
}

TEST(scenario, program_that_differs_between_runs_is_reported) {
    expect(
        [](scenario& s) {
            shared<word32> w(s);
            static std::uint32_t n = 0;
            s.process("stores", [&] { w->store(n++, relaxed); });
            s.process("loads", [&] { static_cast<void>(w->load(relaxed)); });
            s.run();
        },
        {verdict::nondeterministic, 0});
}

TEST(scenario, scenario_without_accesses_proves_nothing) {
    expect(
        [](scenario& s) {
            s.process("idle", [] {});
            s.run();
        },
        {verdict::nothing_explored, 0});
    expect([](scenario&) {}, {verdict::nothing_explored, 0});
}

TEST(scenario, loop_without_end_is_bounded_not_verified) {
    checker::settings how;
    how.running.max_events = 50;
    const auto body = [](scenario& s) {
        shared<word32> w(s);
        s.process("loops", [&] {
            while (w->exchange(1, relaxed) != 2) assay::pause();
        });
        s.process("other", [&] { static_cast<void>(w->load(relaxed)); });
        s.run();
    };
    expect(body, {verdict::bounded, 0}, how);
    const std::string said = explore(body, how).message;
    EXPECT_EQ(said.find("process 0 has done 50 events, the latest at "), 0u) << said;
    EXPECT_NE(said.find("scenario.cpp:"), said.npos) << said;
}

// --- no execution twice --------------------------------------------------------------------------
// The oracle knows nothing of deadlines and of deaths that are seen; here at least nothing may be
// explored twice.

void event_with_two_sleepers(scenario& s) {
    struct state {
        word32 word, value;
    };
    shared<state> m(s);
    for (int i = 0; i < 2; ++i)
        s.process("sleeps", [&] {
            member me;
            if (m->value.load(acquire) != 0) return;
            if (!wait(m->word, 0, now() + wait_slice)) static_cast<void>(me.alive(id_of(2)));
        });
    s.process("wakes", [&] {
        m->value.store(1, release);
        m->word.store(1, release);
        wake(m->word, 1);
        wake(m->word, 1);
    });
    s.run();
}

TEST(scenario, sleeping_and_dying_repeat_no_execution) {
    for (const int deaths : {0, 1}) {
        for (const int spurious : {0, 1}) {
            checker::settings how = crashes(deaths);
            how.allowed.spurious_wakes = spurious;
            std::set<std::string> seen;
            std::uint64_t runs = 0;
            const auto r = explore(
                event_with_two_sleepers, how,
                [&](const checker::search& found, const checker::runtime&) {
                    ++runs;
                    const checker::graph& g = found.current();
                    std::string text;
                    for (std::uint16_t p = 0; p < g.processes(); ++p) {
                        text += "|";
                        for (std::uint16_t i = 0; i < g.length(p); ++i) {
                            const checker::event& e = g[{p, i}];
                            text += std::to_string(static_cast<int>(e.what)) + "." +
                                    std::to_string(e.loc) + "." + std::to_string(e.flags) + "<" +
                                    std::to_string(e.rf.process) + "." +
                                    std::to_string(e.rf.index) + "@" + std::to_string(e.mo) + " ";
                        }
                    }
                    EXPECT_TRUE(seen.insert(text).second) << text;
                });
            EXPECT_EQ(checker::name(r.what), std::string("verified")) << r.message;
            EXPECT_EQ(seen.size(), runs);
            EXPECT_GT(runs, 10u);
        }
    }
}

}  // namespace
}  // namespace assay::model
