// runner.hpp -- takes the samples of a plan in turns, drops those that cannot be trusted, and says
// what came out (the JSON is described in README.md).
#pragma once

#include <istream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "perf/plan.hpp"

namespace assay_perf {

struct sample {
    double value;
    std::string regime;  // near: two threads of one core. far. alone: one processor only
    double probe_ns;
    unsigned round;
};

struct figure {
    measurement of;
    std::vector<sample> samples = {};
    unsigned probe_changed = 0, starved = 0;  // samples dropped
    std::string invalid = {};
    std::optional<histogram> times = {};
    std::vector<std::string> flags = {};
    std::optional<quartiles> middle = {};
};

// Sets the median of each figure, over its samples of the regime in which most of the row were
// taken, and its flags. A figure that is invalid, or that has no such sample, gets no median.
void conclude(std::vector<figure>& row, unsigned repetitions);

// In words, when so many of the figures have taken so many seconds; nothing when none has.
[[nodiscard]] std::string time_left(double spent, std::size_t done, std::size_t of);

// Measures all, says how far it is on stderr, prints a table on stdout.
[[nodiscard]] std::vector<figure> measure(const plan& p);

// For scripts/compare, which lets two builds take turns: each line of `asked`, "SECONDS NAME", is
// answered with a line of JSON: one sample of that figure, or why it was dropped.
void take_turns(const plan& p, std::istream& asked);

[[nodiscard]] nlohmann::json report(const plan& p, const std::vector<figure>& figures);

}  // namespace assay_perf
