// litmus_table.hpp -- assay-model litmus: the table of tests/litmus.hpp, by the model checker.
#pragma once

#include <string>
#include <vector>

namespace assay::model {

struct litmus_options {
    std::vector<std::string> filters;  // beginnings of names; none: all
    std::string json;
    bool programs = false;  // print what each does
};

// Explores the tests and compares their outcomes with the table's. The exit status of assay-model.
[[nodiscard]] int run_litmus(const litmus_options& o);

}  // namespace assay::model
