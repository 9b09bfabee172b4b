// cds.hpp -- libcds (libcds-dev): Vyukov's queue. Its other queues need hazard pointers, whose
// records are on the heap of one process.
#pragma once

#include <cds/container/vyukov_mpmc_cycle_queue.h>

#include <cstddef>
#include <string_view>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

template <class T>
struct cds_vyukov {
    static constexpr std::string_view name = "libcds Vyukov";
    static constexpr unsigned producers = many, consumers = many;

    // The slots, which the queue asks for as a policy.
    template <class Slot>
    class slots {
    public:
        using value_type = Slot;
        template <class Other, class...>
        struct rebind {
            using other = slots<Other>;
        };
        explicit slots(std::size_t capacity) : count_(capacity), first_(new Slot[capacity]) {}
        Slot& operator[](std::size_t i) { return first_[i]; }
        const Slot& operator[](std::size_t i) const { return first_[i]; }
        [[nodiscard]] std::size_t capacity() const { return count_; }

    private:
        std::size_t count_;
        Slot* first_;
    };
    struct traits : cds::container::vyukov_queue::traits {
        using buffer = slots<int>;
    };
    using peer = cds::container::VyukovMPMCCycleQueue<T, traits>;
    using place = in_arena<peer>;

    static std::size_t bytes(std::size_t capacity) {
        return place::overhead + whole_lines(capacity * (sizeof(T) + 8));
    }
    static void format(void* memory, std::size_t capacity) {
        place::format(memory, bytes(capacity), capacity);
    }

    struct user {
        user(void* memory, std::size_t) : shared(place::at(memory)) {}
        bool put(const T& value) { return shared.enqueue(value); }
        bool take(T& value) { return shared.dequeue(value); }

    private:
        peer& shared;
    };
};

}  // namespace assay_perf::peers
