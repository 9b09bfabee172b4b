// ck.hpp -- Concurrency Kit (libck-dev).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// Its headers are C. Three of their functions are no C++; two can be left out, and the third
// returns false where it means a null pointer.
#define CK_F_STACK_BATCH_POP_UPMC
#define CK_F_STACK_BATCH_POP_MPMC
#define CK_F_STACK_PUSH_MPNC
#pragma GCC diagnostic push
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wkeyword-macro"
#endif
#define false 0
extern "C" {
#include <ck_ring.h>
#include <ck_stack.h>
}
#undef false
#pragma GCC diagnostic pop

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

// A power of two of slots, one of which stays empty.
template <class T>
struct ck_ring_base {
    struct slot {
        T value;
    };
    struct header {
        alignas(line) ck_ring ring;
        alignas(line) slot slots[1];
    };
    CK_RING_PROTOTYPE(slot, slot)

    static std::size_t bytes(std::size_t capacity) {
        return sizeof(header) + capacity * sizeof(slot);
    }
    static void format(void* memory, std::size_t capacity) {
        ck_ring_init(&static_cast<header*>(memory)->ring, static_cast<unsigned>(capacity));
    }
    struct user_base {
        user_base(void* memory, std::size_t) : shared(*static_cast<header*>(memory)) {}

    protected:
        // Its functions take what they only read without const.
        static slot* of(const T& value) { return reinterpret_cast<slot*>(const_cast<T*>(&value)); }
        header& shared;
    };
};

template <class T>
struct ck_ring_spsc : ck_ring_base<T> {
    static constexpr std::string_view name = "ck_ring spsc";
    static constexpr unsigned producers = 1, consumers = 1;
    using base = ck_ring_base<T>;
    struct user : base::user_base {
        using base::user_base::user_base;
        bool put(const T& value) {
            return base::ck_ring_enqueue_spsc_slot(&this->shared.ring, this->shared.slots,
                                                   this->of(value));
        }
        bool take(T& value) {
            return base::ck_ring_dequeue_spsc_slot(&this->shared.ring, this->shared.slots,
                                                   this->of(value));
        }
    };
};

template <class T>
struct ck_ring_mpmc : ck_ring_base<T> {
    static constexpr std::string_view name = "ck_ring mpmc";
    static constexpr unsigned producers = many, consumers = many;
    using base = ck_ring_base<T>;
    struct user : base::user_base {
        using base::user_base::user_base;
        bool put(const T& value) {
            return base::ck_ring_enqueue_mpmc_slot(&this->shared.ring, this->shared.slots,
                                                   this->of(value));
        }
        bool take(T& value) {
            return base::ck_ring_dequeue_mpmc_slot(&this->shared.ring, this->shared.slots,
                                                   this->of(value));
        }
    };
};

// Its users make it a pool: a stack of what is free.
template <class T>
struct ck_stack_pool {
    static constexpr std::string_view name = "ck_stack";
    union object {
        ck_stack_entry entry;
        std::byte bytes[sizeof(T)];
    };
    struct header {
        alignas(line) ck_stack stack;
        alignas(line) object objects[1];
    };

    static std::size_t bytes(std::size_t capacity) {
        return sizeof(header) + capacity * sizeof(object);
    }
    static void format(void* memory, std::size_t capacity) {
        auto& shared = *static_cast<header*>(memory);
        ck_stack_init(&shared.stack);
        for (std::size_t i = 0; i < capacity; ++i)
            ck_stack_push_mpmc(&shared.stack, &shared.objects[i].entry);
    }

    struct user {
        user(void* memory, std::size_t) : shared(*static_cast<header*>(memory)) {}
        void* acquire() { return ck_stack_pop_mpmc(&shared.stack); }
        void release(void* p) {
            ck_stack_push_mpmc(&shared.stack, static_cast<ck_stack_entry*>(p));
        }

    private:
        header& shared;
    };
};

}  // namespace assay_perf::peers
