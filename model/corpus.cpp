// The bug corpus as tests: each bug must be found, each fixed form and false alarm verified.
#include <deque>

#include "model/corpus/known_bug.hpp"

namespace assay::model {

std::vector<test> corpus_tests() {
    static std::deque<std::string> names;  // stay where they are
    std::vector<test> tests;
    for (const known_bug& b : known_bugs()) {
        const std::string name = std::string("corpus/") + b.name;
        if (b.broken != nullptr)
            tests.push_back({names.emplace_back(name).c_str(), b.broken, {b.what}, b.how});
        tests.push_back({names.emplace_back(name + (b.broken != nullptr ? "/fixed" : "")).c_str(),
                         b.fixed,
                         {checker::verdict::verified, b.executions},
                         b.how});
    }
    return tests;
}

}  // namespace assay::model
