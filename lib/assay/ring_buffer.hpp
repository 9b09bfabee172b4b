// ring_buffer.hpp -- the newest `count` records of one writer, for one consumer and any number of
// readers that consume nothing. The writer may overwrite; nobody ever sees half a record.
//
// State:      positions that count records: `reserved` and `committed` (the writer's), `read` (the
//             consumer's), and `floor` (the writer's: unread records before it may be overwritten).
//             Record p lives in slot p % slots, slots being the power of two at or above count,
//             so that slots stay right when a position wraps around 2^64. With records of less than
//             a line, each block of slots (a line of them, if that comes out even) has a word of its
//             own, `published`: where the last append ended that began there.
// Invariant:  one store makes an append: that of `published` if there are blocks, and that of
//             `committed` follows. So the newest position is committed, or what the block of
//             committed says beyond it.
//             read and floor <= newest <= reserved <= newest + count. Records newest - count to
//             newest are whole, except those before reserved - count; those from `read` on,
//             except those before floor. The writer never writes `read`: the consumer finds out
//             that it was lapped, and how many records it lost.
//             The next append begins at the newest position. So who has seen all until there finds
//             the next record by the word of that block, on a line that the writer leaves after a
//             few records, and asks for no line that the writer needs for each. (Large records have
//             no blocks: one more line would move with each.)
// Progress:   wait-free, but pop() and peek() start again when they were lapped: each time the
//             writer has written. read() is the wait-free form. No one waits for another process;
//             who is at the heels of the other side pauses for half a microsecond (sight).
// Crash:      the writer's death loses what it had not published, and in push_overwrite also the
//             records that it was about to overwrite; the next writer goes on behind the last
//             published record. The consumer's death loses at most the records that it was taking.
//             A reader's death changes nothing.
//
// Synchronisation:
//   [ring:published]  store of published -> load   the records before it, and all that the writer
//                                                  announced before
//   [ring:committed]  store of committed -> load   the same, and published
//   [ring:taken]      store of read -> load        the copies of the records before it are made:
//                                                  licence to overwrite them
//   [ring:announced]  fence after reserved and floor -> fence after a copy   whoever copied a word
//                     of a later record also sees that this record was announced
//   One writer and one consumer at a time is the caller's to ensure. A role moves to another
//   process, thread or handle through anything that makes the old one's last operation happen
//   before the new one's first: a lock, a message, waitpid(). After a kill, the kernel's word that
//   the process is dead is enough.
//   (Sequence locks with racing copies: Boehm, "Can seqlocks get along with programming language
//   memory models?", MSPC 2012. Remembering the other side's position: Giacomoni et al.,
//   "FastForward", PPoPP 2008.)
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>

#include "layout.hpp"
#include "record.hpp"
#include "structure.hpp"
#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// A handle may be used by one writing and one consuming thread at once; the const operations by any.
template <shareable T>
class ring_buffer : public structure<ring_buffer<T>, T> {
    using base = structure<ring_buffer<T>, T>;
    enum amount { one, many };  // of what is asked for: one record goes without a loop

    // How far the other side was when we looked last. A look takes a line from that side which it
    // needs for its next record, and finds no more than it did since the last one: two sides of one
    // speed would send that line to and fro for each record. So who finds little, and something the
    // time before, too, gives way before looking again; and leaves that for long if little came of
    // it: the other side is waiting for us. (Who finds nothing looks at once again, a consumer for the
    // record that he waits for. A writer who finds the ring full has time.)
    struct sight {
        std::uint64_t position = 0;
        int close = 0;  // 0: found nothing; 2: gives way; less: so often more it does not

        template <class Look>
        [[gnu::always_inline]] void renew(std::uint64_t little, int after_nothing,
                                          Look look) noexcept {
            if (close == 2) [[unlikely]]
                give_way();
            const std::uint64_t found = look() - position;
            position += found;
            if (close < 0) [[likely]]
                close += found != 0;
            else if (found >= little)
                close = 1;
            else if (close == 2)
                close = -1000;  // half a microsecond in 1000 looks is nothing
            else
                close = found == 0 ? after_nothing : close + 1;
        }
    };
    enum : int { in_a_hurry = 0, with_time = 1 };

public:
    static constexpr kind structure_kind = kind::ring_buffer;

