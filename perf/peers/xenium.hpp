// xenium.hpp -- xenium (libxenium-dev): Vyukov's queue. Its other queues allocate nodes, and their
// reclamation has records on the heap of one process.
#pragma once

#include <cstddef>
#include <string_view>
#include <xenium/vyukov_bounded_queue.hpp>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

template <class T>
struct xenium_vyukov {
    static constexpr std::string_view name = "xenium Vyukov";
    static constexpr unsigned producers = many, consumers = many;
    using peer = xenium::vyukov_bounded_queue<T>;
    using place = in_arena<peer>;

    static std::size_t bytes(std::size_t capacity) {
        return place::overhead + whole_lines(capacity * (sizeof(T) + 8));
    }
    static void format(void* memory, std::size_t capacity) {
        place::format(memory, bytes(capacity), capacity);
    }

    // The form that does not wait for an operation in progress, but says full (empty).
    struct user {
        user(void* memory, std::size_t) : shared(place::at(memory)) {}
        bool put(const T& value) { return shared.try_push_weak(value); }
        bool take(T& value) { return shared.try_pop_weak(value); }

    private:
        peer& shared;
    };
};

}  // namespace assay_perf::peers
