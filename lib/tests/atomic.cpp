// Atomics: std::atomic's interface and results, by name, with waits that work across processes.
#include "lib/tests/stepped.hpp"

#include <assay/atomic.hpp>
#include <assay/posix_shm.hpp>

#include <atomic>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace testing_stepped;
using testing_processes::child;
using testing_processes::shared_memory;
using testing_processes::shared_value;

template <class T>
struct shared_atomic {
    explicit shared_atomic(T initial = T{})
        : memory(assay::atomic<T>::size_bytes(1)),
          me(*everyone.operator->()),
          value((assay::atomic<T>::format(memory.get(), 1, initial), memory.get()), 1, me) {}

    shared_value<population> everyone;
    shared_memory memory;
    member me;
    assay::atomic<T> value;
};

enum class colour : std::uint16_t { red, green };
struct point {
    std::int32_t x, y;
};
struct with_holes {
    char c;
    int i;
};
struct three {
    char c[3];
};

static_assert(assay::atomic_value<point> && assay::atomic_value<colour>);
static_assert(!assay::atomic_value<with_holes>, "equal values could differ in bytes of no member");
static_assert(!assay::atomic_value<three> && !assay::atomic_value<long double>);
static_assert(!assay::atomic_value<int*>, "an address means nothing to another process");
static_assert(assay::atomic_int::is_always_lock_free);
static_assert(!std::is_copy_constructible_v<assay::atomic_int>);
static_assert(!std::is_copy_assignable_v<assay::atomic_int>);

template <class A, class T>
concept adds = requires(A a, T v) {
    a.fetch_add(v), a += v;
};
template <class A, class T>
concept masks = requires(A a, T v) {
    a.fetch_and(v), a |= v, ++a;
};
template <class T>
constexpr bool offers_the_same =
    adds<assay::atomic<T>, T> == adds<std::atomic<T>, T>&& masks<assay::atomic<T>, T> ==
    masks<std::atomic<T>, T>;
static_assert(offers_the_same<int> && offers_the_same<bool> && offers_the_same<double> &&
              offers_the_same<colour> && offers_the_same<char> && offers_the_same<point>);

template <class T>
class atomic_of : public testing::Test {};
using values = testing::Types<bool, char, signed char, unsigned char, short, unsigned short, int,
                              unsigned, long, unsigned long, long long, unsigned long long, char8_t,
                              char16_t, char32_t, wchar_t, float, double, colour>;
TYPED_TEST_SUITE(atomic_of, values);

// A random sequence of every operation that the type has, on both; same results throughout.
TYPED_TEST(atomic_of, every_operation_returns_and_leaves_what_std_atomic_does) {
    using T = TypeParam;
    shared_atomic<T> s;
    assay::atomic<T>& ours = s.value;
    std::atomic<T> theirs{};
    std::mt19937_64 random(sizeof(T));
    for (int round = 0; round < 3000; ++round) {
        const T v = static_cast<T>(random() % 5);
        const T w = static_cast<T>(random());
        const auto order = std::array{assay::relaxed, assay::acquire, assay::release,
                                      assay::acq_rel, assay::seq_cst}[random() % 5];
        T a = v, b = v;
        switch (random() % 8) {
            case 0:
                ours.store(w), theirs.store(w);
                break;
            case 1:
                ASSERT_EQ(ours.exchange(v, order), theirs.exchange(v, order));
                break;
            case 2:
                ASSERT_EQ(ours.compare_exchange_strong(a, w, order),
                          theirs.compare_exchange_strong(b, w, order));
                break;
            case 3:
                ASSERT_EQ(ours.compare_exchange_strong(a, w, order, assay::relaxed),
                          theirs.compare_exchange_strong(b, w, order, assay::relaxed));
                break;
            case 4:
                // Weak ones may fail without reason; until they succeed or the values differ.
                while (!ours.compare_exchange_weak(a, w, order) && a == v) {
                }
                while (!theirs.compare_exchange_weak(b, w, order) && b == v) {
                }
                break;
            case 5:
                ASSERT_EQ(ours = v, theirs = v);
                break;
            default:
                if constexpr (adds<std::atomic<T>, T>) {
                    ASSERT_EQ(ours.fetch_add(v, order), theirs.fetch_add(v, order));
                    ASSERT_EQ(ours.fetch_sub(v), theirs.fetch_sub(v));
                    ASSERT_EQ(ours += v, theirs += v);
                    ASSERT_EQ(ours -= v, theirs -= v);
                }
                if constexpr (masks<std::atomic<T>, T>) {
                    ASSERT_EQ(ours.fetch_or(v, order), theirs.fetch_or(v, order));
                    ASSERT_EQ(ours.fetch_xor(w, order), theirs.fetch_xor(w, order));
                    ASSERT_EQ(ours.fetch_and(w, order), theirs.fetch_and(w, order));
                    ASSERT_EQ(ours |= v, theirs |= v);
                    ASSERT_EQ(ours ^= w, theirs ^= w);
                    ASSERT_EQ(ours &= static_cast<T>(~v), theirs &= static_cast<T>(~v));
                    ASSERT_EQ(++ours, ++theirs);
                    ASSERT_EQ(ours--, theirs--);
                    ASSERT_EQ(ours++, theirs++);
                    ASSERT_EQ(--ours, --theirs);
                }
        }
        ASSERT_EQ(a, b);
        ASSERT_EQ(ours.load(assay::acquire), theirs.load(assay::acquire));
        ASSERT_EQ(static_cast<T>(ours), static_cast<T>(theirs));
    }
    EXPECT_TRUE(ours.is_lock_free());
}