    // What a wait-free read found. `lost` records were overwritten before they could be read; they
    // came before `record`. Neither: the ring was empty. Only lost ones: there may be more.
    struct reading {
        std::optional<T> record;
        std::uint64_t lost = 0;
    };
    struct bulk_reading {
        std::size_t count = 0;
        std::uint64_t lost = 0;
    };

    // Creates or opens `name` in the segment; without a count it only opens. Throws what structure
    // throws.
    template <class Segment>
    ring_buffer(Segment& segment, std::string_view name, std::uint64_t count = 0)
        : base(segment, name, count) {
        look();
    }

    // On memory that was formatted for `count` records, aligned to a line.
    ring_buffer(void* memory, std::uint64_t count, membership& me) : base(memory, count, me) {
        look();
    }

    [[nodiscard]] static std::uint64_t size_bytes(std::uint64_t count) {
        const bool sane = count != 0 && count <= max_structure_bytes;
        const auto bytes = checked_mul(sane ? std::bit_ceil(count) : 0, slot_words * word_bytes);
        if (!sane || !bytes || *bytes > max_structure_bytes)
            throw std::invalid_argument("assay: a ring buffer cannot have " +
                                        std::to_string(count) + " records of " +
                                        std::to_string(sizeof(T)) + " bytes");
        return sizeof(header) + blocks(count) * sizeof(block) + *bytes;
    }

    // `start` is the first position, for tests of positions that wrap.
    static void format(void* memory, std::uint64_t count, std::uint64_t start = 0) noexcept {
        auto& h = *static_cast<header*>(memory);
        // relaxed: not published yet; the store that publishes the memory around it orders this.
        for (auto* w : {&h.reserved, &h.committed, &h.start, &h.read, &h.floor})
            w->store(start, relaxed);
        auto* all = reinterpret_cast<block*>(&h + 1);
        // relaxed: as above
        for (std::uint64_t i = 0; i < blocks(count); ++i) all[i].published.store(start, relaxed);
    }

    // --- the writer ---

    // False when full: the consumer has `capacity` records before it. Wait-free.
    [[nodiscard]] bool push(const T& record) noexcept {
        header& h = head();
        // relaxed, both: as in end().
        const std::uint64_t at = h.committed.load(relaxed);
        if (h.reserved.load(relaxed) != at) [[unlikely]]  // what a dead writer began
            return push_bulk({&record, 1}) != 0;
        if (room(at, 1) == 0) return false;
        auto& here = published(at);
        auto* const to = slot(at);
        // relaxed: as in announce().
        h.reserved.store(at + 1, relaxed);
        // release [ring:announced]: reserved, to who copies a word that is stored next.
        fence(release);
        store_record<sizeof(T)>(to, &record);
        publish(here, at + 1);
        return true;
    }

    // Appends as many as fit, which become visible together; returns how many. Wait-free.
    std::size_t push_bulk(std::span<const T> records) noexcept {
        const std::uint64_t at = end();
        const auto n = std::min<std::uint64_t>(records.size(), room(at, records.size()));
        if (n != 0) append(at, records.data(), n);
        return static_cast<std::size_t>(n);
    }

    // Appends; the oldest record goes when the ring is full. Wait-free.
    void push_overwrite(const T& record) noexcept { push_overwrite_bulk({&record, 1}); }

    // The same for many: up to `capacity` records at a time become visible together. Wait-free.
    void push_overwrite_bulk(std::span<const T> records) noexcept {
        while (!records.empty()) {
            const std::uint64_t at = end();
            const auto n = std::min<std::uint64_t>(records.size(), capacity());
            if (room(at, n) < n) announce(head().floor, at + n - capacity());
            append(at, records.data(), n);
            records = records.subspan(n);
        }
    }

    // --- the consumer ---

    // Takes the oldest record, if it can be had at once. Wait-free.
    [[nodiscard]] reading read() noexcept {
        record_bytes bytes;
        const auto [n, lost] = take<one>(bytes.data(), 1);
        return {n == 0 ? std::nullopt : std::optional<T>(std::bit_cast<T>(bytes)), lost};
    }
    // Takes up to out.size() of the oldest records, adjacent ones; all lost ones came before them.
    [[nodiscard]] bulk_reading read_bulk(std::span<T> out) noexcept {
        return take<many>(reinterpret_cast<std::byte*>(out.data()), out.size());
    }

