// queue.cpp -- the queue beside other queues of many producers and consumers.
#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/rivals.hpp"

namespace assay_perf {
namespace {

template <class T>
void add_rivals(plan& p, const traffic& t, const std::string& limit) {
    add_throughput<T>(p, "queue", t, limit, contenders<assay_queue<T>>{}, side::several);
    add_throughput<T>(p, "queue", t, limit, fifo_peers<T>{}, side::several);
}

template <class T>
void add_payload(plan& p, std::size_t capacity, std::size_t batch) {
    for (const auto& pair : pairs())
        add_rivals<T>(p, {1, 1, capacity, batch, waits::spin, pair},
                      limit_of_transport(sizeof(T), capacity, pair));
    for (unsigned n = 2; n <= std::max<std::size_t>(2, allowed_cpus().size() / 2); n *= 2)
        if (allowed_cpus().size() > 1) add_rivals<T>(p, crowd(n, capacity, batch), "");
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
