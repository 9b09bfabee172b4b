// audit.hpp -- is each memory order needed? Weakens one at a time, until a scenario fails.
//
// A site is an access or fence in the source, whatever templates it is instantiated in. For each
// order that it has, and each next weaker one, the scenarios that execute the site run again, the
// cheapest first, until one gives a counterexample. If none does, the weakening has survived: the
// order is stronger than needed, or a scenario is missing.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/scenario.hpp"

namespace assay::model {

struct audit_options {
    std::vector<std::string> files;  // beginnings of paths, or of names in lib/assay/
    unsigned jobs = 1;
    // Of each weakening, over all its scenarios. Not seconds: the same is found on any machine.
    std::uint64_t executions = 3'000'000;
    unsigned seconds = 300;  // of processor time: what takes longer has not ended
};

// {"sites": [...], "scenarios": [...]}, as scripts/README.md says; `tell` gets a line for each
// weakening as it is done. Tests that are expected to fail, and twins, are not used.
[[nodiscard]] nlohmann::json audit(const std::vector<test>& tests, const audit_options& o,
                                   const std::function<void(const std::string&)>& tell);

}  // namespace assay::model
