// queue.hpp -- bounded first-in first-out queue of many producers and many consumers.
//
// In the family of Tsigas and Zhang ("A simple, fast and scalable non-blocking concurrent FIFO
// queue", SPAA 2001: one compare-exchange on the slot, indices that may lag), with turn numbers,
// and with payload in nodes that change hands in that same compare-exchange.
//
// State:      `count` slots {turn | node}, count + Hands nodes for payload, the hands (hands.hpp)
//             and two hints. A slot's turn counts what has happened to it: it is even while the
//             slot awaits an element, odd while it has one. Both operations exchange the node and
//             increment the turn. A position {turn | index} is a slot in a certain turn; producers
//             pass the even positions in order, consumers the odd ones.
// Invariant:  Every node is in exactly one place: in a slot (with an element or not), or with a
//             hand. Positions of one kind are passed in order: whoever passes one has seen all
//             earlier ones passed. Hints and remembered positions never run ahead of the truth.
//             A slot's word does not repeat until the turn wraps: an exchange succeeds wrongly only
//             if its process missed 2^(63 - b) elements per slot, b being the bits of a node number
//             (for 1024 elements and 64 hands, 2^62 elements).
// Progress:   Lock-free. An operation tries again or looks further only because others succeeded;
//             it looks at most at `count` slots for each time that all slots were passed. One
//             locked instruction when nobody interferes. The blocking forms wait for elements or
//             space, never for a particular process. After 32 elements, who is at the heels of the
//             other side pauses for half a microsecond (keep_distance).
// Crash:      An operation takes effect in its compare-exchange, entirely or not at all: at most the
//             element of the dying operation is lost. No slot is, because a slot always contains a
//             node. What the dead leave behind is a hand with one spare node: recover(), or the
//             next who finds no free hand, gives it back.
//
// Synchronisation:
//   [queue:hint]   hint stored -> hint read    all earlier positions of its kind are passed
//   and those of hands.hpp, of which [hands:node] carries the payload. event.hpp has none.
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "error.hpp"
#include "event.hpp"
#include "hands.hpp"
#include "layout.hpp"
#include "owner.hpp"
#include "structure.hpp"
#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// A handle to a queue of `count` elements. Any number of processes may have handles to one queue,
// and threads may share a handle: the thread that made it has the shortest way, each other pays one
// more locked instruction per operation. At most `Hands` handles and threads at a time can operate;
// each takes its hand at its first operation and the handle keeps it. Neither copied nor moved.
template <shareable T, std::uint32_t Hands = 64>
class queue : public structure<queue<T, Hands>, T> {
    using base = structure<queue<T, Hands>, T>;
    static_assert(Hands >= 1 && Hands <= 1u << 16);

public:
    static constexpr kind structure_kind = kind::queue;

    // Creates or opens `name` in the segment; without a count it only opens. Throws what structure
    // throws, and mismatch when the queue was made for another number of hands.
    template <class Segment>
    queue(Segment& segment, std::string_view name, std::uint64_t count = 0)
        : base(segment, name, count) {}

    // On memory that was formatted for `count` elements, aligned to a line (and for T).
    queue(void* memory, std::uint64_t count, membership& me) : base(memory, count, me) {}

    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;

    // Bytes for a queue of `count` elements. Throws std::invalid_argument for none or too many.
    [[nodiscard]] static std::uint64_t size_bytes(std::uint64_t count) { return plan(count).size; }

    // Makes memory an empty queue. `laps` says how often it has been through all its slots already,
    // modulo the range of a turn: proofs and tests start just below the wrap.
    static void format(void* memory, std::uint64_t count, std::uint64_t laps = 0) {
        const plan p(count);
        const std::uint64_t turn = 2 * laps * p.turn;
        auto* bytes = static_cast<std::byte*>(memory);
        auto* shared = new (memory) header;
        // relaxed, here and below: not published yet; what publishes the memory orders all this.
        shared->hands.store(Hands, relaxed);
        shared->sides[producer].hint.store(turn, relaxed);
        shared->sides[consumer].hint.store(turn + p.turn, relaxed);
        for (side& s : shared->sides) s.passed.format();
        auto* slots = new (bytes + p.slots) word<std::uint64_t>[static_cast<std::size_t>(count)];
        for (std::uint64_t i = 0; i < count; ++i) slots[i].store(turn | i, relaxed);
        holders::format(new (bytes + p.hands) hand[Hands], count);
    }

