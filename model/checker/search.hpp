// search.hpp -- which execution graphs to build, each exactly once.
//
// TruSt: Kokologiannakis, Marmanis, Gladstein, Vafeiadis: "Truly stateless, optimal dynamic
// partial order reduction", POPL 2022. In short: run the program once, always taking the latest
// write. Each event that had another choice leaves an *item*: another write for the read, another
// place in mo for the write; and each write offers itself to the older reads of its location
// that could not see it (a *revisit*, which removes what those reads may have caused). An item is
// taken only if everything that it removes is what the search would add again by itself, with the
// latest write everywhere; so exactly one of the ways to reach a graph is ever taken, and the
// program runs once per execution.
//
// This file knows neither programs nor fibers: the runtime says which event a process wants to
// add, and gets the event back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "graph.hpp"
#include "guide.hpp"
#include "mutant.hpp"
#include "rc11.hpp"
#include "symmetry.hpp"

namespace assay::checker {

// What the explored model allows beyond the memory model itself.
struct rules {
    release_sequence sequence = release_sequence::cpp20;
    int crashes = 0;                       // processes that may die
    std::uint32_t may_crash = 0xffffffff;  // which: one bit per process
    bool crash_at_every_event = false;     // also where it cannot be told apart (for the tests)
    int spurious_failures = 0;             // weak compare-exchanges that fail for no reason
    int spurious_wakes = 0;                // waits that end although nobody woke them
    bool filter_waits = true;              // a waiting read considers only writes that end its wait
    process_groups identical{};            // empty: all are different (symmetry.hpp)
};

class search {
public:
    search(std::size_t processes, const location_table& locations, const rules& r);
    ~search();
    search(const search&) = delete;
    search& operator=(const search&) = delete;

    [[nodiscard]] const graph& current() const noexcept { return *top_; }
    [[nodiscard]] const rules& allowed() const noexcept { return rules_; }

    // --- the program runs: add an event of this process, as `like` describes it, to the graph.
    // Returns the event; for a read-modify-write, the read half (and the rest is there as well).
    event_id add(std::size_t process, const event& like);
    // Notes that the process stops at this pause, its last event.
    void mark_stuck(event_id e) { g()[e].flags |= stuck; }
    // Leaves an item: this process dies instead of doing what it adds next.
    void may_crash_here(std::size_t process);
    [[nodiscard]] std::size_t count(flag f) const;
    // What identical processes would do next must be the same as long as they have seen the same.
    // The twin's event that `like` would differ from, or null.
    [[nodiscard]] const event* differs_from_twin(std::size_t process, const event& like) const;
    // Graphs are missing, because causality and modification order contradict each other.
    [[nodiscard]] bool symmetry_misleads() const noexcept {
        return symmetry_misleads_ && !is(mutant::symmetry_never_misleads);
    }
    // How many executions the current one stands for.
    [[nodiscard]] std::uint64_t stands_for() const {
        return keeps_order_ ? symmetry_.orbit(current()) : 1;
    }

    // --- to repeat an execution, or to take one by chance: what add() adds makes the guide's
    // choices, and leaves no items, until null.
    void follow(guide* choices);
    // Goes on from this graph, with nothing else to explore.
    void go_on_from(const graph& from);
    [[nodiscard]] bool can_crash(std::size_t process) const;
    [[nodiscard]] bool can_wake() const {
        return count(woken) < static_cast<std::size_t>(rules_.spurious_wakes);
    }
    void die(std::size_t process);             // now, instead of what the process would add
    void wake_by_itself(std::size_t process);  // the process, which sleeps

    // What was added last is not consistent, whatever it reads: the run is in vain.
    [[nodiscard]] bool dead_end() const noexcept { return dead_end_; }

    // --- the program has ended: go to the next graph. False: there is none left.
    [[nodiscard]] bool backtrack();

    [[nodiscard]] std::size_t open_items() const noexcept { return items_; }
    // The share of the whole exploration that is done, a guess: at each event the items that fork
    // off there, and going on, share equally what had come so far; an old one has much, a young one
    // little. (The weighted backtrack estimator: Kilby, Slaney,
    // Thiebaux, Walsh: "Estimating search tree size", AAAI 2006, after Knuth 1975.) Exact where the
    // same forks follow on each way; how far off otherwise, model/README.md says.
    [[nodiscard]] double explored() const noexcept { return explored_; }