    // Takes the oldest record; nothing only when empty. Starts again when it was lapped; lost()
    // counts what was lost.
    [[nodiscard]] std::optional<T> pop() noexcept {
        for (;;) {
            const reading r = read();
            if (r.record || r.lost == 0) return r.record;
        }
    }
    [[nodiscard]] bool pop(T& out) noexcept {
        for (;;) {
            const bulk_reading r = take<one>(reinterpret_cast<std::byte*>(&out), 1);
            if (r.count != 0 || r.lost == 0) return r.count != 0;
        }
    }

    // Takes up to out.size() records; 0 only when empty.
    [[nodiscard]] std::size_t pop_bulk(std::span<T> out) noexcept {
        for (;;) {
            const bulk_reading r = read_bulk(out);
            if (r.count != 0 || r.lost == 0) return r.count;
        }
    }

    // Passes over up to n of the oldest records; returns how many. Wait-free.
    std::uint64_t skip(std::uint64_t n) noexcept { return take<many>(nullptr, n).count; }
    // Passes over all that were committed when it began (lost or not). Wait-free.
    void clear() noexcept { skip(std::numeric_limits<std::uint64_t>::max()); }

    // Records that read, pop and skip of this handle found overwritten. What it took, passed over
    // and lost adds up to what it advanced total_read() by.
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

    // --- anyone, as often as they like, without effect on others ---

    // Copies up to out.size() adjacent records, the first being the one `offset` records after the
    // oldest unread one; returns how many. When the writer overwrote the first of them meanwhile it
    // starts again, from the record that is the oldest then.
    [[nodiscard]] std::size_t peek_bulk(std::uint64_t offset, std::span<T> out) const noexcept {
        return peek(offset, reinterpret_cast<std::byte*>(out.data()), out.size());
    }
    [[nodiscard]] std::optional<T> peek(std::uint64_t offset = 0) const noexcept {
        record_bytes bytes;
        if (peek(offset, bytes.data(), 1) == 0) return std::nullopt;
        return std::bit_cast<T>(bytes);
    }

    // Copies the newest min(n, out.size(), capacity, total_written) records, oldest first, without
    // those among them that the writer began to overwrite before the copy was made: what is left is
    // adjacent and ends with the record that was the newest when the call began. Returns how many,
    // possibly 0 beside a fast writer. Consumed records count. Wait-free.
    [[nodiscard]] std::size_t get_last_n(std::uint64_t n, std::span<T> out) const noexcept {
        const std::uint64_t last = newest();
        // relaxed: constant since format()
        const std::uint64_t written = last - head().start.load(relaxed);
        n = std::min({n, std::uint64_t{out.size()}, capacity(), written});
        auto* bytes = reinterpret_cast<std::byte*>(out.data());
        copy(last - n, bytes, n);
        return n - drop_front(bytes, n, beyond(oldest_whole(), last - n));
    }

    // A reader with a position of its own: sees every record once, or learns how many it lost.
    // Does not keep the ring's handle alive. For one thread.
    class reader {
    public:
        // Starts with the newest `back` records that are still there; 0 waits for the next one.
        explicit reader(const ring_buffer& ring, std::uint64_t back = 0) noexcept : ring_(&ring) {
            seen_.position = ring.newest();
            // relaxed: constant since format()
            const std::uint64_t written = seen_.position - ring.head().start.load(relaxed);
            at_ = seen_.position - std::min({back, ring.capacity(), written});
        }
        // As read() and read_bulk() of the ring, but nothing is consumed. Wait-free.
        [[nodiscard]] reading next() noexcept {
            record_bytes bytes;
            const auto [n, lost] = next<one>(bytes.data(), 1);
            return {n == 0 ? std::nullopt : std::optional<T>(std::bit_cast<T>(bytes)), lost};
        }
        [[nodiscard]] bulk_reading next_bulk(std::span<T> out) noexcept {
            return next<many>(reinterpret_cast<std::byte*>(out.data()), out.size());
        }

    private:
        template <amount Amount>
        bulk_reading next(std::byte* out, std::uint64_t n) noexcept {
            return ring_->template advance<Amount>(at_, seen_, out, n,
                                                   [this] { return ring_->oldest_unannounced(); });
        }
        const ring_buffer* ring_;
        std::uint64_t at_;
        sight seen_;
    };

