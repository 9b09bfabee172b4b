// explain.hpp -- from the graph in which something went wrong to a counterexample for people.
#pragma once

#include <string>
#include <vector>

#include "model/checker/explore.hpp"
#include "model/counterexample.hpp"

namespace assay::model {

// `processes` are the names of the scenario's processes, in order; `r` is of model::replay.
[[nodiscard]] counterexample explain(const std::string& scenario,
                                     const std::vector<std::string>& processes,
                                     const checker::result& r);

}  // namespace assay::model
