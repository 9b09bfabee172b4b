// Pools: one owner per object whoever dies when, exact exhaustion, stale handles refused.
#include "lib/tests/stepped.hpp"

#include <assay/object_pool.hpp>
#include <assay/posix_shm.hpp>

#include <algorithm>
#include <array>
#include <random>
#include <thread>

namespace {

using namespace testing_stepped;
using assay::claim;
using testing_processes::child;
using testing_processes::shared_memory;
using testing_processes::shared_value;

struct record {
    std::uint64_t a;
    std::uint32_t b;
};
using pool = assay::object_pool<record>;

// A pool in memory that children share, and the handle of this process to it.
struct shared_pool {
    explicit shared_pool(std::uint64_t count, std::uint32_t first_generation = 0)
        : memory(pool::size_bytes(count)),
          me(*everyone.operator->()),
          objects((pool::format(memory.get(), count, first_generation), memory.get()), count, me) {}

    shared_value<population> everyone;
    shared_memory memory;
    member me;
    pool objects;
};

std::vector<claim> acquire_all(pool& p) {
    std::vector<claim> all;
    while (const claim h = p.acquire()) all.push_back(h);
    return all;
}

TEST(object_pool, capacity_n_hands_out_n_different_objects_and_then_none) {
    for (const std::uint64_t n : {1u, 2u, 3u, 63u, 64u, 65u, 127u, 4095u, 4096u, 4097u, 10000u}) {
        shared_pool s(n);
        EXPECT_TRUE(s.objects.empty());
        auto all = acquire_all(s.objects);
        ASSERT_EQ(all.size(), n);
        EXPECT_TRUE(s.objects.full());
        EXPECT_EQ(s.objects.num_available(), 0u);
        EXPECT_EQ(s.objects.capacity(), n);
        std::sort(all.begin(), all.end(), [](claim a, claim b) { return a.index < b.index; });
        for (std::uint32_t i = 0; i < n; ++i) ASSERT_EQ(all[i].index, i);
        EXPECT_EQ(s.objects.release_batch(all), n);
        EXPECT_EQ(s.objects.num_available(), n);
    }
}

TEST(object_pool, the_one_free_object_is_found_wherever_it_is) {
    shared_pool s(5000);
    auto all = acquire_all(s.objects);
    std::mt19937 random(1);
    for (int round = 0; round < 500; ++round) {
        auto& one = all[random() % all.size()];
        ASSERT_TRUE(s.objects.release(one));
        const claim again = s.objects.acquire();
        ASSERT_EQ(again.index, one.index);
        ASSERT_NE(again, one);
        ASSERT_EQ(s.objects.acquire(), pool::invalid_handle);
        one = again;
    }
}

TEST(object_pool, hints_may_contain_anything) {
    for (const std::uint64_t n : {1u, 64u, 100u, 5000u}) {
        shared_pool s(n);
        const auto states = assay::claims::size_bytes(n) - assay::align_up(n * 8, 64);
        std::mt19937 random(2);
        for (const int round : {0, 1, 2, 3, 4}) {
            auto* bytes = static_cast<unsigned char*>(s.memory.get());
            for (std::uint64_t i = 0; i < states; ++i)
                bytes[i] = static_cast<unsigned char>(round == 0   ? 0
                                                      : round == 1 ? 255
                                                                   : random() % 256);
            auto all = acquire_all(s.objects);
            ASSERT_EQ(all.size(), n);
            ASSERT_EQ(s.objects.release_batch(all), n);
        }
    }
}

TEST(object_pool, a_handle_is_released_once_and_a_stale_one_changes_nothing) {
    shared_pool s(4);
    std::mt19937 random(3);
    std::vector<claim> live, dead{pool::invalid_handle, {4, 0}, {0, 7}, {0xfffffffe, 0}};
    for (int step = 0; step < 20000; ++step) {
        if (random() % 2 == 0) {
            const claim h = s.objects.acquire();
            ASSERT_EQ(h == pool::invalid_handle, live.size() == 4);
            if (h != pool::invalid_handle) live.push_back(h);
        } else if (!live.empty() && random() % 2 == 0) {
            std::swap(live[random() % live.size()], live.back());
            ASSERT_TRUE(s.objects.release(live.back()));
            dead.push_back(live.back());
            live.pop_back();
        } else {
            const claim h = dead[random() % dead.size()];
            ASSERT_FALSE(s.objects.release(h));
            ASSERT_FALSE(s.objects.adopt(h));
            ASSERT_FALSE(s.objects.is_valid(h));
            ASSERT_EQ(s.objects.get(h), nullptr);
        }
        ASSERT_EQ(s.objects.num_allocated(), live.size());
        for (const claim h : live) ASSERT_EQ(s.objects.get(h), &s.objects[h]);
    }
}

TEST(object_pool, generations_pass_their_wrap) {
    shared_pool s(1, 0xfffffffe);
    std::vector<claim> seen;
    for (int i = 0; i < 5; ++i) {
        const claim h = s.objects.acquire();
        ASSERT_NE(h, pool::invalid_handle);
        EXPECT_EQ(h.generation, 0xfffffffe + static_cast<std::uint32_t>(i));
        EXPECT_EQ(s.objects.acquire(), pool::invalid_handle);
        for (const claim old : seen) EXPECT_FALSE(s.objects.release(old));
        EXPECT_TRUE(s.objects.release(h));
        seen.push_back(h);
    }
}

TEST(object_pool, batches_take_what_there_is) {
    shared_pool s(10);
    std::array<claim, 10> some;
    EXPECT_EQ(s.objects.acquire_batch(4, some.begin()), 4u);
    std::vector<claim> rest;
    EXPECT_EQ(s.objects.acquire_batch(10, std::back_inserter(rest)), 6u);
    EXPECT_EQ(s.objects.num_available(), 0u);
    EXPECT_EQ(s.objects.release_batch({some.data(), 4}), 4u);
    EXPECT_EQ(s.objects.release_batch({some.data(), 4}), 0u);
    EXPECT_EQ(s.objects.release_batch(rest), 6u);
    EXPECT_TRUE(s.objects.empty());
}

struct moody {
    explicit moody(int v) : value(v) {
        if (v < 0) throw std::runtime_error("no");
    }
    int value;
};

TEST(object_pool, construction_that_throws_leaves_the_object_free) {
    shared_value<population> everyone;
    member me(*everyone);
    const shared_memory memory(assay::object_pool<moody>::size_bytes(2));
    assay::object_pool<moody>::format(memory.get(), 2);
    assay::object_pool<moody> p(memory.get(), 2, me);
    EXPECT_THROW(static_cast<void>(p.acquire_construct(-1)), std::runtime_error);
    EXPECT_TRUE(p.empty());
    const auto a = p.acquire_construct(5), b = p.acquire_construct(6);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(p[*a].value, 5);
    EXPECT_EQ(p.get(*b)->value, 6);
    EXPECT_FALSE(p.acquire_construct(7));

    shared_pool aggregates(1);
    const auto h = aggregates.objects.acquire_construct(7u, 8u);
    ASSERT_TRUE(h);
    EXPECT_EQ(aggregates.objects[*h].b, 8u);
}

TEST(object_pool, objects_are_aligned_and_apart) {
    struct alignas(256) wide {
        char c;
    };
    shared_value<population> everyone;
    member me(*everyone);
    const shared_memory memory(assay::object_pool<wide>::size_bytes(3));
    assay::object_pool<wide>::format(memory.get(), 3);
    assay::object_pool<wide> p(memory.get(), 3, me);
    for (int i = 0; i < 3; ++i) {
        wide* const at = p.get(p.acquire());
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % 256, 0u);
        EXPECT_GE(reinterpret_cast<char*>(at),
                  static_cast<char*>(memory.get()) + assay::claims::size_bytes(3));
        EXPECT_LE(reinterpret_cast<char*>(at + 1),
                  static_cast<char*>(memory.get()) + memory.size());
    }
}

