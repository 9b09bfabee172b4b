// table.hpp -- names in a segment, and the space that belongs to them.
//
// State:      a lock, and MaxEntries entries. An entry's state word is {generation, active}.
// Invariant:  active entries have different names and disjoint ranges inside the data area. They
//             *are* the allocator's state: free space is what no active entry covers, so space of
//             an erased entry is free again, and free neighbours are one gap, with nothing to
//             merge.
// Progress:   find and iteration are wait-free, O(MaxEntries). add, allocate, erase and clear are
//             serialised by a lock that survives its holder's death; they wait for a living holder.
// Crash:      one store of a state word commits an entry or removes it; a process that dies before
//             it has changed nothing that anyone can see.
//
// Synchronisation:
//   [table:published]  add -> find         carries the entry's fields, and the memory formatted
//   [table:reused]     erase, add -> find  a reader that sees a field of the next entry in this
//                                          place also sees that the state has changed
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "error.hpp"
#include "layout.hpp"
#include "owner.hpp"

namespace assay::inline ASSAY_ABI {

// What an entry is to hold; num_elem of elem_size bytes each, laid out as `what` decides.
struct placement {
    std::uint64_t size_bytes = 0;
    std::uint64_t alignment = line_size;
    kind what = kind::raw;
    std::uint64_t elem_size = 0;
    std::uint64_t num_elem = 0;
    std::uint64_t tag = 0;  // type_tag of the element
};

// Seed: "Metadata Table Entry". Lives in shared memory; fields read as values of their time.
template <std::size_t MaxNameSize>
class table_entry {
    template <class T>
    class field {
    public:
        // relaxed: whoever needs the fields to belong together checks the state word around them.
        operator T() const noexcept { return value_.load(relaxed); }

    private:
        friend table_entry;
        void set(T v) noexcept { value_.store(v, relaxed); }  // relaxed: the commit store orders it
        word<T> value_;
    };

    class name_field {
    public:
        // Zero-padded and compared word by word: almost always the first word decides.
        using words = std::array<std::uint64_t, MaxNameSize / 8>;

        // `text` is shorter than MaxNameSize.
        [[nodiscard]] static words encode(std::string_view text) noexcept {
            words w{};
            std::memcpy(w.data(), text.data(), text.size());
            return w;
        }
        [[nodiscard]] bool is(const words& wanted) const noexcept {
            for (std::size_t i = 0; i < wanted.size(); ++i)
                if (words_[i].load(relaxed) != wanted[i]) return false;  // relaxed: see field
            return true;
        }
        [[nodiscard]] std::string str() const {
            words w;
            load_words(words_, w.data(), w.size());
            const auto* const text = reinterpret_cast<const char*>(w.data());
            return std::string(text, ::strnlen(text, MaxNameSize));
        }
        operator std::string() const { return str(); }
        friend bool operator==(const name_field& a, std::string_view b) { return a.str() == b; }

    private:
        friend table_entry;
        void set(const words& w) noexcept { store_words(words_, w.data(), w.size()); }
        word<std::uint64_t> words_[MaxNameSize / 8];
    };

    class state_field {
    public:
        // relaxed: a snapshot for display; find validates with load_acquire and unchanged.
        operator bool() const noexcept { return (word_.load(relaxed) & 1) != 0; }

    private:
        friend table_entry;
        word<std::uint64_t> word_;
    };

public:
    name_field name;
    field<std::uint64_t> offset;  // from the start of the segment
    field<std::uint64_t> size;    // bytes
    field<std::uint64_t> elem_size;
    field<std::uint64_t> num_elem;
    field<std::uint64_t> tag;
    field<std::uint64_t> what;  // a kind
    state_field active;

    [[nodiscard]] static auto name_words(std::string_view text) noexcept {
        return name_field::encode(text);
    }

    // A copy whose fields belong together, or nothing if the entry is not `wanted`.
    struct snapshot {
        std::uint64_t offset, size, elem_size, num_elem, tag;
        kind what;
    };

