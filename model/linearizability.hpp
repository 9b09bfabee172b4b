// linearizability.hpp -- is what the processes got explained by a sequential run?
//
// Every complete execution's history is checked against the specification of the structure
// (lib/spec), where one call precedes another if it was over, by happens-before, when that began.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "lib/spec/linearize.hpp"
#include "model/scenario.hpp"

namespace assay::model {

// Records calls as the specification has them: recorder h; h({"enqueue", 7}, [&] { return ... }).
using recorder = history<spec::operation, std::int64_t>;

// Call it in the final check. Fails the run with verdict not_linearizable. `matters` picks the calls
// of one object when each of several, not all together, is linearizable.
template <class Specification, class Matters>
void check_linearizable(const recorder& recorded, const Specification& initial, Matters matters) {
    std::vector<recorder::operation> calls;
    for (const auto& call : recorded.operations())
        if (matters(call.call)) calls.push_back(call);
    spec::history h;
    for (const auto& call : calls) {
        spec::operation o = call.call;
        o.process = static_cast<int>(call.process);
        o.result = call.result;
        std::uint64_t before = 0;
        for (std::size_t i = 0; i < calls.size(); ++i)
            if (recorder::precedes(calls[i], call)) before |= std::uint64_t{1} << i;
        h.add(o, before);
    }
    if (spec::linearization<Specification>::find(h, initial)) return;
    std::string text;
    for (const spec::operation& o : h.operations)
        text += (text.empty() ? "" : ", ") + std::to_string(o.process) + ":" + spec::to_string(o);
    fail(checker::verdict::not_linearizable, "no sequential run explains " + text);
}
template <class Specification>
void check_linearizable(const recorder& recorded, const Specification& initial) {
    check_linearizable(recorded, initial, [](const spec::operation&) { return true; });
}

}  // namespace assay::model
