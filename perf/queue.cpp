// queue.cpp -- the queue beside other queues of many producers and consumers.
#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/latency.hpp"
#include "perf/peers/peers.hpp"

namespace assay_perf {
namespace {

template <class T>
using rivals = joined<contenders<assay_queue<T>>, fifo_peers<T>>;

template <class T>
void add_payload(plan& p, std::size_t capacity, std::size_t batch) {
    for (const auto& pair : pairs())
        add_throughput<T>(p, "queue", {1, 1, capacity, batch, waits::spin, pair},
                          limit_of_transport(sizeof(T), capacity, pair), rivals<T>{},
                          side::several);
    for (unsigned n = 2; n <= std::max<std::size_t>(2, allowed_cpus().size() / 2); n *= 2)
        if (allowed_cpus().size() > 1)
            add_throughput<T>(p, "queue", crowd(n, capacity, batch),
                              fetch_add_limit(pairs().front()), rivals<T>{}, side::several);
}

const enlist rows([](plan& p) {
    for (const auto& pair : pairs())
        add_latency<item<8>>(p, "queue", pair, rivals<item<8>>{}, side::several);
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