    [[nodiscard]] std::optional<snapshot> read_if(
        const typename name_field::words& wanted) const noexcept {
        // acquire [table:published]: the fields of an active entry, and the bytes it names.
        const std::uint64_t before = active.word_.load(acquire);
        if ((before & 1) == 0 || !name.is(wanted)) return std::nullopt;
        const snapshot copy{offset,   size, elem_size,
                            num_elem, tag,  static_cast<kind>(static_cast<std::uint32_t>(what))};
        // acquire [table:reused]: if any field above was the next entry's, the load below sees
        // that the state has moved. relaxed: ordered by that fence.
        fence(acquire);
        if (active.word_.load(relaxed) != before) return std::nullopt;
        return copy;
    }

private:
    template <std::size_t, std::size_t>
    friend class table_impl;

    // The three below run under the table's lock.
    void fill(std::string_view new_name, std::uint64_t at, const placement& p) noexcept {
        // release [table:reused]: the inactive state of this entry, before any new field.
        fence(release);
        name.set(name_field::encode(new_name));
        offset.set(at);
        size.set(p.size_bytes);
        elem_size.set(p.elem_size);
        num_elem.set(p.num_elem);
        tag.set(p.tag);
        what.set(static_cast<std::uint64_t>(p.what));
    }
    void commit() noexcept {
        // relaxed: only holders of the lock write states. release [table:published].
        active.word_.store(active.word_.load(relaxed) + 1, release);
    }
    void retire() noexcept {
        // relaxed: a reader that still sees the entry is ordered before us; the next fill fences.
        active.word_.store(active.word_.load(relaxed) + 1, relaxed);
    }
};

// This process's view of the table of one segment. Names have at most MaxNameSize - 1 bytes.
// Thread-safe. Crash-safe, see above.
template <std::size_t MaxNameSize, std::size_t MaxEntries>
class table_impl {
    static_assert(MaxNameSize % 8 == 0 && MaxNameSize >= 8 && MaxEntries > 0);

    struct layout {
        owned_lock lock;
        alignas(line_size) table_entry<MaxNameSize> entries[MaxEntries];
    };

public:
    using entry = table_entry<MaxNameSize>;
    using description = typename entry::snapshot;
    static constexpr std::size_t max_name_size = MaxNameSize - 1;
    static constexpr std::size_t max_entries = MaxEntries;

    // Bytes of a table in a segment.
    [[nodiscard]] static constexpr std::size_t size_bytes() noexcept { return sizeof(layout); }
    [[nodiscard]] static constexpr std::uint64_t fingerprint() noexcept {
        return hash_words({sizeof(layout), alignof(layout), sizeof(entry), MaxNameSize, MaxEntries,
                           offsetof(layout, entries)});
    }

    // Makes an empty table of `memory`, which nobody else sees yet; size_bytes(), zeroed.
    static void format(void* memory) noexcept { (new (memory) layout)->lock.format(); }

    // A view of the table at `memory`, which manages [begin, end) of the segment at `base`.
    table_impl(void* memory, void* base, std::uint64_t begin, std::uint64_t end, membership& me)
        : shared_(static_cast<layout*>(memory)),
          base_(static_cast<std::byte*>(base)),
          begin_(begin),
          end_(end),
          me_(&me) {}

    // The entry of that name, or null. The pointer stays valid; the entry it points to is the one
    // found until that is erased. O(MaxEntries), wait-free.
    [[nodiscard]] const entry* find(std::string_view name) const noexcept {
        const auto i = locate(name);
        return i ? &shared_->entries[i->first] : nullptr;
    }

    // A checked copy of that entry: throws corrupt when its range is not inside the data area.
    [[nodiscard]] std::optional<description> describe(std::string_view name) const {
        const auto found = locate(name);
        if (!found) return std::nullopt;
        check_range(name, found->second);
        return found->second;
    }

