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

using shm_atomic_bool = assay::atomic_bool;
using shm_atomic_char = assay::atomic_char;
using shm_atomic_schar = assay::atomic_schar;
using shm_atomic_uchar = assay::atomic_uchar;
using shm_atomic_short = assay::atomic_short;
using shm_atomic_ushort = assay::atomic_ushort;
using shm_atomic_int = assay::atomic_int;
using shm_atomic_uint = assay::atomic_uint;
using shm_atomic_long = assay::atomic_long;
using shm_atomic_ulong = assay::atomic_ulong;
using shm_atomic_llong = assay::atomic_llong;
using shm_atomic_ullong = assay::atomic_ullong;
using shm_atomic_char8_t = assay::atomic_char8_t;
using shm_atomic_char16_t = assay::atomic_char16_t;
using shm_atomic_char32_t = assay::atomic_char32_t;
using shm_atomic_wchar_t = assay::atomic_wchar_t;
using shm_atomic_int8_t = assay::atomic_int8_t;
using shm_atomic_uint8_t = assay::atomic_uint8_t;
using shm_atomic_int16_t = assay::atomic_int16_t;
using shm_atomic_uint16_t = assay::atomic_uint16_t;
using shm_atomic_int32_t = assay::atomic_int32_t;
using shm_atomic_uint32_t = assay::atomic_uint32_t;
using shm_atomic_int64_t = assay::atomic_int64_t;
using shm_atomic_uint64_t = assay::atomic_uint64_t;
using shm_atomic_int64 = assay::atomic_int64;
using shm_atomic_uint64 = assay::atomic_uint64;
using shm_atomic_intptr_t = assay::atomic_intptr_t;
using shm_atomic_uintptr_t = assay::atomic_uintptr_t;
using shm_atomic_size_t = assay::atomic_size_t;
using shm_atomic_ptrdiff_t = assay::atomic_ptrdiff_t;
using shm_atomic_intmax_t = assay::atomic_intmax_t;
using shm_atomic_uintmax_t = assay::atomic_uintmax_t;

// The document's sketches of scaling, by its own names.
template <class T>
using MRSW_Array = assay::mrsw_array<T>;
template <class K, class V>
using LargeMap = assay::large_map<K, V>;
