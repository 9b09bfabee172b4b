// oracle.hpp -- all RC11-consistent executions of a tiny program, by brute force.
//
// Independent of the engine: no clocks, no revisits, nothing incremental. It builds every graph
// event by event: each thread's next event, reading from every write there is, at every place in
// mo; and asks the axioms (axioms.hpp).
#pragma once

#include "program.hpp"

namespace assay::proof::oracle {

// Two shortcuts make the brute force fast enough for many thousand programs. Each can be switched
// off, and tests compare: the results must be the same.
struct shortcuts {
    // Drop a graph as soon as it is inconsistent: consistency is prefix-closed.
    bool prune_prefixes = true;
    // Reach each graph in one order only, the least that respects sb u rf (threads compared by
    // number), instead of in every interleaving with the repeated results dropped.
    bool one_interleaving = true;
};

// Does not report the same execution twice. Stops at the first data race. Programs of up to 64
// events (initial writes, and both halves of a read-modify-write, included).
summary enumerate(const program& p, const visitor& visit, shortcuts use);
summary enumerate(const program& p, const visitor& visit);

}  // namespace assay::proof::oracle
