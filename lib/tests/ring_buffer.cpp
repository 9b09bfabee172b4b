// Ring buffers: whole records or none, every record delivered once or counted as lost, whatever the
// others do in the middle, and wherever they die.
#include "lib/tests/stepped.hpp"

#include <assay/posix_shm.hpp>
#include <assay/ring_buffer.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <thread>

namespace {

using namespace testing_stepped;
using assay::ring_buffer;
using testing_processes::child;
using testing_processes::shared_memory;
using testing_processes::shared_value;

constexpr std::uint64_t starts[] = {0, (std::uint64_t{1} << 32) - 3,
                                    std::numeric_limits<std::uint64_t>::max() - 2};

std::uint8_t noise_byte(std::uint64_t number, std::size_t i) {
    return static_cast<std::uint8_t>((number * 0x9e3779b97f4a7c15 + i * 0xbf58476d1ce4e5b9) >> 56);
}

// A record that knows its number, and whether it is whole: every byte follows from the number.
template <std::size_t Bytes>
struct stamped {
    static_assert(Bytes >= 8);
    std::array<std::uint8_t, Bytes> bytes;

    static stamped make(std::uint64_t number) {
        stamped s;
        std::memcpy(s.bytes.data(), &number, 8);
        for (std::size_t i = 8; i < Bytes; ++i) s.bytes[i] = noise_byte(number, i);
        return s;
    }
    [[nodiscard]] std::uint64_t number() const {
        std::uint64_t n;
        std::memcpy(&n, bytes.data(), 8);
        return n;
    }
    [[nodiscard]] bool whole() const { return bytes == make(number()).bytes; }
};
using odd = stamped<21>;   // three words, the last one in part
using big = stamped<200>;  // 25 words

// A ring in memory that children share, and the handle of this process to it.
template <class T>
struct shared_ring {
    using ring = ring_buffer<T>;
    explicit shared_ring(std::uint64_t count, std::uint64_t start = 0)
        : memory(ring::size_bytes(count)),
          me(*everyone.operator->()),
          records((ring::format(memory.get(), count, start), memory.get()), count, me) {}

    // Another handle: what another process has, or a successor.
    [[nodiscard]] ring handle() { return ring(memory.get(), records.capacity(), me); }
    // The header's words: reserved, committed and start; read; floor.
    [[nodiscard]] std::uint64_t& raw(std::size_t i) {
        constexpr std::size_t at[] = {0, 1, 2, 8, 16};
        return static_cast<std::uint64_t*>(memory.get())[at[i]];
    }

    shared_value<population> everyone;
    shared_memory memory;
    member me;
    ring records;
};

template <class T>
std::vector<T> numbered(std::uint64_t first, std::uint64_t n) {
    std::vector<T> v;
    for (std::uint64_t i = 0; i < n; ++i) v.push_back(T::make(first + i));
    return v;
}

template <class T>
void expect_run(const std::vector<T>& v, std::uint64_t n, std::uint64_t first) {
    for (std::uint64_t i = 0; i < n; ++i) {
        ASSERT_TRUE(v[i].whole());
        ASSERT_EQ(v[i].number(), first + i);
    }
}

// Who follows a ring: each record whole, later than the one before, and none unaccounted for.
struct follower {
    std::uint64_t next = 0;  // number of the next record, if none is lost
    std::uint64_t lost = 0;
    std::uint64_t delivered = 0;

