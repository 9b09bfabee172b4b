// mrsw_array.hpp -- an array of one writer and many readers, who see it as of one version.
//
// State:      two buffers of `count` elements, and two versions: `begun` and `published`. The
//             elements as of version v are in buffer v % 2.
// Invariant:  begun is published (nobody writes) or published + 1 (a writer is at work, or died at
//             it, in the other buffer). The buffer of the published version is not written to.
// Progress:   the writer is wait-free; so are try_snapshot() and version(). read() and snapshot()
//             start again when the writer published one version and began another since they began.
//             A writer that stopped or died, wherever, disturbs no reader.
// Crash:      the writer's death loses the update that it had not published. `begun` shows it; the
//             next update, or recover(), starts from the published version.
//
// Synchronisation:
//   [mrsw:published]  store of published -> load   the elements as of that version
//   [mrsw:begun]      begun and the fence after it -> fence after a copy, and load of begun
//                     whoever copied a word of version v + 2 sees that it was begun, and whoever
//                     sees that it was begun also sees that v + 1 was published
//   One writer at a time is the caller's to ensure. The role moves to another process, thread or
//   handle through anything that makes the old one's last operation happen before the new one's
//   first: a lock, a message, waitpid(); after a kill, the kernel's word that the process is dead.
//   (Two buffers and a version: Peterson, "Concurrent reading while writing", TOPLAS 1983; copies
//   that race and are checked afterwards: Boehm, "Can seqlocks get along with programming language
//   memory models?", MSPC 2012.)
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "error.hpp"
#include "layout.hpp"
#include "record.hpp"
#include "structure.hpp"
#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// Element i never changes alone: every update makes a new version of the whole. Costs the writer a
// copy of what the update before it changed (of everything, when a handle writes for the first time).
// The writing operations of one handle are for one thread; the const operations for any.
template <shareable T>
class mrsw_array : public structure<mrsw_array<T>, T> {
    using base = structure<mrsw_array<T>, T>;

public:
    static constexpr kind structure_kind = kind::mrsw_array;

    // Creates or opens `name` in the segment; without a count it only opens. Throws what structure
    // throws.
    template <class Segment>
    mrsw_array(Segment& segment, std::string_view name, std::uint64_t count = 0)
        : base(segment, name, count) {}

    // On memory that was formatted for `count` elements, aligned to a line.
    mrsw_array(void* memory, std::uint64_t count, membership& me) : base(memory, count, me) {}

    [[nodiscard]] static std::uint64_t size_bytes(std::uint64_t count) {
        const auto bytes = checked_mul(count, sizeof(T));
        if (count == 0 || !bytes || *bytes > max_structure_bytes / 2)
            throw std::invalid_argument("assay: an mrsw_array cannot have " +
                                        std::to_string(count) + " elements of " +
                                        std::to_string(sizeof(T)) + " bytes");
        return sizeof(header) + 2 * align_up(*bytes, line_size);
    }

    // All elements are zero bytes. `start` is the first version, for tests of versions that wrap.
    static void format(void* memory, std::uint64_t count, std::uint64_t start = 0) noexcept {
        auto& h = *static_cast<header*>(memory);
        // relaxed: not published yet; the store that publishes the memory around it orders this.
        h.begun.store(start, relaxed);
        h.published.store(start, relaxed);
        auto* words = reinterpret_cast<word<std::uint64_t>*>(&h + 1);
        const std::uint64_t n = 2 * align_up(count * sizeof(T), line_size) / word_bytes;
        for (std::uint64_t i = 0; i < n; ++i) words[i].store(0, relaxed);  // relaxed: as above
    }

    // --- readers ---

    // Element i as of the newest version. Throws std::out_of_range, and corrupt when the versions
    // contradict each other.
    [[nodiscard]] T read(std::uint64_t i) const {
        std::array<std::byte, sizeof(T)> bytes;
        static_cast<void>(copy_newest(i, bytes.data(), 1));
        return std::bit_cast<T>(bytes);
    }

