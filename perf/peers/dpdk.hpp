// dpdk.hpp -- rte_ring of DPDK (libdpdk-dev), its headers only: neither its environment nor its
// libraries, so that the ring is filled in here, as rte_ring_init() documents it.
#pragma once

#include <rte_config.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

// A power of two of slots, one of which stays empty.
template <class T, rte_ring_sync_type Sync>
struct rte_ring_of {
    static_assert(sizeof(T) % 4 == 0);
    static constexpr bool one = Sync == RTE_RING_SYNC_ST;
    static constexpr std::string_view name = one ? "rte_ring sp/sc" : "rte_ring mp/mc";
    static constexpr unsigned producers = one ? 1 : many, consumers = producers;

    static std::size_t bytes(std::size_t capacity) {
        return sizeof(rte_ring) + capacity * sizeof(T);
    }
    static void format(void* memory, std::size_t capacity) {
        auto* ring = new (memory) rte_ring{};
        ring->size = static_cast<std::uint32_t>(capacity);
        ring->mask = ring->capacity = ring->size - 1;
        ring->prod.sync_type = ring->cons.sync_type = Sync;
    }

    struct user {
        user(void* memory, std::size_t) : ring(static_cast<rte_ring*>(memory)) {}
        bool put(const T& value) { return enqueue(&value, 1) == 1; }
        bool take(T& value) { return dequeue(&value, 1) == 1; }
        std::size_t put_bulk(std::span<const T> values) {
            return enqueue(values.data(), values.size());
        }
        std::size_t take_bulk(std::span<T> values) { return dequeue(values.data(), values.size()); }

    private:
        unsigned enqueue(const T* from, std::size_t n) {
            const auto f = one ? rte_ring_sp_enqueue_burst_elem : rte_ring_mp_enqueue_burst_elem;
            return f(ring, from, sizeof(T), static_cast<unsigned>(n), nullptr);
        }
        unsigned dequeue(T* to, std::size_t n) {
            const auto f = one ? rte_ring_sc_dequeue_burst_elem : rte_ring_mc_dequeue_burst_elem;
            return f(ring, to, sizeof(T), static_cast<unsigned>(n), nullptr);
        }
        rte_ring* ring;
    };
};

template <class T>
using rte_ring_spsc = rte_ring_of<T, RTE_RING_SYNC_ST>;
template <class T>
using rte_ring_mpmc = rte_ring_of<T, RTE_RING_SYNC_MT>;

}  // namespace assay_perf::peers