    template <class T>
    bool take(const T& record, std::uint64_t lost_before) {
        skip(lost_before);
        const bool good = record.whole() && record.number() == next;
        ++next, ++delivered;
        return good;
    }
    template <class Reading>
    bool take(const Reading& r) {
        if (r.record) return take(*r.record, r.lost);
        skip(r.lost);
        return true;
    }
    void skip(std::uint64_t n) { lost += n, next += n; }
};

// --- one process: every operation against a plain model ------------------------------------------

template <class T>
void agrees_with_a_plain_model(std::uint64_t capacity, std::uint64_t start) {
    shared_ring<T> s(capacity, start);
    std::uint64_t written = 0, read = 0, lost = 0;
    const auto catch_up = [&] {  // what the consumer's next operation finds
        const std::uint64_t gone = written - read > capacity ? written - read - capacity : 0;
        read += gone, lost += gone;
    };
    std::mt19937_64 random(capacity * 7919 + start);
    std::vector<T> out(2 * capacity + 3);
    for (int round = 0; round < 2000; ++round) {
        const std::uint64_t n = random() % (2 * capacity + 3);
        const std::uint64_t room = capacity - std::min(capacity, written - read);
        const auto some = std::span<T>(out).first(n);
        switch (random() % 11) {
            case 0:
                ASSERT_EQ(s.records.push(T::make(written)), room > 0);
                written += room > 0;
                break;
            case 1: {
                const auto v = numbered<T>(written, n);
                ASSERT_EQ(s.records.push_bulk(v), std::min(n, room));
                written += std::min(n, room);
                break;
            }
            case 2:
                s.records.push_overwrite(T::make(written++));
                break;
            case 3:
                s.records.push_overwrite_bulk(numbered<T>(written, n));
                written += n;
                break;
            case 4: {
                catch_up();
                const auto r = s.records.pop();
                ASSERT_EQ(r.has_value(), read != written);
                if (r) {
                    ASSERT_EQ(r->number(), read++);
                }
                break;
            }
            case 5: {
                if (n != 0 || written - read > capacity) catch_up();
                const std::uint64_t k = std::min(n, written - read);
                ASSERT_EQ(s.records.pop_bulk(some), k);
                expect_run(out, k, read);
                read += k;
                break;
            }
            case 6: {
                const std::uint64_t before = lost;
                catch_up();
                const auto r = s.records.read();
                ASSERT_EQ(r.lost, lost - before);
                ASSERT_EQ(r.record.has_value(), read != written);
                if (r.record) {
                    ASSERT_EQ(r.record->number(), read++);
                }
                break;
            }
            case 7: {
                const std::uint64_t oldest = std::max(read, written - std::min(written, capacity));
                const std::uint64_t offset = random() % (capacity + 2);
                const std::uint64_t k =
                    offset < written - oldest ? std::min(n, written - oldest - offset) : 0;
                ASSERT_EQ(s.records.peek_bulk(offset, some), k);
                expect_run(out, k, oldest + offset);
                ASSERT_EQ(s.records.peek(offset).has_value(), offset < written - oldest);
                break;
            }
            case 8: {
                const std::uint64_t k = std::min({n, capacity, written});
                ASSERT_EQ(s.records.get_last_n(n, out), k);
                expect_run(out, k, written - k);
                break;
            }
            case 9: {
                catch_up();
                const std::uint64_t k = std::min(n, written - read);
                ASSERT_EQ(s.records.skip(n), k);
                read += k;
                break;
            }
            default:
                if (random() % 8 != 0) break;
                catch_up();
                s.records.clear();
                read = written;
        }
        if (testing::Test::HasFatalFailure()) return;
        ASSERT_EQ(s.records.total_written(), written);
        ASSERT_EQ(s.records.total_read(), read);
        ASSERT_EQ(s.records.lost(), lost);
        ASSERT_EQ(s.records.size(), std::min(written - read, capacity));
        ASSERT_EQ(s.records.available_space(), capacity - s.records.size());
        ASSERT_EQ(s.records.empty(), written == read);
        ASSERT_EQ(s.records.full(), written - read >= capacity);
    }
}

TEST(ring_buffer, every_operation_agrees_with_a_plain_model) {
    for (const std::uint64_t start : starts)
        for (const std::uint64_t capacity : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 13u, 64u}) {
            agrees_with_a_plain_model<stamped<8>>(capacity, start);
            agrees_with_a_plain_model<odd>(capacity, start);
            agrees_with_a_plain_model<big>(capacity, start);
            ASSERT_FALSE(HasFatalFailure()) << capacity << " from " << start;
        }
}

TEST(ring_buffer, elements_smaller_than_a_word_and_larger_than_a_page_are_kept) {
    shared_ring<std::uint8_t> bytes(5);
    for (std::uint8_t i = 0; i < 5; ++i) EXPECT_TRUE(bytes.records.push(i));
    EXPECT_FALSE(bytes.records.push(9));
    for (std::uint8_t i = 0; i < 5; ++i) EXPECT_EQ(bytes.records.pop(), i);
    using huge = stamped<10001>;
    shared_ring<huge> pages(3);
    for (std::uint64_t i = 0; i < 10; ++i) pages.records.push_overwrite(huge::make(i));
    for (std::uint64_t i = 7; i < 10; ++i) {
        huge h;
        ASSERT_TRUE(pages.records.pop(h));
        EXPECT_TRUE(h.whole());
        EXPECT_EQ(h.number(), i);
    }
    EXPECT_EQ(pages.records.lost(), 7u);
}

