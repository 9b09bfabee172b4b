// record.hpp -- payload as relaxed words: bytes that one process may copy while another overwrites
// them (what that is to the language, load_words in sync.hpp says). Whether the copy is whole is for
// the caller to find out, with fences around it.
//
// State:      none of its own; an array of words of 64 bits, taken as a sequence of bytes.
// Invariant:  no access leaves the words that contain the bytes asked for.
// Progress:   wait-free.
// Crash:      a death in the middle of a store leaves any of the words old and any new.
// Synchronisation: none here: every access is relaxed, and ordering is the caller's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

inline constexpr std::size_t word_bytes = sizeof(std::uint64_t);

[[nodiscard]] constexpr std::uint64_t words_for(std::uint64_t bytes) noexcept {
    return (bytes + word_bytes - 1) / word_bytes;
}

// Bytes [skip, skip + n) of one word.
inline void load_part(const word<std::uint64_t>& from, std::size_t skip, std::byte* to,
                      std::size_t n) noexcept {
    const std::uint64_t w = from.load(relaxed);  // relaxed: see above
    std::memcpy(to, reinterpret_cast<const std::byte*>(&w) + skip, n);
}
// The others keep their values: the caller is the only writer.
inline void store_part(word<std::uint64_t>& to, std::size_t skip, const std::byte* from,
                       std::size_t n) noexcept {
    // relaxed: what the only writer wrote itself, or learnt of when it took over.
    std::uint64_t w = to.load(relaxed);
    std::memcpy(reinterpret_cast<std::byte*>(&w) + skip, from, n);
    to.store(w, relaxed);  // relaxed: see above
}

// Copies bytes [offset, offset + n) of `from` to `to`.
inline void load_bytes(const word<std::uint64_t>* from, std::uint64_t offset, void* to,
                       std::size_t n) noexcept {
    auto* out = static_cast<std::byte*>(to);
    from += offset / word_bytes;
    if (const auto skip = static_cast<std::size_t>(offset % word_bytes); skip != 0 && n != 0) {
        const std::size_t part = std::min(word_bytes - skip, n);
        load_part(*from++, skip, out, part);
        out += part, n -= part;
    }
    const std::size_t whole = n / word_bytes;
    load_words(from, out, whole);
    if (n % word_bytes != 0) load_part(from[whole], 0, out + whole * word_bytes, n % word_bytes);
}

// Copies n bytes of `from` over bytes [offset, offset + n) of `to`.
inline void store_bytes(word<std::uint64_t>* to, std::uint64_t offset, const void* from,
                        std::size_t n) noexcept {
    const auto* in = static_cast<const std::byte*>(from);
    to += offset / word_bytes;
    if (const auto skip = static_cast<std::size_t>(offset % word_bytes); skip != 0 && n != 0) {
        const std::size_t part = std::min(word_bytes - skip, n);
        store_part(*to++, skip, in, part);
        in += part, n -= part;
    }
    const std::size_t whole = n / word_bytes;
    store_words(to, in, whole);
    if (n % word_bytes != 0) store_part(to[whole], 0, in + whole * word_bytes, n % word_bytes);
}

// The same for a record of N bytes in words of its own: nobody else has a part of the last one.
// Inline, so that nothing is left of small ones but their moves.
template <std::size_t N>
[[gnu::always_inline]] inline void load_record(const word<std::uint64_t>* from, void* to) noexcept {
    constexpr std::size_t whole = N / word_bytes, rest = N % word_bytes;
    load_words(from, to, whole);
    if constexpr (rest != 0)
        load_part(from[whole], 0, static_cast<std::byte*>(to) + whole * word_bytes, rest);
}
template <std::size_t N>
[[gnu::always_inline]] inline void store_record(word<std::uint64_t>* to,
                                                const void* from) noexcept {
    constexpr std::size_t whole = N / word_bytes, rest = N % word_bytes;
    store_words(to, from, whole);
    if constexpr (rest != 0) {
        std::uint64_t last = 0;
        std::memcpy(&last, static_cast<const std::byte*>(from) + whole * word_bytes, rest);
        to[whole].store(last, relaxed);  // relaxed: see above
    }
}

}  // namespace assay::inline ASSAY_ABI
