// A switch keeps what a function expects its callees to keep (scripts/fibers takes each register out).
#include "../checker/fiber.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace {

using assay::checker::fiber;

// Nothing of it is known to the compiler, and it may be read once only: what is read has to be kept.
struct numbers {
    volatile std::uint64_t whole[12];
    volatile double real[10];

    explicit numbers(unsigned seed) {
        for (unsigned i = 0; i < 12; ++i) whole[i] = 0x0101010101010101u * (seed + i);
        for (unsigned i = 0; i < 10; ++i) real[i] = seed + i;
    }
};

// Has more values in use across the call than there are registers that the call must keep, so that,
// optimised, each of them holds one.
template <class F>
[[gnu::noinline]] bool keeps(const numbers& n, F&& call) {
    const std::uint64_t a = n.whole[0], b = n.whole[1], c = n.whole[2], d = n.whole[3],
                        e = n.whole[4], f = n.whole[5], g = n.whole[6], h = n.whole[7],
                        i = n.whole[8], j = n.whole[9], k = n.whole[10], l = n.whole[11];
    const double p = n.real[0], q = n.real[1], r = n.real[2], s = n.real[3], t = n.real[4],
                 u = n.real[5], v = n.real[6], w = n.real[7], x = n.real[8], y = n.real[9];
    call();
    return a == n.whole[0] && b == n.whole[1] && c == n.whole[2] && d == n.whole[3] &&
           e == n.whole[4] && f == n.whole[5] && g == n.whole[6] && h == n.whole[7] &&
           i == n.whole[8] && j == n.whole[9] && k == n.whole[10] && l == n.whole[11] &&
           p == n.real[0] && q == n.real[1] && r == n.real[2] && s == n.real[3] && t == n.real[4] &&
           u == n.real[5] && v == n.real[6] && w == n.real[7] && x == n.real[8] && y == n.real[9];
}

struct guest {
    fiber context;
    numbers own;
    std::vector<bool> kept{};

    explicit guest(unsigned seed) : own(seed) {
        context.start(
            [](void* p) {
                auto& self = *static_cast<guest*>(p);
                for (;;) self.kept.push_back(keeps(self.own, [&] { self.context.suspend(); }));
            },
            this);
    }
};

TEST(fiber, a_switch_keeps_every_register_of_both_sides) {
    const numbers mine(1);
    guest first(50), second(100);
    for (int turn = 0; turn < 3; ++turn) {
        EXPECT_TRUE(keeps(mine, [&] { first.context.resume(); })) << turn;
        EXPECT_TRUE(keeps(mine, [&] { second.context.resume(); })) << turn;
    }
    EXPECT_EQ(first.kept, (std::vector<bool>{true, true}));
    EXPECT_EQ(second.kept, (std::vector<bool>{true, true}));
}

// Is this value in some word of that memory? It has gaps that a sanitizer forbids to touch.
__attribute__((no_sanitize("address", "undefined"))) bool stands_in(const void* from,
                                                                    const void* to,
                                                                    std::uint64_t value) {
    auto at = reinterpret_cast<std::uintptr_t>(from);
    for (; at + sizeof value <= reinterpret_cast<std::uintptr_t>(to); at += sizeof value)
        if (*reinterpret_cast<const volatile std::uint64_t*>(at) == value) return true;
    return false;
}

// What a loop has in registers is part of its state: were one of them left out, a loop that counts its
// laps there would seem to repeat itself. `end`: somewhere in the frames of the callers.
[[gnu::noinline]] int missing_in_what_is_kept(const numbers& n, const void* end) {
    const std::uint64_t a = n.whole[0], b = n.whole[1], c = n.whole[2], d = n.whole[3],
                        e = n.whole[4], f = n.whole[5], g = n.whole[6], h = n.whole[7],
                        i = n.whole[8], j = n.whole[9], k = n.whole[10], l = n.whole[11];
    assay::checker::registers kept{};
    const void* const here = assay::checker::assay_fiber_here(&kept);
    int missing = 0;
    const auto look_for = [&](std::uint64_t value) {
        missing += !stands_in(&kept, &kept + 1, value) && !stands_in(here, end, value);
    };
    for (const volatile std::uint64_t& value : n.whole) look_for(value);
    look_for(reinterpret_cast<std::uintptr_t>(&n));  // a register may as well hold one of these
    look_for(reinterpret_cast<std::uintptr_t>(end));
    const bool same = a == n.whole[0] && b == n.whole[1] && c == n.whole[2] && d == n.whole[3] &&
                      e == n.whole[4] && f == n.whole[5] && g == n.whole[6] && h == n.whole[7] &&
                      i == n.whole[8] && j == n.whole[9] && k == n.whole[10] && l == n.whole[11];
    return same ? missing : -1;
}

TEST(fiber, what_is_kept_of_a_state_has_every_register) {
    static const numbers far(150);  // not on this stack
    const volatile int here = 0;
    EXPECT_EQ(missing_in_what_is_kept(far, const_cast<const int*>(&here)), 0);
}

TEST(fiber, an_abandoned_fiber_starts_again) {
    fiber f;
    struct call {
        fiber* in;
        int stage = 0;
    } c{&f};
    const auto entry = [](void* p) {
        auto& it = *static_cast<call*>(p);
        for (;;) {
            ++it.stage;
            it.in->suspend();
        }
    };
    for (int round = 0; round < 3; ++round) {
        c.stage = 0;
        f.start(entry, &c);
        f.resume();
        EXPECT_EQ(c.stage, 1);
        f.resume();
        EXPECT_EQ(c.stage, 2);
    }
}

TEST(fiber, a_stack_is_aligned_as_a_call_needs_it) {
    fiber f;
    struct call {
        fiber* in;
        std::uintptr_t at = 1;
    } c{&f};
    f.start(
        [](void* p) {
            auto& it = *static_cast<call*>(p);
            alignas(16) const volatile std::byte here[16] = {};
            it.at = reinterpret_cast<std::uintptr_t>(&here);
            it.in->suspend();
        },
        &c);
    f.resume();
    EXPECT_EQ(c.at % 16, 0u);
}

}  // namespace
