// The attachment registry on plain memory, with locks of the test's own in place of the kernel's.
#include "assay/registry.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace assay;

struct lock_table {
    std::array<std::atomic<int>, attachment_locks> holder{};  // 0: free, else a process
};

// What one process sees of the locks.
struct fake_locks {
    lock_table* table;
    int process;

    bool try_lock(std::uint32_t n) noexcept {
        int free = 0;
        return table->holder[n].compare_exchange_strong(free, process) || free == process;
    }
    void unlock(std::uint32_t n) noexcept {
        int mine = process;
        table->holder[n].compare_exchange_strong(mine, 0);
    }
    [[nodiscard]] bool held(std::uint32_t n) const noexcept {
        const int h = table->holder[n];
        return h != 0 && h != process;
    }
    void die() noexcept {
        for (auto& h : table->holder) {
            int mine = process;
            h.compare_exchange_strong(mine, 0);
        }
    }
};

// Calls back right after a lock was taken, as if its holder had stopped there.
struct stopping_locks : fake_locks {
    void (*then)(void*) = nullptr;
    void* of = nullptr;

    bool try_lock(std::uint32_t n) noexcept {
        const bool taken = fake_locks::try_lock(n);
        if (taken && then != nullptr) then(of);
        return taken;
    }
};

// Calls back once, right before a lock is tried.
struct delayed_locks : fake_locks {
    void (*first)(void*) = nullptr;
    void* of = nullptr;

    bool try_lock(std::uint32_t n) noexcept {
        if (first != nullptr) std::exchange(first, nullptr)(of);
        return fake_locks::try_lock(n);
    }
};

struct world {
    reference_counter counter{};
    registry_layout shared{};
    lock_table locks;

    struct process {
        fake_locks locks;
        registry<fake_locks> roll;
        process(world& w, int number) : locks{&w.locks, number}, roll(w.counter, w.shared, locks) {}
    };
    std::uint32_t published() { return reference_counter::count_of(counter.value.load(relaxed)); }
};

TEST(registry, ids_are_alive_from_enter_to_leave) {
    const auto w = std::make_unique<world>();
    world::process a(*w, 1), b(*w, 2);
    const owner_id one = a.roll.enter(100).value(), two = b.roll.enter(100).value();
    EXPECT_NE(one, two);
    EXPECT_NE(one, nobody);
    EXPECT_TRUE(a.roll.alive(one, one));
    EXPECT_TRUE(a.roll.alive(two, one));
    EXPECT_EQ(a.roll.count(one), 2u);
    EXPECT_EQ(w->published(), 2u);
    b.roll.leave(two);
    EXPECT_FALSE(a.roll.alive(two, one));
    EXPECT_EQ(a.roll.count(one), 1u);
    EXPECT_EQ(w->published(), 1u);
}

TEST(registry, death_without_leave_is_seen_and_swept) {
    const auto w = std::make_unique<world>();
    world::process a(*w, 1), b(*w, 2);
    const owner_id one = a.roll.enter(1).value(), two = b.roll.enter(2).value();
    b.locks.die();
    EXPECT_FALSE(a.roll.alive(two, one));
    EXPECT_EQ(a.roll.count(one), 1u);
    EXPECT_EQ(w->published(), 2u) << "the counter at offset 0 waits for a sweep";
    EXPECT_EQ(a.roll.sweep(one), 1u);
    EXPECT_EQ(w->published(), 1u);
    EXPECT_TRUE(a.roll.alive(one, one)) << "a sweep spares its caller";
    EXPECT_EQ(a.roll.sweep(one), 0u);
}

// Who looks for a slot that was never used may find one that others have taken since.
TEST(registry, newcomers_that_raise_the_mark_meanwhile_keep_their_slots) {
    const auto w = std::make_unique<world>();
    world::process b(*w, 2), c(*w, 3);
    struct others {
        world::process *b, *c;
        owner_id two, three;
    } they{&b, &c, nobody, nobody};
    delayed_locks locks{{&w->locks, 1}, nullptr, &they};
    locks.first = [](void* p) {
        auto& o = *static_cast<others*>(p);
        o.two = o.b->roll.enter(2).value();
        o.three = o.c->roll.enter(3).value();
    };
    registry<delayed_locks> a(w->counter, w->shared, locks);
    const owner_id one = a.enter(1).value();
    EXPECT_TRUE(a.alive(they.two, one));
    EXPECT_TRUE(a.alive(they.three, one));
    EXPECT_EQ(a.count(one), 3u);
    EXPECT_EQ(w->published(), 3u);
}

TEST(registry, slot_of_the_dead_gets_a_new_incarnation) {
    const auto w = std::make_unique<world>();
    world::process a(*w, 1), b(*w, 2), c(*w, 3);
    const owner_id one = a.roll.enter(1).value(), two = b.roll.enter(2).value();
    b.locks.die();
    const owner_id three = c.roll.enter(3).value();
    EXPECT_EQ(owner_slot(two), owner_slot(three));
    EXPECT_FALSE(a.roll.alive(two, one));
    EXPECT_TRUE(a.roll.alive(three, one));
}

