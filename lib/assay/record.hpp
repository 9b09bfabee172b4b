// record.hpp -- payload as relaxed words: bytes that one process may copy while another overwrites
// them, without a data race by the rules of the language. Whether the copy is whole is for the
// caller to find out, with fences around it.
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

namespace detail {
inline constexpr std::size_t copy_words = 32;  // how many are on the stack at a time
}

// Copies bytes [offset, offset + n) of `from` to `to`.
inline void load_bytes(const word<std::uint64_t>* from, std::uint64_t offset, void* to,
                       std::size_t n) noexcept {
    std::uint64_t buffer[detail::copy_words];
    auto* out = static_cast<std::byte*>(to);
    std::size_t skip = static_cast<std::size_t>(offset % word_bytes);
    for (from += offset / word_bytes; n > 0; skip = 0) {
        const std::size_t words = static_cast<std::size_t>(
            std::min<std::uint64_t>(words_for(skip + n), detail::copy_words));
        const std::size_t bytes = std::min(words * word_bytes - skip, n);
        load_words(from, buffer, words);
        std::memcpy(out, reinterpret_cast<const std::byte*>(buffer) + skip, bytes);
        from += words, out += bytes, n -= bytes;
    }
}

// Copies n bytes of `from` over bytes [offset, offset + n) of `to`. The words at both ends are read
// and written back when only a part of them is meant: the caller is the only writer.
inline void store_bytes(word<std::uint64_t>* to, std::uint64_t offset, const void* from,
                        std::size_t n) noexcept {
    std::uint64_t buffer[detail::copy_words];
    const auto* in = static_cast<const std::byte*>(from);
    std::size_t skip = static_cast<std::size_t>(offset % word_bytes);
    for (to += offset / word_bytes; n > 0; skip = 0) {
        const std::size_t words = static_cast<std::size_t>(
            std::min<std::uint64_t>(words_for(skip + n), detail::copy_words));
        const std::size_t bytes = std::min(words * word_bytes - skip, n);
        // relaxed: what the only writer wrote itself, or learnt of when it took over.
        if (skip != 0) buffer[0] = to[0].load(relaxed);
        // relaxed: the same
        if ((skip + bytes) % word_bytes != 0) buffer[words - 1] = to[words - 1].load(relaxed);
        std::memcpy(reinterpret_cast<std::byte*>(buffer) + skip, in, bytes);
        store_words(to, buffer, words);
        to += words, in += bytes, n -= bytes;
    }
}

// The same for records of N bytes in words of their own: what is small goes without a loop. Of a last
// word that the record fills in part, store_record leaves the storing to the caller.
template <std::size_t N>
void load_record(const word<std::uint64_t>* from, void* to) noexcept {
    if constexpr (words_for(N) <= detail::copy_words) {
        std::uint64_t buffer[words_for(N)];
        load_words(from, buffer, words_for(N));
        std::memcpy(to, buffer, N);
    } else {
        load_bytes(from, 0, to, N);
    }
}
template <std::size_t N>
void store_record(word<std::uint64_t>* to, const void* from) noexcept {
    constexpr std::size_t words = N / word_bytes;
    if constexpr (words != 0 && words <= detail::copy_words) {
        std::uint64_t buffer[words];
        std::memcpy(buffer, from, sizeof buffer);
        store_words(to, buffer, words);
    } else {
        store_bytes(to, 0, from, words * word_bytes);
    }
}

}  // namespace assay::inline ASSAY_ABI
