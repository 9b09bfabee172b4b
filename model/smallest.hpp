// smallest.hpp -- of the executions that fail in one way, one that is quickly read.
#pragma once

#include <string>

#include "model/scenario.hpp"

namespace assay::model {

struct smaller {
    checker::settings how;  // with processes left out, and a limit of events, as in `found`
    checker::result found;  // of explore()
    std::string remark;     // what was tried
};

// Looks for one with fewer processes, then fewer events, then fewer switches than `first`, which
// explore(body, how) has found and replay() has run again as `again`, for about so many seconds.
// Each that it finds is an execution of the scenario itself: a process that is left out is one
// that has not started yet.
[[nodiscard]] smaller smallest(scenario::body body, const checker::settings& how,
                               const checker::result& first, const checker::result& again,
                               double seconds);

}  // namespace assay::model