TEST(registry, who_stops_while_taking_a_slot_does_not_revive_the_dead) {
    const auto w = std::make_unique<world>();
    world::process a(*w, 1), b(*w, 2);
    struct view {
        world::process& a;
        owner_id one, dead;
        int looks;
    } v{a, a.roll.enter(1).value(), b.roll.enter(2).value(), 0};
    b.locks.die();
    stopping_locks locks{{&w->locks, 3}};
    locks.of = &v;
    locks.then = [](void* p) {
        view& at = *static_cast<view*>(p);
        ++at.looks;
        EXPECT_FALSE(at.a.roll.alive(at.dead, at.one));
        EXPECT_EQ(at.a.roll.count(at.one), 1u);
    };
    registry<stopping_locks> c(w->counter, w->shared, locks);
    EXPECT_EQ(owner_slot(c.enter(3).value()), owner_slot(v.dead));
    EXPECT_EQ(v.looks, 1);
}

// Nothing orders the word of a slot before an id that was read elsewhere: it may be seen later.
TEST(registry, id_that_is_newer_than_the_word_seen_lives) {
    const auto w = std::make_unique<world>();
    world::process a(*w, 1), b(*w, 2), c(*w, 3);
    const owner_id one = a.roll.enter(1).value();
    b.roll.leave(b.roll.enter(2).value());
    auto& word = w->shared.slots[1];
    const std::uint64_t outdated = word.load(relaxed);
    const owner_id three = c.roll.enter(3).value();
    const std::uint64_t current = word.load(relaxed);
    word.store(outdated, relaxed);
    EXPECT_TRUE(a.roll.alive(three, one));
    word.store(current, relaxed);
    EXPECT_TRUE(a.roll.alive(three, one));
    c.locks.die();
    EXPECT_FALSE(a.roll.alive(three, one));
    word.store(outdated, relaxed);
    EXPECT_FALSE(a.roll.alive(three, one));
}

TEST(registry, incarnations_wrap_without_ever_being_nobody) {
    const auto w = std::make_unique<world>();
    world::process a(*w, 1);
    constexpr std::uint64_t last = (1u << owner_incarnation_bits) - 1;
    w->shared.slots[0].store(last << 32, relaxed);
    w->shared.high_water.store(1, relaxed);
    const owner_id id = a.roll.enter(1).value();
    EXPECT_EQ(owner_slot(id), 0u);
    EXPECT_EQ(owner_incarnation(id), 2u) << "1 has the lock of the last one";
    EXPECT_EQ(id >> 31, 0u) << "the top bit belongs to owned_lock";
}

TEST(registry, all_slots_can_be_taken_and_no_more) {
    const auto w = std::make_unique<world>();
    std::vector<std::unique_ptr<world::process>> all;
    for (std::uint32_t i = 0; i < max_attachments; ++i) {
        all.push_back(std::make_unique<world::process>(*w, static_cast<int>(i) + 1));
        ASSERT_TRUE(all.back()->roll.enter(i));
    }
    EXPECT_EQ(w->published(), max_attachments);
    world::process late(*w, 5000);
    EXPECT_FALSE(late.roll.enter(1));
    all[700]->locks.die();
    const auto id = late.roll.enter(1);
    ASSERT_TRUE(id);
    EXPECT_EQ(owner_slot(*id), 700u);
}

TEST(registry, nonsense_in_the_words_is_nobody_alive) {
    const auto w = std::make_unique<world>();
    world::process a(*w, 1);
    const owner_id one = a.roll.enter(1).value();
    w->shared.high_water.store(0xffffffff, relaxed);
    for (std::uint32_t slot = 1; slot < max_attachments; ++slot)
        w->shared.slots[slot].store(~std::uint64_t{0}, relaxed);
    EXPECT_EQ(a.roll.count(one), 1u);
    EXPECT_FALSE(a.roll.alive(0xffffffff, one));
    EXPECT_EQ(a.roll.sweep(one), max_attachments - 1);
}

// Whoever publishes last has seen everyone's change: at rest the counter is exact.
TEST(registry, concurrent_comings_and_goings_leave_an_exact_counter) {
    const auto w = std::make_unique<world>();
    for (int round = 0; round < 200; ++round) {
        std::vector<std::jthread> threads;
        for (int t = 1; t <= 4; ++t)
            threads.emplace_back([&, t] {
                world::process p(*w, t);
                for (int i = 0; i < 20; ++i) p.roll.leave(p.roll.enter(1).value());
                if (t % 2 == 0) static_cast<void>(p.roll.enter(1).value());
            });
        threads.clear();
        ASSERT_EQ(w->published(), 2u);
        world::process janitor(*w, 9);
        for (int t = 1; t <= 4; ++t) fake_locks{&w->locks, t}.die();
        ASSERT_EQ(janitor.roll.sweep(nobody), 2u);
        ASSERT_EQ(w->published(), 0u);
    }
}

}  // namespace
