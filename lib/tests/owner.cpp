// owned_lock among processes that die, stop and fork. Each lock lies in a segment, whose attachment
// says who lives.
#include "assay/owner.hpp"

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "assay/posix_shm.hpp"
#include "lib/tests/processes.hpp"

namespace {

using namespace assay;
using testing_processes::child;
using testing_processes::unique_name;

// In a segment without a name: nothing is left, whoever is killed.
struct shared_lock {
    struct contents {
        owned_lock lock;
        std::atomic<std::uint32_t> flag, turns;
        volatile std::uint64_t first, second;  // equal, except under the lock
    };

    shared_lock() : segment(unique_name(), posix_shm::size_for(sizeof(contents))) {
        segment.unlink();
        const auto* const e = segment.get_table()->allocate("lock", sizeof(contents));
        shared = new (static_cast<char*>(segment.get_base_addr()) + e->offset) contents{};
        shared->lock.format();
    }
    void lock() { shared->lock.lock(*segment.hold()); }
    void unlock() { shared->lock.unlock(); }
    // What the lock protects; false when somebody else is inside, too.
    bool advance() {
        const std::uint64_t n = shared->first;
        if (shared->second != n) return false;
        shared->first = n + 1;
        const bool alone = shared->second == n;
        shared->second = n + 1;
        return alone;
    }
    contents* operator->() { return shared; }

    posix_shm segment;
    contents* shared;
};

void wait_for(const std::atomic<std::uint32_t>& flag, std::uint32_t value) {
    while (flag.load() != value) ::usleep(200);
}

void until_stopped(const child& c) {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(c.pid()), &info, WSTOPPED | WNOWAIT);
}

TEST(owner, ids_keep_slot_and_incarnation_and_are_never_nobody) {
    for (std::uint32_t slot = 0; slot < max_attachments; slot += 31)
        for (const std::uint32_t incarnation :
             {1u, 2u, 1000u, (1u << owner_incarnation_bits) - 1}) {
            const owner_id id = make_owner(slot, incarnation);
            EXPECT_EQ(owner_slot(id), slot);
            EXPECT_EQ(owner_incarnation(id), incarnation);
            EXPECT_NE(id, nobody);
            EXPECT_EQ(id >> 31, 0u) << "the top bit belongs to owned_lock";
        }
}

TEST(owner, processes_exclude_each_other) {
    shared_lock l;
    std::vector<child> all;
    for (int i = 0; i < 4; ++i)
        all.emplace_back([&] {
            for (int n = 0; n < 5000; ++n) {
                l.lock();
                const bool alone = l.advance();
                l.unlock();
                if (!alone) return 1;
            }
            return 0;
        });
    for (child& c : all) EXPECT_EQ(c.exit_code(), 0);
    EXPECT_EQ(l->first, 20000u);
}

// The counter is no atomic and takes a while to advance: without a lock, some of it is lost.
TEST(owner, canary_without_the_lock_processes_meet_inside) {
    shared_lock l;
    std::vector<child> all;
    for (std::uint32_t i = 0; i < 2; ++i)
        all.emplace_back([&, i] {
            while (l->turns.load() < 200) {
                const std::uint64_t n = l->first;
                wait_for(l->flag, i);  // the other one reads before we write
                l->flag = 1 - i;
                l->first = n + 1;
                ++l->turns;
            }
            l->flag = 1 - i;
        });
    for (child& c : all) {
        ::usleep(1000);
        while (l->turns.load() < 200) ::usleep(200);
        c.kill();
    }
    EXPECT_LT(l->first, l->turns.load());
}

TEST(owner, threads_exclude_each_other_though_they_share_an_id) {
    shared_lock l;
    std::atomic<int> met{0};
    std::vector<std::thread> all;
    for (int i = 0; i < 4; ++i)
        all.emplace_back([&] {
            for (int n = 0; n < 2000; ++n) {
                l.lock();
                if (!l.advance()) ++met;
                l.unlock();
            }
        });
    for (auto& t : all) t.join();
    EXPECT_EQ(met, 0);
    EXPECT_EQ(l->first, 8000u);
}

TEST(owner, lock_of_the_dead_is_taken_over) {
    shared_lock l;
    for (int round = 0; round < 20; ++round) {
        child holder([&] {
            l.lock();
            ::raise(SIGKILL);
        });
        EXPECT_EQ(holder.exit_code(), 128 + SIGKILL);
        l.lock();
        l.unlock();
    }
}

