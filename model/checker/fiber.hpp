// fiber.hpp -- one user-level context: a modelled process is one, and so the whole exploration
// stays in one thread, where switching costs nanoseconds.
//
// A fiber that will never go on is simply abandoned and started again with another function.
// That is what death is: no destructor runs. What its process had allocated is freed by
// allocations.hpp. (An exception could not unwind it: the library's functions are noexcept.)
//
// The switch is a dozen instructions on x86-64 and aarch64; elsewhere, or with
// -DASSAY_FIBER_UCONTEXT, it is ucontext, which makes two system calls.
#pragma once

#include <cstddef>
#include <span>

#if !defined(ASSAY_FIBER_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define ASSAY_FIBER_UCONTEXT
#endif
#if defined(ASSAY_FIBER_UCONTEXT)
#include <ucontext.h>
#endif
#if !defined(__x86_64__) && !defined(__aarch64__)
#include <csetjmp>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ASSAY_FIBER_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASSAY_FIBER_ASAN
#endif
#endif

namespace assay::checker {

// What a function expects its callees to keep.
struct registers {
#if defined(__x86_64__)
    void* values[6];
#elif defined(__aarch64__)
    void* values[20];
#else
    std::jmp_buf values;
#endif
};

// Stores the caller's registers, and returns its stack pointer: where its frame ends.
extern "C" const void* assay_fiber_here(registers* to);

#if !defined(ASSAY_FIBER_UCONTEXT)
// Pushes the registers that a function must preserve, stores the stack pointer in *save, takes
// `load` as the stack pointer and pops them again.
extern "C" void assay_fiber_switch(void** save, void* load);
#endif

class fiber {
public:
    static constexpr std::size_t stack_bytes = 256 * 1024;

    fiber();  // throws std::system_error when there is no memory for the stack
    ~fiber();
    fiber(const fiber&) = delete;
    fiber& operator=(const fiber&) = delete;

    // Prepares a call of entry(argument), which must not return but suspend for ever.
    void start(void (*entry)(void*), void* argument);
    void resume();   // called outside: runs the fiber until it suspends
    void suspend();  // called inside: goes back to where resume was called

    // The frames of its program down to this stack pointer, which assay_fiber_here returned to the
    // innermost: two suspensions with the same bytes and registers are the same state of the
    // program. Frames of the checker, which lie below, do not matter.
    [[nodiscard]] std::span<const std::byte> frames(const void* stack_pointer) const noexcept {
        const auto* const from = static_cast<const std::byte*>(stack_pointer);
        return {from, static_cast<std::size_t>(stack_ + stack_bytes - from)};
    }

private:
    static void begin(void* self);
    void prepare(void (*entry)(void*), void* argument);
    void switch_in();
    void switch_out();

    std::byte* stack_;
    void (*entry_)(void*) = nullptr;
    void* argument_ = nullptr;
#if defined(ASSAY_FIBER_UCONTEXT)
    ucontext_t inside_{};
    ucontext_t outside_{};
#else
    void* here_ = nullptr;     // stack pointer of the suspended fiber
    void* outside_ = nullptr;  // stack pointer of the suspended caller of resume
#endif
};

// Here, and each in one piece with its caller: a processor predicts no return to another stack.
#if !defined(ASSAY_FIBER_UCONTEXT)
inline void fiber::switch_in() { assay_fiber_switch(&outside_, here_); }
inline void fiber::switch_out() { assay_fiber_switch(&here_, outside_); }
#endif
#if !defined(ASSAY_FIBER_ASAN)
inline void fiber::resume() { switch_in(); }
inline void fiber::suspend() { switch_out(); }
#endif

}  // namespace assay::checker
