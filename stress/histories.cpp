// histories.cpp -- is what the processes get explained by a sequential run? For each structure, with
// the specification that the model checker uses too.
#include "stress/histories.hpp"

#include <assay/large_map.hpp>
#include <assay/mrsw_array.hpp>
#include <assay/object_pool.hpp>
#include <assay/posix_shm.hpp>
#include <assay/queue.hpp>
#include <assay/ring_buffer.hpp>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "lib/spec/large_map.hpp"
#include "lib/spec/mrsw_array.hpp"
#include "lib/spec/object_pool.hpp"
#include "lib/spec/queue.hpp"
#include "stress/broken.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;
namespace spec = assay::spec;

constexpr unsigned most_processes = 8;  // of 5 operations each: a window has at most 64

constexpr auto one_object = [](const spec::operation&) { return std::int64_t{0}; };
constexpr auto each_key = [](const spec::operation& o) { return spec::large_map::key_of(o); };

// A number that no other operation of the team has.
std::int64_t fresh(const worker& w, const diary& mine) {
    return static_cast<std::int64_t>(mine.size()) * max_workers + w.index;
}

// --- what one process does with a structure: act() is one operation ---------------------------------

template <class Queue>
struct queue_user {
    static constexpr std::uint64_t capacity = 2;
    static constexpr bool mortal = true;
    static constexpr unsigned most = most_processes;
    static constexpr auto object = one_object;
    static spec::queue initial() { return {capacity, {}}; }

    Queue q;
    queue_user(posix_shm& in, const worker&, diary&) : q(in, "subject", capacity) {}
    void act(worker& w, diary& mine) {
        if (w.dice.one_in(2)) {
            const std::int64_t v = fresh(w, mine);
            w.op("enqueue", static_cast<std::uint64_t>(v));
            mine("enqueue", v, [&] { return q.enqueue(v); });
        } else {
            w.op("dequeue");
            mine("dequeue", 0, [&] { return q.dequeue().value_or(spec::none); });
        }
    }
};

// The first process writes, the second consumes.
template <class Ring>
struct ring_user {
    static constexpr std::uint64_t capacity = 3;
    static constexpr bool mortal = true;
    static constexpr unsigned most = 2;
    static constexpr auto object = one_object;
    static spec::queue initial() { return {capacity, {}}; }

    Ring r;
    ring_user(posix_shm& in, const worker&, diary&) : r(in, "subject", capacity) {}
    void act(worker& w, diary& mine) {
        if (w.index == 0) {
            const std::int64_t v = fresh(w, mine);
            w.op("push", static_cast<std::uint64_t>(v));
            mine("enqueue", v, [&] { return r.push(v); });
        } else {
            w.op("pop");
            mine("dequeue", 0, [&] { return r.pop().value_or(spec::none); });
        }
    }
};

// Mortals would keep objects for ever: recover() is not an operation of the specification.
template <class Pool>
struct pool_user {
    static constexpr std::uint64_t capacity = 3;
    static constexpr bool mortal = false;
    static constexpr unsigned most = most_processes;
    static constexpr auto object = one_object;
    static spec::object_pool initial() { return {capacity}; }

    posix_shm& in;
    Pool p;
    std::vector<typename Pool::handle_type> held;
    pool_user(posix_shm& s, const worker&, diary&) : in(s), p(s, "subject", capacity) {}
    void act(worker& w, diary& mine) {
        if (held.empty() || (held.size() < 2 && w.dice.one_in(2))) {
            w.op("acquire");
            auto h = Pool::invalid_handle;
            mine("acquire", 0, [&] {
                h = p.acquire();
                return number(h);
            });
            if (h != Pool::invalid_handle) held.push_back(h);
        } else {
            std::swap(held[w.dice.below(held.size())], held.back());
            const auto h = held.back();
            held.pop_back();
            w.op("release");
            mine("release", number(h), [&] { return p.release(h); });
        }
    }
    std::int64_t number(typename Pool::handle_type h) const {
        if (h == Pool::invalid_handle) return spec::none;
        if constexpr (requires { h.index; })
            return h.index;
        else
            return h - 1;
    }
};