TEST(ring_buffer, capacities_that_no_memory_can_hold_are_refused) {
    using ring = ring_buffer<odd>;
    for (const std::uint64_t n :
         {std::uint64_t{0}, std::uint64_t{1} << 44, std::uint64_t{1} << 63,
          (std::uint64_t{1} << 63) + 1, std::numeric_limits<std::uint64_t>::max()})
        EXPECT_THROW(static_cast<void>(ring::size_bytes(n)), std::invalid_argument) << n;
    EXPECT_EQ(ring::size_bytes(5), 3 * 64 + 8 * 24u);
}

TEST(ring_buffer, a_reader_of_its_own_sees_every_record_once_or_counts_it) {
    shared_ring<odd> s(4);
    ring_buffer<odd>::reader from_now(s.records);
    ring_buffer<odd>::reader late(s.records);
    std::vector<odd> out(10);
    for (std::uint64_t i = 0; i < 3; ++i) s.records.push_overwrite(odd::make(i));
    EXPECT_EQ(from_now.next_bulk(out).count, 3u);
    expect_run(out, 3, 0);
    EXPECT_FALSE(from_now.next().record);
    for (std::uint64_t i = 3; i < 9; ++i) s.records.push_overwrite(odd::make(i));
    const auto r = late.next();
    EXPECT_EQ(r.lost, 5u);
    EXPECT_EQ(r.record->number(), 5u);
    ring_buffer<odd>::reader two_back(s.records, 2);
    EXPECT_EQ(two_back.next().record->number(), 7u);
    ring_buffer<odd>::reader all(s.records, 1000);
    EXPECT_EQ(all.next_bulk(out).count, 4u);
    expect_run(out, 4, 5);
    EXPECT_EQ(s.records.total_read(), 0u) << "readers consume nothing";
}

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

// --- processes and threads at full speed -----------------------------------------------------------

template <class Ring>
bool follow(Ring& ring, bool consume, std::uint64_t written, std::uint32_t seed) {
    noise = seed;
    typename Ring::reader reader(ring, written);
    std::vector<typename Ring::value_type> out(5);
    const std::uint64_t began =
        ring.total_written() - std::min(ring.total_written(), ring.capacity());
    follower f{consume ? 0 : began, 0, 0};
    const std::uint64_t missed = f.next;  // before this reader was there: at most this many
    bool good = true;
    for (std::uint64_t i = seed; f.next < written && good; ++i) {
        if (i % 3 == 0) {
            const auto r = consume ? ring.read() : reader.next();
            if (f.delivered == 0 && r.record && !consume) f.next = r.record->number() - r.lost;
            good = f.take(r);
        } else {
            const auto r = consume ? ring.read_bulk(out) : reader.next_bulk(out);
            if (f.delivered == 0 && r.count != 0 && !consume) f.next = out[0].number() - r.lost;
            f.skip(r.lost);
            for (std::size_t k = 0; k < r.count && good; ++k) good = f.take(out[k], 0);
        }
        const auto n = i % 2 == 0 ? ring.peek_bulk(i % 4, out) : ring.get_last_n(5, out);
        for (std::size_t k = 0; k < n && good; ++k)
            good = out[k].whole() && out[k].number() == out[0].number() + k;
    }
    noise = 0;
    return good && f.next == written && (!consume || f.delivered + f.lost == written) &&
           missed <= written;
}

template <class Ring>
void overwrite(Ring& ring, std::uint64_t written, std::uint32_t seed) {
    noise = seed;
    for (std::uint64_t i = 0; i < written;) {
        const std::uint64_t n = std::min(written - i, i % 7);
        if (n < 2) {
            ring.push_overwrite(Ring::value_type::make(i++));
        } else {
            ring.push_overwrite_bulk(numbered<typename Ring::value_type>(i, n));
            i += n;
        }
    }
    noise = 0;
}

template <class T>
void processes_beside_a_free_running_writer(std::uint64_t capacity, std::uint64_t start) {
    constexpr std::uint64_t written = 30000;
    shared_ring<T> s(capacity, start);
    std::vector<child> children;
    for (std::uint32_t i = 0; i < 3; ++i)
        children.emplace_back([&] {
            auto mine = s.handle();
            return follow(mine, i == 0, written, i + 1) ? 0 : 1;
        });
    children.emplace_back([&] {
        auto mine = s.handle();
        overwrite(mine, written, 77);
    });
    for (auto& c : children) EXPECT_EQ(c.exit_code(), 0) << capacity << " from " << start;
    EXPECT_EQ(s.records.total_written(), written);
    EXPECT_EQ(s.records.total_read(), written);
}

