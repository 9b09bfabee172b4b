// Arrays of one writer and many readers: every snapshot is of one version, whatever the writer does
// in the middle, and wherever it dies.
#include "lib/tests/stepped.hpp"

#include <assay/mrsw_array.hpp>
#include <assay/posix_shm.hpp>

#include <array>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace testing_stepped;
using assay::mrsw_array;
using testing_processes::child;
using testing_processes::shared_memory;
using testing_processes::shared_value;

constexpr std::uint64_t starts[] = {0, (std::uint64_t{1} << 32) - 3,
                                    std::numeric_limits<std::uint64_t>::max() - 2};

// Odd in size, so that elements share words.
struct odd {
    std::array<std::uint32_t, 3> parts;
    static odd make(std::uint64_t version, std::uint64_t i) {
        const auto v = static_cast<std::uint32_t>(version * 1000 + i);
        return {{v, ~v, v * 2654435761u}};
    }
    bool operator==(const odd&) const = default;
};
static_assert(sizeof(odd) == 12);

template <class T>
struct shared_array {
    explicit shared_array(std::uint64_t count, std::uint64_t start = 0)
        : memory(mrsw_array<T>::size_bytes(count)),
          me(*everyone.operator->()),
          values((mrsw_array<T>::format(memory.get(), count, start), memory.get()), count, me) {}

    [[nodiscard]] mrsw_array<T> handle() { return {memory.get(), values.size(), me}; }
    [[nodiscard]] std::uint64_t& raw(std::size_t i) {  // begun, published
        return static_cast<std::uint64_t*>(memory.get())[i];
    }

    shared_value<population> everyone;
    shared_memory memory;
    member me;
    mrsw_array<T> values;
};

std::vector<odd> all_of(std::uint64_t version, std::uint64_t n) {
    std::vector<odd> v;
    for (std::uint64_t i = 0; i < n; ++i) v.push_back(odd::make(version, i));
    return v;
}

template <class T>
void agrees_with_a_plain_model(std::uint64_t count, std::uint64_t start) {
    shared_array<T> s(count, start);
    auto other = s.handle();  // the writer's role goes back and forth
    std::vector<T> model(count, T{});
    std::uint64_t version = start;
    std::mt19937_64 random(count + start);
    for (int round = 0; round < 1000; ++round) {
        auto& a = random() % 4 == 0 ? other : s.values;
        const std::uint64_t first = random() % count;
        const std::uint64_t n = random() % (count - first + 1);
        const auto value = static_cast<T>(random());
        switch (random() % 5) {
            case 0:
                ASSERT_EQ(a.write(first, value), ++version);
                model[first] = value;
                break;
            case 1: {
                const std::vector<T> v(n, value);
                ASSERT_EQ(a.write(first, std::span<const T>(v)), ++version);
                std::copy(v.begin(), v.end(), model.begin() + static_cast<std::ptrdiff_t>(first));
                break;
            }
            case 2:
                ASSERT_EQ(a.update([&](auto& e) {
                    e.set(first, static_cast<T>(e.get(0) + 1));
                    e.set(count - 1, e.get(first));
                }),
                          ++version);
                model[first] = static_cast<T>(model[0] + 1);
                model[count - 1] = model[first];
                break;
            case 3:  // abandoned in the middle
                ASSERT_THROW(a.update([&](auto& e) {
                    e.set(first, value);
                    e.set(count, value);
                }),
                             std::out_of_range);
                ASSERT_TRUE(a.interrupted());
                if (random() % 2 == 0) {
                    ASSERT_TRUE(other.recover());
                    ASSERT_FALSE(other.recover());
                    ++version;
                }
                break;
            default: {
                std::vector<T> part(n);
                ASSERT_EQ(a.snapshot(part, first), version);
                ASSERT_TRUE(std::equal(part.begin(), part.end(),
                                       model.begin() + static_cast<std::ptrdiff_t>(first)));
                ASSERT_EQ(a.read(first), model[first]);
            }
        }
        std::vector<T> whole(count);
        ASSERT_EQ(a.try_snapshot(whole), version);
        ASSERT_EQ(whole, model);
        ASSERT_EQ(a.version(), version);
    }
}

TEST(mrsw_array, every_operation_agrees_with_a_plain_model) {
    for (const std::uint64_t start : starts)
        for (const std::uint64_t count : {1u, 2u, 3u, 7u, 64u, 100u}) {
            agrees_with_a_plain_model<std::uint8_t>(count, start);
            agrees_with_a_plain_model<std::uint32_t>(count, start);
            agrees_with_a_plain_model<std::uint64_t>(count, start);
            ASSERT_FALSE(HasFatalFailure()) << count << " from " << start;
        }
}

