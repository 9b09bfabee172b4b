// large_map.hpp -- what the scenarios of large_map.cpp have in common: mixes of operations, run by
// the shipped map or by one of its canaries, each key then compared with its specification.
#pragma once

#include "assay/large_map.hpp"

#include <array>
#include <utility>

#include "lib/spec/large_map.hpp"
#include "model/linearizability.hpp"

namespace assay::model::maps {

constexpr std::int32_t last_key = 4;  // of those that are used

struct call {
    enum what : std::uint8_t {
        nothing,
        insert,
        assign,
        erase,
        find,
        visit,
        recover
    } what = nothing;
    std::int32_t key = 0;
    std::int32_t value = 0;
};
constexpr call insert(std::int32_t k, std::int32_t v) { return {call::insert, k, v}; }
constexpr call assign(std::int32_t k, std::int32_t v) { return {call::assign, k, v}; }
constexpr call erase(std::int32_t k) { return {call::erase, k}; }
constexpr call find(std::int32_t k) { return {call::find, k}; }
constexpr call visit{call::visit};
constexpr call recover{call::recover};

// The keys that are there (with ten times the key as value), and what each process does.
struct mix {
    std::array<std::int32_t, 2> given;
    std::array<std::array<call, 4>, 3> programs;
    bool same_node = false;      // all who insert look first at the node of the first given key
    std::uint64_t capacity = 1;  // 1: one bucket, in which all keys meet, and few nodes
};

using shipped = assay::large_map<std::int32_t, std::int32_t>;

template <class Map>
struct fixture {
    std::uint64_t capacity;
    block memory;
    recorder calls;
    spec::large_map initial;

    // Zeroes, not leftovers: recover() reads the key of a node whose owner died before writing one, and
    // makes nothing of it.
    fixture(scenario& s, const mix& m, bool wraps)
        : capacity(m.capacity), memory(s, Map::size_bytes(capacity)) {
        if (wraps)
            Map::format(memory.get(), capacity, ~std::uint32_t{0}, ~std::uint64_t{0} - 1);
        else
            Map::format(memory.get(), capacity);
        // Each has nodes of its own to begin with, the last those of the entries that are there.
        const auto all = static_cast<std::uint32_t>(self());
        for (std::uint32_t p = 0; p <= all; ++p) look_first(p, 2 * p);
        user u(*this);
        for (const std::int32_t k : m.given)
            if (k != 0) {
                u.m.insert(k, 10 * k);
                initial.entries[k] = 10 * k;
            }
        for (std::uint32_t p = 0; p < all && m.same_node; ++p) look_first(p, 2 * all);
    }
    void look_first(std::size_t process, std::uint32_t node) {
        claims(memory.get(), user(*this).nodes()).suggest(id_of(process), node);
    }

    struct user {
        fixture& f;
        member me;
        Map m{f.memory.get(), f.capacity, me};

        explicit user(fixture& fix) : f(fix) {}

        [[nodiscard]] std::uint64_t nodes() const { return m.capacity() + m.num_spare(); }

        void operator()(const call& c) {
            try {
                perform(c);
            } catch (const corrupt& e) {
                check(false, e.what());
            }
        }
        void perform(const call& c) {
            const auto record = [&](const char* name, std::int64_t argument, auto use) {
                f.calls({name, argument, std::nullopt, 0}, use);
            };
            const std::int64_t both = spec::large_map::pack(c.key, c.value);
            switch (c.what) {
                case call::nothing:
                    break;
                case call::insert:
                    record("insert", both, [&] { return m.insert(c.key, c.value); });
                    break;
                case call::assign:
                    record("assign", both, [&] { return m.insert_or_assign(c.key, c.value); });
                    break;
                case call::erase:
                    record("erase", c.key, [&] { return m.erase(c.key); });
                    break;
                case call::find:
                    record("find", c.key, [&] { return m.find(c.key).value_or(spec::none); });
                    break;
                case call::visit: {
                    std::array<std::int64_t, last_key + 1> seen;
                    seen.fill(spec::none);
                    visit(1, seen);
                    break;
                }
                case call::recover:
                    m.recover();
                    break;
            }
        }
        // For each key it is a find that lasts from beginning to end.
        void visit(std::int32_t k, std::array<std::int64_t, last_key + 1>& seen) {
            if (k > last_key) {
                m.for_each([&](std::int32_t key, std::int32_t value) {
                    check(std::exchange(seen[static_cast<std::size_t>(key)], value) == spec::none,
                          "visited a key twice");
                });
                return;
            }
            f.calls({"find", k, std::nullopt, 0}, [&] {
                visit(k + 1, seen);
                return seen[static_cast<std::size_t>(k)];
            });
        }
    };

    // All nodes are accounted for, with the help of recover() after a death, and what is there at
    // the end is explained as well.
    void finish() {
        user u(*this);
        bool deaths = false;
        for (std::size_t p = 0; p < self(); ++p) deaths |= died(p);
        if (deaths) u(recover);
        for (std::int32_t k = 1; k <= last_key; ++k) {
            u(find(k));
            check_linearizable(calls, initial, [k](const spec::operation& o) {
                return spec::large_map::key_of(o) == k;
            });
        }
        check(u.m.num_available() + u.m.size() == u.nodes(), "a node is lost");
    }
};

template <class Map, class Finally>
void run_programs(scenario& s, fixture<Map>& f, const mix& m, Finally at_the_end) {
    static constexpr const char* names[] = {"first", "second", "third"};
    for (std::size_t p = 0; p < m.programs.size() && m.programs[p][0].what != call::nothing; ++p)
        s.process(names[p], [&f, &todo = m.programs[p]] {
            typename fixture<Map>::user u(f);
            for (const call& c : todo) u(c);
        });
    s.finally(at_the_end);
    s.run();
}
template <class Map>
void run_mix(scenario& s, const mix& m, bool wraps) {
    fixture<Map> f(s, m, wraps);
    run_programs(s, f, m, [&f] { f.finish(); });
}

template <const mix& M, class Map = shipped>
void runs(scenario& s) {
    run_mix<Map>(s, M, false);
}
// Generations and tags wrap at the first and second change.
template <const mix& M>
void wraps(scenario& s) {
    run_mix<shipped>(s, M, true);
}

}  // namespace assay::model::maps
