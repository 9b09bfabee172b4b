// event.hpp -- one event of an execution graph, as plain bytes.
//
// An event carries everything that is needed to recompute it when the write it reads from
// changes: its operation, operand and orders. The search can therefore complete a
// read-modify-write, or decide whether a compare-exchange fails, without running the program.
//
// An atomic read-modify-write is two events, next to each other in program order: the read and
// the write. One that fails to write (compare-exchange) is just its read.
#pragma once

#include <cstdint>
#include <type_traits>

#include "clock.hpp"

namespace assay::checker {

using value = std::uint64_t;  // the bytes of a word of up to 8 bytes, zero-extended
using location_id = std::uint16_t;
using site_id = std::uint16_t;  // where in the source (site.hpp)
using stamp = std::uint32_t;    // when an event was inserted: the paper's order <_G

enum class order : std::uint8_t { relaxed, acquire, release, acq_rel, seq_cst };

[[nodiscard]] constexpr bool acquires(order o) noexcept {
    return o == order::acquire || o == order::acq_rel || o == order::seq_cst;
}
[[nodiscard]] constexpr bool releases(order o) noexcept {
    return o == order::release || o == order::acq_rel || o == order::seq_cst;
}

enum class kind : std::uint8_t {
    read,
    write,
    fence,
    pause,  // the process said that another one must run before it can make progress
    point,  // nothing but a place in program order, where a process can crash
};

[[nodiscard]] constexpr const char* name(order o) noexcept {
    constexpr const char* names[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
    return names[static_cast<int>(o)];
}

// What an access does with the value it reads. `none` is a plain load or store.
enum class op : std::uint8_t {
    none,
    exchange,
    add,
    sub,
    bit_and,
    bit_or,
    bit_xor,
    compare_exchange,
    // The queue of sleepers of a futex word, oldest first, four bits per process (process + 1).
    sleep,  // append the operand, if the futex word, read just before, holds `expected`
    wake,   // remove the `operand` oldest
    leave,  // remove process `operand`, wherever it is
};

// A read that waits: the process goes no further until the value satisfies the condition.
enum class until : std::uint8_t { none, equal, not_equal, less, greater, not_queued };

// Facts about an event.
enum flag : std::uint8_t {
    rmw = 1,     // one half of a read-modify-write
    weak = 2,    // may fail for no reason
    failed = 4,  // and did so
    crash = 8,   // this write is the death of its process, and its last event
    stuck = 16,  // a pause after which the process would only repeat itself
    inner = 32,  // the read of the futex word just before a sleep, and as if in the middle of it
    woken = 64,  // this point is the end of a sleep that nobody ended
    lap = 128,   // this pause is the end of a lap of an await: the process said what it waits for
};

struct event {
    clock hb;       // what happens-before this event, itself included
    clock porf;     // its causal prefix, (po u rf)+, itself included
    clock message;  // writes: what an acquire read of it learns

    value val = 0;  // read or written
    value operand = 0;
    value expected = 0;  // compare_exchange, sleep; and what a waiting read waits for

    stamp at = 0;
    event_id rf = initial;  // reads: the write read from
    location_id loc = 0;
    site_id site = 0;
    std::uint16_t mo = 0;      // writes: position in the modification order
    std::uint16_t fenced = 0;  // events of its process up to the latest release fence
    kind what = kind::point;
    op operation = op::none;
    until condition = until::none;
    order ord = order::relaxed;      // in effect
    order success = order::relaxed;  // stated
    order failure = order::relaxed;
    std::uint8_t size = 8;
    std::uint8_t flags = 0;

    [[nodiscard]] bool has(flag f) const noexcept { return (flags & f) != 0; }
    [[nodiscard]] bool reads() const noexcept { return what == kind::read; }
    [[nodiscard]] bool writes() const noexcept { return what == kind::write; }
    [[nodiscard]] bool accesses() const noexcept { return reads() || writes(); }
};
static_assert(std::is_trivially_copyable_v<event>);

[[nodiscard]] constexpr value truncate(value v, std::uint8_t size) noexcept {
    return size == 8 ? v : v & ((value{1} << (8 * size)) - 1);
}

// The queue of sleepers as a value.
[[nodiscard]] constexpr bool queued(value sleepers, value process) noexcept {
    for (; sleepers != 0; sleepers >>= 4)
        if ((sleepers & 15) == process + 1) return true;
    return false;
}
[[nodiscard]] constexpr value append(value sleepers, value process) noexcept {
    int shift = 0;
    while (sleepers >> shift != 0) shift += 4;
    return sleepers | (process + 1) << shift;
}
[[nodiscard]] constexpr value remove(value sleepers, value process) noexcept {
    value rest = 0;
    int shift = 0;
    for (; sleepers != 0; sleepers >>= 4) {
        if ((sleepers & 15) == process + 1) continue;
        rest |= (sleepers & 15) << shift;
        shift += 4;
    }
    return rest;
}
[[nodiscard]] constexpr value sleeping(value sleepers) noexcept {
    value n = 0;
    for (; sleepers != 0; sleepers >>= 4) ++n;
    return n;
}

// What the write half of a read-modify-write stores, given what its read half saw.
[[nodiscard]] constexpr value result_of(op operation, value seen, value operand) noexcept {
    switch (operation) {
        case op::none:
            break;
        case op::exchange:
        case op::compare_exchange:
            return operand;
        case op::add:
            return seen + operand;
        case op::sub:
            return seen - operand;
        case op::bit_and:
            return seen & operand;
        case op::bit_or:
            return seen | operand;
        case op::bit_xor:
            return seen ^ operand;
        case op::sleep:
            return append(seen, operand);
        case op::wake:
            for (value n = operand; n != 0 && seen != 0; --n) seen >>= 4;
            return seen;
        case op::leave:
            return remove(seen, operand);
    }
    return seen;
}

// Does this read go on to write? Depends on the value, and so on the write it reads from.
[[nodiscard]] inline bool succeeds(const event& read) noexcept {
    if (!read.has(rmw)) return false;
    if (read.operation != op::compare_exchange) return true;
    return read.val == read.expected && !read.has(failed);
}

[[nodiscard]] constexpr bool holds(until condition, value seen, value expected) noexcept {
    switch (condition) {
        case until::none:
            break;
        case until::equal:
            return seen == expected;
        case until::not_equal:
            return seen != expected;
        case until::less:
            return seen < expected;
        case until::greater:
            return seen > expected;
        case until::not_queued:
            return !queued(seen, expected);
    }
    return true;
}

// Does its process stop here, in this graph?
[[nodiscard]] inline bool blocks(const event& e) noexcept {
    if (e.reads()) return !holds(e.condition, e.val, e.expected);
    return e.has(stuck);
}

}  // namespace assay::checker
