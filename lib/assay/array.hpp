// array.hpp -- a named array of fixed length: what a heap array is, for several processes.
//
// State:      `count` elements, adjacent, from the first byte on. Nothing else.
// Invariant:  the handle's address and length never change while it lives.
// Progress:   wait-free: every operation is plain address arithmetic.
// Crash:      a death leaves the elements as they are; one that was being assigned may be half old.
// Synchronisation: none. Ordering accesses to elements is the caller's, as with a heap array; for
//             consistent reads beside a writer there is mrsw_array.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>

#include "layout.hpp"
#include "span.hpp"
#include "structure.hpp"

namespace assay::inline ASSAY_ABI {

// The elements of an array that is created start value-initialised (zero, unless T says otherwise).
// Iterators are raw pointers, valid while a handle to the array or its segment lives.
template <shareable T>
class array : public structure<array<T>, T> {
    using base = structure<array<T>, T>;

public:
    using size_type = std::size_t;
    using reference = T&;
    using const_reference = const T&;
    using iterator = T*;
    using const_iterator = const T*;
    using reverse_iterator = std::reverse_iterator<iterator>;
    using const_reverse_iterator = std::reverse_iterator<const_iterator>;

    static constexpr kind structure_kind = kind::array;

    // Creates or opens `name` in the segment; without a count it only opens. Throws what structure
    // throws.
    template <class Segment>
    array(Segment& segment, std::string_view name, std::uint64_t count = 0)
        : base(segment, name, count) {}

    // On memory that was formatted for `count` elements, aligned for T.
    array(void* memory, std::uint64_t count, membership& me) : base(memory, count, me) {}

    [[nodiscard]] static std::uint64_t size_bytes(std::uint64_t count) {
        const auto bytes = checked_mul(count, sizeof(T));
        if (count == 0 || !bytes || *bytes > max_structure_bytes)
            throw std::invalid_argument("assay: an array cannot have " + std::to_string(count) +
                                        " elements of " + std::to_string(sizeof(T)) + " bytes");
        return *bytes;
    }

    static void format(void* memory, std::uint64_t count) {
        if constexpr (std::default_initializable<T>)
            std::uninitialized_value_construct_n(static_cast<T*>(memory), count);
        else
            std::memset(memory, 0, count * sizeof(T));
    }

    // Undefined when i >= size(), as in a heap array; `at` checks.
    [[nodiscard]] T& operator[](size_type i) noexcept { return data()[i]; }
    [[nodiscard]] const T& operator[](size_type i) const noexcept { return data()[i]; }

    // Throws std::out_of_range, naming index and size.
    [[nodiscard]] T& at(size_type i) { return as_span().at(i); }
    [[nodiscard]] const T& at(size_type i) const { return as_span().at(i); }

    [[nodiscard]] T& front() noexcept { return data()[0]; }
    [[nodiscard]] const T& front() const noexcept { return data()[0]; }
    [[nodiscard]] T& back() noexcept { return data()[size() - 1]; }
    [[nodiscard]] const T& back() const noexcept { return data()[size() - 1]; }
    [[nodiscard]] T* data() noexcept { return reinterpret_cast<T*>(this->memory()); }
    [[nodiscard]] const T* data() const noexcept {
        return reinterpret_cast<const T*>(this->memory());
    }

    [[nodiscard]] iterator begin() noexcept { return data(); }
    [[nodiscard]] iterator end() noexcept { return data() + size(); }
    [[nodiscard]] const_iterator begin() const noexcept { return data(); }
    [[nodiscard]] const_iterator end() const noexcept { return data() + size(); }
    [[nodiscard]] const_iterator cbegin() const noexcept { return begin(); }
    [[nodiscard]] const_iterator cend() const noexcept { return end(); }
    [[nodiscard]] reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
    [[nodiscard]] reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
    [[nodiscard]] const_reverse_iterator rbegin() const noexcept {
        return const_reverse_iterator(end());
    }
    [[nodiscard]] const_reverse_iterator rend() const noexcept {
        return const_reverse_iterator(begin());
    }

    // At least 1.
    [[nodiscard]] size_type size() const noexcept { return this->count(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    void fill(const T& value) noexcept { std::fill(begin(), end(), value); }

    // Views; they do not keep the segment mapped.
    [[nodiscard]] span<T> as_span() noexcept { return {data(), size()}; }
    [[nodiscard]] span<const T> as_span() const noexcept { return {data(), size()}; }
};

}  // namespace assay::inline ASSAY_ABI