    // Appends a copy; false when the queue is full, which is exact: at an instant during the call
    // it held capacity() elements. Lock-free, linearizable. Throws no_space when no hand is free
    // (only in the first operation of a handle or thread): the living have them, or the dead whose
    // last operation cannot be decided yet (see recover). Throws corrupt when a broken process has
    // written to the queue.
    // (Always inline, with all that it does when nobody interferes: calls would be a quarter of it.)
    [[nodiscard, gnu::always_inline]] bool enqueue(const T& value) {
        if (grip* const mine = hands_.at_home()) [[likely]]
            return put(*mine, value);
        return hands_.elsewhere([this, &value](grip& mine) { return put(mine, value); });
    }

    // Removes the oldest element; nothing (false) when the queue is empty, which is exact.
    // Otherwise as enqueue.
    [[nodiscard]] std::optional<T> dequeue() {
        return hands_.with_hand([this](grip& mine) {
            std::optional<T> value;
            pass(mine, consumer, [&](std::uint64_t node) { value = nodes_[node].read(); });
            return value;
        });
    }
    [[nodiscard, gnu::always_inline]] bool dequeue(T& value) {
        if (grip* const mine = hands_.at_home()) [[likely]]
            return take(*mine, value);
        return hands_.elsewhere([this, &value](grip& mine) { return take(mine, value); });
    }

    // As many as fit (as there are), in order, and how many that were. The same as so many single
    // operations: those of others may come in between, and a caller that dies loses what it had
    // already taken out and at most one more.
    [[nodiscard]] std::size_t enqueue_bulk(std::span<const T> values) {
        return hands_.with_hand([this, values](grip& mine) {
            const auto fits = [&](const T& value) { return put(mine, value); };
            return static_cast<std::size_t>(std::ranges::find_if_not(values, fits) -
                                            values.begin());
        });
    }
    [[nodiscard]] std::size_t dequeue_bulk(std::span<T> values) {
        return hands_.with_hand([this, values](grip& mine) {
            const auto comes = [&](T& value) { return take(mine, value); };
            return static_cast<std::size_t>(std::ranges::find_if_not(values, comes) -
                                            values.begin());
        });
    }

    // Wait for space (an element) until the deadline, or for so long; without either, for ever.
    // False (nothing) when the time is over. A process that died before it could wake us delays us
    // by wait_slice at most. Otherwise as enqueue (dequeue).
    [[nodiscard]] bool wait_enqueue(const T& value, deadline until = deadline::max()) {
        return shared_->sides[consumer].passed.wait_until([&] { return enqueue(value); }, until);
    }
    [[nodiscard]] bool wait_enqueue(const T& value, std::chrono::nanoseconds timeout) {
        return wait_enqueue(value, after(timeout));
    }
    [[nodiscard]] std::optional<T> wait_dequeue(deadline until = deadline::max()) {
        std::optional<T> value;
        const auto comes = [&] { return (value = dequeue()).has_value(); };
        static_cast<void>(shared_->sides[producer].passed.wait_until(comes, until));
        return value;
    }
    [[nodiscard]] std::optional<T> wait_dequeue(std::chrono::nanoseconds timeout) {
        return wait_dequeue(after(timeout));
    }