    // Registers a range of the caller's choice (seed: "Register service"). False when the name is
    // taken or no entry is free. Throws std::invalid_argument for a name that is empty or too
    // long, and for a range outside the data area or overlapping another entry.
    bool add(std::string_view name, std::uint64_t offset, std::uint64_t size_bytes,
             std::uint64_t elem_size = 0, std::uint64_t num_elem = 0) {
        check_name(name);
        const description d{offset, size_bytes, elem_size, num_elem, 0, kind::raw};
        if (size_bytes == 0 || !inside(d)) throw_outside(name, d);
        const guard hold(*this);
        entry* const free = unused();
        if (free == nullptr || locate(name)) return false;
        for (const auto& used : ranges())
            if (offset < used.end && used.begin < offset + size_bytes)
                throw std::invalid_argument("assay: the range given for '" + std::string(name) +
                                            "' overlaps an existing entry");
        free->fill(name, offset, {size_bytes, 1, kind::raw, elem_size, num_elem, 0});
        free->commit();
        return true;
    }

    // Finds room for `size_bytes` and registers it. Null when the name is taken, or when no gap is
    // large enough or no entry free. First fit; O(n log n). The alignment is of the offset in the
    // segment, and so of the address up to a page. Throws std::invalid_argument for a bad name, a
    // size of 0, or an alignment that is not a power of two.
    const entry* allocate(std::string_view name, std::uint64_t size_bytes,
                          std::uint64_t alignment = line_size) {
        check_name(name);
        if (!plausible(size_bytes, alignment)) throw_implausible(name, size_bytes, alignment);
        const guard hold(*this);
        entry* const free = unused();
        const auto at = gap(size_bytes, alignment);
        if (free == nullptr || !at || locate(name)) return nullptr;
        free->fill(name, *at, {size_bytes, alignment});
        free->commit();
        return free;
    }

    // Opens the entry `name`, or creates it as `wanted` and calls format(memory) before anyone can
    // find it. Returns what is there and whether it was created. Throws no_space, and what
    // allocate throws. `wanted` is only read when there is no such entry.
    template <class Format>
    std::pair<description, bool> open_or_create(std::string_view name, const placement& wanted,
                                                Format&& format) {
        if (const auto d = describe(name)) return {*d, false};
        return create(name, wanted, format);
    }

    // The same for a caller who has just seen that there is none: looks only under the lock.
    template <class Format>
    std::pair<description, bool> create(std::string_view name, const placement& wanted,
                                        Format&& format) {
        check_name(name);
        const guard hold(*this);
        if (const auto d = describe(name)) return {*d, false};  // somebody was faster
        if (!plausible(wanted.size_bytes, wanted.alignment))
            throw_implausible(name, wanted.size_bytes, wanted.alignment);
        entry* const free = unused();
        const auto at = gap(wanted.size_bytes, wanted.alignment);
        if (free == nullptr || !at) throw_full(name, wanted.size_bytes, free != nullptr);
        format(static_cast<void*>(base_ + *at));
        free->fill(name, *at, wanted);
        free->commit();
        return {
            {*at, wanted.size_bytes, wanted.elem_size, wanted.num_elem, wanted.tag, wanted.what},
            true};
    }

    // Removes the entry; its space is free at once, so whoever still uses the structure must have
    // stopped. False when there is no such entry.
    bool erase(std::string_view name) {
        const guard hold(*this);
        const auto found = locate(name);
        if (found) shared_->entries[found->first].retire();
        return found.has_value();
    }

    // Removes every entry, one by one.
    void clear() {
        const guard hold(*this);
        for (entry& e : shared_->entries)
            if (e.active) e.retire();
    }