// The first process writes.
template <class Array>
struct array_user {
    static constexpr std::uint64_t capacity = 3;
    static constexpr bool mortal = true;
    static constexpr unsigned most = most_processes;
    static constexpr auto object = one_object;
    static spec::mrsw_array initial() { return {0, {0, 0, 0}}; }

    Array all;
    array_user(posix_shm& in, const worker& w, diary& mine) : all(in, "subject", capacity) {
        if constexpr (requires { all.recover(); })
            if (w.index == 0) mine("recover", 0, [&] { return all.recover(); });
    }
    void act(worker& w, diary& mine) {
        const auto v = static_cast<std::int64_t>(w.dice.below(256));
        const std::uint64_t i = w.dice.below(capacity);
        if (w.index != 0) {
            w.op("snapshot");
            mine("snapshot", 0, [&] {
                spec::mrsw_array seen{0, {0, 0, 0}};
                seen.version = all.snapshot(std::span(seen.elements));
                return seen.image();
            });
        } else if (w.dice.one_in(2)) {
            w.op("write", i, static_cast<std::uint64_t>(v));
            mine("write", spec::mrsw_array::pack(static_cast<std::int64_t>(i), v), [&] {
                return spec::mrsw_array::number(all.update([&](auto& edit) { edit.set(i, v); }));
            });
        } else {
            w.op("fill", static_cast<std::uint64_t>(v));
            mine("fill", v, [&] {
                return spec::mrsw_array::number(all.update([&](auto& edit) {
                    for (std::uint64_t k = 0; k < capacity; ++k) edit.set(k, v);
                }));
            });
        }
    }
};

template <class Map>
struct map_user {
    static constexpr std::uint64_t capacity = 8;
    static constexpr bool mortal = true;
    static constexpr unsigned most = most_processes;
    static constexpr std::uint64_t keys = 3;
    static constexpr auto object = each_key;
    static spec::large_map initial() { return {}; }

    Map m;
    map_user(posix_shm& in, const worker&, diary&) : m(in, "subject", capacity) {}
    void act(worker& w, diary& mine) {
        const auto key = static_cast<std::int32_t>(w.dice.below(keys));
        const auto value = static_cast<std::int32_t>(fresh(w, mine));
        const std::int64_t both = spec::large_map::pack(key, value);
        const auto at = static_cast<std::uint64_t>(key);
        switch (w.dice.below(4)) {
            case 0:
                w.op("insert", at);
                mine("insert", both, [&] { return m.insert(key, value); });
                break;
            case 1:
                w.op("insert_or_assign", at);
                mine("assign", both, [&] { return m.insert_or_assign(key, value); });
                break;
            case 2:
                w.op("erase", at);
                mine("erase", key, [&] { return m.erase(key); });
                break;
            default:
                w.op("find", at);
                mine("find", key, [&] { return m.find(key).value_or(spec::none); });
                break;
        }
    }
};

// The segment's own table, by numbers instead of names.
class names {
public:
    names(posix_shm& in, std::string_view, std::uint64_t) : table_(*in.get_table()) {}
    static std::uint64_t size_bytes(std::uint64_t count) { return 2 * count * assay::line_size; }
    bool allocate(std::int32_t k) { return table_.allocate(text(k), 1) != nullptr; }
    [[nodiscard]] bool has(std::int32_t k) const { return table_.find(text(k)) != nullptr; }
    bool erase(std::int32_t k) { return table_.erase(text(k)); }

private:
    static std::string text(std::int32_t k) { return "name " + std::to_string(k); }
    std::remove_cvref_t<decltype(*std::declval<posix_shm&>().get_table())>& table_;
};

template <class Names>
struct table_user {
    static constexpr std::uint64_t capacity = 3;  // names
    static constexpr bool mortal = true;
    static constexpr unsigned most = most_processes;
    static constexpr auto object = each_key;
    static spec::large_map initial() { return {}; }

