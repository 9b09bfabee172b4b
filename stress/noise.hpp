// noise.hpp -- what happens at each access of the seam in this program: nothing, a pause of random
// length, a wait for processes of higher priority, or the death of the process.
//
// The build puts this file before every source of assay-stress, so that no header of the library
// can be compiled without it; and ASSAY_ABI keeps objects with and without it from being linked
// together. Each thread has its own noise.
#pragma once

#if defined(ASSAY_ABI) || defined(ASSAY_STEP)
#error "the stress suite defines ASSAY_ABI and ASSAY_STEP itself"
#endif

#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace assay_stress {

// splitmix64 (Steele, Lea, Flood, 2014): small, and any seed is a good one.
class random {
public:
    constexpr explicit random(std::uint64_t seed = 0) noexcept : state_(seed) {}

    std::uint64_t next() noexcept {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    std::uint64_t below(std::uint64_t n) noexcept { return n == 0 ? 0 : next() % n; }
    std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
        return low + below(high - low + 1);
    }
    bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }
    // Each order of magnitude below 2^bits is as likely as the next: short and long both occur.
    std::uint64_t magnitude(unsigned bits) noexcept {
        return 1 + (next() >> (64 - 1 - below(bits)));
    }

private:
    std::uint64_t state_;
};

// A schedule by priorities, in the manner of PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A
// randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010): of the
// processes of a team the one with the highest rank runs, until, at an access drawn from the seed,
// it falls below all others. How narrow the window of a bug is does not matter then, only how many
// falls it takes.
//
// They run a short program often, with few falls each time; an episode is long, so there is no end
// of falls. And in their scheduler nobody else runs, while here the kernel decides: before each
// access a process lets those above it run, as long as they make accesses. Whoever makes none
// (it sleeps, was stopped, died) is overtaken; whoever makes many and gets nowhere, because it waits
// for one below it, falls.
class ranking {
public:
    // One process. Before the team starts, with different ranks above 0.
    void enter(unsigned i, std::uint32_t rank) noexcept { places_[i].rank = top + rank; }
    void leave(unsigned i) noexcept { places_[i].rank = 0; }
    void clear() noexcept {
        for (place& p : places_) p.rank = 0;
        below_ = top;
    }

    // The process at `mine` makes an access.
    void wait_for_turn(unsigned mine) noexcept {
        place& here = places_[mine];
        // relaxed, all: they order nothing, and a late answer costs an access out of turn.
        here.accesses.fetch_add(1, relaxed);
        unsigned idle = 0;
        for (unsigned yields = 0; idle < overtaken; ++yields) {
            place* const first = above(here.rank.load(relaxed));
            if (first == nullptr) return;
            if (yields == patience) return fall(*first);
            const std::uint32_t seen = first->accesses.load(relaxed);
            ::sched_yield();
            idle = first->accesses.load(relaxed) == seen ? idle + 1 : 0;
        }
    }
    // Falls below all others.
    void fall(unsigned mine) noexcept { fall(places_[mine]); }

private:
    static constexpr auto relaxed = std::memory_order_relaxed;
    static constexpr std::uint32_t top = 1u << 30;
    static constexpr unsigned overtaken = 8;    // looks that found no access
    static constexpr unsigned patience = 1000;  // yields in all

    struct alignas(64) place {
        std::atomic<std::uint32_t> rank;  // 0: nobody
        std::atomic<std::uint32_t> accesses;
    };

    // The highest one above that rank.
    place* above(std::uint32_t rank) noexcept {
        place* found = nullptr;
        for (place& p : places_) {
            const std::uint32_t r = p.rank.load(relaxed);
            if (r > rank) found = &p, rank = r;
        }
        return found;
    }
    void fall(place& p) noexcept {
        std::uint32_t rank = p.rank.load(relaxed);
        // Unless it has left meanwhile.
        if (rank != 0) p.rank.compare_exchange_strong(rank, --below_, relaxed);
    }

    place places_[16];
    std::atomic<std::uint32_t> below_;

public:
    static constexpr unsigned most = 16;  // more than that would mostly wait
};

// The noise of this process. Off until a check asks for it.
struct noise {
    static constexpr std::uint64_t never = ~std::uint64_t{0};

    // Disturbs one access in `mean` (0: none). Half of the disturbances give the processor away,
    // the others spin up to a few microseconds, or sleep up to a millisecond.
    static void begin(std::uint64_t seed, std::uint64_t mean) noexcept {
        dice = random(seed);
        mean_gap = mean;
        next_gap();
    }
    // The process kills itself instead of making its k-th access from now on.
    static void die_at(std::uint64_t k) noexcept {
        life = k;
        next_gap();
    }
    // Every access waits for its turn; now and then, soon or late, this process falls.
    static void obey(std::uint64_t seed, ranking& all, unsigned place) noexcept {
        dice = random(seed);
        order = &all;
        mine = place;
        fall_at = dice.magnitude(longest_reign);
        next_gap();
    }
    static void end() noexcept {
        if (order != nullptr) order->leave(mine);
        order = nullptr;
        mean_gap = 0;
        life = never;
        left = never;
    }

    // Accesses until something happens.
    static inline thread_local std::uint64_t left = never;

    [[gnu::noinline, gnu::cold]] static void disturb() noexcept {
        if (life != never && life <= gap) {
            ::kill(::getpid(), SIGKILL);
            ::pause();
        }
        if (life != never) life -= gap;
        if (order != nullptr) {
            if (--fall_at == 0) {
                order->fall(mine);
                fall_at = dice.magnitude(longest_reign);
            }
            order->wait_for_turn(mine);
            return next_gap();
        }
        const std::uint64_t what = dice.below(8);
        if (what < 4) {
            ::sched_yield();
        } else if (what < 6) {
            for (std::uint64_t n = dice.magnitude(11); n != 0; --n) asm volatile("" ::: "memory");
        } else {
            const timespec t{0, static_cast<long>(dice.magnitude(20))};
            ::nanosleep(&t, nullptr);
        }
        next_gap();
    }

private:
    static void next_gap() noexcept {
        gap = mean_gap == 0 ? never : dice.between(1, 2 * mean_gap - 1);
        gap = std::min(order == nullptr ? gap : 1, life);
        left = gap;
    }

    static constexpr unsigned longest_reign = 10;  // accesses, as a power of two

    static inline thread_local random dice{};
    static inline thread_local ranking* order = nullptr;
    static inline thread_local unsigned mine = 0;
    static inline thread_local std::uint64_t fall_at = 0;
    static inline thread_local std::uint64_t mean_gap = 0;
    static inline thread_local std::uint64_t life = never;
    static inline thread_local std::uint64_t gap = never;
};

inline void step() noexcept {
    if (--noise::left == 0) [[unlikely]]
        noise::disturb();
}

}  // namespace assay_stress

#define ASSAY_ABI perturbed
#define ASSAY_STEP() ::assay_stress::step()
