// The twin of seam_word.cpp, written by hand over std::atomic.
#include <atomic>
#include <cstdint>

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

#define SEAM(T, name)                                                                       \
    using name##_word = std::atomic<T>;                                                     \
    extern "C" T name##_load_relaxed(const name##_word& w) {                                \
        return w.load(memory_order_relaxed);                                                \
    }                                                                                       \
    extern "C" T name##_load_acquire(const name##_word& w) {                                \
        return w.load(memory_order_acquire);                                                \
    }                                                                                       \
    extern "C" T name##_load_seq_cst(const name##_word& w) {                                \
        return w.load(memory_order_seq_cst);                                                \
    }                                                                                       \
    extern "C" void name##_store_relaxed(name##_word& w, T v) {                             \
        w.store(v, memory_order_relaxed);                                                   \
    }                                                                                       \
    extern "C" void name##_store_release(name##_word& w, T v) {                             \
        w.store(v, memory_order_release);                                                   \
    }                                                                                       \
    extern "C" void name##_store_seq_cst(name##_word& w, T v) {                             \
        w.store(v, memory_order_seq_cst);                                                   \
    }                                                                                       \
    extern "C" T name##_exchange(name##_word& w, T v) {                                     \
        return w.exchange(v, memory_order_acq_rel);                                         \
    }                                                                                       \
    extern "C" bool name##_strong(name##_word& w, T& e, T d) {                              \
        return w.compare_exchange_strong(e, d, memory_order_acq_rel, memory_order_relaxed); \
    }                                                                                       \
    extern "C" bool name##_weak(name##_word& w, T& e, T d) {                                \
        return w.compare_exchange_weak(e, d, memory_order_release, memory_order_acquire);   \
    }                                                                                       \
    extern "C" T name##_fetch_add(name##_word& w, T v) {                                    \
        return w.fetch_add(v, memory_order_acq_rel);                                        \
    }                                                                                       \
    extern "C" T name##_fetch_sub(name##_word& w, T v) {                                    \
        return w.fetch_sub(v, memory_order_relaxed);                                        \
    }                                                                                       \
    extern "C" T name##_fetch_and(name##_word& w, T v) {                                    \
        return w.fetch_and(v, memory_order_acquire);                                        \
    }                                                                                       \
    extern "C" T name##_fetch_or(name##_word& w, T v) {                                     \
        return w.fetch_or(v, memory_order_release);                                         \
    }                                                                                       \
    extern "C" T name##_fetch_xor(name##_word& w, T v) {                                    \
        return w.fetch_xor(v, memory_order_seq_cst);                                        \
    }

SEAM(std::uint32_t, u32)
SEAM(std::uint64_t, u64)

extern "C" void fence_acquire() { std::atomic_thread_fence(memory_order_acquire); }
extern "C" void fence_seq_cst() { std::atomic_thread_fence(memory_order_seq_cst); }

struct payload {
    std::uint64_t bytes[4];
};
extern "C" payload cell_read(const payload& c) { return c; }
extern "C" void cell_write(payload& c, const payload& in) { c = in; }

extern "C" std::uint64_t loop_counts(std::atomic<std::uint64_t>& w, std::uint64_t n) {
    std::uint64_t seen = w.load(memory_order_relaxed);
    while (seen < n &&
           !w.compare_exchange_weak(seen, seen + 1, memory_order_acq_rel, memory_order_relaxed)) {
    }
    return seen;
}