    Names all;
    table_user(posix_shm& in, const worker&, diary&) : all(in, "subject", capacity) {}
    void act(worker& w, diary& mine) {
        const auto key = static_cast<std::int32_t>(w.dice.below(capacity));
        const auto at = static_cast<std::uint64_t>(key);
        switch (w.dice.below(3)) {
            case 0:
                w.op("allocate", at);
                mine("insert", spec::large_map::pack(key, 1), [&] { return all.allocate(key); });
                break;
            case 1:
                w.op("erase", at);
                mine("erase", key, [&] { return all.erase(key); });
                break;
            default:
                w.op("find", at);
                mine("find", key, [&] { return all.has(key) ? 1 : spec::none; });
                break;
        }
    }
};

template <class User, class Structure>
void linearizable(context& c) {
    const std::string name = c.segment("histories");
    while (const auto e = c.next()) {
        posix_shm here(name, posix_shm::size_for(Structure::size_bytes(User::capacity) + 4096));
        Structure made(here, "subject", User::capacity);
        const unsigned n = std::min(e->processes, User::most);
        const shared<diary> diaries(n);
        team(*e, n,
             [&](worker& w) {
                 diary& mine = diaries[w.index];
                 mine.reopen();
                 posix_shm segment(name);
                 User user(segment, w, mine);
                 while (mine.next_burst(w, diaries))
                     for (std::uint64_t k = w.dice.between(1, 5); k != 0; --k) user.act(w, mine);
                 mine.close();
             },
             {.mortal = User::mortal, .lock_free = false})
            .run();
        expect_linearizable(diaries, User::initial(), User::object);
    }
}

// --- canaries ------------------------------------------------------------------------------------------

// Sees that nobody has the name, and then makes sure of it in another step.
class hasty_names : public names {
public:
    using names::names;
    bool allocate(std::int32_t k) {
        if (has(k)) return false;
        step();
        erase(k);
        return names::allocate(k);
    }
};

// Now and then the second element comes out before the first.
template <class T>
class swapping_queue : public assay::queue<T> {
public:
    using assay::queue<T>::queue;
    std::optional<T> dequeue() {
        const auto first = assay::queue<T>::dequeue();
        if (!first || ++calls_ % 64 != 0) return first;
        const auto second = assay::queue<T>::dequeue();
        if (!second || !assay::queue<T>::enqueue(*first)) return first;
        return second;
    }

private:
    unsigned calls_ = 0;
};

using number = std::int64_t;

template <template <class> class User, class Structure>
check proper(const char* name) {
    return {name, "bursts of operations, timed, explained by the specification", "operations",
            linearizable<User<Structure>, Structure>};
}
template <template <class> class User, class Structure>
check wrong(const char* name, const char* what) {
    return {name,
            what,
            "operations",
            linearizable<User<Structure>, Structure>,
            1,
            {"no sequential run"}};
}

const enlist checks{
    proper<queue_user, assay::queue<number>>("histories/queue_is_linearizable"),
    proper<ring_user, assay::ring_buffer<number>>("histories/ring_buffer_is_linearizable"),
    proper<pool_user, assay::object_pool<number>>("histories/object_pool_is_linearizable"),
    proper<array_user, assay::mrsw_array<number>>("histories/mrsw_array_is_linearizable"),
    proper<map_user, assay::large_map<std::int32_t, std::int32_t>>(
        "histories/large_map_is_linearizable_for_each_key"),
    proper<table_user, names>("histories/table_is_linearizable_for_each_name"),
    wrong<table_user, hasty_names>("histories/canary_name_that_is_replaced",
                                   "a name that came in between is erased"),
    wrong<queue_user, swapping_queue<number>>("histories/canary_queue_that_swaps",
                                              "a queue that swaps two elements now and then"),
    wrong<queue_user, broken::queue<number>>("histories/canary_seed_enqueue",
                                             "the seed's enqueue, with several producers"),
    wrong<pool_user, broken::free_list<number, false>>("histories/canary_free_list_without_tags",
                                                       "the seed's free list"),
    wrong<array_user, broken::mrsw_array<number>>("histories/canary_seed_snapshots",
                                                  "the seed's reads without synchronisation"),
    wrong<map_user, broken::map<std::int32_t, std::int32_t>>(
        "histories/canary_free_slot_is_looked_for_then_taken",
        "open addressing without an exchange"),
};

}  // namespace
}  // namespace assay_stress
