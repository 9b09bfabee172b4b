// moodycamel.hpp -- moodycamel's ReaderWriterQueue (libreaderwriterqueue-dev). His ConcurrentQueue
// knows its producers by thread-local objects of one process (missing.hpp).
#pragma once

#include <readerwriterqueue/readerwriterqueue.h>

#include <cstddef>
#include <string_view>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

template <class T>
struct reader_writer_queue {
    static constexpr std::string_view name = "moodycamel ReaderWriterQueue";
    static constexpr unsigned producers = 1, consumers = 1;
    using peer = moodycamel::ReaderWriterQueue<T>;
    using place = in_arena<peer>;

    // Blocks of at most 512 elements, rounded up, and some more of them.
    static std::size_t bytes(std::size_t capacity) {
        return place::overhead + 4 * (capacity + 1024) * sizeof(T) + (capacity / 256 + 8) * 512;
    }
    static void format(void* memory, std::size_t capacity) {
        place::format(memory, bytes(capacity), capacity);
    }

    struct user {
        user(void* memory, std::size_t) : shared(place::at(memory)) {}
        bool put(const T& value) { return shared.try_enqueue(value); }
        bool take(T& value) { return shared.try_dequeue(value); }

    private:
        peer& shared;
    };
};

}  // namespace assay_perf::peers
