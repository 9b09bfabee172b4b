// Maps: like std::map for one process, linearizable for many, and whole after any death.
#include "lib/tests/stepped.hpp"

#include <assay/large_map.hpp>
#include <assay/posix_shm.hpp>

#include <array>
#include <cstring>
#include <map>
#include <random>
#include <thread>

namespace {

using namespace testing_stepped;
using testing_processes::child;
using testing_processes::shared_memory;
using testing_processes::shared_value;

// A number below `limit`; the same sequence in every run.
class dice {
public:
    explicit dice(std::uint32_t seed) : engine_(seed) {}
    std::uint32_t operator()(std::uint32_t limit) {
        return static_cast<std::uint32_t>(engine_()) % limit;
    }

private:
    std::mt19937 engine_;
};

// A map in memory that children share, and the handle of this process to it.
template <class K, class V>
struct shared_map {
    explicit shared_map(std::uint64_t count, std::uint32_t generation = 0, std::uint64_t tag = 0)
        : memory(assay::large_map<K, V>::size_bytes(count)),
          me(*everyone.operator->()),
          map((assay::large_map<K, V>::format(memory.get(), count, generation, tag), memory.get()),
              count, me) {}

    // With nothing under way, each node is an entry or available.
    [[nodiscard]] std::uint64_t leaked() const {
        return map.capacity() + map.num_spare() - map.num_available() - map.size();
    }

