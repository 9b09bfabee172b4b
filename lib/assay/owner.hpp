// owner.hpp -- who holds what, and does that process still live?
//
// State:      an owner_id names one attachment of one process to a segment: its slot in the
//             attachment registry and the slot's incarnation, which changes with every new holder.
//             owned_lock is one word that contains the holder's id (0 when free) and
//             a bit that says that others sleep.
// Invariant:  at most one living process believes that it holds an owned_lock.
// Progress:   alive() is a question to the kernel and never waits. An owned_lock waits only for a
//             living holder; the lock of a dead one is taken over.
// Crash:      a death leaves the word with the dead id, which the next caller replaces by its own.
//             What the lock protects must be whole after every single store (see table.hpp).
//
// Synchronisation:
//   [owner:lock]     unlock -> lock    carries everything the previous holder wrote
#pragma once

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>

#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

using owner_id = std::uint32_t;

inline constexpr owner_id nobody = 0;
inline constexpr std::uint32_t max_attachments = 1u << owner_slot_bits;
// The kernel's, for one segment: two for each slot (registry.hpp).
inline constexpr std::uint32_t attachment_locks = 2 * max_attachments;

// Incarnations count from 1, so that no id is `nobody`, and leave the top bit to owned_lock. They
// wrap after 2^21 attachments through one slot: what a dead process held must be recovered by then.
inline constexpr unsigned owner_incarnation_bits = 21;

[[nodiscard]] constexpr owner_id make_owner(std::uint32_t slot,
                                            std::uint32_t incarnation) noexcept {
    return incarnation << owner_slot_bits | slot;
}
[[nodiscard]] constexpr std::uint32_t owner_slot(owner_id id) noexcept {
    return id & (max_attachments - 1);
}
[[nodiscard]] constexpr std::uint32_t owner_incarnation(owner_id id) noexcept {
    return id >> owner_slot_bits;
}

// A waiter looks again after this long even if nobody wakes it: the process that should have done
// so may have died between its store and its wake. 40 ms cost an idle waiter under 0.1 % of a CPU.
inline constexpr std::chrono::milliseconds wait_slice{40};

namespace detail {

// One more than the forks between the first process of the program and this one.
inline unsigned fork_epoch = 1;

// The number of the thread that runs, if it has asked for it with this_thread(); otherwise 0. All that
// live differ, and so do a thread and its copy in a forked child: one comparison tells whether
// something is the caller's own.
inline thread_local constinit std::uint64_t known_thread = 0;

inline void watch_forks() noexcept {
    static const bool registered = pthread_atfork(nullptr, nullptr, [] {
                                       ++fork_epoch;
                                       known_thread = 0;
                                   }) == 0;
    static_cast<void>(registered);
}

// Changes when this process is forked from one that looked. Never 0.
[[nodiscard]] inline unsigned epoch() noexcept { return fork_epoch; }

// As long as there have not been 2^32 forks between two processes. One system call per thread.
[[nodiscard]] inline std::uint64_t this_thread() noexcept {
    if (known_thread == 0)
        known_thread = std::uint64_t{epoch()} << 32 | static_cast<std::uint32_t>(::gettid());
    return known_thread;
}

}  // namespace detail

// The caller's identity within one segment, and the means to ask about others. Implemented by the
// segment's attachment (posix_shm.hpp), and by the model checker for its modelled processes.
class membership {
public:
    membership(const membership&) = delete;
    membership& operator=(const membership&) = delete;

    // This process's id. After a fork the child has none of its own: its first call registers it,
    // which may throw no_space when all attachment slots are taken. Otherwise one comparison.
    [[nodiscard]] owner_id self() {
        if (inherited()) [[unlikely]] {
            id_ = renew();
            epoch_ = detail::epoch();
        }
        return id_;
    }

    // Whether the process behind `id` is still attached. Exact for a dead process from the moment
    // the kernel released its locks. One system call at most. The answer false is an acquire: what
    // the dead process did happens before it.
    [[nodiscard]] virtual bool alive(owner_id id) const noexcept = 0;

protected:
    membership() noexcept { detail::watch_forks(); }
    ~membership() = default;

    [[nodiscard]] virtual owner_id renew() = 0;
    [[nodiscard]] bool inherited() const noexcept { return epoch_ != detail::epoch(); }

    owner_id id_ = nobody;

private:
    unsigned epoch_ = detail::epoch();
};

// A lock in shared memory that survives the death of its holder: a futex mutex with three states
// (free, held, held with sleepers; Drepper, "Futexes are tricky", 2011) whose word names the
// holder. Not recursive. Threads of one process exclude each other too, though they share an id.
class owned_lock {
public:
    void format() noexcept {
        // relaxed: not published yet; the store that publishes the memory around it orders this.
        word_.store(nobody, relaxed);
    }

    // Waits only while the holder lives. Throws what me.self() throws.
    void lock(membership& me) {
        const owner_id self = me.self();
        owner_id wanted = self;  // with `contended` once we have slept: others may sleep too
        for (unsigned round = 0;; ++round) {
            owner_id seen = nobody;
            // acquire [owner:lock]: the previous holder's writes. relaxed on failure: the value is
            // only compared and handed back to a compare-exchange.
            if (word_.compare_exchange(seen, wanted, acquire, relaxed)) return;
            if (round < spin_limit) {
                pause();
            } else if ((seen & ~contended) != self && !me.alive(seen & ~contended)) {
                // The holder is dead and its id is never given out again: if the word still has
                // it, nobody else took over. relaxed: alive() has acquired what the dead process
                // wrote, and what it had acquired with the lock. On failure: somebody else took over.
                if (word_.compare_exchange(seen, self | contended, relaxed, relaxed)) return;
            } else if ((seen & contended) != 0 ||
                       // relaxed: announces a sleeper, transfers nothing
                       word_.compare_exchange(seen, seen | contended, relaxed, relaxed)) {
                static_cast<void>(wait(word_, seen | contended, now() + wait_slice));
                wanted = self | contended;
            }
        }
    }

    void unlock() noexcept {
        // release [owner:lock]: what we wrote under the lock, to the next holder.
        if ((word_.exchange(nobody, release) & contended) != 0) static_cast<void>(wake(word_, 1));
    }

private:
    static constexpr std::uint32_t contended = 1u << 31;  // no owner_id uses this bit

    word<owner_id> word_;
};

}  // namespace assay::inline ASSAY_ABI
