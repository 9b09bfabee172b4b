// sync.hpp -- the seam: the only file of the library that touches the memory model.
//
// What a component may do to shared memory concurrently is one of five things:
//
//   word<T>      one lock-free machine word, accessed atomically
//   cell<T>      payload, accessed non-atomically by whoever currently owns it
//   fence        an ordering between the caller's own accesses
//   pause        "another process must run before this loop can make progress"
//   wait / wake  sleep on a word until another process wakes it (a shared futex)
//
// In a normal build these are std::atomic_ref, plain copies, a CPU hint and the futex system
// call. A build that passes -DASSAY_BACKEND="<header>" takes the same names from that header,
// which sees every access; it also defines ASSAY_ABI, the inline namespace, so that linking two
// kinds of build together is an error instead of a vacuous proof. Layouts are the same in both.
//
// ASSAY_STEP() runs before each shared access. It is empty; the stress build defines it to
// perturb the schedule or to kill the process there (and then sets another ASSAY_ABI).
#pragma once

#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(ASSAY_BACKEND)
#include ASSAY_BACKEND
#else

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if !defined(ASSAY_ABI)
#define ASSAY_ABI native
#endif
// Whether somebody looks at each access, who cannot look into wide_copy() below.
#if defined(ASSAY_STEP) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ASSAY_WATCHED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || \
    __has_feature(memory_sanitizer)
#define ASSAY_WATCHED
#endif
#endif
#if !defined(ASSAY_STEP)
#define ASSAY_STEP() static_cast<void>(0)
#endif

#endif

namespace assay::inline ASSAY_ABI {

using enum std::memory_order;  // every access states its order; there is no default

// The clock of all deadlines: monotonic, the same for every process of the host.
using clock = std::chrono::steady_clock;
using deadline = clock::time_point;

#if !defined(ASSAY_BACKEND)

// One machine word in shared memory. Trivially constructible: zero bytes are a valid state, and a
// process that attaches runs no constructor. Has the size and layout of T.
template <class T>
class word {
    static_assert(std::atomic_ref<T>::is_always_lock_free,
                  "a lock inside the atomic would be private to one process");

public:
    word() = default;
    word(const word&) = delete;
    word& operator=(const word&) = delete;

    [[nodiscard]] T load(std::memory_order order) const noexcept { return ref().load(order); }
    void store(T value, std::memory_order order) noexcept { ref().store(value, order); }
    T exchange(T value, std::memory_order order) noexcept { return ref().exchange(value, order); }

    // Strong: fails only when the word differs from `expected`, which then receives its value.
    [[nodiscard]] bool compare_exchange(T& expected, T desired, std::memory_order success,
                                        std::memory_order failure) noexcept {
        return ref().compare_exchange_strong(expected, desired, success, failure);
    }
    // Weak: may also fail for no reason; for retry loops and for assay::atomic.
    [[nodiscard]] bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                                             std::memory_order failure) noexcept {
        return ref().compare_exchange_weak(expected, desired, success, failure);
    }

    T fetch_add(T value, std::memory_order order) noexcept { return ref().fetch_add(value, order); }
    T fetch_sub(T value, std::memory_order order) noexcept { return ref().fetch_sub(value, order); }
    T fetch_and(T value, std::memory_order order) noexcept { return ref().fetch_and(value, order); }
    T fetch_or(T value, std::memory_order order) noexcept { return ref().fetch_or(value, order); }
    T fetch_xor(T value, std::memory_order order) noexcept { return ref().fetch_xor(value, order); }

private:
    friend bool wait(word<std::uint32_t>&, std::uint32_t, deadline) noexcept;
    friend int wake(word<std::uint32_t>&, int) noexcept;

    std::atomic_ref<T> ref() const noexcept {
        ASSAY_STEP();
        return std::atomic_ref<T>(const_cast<T&>(raw_));
    }

    alignas(std::atomic_ref<T>::required_alignment) T raw_;
};

