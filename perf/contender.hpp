// contender.hpp -- what a queue, a ring or a pool has to offer to be measured, ours or anyone's.
//
// The memory of a contender is one shared mapping, made before the workers are forked and thus at
// the same address in all of them, so that peers with raw pointers inside work as well. Kernel
// objects (a pipe) are made in format(), and inherited; an optional `dispose(memory, capacity)` is
// called in the parent when the workers have ended. The memory is page-aligned, and zero before
// format().
#pragma once

#include <unistd.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>

namespace assay_perf {

inline constexpr unsigned many = ~0u;

// An element of so many bytes. Both ends say the same, so that a torn one is noticed; to look at
// every word of 1 KiB would be what is measured. But the compiler is told that every word matters:
// it left out the copies of the others where it saw through a contender, and that one looked three
// times as fast as memory is.
template <std::size_t Bytes>
struct item {
    static_assert(Bytes % 8 == 0 && Bytes >= 8);
    static constexpr std::size_t words = Bytes / 8;
    std::uint64_t word[words];

    void set(std::uint64_t value) noexcept {
        word[0] = value;
        word[words - 1] = value;
        if constexpr (words > 2) asm volatile("" : "+m"(word));
    }
    [[nodiscard]] std::uint64_t value() const noexcept { return word[0]; }
    [[nodiscard]] bool whole() const noexcept {
        if constexpr (words > 2) asm volatile("" : : "m"(word));
        return word[0] == word[words - 1];
    }
};

// Which worker of its team this process is, from 0; set after the fork. For identities of users.
inline unsigned this_worker = 0;

// Ends this process, and the measurement has no number: for a contender that can neither go on nor
// throw. Workers set it.
inline void (*give_up)(const char* why) = [](const char* why) {
    std::fprintf(stderr, "%s\n", why);
    ::_exit(1);
};

// What a worker does with a FIFO. A user may want to know: `user(memory, capacity, role)`; and such
// a user's connect() is called when all that its process needs are made, before what is measured.
enum class role { puts, takes };

template <class C>
concept of_one_role = std::constructible_from<typename C::user, void*, std::size_t, role>;

// A first-in-first-out contender. `C::user` is made in each process after the fork.
template <class C, class T>
concept fifo_contender = requires(void* memory, std::size_t capacity, typename C::user& user,
                                  const T& in, T& out) {
    {std::string_view(C::name)};
    { C::producers + C::consumers } -> std::convertible_to<unsigned>;  // 1 or many
    { C::bytes(capacity) } -> std::convertible_to<std::size_t>;        // 0: it has its own memory
    C::format(memory, capacity);
    requires of_one_role<C> || std::constructible_from<typename C::user, void*, std::size_t>;
    { user.put(in) } -> std::convertible_to<bool>;    // false: full
    { user.take(out) } -> std::convertible_to<bool>;  // false: empty
};

// Optional: how many were put or taken, from the front of the span.
template <class C, class T>
concept bulk_contender = requires(typename C::user& user, std::span<const T> in, std::span<T> out) {
    { user.put_bulk(in) } -> std::convertible_to<std::size_t>;
    { user.take_bulk(out) } -> std::convertible_to<std::size_t>;
};

// A pool of objects of 64 bytes.
template <class C>
concept pool_contender = requires(void* memory, std::size_t capacity, typename C::user& user,
                                  void* object) {
    {std::string_view(C::name)};
    { C::bytes(capacity) } -> std::convertible_to<std::size_t>;
    C::format(memory, capacity);
    requires std::constructible_from<typename C::user, void*, std::size_t>;
    { user.acquire() } -> std::same_as<void*>;  // null: none is free
    user.release(object);
};

// Lists of contenders. perf/peers/peers.hpp defines those that are installed:
//   template <class T> using fifo_peers = contenders<boost_lockfree_queue<T>, ...>;
//   using pool_peers = contenders<...>;
//   std::vector<std::string> missing_peers();   "ck: not installed (libck-dev)"
template <class... Cs>
struct contenders {};

// joined<contenders<A, B>, contenders<C>, ...> is contenders<A, B, C, ...>.
template <class... Lists>
struct joined_lists;
template <class... As>
struct joined_lists<contenders<As...>> {
    using type = contenders<As...>;
};
template <class... As, class... Bs, class... Lists>
struct joined_lists<contenders<As...>, contenders<Bs...>, Lists...>
    : joined_lists<contenders<As..., Bs...>, Lists...> {};
template <class... Lists>
using joined = typename joined_lists<Lists...>::type;

// each(contenders<A, B>{}, f) calls f.template operator()<A>(), then B.
template <class... Cs, class F>
void each(contenders<Cs...>, F&& f) {
    (f.template operator()<Cs>(), ...);
}

}  // namespace assay_perf
