// litmus_table.hpp -- how the rows of the litmus table are written.
#pragma once

#include "litmus.hpp"

namespace assay::proof {

inline constexpr int x = 0, y = 1, z = 2, w = 3;  // atomic locations
inline constexpr int data = 0;                    // a plain one
inline constexpr order ar = acq_rel;

struct table {
    std::vector<litmus_test> rows;

    void operator()(const char* name, const char* source, const program& code,
                    const std::string& outcomes, std::uint64_t executions,
                    const std::vector<int>& shown = {}, std::uint64_t stuck = 0,
                    bool race = false) {
        rows.push_back({name, source, code, outcomes, executions, shown, stuck, race});
    }
};

// The groups of litmus_updates.cpp.
void release_sequences(table& t);
void read_modify_writes(table& t);
void awaits(table& t);
void crashes(table& t);
void races(table& t);

}  // namespace assay::proof