TEST(object_pool, impossible_counts_are_refused) {
    for (const std::uint64_t n : {0ull, 1ull << 32, ~0ull})
        EXPECT_THROW(static_cast<void>(pool::size_bytes(n)), std::invalid_argument) << n;
}

// --- several processes ---------------------------------------------------------------------------

struct tally {
    std::atomic<std::uint32_t> holder[64];
    std::atomic<std::uint32_t> doubles;
    std::atomic<std::uint32_t> exhausted;
    std::atomic<std::uint64_t> done;
};

// Takes and gives back `rounds` times, holding up to `most` objects. The tally notices two holders.
void churn(pool& p, tally& t, std::uint32_t who, int rounds, std::size_t most) {
    std::mt19937 random(who);
    noise = who * 2654435761u | 1;
    std::vector<claim> mine;
    for (int i = 0; i < rounds; ++i) {
        if (mine.size() < most && (mine.empty() || random() % 2 == 0)) {
            const claim h = p.acquire();
            if (h == pool::invalid_handle) {
                ++t.exhausted;
                continue;
            }
            if (t.holder[h.index].exchange(who) != 0) ++t.doubles;
            p[h] = {who, ~who};
            mine.push_back(h);
        } else if (!mine.empty()) {
            std::swap(mine[random() % mine.size()], mine.back());
            const claim h = mine.back();
            mine.pop_back();
            if (p[h].a != who || p[h].b != ~who) ++t.doubles;
            if (t.holder[h.index].exchange(0) != who) ++t.doubles;
            if (!p.release(h)) ++t.doubles;
        }
    }
    for (const claim h : mine) {
        t.holder[h.index] = 0;
        p.release(h);
    }
    ++t.done;
    noise = 0;
}

