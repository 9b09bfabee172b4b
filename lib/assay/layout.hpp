// layout.hpp -- what the bytes in a segment have in common: line size, alignment, kinds of
// structure, which element types may live there, and how their identity is compared.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <string_view>
#include <type_traits>

#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// Contended words sit on lines of their own. Part of the layout, so a constant of ours: the
// compiler's std::hardware_destructive_interference_size changes with its flags.
inline constexpr std::size_t line_size = 64;

// Raised with every change of the bytes in a segment; attach refuses any other number.
inline constexpr std::uint32_t layout_version = 2;

// What a table entry holds. The numbers are part of the layout.
enum class kind : std::uint32_t {
    raw = 0,  // added by table::add: bytes that only the user understands
    array = 1,
    atomic = 2,
    queue = 3,
    object_pool = 4,
    ring_buffer = 5,
    mrsw_array = 6,
    large_map = 7,
};

[[nodiscard]] constexpr std::string_view to_string(kind k) noexcept {
    constexpr std::string_view names[] = {"raw",         "array",       "atomic",     "queue",
                                          "object_pool", "ring_buffer", "mrsw_array", "large_map"};
    const auto i = static_cast<std::uint32_t>(k);
    return i < std::size(names) ? names[i] : "unknown";
}

// What may live in shared memory: plain bytes that mean the same in every process. Pointers, and
// views that contain one, do not; neither does anything with a constructor that must run.
template <class T>
concept shareable = std::is_object_v<T> && std::is_trivially_copyable_v<T> &&
                    std::is_trivially_destructible_v<T> && !std::is_pointer_v<T> &&
                    !std::is_member_pointer_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T> &&
                    !std::ranges::enable_borrowed_range<T>;

// FNV-1a (Fowler, Noll, Vo, 1991): the same in every build, unlike std::hash.
inline constexpr std::uint64_t hash_seed = 0xcbf29ce484222325;

[[nodiscard]] constexpr std::uint64_t hash_bytes(std::string_view bytes,
                                                 std::uint64_t h = hash_seed) noexcept {
    for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return h;
}

[[nodiscard]] constexpr std::uint64_t hash_words(
    std::initializer_list<std::uint64_t> words) noexcept {
    std::uint64_t h = hash_seed;
    for (std::uint64_t w : words)
        for (int byte = 0; byte < 8; ++byte, w >>= 8) h = (h ^ (w & 0xff)) * 0x100000001b3;
    return h;
}

// The identity of an element type, compared when a structure is opened. By default it tells apart
// size, alignment and category (integer, signed, floating, enumeration, class), which every
// compiler agrees on; names do not, so two classes of one shape are equal unless they say
// otherwise: give the class `static constexpr std::string_view shm_type_name`, or specialise this.
// A number counts as aligned to its size: i386 aligns 8 bytes to 4, but an array of them is the same.
template <shareable T>
inline constexpr std::uint64_t type_tag = [] {
    if constexpr (requires { std::string_view(T::shm_type_name); }) {
        return hash_bytes(T::shm_type_name, hash_words({sizeof(T), alignof(T)}));
    } else {
        const std::size_t alignment = std::is_scalar_v<T> ? sizeof(T) : alignof(T);
        return hash_words({sizeof(T), alignment, std::is_integral_v<T>, std::is_signed_v<T>,
                           std::is_floating_point_v<T>, std::is_enum_v<T>, std::is_class_v<T>,
                           std::is_same_v<T, bool>});
    }
}();

// Arithmetic on sizes that came from a caller or from a segment: nothing, instead of a wrap.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a,
                                                                 std::uint64_t b) noexcept {
    if (b > std::numeric_limits<std::uint64_t>::max() - a) return std::nullopt;
    return a + b;
}
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_mul(std::uint64_t a,
                                                                 std::uint64_t b) noexcept {
    if (a != 0 && b > std::numeric_limits<std::uint64_t>::max() / a) return std::nullopt;
    return a * b;
}

// `alignment` is a power of two; the caller has made sure that the sum does not wrap.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t n, std::uint64_t alignment) noexcept {
    return (n + alignment - 1) & ~(alignment - 1);
}

// No structure is larger than this, so that sums of a few such sizes cannot wrap.
inline constexpr std::uint64_t max_structure_bytes = std::uint64_t{1} << 48;

}  // namespace assay::inline ASSAY_ABI
