// checkpoint.hpp -- what a stopped exploration has left to do, and how to keep it in a file.
//
// Each open item depends only on events that are older than itself (search.hpp, split), so an
// item with its graph, cut back to those, is all that the rest of its part of the search needs.
// The numbers of locations and sites come along, because events name them.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "search.hpp"
#include "site.hpp"

namespace assay::checker {

struct counts {
    std::uint64_t executions = 0;
    std::uint64_t blocked = 0;  // executions in which a process waits for what others hide
    // Executions that these stand for: more, where identical processes are not told apart.
    std::uint64_t stands_for = 0;
    std::uint64_t runs = 0;  // of the program
    std::uint64_t accesses = 0;
    std::uint64_t revisits = 0;
    std::uint64_t rejected = 0;
    std::uint64_t shared_tasks = 0;
    double seconds = 0;
};

struct checkpoint {
    counts so_far;
    bool hit_event_bound = false;
    bool symmetry_misled = false;  // so it is not used
    std::shared_ptr<location_table> locations;
    std::vector<site> sites;
    std::vector<search::task> open;
};

// The file cannot be read or written, or belongs to something else. what() says so in a sentence.
struct bad_checkpoint : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// `of` says what is explored and how, in lines "name: value". A checkpoint is loaded only for the
// same again: its events hold what this very program did. Saving replaces the file at once, or not
// at all.
void save(const checkpoint& c, const std::string& of, const std::string& path);
[[nodiscard]] checkpoint load(const std::string& of, const std::string& path);

}  // namespace assay::checker
