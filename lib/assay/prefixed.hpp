// prefixed.hpp -- the names of the architecture document, in the global namespace, for code that
// was written against it: posix_shm, shm_table, shm_queue<T> and so on. New code includes
// assay.hpp and uses the namespace.
#pragma once

#include "assay.hpp"

using assay::posix_shm;
using assay::posix_shm_huge;
using assay::posix_shm_impl;
using assay::posix_shm_large;
using assay::posix_shm_small;

template <std::size_t MaxNameSize, std::size_t MaxEntries>
using shm_table_impl = assay::table_impl<MaxNameSize, MaxEntries>;
using shm_table = assay::table;
using shm_table_small = assay::table_small;
using shm_table_large = assay::table_large;
using shm_table_huge = assay::table_huge;

template <class T>
using shm_span = assay::span<T>;
template <class T>
using shm_array = assay::array<T>;
template <class T>
using shm_queue = assay::queue<T>;
template <class T>
using shm_object_pool = assay::object_pool<T>;
template <class T>
using shm_ring_buffer = assay::ring_buffer<T>;
template <class T>
using shm_atomic = assay::atomic<T>;

// The document's sketches of scaling, by its own names.
template <class T>
using MRSW_Array = assay::mrsw_array<T>;
template <class K, class V>
using LargeMap = assay::large_map<K, V>;
