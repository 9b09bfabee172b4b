// program.hpp -- tiny concurrent programs, and what it means to enumerate their executions.
//
// Two independent enumerators implement the one signature at the end of this file: the oracle
// (oracle.cpp: brute force, axioms over relations) and the engine (engine.cpp: an adapter over the
// model checker). Both report executions as plain data in the same form; canonical() turns one
// into a string, so that two enumerations are compared as sets of strings. Nothing here knows
// anything about consistency.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace assay::proof {

using value = std::int32_t;  // every location holds a signed 32-bit word; arithmetic wraps
using order = std::memory_order;

inline constexpr order rlx = order::relaxed;
inline constexpr order acq = order::acquire;
inline constexpr order rel = order::release;
inline constexpr order acq_rel = order::acq_rel;
inline constexpr order sc = order::seq_cst;

inline constexpr int none = -1;  // no register
inline constexpr int registers_per_thread = 32;

// constant + r[a] + r[b]
struct operand {
    operand() = default;
    operand(value c) : constant(c) {}  // so that literals read as values
    operand(value c, int first, int second = none) : constant(c), a(first), b(second) {}
    value constant = 0;
    int a = none;
    int b = none;
    friend bool operator==(const operand&, const operand&) = default;
};

// Location base + r[index]. Atomic and plain locations are numbered separately, each from 0.
struct place {
    place() = default;
    place(int location) : base(location) {}
    place(int location, int register_index) : base(location), index(register_index) {}
    int base = 0;
    int index = none;
    friend bool operator==(const place&, const place&) = default;
};

enum class op : std::uint8_t {
    load,
    store,
    exchange,
    fetch_add,
    cas,       // strong: fails only on another value
    cas_weak,  // may also fail spuriously, while the program's budget lasts
    fence,
    await_eq,  // read until the value equals `arg`: one successful read, or blocked for ever
    await_ne,  // ... until it differs from `arg`
    wait,      // futex: sleep if the location holds `arg`, until woken
    wake,      // the `arg` that have slept there longest
    read,      // of plain data: concurrent with a write it is a data race
    write,     // to plain data
    skip_eq,   // skip the next `skip` instructions when r[into] == arg
    skip_ne,
};

struct instruction {
    op kind = op::load;
    place at{};
    order mode = rlx;     // compare-exchange: on success
    order failure = rlx;  // compare-exchange: on failure
    operand arg{};        // value stored, added, desired, awaited, compared
    operand expected{};   // compare-exchange
    int into = none;      // register that receives the value read (skip_*: the one compared)
    int won = none;       // register that receives 1 when a compare-exchange succeeded, else 0
    int skip = 0;
    friend bool operator==(const instruction&, const instruction&) = default;
};

// Instructions in the order of their C++ arguments; `into` first, as in an assignment.
inline instruction load(int into, place at, order mode) {
    return {.kind = op::load, .at = at, .mode = mode, .into = into};
}
inline instruction store(place at, operand v, order mode) {
    return {.kind = op::store, .at = at, .mode = mode, .arg = v};
}
inline instruction exchange(int into, place at, operand v, order mode) {
    return {.kind = op::exchange, .at = at, .mode = mode, .arg = v, .into = into};
}
inline instruction fetch_add(int into, place at, operand v, order mode) {
    return {.kind = op::fetch_add, .at = at, .mode = mode, .arg = v, .into = into};
}
inline instruction cas(int into, place at, operand expected, operand desired, order success,
                       order failure, int won = none) {
    return {.kind = op::cas,
            .at = at,
            .mode = success,
            .failure = failure,
            .arg = desired,
            .expected = expected,
            .into = into,
            .won = won};
}
inline instruction cas_weak(int into, place at, operand expected, operand desired, order success,
                            order failure, int won = none) {
    auto i = cas(into, at, expected, desired, success, failure, won);
    i.kind = op::cas_weak;
    return i;
}
inline instruction fence(order mode) { return {.kind = op::fence, .mode = mode}; }
inline instruction await_eq(int into, place at, operand v, order mode) {
    return {.kind = op::await_eq, .at = at, .mode = mode, .arg = v, .into = into};
}
inline instruction await_ne(int into, place at, operand v, order mode) {
    return {.kind = op::await_ne, .at = at, .mode = mode, .arg = v, .into = into};
}
inline instruction wait(place at, operand v) {
    return {.kind = op::wait, .at = at, .mode = acq_rel, .arg = v};
}
// `into`: how many there were.
inline instruction wake(int into, place at, operand count) {
    return {.kind = op::wake, .at = at, .mode = acq_rel, .arg = count, .into = into};
}
inline instruction read(int into, place at) { return {.kind = op::read, .at = at, .into = into}; }
inline instruction write(place at, operand v) { return {.kind = op::write, .at = at, .arg = v}; }
inline instruction skip_eq(int into, operand v, int count) {
    return {.kind = op::skip_eq, .arg = v, .into = into, .skip = count};
}
inline instruction skip_ne(int into, operand v, int count) {
    return {.kind = op::skip_ne, .arg = v, .into = into, .skip = count};
}

// Threads run in parallel from the start; there is no main thread and no join. Initial writes
// happen before everything.
struct program {
    std::vector<std::vector<instruction>> threads;
    std::vector<value> initial{};        // atomic locations; missing ones start at 0
    std::vector<value> initial_plain{};  // plain locations; missing ones start at 0
    // How many threads may die. A thread dies at its start or right after one of its own writes to
    // an atomic location (also its last one); at any other point nobody could tell the difference.
    int crashes = 0;
    int spurious_failures = 0;  // budgets of the whole program
    int spurious_wakes = 0;     // sleepers who go on although nobody woke them
    // The checker may explore one execution for all that differ only in which of several threads
    // with equal code is which. The oracle never does.
    bool reduce = false;
};