    // Observers: exact when nobody changes the table meanwhile, else a value of about now.
    [[nodiscard]] std::size_t get_entry_count() const noexcept {
        return static_cast<std::size_t>(std::distance(begin(), end()));
    }
    [[nodiscard]] std::size_t get_available_entries() const noexcept {
        return MaxEntries - std::min(MaxEntries, get_entry_count());
    }
    // Bytes of all entries, without the gaps that alignment leaves.
    [[nodiscard]] std::uint64_t get_total_allocated_size() const noexcept {
        std::uint64_t sum = 0;
        for (const entry& e : *this) sum += e.size;
        return sum;
    }
    // Bytes covered by no entry.
    [[nodiscard]] std::uint64_t get_available_size() const noexcept {
        const std::uint64_t used = get_total_allocated_size();
        return used > end_ - begin_ ? 0 : end_ - begin_ - used;
    }
    // Whether an entry of that size would find room now; false for what allocate refuses.
    [[nodiscard]] bool can_allocate(std::uint64_t size_bytes,
                                    std::uint64_t alignment = line_size) const noexcept {
        return plausible(size_bytes, alignment) && get_available_entries() > 0 &&
               gap(size_bytes, alignment).has_value();
    }

    // The active entries, in no particular order. Weakly consistent: an entry that is added or
    // erased meanwhile may or may not be seen.
    class const_iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = entry;
        using difference_type = std::ptrdiff_t;
        using pointer = const entry*;
        using reference = const entry&;

        const_iterator() = default;
        const_iterator(pointer at, pointer end) noexcept : at_(at), end_(end) { skip(); }
        reference operator*() const noexcept { return *at_; }
        pointer operator->() const noexcept { return at_; }
        const_iterator& operator++() noexcept {
            ++at_;
            skip();
            return *this;
        }
        const_iterator operator++(int) noexcept {
            const_iterator old = *this;
            ++*this;
            return old;
        }
        friend bool operator==(const_iterator a, const_iterator b) noexcept {
            return a.at_ == b.at_;
        }

    private:
        void skip() noexcept {
            while (at_ != end_ && !at_->active) ++at_;
        }
        pointer at_ = nullptr;
        pointer end_ = nullptr;
    };

    [[nodiscard]] const_iterator begin() const noexcept {
        return {shared_->entries, shared_->entries + MaxEntries};
    }
    [[nodiscard]] const_iterator end() const noexcept {
        return {shared_->entries + MaxEntries, shared_->entries + MaxEntries};
    }

    // The data area: entries lie in [data_begin, data_end), offsets from the segment's start.
    [[nodiscard]] std::uint64_t data_begin() const noexcept { return begin_; }
    [[nodiscard]] std::uint64_t data_end() const noexcept { return end_; }

    // Throws std::invalid_argument, naming the limit: a name is never cut.
    static void check_name(std::string_view name) {
        if (!is_name(name))
            // The name comes last: a zero byte in it ends the text of what().
            throw std::invalid_argument(
                "assay: a name of an entry has 1 to " + std::to_string(max_name_size) +
                " bytes, none of them zero; given were " + std::to_string(name.size()) + ": '" +
                std::string(name) + "'");
    }

private:
    // Entries store names padded with zero bytes: one in the middle would be cut there.
    [[nodiscard]] static bool is_name(std::string_view text) noexcept {
        return !text.empty() && text.size() <= max_name_size &&
               text.find('\0') == std::string_view::npos;
    }

    struct range {
        std::uint64_t begin, end;
    };

    class guard {
    public:
        explicit guard(table_impl& t) : lock_(t.shared_->lock) { lock_.lock(*t.me_); }
        ~guard() { lock_.unlock(); }
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;

    private:
        owned_lock& lock_;
    };

    // One pass is linearizable: a name present throughout stands in one entry, with one state, so
    // it is found; if it moved, there was a moment between in which it was absent.
    [[nodiscard]] std::optional<std::pair<std::size_t, description>> locate(
        std::string_view name) const noexcept {
        if (!is_name(name)) return std::nullopt;
        const auto wanted = entry::name_words(name);
        for (std::size_t i = 0; i < MaxEntries; ++i)
            if (const auto d = shared_->entries[i].read_if(wanted)) return std::pair{i, *d};
        return std::nullopt;
    }

    [[nodiscard]] entry* unused() noexcept {
        for (entry& e : shared_->entries)
            if (!e.active) return &e;
        return nullptr;
    }

