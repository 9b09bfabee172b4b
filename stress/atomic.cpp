// atomic.cpp -- counting by all, with kills, and waiting for one another.
#include <assay/atomic.hpp>
#include <assay/posix_shm.hpp>

#include <atomic>
#include <string>

#include "stress/broken.hpp"
#include "stress/harness.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;

// Each adds by fetch_add or by compare-exchange, and notes it afterwards: of every process that was
// killed at most one addition is not in its notes.
template <class Counter>
void additions_are_not_lost(context& c) {
    const std::string name = c.segment("atomic");
    while (const auto e = c.next()) {
        posix_shm here(name, posix_shm::size_for(4096));
        Counter total(here, "total", std::uint64_t{0});
        const shared<std::atomic<std::uint64_t>> noted(e->processes);
        team crew(*e, e->processes, [&](worker& w) {
            posix_shm segment(name);
            Counter mine(segment, "total", std::uint64_t{99});  // exists: 99 is not its value
            std::uint64_t before = 0;
            while (w.running()) {
                w.op("add");
                std::uint64_t seen = mine.load();
                if (w.dice.one_in(2)) {
                    seen = mine.fetch_add(1);
                } else {
                    while (!mine.compare_exchange_strong(seen, seen + 1)) {
                    }
                }
                noted[w.index].fetch_add(1, std::memory_order_relaxed);
                if (seen < before) fail("the counter went back, additions are lost");
                before = seen + 1;
            }
        });
        crew.run();
        std::uint64_t sum = 0;
        for (unsigned i = 0; i < e->processes; ++i) sum += noted[i];
        const std::uint64_t value = total.load();
        if (value < sum || value > sum + crew.deaths())
            fail("%llu additions were made and %llu counted, additions are lost",
                 static_cast<unsigned long long>(sum), static_cast<unsigned long long>(value));
    }
}

// What the canary waits with: the futex of the C++ library is private to one process.
class private_wait {
public:
    template <class Segment>
    private_wait(Segment& s, std::string_view name, std::uint32_t initial)
        : value_(s, name, initial) {}
    void wait(std::uint32_t old) { std::atomic_ref<std::uint32_t>(word()).wait(old); }
    void notify_all() { std::atomic_ref<std::uint32_t>(word()).notify_all(); }
    std::uint32_t load() { return std::atomic_ref<std::uint32_t>(word()).load(); }
    void store(std::uint32_t v) { std::atomic_ref<std::uint32_t>(word()).store(v); }

private:
    struct place : broken::base<place, std::uint32_t> {
        template <class Segment>
        place(Segment& s, std::string_view name, std::uint32_t)
            : broken::base<place, std::uint32_t>(s, name, 1) {}
        static std::uint64_t size_bytes(std::uint64_t) { return 64; }
        std::uint32_t& word() { return this->template at<std::uint32_t>(); }
    };
    std::uint32_t& word() { return value_.word(); }
    place value_;
};

// Pairs take turns, each asleep until the other has moved.
template <class Atomic>
void waiters_are_woken(context& c) {
    const std::string name = c.segment("turns");
    while (const auto e = c.next()) {
        const unsigned n = e->processes / 2 * 2;
        posix_shm here(name, posix_shm::size_for(64 * 1024));
        team::rules r;
        r.mortal = false;
        r.lock_free = false;  // who waits for a stopped one waits
        if (c.canary()) r.patience = 0.5;
        team(
            *e, n,
            [&](worker& w) {
                posix_shm segment(name);
                Atomic turn(segment, "turn" + std::to_string(w.index / 2), std::uint32_t{0});
                const std::uint32_t side = w.index % 2;
                for (std::uint32_t mine = side;; mine += 2) {
                    w.op("wait", mine);
                    for (std::uint32_t seen = turn.load(); seen != mine; seen = turn.load()) {
                        if (seen == ~0u) return;
                        if (seen != mine - 1) fail("turn %u came while %u was due", seen, mine);
                        turn.wait(seen);
                    }
                    if (w.dice.one_in(64)) ::usleep(static_cast<useconds_t>(w.dice.magnitude(9)));
                    w.op("notify", mine);
                    turn.store(w.running() ? mine + 1 : ~0u);
                    turn.notify_all();
                    if (turn.load() == ~0u) return;
                }
            },
            r)
            .run();
    }
}

const enlist checks{
    {"atomic/additions_are_not_lost", "all add to one counter, some are killed", "operations",
     additions_are_not_lost<assay::atomic<std::uint64_t>>},
    {"atomic/waiters_are_woken", "pairs of processes take turns, asleep in between", "operations",
     waiters_are_woken<assay::atomic<std::uint32_t>>},
    {"atomic/canary_read_then_write_loses_additions",
     "a counter that is read, then written",
     "operations",
     additions_are_not_lost<broken::counter<std::uint64_t>>,
     1,
     {"additions are lost"}},
    {"atomic/canary_lease_ends_while_its_holder_is_throttled",
     "a lock that is taken from who has held it for 5 ms, and a quota of processor time",
     "operations",
     [](context& c) {
         c.throttle();
         additions_are_not_lost<broken::leased_counter<std::uint64_t>>(c);
     },
     1,
     {"additions are lost"}},
    {"atomic/canary_private_futex_never_wakes",
     "std::atomic::wait, between processes",
     "operations",
     waiters_are_woken<private_wait>,
     1,
     {"hangs; last operation: wait"}},
};

}  // namespace
}  // namespace assay_stress
