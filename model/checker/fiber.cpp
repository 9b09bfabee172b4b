#include "fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#if defined(ASSAY_FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace assay::checker {

namespace {

constexpr std::size_t guard_bytes = 64 * 1024;  // a multiple of every page size in use

// AddressSanitizer wants to know which stack is in use. An abandoned fiber leaves marks on its
// stack, which the next user of that stack must not trip over.
#if defined(ASSAY_FIBER_ASAN)
thread_local const void* outer_stack = nullptr;
thread_local std::size_t outer_bytes = 0;

void forget_marks(const void* from, std::size_t n) { __asan_unpoison_memory_region(from, n); }
void before_switch(void** keep, const void* stack, std::size_t n) {
    __sanitizer_start_switch_fiber(keep, stack, n);
}
void after_switch(void* kept, const void** old, std::size_t* n) {
    __sanitizer_finish_switch_fiber(kept, old, n);
}
#endif

}  // namespace

fiber::fiber() {
    void* const memory = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "mmap of a fiber's stack");
    mprotect(memory, guard_bytes, PROT_NONE);  // an overflow is a fault, not a corruption
    stack_ = static_cast<std::byte*>(memory) + guard_bytes;
}

fiber::~fiber() { munmap(stack_ - guard_bytes, guard_bytes + stack_bytes); }

void fiber::prepare(void (*entry)(void*), void* argument) {
    entry_ = entry;
    argument_ = argument;
#if defined(ASSAY_FIBER_ASAN)
    forget_marks(stack_, stack_bytes);
#endif
}

// The first thing that runs on the fiber's stack.
void fiber::begin(void* self) {
    auto& f = *static_cast<fiber*>(self);
#if defined(ASSAY_FIBER_ASAN)
    after_switch(nullptr, &outer_stack, &outer_bytes);
#endif
    f.entry_(f.argument_);
}

#if defined(ASSAY_FIBER_ASAN)
void fiber::resume() {
    void* keep = nullptr;
    before_switch(&keep, stack_, stack_bytes);
    switch_in();
    after_switch(keep, nullptr, nullptr);
}

void fiber::suspend() {
    void* keep = nullptr;
    before_switch(&keep, outer_stack, outer_bytes);
    switch_out();
    after_switch(keep, &outer_stack, &outer_bytes);
}
#endif

#if defined(__x86_64__)

asm(R"(
    .text
    .p2align 4
    .globl assay_fiber_here
    .type assay_fiber_here, @function
assay_fiber_here:
    movq %rbx, 0(%rdi)
    movq %rbp, 8(%rdi)
    movq %r12, 16(%rdi)
    movq %r13, 24(%rdi)
    movq %r14, 32(%rdi)
    movq %r15, 40(%rdi)
    leaq 8(%rsp), %rax
    ret
    .size assay_fiber_here, .-assay_fiber_here
)");

#elif defined(__aarch64__)

asm(R"(
    .text
    .p2align 4
    .globl assay_fiber_here
    .type assay_fiber_here, %function
assay_fiber_here:
    stp x19, x20, [x0, #0]
    stp x21, x22, [x0, #16]
    stp x23, x24, [x0, #32]
    stp x25, x26, [x0, #48]
    stp x27, x28, [x0, #64]
    stp x29, xzr, [x0, #80]
    stp d8, d9, [x0, #96]
    stp d10, d11, [x0, #112]
    stp d12, d13, [x0, #128]
    stp d14, d15, [x0, #144]
    mov x0, sp
    ret
    .size assay_fiber_here, .-assay_fiber_here
)");

#else

extern "C" __attribute__((noinline)) const void* assay_fiber_here(registers* to) {
    static_cast<void>(setjmp(to->values));  // nobody jumps
    // Below this function's own frame: it may have saved a register of its caller there to use it.
    return __builtin_alloca(1);
}

#endif

#if defined(ASSAY_FIBER_UCONTEXT)

namespace {

// makecontext passes ints only.
void enter(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low) {
    const auto join = [](unsigned high, unsigned low) {
        return static_cast<std::uintptr_t>(high) << 32 | low;
    };
    reinterpret_cast<void (*)(void*)>(join(entry_high, entry_low))(
        reinterpret_cast<void*>(join(argument_high, argument_low)));
}

}  // namespace

void fiber::start(void (*entry)(void*), void* argument) {
    prepare(entry, argument);
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_;
    inside_.uc_stack.ss_size = stack_bytes;
    inside_.uc_link = nullptr;
    const auto e = reinterpret_cast<std::uintptr_t>(&begin);
    const auto a = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&inside_, reinterpret_cast<void (*)()>(&enter), 4, static_cast<unsigned>(e >> 32),
                static_cast<unsigned>(e), static_cast<unsigned>(a >> 32), static_cast<unsigned>(a));
}

void fiber::switch_in() { swapcontext(&outside_, &inside_); }

void fiber::switch_out() { swapcontext(&inside_, &outside_); }

#else

extern "C" void assay_fiber_enter();  // where a new fiber "returns" to

#if defined(__x86_64__)

asm(R"(
    .text
    .p2align 4
    .globl assay_fiber_switch
    .type assay_fiber_switch, @function
assay_fiber_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size assay_fiber_switch, .-assay_fiber_switch

    .p2align 4
    .globl assay_fiber_enter
    .type assay_fiber_enter, @function
assay_fiber_enter:
    .cfi_startproc
    .cfi_undefined rip        /* the outermost frame: a backtrace ends here */
    movq %r12, %rdi
    call *%r13
    ud2
    .cfi_endproc
    .size assay_fiber_enter, .-assay_fiber_enter
)");

void fiber::start(void (*entry)(void*), void* argument) {
    prepare(entry, argument);
    // As if assay_fiber_enter had called switch: r15 r14 r13 r12 rbx rbp, return address; after
    // that the stack is empty, and aligned to 16 as it must be before a call.
    auto* const top = reinterpret_cast<void**>(stack_ + stack_bytes);
    void** const frame = top - 7;
    frame[0] = frame[1] = nullptr;
    frame[2] = reinterpret_cast<void*>(&begin);
    frame[3] = this;
    frame[4] = frame[5] = nullptr;
    frame[6] = reinterpret_cast<void*>(&assay_fiber_enter);
    here_ = frame;
}

#elif defined(__aarch64__)

asm(R"(
    .text
    .p2align 4
    .globl assay_fiber_switch
    .type assay_fiber_switch, %function
assay_fiber_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size assay_fiber_switch, .-assay_fiber_switch

    .p2align 4
    .globl assay_fiber_enter
    .type assay_fiber_enter, %function
assay_fiber_enter:
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x19
    blr x20
    brk #1
    .cfi_endproc
    .size assay_fiber_enter, .-assay_fiber_enter
)");

void fiber::start(void (*entry)(void*), void* argument) {
    prepare(entry, argument);
    auto* const top = reinterpret_cast<void**>(stack_ + stack_bytes);
    void** const frame = top - 20;
    for (int i = 0; i < 20; ++i) frame[i] = nullptr;
    frame[0] = this;                                          // x19
    frame[1] = reinterpret_cast<void*>(&begin);               // x20
    frame[11] = reinterpret_cast<void*>(&assay_fiber_enter);  // x30
    here_ = frame;
}

#endif

#endif

}  // namespace assay::checker
