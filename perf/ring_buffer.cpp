// ring_buffer.cpp -- the ring buffer beside other rings of one producer and one consumer.
#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/latency.hpp"
#include "perf/peers/peers.hpp"

namespace assay_perf {
namespace {

template <class T>
using rivals = joined<contenders<assay_ring_buffer<T>>, fifo_peers<T>>;

template <class T>
void add_payload(plan& p, std::size_t capacity, std::size_t batch) {
    for (const auto& pair : pairs()) {
        const traffic t{1, 1, capacity, batch, waits::spin, pair};
        const std::string limit = limit_of_transport(sizeof(T), capacity, pair);
        add_throughput<T>(p, "ring_buffer", t, limit, rivals<T>{}, side::single);
    }
}

const enlist rows([](plan& p) {
    for (const auto& pair : pairs()) {
        add_ping_pong<item<8>>(p, "ring_buffer", pair, rivals<item<8>>{}, side::single);
        add_open_loop<item<8>>(p, "ring_buffer", pair, rivals<item<8>>{}, side::single);
    }
    each_load([&]<class T>(std::size_t capacity, std::size_t batch) {
        add_payload<T>(p, capacity, batch);
    });
});

}  // namespace
}  // namespace assay_perf
