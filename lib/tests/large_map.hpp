// large_map.hpp -- what the tests of the map share: a map of several processes, and the books of what they
// changed.
#pragma once
#include "lib/tests/stepped.hpp"

#include <assay/large_map.hpp>
#include <assay/posix_shm.hpp>

#include <array>
#include <optional>
#include <random>

namespace testing_large_map {

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

struct tally {
    std::atomic<std::int64_t> balance[16];  // successful insertions minus erasures, by key
    std::atomic<std::uint64_t> wrong;
    std::atomic<std::uint64_t> missed;
    std::atomic<std::uint32_t> writers;
};

// Random operations on the shared keys 0 to 15, and on keys of our own, of which we know all.
inline void churn(twins& s, tally& t, std::uint32_t who, int rounds) {
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

inline void expect_balanced(twins& s, tally& t) {
    EXPECT_EQ(t.wrong, 0u);
    for (std::uint32_t k = 0; k < 16; ++k)
        EXPECT_EQ(t.balance[k], s.map.contains(k) ? 1 : 0) << "key " << k;
    EXPECT_EQ(s.leaked(), 0u);
}

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

}  // namespace testing_large_map
