// peers.hpp -- the contenders that are not ours, as far as CMake found them. Each adapter is our
// own and thin: what it measures is the peer, by the peer's fastest interface that does not wait.
#pragma once

#include <string>
#include <vector>

#include "perf/contender.hpp"
#include "perf/peers/kernel.hpp"
#include "perf/peers/reference.hpp"
#if ASSAY_HAS_BOOST
#include "perf/peers/boost.hpp"
#endif
#if ASSAY_HAS_CK
#include "perf/peers/ck.hpp"
#endif
#if ASSAY_HAS_DPDK
#include "perf/peers/dpdk.hpp"
#endif
#if ASSAY_HAS_LIBCDS
#include "perf/peers/cds.hpp"
#endif
#if ASSAY_HAS_XENIUM
#include "perf/peers/xenium.hpp"
#endif
#if ASSAY_HAS_MOODYCAMEL
#include "perf/peers/moodycamel.hpp"
#endif
#if ASSAY_HAS_ICEORYX
#include "perf/peers/iceoryx.hpp"
#endif

namespace assay_perf {
namespace peers {

using pooled = item<64>;

template <class T>
using always = contenders<vyukov<T>, sequence_in_slot<T>, robust_mutex<T>, kernel_pipe<T>,
                          kernel_socket<T>, posix_mq<T>>;

#if ASSAY_HAS_BOOST
template <class T>
using boost_fifos =
    contenders<boost_lockfree_queue<T>, boost_spsc_queue<T>, boost_message_queue<T>>;
using boost_pools = contenders<boost_lockfree_stack<pooled>, boost_allocate<pooled>>;
#else
template <class T>
using boost_fifos = contenders<>;
using boost_pools = contenders<>;
#endif

#if ASSAY_HAS_CK
template <class T>
using ck_fifos = contenders<ck_ring_spsc<T>, ck_ring_mpmc<T>>;
using ck_pools = contenders<ck_stack_pool<pooled>>;
#else
template <class T>
using ck_fifos = contenders<>;
using ck_pools = contenders<>;
#endif

#if ASSAY_HAS_DPDK
template <class T>
using dpdk_fifos = contenders<rte_ring_spsc<T>, rte_ring_mpmc<T>>;
#else
template <class T>
using dpdk_fifos = contenders<>;
#endif

#if ASSAY_HAS_LIBCDS
template <class T>
using cds_fifos = contenders<cds_vyukov<T>>;
#else
template <class T>
using cds_fifos = contenders<>;
#endif

#if ASSAY_HAS_XENIUM
template <class T>
using xenium_fifos = contenders<xenium_vyukov<T>>;
#else
template <class T>
using xenium_fifos = contenders<>;
#endif

#if ASSAY_HAS_MOODYCAMEL
template <class T>
using moodycamel_fifos = contenders<reader_writer_queue<T>>;
#else
template <class T>
using moodycamel_fifos = contenders<>;
#endif

}  // namespace peers

template <class T>
using fifo_peers =
    joined<peers::always<T>, peers::cds_fifos<T>, peers::xenium_fifos<T>, peers::dpdk_fifos<T>,
           peers::ck_fifos<T>, peers::moodycamel_fifos<T>, peers::boost_fifos<T>>;

// What moves elements from one process to another and is no queue: for the rows of one producer and
// one consumer. In throughput, put() may wait inside.
#if ASSAY_HAS_ICEORYX
template <class T>
using ping_pong_peers = contenders<peers::iceoryx<T>>;
template <class T>
using waiting_peers = contenders<peers::waiting_iceoryx<T>>;
#else
template <class T>
using ping_pong_peers = contenders<>;
template <class T>
using waiting_peers = contenders<>;
#endif

using pool_peers =
    joined<contenders<peers::tagged_stack<peers::pooled>>, peers::ck_pools, peers::boost_pools>;

// Those that are not in these lists, each with the reason.
[[nodiscard]] inline std::vector<std::string> missing_peers() {
    std::vector<std::string> missing;
#if !ASSAY_HAS_BOOST
    missing.emplace_back("Boost: not installed (libboost-dev)");
#endif
#if !ASSAY_HAS_CK
    missing.emplace_back("Concurrency Kit: not installed (libck-dev)");
#endif
#if !ASSAY_HAS_DPDK
    missing.emplace_back("DPDK rte_ring: not installed (libdpdk-dev)");
#endif
#if !ASSAY_HAS_LIBCDS
    missing.emplace_back("libcds: not installed (libcds-dev)");
#endif
#if !ASSAY_HAS_XENIUM
    missing.emplace_back("xenium: not installed (libxenium-dev)");
#endif
#if !ASSAY_HAS_MOODYCAMEL
    missing.emplace_back("moodycamel ReaderWriterQueue: not installed (libreaderwriterqueue-dev)");
#endif
#if !ASSAY_HAS_ICEORYX
    missing.emplace_back("iceoryx: not installed (libiceoryx-posh-dev, libacl1-dev)");
#endif
    missing.emplace_back(
        "moodycamel ConcurrentQueue: not between processes (it knows its producers by thread-local "
        "objects, and allocates)");
    missing.emplace_back(
        "TBB concurrent_queue, concurrent_bounded_queue: not between processes (libtbb keeps their "
        "state on the heap of one process)");
    return missing;
}

}  // namespace assay_perf
