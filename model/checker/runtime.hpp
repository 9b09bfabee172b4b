// runtime.hpp -- runs the program once, along a graph and then beyond it.
//
// Each process is a fiber. One run has two phases:
//
//   replay    every process goes as far as the graph knows it. Each access must be the one that
//             the graph has there (if not, the program is not deterministic, and that is an
//             error); a read waits until the process that wrote its value has got past that
//             write. This order matters only to plain memory, which is not in the graph.
//   forward   the leftmost process that can goes on until it ends or blocks, then the next; each
//             access adds an event, and leaves what else could have happened to the search.
//
// Which process goes first is a function of the graph alone. Nothing that happens in the forward
// phase can unblock a process: a write that it was waiting for *revisits* its read, in another
// run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "fiber.hpp"
#include "race.hpp"
#include "search.hpp"
#include "site.hpp"
#include "snapshot.hpp"
#include "trace.hpp"
#include "verdict.hpp"

namespace assay::checker {

// One access to shared memory as the program makes it.
struct request {
    kind what = kind::read;
    op operation = op::none;
    until condition = until::none;
    order success = order::relaxed;
    order failure = order::relaxed;
    std::uint8_t size = 8;
    std::uint8_t flags = 0;
    location_id loc = 0;
    value operand = 0;
    value expected = 0;
};

struct answer {
    value seen = 0;
    bool succeeded = false;
};

struct run_options {
    std::size_t max_events = 400;  // per process, against loops without end
    bool check_races = true;
    // Also between two plain writes, not only between two atomic ones.
    bool crash_between_plain_writes = true;
    std::uint32_t left_out = 0;     // processes that never start: one bit each
    bool break_on_failure = false;  // raise SIGTRAP where a failure is found, for a debugger
};

class runtime {
public:
    enum class state : std::uint8_t {
        waiting,  // has more to do: at the end of the graph, or waits for another's replay
        finished,
        blocked,  // at an event that blocks
        crashed,
        bounded,  // has reached max_events
    };
    struct body {
        void (*call)(void*);
        void* argument;
    };

    runtime(std::size_t processes, const run_options& options, site_table& sites);
    ~runtime();
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;

    // Runs these processes along the search's current graph and beyond. Afterwards state_of tells
    // how each ended. Stops early when something failed. `variables`: what the processes can change
    // besides shared memory, their own stacks and the heap.
    void run(search& s, std::span<const body> processes, std::span<const std::byte> variables = {});
    // The next run goes on from the search's graph with the choices of this guide, and ends with
    // them; the search keeps the graph. Data races on the way are not looked at. Null: an ordinary
    // run again.
    void follow(guide* choices) { guide_ = choices; }
    // Runs write down what the processes do, until null.
    void record(trace* to) { trace_ = to; }
    // The part of the search's graph that the latest run started from.
    [[nodiscard]] const clock& started_from() const noexcept { return started_from_; }
    [[nodiscard]] state state_of(std::size_t p) const { return processes_[p].is; }
    [[nodiscard]] bool complete() const;
    [[nodiscard]] const std::optional<failure>& failed() const noexcept { return failed_; }
    void fail(verdict what, const std::string& message);
    void forget_failure() { failed_.reset(); }

    // --- called by the program, inside a process
    [[nodiscard]] static runtime* current() noexcept { return current_; }
    [[nodiscard]] std::size_t self() const noexcept { return self_; }
    // Process p is one of several identical ones, and that is made use of.
    [[nodiscard]] bool identical(std::size_t p) const noexcept {
        const process_groups& groups = search_->allowed().identical;
        return p < groups.size() && groups[p] != 0;
    }

