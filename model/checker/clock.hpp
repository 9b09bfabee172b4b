// clock.hpp -- vector clocks of fixed width.
//
// A clock says how much of every process is known: count[p] events of process p, in program
// order. It holds counts, not indices, so that "nothing" is zero and the very first event of a
// process can be unknown. All sets of events that the search needs (happens-before, the causal
// prefix) are closed under program order, so a clock is such a set, and joining two of them is
// one vector instruction for the default width.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace assay::checker {

// More processes make every event larger; the programs whose execution counts are published need
// up to 18, the library's scenarios at most seven.
#if !defined(ASSAY_CHECKER_PROCESSES)
#define ASSAY_CHECKER_PROCESSES 8
#endif
inline constexpr std::size_t max_processes = ASSAY_CHECKER_PROCESSES;

// The n-th event of a process. Unlike a pointer it survives copying and cutting the graph.
struct event_id {
    std::uint16_t process;
    std::uint16_t index;

    friend constexpr bool operator==(event_id, event_id) = default;
};

// The write that gave a location the value it had before any process started.
inline constexpr std::uint16_t no_process = 0xffff;
inline constexpr event_id initial{no_process, 0};

struct alignas(16) clock {
    static constexpr std::size_t lanes = (max_processes + 7) / 8 * 8;  // whole vector registers
    std::array<std::uint16_t, lanes> count{};

    [[nodiscard]] bool contains(event_id e) const noexcept {
        return e.process == no_process || count[e.process] > e.index;
    }
    void include(event_id e) noexcept {
        auto& known = count[e.process];
        known = std::max(known, static_cast<std::uint16_t>(e.index + 1));
    }
    void join(const clock& other) noexcept {
        for (std::size_t p = 0; p < lanes; ++p) count[p] = std::max(count[p], other.count[p]);
    }
    [[nodiscard]] bool empty() const noexcept { return *this == clock{}; }

    friend bool operator==(const clock&, const clock&) = default;
};

}  // namespace assay::checker
