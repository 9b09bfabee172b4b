// fifo.hpp -- how a queue or a ring is measured: throughput with every item accounted for.
#pragma once

#include <assay/sync.hpp>

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "perf/contender.hpp"
#include "perf/host.hpp"
#include "perf/limits.hpp"
#include "perf/plan.hpp"
#include "perf/team.hpp"

namespace assay_perf {

// What a worker does when the queue is full or empty. Part of every name.
enum class waits { spin, yield };

[[nodiscard]] inline std::string to_string(waits w) { return w == waits::spin ? "spin" : "yield"; }

inline void back_off(waits w) noexcept {
    if (w == waits::spin)
        assay::pause();
    else
        ::sched_yield();
}

// The n-th item of a producer says who made it and which it is.
inline constexpr unsigned number_bits = 48;
[[nodiscard]] constexpr std::uint64_t label(unsigned producer, std::uint64_t number) noexcept {
    return std::uint64_t{producer} << number_bits | number;
}

// What went in or came out, so that the parent can see that it is the same.
struct books {
    std::uint64_t items = 0, sum = 0, squares = 0;

    void add(std::uint64_t value) noexcept {
        ++items;
        sum += value;
        squares += value * value;
    }
    void close(worker_slot& slot) const noexcept {
        slot.items = items;
        slot.sum = sum;
        slot.squares = squares;
        // release: whoever sees it finished finds nothing more coming.
        slot.finished.store(true, std::memory_order_release);
    }
};

// The memory of a contender, formatted, for one run.
template <class C>
class arena {
public:
    explicit arena(std::size_t capacity) : capacity_(capacity), memory_(C::bytes(capacity)) {
        C::format(memory_.get(), capacity);
    }
    ~arena() {
        if constexpr (requires { C::dispose(memory_.get(), capacity_); })
            C::dispose(memory_.get(), capacity_);
    }
    arena(const arena&) = delete;
    arena& operator=(const arena&) = delete;
    // On the heap: it may be large, and is never destroyed, since workers end by _exit.
    [[nodiscard]] typename C::user& enter() const {
        return *new typename C::user(memory_.get(), capacity_);
    }
    [[nodiscard]] typename C::user& enter(role what) const {
        if constexpr (of_one_role<C>)
            return *new typename C::user(memory_.get(), capacity_, what);
        else
            return enter();
    }

private:
    std::size_t capacity_;
    shared_memory memory_;
};

// Says that this worker has entered all that it uses, and waits for the others.
template <class... Users>
void meet(worker& w, Users&... users) {
    const auto connect = [](auto& user) {
        if constexpr (requires { user.connect(); }) user.connect();
    };
    (connect(users), ...);
    w.meet();
}

// A producer's items in the order of their numbers, each once; a single consumer misses none.
class order {
public:
    order(unsigned producers, bool alone) : producers_(producers), alone_(alone) {}

    void see(worker& w, std::uint64_t value) {
        const std::uint64_t from = value >> number_bits;
        const std::uint64_t number = value & ((std::uint64_t{1} << number_bits) - 1);
        if (from >= producers_ || number < next_[from] || (alone_ && number != next_[from]))
            [[unlikely]]
            w.fail(
                "an item was lost, duplicated or out of order: number %llu of producer %llu "
                "came where %llu was due",
                static_cast<unsigned long long>(number), static_cast<unsigned long long>(from),
                static_cast<unsigned long long>(from < producers_ ? next_[from] : 0));
        next_[from] = number + 1;
    }

private:
    unsigned producers_;
    bool alone_;
    std::array<std::uint64_t, most_workers> next_{};
};

// Which contenders a row is for: those of many producers and consumers, or the others.
enum class side { several, single };

inline constexpr std::size_t few = 1024, plenty = 65536;  // capacities

struct traffic {
    unsigned producers, consumers;
    std::size_t capacity, batch;
    waits wait;
    std::vector<int> cpus;  // of the producers, then of the consumers
};

inline constexpr std::size_t most_batch = 256;

template <class User, class T>
void produce(worker& w, User& user, const traffic& t) {
    books mine;
    std::array<T, most_batch> items{};
    while (w.running(mine.items)) {
        if (t.batch == 1) {
            items[0].set(label(w.index, mine.items));
            if (user.put(items[0]))
                mine.add(items[0].value());
            else
                back_off(t.wait);
            continue;
        }
        if constexpr (requires { user.put_bulk(std::span<const T>()); }) {
            for (std::size_t i = 0; i < t.batch; ++i) items[i].set(label(w.index, mine.items + i));
            const std::size_t n = user.put_bulk(std::span<const T>(items.data(), t.batch));
            for (std::size_t i = 0; i < n; ++i) mine.add(items[i].value());
            if (n == 0) back_off(t.wait);
        }
    }
    mine.close(w.slot());
}

template <class User, class T>
void consume(worker& w, User& user, const traffic& t) {
    books mine;
    order seen(t.producers, t.consumers == 1);
    std::array<T, most_batch> items{};
    const auto some = [&]() -> std::size_t {
        if constexpr (requires { user.take_bulk(std::span<T>()); })
            if (t.batch != 1) return user.take_bulk(std::span<T>(items.data(), t.batch));
        return user.take(items[0]) ? 1 : 0;
    };
    const auto look = [&](std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) {
            if (!items[i].whole()) w.fail("an item was torn");
            seen.see(w, items[i].value());
            mine.add(items[i].value());
        }
    };
    while (w.running(mine.items)) {
        const std::size_t n = some();
        look(n);
        if (n == 0) back_off(t.wait);
    }
    // What is still inside counts, too; some peers say "empty" too early, so we ask often.
    for (unsigned nothing = 0; nothing < 100;) {
        bool finished = true;
        // acquire: nothing more comes after a producer has finished.
        for (unsigned i = 0; i < t.producers; ++i)
            finished = finished && w.other(i).finished.load(std::memory_order_acquire);
        const std::size_t n = some();
        look(n);
        nothing = n == 0 && finished ? nothing + 1 : 0;
        if (n == 0) ::sched_yield();
    }
    mine.close(w.slot());
}

