// ring_buffer.cpp -- the ring buffer beside other rings of one producer and one consumer.
#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/rivals.hpp"

namespace assay_perf {
namespace {

template <class T>
void add_payload(plan& p, std::size_t capacity, std::size_t batch) {
    for (const auto& pair : pairs()) {
        const traffic t{1, 1, capacity, batch, waits::spin, pair};
        const std::string limit = limit_of_transport(sizeof(T), capacity, pair);
        add_throughput<T>(p, "ring_buffer", t, limit, contenders<assay_ring_buffer<T>>{},
                          side::single);
        add_throughput<T>(p, "ring_buffer", t, limit, fifo_peers<T>{}, side::single);
    }
}

const enlist rows([](plan& p) {
    for (const std::size_t batch : {std::size_t{1}, most_batch}) {
        add_payload<item<8>>(p, few, batch);
        add_payload<item<8>>(p, plenty, batch);
        add_payload<item<64>>(p, few, batch);
        add_payload<item<64>>(p, plenty, batch);
        add_payload<item<1024>>(p, few, batch);
    }
});

}  // namespace
}  // namespace assay_perf