    // Values of about now, exact when nobody writes or consumes. Wait-free.
    [[nodiscard]] std::uint64_t total_written() const noexcept {
        // relaxed: constant since format()
        return newest() - head().start.load(relaxed);
    }
    // What the consumer has taken, passed over or lost.
    [[nodiscard]] std::uint64_t total_read() const noexcept {
        // relaxed, both: a statistic that promises nothing about records; start is constant
        return head().read.load(relaxed) - head().start.load(relaxed);
    }
    // Unread records. Those that a writer died overwriting count until the consumer finds out.
    [[nodiscard]] std::uint64_t size() const noexcept {
        // acquire [ring:taken]: what the consumer knew of, so that the newest is not before it.
        const std::uint64_t from = head().read.load(acquire);
        return std::min(beyond(newest(), from), capacity());
    }
    [[nodiscard]] std::uint64_t available_space() const noexcept { return capacity() - size(); }
    [[nodiscard]] std::uint64_t capacity() const noexcept { return this->count(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] bool full() const noexcept { return size() == capacity(); }

private:
    using record_bytes = std::array<std::byte, sizeof(T)>;

    struct header {
        alignas(line_size) word<std::uint64_t> reserved;
        word<std::uint64_t> committed;
        word<std::uint64_t> start;
        alignas(line_size) word<std::uint64_t> read;
        alignas(line_size) word<std::uint64_t> floor;  // apart: changes only when unread ones go
    };
    // On a line of its own, apart from the records, whose runs it would interrupt.
    struct block {
        alignas(line_size) word<std::uint64_t> published;
    };
    static constexpr std::uint64_t slot_words = words_for(sizeof(T));
    static constexpr bool in_whole_words = sizeof(T) % word_bytes == 0;
    static constexpr std::uint64_t block_slots = ring_block_words / slot_words;
    static constexpr bool in_blocks = slot_words < ring_block_words;

    [[nodiscard]] header& head() const noexcept {
        return *reinterpret_cast<header*>(this->memory());
    }
    [[nodiscard]] word<std::uint64_t>* slot(std::uint64_t position) const noexcept {
        return slots_ + (position & mask_) * slot_words;
    }
    // That of the block in which an append at `position` begins.
    [[nodiscard]] word<std::uint64_t>& published(std::uint64_t position) const noexcept {
        auto* all = reinterpret_cast<word<std::uint64_t>*>(this->memory() + sizeof(header));
        return all[(position & mask_) / std::max<std::uint64_t>(block_slots, 1) *
                   (sizeof(block) / sizeof *all)];
    }
    // What is hardly worth a look, unless the ring is small.
    [[nodiscard]] std::uint64_t little() const noexcept {
        return std::min<std::uint64_t>(8, capacity() / 8);
    }
    [[nodiscard]] static std::uint64_t blocks(std::uint64_t count) noexcept {
        return in_blocks ? (std::bit_ceil(count) + block_slots - 1) / block_slots : 0;
    }

    // How far `limit` lies beyond `position`; 0 when it does not. Positions wrap, so distances of
    // 2^63 and more, which only a broken process can cause, are taken for negative ones.
    [[nodiscard]] static std::uint64_t beyond(std::uint64_t limit,
                                              std::uint64_t position) noexcept {
        const std::uint64_t distance = limit - position;
        return static_cast<std::int64_t>(distance) > 0 ? distance : 0;
    }

    void look() noexcept {
        mask_ = std::bit_ceil(capacity()) - 1;
        slots_ = reinterpret_cast<word<std::uint64_t>*>(this->memory() + sizeof(header) +
                                                        blocks(capacity()) * sizeof(block));
        // acquire [ring:taken]: the first push may rely on it. audit: only load
        // buffering would show it, as in room()
        seen_read_.position = head().read.load(acquire);
        // Behind every position to come: the first read will ask.
        seen_newest_.position = seen_read_.position - 1;
    }

    [[nodiscard]] std::uint64_t committed() const noexcept {
        // acquire [ring:committed]: the records before it, and what its block said then.
        return head().committed.load(acquire);
    }
    // The end of all that is published, for one who knows what is committed.
    [[nodiscard]] std::uint64_t newest(std::uint64_t committed) const noexcept {
        // acquire [ring:published]: the records before it.
        if constexpr (in_blocks) committed += beyond(published(committed).load(acquire), committed);
        return committed;
    }
    [[nodiscard]] std::uint64_t newest() const noexcept { return newest(committed()); }
    // The same for one who stands at `at` and wants n records, and for whom `seen` was the newest
    // before; no more than needed.
    [[nodiscard]] std::uint64_t newest(std::uint64_t at, std::uint64_t n,
                                       std::uint64_t seen) const noexcept {
        if (!in_blocks || at != seen) return newest();
        const std::uint64_t end = newest(at);
        return end == at || end - at >= n ? end : newest();
    }

    // Where the writer goes on.
    // relaxed, all: only the writer changes them, and a new writer comes after the old one.
    [[nodiscard]] std::uint64_t end() noexcept {
        header& h = head();
        const std::uint64_t at = h.committed.load(relaxed);
        if (h.reserved.load(relaxed) == at) [[likely]]
            return at;
        // relaxed: as above. A writer died at it; if it had published, the rest is ours to do.
        const std::uint64_t more = in_blocks ? beyond(published(at).load(relaxed), at) : 0;
        // release [ring:committed]: the records before it, which we know of.
        if (more != 0) h.committed.store(at + more, release);
        return at + more;
    }

    // How many records the consumer leaves room for at `at`; exact if less than `wanted`.
    [[nodiscard]] std::uint64_t room(std::uint64_t at, std::uint64_t wanted) noexcept {
        std::uint64_t used = at - seen_read_.position;
        if (used < capacity() && capacity() - used >= wanted) [[likely]]
            return capacity() - used;
        // acquire [ring:taken]: the consumer's copies of what we may overwrite now are made.
        // audit: without it, a copy could see a later record only by load buffering, which RC11
        // excludes and hardware may do
        seen_read_.renew(little(), with_time, [&] { return head().read.load(acquire); });
        used = at - seen_read_.position;
        return used < capacity() ? capacity() - used : 0;
    }

    // Raises `w` to `position`. It may be ahead by what a dead writer had announced, and must stay
    // so: that one may have begun to write. Anything else is behind, or no position at all.
    // relaxed: the fence of [ring:announced] comes before the first word of payload.
    void announce(word<std::uint64_t>& w, std::uint64_t position) noexcept {
        if (w.load(relaxed) - position > capacity()) w.store(position, relaxed);
    }

    void append(std::uint64_t at, const T* records, std::uint64_t n) noexcept {
        announce(head().reserved, at + n);
        // release [ring:announced]: reserved and floor, to who copies a word that is stored next.
        fence(release);
        const auto* from = reinterpret_cast<const std::byte*>(records);
        runs(at, n, [from](word<std::uint64_t>* to, std::uint64_t first, std::uint64_t count) {
            if constexpr (in_whole_words)
                store_words(to, from + first * sizeof(T),
                            static_cast<std::size_t>(count * slot_words));
            else
                for (std::uint64_t i = 0; i < count; ++i)
                    store_record<sizeof(T)>(to + i * slot_words, from + (first + i) * sizeof(T));
        });
        publish(published(at), at + n);
    }
    // `here` is the word of the block where the append began.
    void publish(word<std::uint64_t>& here, std::uint64_t end) noexcept {
        // release [ring:published]: the records before the end, and what was announced.
        if constexpr (in_blocks) here.store(end, release);
        // release [ring:committed]: the same, and published.
        head().committed.store(end, release);
    }

    void copy(std::uint64_t at, std::byte* out, std::uint64_t n) const noexcept {
        runs(at, n,
             [out](const word<std::uint64_t>* from, std::uint64_t first, std::uint64_t count) {
                 if constexpr (in_whole_words)
                     load_words(from, out + first * sizeof(T),
                                static_cast<std::size_t>(count * slot_words));
                 else
                     for (std::uint64_t i = 0; i < count; ++i)
                         load_record<sizeof(T)>(from + i * slot_words,
                                                out + (first + i) * sizeof(T));
             });
    }
    // Of n records from `at` on, those in adjacent slots at a time: where, which is the first, how many.
    template <class F>
    void runs(std::uint64_t at, std::uint64_t n, F&& each) const noexcept {
        const std::uint64_t before_end = std::min(n, mask_ + 1 - (at & mask_));
        each(slot(at), 0, before_end);
        if (before_end != n) each(slot(at + before_end), before_end, n - before_end);
    }
    // Removes the first `bad` of n records; returns how many it removed.
    static std::uint64_t drop_front(std::byte* records, std::uint64_t n,
                                    std::uint64_t bad) noexcept {
        if (bad >= n) return n;
        if (bad != 0)
            std::memmove(records, records + bad * sizeof(T),
                         static_cast<std::size_t>((n - bad) * sizeof(T)));
        return bad;
    }

    // relaxed: a hint before a copy; after it, ordered by the fence of [ring:announced].
    [[nodiscard]] std::uint64_t oldest_unannounced() const noexcept {
        return head().reserved.load(relaxed) - capacity();
    }
    // The oldest record that was whole in the copies made before this call.
    [[nodiscard]] std::uint64_t oldest_whole() const noexcept {
        // acquire [ring:announced]: the announcement of each record of which we copied a word.
        fence(acquire);
        return oldest_unannounced();
    }

    [[nodiscard]] std::uint64_t peek(std::uint64_t offset, std::byte* out,
                                     std::uint64_t wanted) const noexcept {
        // acquire [ring:taken]: what the consumer knew of, so that the newest is not before it.
        std::uint64_t low = head().read.load(acquire);
        for (;;) {
            std::uint64_t last = committed();
            if (offset >= beyond(last, low)) last = newest(last);  // perhaps no more is there
            if (beyond(last, low) > capacity()) low = last - capacity();
            const std::uint64_t ready = beyond(last, low);
            if (offset >= ready) return 0;
            const auto n = std::min(wanted, ready - offset);
            copy(low + offset, out, n);
            const std::uint64_t whole = oldest_whole();
            if (beyond(whole, low + offset) == 0) return n;
            low = whole;
        }
    }

    // One step of the consumer or of a reader, from position `at`: copies up to n records (only
    // counts them when out is null) and moves `at` behind them. `gone` gives the position before
    // which records may be overwritten, `seen` remembers the newest.
    // Inline, as take() is.
    template <amount Amount, class Gone>
    [[gnu::always_inline]] bulk_reading advance(std::uint64_t& at, sight& seen, std::byte* out,
                                                std::uint64_t n, Gone gone) const noexcept {
        bulk_reading done;
        const auto lose = [&](std::uint64_t some) { at += some, done.lost += some; };
        if (const std::uint64_t some = beyond(gone(), at); some != 0) [[unlikely]]
            lose(some);
        const std::uint64_t known = seen.position - at;
        if (known - 1 >= capacity() || (Amount == many && known < n)) [[unlikely]] {
            const auto look = [&] { return newest(at, n, seen.position); };
            if constexpr (in_blocks)  // the writer soon leaves the line that we look at
                seen.position = look();
            else
                seen.renew(little(), in_a_hurry, look);
            const std::uint64_t ready = beyond(seen.position, at);
            if (ready == 0) return done;
            if constexpr (Amount == many) n = std::min({n, ready, capacity()});
        }
        if (out != nullptr) {
            if constexpr (Amount == one)
                load_record<sizeof(T)>(slot(at), out);
            else
                copy(at, out, n);
            // acquire [ring:announced]: the announcement of each record of which we copied a word.
            fence(acquire);
            if (const std::uint64_t bad = beyond(gone(), at); bad != 0) [[unlikely]] {
                lose(bad);
                n -= drop_front(out, n, bad);
            }
        }
        at += n;
        done.count = static_cast<std::size_t>(n);
        return done;
    }

    template <amount Amount>
    [[gnu::always_inline]] bulk_reading take(std::byte* out, std::uint64_t n) noexcept {
        // relaxed: only the consumer changes it, and a new consumer comes after the old one.
        const std::uint64_t from = head().read.load(relaxed);
        std::uint64_t at = from;
        // relaxed: a hint before the copy; after it, ordered by the fence of [ring:announced].
        const auto gone = [this] { return head().floor.load(relaxed); };
        const bulk_reading r = advance<Amount>(at, seen_newest_, out, n, gone);
        if (r.lost != 0) [[unlikely]]
            lost_ += r.lost;
        // release [ring:taken]: our copies of the records before it are made, and what we knew of
        // the newest; who counts relies on that.
        if (at != from) head().read.store(at, release);
        return r;
    }

    std::uint64_t mask_ = 0;
    word<std::uint64_t>* slots_ = nullptr;
    sight seen_read_;         // the writer's, of `read`
    sight seen_newest_;       // the consumer's, of the newest position
    std::uint64_t lost_ = 0;  // the consumer's
};

}  // namespace assay::inline ASSAY_ABI