TEST(owner, lock_of_a_zombie_is_taken_over) {
    shared_lock l;
    child holder([&] {
        l.lock();
        ::raise(SIGKILL);
    });
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(holder.pid()), &info, WEXITED | WNOWAIT), 0);
    l.lock();
    l.unlock();
}

TEST(owner, one_of_many_waiters_takes_the_lock_of_the_dead_at_a_time) {
    shared_lock l;
    child holder([&] {
        l.lock();
        l->flag = 1;
        for (;;) ::pause();
    });
    wait_for(l->flag, 1);
    std::vector<child> waiters;
    for (int i = 0; i < 4; ++i)
        waiters.emplace_back([&] {
            ++l->turns;
            l.lock();
            const bool alone = l.advance();
            l.unlock();
            return alone ? 0 : 1;
        });
    wait_for(l->turns, 4);
    EXPECT_EQ(l->first, 0u);
    holder.kill();
    for (child& c : waiters) EXPECT_EQ(c.exit_code(), 0);
    EXPECT_EQ(l->first, 4u);
}

TEST(owner, a_stopped_holder_keeps_the_lock_until_it_continues) {
    shared_lock l;
    child holder([&] {
        l.lock();
        ::raise(SIGSTOP);
        l->flag = 1;
        l.unlock();
    });
    until_stopped(holder);
    child waiter([&] {
        ++l->turns;
        l.lock();
        const int holder_was_done = l->flag == 1 ? 0 : 1;
        l.unlock();
        return holder_was_done;
    });
    wait_for(l->turns, 1);
    ::usleep(3000 * static_cast<useconds_t>(wait_slice.count()));  // it asks a few times, and waits
    EXPECT_EQ(::waitpid(waiter.pid(), nullptr, WNOHANG), 0) << "the lock of the living was taken";
    holder.send(SIGCONT);
    EXPECT_EQ(waiter.exit_code(), 0);
    EXPECT_EQ(holder.exit_code(), 0);
}

TEST(owner, dead_waiters_do_not_keep_the_others_waiting) {
    shared_lock l;
    l.lock();
    std::vector<child> waiters;
    for (int i = 0; i < 6; ++i)
        waiters.emplace_back([&] {
            ++l->turns;
            l.lock();
            l.unlock();
        });
    wait_for(l->turns, 6);
    ::usleep(20000);  // asleep, most likely
    for (std::size_t i = 0; i < 3; ++i) waiters[i].kill();
    l.unlock();
    for (std::size_t i = 3; i < 6; ++i) EXPECT_EQ(waiters[i].exit_code(), 0);
    l.lock();
    l.unlock();
}

TEST(owner, deaths_at_random_times_never_leave_it_locked) {
    shared_lock l;
    std::mt19937 random(3);
    for (int round = 0; round < 60; ++round) {
        child worker([&] {
            for (;;) {
                l.lock();
                l->turns = l->turns + 1;
                l.unlock();
            }
        });
        child other([&] {
            for (;;) {
                l.lock();
                l.unlock();
            }
        });
        ::usleep(static_cast<useconds_t>(random() % 3000));
        worker.kill();
        other.kill();
        l.lock();
        l.unlock();
    }
}

TEST(owner, a_forked_child_is_somebody_else) {
    shared_lock l;
    const owner_id parent = l.segment.hold()->self();
    EXPECT_TRUE(l.segment.hold()->alive(parent));
    child other([&] {
        const owner_id own = l.segment.hold()->self();
        return own != parent && own != nobody && l.segment.hold()->alive(own) &&
                       l.segment.hold()->alive(parent)
                   ? 0
                   : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
    EXPECT_FALSE(l.segment.hold()->alive(nobody));
}

TEST(owner, a_child_can_wait_for_its_parent) {
    shared_lock l;
    l.lock();
    child waiter([&] {
        ++l->turns;
        l.lock();  // not its own: the parent's, though it was forked while the parent held it
        const bool alone = l->flag == 1;
        l.unlock();
        return alone ? 0 : 1;
    });
    wait_for(l->turns, 1);
    ::usleep(10000);
    l->flag = 1;
    l.unlock();
    EXPECT_EQ(waiter.exit_code(), 0);
}

}  // namespace
