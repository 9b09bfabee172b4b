// event.hpp -- "something may have changed": sleep until another process says so.
//
// State:      one word: bit 0 says that somebody may sleep, the rest counts the wake-ups. In the
//             manner of an eventcount (Reed, Kanodia, "Synchronization with eventcounts and
//             sequencers", 1979), reduced to what a waiter on a shared futex needs.
// Invariant:  who sleeps has announced itself in the count that it sleeps on, and has looked again
//             after that.
// Progress:   notify() never waits: one load when nobody waits. wait_until() waits for its
//             condition, never for a particular process.
// Crash:      a waiter that dies leaves the bit set, which costs the next notify() one system call.
//             A notifier that dies between its change and its wake delays the sleepers by at most
//             wait_slice, because nobody sleeps longer than that without looking.
//
// Synchronisation:
//   The event carries no data: the condition does, through its own edges. What is needed is that
//   of a change and an announcement one sees the other; see "announce, then look" below.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "owner.hpp"
#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// The deadline that lies `duration` ahead; never, when that is beyond the clock's range.
[[nodiscard]] inline deadline after(std::chrono::nanoseconds duration) noexcept {
    const deadline t = now();
    return duration < deadline::max() - t ? t + duration : deadline::max();
}

class event {
public:
    // `wakes` says how often it has woken somebody already: proofs start just below the wrap.
    void format(std::uint32_t wakes = 0) noexcept {
        // relaxed: not published yet; the store that publishes the memory around it orders this.
        word_.store(2 * wakes, relaxed);
    }

    // Sleeps until ready() is true, and returns true, or until the deadline on the monotonic clock,
    // and returns false. ready() is called at least once, from this thread only; it may have
    // effects (take an element), and what it throws passes through. It looks about spin_limit
    // times before the first sleep. Any number of processes may wait on one event.
    template <class Ready>
    [[nodiscard]] bool wait_until(Ready&& ready, deadline until) {
        for (unsigned round = 0; round < spin_limit; ++round) {
            if (ready()) return true;
            pause();
        }
        for (;;) {
            // Announce, then look. seq_cst, here and in notify(), excludes the outcome in which the
            // waiter does not see the change and the notifier does not see the waiter (store
            // buffering). relaxed: the fence does it, for this and for whatever ready() reads with.
            const std::uint32_t seen = word_.fetch_or(waiting, relaxed) | waiting;
            fence(seq_cst);
            if (ready()) return true;
            const deadline t = now();
            if (t >= until) return false;
            static_cast<void>(wait(word_, seen, std::min(until, t + wait_slice)));
        }
    }

    // Wakes all who wait, so that they look again. Call it after the change. The change must be a
    // seq_cst operation, or a seq_cst fence must stand between it and this call.
    void notify() noexcept {
        // seq_cst: see "announce, then look".
        const std::uint32_t seen = word_.load(seq_cst);
        if ((seen & waiting) != 0) [[unlikely]]
            wake_all(seen);
    }

private:
    static constexpr std::uint32_t waiting = 1;

    [[gnu::noinline]] void wake_all(std::uint32_t seen) noexcept {
        // Who announced itself on the old count but does not sleep yet will not fall asleep any
        // more. After 2^31 wake-ups the count repeats; who just then stood between its look and its
        // sleep sleeps for one slice. relaxed: a change that reads the lowered bit comes before the
        // next announcement on this word, and that announcement's look sees it.
        std::uint32_t expected = seen;
        static_cast<void>(
            word_.compare_exchange(expected, (seen & ~waiting) + 2, relaxed, relaxed));
        // Also when another notifier was quicker: it may have died before its wake.
        static_cast<void>(wake(word_, everyone));
    }

    word<std::uint32_t> word_;
};

static_assert(sizeof(event) == sizeof(std::uint32_t));

}  // namespace assay::inline ASSAY_ABI
