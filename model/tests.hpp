// tests.hpp -- the tables of tests, one per file of scenarios.
#pragma once

#include <vector>

#include "model/scenario.hpp"

namespace assay::model {

[[nodiscard]] std::vector<test> queue_tests();
[[nodiscard]] std::vector<test> object_pool_tests();
[[nodiscard]] std::vector<test> ring_buffer_tests();
[[nodiscard]] std::vector<test> broken_tests();  // canaries: each must fail, as stated

}  // namespace assay::model