    // Copies elements [first, first + out.size()) as of one version, the newest; returns it. Throws
    // as read() does.
    std::uint64_t snapshot(std::span<T> out, std::uint64_t first = 0) const {
        return copy_newest(first, reinterpret_cast<std::byte*>(out.data()), out.size());
    }

    // The same, at the first attempt or not at all. Throws std::out_of_range.
    [[nodiscard]] std::optional<std::uint64_t> try_snapshot(std::span<T> out,
                                                            std::uint64_t first = 0) const {
        check(first, out.size());
        // acquire [mrsw:published]: the elements as of this version.
        const std::uint64_t version = head().published.load(acquire);
        auto* to = reinterpret_cast<std::byte*>(out.data());
        if (!copied_whole(version, first, to, out.size())) return std::nullopt;
        return version;
    }

    // The newest version: the number of updates since the array was made. As with a snapshot, what
    // the writer did before it is visible.
    [[nodiscard]] std::uint64_t version() const noexcept {
        // acquire [mrsw:published]: what the writer did before.
        return head().published.load(acquire);
    }

    [[nodiscard]] std::uint64_t size() const noexcept { return this->count(); }

    // --- the writer ---

    // An update in the making: set() what changes. get() sees what was set so far. Both throw
    // std::out_of_range, which abandons the update unless it is caught.
    class editor {
    public:
        void set(std::uint64_t i, const T& value) { set(i, std::span<const T>(&value, 1)); }
        void set(std::uint64_t first, std::span<const T> values) {
            all_->check(first, values.size());
            all_->store(first, values);
        }
        [[nodiscard]] T get(std::uint64_t i) const {
            all_->check(i, 1);
            std::array<std::byte, sizeof(T)> bytes;
            load_bytes(all_->buffer(all_->next_), i * sizeof(T), bytes.data(), sizeof(T));
            return std::bit_cast<T>(bytes);
        }

    private:
        friend class mrsw_array;
        explicit editor(mrsw_array& all) noexcept : all_(&all) {}
        mrsw_array* all_;
    };

    // Calls f(editor&) and publishes what it set, all at once; returns the new version. When f
    // throws, nothing is published and the exception passes through.
    template <class F>
    std::uint64_t update(F&& f) {
        begin();
        editor e(*this);
        f(e);
        return publish();
    }
    // Throws std::out_of_range.
    std::uint64_t write(std::uint64_t i, const T& value) {
        return write(i, std::span<const T>(&value, 1));
    }
    // The adjacent elements from `first` on, all at once. Throws std::out_of_range.
    std::uint64_t write(std::uint64_t first, std::span<const T> values) {
        check(first, values.size());
        begin();
        store(first, values);
        return publish();
    }

    // Whether an update was begun and not published: by a living writer a moment ago, or by one
    // that died or threw.
    [[nodiscard]] bool interrupted() const noexcept {
        // relaxed, both: exact for who comes after the writer; for others an answer of about now.
        const std::uint64_t version = head().published.load(relaxed);
        return head().begun.load(relaxed) != version;
    }
    // For the next writer: ends an interrupted update as one that changes nothing (its version
    // number stays used, because slow readers may still rely on it). Whether there was one.
    bool recover() noexcept {
        const bool needed = interrupted();
        if (needed) {
            begin();
            static_cast<void>(publish());
        }
        return needed;
    }

private:
    struct header {
        alignas(line_size) word<std::uint64_t> begun;
        word<std::uint64_t> published;
    };

    [[nodiscard]] header& head() const noexcept {
        return *reinterpret_cast<header*>(this->memory());
    }
    [[nodiscard]] word<std::uint64_t>* buffer(std::uint64_t version) const noexcept {
        const std::uint64_t bytes = align_up(size() * sizeof(T), line_size);
        return reinterpret_cast<word<std::uint64_t>*>(this->memory() + sizeof(header) +
                                                      (version % 2) * bytes);
    }