TEST(ring_buffer, processes_beside_a_free_running_writer_get_whole_records_and_miss_no_count) {
    for (const std::uint64_t capacity : {1u, 5u, 64u}) {
        processes_beside_a_free_running_writer<odd>(capacity, 0);
        processes_beside_a_free_running_writer<big>(capacity, starts[2]);
    }
}

TEST(ring_buffer, threads_beside_a_free_running_writer_get_whole_records_and_miss_no_count) {
    constexpr std::uint64_t written = 10000;
    for (const std::uint64_t capacity : {1u, 7u}) {
        shared_ring<odd> s(capacity, starts[2]);
        bool good[3] = {};
        std::vector<std::thread> threads;
        for (std::uint32_t i = 0; i < 3; ++i)
            threads.emplace_back([&, i] {
                auto mine = s.handle();
                good[i] = follow(mine, i == 0, written, i + 1);
            });
        overwrite(s.records, written, 5);
        for (auto& t : threads) t.join();
        EXPECT_TRUE(good[0] && good[1] && good[2]);
    }
}

TEST(ring_buffer, without_overwriting_every_record_arrives_once_and_in_order) {
    for (const std::uint64_t start : starts)
        for (const std::uint64_t capacity : {1u, 3u, 1000u}) {
            // Thousands of laps where the two wait for each other at almost every record.
            const std::uint64_t written = capacity < 10 ? 20000 : 100000;
            shared_ring<odd> s(capacity, start);
            child writer([&] {
                auto mine = s.handle();
                for (std::uint64_t i = 0; i < written;) {
                    const std::uint64_t n =
                        i % 3 == 0
                            ? mine.push(odd::make(i))
                            : mine.push_bulk(numbered<odd>(i, std::min(1 + i % 50, written - i)));
                    if (n == 0) ::sched_yield();
                    i += n;
                }
            });
            follower f;
            std::vector<odd> out(37);
            bool good = true;
            while (f.delivered < written && good) {
                const auto n = s.records.pop_bulk(std::span(out).first(1 + f.next % 37));
                if (n == 0) ::sched_yield();
                for (std::size_t i = 0; i < n && good; ++i) good = f.take(out[i], 0);
            }
            EXPECT_TRUE(good);
            EXPECT_EQ(writer.exit_code(), good ? 0 : 128 + SIGKILL);
            EXPECT_EQ(s.records.lost(), 0u);
            EXPECT_TRUE(s.records.empty());
        }
}

// Roles move from process to process; waitpid orders the old one's last operation before the new
// one's first.
TEST(ring_buffer, both_roles_can_be_handed_to_another_process) {
    shared_ring<odd> s(8, starts[2]);
    std::uint64_t written = 0, read = 0;
    for (int round = 0; round < 50; ++round) {
        EXPECT_EQ(child([&] {
                      return static_cast<int>(s.records.push_bulk(numbered<odd>(written, 5)));
                  }).exit_code(),
                  5);
        written += 5;
        EXPECT_EQ(child([&] {
                      for (std::uint64_t i = 0; i < 3; ++i)
                          if (s.records.pop()->number() != read + i) return 1;
                      return 0;
                  }).exit_code(),
                  0);
        read += 3;
        // This process takes its turn, with a handle that has missed the others' turns.
        EXPECT_TRUE(s.records.push(odd::make(written++)));
        while (read < written) ASSERT_EQ(s.records.pop()->number(), read++);
        EXPECT_FALSE(s.records.pop());
    }
}

TEST(ring_buffer, counters_may_contain_anything) {
    std::mt19937_64 random(3);
    const auto nonsense = [&]() -> std::uint64_t {
        switch (random() % 5) {
            case 0:
                return random() % 8;
            case 1:
                return std::uint64_t{0} - random() % 8;
            case 2:
                return (std::uint64_t{1} << 63) + random() % 8 - 4;
            case 3:
                return (std::uint64_t{1} << 62) + random() % 100;
            default:
                return random();
        }
    };
    for (const std::uint64_t capacity : {1u, 3u, 8u}) {
        shared_ring<odd> s(capacity);
        std::vector<odd> out(10);
        for (int round = 0; round < 20000; ++round) {
            auto& r = s.records;
            for (std::size_t i = 0; i < 5; ++i)
                if (random() % 2 == 0) s.raw(i) = nonsense();
            ring_buffer<odd>::reader reader(r, nonsense());
            ASSERT_LE(reader.next_bulk(out).count, out.size());
            ASSERT_LE(r.push_bulk(out), out.size());
            r.push_overwrite_bulk(out);
            ASSERT_LE(r.peek_bulk(nonsense(), out), out.size());
            ASSERT_LE(r.get_last_n(nonsense(), out), out.size());
            ASSERT_LE(r.pop_bulk(out), out.size());
            ASSERT_LE(r.skip(nonsense()), capacity);
            ASSERT_LE(r.size(), capacity);
            static_cast<void>(r.push(out[0]));
            static_cast<void>(r.pop());
            static_cast<void>(r.peek());
            r.clear();
        }
    }
}

