// arena.cpp -- new[] and malloc that can be told to take shared memory; see arena.hpp.
#include "perf/peers/arena.hpp"

#include <cstdlib>

namespace assay_perf::peers {
namespace {
thread_local arena* current = nullptr;
}  // namespace

allocating_from::allocating_from(arena& a) noexcept { current = &a; }
allocating_from::~allocating_from() { current = nullptr; }

}  // namespace assay_perf::peers

// The linker is told (--wrap=malloc) that calls of malloc in our own objects mean this one.
extern "C" {
void* __real_malloc(std::size_t bytes);  // NOLINT: the linker's names
void* __wrap_malloc(std::size_t bytes) {
    using assay_perf::peers::current;
    return current != nullptr ? current->allocate(bytes) : __real_malloc(bytes);
}
}

void* operator new[](std::size_t bytes) {
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc();
}
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
