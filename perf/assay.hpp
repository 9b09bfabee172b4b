// assay.hpp -- the library's own contenders: on memory that they are given, without a segment.
#pragma once

#include <assay/object_pool.hpp>
#include <assay/posix_shm.hpp>
#include <assay/queue.hpp>
#include <assay/ring_buffer.hpp>

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "perf/contender.hpp"

namespace assay_perf {

// A worker's identity. Nobody dies while something is measured.
class member final : public assay::membership {
public:
    member() { id_ = renew(); }
    [[nodiscard]] bool alive(assay::owner_id) const noexcept override { return true; }

private:
    assay::owner_id renew() override { return assay::make_owner(this_worker + 1, 1); }
};

// A segment that nobody else finds, and that is gone when its last process is.
[[nodiscard]] inline std::unique_ptr<assay::posix_shm> private_segment(std::uint64_t data_bytes) {
    auto made = std::make_unique<assay::posix_shm>("assay-perf-" + std::to_string(::getpid()),
                                                   assay::posix_shm::size_for(data_bytes));
    made->unlink();
    return made;
}

template <class Structure>
struct on_memory {
    static constexpr std::string_view name = "assay";
    static std::size_t bytes(std::size_t capacity) { return Structure::size_bytes(capacity); }
    static void format(void* memory, std::size_t capacity) { Structure::format(memory, capacity); }
};

template <class T>
struct assay_queue : on_memory<assay::queue<T>> {
    static constexpr unsigned producers = many, consumers = many;
    struct user {
        user(void* memory, std::size_t capacity) : all(memory, capacity, me) {}
        bool put(const T& x) { return all.enqueue(x); }
        bool take(T& x) { return all.dequeue(x); }
        std::size_t put_bulk(std::span<const T> x) { return all.enqueue_bulk(x); }
        std::size_t take_bulk(std::span<T> x) { return all.dequeue_bulk(x); }
        member me;
        assay::queue<T> all;
    };
};

template <class T>
struct assay_ring_buffer : on_memory<assay::ring_buffer<T>> {
    static constexpr unsigned producers = 1, consumers = 1;
    struct user {
        user(void* memory, std::size_t capacity) : all(memory, capacity, me) {}
        bool put(const T& x) { return all.push(x); }
        bool take(T& x) { return all.pop(x); }
        std::size_t put_bulk(std::span<const T> x) { return all.push_bulk(x); }
        std::size_t take_bulk(std::span<T> x) { return all.pop_bulk(x); }
        member me;
        assay::ring_buffer<T> all;
    };
};

struct assay_object_pool : on_memory<assay::object_pool<item<64>>> {
    using pool = assay::object_pool<item<64>>;
    struct user {
        user(void* memory, std::size_t capacity) : all(memory, capacity, me) {}
        // The handle waits in the object, whose line every user touches anyway.
        void* acquire() {
            const auto h = all.acquire();
            if (h == pool::invalid_handle) return nullptr;
            return ::new (static_cast<void*>(&all[h])) pool::handle_type(h);
        }
        void release(void* object) { all.release(*static_cast<pool::handle_type*>(object)); }
        member me;
        pool all;
    };
};

}  // namespace assay_perf
