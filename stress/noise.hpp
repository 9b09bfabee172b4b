// noise.hpp -- what happens at each access of the seam in this program: nothing, a pause of random
// length, or the death of the process.
//
// The build puts this file before every source of assay-stress, so that no header of the library
// can be compiled without it; and ASSAY_ABI keeps objects with and without it from being linked
// together. A process of the stress suite has one thread, hence plain variables.
#pragma once

#if defined(ASSAY_ABI) || defined(ASSAY_STEP)
#error "the stress suite defines ASSAY_ABI and ASSAY_STEP itself"
#endif

#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace assay_stress {

// splitmix64 (Steele, Lea, Flood, 2014): small, and any seed is a good one.
class random {
public:
    explicit random(std::uint64_t seed = 0) noexcept : state_(seed) {}

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
    static void end() noexcept {
        mean_gap = 0;
        life = never;
        left = never;
    }

    // Accesses until something happens.
    static inline std::uint64_t left = never;

    [[gnu::noinline, gnu::cold]] static void disturb() noexcept {
        if (life != never && life <= gap) {
            ::kill(::getpid(), SIGKILL);
            ::pause();
        }
        if (life != never) life -= gap;
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
        gap = std::min(gap, life);
        left = gap;
    }

    static inline random dice{};
    static inline std::uint64_t mean_gap = 0;
    static inline std::uint64_t life = never;
    static inline std::uint64_t gap = never;
};

inline void step() noexcept {
    if (--noise::left == 0) [[unlikely]]
        noise::disturb();
}

}  // namespace assay_stress

#define ASSAY_ABI perturbed
#define ASSAY_STEP() ::assay_stress::step()