    shared_value<population> everyone;
    shared_memory memory;
    member me;
    assay::large_map<K, V> map;
};

// A value that shows when it is torn.
struct twin {
    std::uint64_t a = 0;
    std::uint64_t b = ~0ull;
    explicit twin(std::uint64_t v = 0) : a(v), b(~v) {}
    [[nodiscard]] bool whole() const { return a == ~b; }
    friend bool operator==(const twin&, const twin&) = default;
};
using twins = shared_map<std::uint32_t, twin>;

template <class K, class V>
void compare_with_std_map(std::uint64_t capacity, std::uint32_t keys, std::uint64_t tag,
                          K (*key)(std::uint32_t), V (*value)(std::uint32_t)) {
    shared_map<K, V> s(capacity, 0xfffffff0, tag);
    std::map<std::uint32_t, std::uint32_t> expected;
    dice random(1);
    for (std::uint32_t step = 0; step < 20000; ++step) {
        const std::uint32_t k = random(keys);
        const bool present = expected.contains(k);
        switch (random(4)) {
            case 0:
                if (expected.size() == capacity && !present) break;
                ASSERT_EQ(s.map.insert(key(k), value(step)), !present);
                expected.try_emplace(k, step);
                break;
            case 1:
                if (expected.size() == capacity && !present) break;
                ASSERT_EQ(s.map.insert_or_assign(key(k), value(step)), !present);
                expected[k] = step;
                break;
            case 2:
                ASSERT_EQ(s.map.erase(key(k)), expected.erase(k) != 0);
                break;
            default:
                break;
        }
        const auto found = s.map.find(key(k));
        ASSERT_EQ(found.has_value(), expected.contains(k));
        ASSERT_EQ(s.map.contains(key(k)), expected.contains(k));
        if (found) {
            const V v = value(expected[k]);
            ASSERT_EQ(std::memcmp(&*found, &v, sizeof(V)), 0);
        }
        if (step % 1000 == 0) {
            std::uint64_t visited = 0;
            s.map.for_each([&](const K& a, const V& b) {
                for (const auto& [ek, ev] : expected) {
                    const K c = key(ek);
                    const V d = value(ev);
                    visited +=
                        std::memcmp(&a, &c, sizeof(K)) == 0 && std::memcmp(&b, &d, sizeof(V)) == 0;
                }
            });
            ASSERT_EQ(visited, expected.size());
            ASSERT_EQ(s.map.size(), expected.size());
            ASSERT_EQ(s.leaked(), 0u);
        }
    }
}

struct name {
    char text[13];
};
struct colour {
    unsigned char rgb[3];
};
struct page {
    std::uint32_t words[50];
};

TEST(large_map, behaves_like_std_map) {
    for (const std::uint64_t capacity : {1u, 2u, 7u, 8u, 9u, 100u})
        for (const std::uint64_t tag : {0ull, (1ull << 55) - 3}) {
            SCOPED_TRACE(capacity);
            compare_with_std_map<std::uint32_t, std::uint64_t>(
                capacity, static_cast<std::uint32_t>(capacity) + 2, tag,
                [](std::uint32_t k) { return k; },
                [](std::uint32_t v) { return std::uint64_t{v} << 32 | v; });
        }
    compare_with_std_map<name, colour>(
        20, 30, 0,
        [](std::uint32_t k) {
            name n{};
            std::snprintf(n.text, sizeof n.text, "key %u", k % 30);
            return n;
        },
        [](std::uint32_t v) {
            return colour{{static_cast<unsigned char>(v % 256), 1, 2}};
        });
    compare_with_std_map<std::array<std::uint64_t, 2>, page>(
        20, 30, 0,
        [](std::uint32_t k) {
            return std::array<std::uint64_t, 2>{k % 3, k};
        },
        [](std::uint32_t v) {
            page p;
            for (auto& w : p.words) w = v++;
            return p;
        });
}

TEST(large_map, capacity_n_holds_n_and_a_full_one_says_so) {
    for (const std::uint64_t n : {1u, 8u, 100u, 1000u}) {
        shared_map<std::uint64_t, std::uint64_t> s(n);
        const std::uint64_t most = s.map.capacity() + s.map.num_spare();
        EXPECT_GE(s.map.num_spare(), 8u);
        for (std::uint64_t k = 0; k < most; ++k) ASSERT_TRUE(s.map.insert(k * 7919, k));
        EXPECT_EQ(s.map.size(), most);
        EXPECT_THROW(s.map.insert(1, 1), assay::no_space);
        EXPECT_THROW(s.map.insert_or_assign(0, 1), assay::no_space);
        EXPECT_FALSE(s.map.insert(0, 1));  // needs no node
        EXPECT_EQ(s.map.find(0), 0u);
        EXPECT_TRUE(s.map.erase(7919));
        EXPECT_TRUE(s.map.insert(1, 1));
        for (std::uint64_t k = 0; k < most; ++k) ASSERT_EQ(s.map.erase(k * 7919), k != 1);
        EXPECT_EQ(s.map.size(), 1u);
        EXPECT_EQ(s.leaked(), 0u);
    }
}

TEST(large_map, impossible_counts_are_refused) {
    using map = assay::large_map<int, int>;
    EXPECT_THROW(static_cast<void>(map::size_bytes(0)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(map::size_bytes(1ull << 31)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(map::size_bytes(~0ull)), std::invalid_argument);
}

TEST(large_map, iteration_may_change_the_map) {
    shared_map<int, int> s(50);
    for (int k = 0; k < 50; ++k) s.map.insert(k, k);
    int visited = 0;
    s.map.for_each([&](int k, int v) {
        EXPECT_EQ(k, v);
        ++visited;
        s.map.erase(k);
    });
    EXPECT_EQ(visited, 50);
    EXPECT_TRUE(s.map.empty());
    EXPECT_EQ(s.leaked(), 0u);
}

// --- several processes ---------------------------------------------------------------------------

struct tally {
    std::atomic<std::int64_t> balance[16];  // successful insertions minus erasures, by key
    std::atomic<std::uint64_t> wrong;
    std::atomic<std::uint64_t> missed;
    std::atomic<std::uint32_t> writers;
};

// Random operations on the shared keys 0 to 15, and on keys of our own, of which we know all.
void churn(twins& s, tally& t, std::uint32_t who, int rounds) {
    dice random(who);
    noise = who * 2654435761u | 1;
    std::map<std::uint32_t, std::uint64_t> mine;
    for (int i = 0; i < rounds; ++i) {
        const std::uint32_t shared = random(16);
        const std::uint32_t own = who * 100 + random(4);
        const std::uint64_t value = random(1000000);
        switch (random(6)) {
            case 0:
                t.balance[shared] += s.map.insert(shared, twin(value));
                break;
            case 1:
                t.balance[shared] += s.map.insert_or_assign(shared, twin(value));
                break;
            case 2:
                t.balance[shared] -= s.map.erase(shared);
                break;
            case 3:
                t.wrong += s.map.insert_or_assign(own, twin(value)) == mine.contains(own);
                mine[own] = value;
                break;
            case 4:
                t.wrong += s.map.erase(own) != (mine.erase(own) != 0);
                break;
            default:
                break;
        }
        if (const auto v = s.map.find(shared)) t.wrong += !v->whole();
        const auto v = s.map.find(own);
        t.wrong += v.has_value() != mine.contains(own);
        if (v) t.wrong += *v != twin(mine[own]);
    }
    for (const auto& [k, v] : mine) t.wrong += !s.map.erase(k);
    noise = 0;
}

void expect_balanced(twins& s, tally& t) {
    EXPECT_EQ(t.wrong, 0u);
    for (std::uint32_t k = 0; k < 16; ++k)
        EXPECT_EQ(t.balance[k], s.map.contains(k) ? 1 : 0) << "key " << k;
    EXPECT_EQ(s.leaked(), 0u);
}

TEST(large_map, concurrent_processes_see_each_key_change_atomically) {
    for (const std::uint64_t capacity : {32u, 256u}) {
        twins s(capacity, 0xffffff00, (1ull << 50) - 100);
        shared_value<tally> t;
        {
            std::vector<child> all;
            for (std::uint32_t who = 1; who <= 4; ++who)
                all.emplace_back([&] { churn(s, *t, who, 20000); });
            for (auto& c : all) EXPECT_EQ(c.exit_code(), 0);
        }
        expect_balanced(s, *t);
    }
}

TEST(large_map, concurrent_threads_see_each_key_change_atomically) {
    twins s(32);
    shared_value<tally> t;
    std::vector<std::thread> all;
    for (std::uint32_t who = 1; who <= 4; ++who)
        all.emplace_back([&, who] { churn(s, *t, who, 3000); });
    for (auto& thread : all) thread.join();
    expect_balanced(s, *t);
}

TEST(large_map, a_key_that_is_reassigned_is_never_missed) {
    twins s(8);
    for (std::uint32_t k = 0; k < 3; ++k) s.map.insert(k, twin(0));
    shared_value<tally> t;
    std::vector<child> all;
    t->writers = 2;
    for (std::uint32_t who = 1; who <= 2; ++who)
        all.emplace_back([&, who] {
            noise = who;
            for (std::uint64_t i = 0; i < 30000; ++i)
                t->wrong += s.map.insert_or_assign(static_cast<std::uint32_t>(i % 3), twin(i));
            --t->writers;
        });
    for (std::uint32_t who = 1; who <= 2; ++who)
        all.emplace_back([&, who] {
            noise = who + 100;
            for (std::uint32_t i = 0; t->writers != 0; ++i) {
                const auto v = s.map.find(i % 3);
                if (!v)
                    ++t->missed;
                else
                    t->wrong += !v->whole();
                std::uint32_t seen = 0;
                s.map.for_each([&](std::uint32_t k, const twin& w) {
                    seen += 1u << k;
                    t->wrong += !w.whole();
                });
                t->missed += seen != 7;
            }
        });
    for (auto& c : all) EXPECT_EQ(c.exit_code(), 0);
    EXPECT_EQ(t->missed, 0u);
    EXPECT_EQ(t->wrong, 0u);
    EXPECT_EQ(s.map.size(), 3u);
    EXPECT_EQ(s.leaked(), 0u);
}

// --- death at every step -------------------------------------------------------------------------

// One bucket, so that all keys meet; key 5 is in the middle, its neighbours 3 and 7 never change.
struct one_bucket : twins {
    one_bucket() : twins(1) {
        map.insert(3, twin(33));
        map.insert(7, twin(77));
    }
    void put(std::optional<std::uint64_t> v) {
        map.erase(5);
        if (v) map.insert(5, twin(*v));
    }
    [[nodiscard]] std::optional<std::uint64_t> at_5() {
        EXPECT_EQ(map.find(3), twin(33));
        EXPECT_EQ(map.find(7), twin(77));
        const auto v = map.find(5);
        EXPECT_EQ(v.has_value(), map.contains(5));
        EXPECT_TRUE(!v || v->whole());
        return v ? std::optional(v->a) : std::nullopt;
    }
};

using value = std::optional<std::uint64_t>;

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

// --- every interleaving that the dice find -------------------------------------------------------

enum class action { insert, assign, erase, find, end };

int perform(assay::large_map<std::uint32_t, twin>& m, action what, std::uint32_t k,
            std::uint64_t v) {
    switch (what) {
        case action::insert:
            return m.insert(k, twin(v));
        case action::assign:
            return m.insert_or_assign(k, twin(v));
        case action::erase:
            return m.erase(k);
        default:
            const auto found = m.find(k);
            return !found ? 0 : found->whole() ? static_cast<int>(found->a) : -1;
    }
}

// What that does to one key of value `now`, and its result.
int expected(action what, value& now, std::uint64_t v) {
    const value before = now;
    switch (what) {
        case action::insert:
            now = before ? before : v;
            return !before;
        case action::assign:
            now = v;
            return !before;
        case action::erase:
            now = {};
            return before.has_value();
        default:
            return before ? static_cast<int>(*before) : 0;
    }
}

// All that can be true while one operation on a key is under way and others come in between.
class possibilities {
public:
    possibilities(value now, action ours, std::uint64_t v)
        : all_{{false, 0, now}}, ours_(ours), v_(v) {}

    void saw(action what, std::uint64_t v, int result) {
        ours_may_happen();
        std::vector<possible> left;
        for (possible p : all_)
            if (expected(what, p.now, v) == result) left.push_back(p);
        all_ = left;
    }
    bool ended(int result, value now) {
        ours_may_happen();
        std::erase_if(
            all_, [&](const possible& p) { return !p.done || p.result != result || p.now != now; });
        return !all_.empty();
    }

private:
    struct possible {
        bool done;
        int result;
        value now;
    };
    void ours_may_happen() {
        const auto n = all_.size();
        for (std::size_t i = 0; i < n; ++i)
            if (possible p = all_[i]; !p.done) {
                p.result = expected(ours_, p.now, v_);
                p.done = true;
                all_.push_back(p);
            }
    }
    std::vector<possible> all_;
    action ours_;
    std::uint64_t v_;
};

// Before each access of an operation on key 5, others may do anything, to it and to other keys.
TEST(large_map, operations_are_linearizable_in_random_interleavings) {
    one_bucket s;
    for (std::uint32_t seed = 1; seed <= 20000; ++seed) {
        dice random(seed);
        const value before = random(2) == 0 ? value() : value(1);
        s.put(before);
        std::map<std::uint32_t, value> others;
        std::uint64_t fresh = 100;
        int left = 1 + static_cast<int>(random(12));
        const action ours = static_cast<action>(random(4));
        possibilities all(before, ours, 2);
        const int result =
            interleaved([&] { return perform(s.map, ours, 5, 2); },
                        [&] {
                            if (left == 0 || random(3) != 0) return;
                            --left;
                            const action what = static_cast<action>(random(5));
                            const std::uint32_t k = random(2) == 0 ? 5 : 4 + 2 * random(2);
                            if (what == action::end) s.map.recover();
                            if (what == action::end) return;
                            const int r = perform(s.map, what, k, ++fresh);
                            if (k == 5)
                                all.saw(what, fresh, r);
                            else
                                ASSERT_EQ(expected(what, others[k], fresh), r) << "seed " << seed;
                        });
        ASSERT_FALSE(HasFailure());
        ASSERT_TRUE(all.ended(result, s.at_5())) << "seed " << seed << ": " << result;
        for (const auto& [k, v] : others)
            ASSERT_EQ(s.map.erase(k), v.has_value()) << "seed " << seed << ": key " << k;
        ASSERT_EQ(s.leaked(), 0u) << "seed " << seed;
    }
}

// --- foreign bytes -------------------------------------------------------------------------------

std::uint64_t* heads_of(twins& s, std::uint64_t nodes) {
    return reinterpret_cast<std::uint64_t*>(static_cast<char*>(s.memory.get()) +
                                            assay::claims::size_bytes(nodes));
}

TEST(large_map, links_that_lead_nowhere_are_reported) {
    twins s(4);  // 12 nodes: 4 bits of index
    for (std::uint32_t k = 0; k < 4; ++k) s.map.insert(k, twin(k));
    for (int b = 0; b < 4; ++b) heads_of(s, 12)[b] = 14;
    EXPECT_THROW(static_cast<void>(s.map.find(1)), assay::corrupt);
    EXPECT_THROW(s.map.insert(9, twin(1)), assay::corrupt);
    EXPECT_THROW(s.map.erase(1), assay::corrupt);
    EXPECT_THROW(static_cast<void>(s.map.size()), assay::corrupt);
}

TEST(large_map, random_bytes_end_every_operation) {
    std::mt19937_64 random(5);
    int reported = 0;
    for (int round = 0; round < 3000; ++round) {
        twins s(4);
        for (std::uint32_t k = 0; k < 6; ++k) s.map.insert(k, twin(k));
        auto* const words = static_cast<std::uint64_t*>(s.memory.get());
        const std::uint64_t n = s.memory.size() / 8;
        const std::uint64_t from = round % 2 == 0 ? 0 : assay::claims::size_bytes(12) / 8;
        for (std::uint64_t i = from; i < n; ++i)
            if (round % 3 != 0 || random() % 4 == 0)
                words[i] = random() % (round % 5 == 0 ? 64 : ~0ull);
        try {
            s.map.insert(static_cast<std::uint32_t>(random() % 9), twin(1));
            s.map.insert_or_assign(static_cast<std::uint32_t>(random() % 9), twin(1));
            s.map.erase(static_cast<std::uint32_t>(random() % 9));
            static_cast<void>(s.map.find(1));
            s.map.recover();
            static_cast<void>(s.map.size());
        } catch (const assay::corrupt&) {
            ++reported;
        } catch (const assay::no_space&) {
        }
    }
    EXPECT_GT(reported, 100);
}

// --- in a segment --------------------------------------------------------------------------------

TEST(large_map, processes_share_one_by_name) {
    const auto segment_name = testing_processes::unique_name();
    assay::posix_shm segment(segment_name, 1 << 20);
    using map = assay::large_map<std::uint32_t, std::uint64_t>;
    map m(segment, "map", 100);
    EXPECT_TRUE(map::exists(segment, "map"));
    EXPECT_FALSE((assay::large_map<std::int32_t, std::uint64_t>::exists(segment, "map")));
    EXPECT_THROW((assay::large_map<std::uint64_t, std::uint32_t>(segment, "map")), assay::mismatch);
    EXPECT_THROW(map(segment, "map", 50), assay::mismatch);
    m.insert(1, 10);
    child other([&] {
        assay::posix_shm mine(segment_name);
        map same(mine, "map");
        same.insert(2, same.find(1).value_or(0) * 2);
        die_after = 15;  // in the middle of an insertion
        same.insert(3, 30);
    });
    EXPECT_EQ(other.exit_code(), 128 + SIGKILL);
    EXPECT_EQ(m.find(2), 20u);
    m.recover();
    EXPECT_EQ(m.num_available(), m.capacity() + m.num_spare() - m.size());
}

}  // namespace