// Payload owned by one process at a time; who owns it is decided by words around it. Two
// unordered accesses are a data race, which the model build reports.
template <class T>
class cell {
    static_assert(std::is_trivially_copyable_v<T>, "payload is bytes shared between processes");

public:
    cell() = default;
    cell(const cell&) = delete;
    cell& operator=(const cell&) = delete;

    [[nodiscard]] T read() const noexcept {
        ASSAY_STEP();
        return raw_;
    }
    void write(const T& value) noexcept {
        ASSAY_STEP();
        raw_ = value;
    }

private:
    T raw_;
};

// Bulk payload whose copy may race with an overwriting process (and is then discarded): n words,
// each accessed relaxed, in unspecified order. The fences around the copy are the caller's. The
// other side is memory of the caller's own, aligned or not.
//
// Compilers move such words one at a time only, a third as fast as the machine can. So eight at a
// time go by instructions of our own, in which the language sees no access that could race, and the
// machine no word that is not moved as a whole: x86 moves 16 bytes as words of 8 at least, and
// aarch64 each register of a pair by itself (Arm ARM, B2.2.1). They are ordinary accesses, ordered
// by the same fences. Where somebody looks at each access, it is word by word.
//
// Many words go by the string instruction of x86, which takes lines that it overwrites as a whole
// without fetching what was in them: from another processor's cache that is most of the time. In
// which order it stores is unspecified as well, but all of it before whatever is stored after it
// (Intel SDM 3A, 8.2.4; AMD APM 2, 7.2).
namespace detail {
// Moves the first of n words, those that go in this way, and returns how many they are.
#if !defined(ASSAY_WATCHED) && defined(__x86_64__)
inline constexpr std::size_t many_words = 64;  // fewer take longer than eight at a time
[[gnu::always_inline]] inline std::size_t wide_copy(void* to, const void* from,
                                                    std::size_t n) noexcept {
    if (n >= many_words) {
        std::size_t left = n;
        asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(left) : : "memory");
        return n;
    }
    std::size_t done = 0;
    for (; n - done >= 8; done += 8)
        asm volatile(
            "movups (%1), %%xmm0\n\tmovups 16(%1), %%xmm1\n\t"
            "movups 32(%1), %%xmm2\n\tmovups 48(%1), %%xmm3\n\t"
            "movups %%xmm0, (%0)\n\tmovups %%xmm1, 16(%0)\n\t"
            "movups %%xmm2, 32(%0)\n\tmovups %%xmm3, 48(%0)"
            :
            : "r"(static_cast<std::byte*>(to) + 8 * done),
              "r"(static_cast<const std::byte*>(from) + 8 * done)
            : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
    return done;
}
#elif !defined(ASSAY_WATCHED) && defined(__aarch64__)
[[gnu::always_inline]] inline std::size_t wide_copy(void* to, const void* from,
                                                    std::size_t n) noexcept {
    std::size_t done = 0;
    for (std::uint64_t a, b, c, d, e, f, g, h; n - done >= 8; done += 8)
        asm volatile(
            "ldp %0, %1, [%9]\n\tldp %2, %3, [%9, 16]\n\t"
            "ldp %4, %5, [%9, 32]\n\tldp %6, %7, [%9, 48]\n\t"
            "stp %0, %1, [%8]\n\tstp %2, %3, [%8, 16]\n\t"
            "stp %4, %5, [%8, 32]\n\tstp %6, %7, [%8, 48]"
            : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d), "=&r"(e), "=&r"(f), "=&r"(g), "=&r"(h)
            : "r"(static_cast<std::byte*>(to) + 8 * done),
              "r"(static_cast<const std::byte*>(from) + 8 * done)
            : "memory");
    return done;
}
#else
constexpr std::size_t wide_copy(void*, const void*, std::size_t) noexcept { return 0; }
#endif
}  // namespace detail

