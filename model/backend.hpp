// backend.hpp -- the seam's other side: the names of sync.hpp, each access reported to the checker.
//
// The model build passes -DASSAY_BACKEND=\"model/backend.hpp\". Signatures, sizes and layouts are
// those of sync.hpp; in addition each access knows the line of its caller.
#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "model/environment.hpp"

#define ASSAY_ABI modelled
#define ASSAY_STEP() static_cast<void>(0)

namespace assay::inline ASSAY_ABI {

namespace modelling {

using place = checker::place;

[[nodiscard]] constexpr checker::order translate(std::memory_order o) noexcept {
    switch (o) {
        case std::memory_order_relaxed:
            return checker::order::relaxed;
        case std::memory_order_consume:
        case std::memory_order_acquire:
            return checker::order::acquire;
        case std::memory_order_release:
            return checker::order::release;
        case std::memory_order_acq_rel:
            return checker::order::acq_rel;
        case std::memory_order_seq_cst:
            break;
    }
    return checker::order::seq_cst;
}

template <class T>
[[nodiscard]] checker::value to_value(const T& v) noexcept {
    checker::value out = 0;
    std::memcpy(&out, &v, sizeof(T));
    return out;
}
template <class T>
[[nodiscard]] T from_value(checker::value v) noexcept {
    T out;
    std::memcpy(static_cast<void*>(&out), &v, sizeof(T));
    return out;
}

}  // namespace modelling

template <class T>
class word {
    static_assert(std::atomic_ref<T>::is_always_lock_free,
                  "a lock inside the atomic would be private to one process");
    using place = modelling::place;

public:
    word() = default;
    word(const word&) = delete;
    word& operator=(const word&) = delete;

    [[nodiscard]] T load(std::memory_order order,
                         const place& at = place::current()) const noexcept {
        checker::request r;
        r.success = r.failure = modelling::translate(order);
        return ask(r, at);
    }
    void store(T value, std::memory_order order, const place& at = place::current()) noexcept {
        checker::request r;
        r.what = checker::kind::write;
        r.success = r.failure = modelling::translate(order);
        r.operand = modelling::to_value(value);
        ask(r, at);
    }
    T exchange(T value, std::memory_order order, const place& at = place::current()) noexcept {
        return modify(checker::op::exchange, value, order, at);
    }

    [[nodiscard]] bool compare_exchange(T& expected, T desired, std::memory_order success,
                                        std::memory_order failure,
                                        const place& at = place::current()) noexcept {
        return compare(expected, desired, success, failure, 0, at);
    }
    [[nodiscard]] bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                                             std::memory_order failure,
                                             const place& at = place::current()) noexcept {
        return compare(expected, desired, success, failure, checker::weak, at);
    }

    T fetch_add(T v, std::memory_order order, const place& at = place::current()) noexcept {
        return modify(checker::op::add, v, order, at);
    }
    T fetch_sub(T v, std::memory_order order, const place& at = place::current()) noexcept {
        return modify(checker::op::sub, v, order, at);
    }
    T fetch_and(T v, std::memory_order order, const place& at = place::current()) noexcept {
        return modify(checker::op::bit_and, v, order, at);
    }
    T fetch_or(T v, std::memory_order order, const place& at = place::current()) noexcept {
        return modify(checker::op::bit_or, v, order, at);
    }
    T fetch_xor(T v, std::memory_order order, const place& at = place::current()) noexcept {
        return modify(checker::op::bit_xor, v, order, at);
    }

private:
    friend bool wait(word<std::uint32_t>&, std::uint32_t, std::chrono::steady_clock::time_point,
                     const modelling::place&) noexcept;
    friend int wake(word<std::uint32_t>&, int, const modelling::place&) noexcept;