    // --- to share the work: gives away the oldest open item, as a search of its own.
    struct item;
    struct task;
    [[nodiscard]] std::unique_ptr<task> split();
    // Starts from a task. False if its item leads to no consistent graph.
    [[nodiscard]] bool start(task t);

    struct statistics {
        std::uint64_t revisits = 0;
        std::uint64_t rejected = 0;   // items that led to an inconsistent graph
        std::size_t peak_items = 0;   // waiting at one time
        std::size_t peak_graphs = 0;  // nested copies
    };
    [[nodiscard]] const statistics& stats() const noexcept { return stats_; }

    struct item {
        enum class type : std::uint8_t { read, write, revisit, fail, wake, crash } what;
        event_id at;       // the event that changes
        event_id with;     // read: the write to read from; revisit: the write that revisits
        event_id after;    // write, revisit: the write to be placed after
        stamp s;           // the graph is first cut back to this
        double share = 0;  // of the whole exploration
    };
    struct task {
        graph g;
        item it;
    };

private:
    struct execution {
        std::unique_ptr<graph> g;
        std::vector<item> items;
    };

    [[nodiscard]] graph& g() noexcept { return *top_; }
    void push(std::unique_ptr<graph> copy);
    void pop();
    // Leaves an item, to be taken when the graph has been cut back to what it is now.
    void later(item it);

    // The position in mo that a new event reads or takes: the latest, which is never wrong, unless
    // a guide says otherwise. It is at least `bound`.
    [[nodiscard]] std::size_t choice(std::size_t bound, std::size_t last) {
        return guide_ == nullptr ? last : guide_->choose(bound, last);
    }
    [[nodiscard]] bool by_chance() const noexcept {
        return guide_ != nullptr && !guide_->insists();
    }
    void read_by_chance(event_id r, std::size_t bound, std::size_t last);
    void place_by_chance(event_id w, std::size_t bound, std::size_t last);
    // Sets the clocks of the newest event of its process.
    void settle(event_id e);
    [[nodiscard]] event_id twin_of_next(std::size_t process) const;
    // The positions in mo, from `known` on, that event e may choose: from this one on.
    [[nodiscard]] std::size_t lowest_choice(event_id e, location_id loc, std::size_t known);
    event_id add_read(std::size_t process, const event& like);
    event_id add_write(std::size_t process, const event& like);
    void set_source(event_id r, event_id w);
    [[nodiscard]] bool complete_rmw(std::size_t process);
    [[nodiscard]] bool consistent() { return sc_(g()); }
    [[nodiscard]] bool looked_in_time(event_id r) const;
    void look_again(event_id r);

    void revisit_from(event_id a);
    void offer(event_id a, event_id e, const clock& kept);
    [[nodiscard]] bool maximally_added(event_id e, const clock& prefix) const;
    [[nodiscard]] clock kept_by(event_id e, const clock& prefix) const;

    [[nodiscard]] stamp fork_of(const item& it) const;
    void share_out();
    [[nodiscard]] bool apply(const item& it);
    [[nodiscard]] bool apply_read(const item& it);
    [[nodiscard]] bool apply_write(const item& it);
    [[nodiscard]] bool apply_revisit(const item& it);
    [[nodiscard]] bool apply_failure(const item& it);
    [[nodiscard]] bool apply_wake(const item& it);
    [[nodiscard]] bool apply_crash(const item& it);

    std::unique_ptr<graph> new_graph();

    rules rules_;
    const location_table* locations_;
    std::size_t processes_;
    std::vector<execution> stack_;
    graph* top_ = nullptr;  // of the stack
    std::vector<std::unique_ptr<graph>> spare_graphs_;
    std::vector<std::vector<item>> spare_items_;
    std::size_t items_ = 0;
    std::size_t fresh_ = 0;  // of them: left since the last was taken
    double share_ = 1;       // what they share
    std::vector<std::pair<stamp, item*>> forks_;
    double explored_ = 0;
    sc_test sc_;
    symmetry symmetry_;
    bool dead_end_ = false;
    bool keeps_order_;  // among identical processes
    bool symmetry_misleads_ = false;
    guide* guide_ = nullptr;
    statistics stats_;
};

}  // namespace assay::checker