[[nodiscard]] std::string to_string(const program& p);
[[nodiscard]] int count_locations(const program& p);        // atomic; indexed places count their
[[nodiscard]] int count_plain_locations(const program& p);  // base: list the rest in `initial`
// Does it wait or wake? Then each atomic location l has a queue of sleepers: the location
// count_locations + l in executions.
[[nodiscard]] bool has_sleepers(const program& p);

// Executes one thread of a program, leaving the memory to its owner:
//     while (auto step = t.next()) { ... perform *step ...; t.done(value_read, won); }
class interpreter {
public:
    // An instruction with all operands evaluated.
    struct step {
        op kind;
        int location;
        order mode;
        order failure;
        value arg;
        value expected;

        [[nodiscard]] bool is_rmw() const {
            return kind == op::exchange || kind == op::fetch_add || is_cas();
        }
        [[nodiscard]] bool is_cas() const { return kind == op::cas || kind == op::cas_weak; }
        [[nodiscard]] bool is_await() const { return kind == op::await_eq || kind == op::await_ne; }
        [[nodiscard]] bool is_futex() const { return kind == op::wait || kind == op::wake; }
        [[nodiscard]] bool is_plain() const { return kind == op::read || kind == op::write; }
        // What a store or a successful read-modify-write of `old` writes.
        [[nodiscard]] value written(value old) const;
        // Whether an await is satisfied by `v`.
        [[nodiscard]] bool satisfied(value v) const { return (v == arg) == (kind == op::await_eq); }
    };

    explicit interpreter(const std::vector<instruction>& code) : code_(&code) {}

    // The next memory access or fence; nothing at the end of the thread. Does not advance.
    [[nodiscard]] std::optional<step> next();
    // The access took place: it read `v` (ignored by writes and fences); `won`: a compare-exchange
    // succeeded.
    void done(value v = 0, bool won = false);

    using register_file = std::array<value, registers_per_thread>;
    [[nodiscard]] const register_file& registers() const { return registers_; }

private:
    [[nodiscard]] value evaluate(const operand& o) const;

    const std::vector<instruction>* code_;
    std::size_t at_ = 0;
    register_file registers_{};
};

// ------------------------------------------------------------------------------------------------
// Executions.

// Events are named by thread and index in program order; a read-modify-write is one event, plain
// accesses are none. A wait is two: the load of the location, with which it compares, and the update
// of the queue of sleepers (thread + 1 each, the longest sleeper in the lowest four bits). If it sleeps, a third follows: the load of a queue that it is not in, or the update that takes it
// out of it because it woke by itself. The initial write of a location is `initial_write`.
struct event_name {
    int thread = -1;
    int index = 0;
    friend bool operator==(const event_name&, const event_name&) = default;
};
inline constexpr event_name initial_write{};

enum class event_kind : std::uint8_t { load, store, update, fence };

struct event {
    event_kind kind = event_kind::load;
    order mode = rlx;  // of the instruction; a failed compare-exchange is a load with `failure`
    int location = 0;
    value read = 0;         // load, update
    value written = 0;      // store, update
    event_name from{};      // load, update: the write it reads
    bool spurious = false;  // load by a compare-exchange that failed although the value matched
};

// How a thread ended; `blocked`: its last event is an await's load of a value it does not want, or
// a sleeper's load of a queue that it is in.
enum class fate : std::uint8_t { finished, blocked, crashed };

struct thread_run {
    std::vector<event> events;
    fate end = fate::finished;
    interpreter::register_file registers{};  // follows from the events; not part of the identity
};

// What a checker has to say of an execution that is stuck.
enum class complaint : std::uint8_t { nothing, deadlock, lost_wake_up, blocked_by_dead };

struct execution {
    std::vector<thread_run> threads;
    std::vector<std::vector<event_name>> mo;  // per atomic location, without the initial write
    complaint verdict = complaint::nothing;

    [[nodiscard]] bool is_complete() const;  // nobody is blocked
    // Somebody is blocked, and every blocked thread reads the mo-last write of its location: time
    // alone helps nobody. (Other executions with blocked threads are mere artefacts of a search.)
    [[nodiscard]] bool is_stuck() const;
    [[nodiscard]] value final_value(const program& p, int location) const;
};

// One line per thread, one per location that is written:
//   T0: W l0 rlx 1; R l1 acq 0 <- init; U l0 acq_rel 1 -> 2 <- T0.0; F sc; crashed
//   mo l0: T0.0 T0.2
// Two executions are the same if and only if these strings are equal.
[[nodiscard]] std::string canonical(const execution& x);

// ------------------------------------------------------------------------------------------------
// Enumerating.

struct summary {
    std::uint64_t complete = 0;  // executions visited that are complete
    std::uint64_t stuck = 0;     // ... that are stuck
    std::uint64_t blocked = 0;   // all those met with a blocked thread; depends on the enumerator
    bool race = false;           // two plain accesses race; the rest is then unspecified
    // Executions that the complete ones stand for, if reduced; and whether that was of no use.
    std::uint64_t stands_for = 0;
    bool misled = false;
};

// Called once per complete and once per stuck execution.
using visitor = std::function<void(const execution&)>;

// What both sides implement:  summary enumerate(const program&, const visitor&);
namespace oracle {
summary enumerate(const program& p, const visitor& visit);
}
namespace engine {
summary enumerate(const program& p, const visitor& visit);
}

}  // namespace assay::proof