TEST(mrsw_array, elements_outside_are_refused_before_anything_changes) {
    shared_array<odd> s(5);
    std::vector<odd> six(6);
    EXPECT_THROW(static_cast<void>(s.values.read(5)), std::out_of_range);
    EXPECT_THROW(s.values.snapshot(six), std::out_of_range);
    EXPECT_THROW(s.values.write(5, odd{}), std::out_of_range);
    EXPECT_THROW(s.values.write(std::numeric_limits<std::uint64_t>::max(), six), std::out_of_range);
    EXPECT_EQ(s.values.version(), 0u);
    EXPECT_FALSE(s.values.interrupted());
    for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{1} << 60})
        EXPECT_THROW(static_cast<void>(mrsw_array<odd>::size_bytes(n)), std::invalid_argument);
}

// --- one process stopped in the middle, the other at work ----------------------------------------

TEST(mrsw_array, a_snapshot_interrupted_at_any_access_is_of_one_version) {
    for (const std::uint64_t start : starts)
        for (std::uint64_t updates = 1; updates <= 4; ++updates)
            for (int what = 0; what < 2; ++what)
                for (long n = 1;; ++n) {
                    shared_array<odd> s(5, start);
                    auto writer = s.handle();
                    std::uint64_t version = writer.write(0, all_of(start + 1, 5));
                    std::vector<odd> out(5);
                    std::optional<std::uint64_t> seen;
                    const bool there = interrupted_at(
                        n,
                        [&] {
                            if (what == 0) seen = s.values.snapshot(out);
                            if (what == 1) seen = s.values.try_snapshot(out);
                        },
                        [&] {
                            for (std::uint64_t i = 0; i < updates; ++i)
                                version = writer.write(0, all_of(version + 1, 5));
                        });
                    ASSERT_TRUE(what == 1 || seen);
                    if (seen) {
                        ASSERT_EQ(out, all_of(*seen, 5)) << updates << " at access " << n;
                    }
                    if (!there) break;
                }
}

TEST(mrsw_array, a_writer_stopped_at_any_access_disturbs_no_reader) {
    for (const std::uint64_t start : starts)
        for (long n = 1;; ++n) {
            shared_array<odd> s(5, start);
            auto writer = s.handle();
            const std::uint64_t before = writer.write(0, all_of(start + 1, 5));
            const auto read_all = [&] {
                std::vector<odd> out(5);
                const auto seen = s.values.try_snapshot(out);
                ASSERT_TRUE(seen && (*seen == before || *seen == before + 1));
                ASSERT_EQ(out, all_of(*seen, 5));
                ASSERT_EQ(s.values.snapshot(out), *seen);
                ASSERT_EQ(s.values.read(3), out[3]);
            };
            const bool there = interrupted_at(
                n, [&] { writer.write(0, all_of(before + 1, 5)); }, read_all);
            read_all();
            ASSERT_FALSE(HasFatalFailure()) << n;
            if (!there) break;
        }
}

TEST(mrsw_array, the_successor_of_a_writer_killed_anywhere_starts_from_a_published_version) {
    for (const std::uint64_t start : starts)
        for (const bool explicitly : {false, true}) {
            std::unique_ptr<shared_array<odd>> s;
            population all{};
            const long accesses = killed_at_each_step(
                all,
                [&](long) {
                    s = std::make_unique<shared_array<odd>>(5, start);
                    s->values.write(0, all_of(start + 1, 5));
                },
                [&] {
                    s->values.write(0, all_of(start + 2, 5));
                    s->values.write(0, all_of(start + 3, 5));
                },
                [&](long n) {
                    std::vector<odd> out(5);
                    auto successor = s->handle();
                    const std::uint64_t seen = successor.snapshot(out);
                    EXPECT_EQ(out, all_of(seen, 5)) << n;
                    if (explicitly) {
                        const bool torn = successor.interrupted();
                        EXPECT_EQ(successor.recover(), torn);
                        EXPECT_EQ(successor.snapshot(out), seen + torn);
                        EXPECT_EQ(out, all_of(seen, 5)) << n;
                    }
                    auto expected = all_of(seen, 5);
                    for (std::uint64_t i = 0; i < 4; ++i) {
                        expected[i] = odd::make(77, i);
                        successor.write(i, expected[i]);
                        successor.snapshot(out);
                        EXPECT_EQ(out, expected) << n;
                    }
                    EXPECT_FALSE(successor.interrupted());
                },
                [](long) {});
            EXPECT_GT(accesses, 10);
        }
}

TEST(mrsw_array, recovery_may_die_at_every_access) {
    for (const std::uint64_t start : starts) {
        std::unique_ptr<shared_array<odd>> s;
        population all{};
        const auto expected = all_of(start + 1, 5);
        const long accesses = killed_at_each_step(
            all,
            [&](long) {
                s = std::make_unique<shared_array<odd>>(5, start);
                s->values.write(0, expected);
                const auto give_up = [](auto& e) {
                    e.set(2, odd::make(77, 2));
                    throw 1;
                };
                EXPECT_THROW(s->values.update(give_up), int);
            },
            [&] { s->handle().recover(); },
            [&](long n) {
                std::vector<odd> out(5);
                auto successor = s->handle();
                successor.snapshot(out);
                EXPECT_EQ(out, expected) << n;
                successor.recover();
                EXPECT_FALSE(successor.interrupted()) << n;
                successor.snapshot(out);
                EXPECT_EQ(out, expected) << n;
                EXPECT_FALSE(successor.recover()) << n;
            },
            [](long) {});
        EXPECT_GT(accesses, 10);
    }
}

