// object_pool.cpp -- acquire and release of objects of 64 bytes, beside other pools.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/peers/peers.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

constexpr std::size_t most_held = 32;

// Each object that is held has its holder's mark: an object that two hold at once is noticed.
template <class C>
outcome pairs_of(const std::vector<int>& cpus, std::size_t held, double seconds) {
    const arena<C> place(few);
    return each(run_team(cpus, seconds, [&](worker& w) {
        auto& user = place.enter();
        std::array<item<64>*, most_held> mine{};
        w.meet();
        std::uint64_t n = 0;
        while (w.running(n)) {
            for (std::size_t i = 0; i < held; ++i) {
                mine[i] = static_cast<item<64>*>(user.acquire());
                if (mine[i] == nullptr) w.fail("none of %zu objects is free", few);
                mine[i]->word[7] = label(w.index, n + i);
            }
            keep(mine);
            for (std::size_t i = 0; i < held; ++i) {
                if (mine[i]->word[7] != label(w.index, n + i))
                    w.fail("an object was handed out twice");
                user.release(mine[i]);
            }
            n += held;
        }
    }));
}

template <class... Cs>
void add(plan& p, contenders<Cs...> all, const std::vector<int>& cpus, std::size_t held) {
    each(all, [&]<class C>() {
        static_assert(pool_contender<C>);
        p.add({.name = "object_pool/throughput/" + processes(cpus) + "/64B/cap" +
                       std::to_string(few) + "/held" + std::to_string(held) + "/" + placement(cpus),
               .structure = "object_pool",
               .kind = "throughput",
               .contender = std::string(C::name),
               .parameters = {{"processes", cpus.size()},
                              {"payload", 64},
                              {"capacity", few},
                              {"held", held},
                              {"placement", placement(cpus)}},
               .unit = "ns/pair",
               .limit = two_locked_limit,
               .cpus = cpus,
               .run = [=](double seconds) { return pairs_of<C>(cpus, held, seconds); }});
    });
}

const enlist rows([](plan& p) {
    for (const auto& cpus : teams())
        for (const std::size_t held : {std::size_t{1}, most_held}) {
            add(p, contenders<assay_object_pool>{}, cpus, held);
            add(p, pool_peers{}, cpus, held);
        }
});

}  // namespace
}  // namespace assay_perf
