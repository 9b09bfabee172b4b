// The linearizability search, and the sequential specifications it runs on.
#include "lib/spec/linearize.hpp"

#include <gtest/gtest.h>

#include <random>

#include "lib/spec/large_map.hpp"
#include "lib/spec/mrsw_array.hpp"
#include "lib/spec/object_pool.hpp"
#include "lib/spec/queue.hpp"
#include "lib/spec/ring_buffer.hpp"

namespace {

using namespace assay::spec;

constexpr std::uint64_t concurrent = 0;
constexpr std::uint64_t after(std::initializer_list<int> those) {
    std::uint64_t set = 0;
    for (const int i : those) set |= std::uint64_t{1} << i;
    return set;
}

TEST(linearize, order_of_the_results_is_found_among_overlapping_operations) {
    history h;
    h.add({"enqueue", 1, 1}, concurrent);
    h.add({"enqueue", 2, 1}, concurrent);
    h.add({"dequeue", 0, 2}, concurrent);
    const auto order = linearization<queue>::find(h, {2, {}});
    ASSERT_TRUE(order);
    EXPECT_EQ(*order, (std::vector<std::size_t>{1, 0, 2}));
}

TEST(linearize, canary_swapped_elements_are_caught) {
    history h;
    h.add({"enqueue", 1, 1}, concurrent);
    h.add({"enqueue", 2, 1}, after({0}));
    h.add({"dequeue", 0, 2}, after({0, 1}));
    EXPECT_FALSE(linearization<queue>::find(h, {2, {}}));
}

TEST(linearize, canary_empty_and_full_are_not_believed_when_they_cannot_be) {
    history empty;
    empty.add({"enqueue", 1, 1}, concurrent);
    empty.add({"dequeue", 0, none}, after({0}));
    EXPECT_FALSE(linearization<queue>::find(empty, {2, {}}));
    history full;
    full.add({"enqueue", 1, 1}, concurrent);
    full.add({"enqueue", 2, 0}, after({0}));
    EXPECT_FALSE(linearization<queue>::find(full, {2, {}}));
    EXPECT_TRUE(linearization<queue>::find(full, {1, {}}));
}

// Two stale failures that are each believable and together are not (store buffering).
TEST(linearize, canary_stale_full_and_stale_empty_together_are_caught) {
    history h;  // capacity 2, with 7 inside
    h.add({"enqueue", 8, 1, 0}, concurrent);
    h.add({"enqueue", 9, 0, 0}, after({0}));  // full
    h.add({"dequeue", 0, 7, 1}, concurrent);
    h.add({"dequeue", 0, none, 1}, after({2}));  // empty
    EXPECT_FALSE(linearization<queue>::find(h, {2, {7}}));
}

TEST(linearize, operation_of_the_dead_may_have_happened_or_not) {
    for (const std::int64_t seen : {std::int64_t{5}, none}) {
        history h;
        h.add({"enqueue", 5, std::nullopt}, concurrent);
        h.add({"dequeue", 0, seen}, concurrent);
        EXPECT_TRUE(linearization<queue>::find(h, {2, {}})) << seen;
    }
    history twice;
    twice.add({"enqueue", 5, std::nullopt}, concurrent);
    twice.add({"dequeue", 0, 5}, concurrent);
    twice.add({"dequeue", 0, 5}, after({1}));
    EXPECT_FALSE(linearization<queue>::find(twice, {2, {}}));
}

TEST(linearize, canary_double_hand_out_of_an_object_is_caught) {
    history h;
    h.add({"acquire", 0, 1}, concurrent);
    h.add({"acquire", 0, 1}, concurrent);
    EXPECT_FALSE(linearization<object_pool>::find(h, {3}));
    h.add({"release", 1, 1}, concurrent);
    EXPECT_TRUE(linearization<object_pool>::find(h, {3}));
}

TEST(linearize, pool_is_exhausted_only_when_all_objects_are_taken) {
    history h;
    h.add({"acquire", 0, 0}, concurrent);
    h.add({"acquire", 0, none}, after({0}));
    EXPECT_FALSE(linearization<object_pool>::find(h, {2}));
    EXPECT_TRUE(linearization<object_pool>::find(h, {1}));
}

TEST(linearize, canary_release_of_an_earlier_tenure_is_caught) {
    history h;
    h.add({"acquire", 0, object_pool::pack(0, 0)}, concurrent);
    h.add({"release", object_pool::pack(0, 0), 1}, after({0}));
    h.add({"acquire", 0, object_pool::pack(0, 1)}, after({0, 1}));
    h.add({"release", object_pool::pack(0, 0), 1}, after({0, 1, 2}));
    EXPECT_FALSE(linearization<object_pool>::find(h, {1, true}));
    h.operations[3].result = 0;
    EXPECT_TRUE(linearization<object_pool>::find(h, {1, true}));
}

TEST(linearize, canary_object_taken_back_from_a_living_process_is_caught) {
    history h;
    h.add({"acquire", 0, object_pool::pack(0, 0), 7}, concurrent);
    h.add({"reclaim", object_pool::pack(0, 8), std::nullopt}, after({0}));
    h.add({"acquire", 0, object_pool::pack(0, 1)}, after({0}));
    EXPECT_FALSE(linearization<object_pool>::find(h, {1, true}));
    h.operations[1].argument = object_pool::pack(0, 7);
    EXPECT_TRUE(linearization<object_pool>::find(h, {1, true}));
}

TEST(linearize, canary_wrong_size_and_wrong_observers_are_caught) {
    for (const char* name : {"size", "empty", "full"}) {
        history h;
        h.add({"enqueue", 5, 1}, concurrent);
        h.add({name, 0, name[0] == 's' ? 2 : 1}, after({0}));
        EXPECT_FALSE(linearization<queue>::find(h, {2, {}})) << name;
        h.operations[1].result = name[0] == 's' ? 1 : 0;
        EXPECT_TRUE(linearization<queue>::find(h, {2, {}})) << name;
    }
}

TEST(linearize, operation_that_was_not_tried_has_no_effect) {
    history h;
    h.add({"enqueue", 5, not_tried}, concurrent);
    h.add({"dequeue", 0, none}, after({0}));
    EXPECT_TRUE(linearization<queue>::find(h, {2, {}}));
    h.operations[1].result = 5;
    EXPECT_FALSE(linearization<queue>::find(h, {2, {}}));
}

// What a ring of two gives after 1, 2 and then 3, which overwrites.
bool ring_gives(operation then) {
    history h;
    std::uint64_t before = 0;
    for (const std::int64_t v : {1, 2, 3})
        for (operation o : {operation{"drop", 1, 0}, {"announce", 1, 1}, {"append", v, 1}})
            before |= std::uint64_t{1} << h.add(o, before);
    h.add(then, before);
    return linearization<ring_buffer>::find(h, {2}).has_value();
}

TEST(linearize, canary_swaps_repetitions_and_wrong_losses_of_a_ring_are_caught) {
    const auto pack = ring_buffer::pack;
    EXPECT_TRUE(ring_gives({"take", 2, pack(32, 1)}));   // first 2, then 3
    EXPECT_FALSE(ring_gives({"take", 2, pack(23, 1)}));  // swapped
    EXPECT_FALSE(ring_gives({"take", 2, pack(32, 0)}));  // one was lost
    EXPECT_FALSE(ring_gives({"take", 2, pack(32, 2)}));  // not two
    EXPECT_FALSE(ring_gives({"take", 1, pack(1, 0)}));   // overwritten
    EXPECT_FALSE(ring_gives({"take", 2, pack(22, 1)}));  // repeated
    EXPECT_TRUE(ring_gives({"last", 2, 32}));
    EXPECT_FALSE(ring_gives({"last", 2, 21}));
    EXPECT_TRUE(ring_gives({"peek", 1, 2}));
    EXPECT_FALSE(ring_gives({"peek", 1, 3}));
    EXPECT_TRUE(ring_gives({"skip", 1, pack(1, 1)}));
    EXPECT_FALSE(ring_gives({"skip", 9, pack(3, 1)}));
}

TEST(linearize, canary_ring_with_more_records_than_fit_is_caught) {
    history h;
    h.add({"announce", 3, 3}, concurrent);
    h.add({"append", 321, 3}, concurrent);
    EXPECT_FALSE(linearization<ring_buffer>::find(h, {2}));
    EXPECT_TRUE(linearization<ring_buffer>::find(h, {3}));
}

TEST(linearize, canary_reader_of_a_ring_that_misses_a_record_is_caught) {
    history h;
    h.add({"join", 0, 0}, concurrent);
    h.add({"announce", 1, 1}, after({0}));
    h.add({"append", 1, 1}, after({0, 1}));
    h.add({"announce", 1, 1}, after({0, 1, 2}));
    h.add({"append", 2, 1}, after({0, 1, 2, 3}));
    h.add({"next", 1, 2}, after({0, 1, 2, 3, 4}));
    EXPECT_FALSE(linearization<ring_buffer>::find(h, {2}));
    h.operations[5].result = 1;
    EXPECT_TRUE(linearization<ring_buffer>::find(h, {2}));
}

TEST(linearize, canary_key_missed_while_always_present_is_caught) {
    history h;
    h.add({"insert", large_map::pack(1, 10), 1}, concurrent);
    h.add({"assign", large_map::pack(1, 11), 0}, after({0}));
    h.add({"find", 1, none}, after({0}));
    EXPECT_FALSE(linearization<large_map>::find(h));
    h.operations[2].result = 10;
    EXPECT_TRUE(linearization<large_map>::find(h));
    h.operations[2].result = 11;
    EXPECT_TRUE(linearization<large_map>::find(h));
}

TEST(linearize, canary_snapshot_that_mixes_two_versions_is_caught) {
    const mrsw_array initial{0, {0, 0}};
    history h;
    h.add({"fill", 3, 1}, concurrent);
    h.add({"write", mrsw_array::pack(1, 4), 2}, after({0}));
    h.add({"snapshot", 0, mrsw_array{1, {3, 4}}.image()}, after({0}));
    EXPECT_FALSE(linearization<mrsw_array>::find(h, initial));
    for (const mrsw_array& whole : {mrsw_array{1, {3, 3}}, mrsw_array{2, {3, 4}}}) {
        h.operations[2].result = whole.image();
        EXPECT_TRUE(linearization<mrsw_array>::find(h, initial));
    }
    h.operations[2].result = mrsw_array{0, {0, 0}}.image();  // not as old as that
    EXPECT_FALSE(linearization<mrsw_array>::find(h, initial));
    h.add({"recover", 0, 1}, after({0, 1, 2}));
    h.add({"read", 1, 4}, after({0, 1, 2, 3}));
    h.add({"version", 0, 3}, after({0, 1, 2, 3}));
    h.operations[2].result = mrsw_array{2, {3, 4}}.image();
    EXPECT_TRUE(linearization<mrsw_array>::find(h, initial));
}

TEST(linearize, history_in_pieces_goes_on_from_every_state_it_may_have_reached) {
    history overlapping;
    overlapping.add({"enqueue", 1, 1}, concurrent);
    overlapping.add({"enqueue", 2, 1}, concurrent);
    overlapping.add({"enqueue", 3, std::nullopt}, concurrent);  // its process died
    const auto states = linearization<queue>::outcomes(overlapping, {queue{3, {}}});
    EXPECT_EQ(states.size(), 2u + 6u);  // the two in either order; or all three, in any
    history next;
    next.add({"dequeue", 0, 2}, concurrent);
    next.add({"dequeue", 0, 1}, after({0}));
    next.add({"dequeue", 0, 3}, after({0, 1}));
    EXPECT_EQ(linearization<queue>::outcomes(next, states).size(), 1u);
    next.add({"dequeue", 0, 3}, after({0, 1, 2}));
    EXPECT_TRUE(linearization<queue>::outcomes(next, states).empty());
}

// Any run of the specification, its operations stretched to overlap, has an explanation.
TEST(linearize, histories_made_from_a_sequential_run_are_always_explained) {
    std::mt19937 random(1);
    for (int round = 0; round < 300; ++round) {
        history h;
        queue state{1 + random() % 3, {}};
        const queue initial = state;
        for (int i = 0; i < 12; ++i) {
            const bool enqueues = random() % 2 == 0;
            operation o{enqueues ? "enqueue" : "dequeue", enqueues ? i : 0, std::nullopt};
            const std::size_t size = state.elements.size();
            o.result = enqueues ? (size < state.capacity ? 1 : 0)
                                : (size == 0 ? none : state.elements.front());
            state = state.after(o).at(0);
            const unsigned overlap = static_cast<unsigned>(random() % 4);
            const unsigned over =
                i > static_cast<int>(overlap) ? static_cast<unsigned>(i) - overlap : 0;
            h.add(o, (std::uint64_t{1} << over) - 1);
        }
        ASSERT_TRUE(linearization<queue>::find(h, initial)) << "round " << round;
    }
}

}  // namespace