    // How it was at an instant during the call, and may not be any more. They throw corrupt as
    // above.
    [[nodiscard]] bool empty() const { return !find(consumer, fresh_.next[consumer]).open; }
    [[nodiscard]] bool full() const { return !find(producer, fresh_.next[producer]).open; }
    // Exact when no operation is under way, and never more than capacity().
    [[nodiscard]] std::uint64_t size() const {
        const std::uint64_t head = find(consumer, fresh_.next[consumer]).at - plan_.turn;
        const std::uint64_t tail = find(producer, fresh_.next[producer]).at;
        const std::uint64_t laps = (turn(tail) - turn(head)) / (2 * plan_.turn);
        return std::min(laps * capacity() + index(tail) - index(head), capacity());
    }
    [[nodiscard]] std::uint64_t capacity() const noexcept { return this->count(); }

    // Gives back the hands of dead processes, and returns how many. Safe at any time, in several
    // processes at once, and may itself be killed anywhere. When nothing else is under way it
    // leaves none; otherwise a hand whose last operation cannot be decided yet stays for a later
    // call. O(capacity()) loads for each hand of a process that died inside an operation.
    std::size_t recover() { return hands_.recover(); }

private:
    enum role : unsigned { producer = 0, consumer = 1 };  // also the parity of their turns

    struct alignas(line_size) side {
        word<std::uint64_t> hint;
        event passed;
    };
    struct header {
        side sides[2];
        alignas(line_size) word<std::uint32_t> hands;
    };

    // The hints are stored once in so many slots, and lag by that at least.
    static constexpr std::ptrdiff_t stride = 32;
    // So many elements long it is remembered that giving way was of no use: little beside them.
    static constexpr unsigned remembered = 32 * stride;
    static constexpr std::ptrdiff_t two_lines = 2 * line_size / sizeof(word<std::uint64_t>);

    // Where a handle goes on: the slot, the turn in which it may be passed and the one that follows,
    // and the next slot at which to store a hint.
    struct position {
        word<std::uint64_t>* slot;
        std::uint64_t turn, turn_after;
        const word<std::uint64_t>* stop;
    };
    struct memo {
        position next[2];
        unsigned nothing[2] = {};  // how often there was none of late, or `remembered`
    };
    using holders = hands<Hands, memo>;
    using grip = typename holders::grip;

    // Where things are, computed from the count alone and never read from shared memory.
    struct plan {
        explicit plan(std::uint64_t count)
            : turn(std::uint64_t{1} << std::bit_width(possible(count) + Hands - 1)),
              hands(align_up(slots + count * sizeof(word<std::uint64_t>), line_size)),
              nodes(align_up(hands + Hands * sizeof(hand), alignof(cell<T>))),
              size(nodes + (count + Hands) * sizeof(cell<T>)) {}

        static std::uint64_t possible(std::uint64_t count) {
            if (count == 0 || count > max_structure_bytes / (sizeof(cell<T>) + 8) - Hands)
                throw std::invalid_argument("assay: a queue for " + std::to_string(count) +
                                            " elements of " + std::to_string(sizeof(T)) +
                                            " bytes is not possible");
            return count;
        }

        static constexpr std::uint64_t slots = sizeof(header);

        std::uint64_t turn;  // one turn, as it is counted in slots and positions: 2^b
        std::uint64_t hands, nodes, size;
    };

    [[nodiscard]] std::uint64_t turn(std::uint64_t at) const noexcept { return at & -plan_.turn; }
    [[nodiscard]] std::uint64_t index(std::uint64_t at) const noexcept {
        return at & (plan_.turn - 1);
    }

    [[gnu::always_inline]] bool put(grip& mine, const T& value) {
        nodes_[mine.spare].write(value);
        return pass(mine, producer, [](std::uint64_t) {});
    }
    [[gnu::always_inline]] bool take(grip& mine, T& value) {
        return pass(mine, consumer, [this, &value](auto node) { value = nodes_[node].read(); });
    }

