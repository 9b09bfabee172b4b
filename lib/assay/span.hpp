// span.hpp -- a bounds-checked view of elements in a segment.
//
// State:      an address of this process and a length, both private to the process.
// Invariant:  length elements of T lie inside the segment; checked when the view is made.
// Progress:   wait-free: every operation is plain address arithmetic.
// Crash:      a view writes nothing of its own; a death leaves it without effect.
// Synchronisation: none. Ordering accesses to elements is the caller's.
#pragma once

#include <cstddef>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>

#include "layout.hpp"

namespace assay::inline ASSAY_ABI {

// Like std::span, plus `at`. Iterators are raw pointers: contiguous, valid while the segment is
// mapped, and as fast as those of a heap array.
template <class T>
requires shareable<std::remove_const_t<T>>
class span {
public:
    using element_type = T;
    using value_type = std::remove_const_t<T>;
    using size_type = std::size_t;
    using iterator = T*;
    using reverse_iterator = std::reverse_iterator<T*>;

    constexpr span() noexcept = default;
    constexpr span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
    // A view of mutable elements is also a view of constant ones.
    constexpr span(const span<value_type>& other) noexcept requires std::is_const_v<T>
        : data_(other.data()), size_(other.size()) {}

    [[nodiscard]] constexpr T& operator[](std::size_t i) const noexcept { return data_[i]; }

    // Throws std::out_of_range, naming index and size.
    [[nodiscard]] constexpr T& at(std::size_t i) const {
        if (i >= size_)
            throw std::out_of_range("assay: index " + std::to_string(i) + " in a span of " +
                                    std::to_string(size_) + " elements");
        return data_[i];
    }

    [[nodiscard]] constexpr T& front() const noexcept { return data_[0]; }
    [[nodiscard]] constexpr T& back() const noexcept { return data_[size_ - 1]; }
    [[nodiscard]] constexpr T* data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }

    [[nodiscard]] constexpr iterator begin() const noexcept { return data_; }
    [[nodiscard]] constexpr iterator end() const noexcept { return data_ + size_; }
    [[nodiscard]] constexpr reverse_iterator rbegin() const noexcept {
        return reverse_iterator(end());
    }
    [[nodiscard]] constexpr reverse_iterator rend() const noexcept {
        return reverse_iterator(begin());
    }

    // Elements [offset, offset + count); throws std::out_of_range when they are not all there.
    [[nodiscard]] constexpr span subspan(std::size_t offset, std::size_t count) const {
        if (offset > size_ || count > size_ - offset)
            throw std::out_of_range("assay: elements " + std::to_string(offset) + " to " +
                                    std::to_string(offset) + "+" + std::to_string(count) +
                                    " of a span of " + std::to_string(size_));
        return span(data_ + offset, count);
    }

    constexpr operator std::span<T>() const noexcept { return {data_, size_}; }

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace assay::inline ASSAY_ABI
