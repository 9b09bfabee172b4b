// queue.cpp -- the queue beside other queues of many producers and consumers.
#include <cstdint>
#include <string>
#include <vector>

#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/latency.hpp"
#include "perf/peers/peers.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

template <class T>
using rivals = joined<contenders<assay_queue<T>>, fifo_peers<T>>;

template <class T>
void add_payload(plan& p, std::size_t capacity, std::size_t batch) {
    for (const auto& pair : pairs()) {
        const traffic t{1, 1, capacity, batch, waits::spin, pair};
        const std::string limit = limit_of_transport(sizeof(T), capacity, pair);
        add_throughput<T>(p, "queue", t, limit, rivals<T>{}, side::several);
        if (capacity == few)
            add_throughput<T>(p, "queue", t, limit, waiting_peers<T>{}, side::single);
    }
    for (unsigned n = 2; n <= std::max<std::size_t>(2, allowed_cpus().size() / 2); n *= 2)
        if (allowed_cpus().size() > 1)
            add_throughput<T>(p, "queue", crowd(n, capacity, batch),
                              fetch_add_limit(pairs().front()), rivals<T>{}, side::several);
}

// One process alone puts an element in and takes it out again.
template <class C>
outcome pair_alone(const std::vector<int>& cpus, double seconds) {
    const arena<C> place(few);
    return each(repeat(cpus, seconds, [&](worker& w) {
        return [&w, &user = place.enter()](std::uint64_t n) {
            item<8> x;
            x.set(label(w.index, n));
            if (!user.put(x) || !user.take(x) || x.value() != label(w.index, n))
                w.fail("what went in did not come out");
        };
    }));
}

void add_pairs_alone(plan& p) {
    each(rivals<item<8>>{}, [&]<class C>() {
        if (C::producers == many && C::consumers == many)
            p.add(of_row("queue", "pair/8B/cap" + std::to_string(few), teams().front(),
                         two_locked_limit, std::string(C::name),
                         [](double seconds) { return pair_alone<C>(teams().front(), seconds); }));
    });
}

const enlist rows([](plan& p) {
    add_pairs_alone(p);
    for (const auto& pair : pairs()) {
        add_ping_pong<item<8>>(p, "queue", pair, rivals<item<8>>{}, side::several);
        add_ping_pong<item<8>>(p, "queue", pair, ping_pong_peers<item<8>>{}, side::single);
        add_open_loop<item<8>>(p, "queue", pair, rivals<item<8>>{}, side::several);
    }
    each_load([&]<class T>(std::size_t capacity, std::size_t batch) {
        add_payload<T>(p, capacity, batch);
    });
});

}  // namespace
}  // namespace assay_perf
