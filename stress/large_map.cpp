// large_map.cpp -- all insert, replace, find and erase, some are killed. Of its own keys each process
// knows exactly what must be there; over shared keys the successful operations must add up.
#include <assay/large_map.hpp>
#include <assay/posix_shm.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>

#include "stress/broken.hpp"
#include "stress/harness.hpp"
#include "stress/payload.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;
using value = stamped<3>;

constexpr std::uint64_t own_keys = 12;    // of each process: 1000 * (index + 1) + k
constexpr std::uint64_t common_keys = 8;  // of all: k
constexpr std::uint64_t absent = 0;       // a number that no value has

// What a process knows of one of its own keys; survives its death. Before a change `next` says
// what will be there, after it `now` does.
struct belief {
    std::atomic<std::uint64_t> now, next;
};
struct ledger {
    belief own[own_keys];
    // Successful changes of the common keys, noted after the fact.
    std::atomic<std::uint64_t> inserted[common_keys], erased[common_keys];
};

template <class Map>
class user {
public:
    user(worker& w, const std::string& segment, std::uint64_t count, const shared<ledger>& books)
        : w_(w),
          segment_(segment),
          map_(segment_, "map", count),
          mine_(books[w.index]),
          team_(books.size()) {
        for (std::uint64_t k = 0; k < own_keys; ++k) settle(k);
    }

    void run() {
        for (std::uint64_t n = 1; w_.running(); ++n) {
            const std::uint64_t k = w_.dice.below(own_keys);
            switch (w_.dice.below(6)) {
                case 0:
                    common(w_.dice.below(common_keys));
                    break;
                case 1:
                    look();
                    break;
                case 2:
                    settle(k);
                    break;
                default:
                    change(k, (std::uint64_t{w_.life} << 40) + n);
                    break;
            }
            if constexpr (requires(Map & m) { m.recover(); })
                if (w_.dice.one_in(1000)) {
                    w_.op("recover");
                    map_.recover();
                }
        }
    }

private:
    [[nodiscard]] std::uint64_t key(std::uint64_t k) const { return 1000 * (w_.index + 1) + k; }

    void change(std::uint64_t k, std::uint64_t number) {
        belief& b = mine_.own[k];
        const std::uint64_t now = b.now;
        const value v = value::make(key(k), number);
        if (now == absent || w_.dice.one_in(2)) {
            b.next = number;
            if (now == absent && w_.dice.one_in(2)) {
                w_.op("insert", key(k), number);
                if (!map_.insert(key(k), v)) fail("key %llu was inserted by nobody", id(k));
            } else {
                w_.op("insert_or_assign", key(k), number);
                if (map_.insert_or_assign(key(k), v) != (now == absent))
                    fail("key %llu is %s, against all that its owner did", id(k),
                         now == absent ? "there" : "lost");
            }
        } else {
            if (w_.dice.one_in(4) && map_.insert(key(k), v))
                fail("key %llu was inserted twice or is lost", id(k));
            b.next = absent;
            w_.op("erase", key(k));
            if (!map_.erase(key(k))) fail("key %llu is lost: nothing to erase", id(k));
        }
        b.now = b.next.load();
    }

    // What is there must be what we know, or what we were about to do when we died.
    void settle(std::uint64_t k) {
        belief& b = mine_.own[k];
        w_.op("find", key(k));
        const std::optional<value> v = map_.find(key(k));
        if (v && (!v->whole() || v->from != key(k))) fail("key %llu has a torn value", id(k));
        const std::uint64_t found = v ? v->number : absent;
        if (found != b.now && found != b.next)
            fail("key %llu is lost or wrong: found %llu, expected %llu or %llu", id(k),
                 (unsigned long long)found, (unsigned long long)b.now.load(),
                 (unsigned long long)b.next.load());
        b.now = found;
        b.next = found;
    }

    void common(std::uint64_t k) {
        if (w_.dice.one_in(2)) {
            w_.op("insert common", k);
            if (map_.insert(k, value::make(k, 1 + w_.index))) ++mine_.inserted[k];
        } else {
            w_.op("erase common", k);
            if (map_.erase(k)) ++mine_.erased[k];
        }
    }

    void look() {
        const std::uint64_t other =
            w_.dice.one_in(2) ? w_.dice.below(common_keys)
                              : 1000 * (1 + w_.dice.below(team_)) + w_.dice.below(own_keys);
        w_.op("find another's", other);
        const std::optional<value> v = map_.find(other);
        if (v && (!v->whole() || v->from != other))
            fail("key %llu has a torn value", (unsigned long long)other);
    }

    [[nodiscard]] unsigned long long id(std::uint64_t k) const { return key(k); }

    worker& w_;
    posix_shm segment_;
    Map map_;
    ledger& mine_;
    std::uint64_t team_;
};

template <class Map>
void expect_sound(Map& map, std::uint64_t deaths, const shared<ledger>& books) {
    for (std::uint64_t k = 0; k < common_keys; ++k) {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < books.size(); ++i)
            sum += static_cast<std::int64_t>(books[i].inserted[k]) -
                   static_cast<std::int64_t>(books[i].erased[k]);
        const std::int64_t off = sum - (map.find(k) ? 1 : 0);
        if (static_cast<std::uint64_t>(off < 0 ? -off : off) > deaths)
            fail("common key %llu: inserted minus erased is %lld, and it was %s",
                 (unsigned long long)k, (long long)sum, map.find(k) ? "found" : "not found");
    }
    if constexpr (requires { map.num_spare(); }) {
        map.recover();
        std::set<std::uint64_t> keys;
        map.for_each([&](std::uint64_t key, const value&) {
            if (!keys.insert(key).second) fail("key %llu is there twice", (unsigned long long)key);
        });
        if (map.num_available() + keys.size() != map.capacity() + map.num_spare())
            fail("%llu nodes are lost", (unsigned long long)(map.capacity() + map.num_spare() -
                                                             keys.size() - map.num_available()));
    }
}

template <class Map>
void each_key_is_as_its_owner_left_it(context& c) {
    const std::string name = c.segment("map");
    while (const auto e = c.next()) {
        const std::uint64_t count = common_keys + own_keys * e->processes;
        posix_shm here(name, posix_shm::size_for(Map::size_bytes(count) + 4096));
        Map map(here, "map", count);
        const shared<ledger> books(e->processes);
        team crew(*e, e->processes, [&](worker& w) { user<Map>(w, name, count, books).run(); });
        crew.run();
        for (unsigned i = 0; i < e->processes; ++i)
            for (std::uint64_t k = 0; k < own_keys; ++k) {
                const std::optional<value> v = map.find(1000 * (i + 1) + k);
                const std::uint64_t found = v ? v->number : absent;
                const belief& b = books[i].own[k];
                if (found != b.now && found != b.next)
                    fail("key %u is lost or wrong at the end",
                         static_cast<unsigned>(1000 * (i + 1) + k));
            }
        expect_sound(map, crew.deaths(), books);
    }
}

const enlist checks{
    {"large_map/each_key_is_as_its_owner_left_it",
     "all insert, assign, find and erase, some are killed; values whole, no node lost",
     "operations", each_key_is_as_its_owner_left_it<assay::large_map<std::uint64_t, value>>},
    {"large_map/canary_free_slot_is_looked_for_then_taken",
     "open addressing without an exchange",
     "operations",
     each_key_is_as_its_owner_left_it<broken::map<std::uint64_t, value>>,
     1,
     {"lost", "torn", "nobody", "common key", "twice"}},
};

}  // namespace
}  // namespace assay_stress
