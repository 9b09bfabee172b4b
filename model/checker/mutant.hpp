// mutant.hpp -- deliberate mistakes of the checker, to prove that its tests would notice one.
//
// Compiled in only with -DASSAY_CHECKER_MUTANTS, and then chosen at run time; model/tests kills
// each of them. The numbers are those of the table in model/README.md.
#pragma once

namespace assay::checker {

enum class mutant {
    none = 0,
    no_rf_in_previous = 1,        // equivalent: such a write is itself deleted (see search.cpp)
    delete_read_writes = 2,       // a deleted write may be read by an event that stays
    delete_stale_reads = 3,       // a deleted read may read something older than the latest
    maximal_ignores_prefix = 4,   // "latest" is judged without the revisiting write's prefix
    taken_rmw_is_dropped = 5,     // an RMW that reads a taken write revisits nothing
    no_psc_fences = 6,            // psc_F is empty
    revisit_stale_reads = 7,      // the revisited read need not be maximal itself
    revisit_from_everywhere = 8,  // a write placed in the middle of mo revisits again
    revisit_ignores_bound = 9,    // coherence of the revisited read is not enforced
    crash_is_deletable = 10,      // a crash counts as a choice that the search may undo
    spurious_is_deletable = 11,   // so does a spurious failure
    failed_cas_keeps_order = 12,  // a failed compare-exchange uses its success order
    forward_splits_rmw = 13,      // a new write may be placed between the halves of an RMW
    scb_whole_hb = 14,            // scb contains hb instead of hb|loc
    no_rmw_release_chain = 15,    // an RMW does not carry on the release sequence it reads
    revisit_splits_rmw = 16,      // as 13, for a write that revisits
    no_psc_after_revisit = 17,    // the graph made by a revisit is not checked for psc
    bound_ignores_reads = 18,     // coherence: what the process read does not count as known
    acquire_fence_is_empty = 19,  // an acquire fence acquires nothing
    psc_base_without_fence_right = 20,  // no hb?;[Fsc] at the right end of psc_base
    skip_instead_of_stop = 21,          // a revisit steps over events that are not maximal
    no_order_of_twins = 22,             // a process may be ahead of one identical to it
    any_choice_of_twins = 23,           // an identical process may choose before the one before it
    symmetry_never_misleads = 24,       // causality against modification order is not noticed
    sleeps_anyway = 25,                 // falling asleep does not compare the futex word
    waking_is_deletable = 26,           // a wake for no reason counts as a choice to be undone
    dies_in_the_queue = 27,             // who wakes by itself can die before it leaves the queue
    looks_too_early = 28,               // a wake may come between comparing and falling asleep
};

#if defined(ASSAY_CHECKER_MUTANTS)
inline mutant active_mutant = mutant::none;
inline bool is(mutant m) noexcept { return active_mutant == m; }
#else
constexpr bool is(mutant) noexcept { return false; }
#endif

}  // namespace assay::checker