[[gnu::always_inline]] inline void load_words(const word<std::uint64_t>* from, void* to,
                                              std::size_t n) noexcept {
    auto* out = static_cast<std::byte*>(to);
    const std::size_t done = detail::wide_copy(out, from, n);
    from += done, out += done * sizeof *from, n -= done;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t w = from[i].load(relaxed);
        std::memcpy(out + i * sizeof w, &w, sizeof w);
    }
}
[[gnu::always_inline]] inline void store_words(word<std::uint64_t>* to, const void* from,
                                               std::size_t n) noexcept {
    const auto* in = static_cast<const std::byte*>(from);
    const std::size_t done = detail::wide_copy(to, in, n);
    to += done, in += done * sizeof *to, n -= done;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < n; ++i) {
        std::uint64_t w;
        std::memcpy(&w, in + i * sizeof w, sizeof w);
        to[i].store(w, relaxed);
    }
}

inline void fence(std::memory_order order) noexcept {
    ASSAY_STEP();
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"  // our fences order words only, never plain payload
#endif
    std::atomic_thread_fence(order);
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
}

inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    asm volatile("yield");
#endif
}

// How often to look again with pause() before sleeping or asking the kernel: about a microsecond.
// The backend's choice, because a checker that explores every order of events needs no spinning.
inline constexpr unsigned spin_limit = 100;

// Room for 1024 attachments to one segment at a time (owner.hpp). The backend's choice as well: a
// checker has few processes.
inline constexpr unsigned owner_slot_bits = 10;

// Words of the records in a ring (ring_buffer.hpp) that share a word which says what was appended
// there: a line of them. Larger records have none: it would be one more line to move for each. The
// backend's choice once more: the records of a checker are small.
inline constexpr unsigned ring_block_words = 8;

[[nodiscard]] inline deadline now() noexcept { return clock::now(); }

// Sleeps while `w` holds `seen`, until a wake or `until`. False when the deadline passed. May wake
// for no reason: the caller re-checks its condition. The futex is shared (not FUTEX_PRIVATE_FLAG),
// because the waker is another process.
[[nodiscard]] inline bool wait(word<std::uint32_t>& w, std::uint32_t seen,
                               deadline until) noexcept {
    ASSAY_STEP();
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(until.time_since_epoch());
    timespec at{};
    at.tv_sec = static_cast<time_t>(ns.count() / 1'000'000'000);
    at.tv_nsec = static_cast<long>(ns.count() % 1'000'000'000);
    // FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, which is what steady_clock is.
    const bool forever = until == deadline::max();
    static_cast<void>(syscall(SYS_futex, &w.raw_, FUTEX_WAIT_BITSET, seen, forever ? nullptr : &at,
                              nullptr, FUTEX_BITSET_MATCH_ANY));
    return forever || now() < until;
}

// Wakes up to `count` processes that sleep on `w`; returns how many.
inline int wake(word<std::uint32_t>& w, int count) noexcept {
    ASSAY_STEP();
    return static_cast<int>(syscall(SYS_futex, &w.raw_, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

#endif

inline constexpr int everyone = INT_MAX;  // for wake

// Keeps away from lines that another process is writing for a few times as long as a line travels
// between two processors (50 to 200 ns): 24 times pause() are 0.4 us on AMD Zen 5, 1.1 us where one
// takes 140 cycles (Intel since Skylake), and next to nothing where it is no more than a hint (many
// arm64).
[[gnu::noinline, gnu::cold]] inline void give_way() noexcept {
    for (unsigned i = 0; i < 24; ++i) pause();
}

static_assert(sizeof(word<std::uint64_t>) == 8 && alignof(word<std::uint64_t>) == 8);
static_assert(sizeof(word<std::uint32_t>) == 4 && sizeof(cell<char>) == 1);
static_assert(std::is_trivially_default_constructible_v<word<std::uint64_t>>);
static_assert(std::is_trivially_destructible_v<word<std::uint64_t>>);

}  // namespace assay::inline ASSAY_ABI
