// liveness.hpp -- when not everybody has finished: is that an error, and which?
#pragma once

#include <optional>

#include "runtime.hpp"

namespace assay::checker {

// Does this blocked process wait in vain, or could it still see something newer? A process that
// has not read the latest write of what it looks at is merely slow: another execution, in which
// it does, is explored as well.
[[nodiscard]] bool knows_the_latest(const graph& g, std::size_t process);

// The index of the first event that this blocked process would repeat: it has changed nothing since.
[[nodiscard]] std::size_t start_of_wait(const graph& g, std::size_t process);

// The error in a run that was not complete; nothing if somebody is merely slow or bounded.
[[nodiscard]] std::optional<failure> classify(const graph& g, const runtime& r);

}  // namespace assay::checker