    // Ranges of the active entries by position, followed by nothing of interest. An entry that a
    // hostile process filled with nonsense is clipped to the data area.
    struct range_list {
        std::array<range, MaxEntries> items;
        std::size_t count = 0;
        [[nodiscard]] const range* begin() const noexcept { return items.data(); }
        [[nodiscard]] const range* end() const noexcept { return items.data() + count; }
    };
    [[nodiscard]] range_list ranges() const noexcept {
        range_list list;
        for (const entry& e : *this) {
            const std::uint64_t from = std::clamp<std::uint64_t>(e.offset, begin_, end_);
            const std::uint64_t length = std::min<std::uint64_t>(e.size, end_ - from);
            if (list.count < MaxEntries) list.items[list.count++] = {from, from + length};
        }
        std::sort(list.items.begin(), list.items.begin() + static_cast<std::ptrdiff_t>(list.count),
                  [](const range& a, const range& b) { return a.begin < b.begin; });
        return list;
    }

    // The lowest offset at which the bytes fit between the active entries.
    [[nodiscard]] std::optional<std::uint64_t> gap(std::uint64_t size_bytes,
                                                   std::uint64_t alignment) const noexcept {
        if (size_bytes > end_ - begin_) return std::nullopt;
        std::uint64_t at = align_up(begin_, alignment);
        for (const range& used : ranges()) {
            if (at <= used.begin && size_bytes <= used.begin - at) return at;
            at = std::max(at, align_up(used.end, alignment));
        }
        if (at <= end_ && size_bytes <= end_ - at) return at;
        return std::nullopt;
    }

    // Without this, align_up would place an entry of alignment 0 over the segment's header.
    [[nodiscard]] static bool plausible(std::uint64_t size_bytes,
                                        std::uint64_t alignment) noexcept {
        return size_bytes != 0 && std::has_single_bit(alignment) &&
               alignment <= max_structure_bytes;
    }

    [[nodiscard]] bool inside(const description& d) const noexcept {
        return d.offset >= begin_ && d.offset <= end_ && d.size <= end_ - d.offset;
    }
    void check_range(std::string_view name, const description& d) const {
        if (!inside(d))
            throw corrupt("assay: entry '" + std::string(name) + "' claims bytes " +
                          std::to_string(d.offset) + " + " + std::to_string(d.size) +
                          ", outside the data area " + std::to_string(begin_) + " to " +
                          std::to_string(end_) + "; a broken process has written to this segment");
    }
    [[noreturn]] static void throw_implausible(std::string_view name, std::uint64_t size_bytes,
                                               std::uint64_t alignment) {
        throw std::invalid_argument("assay: entry '" + std::string(name) + "' of " +
                                    std::to_string(size_bytes) + " bytes aligned to " +
                                    std::to_string(alignment) +
                                    ": it needs at least one byte, and a power of two");
    }
    [[noreturn]] void throw_outside(std::string_view name, const description& d) const {
        throw std::invalid_argument("assay: entry '" + std::string(name) + "' of " +
                                    std::to_string(d.size) + " bytes at " +
                                    std::to_string(d.offset) + " is not inside the data area " +
                                    std::to_string(begin_) + " to " + std::to_string(end_));
    }
    [[noreturn]] void throw_full(std::string_view name, std::uint64_t wanted,
                                 bool entry_left) const {
        if (!entry_left)
            throw no_space("assay: no entry left for '" + std::string(name) + "': the table has " +
                           std::to_string(MaxEntries) +
                           "; erase some, or create the segment with a larger table");
        throw no_space("assay: '" + std::string(name) + "' needs " + std::to_string(wanted) +
                       " bytes in one piece; free in all are " +
                       std::to_string(get_available_size()) +
                       "; erase some entries, or create a larger segment");
    }

    layout* shared_;
    std::byte* base_;
    std::uint64_t begin_;
    std::uint64_t end_;
    membership* me_;
};

using table = table_impl<32, 64>;
using table_small = table_impl<16, 16>;
using table_large = table_impl<64, 256>;
using table_huge = table_impl<256, 1024>;

}  // namespace assay::inline ASSAY_ABI
