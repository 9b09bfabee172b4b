// The seam, one function per access. scripts/seam compares the machine code of each with the
// function of the same name in seam_atomic.cpp.
#include <assay/sync.hpp>

// The canary: one order stronger than its twin, which the comparison must report.
#if defined(ASSAY_SEAM_CANARY)
#define STORE_RELEASE assay::seq_cst
#else
#define STORE_RELEASE assay::release
#endif

using assay::word;

#define SEAM(T, name)                                                                         \
    extern "C" T name##_load_relaxed(const word<T>& w) { return w.load(assay::relaxed); }     \
    extern "C" T name##_load_acquire(const word<T>& w) { return w.load(assay::acquire); }     \
    extern "C" T name##_load_seq_cst(const word<T>& w) { return w.load(assay::seq_cst); }     \
    extern "C" void name##_store_relaxed(word<T>& w, T v) { w.store(v, assay::relaxed); }     \
    extern "C" void name##_store_release(word<T>& w, T v) { w.store(v, STORE_RELEASE); }      \
    extern "C" void name##_store_seq_cst(word<T>& w, T v) { w.store(v, assay::seq_cst); }     \
    extern "C" T name##_exchange(word<T>& w, T v) { return w.exchange(v, assay::acq_rel); }   \
    extern "C" bool name##_strong(word<T>& w, T& e, T d) {                                    \
        return w.compare_exchange(e, d, assay::acq_rel, assay::relaxed);                      \
    }                                                                                         \
    extern "C" bool name##_weak(word<T>& w, T& e, T d) {                                      \
        return w.compare_exchange_weak(e, d, assay::release, assay::acquire);                 \
    }                                                                                         \
    extern "C" T name##_fetch_add(word<T>& w, T v) { return w.fetch_add(v, assay::acq_rel); } \
    extern "C" T name##_fetch_sub(word<T>& w, T v) { return w.fetch_sub(v, assay::relaxed); } \
    extern "C" T name##_fetch_and(word<T>& w, T v) { return w.fetch_and(v, assay::acquire); } \
    extern "C" T name##_fetch_or(word<T>& w, T v) { return w.fetch_or(v, assay::release); }   \
    extern "C" T name##_fetch_xor(word<T>& w, T v) { return w.fetch_xor(v, assay::seq_cst); }

SEAM(std::uint32_t, u32)
SEAM(std::uint64_t, u64)

extern "C" void fence_acquire() { assay::fence(assay::acquire); }
extern "C" void fence_seq_cst() { assay::fence(assay::seq_cst); }

struct payload {
    std::uint64_t bytes[4];
};
extern "C" payload cell_read(const assay::cell<payload>& c) { return c.read(); }
extern "C" void cell_write(assay::cell<payload>& c, const payload& in) { c.write(in); }

// Not only single accesses: what the optimiser makes of a loop around them.
extern "C" std::uint64_t loop_counts(word<std::uint64_t>& w, std::uint64_t n) {
    std::uint64_t seen = w.load(assay::relaxed);
    while (seen < n && !w.compare_exchange_weak(seen, seen + 1, assay::acq_rel, assay::relaxed)) {
    }
    return seen;
}
