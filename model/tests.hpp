// tests.hpp -- the tables of tests, one per file of scenarios.
#pragma once

#include <vector>

#include "model/scenario.hpp"

namespace assay::model {

[[nodiscard]] std::vector<test> owner_tests();
[[nodiscard]] std::vector<test> event_tests();
[[nodiscard]] std::vector<test> posix_shm_tests();
[[nodiscard]] std::vector<test> table_tests();
[[nodiscard]] std::vector<test> atomic_tests();
[[nodiscard]] std::vector<test> queue_tests();
[[nodiscard]] std::vector<test> queue_waits_tests();
[[nodiscard]] std::vector<test> object_pool_tests();
[[nodiscard]] std::vector<test> ring_buffer_tests();
[[nodiscard]] std::vector<test> mrsw_array_tests();
[[nodiscard]] std::vector<test> large_map_tests();
[[nodiscard]] std::vector<test> broken_tests();  // canaries: each must fail, as stated
[[nodiscard]] std::vector<test> corpus_tests();  // bugs of other projects (corpus/README.md)

// One process dies, at any place: any process, or one of the set `who` (a bit each).
[[nodiscard]] inline checker::settings one_death(std::uint32_t who = ~std::uint32_t{0}) {
    checker::settings how;
    how.allowed.crashes = 1;
    how.allowed.may_crash = who;
    return how;
}

}  // namespace assay::model
