#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace assay::checker {

namespace {

// In front of each block. `owner` is the process, or nobody; owned blocks are in a list.
struct alignas(std::max_align_t) header {
    header* previous;
    header* next;
    std::size_t bytes;
    int owner;
    std::size_t lead;  // from the start of the memory to the block
};

thread_local header* owned = nullptr;

void link(header* h) noexcept {
    h->previous = nullptr;
    h->next = owned;
    if (owned != nullptr) owned->previous = h;
    owned = h;
}

void unlink(header* h) noexcept {
    if (h->previous != nullptr) h->previous->next = h->next;
    if (h->next != nullptr) h->next->previous = h->previous;
    if (owned == h) owned = h->next;
}

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t lead = alignment <= alignof(header)
                                 ? sizeof(header)
                                 : (sizeof(header) + alignment - 1) / alignment * alignment;
    void* const memory =
        alignment <= alignof(header)
            ? std::malloc(lead + bytes)
            : std::aligned_alloc(alignment, (lead + bytes + alignment - 1) / alignment * alignment);
    if (memory == nullptr) return nullptr;
    auto* const block = static_cast<std::byte*>(memory) + lead;
    auto* const h = reinterpret_cast<header*>(block) - 1;
    h->bytes = bytes;
    h->owner = allocating_process;
    h->lead = lead;
    if (h->owner != nobody_allocates) link(h);
    return block;
}

void release(void* block) noexcept {
    if (block == nullptr) return;
    header* const h = static_cast<header*>(block) - 1;
    if (h->owner != nobody_allocates) unlink(h);
    std::free(static_cast<std::byte*>(block) - h->lead);
}

}  // namespace

leftover left_by(int process) noexcept {
    leftover sum;
    for (const header* h = owned; h != nullptr; h = h->next) {
        if (h->owner != process) continue;
        ++sum.blocks;
        sum.bytes += h->bytes;
    }
    return sum;
}

void for_each_owned(void (*f)(void*, std::span<const std::byte>), void* argument) {
    for (const header* h = owned; h != nullptr; h = h->next)
        f(argument, {reinterpret_cast<const std::byte*>(h + 1), h->bytes});
}

void free_leftovers() noexcept {
    while (owned != nullptr) release(owned + 1);
}

}  // namespace assay::checker

using assay::checker::allocate;
using assay::checker::release;

void* operator new(std::size_t n) {
    if (void* const p = allocate(n, 1)) return p;
    throw std::bad_alloc();
}
void* operator new[](std::size_t n) { return operator new(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void* operator new(std::size_t n, std::align_val_t a) {
    if (void* const p = allocate(n, static_cast<std::size_t>(a))) return p;
    throw std::bad_alloc();
}
void* operator new[](std::size_t n, std::align_val_t a) { return operator new(n, a); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }
