// rivals.hpp -- who is measured beside the library: the peers that CMake found.
#pragma once

#include <string>
#include <vector>

#include "perf/contender.hpp"
#if __has_include("perf/peers/peers.hpp")
#include "perf/peers/peers.hpp"
#else
namespace assay_perf {
template <class T>
using fifo_peers = contenders<>;
using pool_peers = contenders<>;
inline std::vector<std::string> missing_peers() { return {}; }
}  // namespace assay_perf
#endif
