// allocations.hpp -- what the modelled processes have on the heap.
//
// A process that dies or is abandoned runs no destructors, so somebody else must free what it
// had; and what a process that ended normally has not freed is a leak. The global operator new
// (allocations.cpp) notes the blocks that are allocated while a process runs. They are freed when
// the scenario's own variables are gone, because those may own some of them.
#pragma once

#include <cstddef>
#include <span>

namespace assay::checker {

inline constexpr int nobody_allocates = -1;
// The scenario's own function and its final check, which may be abandoned too.
inline constexpr int scenario_allocates = -2;

// The process of this thread on whose behalf operator new is called now.
inline thread_local int allocating_process = nobody_allocates;

// Whose the allocations are in this scope.
class allocations_by {
public:
    explicit allocations_by(int whose) noexcept : outer_(allocating_process) {
        allocating_process = whose;
    }
    ~allocations_by() { allocating_process = outer_; }
    allocations_by(const allocations_by&) = delete;
    allocations_by& operator=(const allocations_by&) = delete;

private:
    int outer_;
};

// The checker's own allocations are its own, even when it runs on a process's stack.
class own_allocations : public allocations_by {
public:
    own_allocations() noexcept : allocations_by(nobody_allocates) {}
};

struct leftover {
    std::size_t blocks = 0;
    std::size_t bytes = 0;
};
// What `process` has allocated in this thread and not freed.
[[nodiscard]] leftover left_by(int process) noexcept;
// What the processes and the scenario of this thread have on the heap, block by block.
void for_each_owned(void (*f)(void*, std::span<const std::byte>), void* argument);
// Frees everything that they have left.
void free_leftovers() noexcept;

}  // namespace assay::checker
