// registry.hpp -- which processes are attached to a segment.
//
// State:      one word per attachment slot, {attached, incarnation, pid}, and the reference counter
//             {version, count}. Beside each slot the kernel keeps two locks, for its even and its
//             odd incarnations, which are the truth about life: that of an incarnation is held
//             exactly as long as its holder's process has the segment open.
// Invariant:  an owner_id is {slot, incarnation}; an incarnation is never given out twice (until it
//             wraps, owner.hpp): only who has the lock of the next one writes that into the word.
//             With one lock for both, whoever stopped between taking the slot of a dead process
//             and saying so would make the dead look alive.
// Progress:   lock-free; nothing here waits for anyone.
// Crash:      the kernel releases the lock of a dead process. Its word stays behind as "attached",
//             and is counted by nobody who asks count(), until enter() or sweep() reuses the slot.
//             Pids are for people to read: namespaces, reuse and zombies make them useless to us.
//
// Synchronisation:
//   [registry:entered]  enter, leave, sweep -> alive, enter   what the one who is gone did
//   [registry:counted]  refresh -> refresh                    the slot words that a count rests on
#pragma once

#include <bit>
#include <cstdint>
#include <optional>

#include "layout.hpp"
#include "owner.hpp"

namespace assay::inline ASSAY_ABI {

// Seed: "Reference Counter", the 4 bytes at offset 0. The other half of the word is a version, so
// that of two concurrent counts the older one cannot overwrite the newer one.
class reference_counter {
public:
    [[nodiscard]] static constexpr std::uint32_t count_of(std::uint64_t w) noexcept {
        return static_cast<std::uint32_t>(first_half_is_low ? w : w >> 32);
    }
    [[nodiscard]] static constexpr std::uint64_t next(std::uint64_t w, std::uint32_t n) noexcept {
        const std::uint64_t version = (first_half_is_low ? w >> 32 : w & 0xffffffff) + 1;
        return first_half_is_low ? version << 32 | n
                                 : std::uint64_t{n} << 32 | (version & 0xffffffff);
    }

    word<std::uint64_t> value;

private:
    static constexpr bool first_half_is_low = std::endian::native == std::endian::little;
};

struct registry_layout {
    word<std::uint32_t> high_water;  // slots from here on have never been used
    alignas(line_size) word<std::uint64_t> slots[max_attachments];
};

// Locks: bool try_lock(n), void unlock(n), bool held(n) const -- by anyone but the caller; n is less
// than attachment_locks. posix_shm uses locks of the kernel; the model checker uses modelled ones.
template <class Locks>
class registry {
public:
    registry(reference_counter& counter, registry_layout& shared, Locks& locks) noexcept
        : counter_(counter), shared_(shared), locks_(locks) {}

    // Takes a slot: one that is free, else one whose holder died. Nothing when all are held.
    [[nodiscard]] std::optional<owner_id> enter(std::uint32_t pid) noexcept {
        if (const auto id = claim()) {
            // release [registry:entered]: whoever sees this incarnation knows that we hold it.
            shared_.slots[owner_slot(*id)].store(
                attached | std::uint64_t{owner_incarnation(*id)} << 32 | pid, release);
            refresh();
            return id;
        }
        return std::nullopt;
    }

    // Gives the slot back; `id` is dead from here on, and its lock free.
    void leave(owner_id id) noexcept {
        auto& word = shared_.slots[owner_slot(id)];
        // relaxed: nobody else changes it while we live. release [registry:entered]: what we did.
        word.store(vacant(word.load(relaxed)), release);
        refresh();
        locks_.unlock(lock_of(id));
    }

    // `self` is the caller's own id, whose lock it does not see as held. What the dead did happens
    // before the answer false.
    [[nodiscard]] bool alive(owner_id id, owner_id self) const noexcept {
        if (id == nobody || owner_incarnation(id) > incarnation_mask) return false;
        // acquire [registry:entered]: if the id is older than this word, it is dead. If it is newer,
        // the word that we see is outdated, which nothing forbids.
        const std::uint64_t w = shared_.slots[owner_slot(id)].load(acquire);
        const std::uint32_t ahead = (incarnation_of(w) - owner_incarnation(id)) & incarnation_mask;
        if (ahead == 0 ? (w & attached) == 0 : ahead <= incarnation_mask / 2) return false;
        return id == self || locks_.held(lock_of(id));
    }

    // How many processes are attached, exactly, at some moment of the call. One system call each.
    [[nodiscard]] std::uint32_t count(owner_id self) const noexcept {
        std::uint32_t n = 0;
        for (std::uint32_t slot = 0; slot < used(); ++slot) {
            const std::uint64_t w = look(slot);
            if ((w & attached) != 0 && is_held(slot, w, self)) ++n;
        }
        return n;
    }

    // Frees the slots of the dead and corrects the reference counter. Returns how many. `self` as in
    // alive.
    std::uint32_t sweep(owner_id self) noexcept {
        std::uint32_t freed = 0;
        for (std::uint32_t slot = 0; slot < used(); ++slot) {
            std::uint64_t w = look(slot);
            if ((w & attached) == 0 || is_held(slot, w, self)) continue;
            // release [registry:entered]: what the dead did, as the kernel told us. relaxed on
            // failure: somebody else has freed the slot, or reused it.
            if (shared_.slots[slot].compare_exchange(w, vacant(w), release, relaxed)) ++freed;
        }
        refresh();
        return freed;
    }

