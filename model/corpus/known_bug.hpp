// known_bug.hpp -- bugs that others had, each re-created as the smallest program that has it.
//
// A model has two forms, the same code but for the mistake: the broken one must be found, with the
// stated verdict, and the fixed one must be verified; a model that fails for another reason than
// its bug is worthless. A false alarm of another tool has the fixed form only.
//
// The models use the seam and what scenario.hpp offers, and share nothing but shared memory and a
// recorder between their processes: so the same code also runs natively (native.hpp).
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/sync.hpp"
#include "lib/spec/large_map.hpp"
#include "lib/spec/object_pool.hpp"
#include "lib/spec/queue.hpp"
#include "model/linearizability.hpp"
#include "model/tests.hpp"

namespace assay::model {

struct known_bug {
    const char* name;    // begins with its number in README.md
    const char* source;  // who had it
    checker::verdict what;
    scenario::body broken;  // null: a false alarm
    scenario::body fixed;
    std::uint64_t executions;  // of the fixed form
    checker::settings how{};
};

// The themes, a file each.
[[nodiscard]] std::vector<known_bug> publication_bugs();
[[nodiscard]] std::vector<known_bug> order_bugs();
[[nodiscard]] std::vector<known_bug> check_then_act_bugs();
[[nodiscard]] std::vector<known_bug> lost_update_bugs();
[[nodiscard]] std::vector<known_bug> reuse_bugs();
[[nodiscard]] std::vector<known_bug> death_bugs();
[[nodiscard]] std::vector<known_bug> wait_bugs();
[[nodiscard]] std::vector<known_bug> false_alarms();

[[nodiscard]] inline std::vector<known_bug> known_bugs() {
    std::vector<known_bug> all;
    for (const auto& theme :
         {publication_bugs(), order_bugs(), check_then_act_bugs(), lost_update_bugs(), reuse_bugs(),
          death_bugs(), wait_bugs(), false_alarms()})
        all.insert(all.end(), theme.begin(), theme.end());
    return all;
}

// Records f() as this call of the specification, and returns what it returned.
template <class F>
std::int64_t note(recorder& h, std::string_view call, std::int64_t argument, F&& f) {
    return h({call, argument, std::nullopt, 0},
             [&] { return static_cast<std::int64_t>(std::forward<F>(f)()); });
}

// What the calling process writes to say that something is its own; never 0.
[[nodiscard]] inline std::uint32_t my_mark() { return static_cast<std::uint32_t>(1 + self()); }

}  // namespace assay::model
