// Maps: processes that die or stop before any of their accesses, and some that then go on.
#include "lib/tests/large_map.hpp"

#include <optional>

namespace {

using namespace testing_large_map;

// --- death at every step -------------------------------------------------------------------------

// `operation` turns key 5's value `before` into `after`, and is killed before each of its accesses
// in turn. All is one or the other, at once and for ever, for survivors who take it for stopped;
// they can change everything; and when it is known to be dead, no node is lost. Returns how many
// deaths left a node that recover() had to bring back.
template <class Operation>
long survives(const char* what, value before, value after, Operation operation) {
    SCOPED_TRACE(what);
    one_bucket s;
    long leaks = 0;
    const long steps = killed_at_each_step(
        *s.everyone, [&](long) { s.put(before); }, [&] { operation(s.map); },
        [&](long n) {
            SCOPED_TRACE(n);
            const value now = s.at_5();
            ASSERT_TRUE(now == before || now == after);
            s.map.recover();
            ASSERT_EQ(s.at_5(), now);
            leaks += s.leaked() != 0;
            if (n % 2 == 0) return;  // or leave all as the dead left it
            ASSERT_EQ(s.map.insert(5, twin(50)), !now);
            ASSERT_FALSE(s.map.insert_or_assign(5, twin(51)));
            ASSERT_EQ(s.at_5(), 51u);
            ASSERT_TRUE(s.map.erase(5));
            ASSERT_EQ(s.at_5(), std::nullopt);
            ASSERT_TRUE(s.map.insert(5, twin(52)));
        },
        [&](long n) {
            SCOPED_TRACE(n);
            const value now = s.at_5();
            s.map.recover();
            ASSERT_EQ(s.at_5(), now);
            ASSERT_EQ(s.leaked(), 0u);
            ASSERT_EQ(s.map.size(), now ? 3u : 2u);
        });
    EXPECT_GE(steps, 5);
    return leaks;
}

TEST(large_map, every_operation_may_die_at_every_step) {
    survives("insert", {}, 1, [](auto& m) { m.insert(5, twin(1)); });
    survives("insert what is there", 2, 2, [](auto& m) { m.insert(5, twin(1)); });
    survives("insert_or_assign a new key", {}, 1, [](auto& m) { m.insert_or_assign(5, twin(1)); });
    survives("insert_or_assign", 2, 1, [](auto& m) { m.insert_or_assign(5, twin(1)); });
    survives("erase", 2, {}, [](auto& m) { m.erase(5); });
    survives("erase what is not there", {}, {}, [](auto& m) { m.erase(5); });
    survives("find", 2, 2, [](auto& m) { static_cast<void>(m.find(5)); });
    survives("for_each", 2, 2, [](auto& m) { static_cast<void>(m.size()); });
    survives("recover", 2, 2, [](auto& m) { m.recover(); });
}

TEST(large_map, canary_without_recovery_some_deaths_lose_a_node) {
    EXPECT_GT(survives("insert", {}, 1, [](auto& m) { m.insert(5, twin(1)); }), 0);
}

TEST(large_map, canary_a_replacement_in_two_steps_is_seen_to_miss_the_key) {
    one_bucket s;
    s.put(2);
    long missed = 0;
    killed_at_each_step(
        *s.everyone, [&](long) { s.put(2); },
        [&] {
            s.map.erase(5);
            s.map.insert(5, twin(1));
        },
        [&](long) { missed += !s.map.contains(5); }, [&](long) { s.map.recover(); });
    EXPECT_GT(missed, 0);
}

// A process dies in an insertion, another in the erasure of the same key, a third in recover().
TEST(large_map, recovery_of_two_deaths_may_die_at_every_step) {
    for (long first = 1; first < 60; first += 6) {
        one_bucket s;
        s.put(2);
        const auto die_in = [&](long n, auto operation) {
            child victim([&] {
                die_after = n;
                operation();
            });
            const pid_t pid = victim.pid();
            victim.wait();
            return pid;
        };
        const pid_t a = die_in(first, [&] { s.map.insert_or_assign(5, twin(1)); });
        const pid_t b = die_in(first * 7 % 40 + 1, [&] { s.map.erase(5); });
        s.everyone->bury(a);
        s.everyone->bury(b);
        bool through = false;
        for (long n = 1; !through; ++n) {
            child victim([&] {
                die_after = n;
                s.map.recover();
            });
            through = victim.exit_code() == 0;
            ASSERT_EQ(s.at_5(), s.at_5());
        }
        s.map.recover();
        ASSERT_EQ(s.leaked(), 0u) << first;
        s.map.erase(5);
        ASSERT_EQ(s.map.size(), 2u);
    }
}

TEST(large_map, a_full_map_takes_back_what_the_dead_held) {
    twins s(1);
    std::uint32_t key = 100;
    for (int i = 0; i < 6; ++i) {  // each dies with a node that it owns
        child victim([&] {
            noise = 1;
            die_after = 12 + i;
            s.map.insert(key + static_cast<std::uint32_t>(i), twin(1));
        });
        const pid_t pid = victim.pid();
        victim.wait();
        s.everyone->bury(pid);
    }
    std::uint32_t inserted = 0;
    EXPECT_THROW(for (;; ++inserted) s.map.insert(inserted, twin(inserted)), assay::no_space);
    EXPECT_EQ(s.map.size(), s.map.capacity() + s.map.num_spare());
    EXPECT_EQ(s.leaked(), 0u);
}

TEST(large_map, random_deaths_in_a_crowd_lose_nothing) {
    dice random(7);
    twins s(48);
    for (int round = 0; round < 30; ++round) {
        shared_value<tally> t;
        std::vector<child> all;
        for (std::uint32_t who = 1; who <= 3; ++who) {
            const long steps = 1 + static_cast<long>(random(5000));
            // Keys of its own that the dead of the last rounds did not have.
            const auto name = static_cast<std::uint32_t>(round) * 3 + who;
            all.emplace_back([&, steps, name] {
                die_after = steps;
                churn(s, *t, name, 1000000);
            });
        }
        for (auto& c : all) {
            const pid_t pid = c.pid();
            EXPECT_EQ(c.exit_code(), 128 + SIGKILL);
            s.everyone->bury(pid);
            s.map.recover();
        }
        EXPECT_EQ(t->wrong, 0u);
        ASSERT_EQ(s.leaked(), 0u);
        s.map.for_each([&](std::uint32_t k, const twin& v) {
            EXPECT_TRUE(v.whole());
            s.map.erase(k);
        });
        ASSERT_TRUE(s.map.empty());
    }
}

// --- stopped at every step, and then going on ----------------------------------------------------

constexpr int no_node = 254;

// While `operation` on key 5 is stopped, its surroundings are torn down and rebuilt from the same
// nodes. `legal(result, before, after)` judges its result and the value it leaves.
template <class Operation, class Legal>
void outlasts(const char* what, value before, Operation operation, Legal legal) {
    SCOPED_TRACE(what);
    for (int scene = 0; scene < 6; ++scene) {
        one_bucket s;
        s.put(before);
        value meanwhile;
        std::uint32_t crowd = 0;
        const auto restore = [&] {
            s.map.insert_or_assign(3, twin(33));
            s.map.insert_or_assign(7, twin(77));
            s.put(before);
            meanwhile = before;
        };
        stopped_at_each_step(
            *s.everyone, [&](long) { restore(); },
            [&] {
                try {
                    return operation(s.map);
                } catch (const assay::no_space&) {
                    return no_node;
                }
            },
            [&](long) {
                if (scene == 0) {  // the neighbours go and return, from each other's nodes
                    for (const auto k : {3u, 7u}) ASSERT_TRUE(s.map.erase(k));
                    s.map.insert(7, twin(77));
                    s.map.insert(3, twin(33));
                } else if (scene == 1) {  // all nodes get used and freed by other keys
                    for (std::uint32_t k = 10; k < 14; ++k) s.map.insert(k, twin(k));
                    for (std::uint32_t k = 10; k < 14; ++k) s.map.erase(k);
                } else if (scene == 2) {
                    s.put(meanwhile = before ? value() : value(60));
                } else if (scene == 3) {
                    for (std::uint64_t v = 61; v < 70; ++v) s.map.insert_or_assign(5, twin(v));
                    meanwhile = 69;
                } else if (scene == 4) {  // what can be freed is freed, and all nodes get used
                    s.map.recover();
                    EXPECT_THROW(for (;; ++crowd) s.map.insert(100 + crowd, twin(crowd)),
                                 assay::no_space);
                } else {  // the key's node becomes that of key 4
                    s.put({});
                    s.map.insert(4, twin(44));
                    s.map.insert(5, twin(70));
                    s.map.erase(4);
                    meanwhile = 70;
                }
            },
            [&](long n, int result) {
                for (; crowd > 0; --crowd) ASSERT_TRUE(s.map.erase(99 + crowd));
                if (result == no_node) return;
                const value now = s.at_5();
                ASSERT_TRUE(legal(result, before, meanwhile, now))
                    << "scene " << scene << ", stopped before access " << n << ": result " << result
                    << ", left " << now.value_or(0);
                s.map.recover();
                ASSERT_EQ(s.leaked(), 0u) << "scene " << scene << ", access " << n;
                ASSERT_EQ(s.map.size(), now ? 3u : 2u);
            });
    }
}

TEST(large_map, every_operation_may_stop_at_every_step_and_go_on_in_another_world) {
    // A result is legal if the operation fits at one point in time between its begin and its end,
    // so, before or after the change, or during it.
    outlasts(
        "find", 2,
        [](auto& m) {
            const auto v = m.find(5);
            if (v && !v->whole()) return 255;
            return v ? static_cast<int>(v->a) : 0;
        },
        [](int found, value before, value after, value now) {
            if (now != after || found == 255) return false;
            const bool between = after && *after >= 69;  // other values, or none, were there
            return found == static_cast<int>(before.value_or(0)) ||
                   found == static_cast<int>(after.value_or(0)) ||
                   (between && (found == 0 ? *after == 70 : found > 60 && found < 70));
        });
    for (const value before : {value(), value(2)}) {
        outlasts(
            "insert", before, [](auto& m) { return m.insert(5, twin(1)) ? 1 : 0; },
            [](int done, value, value after, value now) {
                return done ? now == 1u || now == after : now == after && now.has_value();
            });
        outlasts(
            "insert_or_assign", before,
            [](auto& m) { return m.insert_or_assign(5, twin(1)) ? 1 : 0; },
            [](int, value, value after, value now) { return now == 1u || now == after; });
        outlasts(
            "erase", before, [](auto& m) { return m.erase(5) ? 1 : 0; },
            [](int done, value first, value after, value now) {
                return done ? !now || now == after : now == after && (!first || !after || now);
            });
    }
}

}  // namespace
