// atomic.hpp -- a named std::atomic, with waits that work across processes.
//
// State:      the value, one machine word, and an event beside it for those who wait.
// Invariant:  none: any value is a valid one.
// Progress:   every operation is one instruction or a few, lock-free; loads and stores wait-free.
//             wait() waits for another value, never for a particular process.
// Crash:      an operation happens entirely or not at all. A notifier that dies between its change
//             and its notification delays the sleepers by at most wait_slice.
//
// Synchronisation:
//   The caller's: every operation has the order that the caller names; the defaults are those of
//   std::atomic. Waiting and notifying: see event.hpp.
#pragma once

#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "event.hpp"
#include "layout.hpp"
#include "structure.hpp"
#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// What fits one machine word, so that no process ever holds a lock for it. Bytes that belong to no
// member would make equal values differ, so there are none (floating-point values compare by bits).
template <class T>
concept atomic_value = shareable<T> && std::has_single_bit(sizeof(T)) && sizeof(T) <= 8 &&
                       (std::has_unique_object_representations_v<T> || std::is_floating_point_v<T>);

// Named as std::atomic names its members, and meaning the same. A handle, shared by any number of
// threads; neither copied nor moved, as std::atomic is not.
template <atomic_value T>
class atomic : public structure<atomic<T>, T> {
    using base = structure<atomic<T>, T>;
    static constexpr bool integer = std::integral<T> && !std::same_as<T, bool>;
    static constexpr bool number = integer || std::floating_point<T>;

public:
    static constexpr kind structure_kind = kind::atomic;
    static constexpr bool is_always_lock_free = true;

    // Opens `name` in the segment. Throws what structure throws.
    template <class Segment>
    atomic(Segment& segment, std::string_view name) : base(segment, name, 0) {}

    // Creates `name` with the value `initial`, or opens it, whatever its value is. Throws what
    // structure throws.
    template <class Segment>
    atomic(Segment& segment, std::string_view name, T initial)
        : base(segment, name, 1, [&](void* memory) { format(memory, 1, initial); }) {}

    // On memory that was formatted, aligned to a line.
    atomic(void* memory, std::uint64_t count, membership& me) : base(memory, count, me) {}

    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

    [[nodiscard]] static std::uint64_t size_bytes(std::uint64_t count) {
        if (count != 1) throw std::invalid_argument("assay: an atomic is one element, not more");
        return sizeof(state);
    }
    static void format(void* memory, std::uint64_t /*count*/, T initial = T{}) noexcept {
        auto& s = *static_cast<state*>(memory);
        // relaxed: not published yet; the store that publishes the memory around it orders this.
        s.value.store(initial, relaxed);
        s.changed.format();
    }

    // seq_cst, here and below: std::atomic's default.
    [[nodiscard]] T load(std::memory_order order = seq_cst) const noexcept {
        return value().load(order);
    }
    void store(T desired, std::memory_order order = seq_cst) noexcept {
        value().store(desired, order);  // seq_cst by default, as above
    }
    T exchange(T desired, std::memory_order order = seq_cst) noexcept {
        return value().exchange(desired, order);
    }
    operator T() const noexcept { return load(); }
    T operator=(T desired) noexcept {
        store(desired);
        return desired;
    }

    // seq_cst is std::atomic's default.
    bool compare_exchange_strong(T& expected, T desired,
                                 std::memory_order order = seq_cst) noexcept {
        return value().compare_exchange(expected, desired, order, on_failure(order));
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                                 std::memory_order failure) noexcept {
        return value().compare_exchange(expected, desired, success, failure);
    }
    // seq_cst is std::atomic's default.
    bool compare_exchange_weak(T& expected, T desired, std::memory_order order = seq_cst) noexcept {
        return value().compare_exchange_weak(expected, desired, order, on_failure(order));
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                               std::memory_order failure) noexcept {
        return value().compare_exchange_weak(expected, desired, success, failure);
    }

    // seq_cst, here and below: std::atomic's default.
    T fetch_add(T n, std::memory_order order = seq_cst) noexcept requires number {
        return value().fetch_add(n, order);
    }
    T fetch_sub(T n, std::memory_order order = seq_cst) noexcept requires number {
        return value().fetch_sub(n, order);
    }
    T fetch_and(T bits, std::memory_order order = seq_cst) noexcept requires integer {
        return value().fetch_and(bits, order);
    }
    T fetch_or(T bits, std::memory_order order = seq_cst) noexcept requires integer {
        return value().fetch_or(bits, order);
    }
    T fetch_xor(T bits, std::memory_order order = seq_cst) noexcept requires integer {
        return value().fetch_xor(bits, order);
    }

