// hands.hpp -- who holds which spare node, in a structure that exchanges nodes (queue.hpp).
//
// Such a structure has `count` slots, words that contain a node each, and count + Hands nodes. Each
// operation is one compare-exchange: it leaves the caller's spare node in a slot, and the caller
// has the node it expected there. A hand is the shared record of one spare node.
//
// State:      Hands records {owner, own, expected}. With own == expected the hand is settled and
//             has that node. Otherwise its process was about to exchange `own` for `expected`: it
//             has `expected` if that happened, and `own` if not.
// Invariant:  Every node is in exactly one place: in one slot, or with one hand.
// Progress:   Nothing waits. Two plain stores per operation; two comparisons for the thread that made
//             the handle, a locked instruction for any other.
// Crash:      The hand of a dead owner is taken by a compare-exchange on its owner, settled by sight
//             (see decide) and freed by a store. Whoever dies in between leaves it as it was.
//
// Synchronisation:
//   [hands:node]     exchange -> exchange              all uses of the node, payload included
//   [hands:owner]    owner stored -> owner replaced    the record, and all uses of the node so far
//   [hands:loan]     put back -> borrowed              the same, between threads of one handle
//   [hands:settled]  expected stored -> expected read  an `own` at least as new
//   What a process did happens before membership::alive() denies it: the kernel's part.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "error.hpp"
#include "layout.hpp"
#include "owner.hpp"
#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// The record in shared memory. (A node is known by its number.)
struct alignas(line_size) hand {
    word<owner_id> owner;
    word<std::uint64_t> own;
    word<std::uint64_t> expected;
};

// One handle's access to the hands. A Memo is what the structure remembers together with each hand.
template <std::uint32_t Hands, class Memo>
class hands {
public:
    // What an operation works with: a hand, its spare node, and the memo.
    struct grip {
        hand* record = nullptr;
        std::uint64_t spare = 0;
        Memo memo{};

        // The operation: if `slot` still has the word `seen`, with `node` in it, stores `left`,
        // which has our spare node in it, and takes `node` as our spare.
        [[gnu::always_inline]] bool exchange(word<std::uint64_t>& slot, std::uint64_t seen,
                                             std::uint64_t left, std::uint64_t node) noexcept {
            hand& mine = *record;
            // release [hands:settled]: whoever reads this finds `own` as our last exchange left it.
            mine.expected.store(node, release);
            // seq_cst [hands:node]: releases our uses of the node that we leave and acquires those
            // of the node that we get. A total order, because the structure may need one. relaxed
            // on failure: the caller looks again.
            if (!slot.compare_exchange(seen, left, seq_cst, relaxed)) [[unlikely]]
                return false;
            // relaxed: the next exchange or [hands:owner] releases it; until then it matters only
            // if we die.
            mine.own.store(node, relaxed);
            spare = node;
            return true;
        }

        // After exchanges that failed, if no more follow: settled as before.
        void settle() noexcept {
            // relaxed: the store of `own` that [hands:settled] is about came before the exchange that
            // succeeded last; who reads this with an older `own` takes the two for undecided, or
            // for a node that we had when we stored this as well.
            record->expected.store(spare, relaxed);
        }
    };

    // The slots contain nodes in the bits of `mask`, up to and including `last_node`. A new hand
    // starts with the memo `fresh`.
    hands(hand* records, const word<std::uint64_t>* slots, std::uint64_t count, std::uint64_t mask,
          std::uint64_t last_node, const Memo& fresh, membership& me, const std::string& name)
        : records_(records),
          slots_(slots),
          count_(count),
          mask_(mask),
          last_node_(last_node),
          fresh_(fresh),
          me_(me),
          name_(name),
          seats_(std::make_unique<seat[]>(Hands)) {}
    hands(const hands&) = delete;
    hands& operator=(const hands&) = delete;

    // Gives back what this process took. After a fork, the parent's hands are not the child's.
    ~hands() {
        for (std::uint32_t i = 0; i < Hands; ++i)
            if (seats_[i].taken == detail::epoch()) free(records_[i]);
    }