TEST(object_pool, no_object_has_two_owners_among_processes) {
    for (const std::uint32_t processes : {2u, 4u})
        for (const std::uint64_t count : {3ull, 40ull}) {
            shared_pool s(count, 0xffffff00);
            shared_value<tally> t;
            {
                std::vector<child> all;
                for (std::uint32_t who = 1; who <= processes; ++who)
                    all.emplace_back([&] { churn(s.objects, *t, who, 20000, 20); });
                for (auto& c : all) EXPECT_EQ(c.exit_code(), 0);
            }
            EXPECT_EQ(t->done, processes);
            EXPECT_EQ(t->doubles, 0u);
            EXPECT_TRUE(s.objects.empty());
        }
}

TEST(object_pool, exhaustion_is_never_reported_while_an_object_is_free_at_every_instant) {
    shared_pool s(3);  // three processes hold one at most: when one asks, one is free
    shared_value<tally> t;
    {
        std::vector<child> all;
        for (std::uint32_t who = 1; who <= 3; ++who)
            all.emplace_back([&] { churn(s.objects, *t, who, 30000, 1); });
        for (auto& c : all) EXPECT_EQ(c.exit_code(), 0);
    }
    EXPECT_EQ(t->exhausted, 0u);
    EXPECT_EQ(t->doubles, 0u);
}

// Plain payload: the thread sanitizer sees a missing edge between release and acquire.
TEST(object_pool, threads_hand_objects_over_without_a_race) {
    shared_pool s(3);
    shared_value<tally> t;
    std::vector<std::thread> all;
    for (std::uint32_t who = 1; who <= 4; ++who)
        all.emplace_back([&, who] { churn(s.objects, *t, who, 5000, 2); });
    for (auto& thread : all) thread.join();
    EXPECT_EQ(t->doubles, 0u);
    EXPECT_TRUE(s.objects.empty());
}

TEST(object_pool, a_forked_child_owns_what_it_acquires_and_nothing_else) {
    shared_pool s(4);
    const claim ours = s.objects.acquire();
    child other([&] {
        static_cast<void>(s.objects.acquire());
        ::pause();
    });
    while (s.objects.num_allocated() != 2) ::sched_yield();
    EXPECT_EQ(s.objects.recover(), 0u);
    const pid_t pid = other.pid();
    other.kill();
    s.everyone->bury(pid);
    EXPECT_EQ(s.objects.recover(), 1u);
    EXPECT_TRUE(s.objects.is_valid(ours));
    EXPECT_EQ(s.objects.num_allocated(), 1u);
}

