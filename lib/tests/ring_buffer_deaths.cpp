// Ring: processes that stop or die before any of their accesses.
#include "lib/tests/ring_buffer.hpp"

#include <algorithm>

namespace {

using namespace testing_ring_buffer;

// --- one process stopped in the middle, the other at work ----------------------------------------

// In the middle of each kind of reading, before its n-th access, the writer writes `burst` records.
TEST(ring_buffer, a_reading_interrupted_at_any_access_yields_whole_records_or_counts_them_lost) {
    for (const std::uint64_t start : starts)
        for (const std::uint64_t capacity : {1u, 2u, 3u, 4u})
            for (const std::uint64_t burst : {1u, 2u, 3u, 4u, 5u, 9u})
                for (const std::uint64_t before : {1u, 2u, 3u, 4u, 7u})
                    for (int what = 0; what < 6; ++what)
                        for (long n = 1;; ++n) {
                            shared_ring<odd> s(capacity, start);
                            auto writer = s.handle();
                            ring_buffer<odd>::reader reader(s.records);
                            std::uint64_t written = 0;
                            const auto write = [&](std::uint64_t k) {
                                while (k-- > 0) writer.push_overwrite(odd::make(written++));
                            };
                            write(before);
                            follower f;
                            bool good = true;
                            std::vector<odd> out(3);
                            const auto bulk = [&](std::uint64_t count, std::uint64_t lost) {
                                f.skip(lost);
                                for (std::uint64_t i = 0; i < count; ++i) good &= f.take(out[i], 0);
                            };
                            const auto single = [&](const auto& r) { good &= f.take(r); };
                            const auto once = [&] {
                                if (what == 0) single(s.records.read());
                                if (what == 1) {
                                    const auto r = s.records.read_bulk(out);
                                    bulk(r.count, r.lost);
                                }
                                if (what == 2) single(reader.next());
                                if (what == 3) {
                                    const auto r = reader.next_bulk(out);
                                    bulk(r.count, r.lost);
                                }
                                if (what >= 4) {
                                    const auto k = what == 4 ? s.records.peek_bulk(1, out)
                                                             : s.records.get_last_n(3, out);
                                    good &= k <= 3;
                                    for (std::size_t i = 0; i < k; ++i)
                                        good &= out[i].whole() &&
                                                out[i].number() == out[0].number() + i;
                                }
                            };
                            const bool there = interrupted_at(n, once, [&] { write(burst); });
                            ASSERT_TRUE(good) << "operation " << what << ", access " << n;
                            if (what < 4) {
                                for (int i = 0; i < 30; ++i) once();
                                ASSERT_TRUE(good) << "operation " << what << ", access " << n;
                                ASSERT_EQ(f.delivered + f.lost, written) << what << ", " << n;
                            }
                            if (!there) break;
                        }
}

// The same for a writer that stops: everyone else ends, with whole records.
TEST(ring_buffer, a_writer_stopped_at_any_access_stops_no_one) {
    for (const std::uint64_t start : starts)
        for (const std::uint64_t capacity : {1u, 3u, 4u})
            for (const std::uint64_t before : {0u, 2u, 4u, 9u})
                for (int what = 0; what < 4; ++what)
                    for (long n = 1;; ++n) {
                        shared_ring<odd> s(capacity, start);
                        auto writer = s.handle();
                        ring_buffer<odd>::reader reader(s.records);
                        for (std::uint64_t i = 0; i < before; ++i)
                            writer.push_overwrite(odd::make(i));
                        const auto more = numbered<odd>(before, 3);
                        bool good = true;
                        follower consumed, followed;
                        const auto all_read = [&] {
                            std::vector<odd> out(4);
                            for (const auto k :
                                 {s.records.peek_bulk(0, out), s.records.get_last_n(4, out)})
                                for (std::size_t i = 0; i < k; ++i)
                                    good &=
                                        out[i].whole() && out[i].number() == out[0].number() + i;
                            for (int i = 0; i < 10; ++i) {
                                good &=
                                    consumed.take(s.records.read()) && followed.take(reader.next());
                            }
                        };
                        std::uint64_t pushed = 0;
                        const bool there = interrupted_at(
                            n,
                            [&] {
                                if (what == 0) pushed = writer.push(more[0]);
                                if (what == 1) pushed = writer.push_bulk(more);
                                if (what == 2) writer.push_overwrite(more[0]), pushed = 1;
                                if (what == 3) writer.push_overwrite_bulk(more), pushed = 3;
                            },
                            all_read);
                        all_read();
                        ASSERT_TRUE(good) << what << ", access " << n;
                        ASSERT_EQ(consumed.delivered + consumed.lost, before + pushed) << what;
                        ASSERT_EQ(followed.delivered + followed.lost, before + pushed) << what;
                        if (!there) break;
                    }
}

TEST(ring_buffer, a_read_ends_even_if_it_is_lapped_at_every_access) {
    shared_ring<odd> s(2);
    auto writer = s.handle();
    std::uint64_t written = 0;
    long accesses = 0;
    const auto write = [&] {
        for (int i = 0; i < 5; ++i) writer.push_overwrite(odd::make(written++));
    };
    write();
    follower f;
    for (int round = 0; round < 100; ++round) {
        const long before = accesses;
        const auto lap = [&] {
            write();
            ++accesses;
            intrude_after = 1;
        };
        static_cast<void>(interrupted_at(
            1, [&] { EXPECT_TRUE(f.take(s.records.read())); }, lap));
        EXPECT_LE(accesses - before, 12);
    }
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(f.take(s.records.read()));
    EXPECT_EQ(f.delivered + f.lost, written);
}

// --- death -----------------------------------------------------------------------------------------

// A writer is killed before its n-th access, for every n, and replaced.
TEST(ring_buffer, the_successor_of_a_writer_killed_anywhere_continues_without_a_torn_record) {
    for (const std::uint64_t start : {starts[2]})
        for (const std::uint64_t capacity : {1u, 3u, 4u})
            for (const std::uint64_t before : {1u, 4u})
                for (const std::uint64_t after : {0u, 1u, 2u, 6u})
                    for (int what = 0; what < 3; ++what) {
                        std::unique_ptr<shared_ring<odd>> s;
                        population all{};
                        killed_at_each_step(
                            all,
                            [&](long) {
                                s = std::make_unique<shared_ring<odd>>(capacity, start);
                                for (std::uint64_t i = 0; i < before; ++i)
                                    s->records.push_overwrite(odd::make(i));
                            },
                            [&] {
                                const auto v = numbered<odd>(before, 3);
                                if (what == 0) s->records.push_bulk(v);
                                if (what == 1) s->records.push_overwrite(v[0]);
                                if (what == 2) s->records.push_overwrite_bulk(v);
                            },
                            [&](long n) {
                                auto successor = s->handle();
                                const std::uint64_t committed = successor.total_written();
                                const auto rest = numbered<odd>(committed, after);
                                ring_buffer<odd>::reader reader(successor, capacity);
                                const std::uint64_t oldest =
                                    committed - std::min(committed, capacity);
                                successor.push_overwrite_bulk(rest);
                                follower followed{oldest, 0, 0};
                                for (int i = 0; i < 20; ++i)
                                    EXPECT_TRUE(followed.take(reader.next())) << n;
                                EXPECT_EQ(followed.next, committed + after) << n;
                                auto consumer = s->handle();
                                follower f;
                                for (int i = 0; i < 20; ++i)
                                    EXPECT_TRUE(f.take(consumer.read())) << n;
                                EXPECT_EQ(f.delivered + f.lost, committed + after) << n;
                                // A push without overwriting endangers no unread record.
                                if (what == 0 && before <= capacity && after == 0) {
                                    EXPECT_EQ(f.lost, 0u) << n;
                                }
                                EXPECT_TRUE(successor.push(odd::make(committed + after)));
                                EXPECT_EQ(consumer.pop()->number(), committed + after);
                            },
                            [](long) {});
                        ASSERT_FALSE(HasFailure()) << what << " capacity " << capacity;
                    }
}

TEST(ring_buffer, a_consumer_killed_anywhere_loses_at_most_what_it_was_taking) {
    for (int what = 0; what < 3; ++what) {
        std::unique_ptr<shared_ring<odd>> s;
        population all{};
        const long accesses = killed_at_each_step(
            all,
            [&](long) {
                s = std::make_unique<shared_ring<odd>>(8);
                s->records.push_bulk(numbered<odd>(0, 8));
            },
            [&] {
                std::vector<odd> out(3);
                if (what == 0) static_cast<void>(s->records.pop());
                if (what == 1) static_cast<void>(s->records.pop_bulk(out));
                if (what == 2) s->records.skip(3);
            },
            [&](long n) {
                auto successor = s->handle();
                const std::uint64_t read = successor.total_read();
                EXPECT_TRUE(read == 0 || read == (what == 0 ? 1 : 3)) << n;
                for (std::uint64_t i = read; i < 8; ++i) EXPECT_EQ(successor.pop()->number(), i);
                EXPECT_EQ(successor.push_bulk(numbered<odd>(8, 9)), 8u);
            },
            [](long) {});
        EXPECT_GT(accesses, 2);
    }
}

}  // namespace