TEST(mrsw_array, versions_that_contradict_each_other_are_an_error_and_not_a_loop) {
    shared_array<odd> s(3);
    std::mt19937_64 random(1);
    std::vector<odd> out(3);
    for (int round = 0; round < 10000; ++round) {
        s.raw(0) = random() % 2 == 0 ? random() : random() % 4;
        s.raw(1) = random() % 2 == 0 ? random() : random() % 4;
        const bool sane = s.raw(0) - s.raw(1) <= 1;
        EXPECT_EQ(s.values.try_snapshot(out).has_value(), sane);
        if (sane) {
            s.values.snapshot(out);
        } else {
            EXPECT_THROW(s.values.snapshot(out), assay::corrupt);
            EXPECT_THROW(static_cast<void>(s.values.read(1)), assay::corrupt);
        }
        s.values.write(0, all_of(5, 3));  // a writer puts them right
        s.values.snapshot(out);
        EXPECT_EQ(out, all_of(5, 3));
    }
}

// --- processes and threads at full speed -----------------------------------------------------------

bool follow(const mrsw_array<odd>& values, std::uint64_t last, std::uint32_t seed) {
    noise = seed;
    std::vector<odd> out(values.size());
    std::uint64_t seen = values.version();
    bool good = true;
    while (good && seen < last) {
        const std::uint64_t version = values.snapshot(out);
        good = version >= seen && (version == 0 || out == all_of(version, out.size()));
        seen = version;
        const auto one = values.read(seen % out.size());
        good = good && (seen == 0 || one.parts[1] == ~one.parts[0]);
    }
    noise = 0;
    return good;
}

TEST(mrsw_array, processes_beside_a_free_running_writer_see_one_version_each_time) {
    constexpr std::uint64_t last = 10000;
    for (const std::uint64_t count : {1u, 5u, 100u}) {
        shared_array<odd> s(count);
        std::vector<child> readers;
        for (std::uint32_t i = 1; i <= 3; ++i)
            readers.emplace_back([&] { return follow(s.handle(), last, i) ? 0 : 1; });
        child writer([&] {
            auto mine = s.handle();
            noise = 9;
            for (std::uint64_t v = 1; v <= last; ++v) mine.write(0, all_of(v, count));
        });
        for (auto& r : readers) EXPECT_EQ(r.exit_code(), 0);
        EXPECT_EQ(writer.exit_code(), 0);
    }
}

TEST(mrsw_array, threads_beside_a_free_running_writer_see_one_version_each_time) {
    constexpr std::uint64_t last = 3000;
    shared_array<odd> s(9);
    bool good[2] = {};
    std::thread a([&] { good[0] = follow(s.handle(), last, 1); });
    std::thread b([&] { good[1] = follow(s.values, last, 2); });
    auto writer = s.handle();
    for (std::uint64_t v = 1; v <= last; ++v) writer.write(0, all_of(v, 9));
    a.join();
    b.join();
    EXPECT_TRUE(good[0] && good[1]);
}

TEST(mrsw_array, is_found_by_name_with_zero_elements_and_refused_as_another_type) {
    assay::posix_shm segment(testing_processes::unique_name(), 1 << 20);
    mrsw_array<odd> values(segment, "values", 6);
    EXPECT_EQ(values.read(5), odd{});
    values.write(2, odd::make(1, 2));
    child other([&] {
        assay::posix_shm mine(segment.name());
        return mrsw_array<odd>(mine, "values").read(2) == odd::make(1, 2) ? 0 : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
    EXPECT_TRUE(mrsw_array<odd>::exists(segment, "values"));
    EXPECT_THROW(mrsw_array<std::uint64_t>(segment, "values"), assay::mismatch);
    EXPECT_THROW(mrsw_array<odd>(segment, "none"), assay::not_found);
}

// --- canary: the seed's array, whose version counts the writes that are done -----------------------

struct seed_array {
    assay::word<std::uint64_t> version{};
    assay::word<std::uint64_t> data[3]{};

    void write(std::uint64_t v) {
        for (auto& d : data) d.store(v, assay::relaxed);
        version.fetch_add(1, assay::release);
    }
    bool snapshot(std::array<std::uint64_t, 3>& out) const {
        const auto before = version.load(assay::acquire);
        assay::load_words(data, out.data(), 3);
        return version.load(assay::acquire) == before;
    }
};

TEST(mrsw_array, canary_a_version_that_counts_only_finished_writes_lets_a_mixture_through) {
    int mixtures = 0;
    for (long n = 1;; ++n) {
        seed_array a;
        std::array<std::uint64_t, 3> out{};
        const bool there = interrupted_at(
            n, [&] { a.write(7); },
            [&] { mixtures += a.snapshot(out) && (out[0] != out[1] || out[1] != out[2]); });
        if (!there) break;
    }
    EXPECT_GT(mixtures, 0);
}

}  // namespace
