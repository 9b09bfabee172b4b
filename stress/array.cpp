// array.cpp -- one array, created by all at once, written by each in its own places and read by all.
#include <assay/array.hpp>
#include <assay/posix_shm.hpp>

#include <atomic>

#include "stress/broken.hpp"
#include "stress/harness.hpp"
#include "stress/payload.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;
using element = stamped<2>;

// Places of the one, taken for those of another when the stride is wrong.
template <unsigned Overlap>
void everybody_has_the_same_array(context& c) {
    struct book {
        std::atomic<std::uint64_t> round;
        std::atomic<bool> over;
    };
    const std::string name = c.segment("array");
    while (const auto e = c.next()) {
        const unsigned n = e->processes;
        const std::uint64_t count = n * (1 + e->seed % 50);
        posix_shm keep(name, posix_shm::size_for(1 << 20));
        const shared<book> b;
        team::rules r;
        r.mortal = false;  // the workers meet
        r.lock_free = false;
        team(
            *e, n,
            [&](worker& w) {
                posix_shm segment(name);
                for (bool over = false; !over; over = b->over) {
                    const std::uint64_t round = b->round;
                    w.meet();
                    w.op("create", round);
                    assay::array<element> all(segment, "array", count);
                    const bool fresh = all.front().number == 0;
                    w.meet();
                    if (!fresh) fail("a new array is not empty");
                    w.op("write", round);
                    for (std::uint64_t i = w.index; i < count; i += n - Overlap)
                        all[i] = element::make(w.index, round + i + 1);
                    w.meet();
                    w.op("read", round);
                    for (std::uint64_t i = 0; i < count; ++i)
                        if (!all.at(i).whole() || all[i].from != i % n ||
                            all[i].number != round + i + 1)
                            fail("element %llu is not what its writer wrote",
                                 (unsigned long long)i);
                    w.meet();
                    if (w.index == 0) {
                        all.fill(element{});
                        if (round % 4 == 3) segment.get_table()->erase("array");
                        ++b->round;
                        b->over = !w.running();
                    }
                    w.meet();
                }
            },
            r)
            .run();
    }
}

const enlist checks{
    {"array/everybody_has_the_same_array",
     "all create it at once, each writes its own elements, all read all of them", "operations",
     everybody_has_the_same_array<0>},
    {"array/canary_writes_to_anothers_elements",
     "the stride is one too small",
     "operations",
     everybody_has_the_same_array<1>,
     1,
     {"not what its writer wrote"}},
};

}  // namespace
}  // namespace assay_stress