TEST(atomic, a_class_of_eight_bytes_is_exchanged_whole) {
    shared_atomic<point> s(point{1, 2});
    point expected{1, 3};
    EXPECT_FALSE(s.value.compare_exchange_strong(expected, {9, 9}));
    EXPECT_EQ(expected.y, 2);
    EXPECT_TRUE(s.value.compare_exchange_strong(expected, {5, 6}));
    EXPECT_EQ(s.value.load().x, 5);
}

TEST(atomic, increments_of_processes_are_all_counted) {
    shared_atomic<std::uint64_t> s;
    std::vector<child> children;
    for (std::uint32_t i = 0; i < 3; ++i)
        children.emplace_back([&] {
            noise = i + 1;
            for (int k = 0; k < 10000; ++k) ++s.value;
        });
    for (auto& c : children) EXPECT_EQ(c.exit_code(), 0);
    EXPECT_EQ(s.value.load(), 30000u);
}

TEST(atomic, is_created_with_its_value_and_opened_with_the_value_that_it_has) {
    assay::posix_shm segment(testing_processes::unique_name(), 1 << 20);
    assay::atomic_int counter(segment, "counter", 41);
    EXPECT_EQ(counter.load(), 41);
    ++counter;
    child other([&] {
        assay::posix_shm mine(segment.name());
        assay::atomic_int same(mine, "counter", 7);
        assay::atomic_int opened(mine, "counter");
        return same == 42 && opened.exchange(43) == 42 ? 0 : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
    EXPECT_EQ(counter, 43);
    EXPECT_TRUE(assay::atomic_int::exists(segment, "counter"));
    EXPECT_THROW(assay::atomic_uint(segment, "counter"), assay::mismatch);
    EXPECT_THROW(assay::atomic_int(segment, "none"), assay::not_found);
}

TEST(atomic, wait_returns_at_once_when_the_value_already_differs) {
    shared_atomic<double> s(1.5);
    s.value.wait(2.5);
    EXPECT_TRUE(s.value.wait_for(2.5, 0ns));
}

TEST(atomic, wait_until_says_that_the_deadline_passed) {
    shared_atomic<int> s(1);
    EXPECT_FALSE(s.value.wait_for(1, -1s));
    EXPECT_FALSE(s.value.wait_for(1, 20ms));
    EXPECT_FALSE(s.value.wait_until(1, assay::now()));
}

// Each move is a store and a notification; either process sleeps until the other's move.
TEST(atomic, two_processes_take_turns_by_waiting_for_each_other) {
    shared_atomic<std::uint8_t> s(0);
    constexpr int rounds = 2000;
    child other([&] {
        for (int i = 0; i < rounds; ++i) {
            s.value.wait(0);
            s.value.store(0);
            s.value.notify_one();
        }
    });
    for (int i = 0; i < rounds; ++i) {
        s.value.store(1);
        s.value.notify_one();
        s.value.wait(1);
    }
    EXPECT_EQ(other.exit_code(), 0);
}

TEST(atomic, notify_all_wakes_every_waiting_process) {
    shared_atomic<int> s(0), there(0);
    std::vector<child> waiters;
    for (int i = 0; i < 4; ++i)
        waiters.emplace_back([&] {
            ++there.value;
            there.value.notify_all();
            s.value.wait(0, assay::acquire);
        });
    for (int n = there.value; n < 4; n = there.value) there.value.wait(n);
    s.value.store(1);
    s.value.notify_all();
    for (auto& w : waiters) EXPECT_EQ(w.exit_code(), 0);
}

// The notifier is killed before each of its accesses: once the value has changed, the waiter ends.
TEST(atomic, a_change_whose_author_died_before_notifying_is_seen_all_the_same) {
    std::unique_ptr<shared_atomic<int>> s;
    std::unique_ptr<child> waiter;
    population all{};
    const long accesses = killed_at_each_step(
        all,
        [&](long) {
            s = std::make_unique<shared_atomic<int>>(0);
            waiter = std::make_unique<child>([&] { s->value.wait(0); });
        },
        [&] {
            s->value.store(1);
            s->value.notify_one();
        },
        [&](long) {
            s->value.store(1);  // the value may not have changed; nobody notifies either way
            EXPECT_EQ(waiter->exit_code(), 0);
        },
        [](long) {});
    EXPECT_GE(accesses, 3);
}

TEST(atomic, a_killed_waiter_costs_the_others_nothing) {
    shared_atomic<int> s(0);
    child doomed([&] { s.value.wait(0); });
    child waiter([&] { s.value.wait(0); });
    doomed.kill();
    s.value.store(1);
    s.value.notify_one();
    EXPECT_EQ(waiter.exit_code(), 0);
}

TEST(atomic, threads_that_hand_over_by_waiting_see_what_was_written_before) {
    shared_atomic<int> s(0);
    int plain = 0;
    std::thread other([&] {
        s.value.wait(0, assay::acquire);
        EXPECT_EQ(plain, 5);
    });
    plain = 5;
    s.value.store(1, assay::release);
    s.value.notify_all();
    other.join();
}

}  // namespace
