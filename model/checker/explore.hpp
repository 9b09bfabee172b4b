// explore.hpp -- an exploration from beginning to end: all executions of a program, on all cores.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "runtime.hpp"
#include "script.hpp"

namespace assay::checker {

// What is explored. Each worker has its own.
class subject {
public:
    subject() = default;
    subject(const subject&) = delete;
    subject& operator=(const subject&) = delete;
    virtual ~subject() = default;

    [[nodiscard]] virtual std::size_t processes() const = 0;
    // Runs once: prepares the memory, calls runtime.run, and checks the outcome if that is
    // complete. Reports errors through runtime.fail.
    virtual void run(runtime& r, search& s) = 0;
};

struct limits {                    // of one call; a resumed exploration has them afresh
    std::uint64_t executions = 0;  // 0: no limit
    double seconds = 0;            // 0: no limit
};

// How far an exploration is.
struct progress {
    std::uint64_t executions = 0;
    double seconds = 0;
    double explored = 0;  // the share of the whole that is done, a guess
};

struct settings {
    rules allowed;
    run_options running;
    limits stop_at;
    unsigned workers = 1;
    bool check_liveness = true;
    bool use_symmetry = true;      // of processes that the program says are identical
    bool symmetry_misled = false;  // it was tried, and cannot be used (symmetry.hpp)
    std::vector<weakening> weaker;
    bool force_sc = false;
    bool keep_open_work = false;                     // result::open, when stopped at a bound
    std::shared_ptr<const checkpoint> resume{};      // go on from there
    const std::atomic<bool>* interrupted = nullptr;  // stop when this becomes true
    // Not verified: do not stop at a failure, but look for the smallest one with this verdict.
    verdict smallest = verdict::verified;
    // Called a few times a second, by any worker but by one at a time.
    std::function<void(const progress&)> tell;
};

// The settings that decide which executions there are, in lines "name: value".
[[nodiscard]] std::string describe(const settings& how);

struct result : counts {
    verdict what = verdict::verified;
    std::string message;  // of a failure, or which bound
    std::size_t peak_items = 0;
    std::size_t peak_graphs = 0;
    bool symmetry_misled = false;            // so it was not used (symmetry.hpp)
    std::uint64_t distinct = 0;              // executions among the samples (sample.hpp)
    std::uint64_t failing = 0;               // executions, when it looked for the smallest
    std::shared_ptr<const checkpoint> open;  // what is left to do
    std::optional<graph> counterexample;     // refers to `locations`
    std::shared_ptr<const location_table> locations;
    std::vector<site> sites;
    std::string script;  // of the counterexample, for replay
    trace steps;         // replay only: what the processes did
};

// Makes the program of one worker. The tables are the same for all workers.
using subject_maker = std::function<std::unique_ptr<subject>(location_table&)>;

// Called after each run that ended without an error; only with one worker. (An exploration that
// symmetry has misled starts again, with subjects made afresh.)
using observer = std::function<void(const search&, const runtime&)>;

[[nodiscard]] result explore(std::size_t processes, const subject_maker& make, const settings& how,
                             const observer& watch = {});

// Runs one execution: the one that this script (script.hpp) was made for. The counterexample of the
// result is its graph, whether it fails or not. Throws bad_script.
[[nodiscard]] result replay(std::size_t processes, const subject_maker& make, const settings& how,
                            const std::string& script);

}  // namespace assay::checker