    // In fresh memory: hand i gets the node after those of the slots and of the hands before it.
    static void format(hand* records, std::uint64_t count) noexcept {
        for (std::uint64_t i = 0; i < Hands; ++i) {
            // relaxed: not published yet; the store that publishes the memory orders this.
            records[i].owner.store(nobody, relaxed);
            records[i].own.store(count + i, relaxed);
            records[i].expected.store(count + i, relaxed);
        }
    }

    // Calls use(grip&) with a hand that no other thread uses meanwhile. Throws no_space when the
    // living have taken all of them, and what membership::self() throws.
    template <class Use>
    [[gnu::always_inline]] auto with_hand(Use use) {
        if (grip* const mine = at_home()) [[likely]]
            return use(*mine);
        return elsewhere(use);
    }
    // Its two halves, for who wants the first inline. The hand of the thread that made the handle, once
    // it has one; none for any other thread, nor in a forked child. (Only that thread gets as far as
    // home_, which it changes.)
    [[nodiscard, gnu::always_inline]] grip* at_home() noexcept {
        return detail::known_thread == home_number_ && home_.record != nullptr ? &home_ : nullptr;
    }
    // The call, with whatever hand there is.
    template <class Use>
    [[gnu::noinline]] auto elsewhere(Use use) {
        if (is_home()) {
            if (home_epoch_ != detail::epoch()) {  // its first operation, also in a forked child
                home_ = seats_[take(owner_slot(me_.self()) % Hands)].held;
                home_epoch_ = detail::epoch();
            }
            return use(home_);
        }
        const loan lent{borrow()};
        return use(lent.from.held);
    }

    // Frees the hands of the dead, and returns how many.
    std::size_t recover() {
        std::size_t freed = 0;
        for (bool again = true; std::exchange(again, false);)
            for (std::uint32_t i = 0; i < Hands; ++i)
                if (recover(records_[i])) {
                    again = true;  // what is settled now may decide another
                    ++freed;
                }
        return freed;
    }

    [[noreturn, gnu::cold, gnu::noinline]] void fail(const char* what) const {
        throw corrupt("assay: '" + name_ + "' is damaged: " + what +
                      "; a broken process has written to it, create it again");
    }

private:
    // This process's side of the hand with the same number.
    struct seat {
        unsigned taken = 0;     // the epoch in which this process took it
        word<unsigned> idle{};  // the epoch while no thread borrows it, otherwise 0
        grip held;
    };
    struct loan {
        seat& from;
        // release [hands:loan]: the grip and the spare node, to the next thread. audit: the model has
        // no threads of one process; queue.threads_share_one_handle_without_a_race has, under tsan.
        ~loan() { from.idle.store(detail::epoch(), release); }
    };

    // Tells apart the living threads of this process; of a thread's copy in a forked child it is the
    // same.
    [[nodiscard]] static const void* thread() noexcept { return &detail::known_thread; }

    // Whether home_ is this thread's. Numbers and addresses may be used again when a thread has ended,
    // but not by the same one: in the process that made the handle only its number counts, as in
    // at_home(), and in a forked child, which has another, only its address.
    [[nodiscard]] bool is_home() const noexcept {
        return home_number_ >> 32 == detail::epoch() ? home_number_ == detail::this_thread()
                                                     : home_thread_ == thread();
    }

    // A hand that this process has and the home thread does not use.
    seat& borrow() {
        const auto start =
            static_cast<std::uint32_t>((reinterpret_cast<std::uintptr_t>(thread()) >> 6) % Hands);
        for (std::uint32_t n = 0, i = start; n < Hands; ++n, i = (i + 1) % Hands) {
            unsigned mine = detail::epoch();
            // relaxed: decides only whether to try; on failure another thread was quicker.
            // acquire [hands:loan]: the grip and the spare node, from the last thread. audit: as where
            // it is released, the model has no threads of one process.
            if (seats_[i].idle.load(relaxed) == mine &&
                seats_[i].idle.compare_exchange(mine, 0, acquire, relaxed))
                return seats_[i];
        }
        return seats_[take(start)];
    }