// Why the books do not agree; empty if they do.
[[nodiscard]] inline std::string imbalance(const team_result& r, unsigned producers) {
    books in, out;
    for (std::size_t i = 0; i < r.parts.size(); ++i) {
        books& b = i < producers ? in : out;
        b.items += r.parts[i].items;
        b.sum += r.parts[i].sum;
        b.squares += r.parts[i].squares;
    }
    if (in.items == out.items && in.sum == out.sum && in.squares == out.squares) return "";
    return std::to_string(in.items) + " items went in, " + std::to_string(out.items) +
           " came out, " + (in.items == out.items ? "not the same ones" : "so some are lost");
}

template <class C, class T>
[[nodiscard]] outcome throughput(const traffic& t, double seconds) {
    const arena<C> place(t.capacity);
    const team_result r = run_team(t.cpus, seconds, [&](worker& w) {
        auto& user = place.enter(w.index < t.producers ? role::puts : role::takes);
        meet(w, user);
        if (w.index < t.producers)
            produce<typename C::user, T>(w, user, t);
        else
            consume<typename C::user, T>(w, user, t);
    });
    if (!r.failure.empty()) return {.invalid = r.failure};
    if (const std::string lost = imbalance(r, t.producers); !lost.empty()) return {.invalid = lost};
    return {.value = r.ns_together(t.producers, t.producers + t.consumers),
            .cpu_share = r.cpu_share};
}

[[nodiscard]] inline std::string name_of(const std::string& structure, const std::string& what,
                                         const traffic& t, std::size_t payload) {
    return structure + "/" + what + "/" + std::to_string(t.producers) + "p" +
           std::to_string(t.consumers) + "c/" + std::to_string(payload) + "B/cap" +
           std::to_string(t.capacity) + (t.batch == 1 ? "" : "/bulk" + std::to_string(t.batch)) +
           "/" + to_string(t.wait) + "/" + placement(t.cpus);
}

[[nodiscard]] inline facts parameters_of(const traffic& t, std::size_t payload) {
    return {
        {"producers", t.producers},      {"consumers", t.consumers}, {"payload", payload},
        {"capacity", t.capacity},        {"batch", t.batch},         {"wait", to_string(t.wait)},
        {"placement", placement(t.cpus)}};
}

// Those of the contenders that belong into the row, and can do it (bulk).
template <class T, class... Cs>
void add_throughput(plan& p, const std::string& structure, const traffic& t,
                    const std::string& limit, contenders<Cs...> all, side who) {
    each(all, [&]<class C>() {
        static_assert(fifo_contender<C, T>);
        if ((C::producers == many && C::consumers == many) != (who == side::several)) return;
        if (t.batch != 1 && !bulk_contender<C, T>) return;
        p.add({.name = name_of(structure, "throughput", t, sizeof(T)),
               .structure = structure,
               .kind = "throughput",
               .contender = std::string(C::name),
               .parameters = parameters_of(t, sizeof(T)),
               .unit = "ns/item",
               .limit = limit,
               .cpus = t.cpus,
               .run = [t](double seconds) { return throughput<C, T>(t, seconds); }});
    });
}

// Calls add.template operator()<item>(capacity, batch) for each load of a FIFO. (1 KiB at the large
// capacity would be 64 MiB for each run.)
template <class Add>
void each_load(Add&& add) {
    for (const std::size_t batch : {std::size_t{1}, most_batch}) {
        add.template operator()<item<8>>(few, batch);
        add.template operator()<item<8>>(plenty, batch);
        add.template operator()<item<64>>(few, batch);
        add.template operator()<item<64>>(plenty, batch);
        add.template operator()<item<1024>>(few, batch);
    }
}

// n producers and n consumers over all processors; they yield when those are too few.
[[nodiscard]] inline traffic crowd(unsigned n, std::size_t capacity, std::size_t batch) {
    const std::vector<int> all = allowed_cpus();
    traffic t{n, n, capacity, batch, all.size() >= 2 * n ? waits::spin : waits::yield, {}};
    for (std::size_t i = 0; i < 2 * n; ++i) t.cpus.push_back(all[i % all.size()]);
    return t;
}

}  // namespace assay_perf
