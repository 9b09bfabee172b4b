// allocations.hpp -- what the modelled processes have on the heap.
//
// A process that dies or is abandoned runs no destructors, so somebody else must free what it
// had; and what a process that ended normally has not freed is a leak. The global operator new
// (allocations.cpp) notes the blocks that are allocated while a process runs. They are freed when
// the scenario's own variables are gone, because those may own some of them.
#pragma once

#include <cstddef>

namespace assay::checker {

inline constexpr int nobody_allocates = -1;

// The process of this thread on whose behalf operator new is called now.
inline thread_local int allocating_process = nobody_allocates;

// The checker's own allocations are its own, even when it runs on a process's stack.
class own_allocations {
public:
    own_allocations() noexcept : outer_(allocating_process) {
        allocating_process = nobody_allocates;
    }
    ~own_allocations() { allocating_process = outer_; }
    own_allocations(const own_allocations&) = delete;
    own_allocations& operator=(const own_allocations&) = delete;

private:
    int outer_;
};

struct leftover {
    std::size_t blocks = 0;
    std::size_t bytes = 0;
};
// What `process` has allocated in this thread and not freed.
[[nodiscard]] leftover left_by(int process) noexcept;
// Frees everything that any process of this thread has left.
void free_leftovers() noexcept;

}  // namespace assay::checker