TEST(object_pool, an_adopted_object_survives_its_sender) {
    shared_pool s(4);
    shared_value<std::array<claim, 2>> sent;
    child sender([&] { s.objects.acquire_batch(2, sent->begin()); });
    const pid_t pid = sender.pid();
    ASSERT_EQ(sender.exit_code(), 0);
    EXPECT_TRUE(s.objects.adopt((*sent)[0]));
    s.everyone->bury(pid);
    EXPECT_EQ(s.objects.recover(), 1u);
    EXPECT_TRUE(s.objects.is_valid((*sent)[0]));
    EXPECT_FALSE(s.objects.adopt((*sent)[1]));
    EXPECT_FALSE(s.objects.release((*sent)[1]));
    EXPECT_TRUE(s.objects.release((*sent)[0]));
}

TEST(object_pool, concurrent_recoveries_free_each_object_once) {
    shared_pool s(500);
    child owner([&] { static_cast<void>(acquire_all(s.objects)); });
    const pid_t pid = owner.pid();
    ASSERT_EQ(owner.exit_code(), 0);
    s.everyone->bury(pid);
    shared_value<std::atomic<std::uint64_t>> freed;
    {
        std::vector<child> all;
        for (std::uint32_t i = 1; i <= 4; ++i)
            all.emplace_back([&] {
                noise = i;
                *freed += s.objects.recover();
            });
        for (auto& c : all) EXPECT_EQ(c.exit_code(), 0);
    }
    EXPECT_EQ(*freed, 500u);
    EXPECT_TRUE(s.objects.empty());
}

// --- death at every step -------------------------------------------------------------------------

// `operation` runs in a process that is killed before each of its accesses in turn. While it is
// merely stopped, the survivors get all that is free; when it is known to be dead, all the rest.
template <class Operation>
void survives(const char* what, std::uint64_t count, std::uint64_t held, Operation operation) {
    SCOPED_TRACE(what);
    shared_pool s(count);
    std::vector<claim> ours(held);
    const long steps = killed_at_each_step(
        *s.everyone,
        [&](long) {
            ASSERT_TRUE(s.objects.empty());
            ASSERT_EQ(s.objects.acquire_batch(held, ours.begin()), held);
        },
        [&] { operation(s.objects, ours); },
        [&](long n) {
            const auto free = s.objects.num_available();
            const auto got = acquire_all(s.objects);
            ASSERT_EQ(got.size(), free) << "killed before access " << n;
            ASSERT_EQ(s.objects.recover(), 0u);
            ASSERT_EQ(s.objects.release_batch(got), free);
        },
        [&](long n) {
            s.objects.recover();
            std::uint64_t still = 0;
            for (const claim h : ours) still += s.objects.is_valid(h);
            ASSERT_EQ(s.objects.num_allocated(), still) << "killed before access " << n;
            s.objects.release_batch(ours);
            const auto got = acquire_all(s.objects);
            ASSERT_EQ(got.size(), count) << "killed before access " << n;
            s.objects.release_batch(got);
        });
    EXPECT_GE(steps, 2);
}

TEST(object_pool, every_operation_may_die_at_every_step) {
    const auto acquire = [](pool& p, auto&) { static_cast<void>(p.acquire()); };
    survives("acquire", 5, 0, acquire);
    survives("acquire the last", 5, 4, acquire);
    survives("acquire from a full pool", 5, 5, acquire);
    survives("acquire until none is left", 70, 66,
             [](pool& p, auto&) { static_cast<void>(acquire_all(p)); });
    survives("acquire_batch", 70, 0, [](pool& p, auto&) {
        std::array<claim, 3> h;
        p.acquire_batch(3, h.begin());
    });
    survives("acquire_construct", 2, 1,
             [](pool& p, auto&) { static_cast<void>(p.acquire_construct(1u, 2u)); });
    survives("release", 5, 5, [](pool& p, auto& ours) { p.release(ours[2]); });
    survives("release_batch", 5, 5, [](pool& p, auto& ours) { p.release_batch(ours); });
    survives("adopt", 2, 2, [](pool& p, auto& ours) { static_cast<void>(p.adopt(ours[1])); });
    survives("acquire and release", 3, 1, [](pool& p, auto&) { p.release(p.acquire()); });
}