    T ask(checker::request& r, const place& at) const noexcept {
        r.size = sizeof(T);
        return modelling::from_value<T>(model::environment::current()->access(&raw_, r, at).seen);
    }
    T modify(checker::op operation, T operand, std::memory_order order, const place& at) noexcept {
        checker::request r;
        r.flags = checker::rmw;
        r.operation = operation;
        r.success = r.failure = modelling::translate(order);
        r.operand = modelling::to_value(operand);
        return ask(r, at);
    }
    bool compare(T& expected, T desired, std::memory_order success, std::memory_order failure,
                 std::uint8_t flags, const place& at) noexcept {
        checker::request r;
        r.flags = static_cast<std::uint8_t>(checker::rmw | flags);
        r.operation = checker::op::compare_exchange;
        r.success = modelling::translate(success);
        r.failure = modelling::translate(failure);
        r.size = sizeof(T);
        r.operand = modelling::to_value(desired);
        r.expected = modelling::to_value(expected);
        const auto a = model::environment::current()->access(&raw_, r, at);
        expected = modelling::from_value<T>(a.seen);
        return a.succeeded;
    }

    alignas(std::atomic_ref<T>::required_alignment) T raw_;
};

template <class T>
class cell {
    static_assert(std::is_trivially_copyable_v<T>, "payload is bytes shared between processes");
    using place = modelling::place;

public:
    cell() = default;
    cell(const cell&) = delete;
    cell& operator=(const cell&) = delete;

    [[nodiscard]] T read(const place& at = place::current()) const noexcept {
        alignas(T) std::byte bytes[sizeof(T)];
        model::environment::current()->read(&raw_, bytes, sizeof(T), at);
        T value;
        std::memcpy(static_cast<void*>(&value), bytes, sizeof(T));
        return value;
    }
    void write(const T& value, const place& at = place::current()) noexcept {
        model::environment::current()->write(&raw_, &value, sizeof(T), at);
    }

private:
    T raw_;
};

inline void load_words(const word<std::uint64_t>* from, void* to, std::size_t n,
                       const modelling::place& at = modelling::place::current()) noexcept {
    auto* out = static_cast<std::byte*>(to);
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t w = from[i].load(std::memory_order_relaxed, at);
        std::memcpy(out + i * sizeof w, &w, sizeof w);
    }
}
inline void store_words(word<std::uint64_t>* to, const void* from, std::size_t n,
                        const modelling::place& at = modelling::place::current()) noexcept {
    const auto* in = static_cast<const std::byte*>(from);
    for (std::size_t i = 0; i < n; ++i) {
        std::uint64_t w;
        std::memcpy(&w, in + i * sizeof w, sizeof w);
        to[i].store(w, std::memory_order_relaxed, at);
    }
}

inline void fence(std::memory_order order,
                  const modelling::place& at = modelling::place::current()) noexcept {
    model::environment::current()->fence(modelling::translate(order), at);
}

// Inlined always: the frames that the checker compares must end with the caller's own. Nothing is held
// across the first call: to save a register for it could leave a gap in the frame, with leftovers
// of earlier calls that would make two equal laps differ.
[[gnu::always_inline]] inline void pause() noexcept {
    checker::registers kept;
    const void* const here = checker::assay_fiber_here(&kept);
    model::environment::current()->pause(here);
}

// The checker explores every order of events, so looking twice finds nothing that looking once
// does not.
inline constexpr unsigned spin_limit = 1;

// Eight attachments: as many as there may be processes, so that whoever looks at all slots soon
// has.
inline constexpr unsigned owner_slot_bits = 3;

// Records of two words have a block each, so that a ring of two has several; those of three have none.
inline constexpr unsigned ring_block_words = 3;

// Time does not pass: whether a deadline fires is a choice of the checker (see wait).
[[nodiscard]] inline std::chrono::steady_clock::time_point now() noexcept { return {}; }

// May return although nobody woke it, within the scenario's budget. The deadline passes only after
// a process has died: see checker::runtime::sleep.
[[nodiscard]] inline bool wait(word<std::uint32_t>& w, std::uint32_t seen,
                               std::chrono::steady_clock::time_point until,
                               const modelling::place& at = modelling::place::current()) noexcept {
    const bool timed = until != std::chrono::steady_clock::time_point::max();
    return model::environment::current()->wait(&w.raw_, seen, timed, at);
}

inline int wake(word<std::uint32_t>& w, int count,
                const modelling::place& at = modelling::place::current()) noexcept {
    return model::environment::current()->wake(&w.raw_, count, at);
}

}  // namespace assay::inline ASSAY_ABI