TEST(ring_buffer, is_found_by_name_and_refused_as_another_type_or_capacity) {
    assay::posix_shm segment(testing_processes::unique_name(), 1 << 20);
    ring_buffer<odd> ring(segment, "ring", 6);
    EXPECT_TRUE(ring.push(odd::make(1)));
    child other([&] {
        assay::posix_shm mine(segment.name());
        ring_buffer<odd> same(mine, "ring");
        return same.capacity() == 6 && same.pop()->number() == 1 ? 0 : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
    EXPECT_TRUE(ring.empty());
    EXPECT_TRUE(ring_buffer<odd>::exists(segment, "ring"));
    EXPECT_THROW(ring_buffer<odd>(segment, "ring", 8), assay::mismatch);
    EXPECT_THROW(ring_buffer<big>(segment, "ring"), assay::mismatch);
    EXPECT_THROW(ring_buffer<odd>(segment, "none"), assay::not_found);
}

// --- canary: the seed's ring, whose writer moves the reader's position ----------------------------

struct seed_ring {
    static constexpr std::uint64_t capacity = 2;
    assay::word<std::uint64_t> write_pos{};
    assay::word<std::uint64_t> read_pos{};
    assay::word<std::uint64_t> slots[capacity][3]{};

    void push_overwrite(const odd& record) {
        const std::uint64_t at = write_pos.load(assay::relaxed);
        if (at - read_pos.load(assay::acquire) == capacity)
            read_pos.store(read_pos.load(assay::relaxed) + 1, assay::release);
        std::uint64_t words[3] = {};
        std::memcpy(words, &record, sizeof record);
        assay::store_words(slots[at % capacity], words, 3);
        write_pos.store(at + 1, assay::release);
    }
    std::optional<odd> pop() {
        const std::uint64_t at = read_pos.load(assay::relaxed);
        if (at == write_pos.load(assay::acquire)) return std::nullopt;
        std::uint64_t words[3];
        assay::load_words(slots[at % capacity], words, 3);
        read_pos.store(at + 1, assay::release);
        odd record;
        std::memcpy(static_cast<void*>(&record), words, sizeof record);
        return record;
    }
};

// Pops once, interrupted before its n-th access by `burst` overwriting pushes, and then until empty.
struct found {
    int torn = 0;
    int backward = 0;
};
template <class Ring>
found pops_interrupted_everywhere(auto make) {
    found f;
    for (std::uint64_t burst = 1; burst <= 5; ++burst)
        for (long n = 1;; ++n) {
            auto made = make();
            Ring& ring = made->records;
            std::uint64_t written = 0;
            for (; written < 2; ++written) ring.push_overwrite(odd::make(written));
            std::uint64_t next = 0;
            const auto pop = [&] {
                const auto r = ring.pop();
                if (!r) return false;
                f.torn += !r->whole();
                f.backward += r->number() < next;
                next = r->number() + 1;
                return true;
            };
            const bool there = interrupted_at(n, pop, [&] {
                for (std::uint64_t i = 0; i < burst; ++i) ring.push_overwrite(odd::make(written++));
            });
            for (int i = 0; i < 10 && pop(); ++i) {
            }
            if (!there) break;
        }
    return f;
}

TEST(ring_buffer, canary_a_writer_that_moves_the_readers_position_tears_and_repeats_records) {
    struct seed {
        seed_ring records;
    };
    const found broken =
        pops_interrupted_everywhere<seed_ring>([] { return std::make_unique<seed>(); });
    EXPECT_GT(broken.torn, 0);
    EXPECT_GT(broken.backward, 0);
    const found ours = pops_interrupted_everywhere<ring_buffer<odd>>(
        [] { return std::make_unique<shared_ring<odd>>(2); });
    EXPECT_EQ(ours.torn, 0);
    EXPECT_EQ(ours.backward, 0);
}

}  // namespace
