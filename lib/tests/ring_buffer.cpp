// Ring buffers: whole records or none, every record delivered once or counted as lost, whatever the
// others do in the middle, and wherever they die.
#include "lib/tests/ring_buffer.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <span>
#include <thread>

namespace {

using namespace testing_ring_buffer;

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
    EXPECT_EQ(ring::size_bytes(5), 3 * 64 + 4 * 64 + 8 * 24u);
    EXPECT_EQ(ring::size_bytes(9), 3 * 64 + 8 * 64 + 16 * 24u);
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
            for (std::size_t i = 0; i < 6; ++i)
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