    // Passes the first position of the role that is not passed yet: leaves the spare node there,
    // and takes the node found there for it. False when that slot is not in its turn: full (empty).
    template <class Received>
    [[gnu::always_inline]] bool pass(grip& mine, role as, Received received) {
        position& at = mine.memo.next[as];
        auto* const slot = at.slot;
        // seq_cst: see find; and decide() in hands.hpp asks which of the dead was the last to load
        // its slot.
        const std::uint64_t seen = at.slot->load(seq_cst);
        const std::uint64_t node = seen ^ at.turn;  // if it is the slot's turn; else a large number
        if (node > last_node_) {
            // Not yet its turn, and nobody has passed it (it is one turn behind): full (empty), as
            // find would say.
            if (seen - at.turn + plan_.turn < plan_.turn) {
                ++mine.memo.nothing[as];
                return false;
            }
            return pass_late(mine, as, received);
        }
        if (!mine.exchange(*slot, seen, at.turn_after + mine.spare, node)) [[unlikely]]
            return pass_late(mine, as, received);
        received(node);
        return passed(mine.memo, slot, as);
    }

    // The general case: others have passed this position already, or it is not the slot's turn.
    template <class Received>
    [[gnu::noinline]] bool pass_late(grip& mine, role as, Received received) {
        position& next = mine.memo.next[as];
        for (;;) {
            const found first = find(as, next);
            const position at = next = locate(first.at);
            if (!first.open) {
                mine.settle();
                ++mine.memo.nothing[as];
                return false;
            }
            const std::uint64_t node = index(first.word);
            if (node > last_node_) hands_.fail("a slot has a node that does not exist");
            if (!mine.exchange(*at.slot, first.word, at.turn_after + mine.spare, node)) continue;
            received(node);
            return passed(mine.memo, at.slot, as);
        }
    }

    [[gnu::always_inline]] bool passed(memo& mine, word<std::uint64_t>* slot, role as) {
        position& next = mine.next[as];
        next.slot = slot + 1;
        return next.slot == next.stop ? tell_position(mine, as) : tell_waiters(as);
    }

    // Every few slots: tells the others how far we are. (A call that comes last costs no stack.)
    [[gnu::noinline, gnu::cold]] bool tell_position(memo& mine, role as) noexcept {
        position& next = mine.next[as];
        if (next.slot == end_) {
            next.slot = slots_;
            next.turn += 2 * plan_.turn;
            next.turn_after += 2 * plan_.turn;
        }
        next.stop = stop_after(next.slot);
        const std::uint64_t at = next.turn + static_cast<std::uint64_t>(next.slot - slots_);
        // relaxed: only to keep it from going back by much.
        if (static_cast<std::int64_t>(at - shared_->sides[as].hint.load(relaxed)) > 0)
            // release [queue:hint]: we have seen all positions before it passed.
            shared_->sides[as].hint.store(at, release);
        tell_waiters(as);
        return keep_distance(mine, as);
    }

    // Where both sides work on the same lines, each line goes to and fro for every element. So who
    // seldom found nothing in the slots just passed, and is less than two lines behind the other
    // side, gives way, and finds whole lines afterwards; and leaves that for long if nothing came of
    // it: the other side is waiting for us. (Who often found nothing waits for one element, and no
    // longer than he must. "Temporal slipping": Giacomoni et al., "FastForward", PPoPP 2008.)
    bool keep_distance(memo& mine, role as) noexcept {
        unsigned& nothing = mine.nothing[as];
        if (nothing >= stride / 2 || capacity() < 2 * stride) {
            nothing = std::min(nothing - std::min(nothing, unsigned{stride}), remembered);
            return true;
        }
        const position& next = mine.next[as];
        // relaxed: decides about nothing but a delay. audit: the queues of the checker, where
        // nothing takes time, are too small for it
        const auto ready = [&](const auto* slot) {
            return (slot->load(relaxed) ^ next.turn) <= last_node_;
        };
        nothing = 0;
        if (ready(std::min(next.slot + two_lines, end_ - 1))) return true;
        give_way();
        if (!ready(next.slot)) nothing = remembered;
        return true;
    }

