// latency.hpp -- times of single messages: ping and pong, and under a load that does not wait for
// its answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "perf/fifo.hpp"
#include "perf/limits.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {

// Message i is due at a fixed time, whether or not those before it have got through; its latency
// counts from there. A generator that waits for a slow receiver, and counts from when it sent at
// last, leaves out just the slow ones (Tene calls it coordinated omission).
struct open_loop {
    std::uint64_t start_ns, interval_ns;

    [[nodiscard]] std::uint64_t due(std::uint64_t i) const noexcept {
        return start_ns + i * interval_ns;
    }
    void arrived(histogram& times, std::uint64_t i, std::uint64_t at_ns) const noexcept {
        times.add(at_ns > due(i) ? at_ns - due(i) : 0);
    }
};

// What a stall of the receiver, of so long in each period, must do to a percentile of an open loop
// whose receiver is busy for `load` (0 to 1) of its time otherwise: messages that are due u after
// the stall began wait stall - u * (1 - load), the rest (nearly) nothing.
[[nodiscard]] constexpr double stalled_percentile(double stall, double period, double load,
                                                  double percent) noexcept {
    const double slower = (1 - percent / 100) * period;  // time in which the slower ones were due
    const double left = stall - slower * (1 - load);
    return left > 0 ? left : 0;
}

struct stalls {
    std::uint64_t length_ns = 0, period_ns = 0, service_ns = 0;  // period 0: none
};

// One producer sends on schedule, one consumer notes when each came; only in the measured time.
template <class C, class T>
[[nodiscard]] outcome under_load(const std::vector<int>& pair, std::uint64_t interval_ns,
                                 double seconds, const stalls& s = {}) {
    const arena<C> place(few);
    struct state {
        histogram times;
        std::atomic<std::uint64_t> start;
    };
    const shared<state> all;
    const team_result r = run_team(pair, seconds, [&](worker& w) {
        auto& user = place.enter();
        T x{};
        w.meet();
        if (w.index == 0) {
            const open_loop load{now_ns() + 20'000, interval_ns};
            all->start.store(load.start_ns, std::memory_order_release);
            std::uint64_t n = 0;
            for (; w.running(n); ++n) {
                while (now_ns() < load.due(n)) assay::pause();
                x.set(n);
                while (!user.put(x))
                    if (!w.running(n)) return;
            }
            return;
        }
        while (all->start.load(std::memory_order_acquire) == 0)
            if (!w.running(0)) return;
        const open_loop load{all->start.load(std::memory_order_relaxed), interval_ns};
        std::uint64_t next_stall = load.start_ns + s.period_ns / 2;
        for (std::uint64_t n = 0; w.running(n);) {
            if (s.period_ns != 0 && now_ns() >= next_stall) {
                while (now_ns() < next_stall + s.length_ns) assay::pause();
                next_stall += s.period_ns;
            }
            if (!user.take(x)) {
                assay::pause();
                continue;
            }
            const std::uint64_t at = now_ns();
            if (x.value() != n || !x.whole())
                w.fail("message %llu came instead of %llu",
                       static_cast<unsigned long long>(x.value()),
                       static_cast<unsigned long long>(n));
            if (w.measuring()) load.arrived(all->times, n, at);
            ++n;
            while (s.service_ns != 0 && now_ns() < at + s.service_ns) assay::pause();
        }
    });
    if (!r.failure.empty()) return {.invalid = r.failure};
    return {.value = all->times.percentile(50), .cpu_share = r.cpu_share, .times = all->times};
}

// There through one queue and back through another.
template <class C, class T>
[[nodiscard]] outcome ping_pong(const std::vector<int>& pair, double seconds) {
    const arena<C> there(few), back(few);
    const shared<histogram> times;
    const double ns = ns_per_tick();
    const team_result r = run_team(pair, seconds, [&](worker& w) {
        auto& out = (w.index == 0 ? there : back).enter(role::puts);
        auto& in = (w.index == 0 ? back : there).enter(role::takes);
        T x{};
        const auto comes = [&](std::uint64_t n) {
            while (!in.take(x))
                if (!w.running(n)) return false;
            return true;
        };
        meet(w, out, in);
        std::uint64_t last = ticks();
        for (std::uint64_t n = 0; w.running(n); ++n) {
            if (w.index == 1 && !comes(n)) return;
            if (w.index == 0) x.set(n);
            if (!out.put(x)) w.fail("full with one message inside");
            if (w.index == 0 && !comes(n)) return;
            if (x.value() != n) w.fail("another message came back");
            if (w.index == 1) continue;
            const std::uint64_t now = ticks();
            if (w.measuring())
                times->add(static_cast<std::uint64_t>(static_cast<double>(now - last) * ns));
            last = now;
        }
    });
    if (!r.failure.empty()) return {.invalid = r.failure};
    return {.value = times->percentile(50), .cpu_share = r.cpu_share, .times = *times};
}

[[nodiscard]] inline measurement latency_row(const std::string& structure, const std::string& what,
                                             std::size_t payload, std::uint64_t interval_ns,
                                             const std::vector<int>& pair,
                                             std::string_view contender) {
    return {.name = structure + "/latency/" + what + "/1p1c/" + std::to_string(payload) + "B/cap" +
                    std::to_string(few) + "/spin/" + placement(pair),
            .structure = structure,
            .kind = "latency",
            .contender = std::string(contender),
            .parameters = {{"producers", 1},
                           {"consumers", 1},
                           {"payload", payload},
                           {"capacity", few},
                           {"batch", 1},
                           {"wait", "spin"},
                           {"interval_ns", interval_ns},
                           {"placement", placement(pair)}},
            .unit = "ns",
            .cpus = pair};
}

template <class T, class... Cs>
void add_ping_pong(plan& p, const std::string& structure, const std::vector<int>& pair,
                   contenders<Cs...> all, side who) {
    each(all, [&]<class C>() {
        if ((C::producers == many && C::consumers == many) != (who == side::several)) return;
        measurement m = latency_row(structure, "ping_pong", sizeof(T), 0, pair, C::name);
        m.limit = round_trip_limit(true, pair);
        m.run = [=](double seconds) { return ping_pong<C, T>(pair, seconds); };
        p.add(std::move(m));
    });
}

template <class T, class... Cs>
void add_open_loop(plan& p, const std::string& structure, const std::vector<int>& pair,
                   contenders<Cs...> all, side who) {
    for (const std::uint64_t interval : {1'000u, 10'000u})
        each(all, [&]<class C>() {
            if ((C::producers == many && C::consumers == many) != (who == side::several)) return;
            measurement m =
                latency_row(structure, "open_loop/every" + std::to_string(interval) + "ns",
                            sizeof(T), interval, pair, C::name);
            m.run = [=](double s) { return under_load<C, T>(pair, interval, s); };
            p.add(std::move(m));
        });
}

}  // namespace assay_perf