    // Whose word stands in a slot, alive or dead; nobody for a free slot.
    [[nodiscard]] owner_id holder(std::uint32_t slot) const noexcept {
        const std::uint64_t w = look(slot);
        return (w & attached) == 0 ? nobody : make_owner(slot, incarnation_of(w));
    }

    // The pid that the holder of a slot gave, for people; nothing for a free slot.
    [[nodiscard]] std::optional<std::uint32_t> pid(std::uint32_t slot) const noexcept {
        // relaxed: for display. audit: orders nothing, and nothing is decided by it.
        const std::uint64_t w = shared_.slots[slot].load(relaxed);
        if ((w & attached) == 0) return std::nullopt;
        return static_cast<std::uint32_t>(w);
    }

private:
    static constexpr std::uint64_t attached = std::uint64_t{1} << 63;
    static constexpr std::uint32_t incarnation_mask = (1u << owner_incarnation_bits) - 1;

    [[nodiscard]] static std::uint32_t incarnation_of(std::uint64_t w) noexcept {
        return static_cast<std::uint32_t>(w >> 32) & incarnation_mask;
    }
    // Incarnations alternate between the locks, also when they wrap: 0 would make an id equal to
    // nobody, and 1 is as odd as the last.
    [[nodiscard]] static std::uint32_t after(std::uint32_t incarnation) noexcept {
        return incarnation == incarnation_mask ? 2 : incarnation + 1;
    }
    // The word of a slot that its holder has left; the incarnation stays.
    [[nodiscard]] static std::uint64_t vacant(std::uint64_t w) noexcept {
        return (w & ~attached) >> 32 << 32;
    }
    [[nodiscard]] static std::uint32_t lock_of(owner_id id) noexcept {
        return 2 * owner_slot(id) + owner_incarnation(id) % 2;
    }
    [[nodiscard]] std::uint64_t look(std::uint32_t slot) const noexcept {
        // acquire [registry:entered]: who takes the slot of one who left, or was swept, passes on
        // what that one did.
        return shared_.slots[slot].load(acquire);
    }
    // Whether the incarnation that the slot's word names lives.
    [[nodiscard]] bool is_held(std::uint32_t slot, std::uint64_t w, owner_id self) const noexcept {
        const owner_id id = make_owner(slot, incarnation_of(w));
        return id == self || locks_.held(lock_of(id));
    }
    [[nodiscard]] std::uint32_t used() const noexcept {
        // relaxed: says only how far to look. A corrupt mark is clipped.
        const std::uint32_t n = shared_.high_water.load(relaxed);
        return n < max_attachments ? n : max_attachments;
    }

    // Free slots first; then those of the dead; then one that was never used. In this order the
    // slots in use stay few, and so does the work of everyone who looks at all of them.
    [[nodiscard]] std::optional<owner_id> claim() noexcept {
        const std::uint32_t n = used();
        for (const bool of_the_dead : {false, true})
            for (std::uint32_t slot = 0; slot < n; ++slot) {
                const std::uint64_t w = look(slot);
                if ((w & attached) != 0 && (!of_the_dead || is_held(slot, w, nobody))) continue;
                if (const auto id = take(slot, w)) return id;
            }
        for (std::uint32_t slot = n; slot < max_attachments; ++slot) {
            const std::uint64_t w = look(slot);
            if ((w & attached) != 0) continue;  // somebody has raised the mark since we looked
            const auto id = take(slot, w);
            if (!id) continue;
            std::uint32_t mark = n;
            // relaxed: see used(). Whoever knows that we entered, by [registry:counted] or through
            // us, sees it raised.
            while (mark <= slot &&
                   !shared_.high_water.compare_exchange(mark, slot + 1, relaxed, relaxed)) {
            }
            return id;
        }
        return std::nullopt;
    }

    // Locks the incarnation after the one that the word `w` names, which is dead or has left.
    [[nodiscard]] std::optional<owner_id> take(std::uint32_t slot, std::uint64_t w) noexcept {
        const owner_id next = make_owner(slot, after(incarnation_of(w)));
        if (!locks_.try_lock(lock_of(next))) return std::nullopt;
        // relaxed: whoever had this lock before is ordered before us by the kernel.
        if (incarnation_of(shared_.slots[slot].load(relaxed)) == incarnation_of(w)) return next;
        locks_.unlock(lock_of(next));  // somebody was here meanwhile
        return std::nullopt;
    }

    // Publishes the number of attached slots. Lock-free: a failed exchange means that another
    // process published meanwhile; we count again, so the last to publish has seen every change
    // that was made before it looked.
    void refresh() noexcept {
        // acquire [registry:counted]: the slot words that the count before ours rests on.
        std::uint64_t seen = counter_.value.load(acquire);
        for (;;) {
            std::uint32_t n = 0;
            for (std::uint32_t slot = 0; slot < used(); ++slot)
                n += (look(slot) & attached) != 0 ? 1 : 0;
            // release [registry:counted]: what we counted; what the value that we replace rests on
            // was acquired when we read it. acquire on failure to recount.
            if (counter_.value.compare_exchange(seen, reference_counter::next(seen, n), release,
                                                acquire))
                return;
        }
    }

    reference_counter& counter_;
    registry_layout& shared_;
    Locks& locks_;
};

}  // namespace assay::inline ASSAY_ABI