    T operator+=(T n) noexcept requires number { return static_cast<T>(fetch_add(n) + n); }
    T operator-=(T n) noexcept requires number { return static_cast<T>(fetch_sub(n) - n); }
    T operator&=(T bits) noexcept requires integer {
        return static_cast<T>(fetch_and(bits) & bits);
    }
    T operator|=(T bits) noexcept requires integer { return static_cast<T>(fetch_or(bits) | bits); }
    T operator^=(T bits) noexcept requires integer {
        return static_cast<T>(fetch_xor(bits) ^ bits);
    }
    T operator++() noexcept requires integer { return *this += T{1}; }
    T operator--() noexcept requires integer { return *this -= T{1}; }
    T operator++(int) noexcept requires integer { return fetch_add(1); }
    T operator--(int) noexcept requires integer { return fetch_sub(1); }

    // Sleeps until the value is another than `old` and somebody notifies; a change that nobody
    // notifies of is seen within wait_slice too, but that is for notifiers that died. A change back
    // to `old` in between may go unseen, as with std::atomic. seq_cst is its default.
    void wait(T old, std::memory_order order = seq_cst) const noexcept {
        static_cast<void>(wait_until(old, deadline::max(), order));
    }
    // The same, until a deadline on the monotonic clock (assay::now(), steady_clock) at most: false
    // when the value was still `old` then. seq_cst by default, as for wait().
    [[nodiscard]] bool wait_until(T old, deadline until,
                                  std::memory_order order = seq_cst) const noexcept {
        return here().changed.wait_until([&] { return !same(load(order), old); }, until);
    }
    // seq_cst by default, as for wait().
    [[nodiscard]] bool wait_for(T old, std::chrono::nanoseconds duration,
                                std::memory_order order = seq_cst) const noexcept {
        return wait_until(old, after(duration), order);
    }

    // Wakes those who wait, in all processes: all of them, since one that was chosen could be dead.
    // A load when nobody waits.
    void notify_all() noexcept {
        // seq_cst: the event's condition; not both that the waiter misses the change made before
        // this and that we miss the waiter.
        fence(seq_cst);
        here().changed.notify();
    }
    void notify_one() noexcept { notify_all(); }

    [[nodiscard]] bool is_lock_free() const noexcept { return is_always_lock_free; }

private:
    struct state {
        alignas(line_size) word<T> value;
        event changed;
    };

    [[nodiscard]] state& here() const noexcept { return *reinterpret_cast<state*>(this->memory()); }
    [[nodiscard]] word<T>& value() const noexcept { return here().value; }

    [[nodiscard]] static bool same(const T& a, const T& b) noexcept {
        return std::memcmp(&a, &b, sizeof(T)) == 0;
    }
    // As the standard derives it: acq_rel fails as acquire, release as relaxed.
    [[nodiscard]] static constexpr std::memory_order on_failure(std::memory_order order) noexcept {
        return order == acq_rel ? acquire : order == release ? relaxed : order;
    }
};

using atomic_bool = atomic<bool>;
using atomic_char = atomic<char>;
using atomic_schar = atomic<signed char>;
using atomic_uchar = atomic<unsigned char>;
using atomic_short = atomic<short>;
using atomic_ushort = atomic<unsigned short>;
using atomic_int = atomic<int>;
using atomic_uint = atomic<unsigned int>;
using atomic_long = atomic<long>;
using atomic_ulong = atomic<unsigned long>;
using atomic_llong = atomic<long long>;
using atomic_ullong = atomic<unsigned long long>;
using atomic_char8_t = atomic<char8_t>;
using atomic_char16_t = atomic<char16_t>;
using atomic_char32_t = atomic<char32_t>;
using atomic_wchar_t = atomic<wchar_t>;
using atomic_int8_t = atomic<std::int8_t>;
using atomic_uint8_t = atomic<std::uint8_t>;
using atomic_int16_t = atomic<std::int16_t>;
using atomic_uint16_t = atomic<std::uint16_t>;
using atomic_int32_t = atomic<std::int32_t>;
using atomic_uint32_t = atomic<std::uint32_t>;
using atomic_int64_t = atomic<std::int64_t>;
using atomic_uint64_t = atomic<std::uint64_t>;
using atomic_int64 = atomic<std::int64_t>;
using atomic_uint64 = atomic<std::uint64_t>;
using atomic_intptr_t = atomic<std::intptr_t>;
using atomic_uintptr_t = atomic<std::uintptr_t>;
using atomic_size_t = atomic<std::size_t>;
using atomic_ptrdiff_t = atomic<std::ptrdiff_t>;
using atomic_intmax_t = atomic<std::intmax_t>;
using atomic_uintmax_t = atomic<std::uintmax_t>;

}  // namespace assay::inline ASSAY_ABI