    void check(std::uint64_t first, std::uint64_t n) const {
        if (first > size() || n > size() - first)
            throw std::out_of_range("assay: elements " + std::to_string(first) + " to " +
                                    std::to_string(first) + "+" + std::to_string(n) +
                                    " of an mrsw_array of " + std::to_string(size()));
    }

    // Whether the copy was made before the writer began the version after the next one, which
    // takes the place of this one.
    [[nodiscard]] bool copied_whole(std::uint64_t version, std::uint64_t first, std::byte* out,
                                    std::uint64_t n) const noexcept {
        load_bytes(buffer(version), first * sizeof(T), out,
                   static_cast<std::size_t>(n) * sizeof(T));
        // acquire [mrsw:begun]: of each version of which we copied a word, that it was begun.
        fence(acquire);
        // acquire [mrsw:begun]: if we must try again, there is a newer version to be seen.
        return head().begun.load(acquire) - version <= 1;
    }

    std::uint64_t copy_newest(std::uint64_t first, std::byte* out, std::uint64_t n) const {
        check(first, n);
        // acquire [mrsw:published]: the elements as of this version.
        for (std::uint64_t version = head().published.load(acquire);;) {
            if (copied_whole(version, first, out, n)) return version;
            // acquire [mrsw:published]: the elements as of this version.
            const std::uint64_t newer = head().published.load(acquire);
            if (newer == version)
                throw corrupt("assay: mrsw_array '" + this->name() + "' published version " +
                              std::to_string(version) +
                              " only, yet a version beyond the next one was begun; a broken "
                              "process has written to it");
            version = newer;
        }
    }

    static constexpr std::uint64_t copy_words = 32;  // how many are on the stack at a time

    // Announces the next version and makes its buffer equal to the published one.
    void begin() noexcept {
        auto& h = head();
        // relaxed, both: only the writer changes them, and a new writer comes after the old one.
        const std::uint64_t version = h.published.load(relaxed);
        const bool known = ours_ && next_ == version && h.begun.load(relaxed) == version;
        ours_ = false;
        next_ = version + 1;
        // release [mrsw:begun]: that `version` was published, to who sees that the next one is begun.
        h.begun.store(next_, release);
        // release [mrsw:begun]: that it is begun, to who copies a word that we store below.
        fence(release);
        const std::uint64_t to = known ? changed_to_ : words_for(size() * sizeof(T));
        std::uint64_t buffer_words[copy_words];
        for (std::uint64_t at = known ? changed_from_ : 0; at < to;) {
            const auto n = static_cast<std::size_t>(std::min(to - at, copy_words));
            load_words(buffer(version) + at, buffer_words, n);
            store_words(buffer(next_) + at, buffer_words, n);
            at += n;
        }
        changed_from_ = words_for(size() * sizeof(T));
        changed_to_ = 0;
    }

    void store(std::uint64_t first, std::span<const T> values) noexcept {
        if (values.empty()) return;
        const std::uint64_t from = first * sizeof(T);
        store_bytes(buffer(next_), from, values.data(), values.size_bytes());
        changed_from_ = std::min(changed_from_, from / word_bytes);
        changed_to_ = std::max(changed_to_, words_for(from + values.size_bytes()));
    }

    std::uint64_t publish() noexcept {
        ours_ = true;
        // release [mrsw:published]: the elements as of this version.
        head().published.store(next_, release);
        return next_;
    }

    // The writer's: the version that it made last or is making; whether it was finished; and the
    // words in which the two buffers differ then.
    std::uint64_t next_ = 0;
    bool ours_ = false;
    std::uint64_t changed_from_ = 0;
    std::uint64_t changed_to_ = 0;
};

}  // namespace assay::inline ASSAY_ABI
