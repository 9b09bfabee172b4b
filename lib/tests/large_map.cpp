// Maps: like std::map for one process, linearizable for many, and whole after any death.
#include "lib/tests/large_map.hpp"

#include <array>
#include <cstring>
#include <map>
#include <random>
#include <thread>

namespace {

using namespace testing_large_map;

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
