// plan.hpp -- what there is to measure: each component's file adds its measurements here.
//
//   const enlist rows([](plan& p) { p.add({.structure = "queue", ...}); });
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "perf/statistics.hpp"

namespace assay_perf {

// A number or a word that tells figures apart. (No JSON here: each file of the suite would compile it.)
struct fact {
    fact(std::integral auto n) : value(static_cast<std::uint64_t>(n)) {}
    fact(double x) : value(x) {}
    fact(const char* word) : value(word) {}
    fact(std::string word) : value(std::move(word)) {}

    std::variant<std::uint64_t, double, std::string> value;
};
using facts = std::map<std::string, fact>;

// What one run of a measurement said.
struct outcome {
    double value = 0;
    std::string invalid = {};  // why there is no number: an item was lost
    double cpu_share = 1;      // of the worst processor
    std::optional<histogram> times = {};
    facts found = {};  // join the figure's parameters
};

struct measurement {
    // structure/what/parameters; the contender is added. Those of one name are compared: they are
    // measured in turns, A B C A B C.
    std::string name = {};
    std::string structure = {};
    std::string kind =
        {};  // limit throughput latency waiting startup instructions survival ablation
    std::string contender = "assay";
    facts parameters = {};
    std::string unit = "ns";
    std::string better = "less";
    std::string limit = {};  // name of the limit that its row is compared with; none if empty
    std::string what = {};   // for a limit: what it is, in words
    std::vector<int> cpus = {};
    bool busy = true;    // its workers should have had their processors all the time
    bool exact = false;  // no time is measured: one run, without a probe
    unsigned runs = 0;   // samples to take; 0: as the settings say
    std::function<outcome(double seconds)> run = {};

    [[nodiscard]] std::string full_name() const {
        return kind == "limit" ? name : name + "/" + contender;
    }
};

// The contender of a row that is its limit, measured in turns with the others (choose).
inline constexpr std::string_view in_turns = "limit";

struct settings {
    unsigned repetitions = 15;
    double seconds = 0.05;  // the measured part of one run
    std::uint64_t seed = 1;
    bool quick = false;
};

struct plan {
    settings with;
    std::vector<measurement> all = {};
    std::vector<std::string> missing = {};  // what this host lacks, and its rows with it

    void add(measurement m) { all.push_back(std::move(m)); }
};

// Puts the limits first, and gives each row that is compared with one that limit as its last
// contender: a hypervisor moves processors within minutes, and what two threads of one core can do
// is no limit for two cores. Of these, only what the filters name is left, and the limit of a row of
// which anything is. Throws std::runtime_error for a limit that nobody measures.
void choose(plan& p, const std::vector<std::string>& filters);

inline std::vector<std::function<void(plan&)>>& enlisted() {
    static std::vector<std::function<void(plan&)>> list;
    return list;
}

struct enlist {
    explicit enlist(std::function<void(plan&)> adds) { enlisted().push_back(std::move(adds)); }
};

}  // namespace assay_perf
