// sample.hpp -- some executions of a program, taken by chance: for sizes beyond exploration.
//
// An execution is made event by event: which process is next, which write a read sees or a write
// is placed after, who dies or is woken for no reason. Then it runs again along its graph, as in an
// exploration, with all checks; so a failure has a script like any other. A process that waits for
// what has been overtaken meanwhile goes back to where it began to wait, as if it had not looked.
//
// Nothing is proved: the verdict is a failure, or bounded.
#pragma once

#include <cstdint>

#include "explore.hpp"

namespace assay::checker {

enum class strategy : std::uint8_t {
    walk,  // all choices by chance, each process as likely as the others
    // Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010):
    // the process with the highest priority goes on, and reads see the latest write. At depth - 1
    // events, chosen by chance, its priority becomes the lowest, or the event chooses by chance
    // (as in PCTWM: Gao, Chakraborty, Kulahcioglu Ozkan, ASPLOS 2023). A bug that needs no more is
    // found with probability of at least 1 / (processes * events ^ (depth - 1)) by each sample.
    pct,
};

struct sampling {
    std::uint64_t samples = 0;
    std::uint64_t seed = 0;
    strategy how = strategy::walk;
    unsigned depth = 3;
};

// In one thread. `distinct` of the result: how many different executions it has met.
[[nodiscard]] result sample(std::size_t processes, const subject_maker& make, const settings& how,
                            const sampling& which);

}  // namespace assay::checker