    // Makes a free hand this process's.
    std::uint32_t take(std::uint32_t start) {
        const owner_id self = me_.self();
        do {
            for (std::uint32_t n = 0, i = start; n < Hands; ++n, i = (i + 1) % Hands) {
                owner_id seen = nobody;
                // acquire [hands:owner]: the record, and all uses of the node so far.
                // relaxed on failure: it is somebody's.
                if (!records_[i].owner.compare_exchange(seen, self, acquire, relaxed)) continue;
                // relaxed: ours now.
                const std::uint64_t node = records_[i].own.load(relaxed);
                seats_[i].taken = detail::epoch();
                if (node > last_node_) fail("a hand has a node that does not exist");
                seats_[i].held = {&records_[i], node, fresh_};
                return i;
            }
        } while (recover() > 0);
        throw no_space("assay: '" + name_ + "' is in use by " + std::to_string(Hands) +
                       " handles or threads, which is all that it was made for");
    }

    void free(hand& h) noexcept {
        // relaxed: ours. An operation that ended in an exception did not exchange anything.
        h.expected.store(h.own.load(relaxed), relaxed);
        // release [hands:owner]: the record, and our uses of the node.
        h.owner.store(nobody, release);
    }

    bool recover(hand& h) {
        // relaxed: the exchange below decides.
        owner_id dead = h.owner.load(relaxed);
        if (dead == nobody || dead == me_.self() || me_.alive(dead)) return false;
        // relaxed: alive() has acquired all that this owner did, and who put the hand back in its
        // name had changed nothing. On failure somebody was quicker. If we die from here on, it is
        // a dead owner's hand again.
        if (!h.owner.compare_exchange(dead, me_.self(), relaxed, relaxed)) return false;
        const std::optional<std::uint64_t> node = decide(h);
        if (node) {
            // relaxed: ours. What the exchange did comes last, so that we may die in between.
            h.own.store(*node, relaxed);
            free(h);
        } else {
            // relaxed: back to the dead, and we have changed nothing; who finds it dead again has by that
            // what it did.
            h.owner.store(dead, relaxed);
        }
        return node.has_value();
    }

    // Which node has the hand of a dead process? That one of its two which is sighted elsewhere (in
    // a slot, or with a settled hand) it has not. Nothing if neither is sighted: a living process
    // has it in the middle of an operation, or another dead one's hand must be decided first, or it
    // moved while we looked.
    //
    // An old sighting cannot mislead us, hence relaxed loads: if the node was elsewhere before the
    // dead process got it (saw it in the slot), that process had acquired the news of its leaving.
    //
    // When nothing else is under way, one undecided hand can always be decided. Suppose not: then
    // undecided hands have all the nodes in their records. Of these hands let k be the last to have
    // loaded its slot, where it saw f = expected(k). The hand m that has f got it later, by the
    // exchange that put a = own(m) into that slot. The hand p that has a got it after that, so it
    // loaded the slot where it expected a after that: after k, which was the last.
    [[nodiscard]] std::optional<std::uint64_t> decide(const hand& h) const {
        // relaxed, here and below: see above.
        const std::uint64_t own = h.own.load(relaxed);
        const std::uint64_t expected = h.expected.load(relaxed);
        if (own > last_node_ || expected > last_node_) return std::nullopt;  // damaged: leave it
        if (own == expected) return own;
        for (std::uint64_t i = 0; i < count_; ++i) {
            const std::uint64_t node = slots_[i].load(relaxed) & mask_;
            if (node == own) return expected;
            if (node == expected) return own;
        }
        for (std::uint32_t i = 0; i < Hands; ++i) {
            // acquire [hands:settled]: if `own` is the same node, the hand had it when this was
            // stored, or has received it since. relaxed: see above.
            const std::uint64_t node = records_[i].expected.load(acquire);
            if (&records_[i] == &h || records_[i].own.load(relaxed) != node) continue;
            if (node == own) return expected;
            if (node == expected) return own;
        }
        return std::nullopt;
    }

    hand* const records_;
    const word<std::uint64_t>* const slots_;
    const std::uint64_t count_, mask_, last_node_;
    const Memo fresh_;
    membership& me_;
    const std::string& name_;
    const std::unique_ptr<seat[]> seats_;
    // Of these, the home thread alone touches the last two.
    const std::uint64_t home_number_ = detail::this_thread();
    const void* const home_thread_ = thread();
    unsigned home_epoch_ = 0;
    grip home_;
};

}  // namespace assay::inline ASSAY_ABI
