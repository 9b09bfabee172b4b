// symmetry.hpp -- of executions that differ only in who of several identical processes is who,
// one is enough.
//
// Processes are identical when they run copies of one function that does not know its number
// (scenario::identical). Exchanging two of them in an execution graph gives an execution graph, so
// the search builds only those in which they stand in order: where two identical processes first
// differ, the one with the lower number has chosen the older write (reads: in mo; writes: its
// place in mo; one that dies there comes first of all).
//
// To reach each such graph once, without the others on the way, that order is part of causality:
// an event comes after the same event of the process before it, as long as the two have not
// differed. Then nobody is ever ahead of a lower twin, what the search adds by itself (the latest
// write) is always in order, and a revisit never removes what a higher twin is measured by. The
// idea to extend the causal prefix so is that of SPORE (Kokologiannakis, Marmanis, Vafeiadis:
// "SPORE: Combining symmetry and partial order reduction", PLDI 2024).
//
// Causality and modification order can contradict each other, through relaxed accesses only: a
// process reads what was written because of its twin's read, and that is older in mo than what the
// twin saw. The order above is then a cycle, and the graph would be missed. The search notices
// when it leaves out a choice for which this is so, and the exploration starts again without the
// reduction (explore.cpp).
#pragma once

#include <cstdint>
#include <vector>

#include "graph.hpp"

namespace assay::checker {

// For each process the number of its group of identical ones; 0: no other is like it.
using process_groups = std::vector<std::uint8_t>;

class symmetry {
public:
    explicit symmetry(process_groups groups) : groups_(std::move(groups)) {}

    [[nodiscard]] bool in_use() const noexcept { return !groups_.empty(); }
    [[nodiscard]] bool identical(std::size_t process) const noexcept {
        return process < groups_.size() && groups_[process] != 0;
    }
    // The event that e is measured by: that of the nearest lower twin which has done the same
    // before it. `initial` if there is none.
    [[nodiscard]] event_id twin(const graph& g, event_id e) const;
    // The lowest position in mo that an event with this twin may read, or be placed after.
    [[nodiscard]] static std::size_t lowest(const graph& g, event_id twin);
    // Adds the twin, and what it comes after, to what e comes after.
    void order(graph& g, event_id e) const;
    // How many graphs the exchanges of identical processes make of this one, itself included.
    [[nodiscard]] std::uint64_t orbit(const graph& g) const;

private:
    process_groups groups_;
};

}  // namespace assay::checker
