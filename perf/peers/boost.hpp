// boost.hpp -- Boost.Lockfree and Boost.Interprocess (libboost-dev).
#pragma once

#include <unistd.h>

#include <atomic>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <boost/lockfree/stack.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

namespace lockfree = boost::lockfree;
namespace interprocess = boost::interprocess;

// Nodes in an array, and indices of 16 bits: at most 65534 elements.
template <class T>
struct boost_lockfree_queue {
    static constexpr std::string_view name = "boost::lockfree::queue";
    static constexpr unsigned producers = many, consumers = many;
    using peer =
        lockfree::queue<T, lockfree::fixed_sized<true>, lockfree::allocator<arena_allocator<T>>>;
    using place = in_arena<peer>;

    static std::size_t bytes(std::size_t capacity) {
        return place::overhead + (capacity + 2) * whole_lines(sizeof(T) + 16) + 2 * line;
    }
    static void format(void* memory, std::size_t capacity) {
        place::format(memory, bytes(capacity), capacity);
    }

    struct user {
        user(void* memory, std::size_t) : shared(place::at(memory)) {}
        bool put(const T& value) { return shared.bounded_push(value); }
        bool take(T& value) { return shared.pop(value); }

    private:
        peer& shared;
    };
};

template <class T>
struct boost_spsc_queue {
    static constexpr std::string_view name = "boost::lockfree::spsc_queue";
    static constexpr unsigned producers = 1, consumers = 1;
    using peer = lockfree::spsc_queue<T, lockfree::allocator<arena_allocator<T>>>;
    using place = in_arena<peer>;

    static std::size_t bytes(std::size_t capacity) {
        return place::overhead + whole_lines((capacity + 1) * sizeof(T));
    }
    static void format(void* memory, std::size_t capacity) {
        place::format(memory, bytes(capacity), capacity);
    }

    struct user {
        user(void* memory, std::size_t) : shared(place::at(memory)) {}
        bool put(const T& value) { return shared.push(value); }
        bool take(T& value) { return shared.pop(value); }
        std::size_t put_bulk(std::span<const T> values) {
            return shared.push(values.data(), values.size());
        }
        std::size_t take_bulk(std::span<T> values) {
            return shared.pop(values.data(), values.size());
        }

    private:
        peer& shared;
    };
};

// Its users make it a pool: a stack of pointers to what is free.
template <class T>
struct boost_lockfree_stack {
    static constexpr std::string_view name = "boost::lockfree::stack";
    using peer = lockfree::stack<void*, lockfree::fixed_sized<true>,
                                 lockfree::allocator<arena_allocator<void*>>>;
    using place = in_arena<peer>;

    static std::size_t bytes(std::size_t capacity) {
        return place::overhead + (capacity + 2) * line + capacity * whole_lines(sizeof(T));
    }
    static void format(void* memory, std::size_t capacity) {
        peer& shared = place::format(memory, bytes(capacity), capacity);
        arena& front = place::front(memory);
        for (std::size_t i = 0; i < capacity; ++i) shared.bounded_push(front.allocate(sizeof(T)));
    }

    struct user {
        user(void* memory, std::size_t) : shared(place::at(memory)) {}
        void* acquire() {
            void* object = nullptr;
            return shared.pop(object) ? object : nullptr;
        }
        void release(void* object) { shared.bounded_push(object); }

    private:
        peer& shared;
    };
};

// In a mapping of its own, whose name goes as soon as it is mapped.
template <class T>
struct boost_message_queue {
    static constexpr std::string_view name = "boost::interprocess::message_queue";
    static constexpr unsigned producers = many, consumers = many;
    using peer = interprocess::message_queue;

    static std::size_t bytes(std::size_t) { return line; }
    static void dispose(void* memory, std::size_t) { beside<peer>::drop(memory); }
    static void format(void* memory, std::size_t capacity) {
        const std::string unique = "assay_perf_" + std::to_string(::getpid());
        peer::remove(unique.c_str());
        beside<peer>::keep(memory, std::make_unique<peer>(interprocess::create_only, unique.c_str(),
                                                          capacity, sizeof(T)));
        peer::remove(unique.c_str());
    }

    struct user {
        user(void* memory, std::size_t) : shared(beside<peer>::of(memory)) {}
        bool put(const T& value) { return shared.try_send(&value, sizeof value, 0); }
        bool take(T& value) {
            std::size_t size = 0;
            unsigned priority = 0;
            return shared.try_receive(&value, sizeof value, size, priority);
        }

    private:
        peer& shared;
    };
};

// The allocator and the names of a managed segment.
using boost_segment = interprocess::basic_managed_external_buffer<
    char, interprocess::rbtree_best_fit<interprocess::mutex_family>, interprocess::iset_index>;

template <class T>
struct boost_allocate {
    static constexpr std::string_view name = "boost::interprocess allocate";

    static std::size_t bytes(std::size_t capacity) {
        return 4096 + capacity * (sizeof(T) + 2 * line);
    }
    static void format(void* memory, std::size_t capacity) {
        boost_segment(interprocess::create_only, memory, bytes(capacity));
    }

    struct user {
        user(void* memory, std::size_t capacity)
            : shared(interprocess::open_only, memory, bytes(capacity)) {}
        void* acquire() { return shared.allocate(sizeof(T), std::nothrow); }
        void release(void* object) { shared.deallocate(object); }

    private:
        boost_segment shared;
    };
};

// A number for each of some names.
struct boost_find {
    static constexpr std::string_view name = "boost::interprocess find";

    static std::size_t bytes(std::size_t count) { return 8192 + count * 4 * line; }
    static void format(void* memory, std::span<const std::string> names) {
        boost_segment shared(interprocess::create_only, memory, bytes(names.size()));
        for (const std::string& n : names) shared.construct<std::uint64_t>(n.c_str())(0u);
    }

    struct user {
        user(void* memory, std::size_t count)
            : shared(interprocess::open_only, memory, bytes(count)) {}
        const void* find(const std::string& key) {
            return shared.find<std::uint64_t>(key.c_str()).first;
        }

    private:
        boost_segment shared;
    };
};

}  // namespace assay_perf::peers
