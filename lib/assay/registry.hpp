// registry.hpp -- which processes are attached to a segment.
//
// State:      one word per attachment slot, {attached, incarnation, pid}, and the reference counter
//             {version, count}. Beside each slot the kernel keeps a lock, which is the truth about
//             life: it is held exactly as long as the holder's process has the segment open.
// Invariant:  only the holder of a slot's lock changes its word. An owner_id is {slot,
//             incarnation}; an incarnation is never given out twice (until it wraps, owner.hpp).
// Progress:   lock-free; nothing here waits for anyone.
// Crash:      the kernel releases the lock of a dead process. Its word stays behind as "attached",
//             and is counted by nobody who asks count(), until enter() or sweep() reuses the slot.
//             Pids are for people to read: namespaces, reuse and zombies make them useless to us.
//
// Synchronisation:
//   [registry:entered]  enter -> alive, count   carries the incarnation in the slot's word
//   [registry:counted]  refresh -> refresh      carries the slot words on which a count rests
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

// Locks: bool try_lock(slot), void unlock(slot), bool held(slot) const -- by anyone but the caller.
// posix_shm uses locks of the kernel; the model checker uses modelled ones.
template <class Locks>
class registry {
public:
    registry(reference_counter& counter, registry_layout& shared, Locks& locks) noexcept
        : counter_(counter), shared_(shared), locks_(locks) {}

    // Takes a slot: one that is free, else one whose holder died. Nothing when all are held.
    [[nodiscard]] std::optional<owner_id> enter(std::uint32_t pid) noexcept {
        if (const auto slot = claim()) {
            // relaxed: we hold the slot's lock, nobody else writes the word, and the lock's last
            // holder is ordered before us by the kernel.
            const std::uint64_t old = shared_.slots[*slot].load(relaxed);
            std::uint32_t incarnation = (incarnation_of(old) + 1) & incarnation_mask;
            if (incarnation == 0) incarnation = 1;  // 0 would make an id equal to nobody
            // release [registry:entered]: whoever sees this incarnation knows that we hold it.
            shared_.slots[*slot].store(attached | std::uint64_t{incarnation} << 32 | pid, release);
            refresh();
            return make_owner(*slot, incarnation);
        }
        return std::nullopt;
    }

    // Gives the slot back; `id` is dead from here on, and its lock free.
    void leave(owner_id id) noexcept {
        vacate(owner_slot(id));
        refresh();
        locks_.unlock(owner_slot(id));
    }

    // `self` is the caller's own id, whose lock it does not see as held.
    [[nodiscard]] bool alive(owner_id id, owner_id self) const noexcept {
        if (id == nobody || owner_slot(id) >= max_attachments) return false;
        // acquire [registry:entered]: if the id is older than this word, it is dead.
        const std::uint64_t w = shared_.slots[owner_slot(id)].load(acquire);
        if ((w & attached) == 0 || incarnation_of(w) != owner_incarnation(id)) return false;
        return id == self || locks_.held(owner_slot(id));
    }

    // How many processes are attached, exactly, at some moment of the call. One system call each.
    [[nodiscard]] std::uint32_t count(owner_id self) const noexcept {
        std::uint32_t n = 0;
        for (std::uint32_t slot = 0; slot < used(); ++slot)
            if (occupied(slot) &&
                ((self != nobody && slot == owner_slot(self)) || locks_.held(slot)))
                ++n;
        return n;
    }

    // Frees the slots of the dead and corrects the reference counter. Returns how many. Skips the
    // caller's own slot, whose lock it could take a second time.
    std::uint32_t sweep(owner_id self) noexcept {
        std::uint32_t freed = 0;
        for (std::uint32_t slot = 0; slot < used(); ++slot) {
            if ((self != nobody && slot == owner_slot(self)) || !occupied(slot) ||
                locks_.held(slot) || !locks_.try_lock(slot))
                continue;
            if (occupied(slot)) {  // still, now that nobody else can change it
                vacate(slot);
                ++freed;
            }
            locks_.unlock(slot);
        }
        refresh();
        return freed;
    }

    // The pid that the holder of a slot gave, for people; nothing for a free slot.
    [[nodiscard]] std::optional<std::uint32_t> pid(std::uint32_t slot) const noexcept {
        const std::uint64_t w = shared_.slots[slot].load(relaxed);  // relaxed: for display
        if ((w & attached) == 0) return std::nullopt;
        return static_cast<std::uint32_t>(w);
    }

private:
    static constexpr std::uint64_t attached = std::uint64_t{1} << 63;
    static constexpr std::uint32_t incarnation_mask = (1u << owner_incarnation_bits) - 1;

    [[nodiscard]] static std::uint32_t incarnation_of(std::uint64_t w) noexcept {
        return static_cast<std::uint32_t>(w >> 32) & incarnation_mask;
    }
    [[nodiscard]] bool occupied(std::uint32_t slot) const noexcept {
        // acquire [registry:entered]: so that a count includes everyone who entered before it.
        return (shared_.slots[slot].load(acquire) & attached) != 0;
    }
    [[nodiscard]] std::uint32_t used() const noexcept {
        // acquire [registry:entered]: the slots below the mark. A corrupt mark is clipped.
        const std::uint32_t n = shared_.high_water.load(acquire);
        return n < max_attachments ? n : max_attachments;
    }

    // Free slots first; then those of the dead; then one that was never used. In this order the
    // slots in use stay few, and so does the work of everyone who looks at all of them.
    [[nodiscard]] std::optional<std::uint32_t> claim() noexcept {
        const std::uint32_t n = used();
        for (std::uint32_t slot = 0; slot < n; ++slot)
            if (!occupied(slot) && locks_.try_lock(slot)) return slot;
        for (std::uint32_t slot = 0; slot < n; ++slot)
            if (!locks_.held(slot) && locks_.try_lock(slot)) return slot;
        for (std::uint32_t slot = n; slot < max_attachments; ++slot) {
            if (!locks_.try_lock(slot)) continue;
            std::uint32_t mark = n;
            // release [registry:entered]: raised before the slot's word says attached. relaxed on
            // failure: the mark is only compared.
            while (mark <= slot &&
                   !shared_.high_water.compare_exchange(mark, slot + 1, release, relaxed)) {
            }
            return slot;
        }
        return std::nullopt;
    }

    void vacate(std::uint32_t slot) noexcept {
        // relaxed: we hold the slot's lock, so the word is ours.
        const std::uint64_t w = shared_.slots[slot].load(relaxed) & ~attached;
        // release [registry:entered]: for symmetry of the count; the incarnation stays.
        shared_.slots[slot].store(w >> 32 << 32, release);
    }

    // Publishes the number of attached slots. Lock-free: a failed exchange means that another
    // process published meanwhile; we count again, so the last to publish has seen every change
    // that was made before it looked.
    void refresh() noexcept {
        // acquire [registry:counted]: the slot words that the count before ours rests on.
        std::uint64_t seen = counter_.value.load(acquire);
        for (;;) {
            std::uint32_t n = 0;
            for (std::uint32_t slot = 0; slot < used(); ++slot) n += occupied(slot) ? 1 : 0;
            // acq_rel [registry:counted]: release what we counted; acquire on failure to recount.
            if (counter_.value.compare_exchange(seen, reference_counter::next(seen, n), acq_rel,
                                                acquire))
                return;
        }
    }

    reference_counter& counter_;
    registry_layout& shared_;
    Locks& locks_;
};

}  // namespace assay::inline ASSAY_ABI