    answer perform(const request& r, const place& at);
    // `frames`: where the program's frames end, as assay_fiber_here says.
    void pause(const void* frames);
    // Calls f(argument) until it returns true. A lap that ends without having changed anything
    // blocks the process: another one would be the same (see scenario.hpp, await). If f does not
    // remember its laps, what they leave on the stack does not count.
    void repeat(bool (*f)(void*), void* argument, bool remembers);
    // The process has made a note outside its own stack. It can die right after this, too.
    void end_operation();
    // A read that blocks its process unless the value satisfies the request's condition.
    answer await(const request& r, const place& at);
    // Ends this process for the rest of the run.
    [[noreturn]] void block();
    // A mark at the current place in the program: how many events, and what is known there.
    [[nodiscard]] clock known() const;
    [[nodiscard]] std::size_t position() const { return processes_[self_].position; }
    // A read or a write of plain memory. `offset` is for those who look at the trace.
    void plain(kind what, cell_id c, const place& at, std::uint32_t offset = 0);
    void initialise(cell_id c) {
        const own_allocations guard;
        races_.initialise(c);
    }
    void forget_races() { races_.reset(); }
    // Nothing else runs: this access leaves no event. It is noted as a place in the source.
    void note_alone(const request& r, const place& at);
    // Reports a failure and ends the run.
    [[noreturn]] void stop(verdict what, const std::string& message);

    [[nodiscard]] bool sleep(location_id sleepers, location_id word, value seen, bool timed,
                             const place& at);
    int wake(location_id sleepers, int n, const place& at);
    [[nodiscard]] bool alive(std::size_t p, const place& at);

    struct statistics {
        std::uint64_t accesses = 0;  // modelled, in all runs
    };
    [[nodiscard]] const statistics& stats() const noexcept { return stats_; }

private:
    struct process {
        fiber context;
        state is = state::finished;
        std::uint16_t position = 0;    // events done in this run
        event_id waits_for = initial;  // this write, which another one is to replay
        const body* run = nullptr;
        runtime* owner = nullptr;
        bool pausing = false;
        bool pause_is_new = false;        // not replayed
        bool changed = false;             // something, since the last pause
        bool lap_changed = false;         // something, since its lap began
        bool loops = false;               // has paused, or begun a lap: is watched
        std::uint32_t timed_out_for = 0;  // deaths that already ended a sleep of this process
        const void* paused_at = nullptr;
        snapshot frames;      // at the last pause
        snapshot lap_frames;  // when its lap began
        snapshot variables;   // when its turn or lap began
    };

    void replay_graph();
    void follow_guide();
    [[nodiscard]] bool can_die_here() const;
    [[nodiscard]] bool on_turn() const;
    [[nodiscard]] bool wakes_by_itself(process& p);
    void note(event_id id);
    void note(const race_detector::access& a, cell_id c, std::uint32_t offset);
    void end_if_dead(const process& p, const event& next);
    static void enter(void* argument);
    void resume(std::size_t p);
    void leave(state how);
    void add_pause(std::uint8_t flags = 0);
    void compare_states(process& p);
    void next_lap(const void* frames, bool remembers);
    void block_if(process& p, bool same_state);
    void changes(process& p) { p.changed = p.lap_changed = true; }
    void look_for_changes(process& p);
    void start_event(process& p);

    [[nodiscard]] const graph& g() const noexcept { return *graph_; }
    answer replay(process& p, const request& r, const place& at);
    answer extend(process& p, const request& r, const place& at);
    answer done(process& p, const event& e, event_id id);
    [[nodiscard]] bool has_to_wait_for(event_id w) const;
    void wait_for(event_id w);
    void reach_the_end_of_the_graph();
    void offer_crash();
    void point();
    void check_written(const event& read);
    void check_race(race_detector::outcome o, const race_detector::access& mine,
                    const race_detector::access& other);
    [[nodiscard]] std::string where(site_id s) const;
    [[noreturn]] void not_identical(const event& mine, const event& twins);
    [[noreturn]] void differs(const process& p, const event& expected, const request& r,
                              const place& at);

    static constinit thread_local runtime* current_;

    std::vector<process> processes_;
    std::size_t self_ = 0;
    search* search_ = nullptr;
    const graph* graph_ = nullptr;  // of this run
    bool forward_ = false;
    run_options options_;
    site_table* sites_table_;
    site_cache sites_;
    race_detector races_;
    std::span<const std::byte> variables_;
    std::optional<failure> failed_;
    statistics stats_;
    guide* guide_ = nullptr;
    trace* trace_ = nullptr;
    clock started_from_;
};

}  // namespace assay::checker
