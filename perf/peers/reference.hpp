// reference.hpp -- well-known shapes, written for the comparison from their descriptions: what a
// good programmer would write who needs no survivors.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

// Vyukov's bounded queue (1024cores.net, "Bounded MPMC queue"): a sequence number and the payload
// in each slot, one index for each side. A power of two of slots.
template <class T>
struct vyukov {
    static constexpr std::string_view name = "reference Vyukov";
    static constexpr unsigned producers = many, consumers = many;
    struct slot {
        std::atomic<std::uint64_t> sequence;
        T value;
    };
    struct header {
        alignas(line) std::atomic<std::uint64_t> tail;
        alignas(line) std::atomic<std::uint64_t> head;
        slot* slots() { return reinterpret_cast<slot*>(this + 1); }
    };

    static std::size_t bytes(std::size_t capacity) {
        return sizeof(header) + capacity * sizeof(slot);
    }
    static void format(void* memory, std::size_t capacity) {
        auto* shared = new (memory) header{};
        for (std::size_t i = 0; i < capacity; ++i) {
            new (shared->slots() + i) slot;
            shared->slots()[i].sequence.store(i, std::memory_order_relaxed);
        }
    }

    struct user {
        user(void* memory, std::size_t capacity)
            : shared(*static_cast<header*>(memory)), slots(shared.slots()), mask(capacity - 1) {}

        bool put(const T& value) {
            slot* const s = claim(shared.tail, 0);
            if (s == nullptr) return false;
            s->value = value;
            s->sequence.store(s->sequence.load(std::memory_order_relaxed) + 1,
                              std::memory_order_release);
            return true;
        }
        bool take(T& value) {
            slot* const s = claim(shared.head, 1);
            if (s == nullptr) return false;
            value = s->value;
            s->sequence.store(s->sequence.load(std::memory_order_relaxed) + mask,
                              std::memory_order_release);
            return true;
        }

    private:
        // The next slot of a side, when its sequence is that of its position, plus `ahead`.
        slot* claim(std::atomic<std::uint64_t>& index, std::uint64_t ahead) {
            std::uint64_t at = index.load(std::memory_order_relaxed);
            for (;;) {
                slot& s = slots[at & mask];
                const auto distance = static_cast<std::int64_t>(
                    s.sequence.load(std::memory_order_acquire) - at - ahead);
                if (distance < 0) return nullptr;
                if (distance > 0)
                    at = index.load(std::memory_order_relaxed);
                else if (index.compare_exchange_weak(at, at + 1, std::memory_order_relaxed))
                    return &s;
            }
        }

        header& shared;
        slot* slots;
        std::uint64_t mask;
    };
};

// One producer, one consumer, and a sequence number in the slot: a line moves, and no index. (The
// sequence of Vyukov's queue; that one side needs no shared index is Giacomoni et al.,
// "FastForward", PPoPP 2008.) A power of two of slots, two at least.
template <class T>
struct sequence_in_slot {
    static constexpr std::string_view name = "reference sequence in slot";
    static constexpr unsigned producers = 1, consumers = 1;
    struct slot {
        std::atomic<std::uint64_t> sequence;  // its position while free, one more while filled
        T value;
    };

    static std::size_t bytes(std::size_t capacity) { return capacity * sizeof(slot); }
    static void format(void* memory, std::size_t capacity) {
        auto* slots = static_cast<slot*>(memory);
        for (std::size_t i = 0; i < capacity; ++i) {
            new (slots + i) slot;
            slots[i].sequence.store(i, std::memory_order_relaxed);
        }
    }

    struct user {
        user(void* memory, std::size_t capacity)
            : slots(static_cast<slot*>(memory)), mask(capacity - 1) {
            // Where its predecessor stopped: at the first slot that is free, or filled.
            std::uint64_t first_free = ~std::uint64_t{0}, first_filled = first_free;
            for (std::size_t i = 0; i < capacity; ++i) {
                const std::uint64_t s = slots[i].sequence.load(std::memory_order_acquire);
                auto& first = (s & mask) == i ? first_free : first_filled;
                first = std::min(first, (s & mask) == i ? s : s - 1);
            }
            head = std::min(first_filled, first_free);
            tail = std::min(first_free, head + capacity);
        }

        bool put(const T& value) {
            slot& s = slots[tail & mask];
            if (s.sequence.load(std::memory_order_acquire) != tail) return false;
            s.value = value;
            s.sequence.store(++tail, std::memory_order_release);
            return true;
        }
        bool take(T& value) {
            slot& s = slots[head & mask];
            if (s.sequence.load(std::memory_order_acquire) != head + 1) return false;
            value = s.value;
            s.sequence.store(head++ + mask + 1, std::memory_order_release);
            return true;
        }

