// assay.hpp -- the whole library.
#pragma once

#include "array.hpp"
#include "atomic.hpp"
#include "large_map.hpp"
#include "mrsw_array.hpp"
#include "object_pool.hpp"
#include "posix_shm.hpp"
#include "queue.hpp"
#include "ring_buffer.hpp"
#include "span.hpp"
#include "table.hpp"
