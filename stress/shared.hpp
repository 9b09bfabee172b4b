// shared.hpp -- memory that the processes of a campaign share.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <type_traits>

namespace assay_stress {

// Zeroed memory that the processes forked from here on share; for a check's own books.
template <class T>
T* share(std::size_t n = 1) {
    static_assert(std::is_trivially_destructible_v<T>);
    // Not reserved: of what a campaign might need, it mostly touches little.
    void* at = ::mmap(nullptr, n * sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    return static_cast<T*>(at);
}

// Such memory, for as long as this object lives in the process that made it.
template <class T>
class shared {
public:
    explicit shared(std::size_t n = 1) : at_(share<T>(n)), n_(n) {}
    ~shared() { ::munmap(at_, n_ * sizeof(T)); }
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    [[nodiscard]] T& operator[](std::size_t i) const { return at_[i]; }
    [[nodiscard]] T* operator->() const { return at_; }
    [[nodiscard]] T& operator*() const { return *at_; }
    [[nodiscard]] std::size_t size() const { return n_; }

private:
    T* at_;
    std::size_t n_;
};

}  // namespace assay_stress