TEST(object_pool, recovery_may_die_at_every_step) {
    shared_pool s(6);
    pid_t first = 0;
    claim ours;
    killed_at_each_step(
        *s.everyone,
        [&](long) {
            child victim([&] { static_cast<void>(acquire_all(s.objects)); });
            ours = s.objects.acquire();
            first = victim.pid();
            ASSERT_EQ(victim.exit_code(), 0);
            s.everyone->bury(first);
        },
        [&] { s.objects.recover(); },
        [&](long) {
            s.objects.recover();
            ASSERT_LE(s.objects.num_allocated(), 1u);
        },
        [&](long) {
            s.objects.recover();
            s.objects.release(ours);
            ASSERT_TRUE(s.objects.empty());
        });
}

TEST(object_pool, random_deaths_in_a_crowd_lose_and_double_nothing) {
    shared_pool s(24);
    shared_value<tally> t;
    std::mt19937 random(7);
    for (int round = 0; round < 60; ++round) {
        std::vector<std::pair<child, std::uint32_t>> all;
        for (std::uint32_t who = 1; who <= 3; ++who) {
            const long steps = 1 + static_cast<long>(random() % 3000);
            const auto name = static_cast<std::uint32_t>(round) * 4 + who;
            all.emplace_back(child([&] {
                                 die_after = steps;
                                 churn(s.objects, *t, name, 100000, 6);
                             }),
                             name);
        }
        for (auto& [c, name] : all) {
            const pid_t pid = c.pid();
            EXPECT_EQ(c.exit_code(), 128 + SIGKILL);
            // What the dead held may be handed out again from now on.
            for (auto& h : t->holder)
                if (std::uint32_t was = name; h == name) h.compare_exchange_strong(was, 0);
            s.everyone->bury(pid);
            s.objects.recover();
        }
        ASSERT_EQ(t->doubles, 0u);
        ASSERT_TRUE(s.objects.empty());
    }
}

// --- in a segment --------------------------------------------------------------------------------

TEST(object_pool, processes_share_one_by_name_and_inherit_from_the_dead) {
    const auto name = testing_processes::unique_name();
    assay::posix_shm segment(name, 1 << 20);
    pool p(segment, "pool", 10);
    EXPECT_EQ(p.name(), "pool");
    EXPECT_TRUE(pool::exists(segment, "pool"));
    EXPECT_FALSE(assay::object_pool<int>::exists(segment, "pool"));
    EXPECT_THROW(assay::object_pool<int>(segment, "pool"), assay::mismatch);
    EXPECT_THROW(pool(segment, "pool", 11), assay::mismatch);
    EXPECT_THROW(pool(segment, "other"), assay::not_found);
    const claim ours = p.acquire();
    child other([&] {
        assay::posix_shm mine(name);
        pool q(mine, "pool");
        std::vector<claim> some;
        q.acquire_batch(3, std::back_inserter(some));
        q[some[0]] = {1, 2};
        ::kill(::getpid(), SIGKILL);
    });
    EXPECT_EQ(other.exit_code(), 128 + SIGKILL);
    EXPECT_EQ(p.num_allocated(), 4u);
    EXPECT_EQ(p.recover(), 3u);
    EXPECT_TRUE(p.is_valid(ours));
    EXPECT_EQ(p.num_available(), 9u);
}

// --- canaries ------------------------------------------------------------------------------------

// The seed's free list: a stack of indices whose head has no tag.
struct seed_free_list {
    std::uint32_t head = 0;
    std::array<std::uint32_t, 4> next{1, 2, 3, 0xff};

    [[nodiscard]] bool pop_if(std::uint32_t expected, std::uint32_t then) {  // its compare-exchange
        if (head != expected) return false;
        head = then;
        return true;
    }
    std::uint32_t pop() {
        const std::uint32_t i = head;
        EXPECT_TRUE(pop_if(i, next[i]));
        return i;
    }
    void push(std::uint32_t i) {
        next[i] = head;
        head = i;
    }
};

TEST(object_pool, canary_seed_free_list_hands_out_an_object_twice) {
    seed_free_list list;
    const std::uint32_t old_head = list.head;            // process A reads the head, 0,
    const std::uint32_t new_head = list.next[old_head];  // and its successor, 1; A is interrupted
    const std::uint32_t first = list.pop(), second = list.pop();  // B takes 0 and 1,
    list.push(first);                                             // and gives 0 back
    ASSERT_TRUE(list.pop_if(old_head, new_head));                 // A's exchange succeeds
    EXPECT_EQ(list.pop(), second);                                // and 1, which B holds, goes out
}

