// Code written against the architecture document, with its spelling, compiles and works.
#include "assay/prefixed.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "lib/tests/processes.hpp"

namespace {

struct particle {
    float x, y, z;
};

TEST(prefixed, code_of_the_document_compiles_and_works) {
    posix_shm shm(testing_processes::unique_name(), 10 * 1024 * 1024);
    EXPECT_EQ(shm.get_ref_count(), 1u);

    auto* table = shm.get_table();
    const std::uint64_t offset = table->data_begin(), size = 4096;
    table->add("sensor_data", offset, size);
    auto* entry = table->find("sensor_data");
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->offset, offset);
    EXPECT_EQ(entry->size, size);
    EXPECT_TRUE(entry->active);
    EXPECT_EQ(std::string(entry->name), "sensor_data");

    shm_array<double> values(shm, "values", 100);
    std::iota(values.begin(), values.end(), 0.0);
    EXPECT_EQ(values[99], 99.0);
    const shm_span<double> view = values.as_span();
    EXPECT_THROW(static_cast<void>(view.at(100)), std::out_of_range);

    shm_queue<int> queue(shm, "queue", 16);
    ASSERT_TRUE(queue.enqueue(7));
    EXPECT_EQ(queue.dequeue(), 7);
    EXPECT_EQ(queue.dequeue(), std::nullopt);

    shm_object_pool<particle> pool(shm, "pool", 2);
    const auto handle = pool.acquire_construct(1.f, 2.f, 3.f);
    ASSERT_TRUE(handle);
    EXPECT_EQ(pool[*handle].z, 3.f);
    static_cast<void>(pool.acquire());
    EXPECT_TRUE(pool.full());
    EXPECT_EQ(pool.acquire(), pool.invalid_handle);

    shm_ring_buffer<int> ring(shm, "ring", 4);
    EXPECT_EQ(ring.push_bulk(std::vector{1, 2, 3}), 3u);
    ring.push_overwrite(4);
    ring.push_overwrite(5);
    std::vector<int> out(4);
    EXPECT_EQ(ring.pop_bulk(out), 4u);
    EXPECT_EQ(out, (std::vector{2, 3, 4, 5}));
    EXPECT_EQ(ring.total_written(), 5u);

    shm_atomic<int> counter(shm, "counter", 1);
    counter.store(41);
    EXPECT_EQ(counter.fetch_add(1), 41);
    EXPECT_EQ(counter.load(), 42);

    MRSW_Array<double> snapshots(shm, "snapshots", 8);
    LargeMap<std::uint64_t, double> map(shm, "map", 64);
    EXPECT_TRUE(map.insert(1, 0.5));
    EXPECT_EQ(map.find(1), 0.5);
}

TEST(prefixed, tables_of_every_size_have_their_segment) {
    static_assert(shm_table_small::size_bytes() < shm_table::size_bytes());
    static_assert(shm_table::size_bytes() < shm_table_large::size_bytes());
    static_assert(shm_table_large::size_bytes() < shm_table_huge::size_bytes());
    static_assert(std::is_same_v<shm_table_impl<32, 64>, shm_table>);
    const auto name = testing_processes::unique_name();
    posix_shm_small small(name + "s", posix_shm_small::size_for(4096));
    posix_shm_large large(name + "l", posix_shm_large::size_for(4096));
    posix_shm_huge huge(name + "h", posix_shm_huge::size_for(4096));
    EXPECT_EQ(small.get_capacity().max_entries, 16u);
    EXPECT_EQ(large.get_capacity().max_entries, 256u);
    EXPECT_EQ(huge.get_capacity().max_entries, 1024u);
}

}  // namespace
