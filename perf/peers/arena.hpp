// arena.hpp -- shared memory for peers that allocate, and for what a peer keeps outside of it.
//
// A peer with raw pointers inside works between forked processes when all it points to lies in one
// mapping that was made before the fork. An arena is the front of such a mapping, and hands out the
// rest, piece by piece, for good.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <new>
#include <utility>

#include "perf/contender.hpp"

namespace assay_perf::peers {

inline constexpr std::size_t line = 64;

[[nodiscard]] constexpr std::size_t whole_lines(std::size_t bytes) noexcept {
    return (bytes + line - 1) / line * line;
}

class alignas(line) arena {
public:
    explicit arena(std::size_t size) noexcept : size_(size) {}

    [[nodiscard]] void* allocate(std::size_t bytes) {
        const std::size_t at = used_.fetch_add(whole_lines(bytes), std::memory_order_relaxed);
        if (at + bytes > size_) throw std::bad_alloc();
        return reinterpret_cast<std::byte*>(this) + at;
    }

private:
    std::atomic<std::size_t> used_{whole_lines(sizeof(arena))};
    const std::size_t size_;
};

// For peers that call new[] or malloc: while one of these exists, this thread gets the arena's
// memory from them (arena.cpp). What was allocated so must never be freed.
class allocating_from {
public:
    explicit allocating_from(arena& a) noexcept;
    ~allocating_from();
    allocating_from(const allocating_from&) = delete;
    allocating_from& operator=(const allocating_from&) = delete;
};

// For peers that take an allocator: new[], as above.
template <class T>
struct arena_allocator {
    using value_type = T;
    template <class U>
    struct rebind {  // Boost.Lockfree wants it spelt out
        using other = arena_allocator<U>;
    };

    arena_allocator() = default;
    template <class U>
    arena_allocator(const arena_allocator<U>&) noexcept {}

    [[nodiscard]] T* allocate(std::size_t n) {
        return reinterpret_cast<T*>(new std::byte[n * sizeof(T)]);
    }
    void deallocate(T*, std::size_t) noexcept {}
    bool operator==(const arena_allocator&) const noexcept = default;
};

// An arena with one Peer behind it, made of the arguments. The Peer is never destroyed: its memory
// goes with the mapping.
template <class Peer>
struct in_arena {
    template <class... Args>
    static Peer& format(void* memory, std::size_t bytes, Args&&... args) {
        auto* front = new (memory) arena(bytes);
        const allocating_from here(*front);
        return *new (front->allocate(sizeof(Peer))) Peer(std::forward<Args>(args)...);
    }
    [[nodiscard]] static Peer& at(void* memory) noexcept {
        return *reinterpret_cast<Peer*>(static_cast<std::byte*>(memory) +
                                        whole_lines(sizeof(arena)));
    }
    [[nodiscard]] static arena& front(void* memory) noexcept {
        return *static_cast<arena*>(memory);
    }
    static constexpr std::size_t overhead = whole_lines(sizeof(arena)) + whole_lines(sizeof(Peer));
};

// What belongs to a peer's memory but is no memory (descriptors, mappings of its own): inherited by
// the forked; closed when the same memory is formatted again.
template <class Thing>
class beside {
public:
    static Thing& keep(void* memory, std::unique_ptr<Thing> thing) {
        return *(all()[memory] = std::move(thing));
    }
    [[nodiscard]] static Thing& of(void* memory) { return *all().at(memory); }
    static void drop(void* memory) { all().erase(memory); }

private:
    static auto& all() {
        static std::map<void*, std::unique_ptr<Thing>> things;
        return things;
    }
};

}  // namespace assay_perf::peers