// The same interleaving at every step of the pool's acquire.
TEST(object_pool, an_interrupted_acquire_never_gets_what_another_took_meanwhile) {
    shared_pool s(4);
    std::array<claim, 2> ours;
    const long steps = stopped_at_each_step(
        *s.everyone, [&](long) { ours = {}; },
        [&] { return static_cast<int>(s.objects.acquire().index); },
        [&](long) {
            ASSERT_EQ(s.objects.acquire_batch(2, ours.begin()), 2u);
            ASSERT_TRUE(s.objects.release(ours[0]));
        },
        [&](long n, int index) {
            ASSERT_NE(index, static_cast<int>(ours[1].index)) << "stopped before access " << n;
            s.objects.release(ours[1]);
            s.objects.recover();
            ASSERT_TRUE(s.objects.empty());
        });
    EXPECT_GE(steps, 2);
}

TEST(object_pool, of_two_releases_of_one_handle_one_succeeds_wherever_they_meet) {
    shared_pool s(2);
    claim h;
    bool ours = false;
    const long steps = stopped_at_each_step(
        *s.everyone,
        [&](long) {
            h = s.objects.acquire();
            ours = false;
        },
        [&] { return s.objects.release(h) ? 1 : 0; },
        [&](long) {
            ours = s.objects.release(h);
            s.objects.release(s.objects.acquire());  // and the object goes on to its next life
        },
        [&](long n, int theirs) {
            ASSERT_EQ((ours ? 1 : 0) + theirs, 1) << "stopped before access " << n;
            ASSERT_TRUE(s.objects.empty());
        });
    EXPECT_GE(steps, 2);
}

// Others swap the object that is free, before any access of ours: at every instant one is free.
TEST(object_pool, no_interleaving_makes_acquire_miss_the_one_free_object) {
    shared_pool two(2), three(3);
    for (std::uint32_t seed = 1; seed <= 20000; ++seed) {
        shared_pool& s = seed % 2 == 0 ? two : three;
        pool& objects = s.objects;
        std::mt19937 random(seed);
        std::vector<claim> theirs;
        for (std::uint64_t i = 1; i < objects.capacity(); ++i) theirs.push_back(objects.acquire());
        auto swap = [&] {
            if (random() % 2 == 0) return;
            claim& one = theirs[random() % theirs.size()];
            objects.release(one);
            // The hints, one per line, would make us take the same one again.
            auto* const hints = static_cast<std::uint32_t*>(s.memory.get());
            for (std::size_t slot = 0; slot < 16; ++slot)
                hints[slot * 16] = static_cast<std::uint32_t>(random() % objects.capacity());
            one = objects.acquire();
        };
        const claim ours = interleaved([&] { return objects.acquire(); }, swap);
        ASSERT_NE(ours, pool::invalid_handle) << "seed " << seed;
        for (const claim h : theirs) ASSERT_NE(h.index, ours.index);
        objects.release(ours);
        objects.release_batch(theirs);
        ASSERT_TRUE(objects.empty());
    }
}

TEST(object_pool, recovery_leaves_alone_what_is_adopted_meanwhile) {
    shared_pool s(2);
    shared_value<claim> sent;
    bool adopted = false;
    const long steps = stopped_at_each_step(
        *s.everyone,
        [&](long) {
            child sender([&] { *sent = s.objects.acquire(); });
            const pid_t pid = sender.pid();
            ASSERT_EQ(sender.exit_code(), 0);
            s.everyone->bury(pid);
            adopted = false;
        },
        [&] { return static_cast<int>(s.objects.recover()); },
        [&](long n) {
            adopted = s.objects.adopt(*sent);
            ASSERT_EQ(adopted, s.objects.is_valid(*sent)) << "stopped before access " << n;
        },
        [&](long n, int freed) {
            ASSERT_EQ(s.objects.is_valid(*sent), adopted) << "stopped before access " << n;
            ASSERT_EQ(freed, adopted ? 0 : 1);
            s.objects.release(*sent);
            ASSERT_TRUE(s.objects.empty());
        });
    EXPECT_GE(steps, 2);
}

}  // namespace