    [[gnu::always_inline]] bool tell_waiters(role as) noexcept {
        shared_->sides[as].passed.notify();
        return true;
    }

    struct found {
        std::uint64_t at;    // the first position of the role that is not passed yet
        std::uint64_t word;  // that slot's word
        bool open;           // whether it is the slot's turn; otherwise the queue is full (empty)
    };

    [[nodiscard, gnu::noinline]] found find(role as, const position& known) const {
        // acquire [queue:hint]: all positions before it are passed.
        std::uint64_t at = shared_->sides[as].hint.load(acquire);
        if (index(at) >= capacity() || ((at & plan_.turn) != 0) != (as == consumer))
            hands_.fail("its hint is not a position");
        const std::uint64_t mine = known.turn + static_cast<std::uint64_t>(known.slot - slots_);
        if (static_cast<std::int64_t>(mine - at) > 0) at = mine;
        for (const std::uint64_t from = at;;) {
            // seq_cst, here and for the exchanges, excludes that a producer passes one slot and
            // then finds the next still full, while a consumer passes that next slot and finds the
            // first still empty: each behind the other's back (store buffering).
            const std::uint64_t word = slots_[index(at)].load(seq_cst);
            const std::uint64_t ahead = turn(word) - turn(at);
            if (ahead == 0) return {at, word, true};
            // A producer finds the element of the lap before there, a consumer not yet one.
            if (ahead == -plan_.turn) return {at, word, false};
            // Others have passed it: go to the one after the last that this slot shows as passed.
            at += ((ahead & plan_.turn) != 0 ? ahead - plan_.turn : ahead - 2 * plan_.turn);
            at = index(at) + 1 < capacity() ? at + 1 : turn(at) + 2 * plan_.turn;
            // That is always forward, and never as far as once round.
            if (static_cast<std::int64_t>(ahead) < 0 || static_cast<std::int64_t>(at - from) <= 0)
                hands_.fail("its slots contradict each other");
        }
    }

    [[nodiscard]] position locate(std::uint64_t at) const noexcept {
        const std::uint64_t i = index(at);
        return {slots_ + i, turn(at), turn(at) + plan_.turn,
                stop_after(slots_ + i / stride * stride)};
    }
    // Where a stride ends that begins at the slot.
    [[nodiscard]] const word<std::uint64_t>* stop_after(word<std::uint64_t>* slot) const noexcept {
        return end_ - slot < stride ? end_ : slot + stride;
    }

    template <class U>
    [[nodiscard]] U* part(std::uint64_t offset) const noexcept {
        return reinterpret_cast<U*>(this->memory() + offset);
    }

    // The position of the role's hint: a start, and the check that this is our kind of queue.
    [[nodiscard]] position start(role as) const {
        // relaxed: never changes once the queue is published.
        if (const std::uint32_t made_for = shared_->hands.load(relaxed); made_for != Hands)
            throw mismatch("assay: '" + this->name() + "' was made for " +
                           std::to_string(made_for) + " hands, the type given has " +
                           std::to_string(Hands));
        // acquire [queue:hint]: all positions before it are passed.
        const std::uint64_t at = shared_->sides[as].hint.load(acquire);
        return locate(index(at) < capacity() ? at : turn(at));
    }

    const plan plan_{this->count()};
    const std::uint64_t last_node_ = this->count() + Hands - 1;
    header* const shared_ = part<header>(0);
    word<std::uint64_t>* const slots_ = part<word<std::uint64_t>>(plan::slots);
    word<std::uint64_t>* const end_ = slots_ + capacity();
    cell<T>* const nodes_ = part<cell<T>>(plan_.nodes);
    const memo fresh_{{start(producer), start(consumer)}};
    holders hands_{part<hand>(plan_.hands),
                   slots_,
                   this->count(),
                   plan_.turn - 1,
                   last_node_,
                   fresh_,
                   this->me(),
                   this->name()};
};

}  // namespace assay::inline ASSAY_ABI