    private:
        slot* slots;
        std::uint64_t mask, head, tail;
    };
};

// A ring under a robust mutex of POSIX, which the next one repairs when its owner has died: an
// operation takes effect with the store of its index.
template <class T>
struct robust_mutex {
    static constexpr std::string_view name = "reference robust mutex";
    static constexpr unsigned producers = many, consumers = many;
    struct header {
        alignas(line) pthread_mutex_t mutex;
        std::uint64_t tail, head;
        T* slots() { return reinterpret_cast<T*>(this + 1); }
    };

    static std::size_t bytes(std::size_t capacity) { return sizeof(header) + capacity * sizeof(T); }
    static void format(void* memory, std::size_t) {
        auto* shared = new (memory) header{};
        pthread_mutexattr_t how;
        ::pthread_mutexattr_init(&how);
        ::pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
        ::pthread_mutex_init(&shared->mutex, &how);
        ::pthread_mutexattr_destroy(&how);
    }

    struct user {
        user(void* memory, std::size_t count)
            : shared(*static_cast<header*>(memory)), capacity(count) {}

        bool put(const T& value) {
            const lock held(shared.mutex);
            if (shared.tail - shared.head == capacity) return false;
            shared.slots()[shared.tail % capacity] = value;
            std::atomic_ref(shared.tail).store(shared.tail + 1, std::memory_order_release);
            return true;
        }
        bool take(T& value) {
            const lock held(shared.mutex);
            if (shared.tail == shared.head) return false;
            value = shared.slots()[shared.head % capacity];
            std::atomic_ref(shared.head).store(shared.head + 1, std::memory_order_release);
            return true;
        }

    private:
        struct lock {
            explicit lock(pthread_mutex_t& m) : mutex(m) {
                if (::pthread_mutex_lock(&mutex) == EOWNERDEAD) ::pthread_mutex_consistent(&mutex);
            }
            ~lock() { ::pthread_mutex_unlock(&mutex); }
            pthread_mutex_t& mutex;
        };
        header& shared;
        std::size_t capacity;
    };
};

// Free objects on a stack, with a tag against reuse (Treiber, 1986). Numbers from 1 instead of
// pointers, so that number and tag fit into one word.
template <class T>
struct tagged_stack {
    static constexpr std::string_view name = "reference tagged stack";
    struct header {
        alignas(line) std::atomic<std::uint64_t> top;  // tag and number
        alignas(line) std::atomic<std::uint32_t> next[1];
    };

    static std::size_t objects_at(std::size_t capacity) {
        return whole_lines(sizeof(header) + capacity * sizeof(std::uint32_t));
    }
    static std::size_t bytes(std::size_t capacity) {
        return objects_at(capacity) + capacity * sizeof(T);
    }
    static void format(void* memory, std::size_t capacity) {
        auto* shared = new (memory) header{};
        for (std::uint32_t i = 0; i < capacity; ++i)
            shared->next[i].store(i + 2 <= capacity ? i + 2 : 0, std::memory_order_relaxed);
        shared->top.store(1, std::memory_order_relaxed);
    }

    struct user {
        user(void* memory, std::size_t capacity)
            : shared(*static_cast<header*>(memory)),
              objects(static_cast<std::byte*>(memory) + objects_at(capacity)) {}

        void* acquire() {
            std::uint64_t seen = shared.top.load(std::memory_order_acquire);
            for (;;) {
                const auto number = static_cast<std::uint32_t>(seen);
                if (number == 0) return nullptr;
                const std::uint64_t next = shared.next[number - 1].load(std::memory_order_relaxed);
                if (shared.top.compare_exchange_weak(seen, tag_after(seen) | next,
                                                     std::memory_order_acquire))
                    return objects + (number - 1) * sizeof(T);
            }
        }
        void release(void* object) {
            const auto number = static_cast<std::uint32_t>(
                static_cast<std::size_t>(static_cast<std::byte*>(object) - objects) / sizeof(T) +
                1);
            std::uint64_t seen = shared.top.load(std::memory_order_relaxed);
            do
                shared.next[number - 1].store(static_cast<std::uint32_t>(seen),
                                              std::memory_order_relaxed);
            while (!shared.top.compare_exchange_weak(seen, tag_after(seen) | number,
                                                     std::memory_order_release));
        }

    private:
        static std::uint64_t tag_after(std::uint64_t seen) { return ((seen >> 32) + 1) << 32; }

        header& shared;
        std::byte* objects;
    };
};

}  // namespace assay_perf::peers
