// posix_shm.cpp -- processes that create, attach, leave and die at once.
#include <assay/posix_shm.hpp>

#include <sys/stat.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "stress/broken.hpp"
#include "stress/harness.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;

ino_t inode(const std::string& name) {
    struct stat s {};
    return ::stat(("/dev/shm/" + name).c_str(), &s) == 0 ? s.st_ino : 0;
}

void spin(std::uint64_t microseconds) {
    const auto until = clock::now() + std::chrono::microseconds(microseconds);
    while (clock::now() < until) {
    }
}

// Attaches, and dies: at a random access of the seam, or held, or at a random time.
template <class Segment>
void kill_one_attacher(const std::string& name, std::uint64_t size, random& dice, flag& held) {
    const std::uint64_t mode = dice.below(3), access = dice.between(1, 300);
    held.lower();
    child victim([&] {
        if (mode == 0) noise::die_at(access);
        for (;;) {
            const Segment s(name, size);
            held.raise();
            if (mode == 1) ::pause();
        }
    });
    if (mode == 1) held.await();
    if (mode == 2) spin(dice.magnitude(10));
    if (mode != 0) victim.kill();
    victim.reap();
}

template <class Segment>
void killed_attachers_leave_no_count(context& c) {
    const std::string name = c.segment("attach");
    const std::uint64_t size = Segment::size_for(4096);
    random dice(c.seed());
    shared<flag> held, attached;
    {
        Segment here(name, size);
        std::vector<child> residents;
        const auto counted = [&](const char* when) {
            const auto count = here.get_ref_count();
            const auto living = static_cast<std::uint32_t>(1 + residents.size());
            if (count != living)
                fail("%s the count is %u, and %u processes live", when, count, living);
        };
        for (unsigned round = 0; round < 1000 || c.time_left(); ++round) {
            if (round % 50 == 0) {
                if (residents.size() < 4) {
                    attached->lower();
                    residents.emplace_back([&] {
                        const Segment s(name, size);
                        attached->raise();
                        ::pause();
                    });
                    attached->await();
                    counted("after a process attached,");
                } else {
                    residents.clear();  // killed as well
                    counted("after four were killed,");
                }
            }
            kill_one_attacher<Segment>(name, size, dice, *held);
            counted("after an attacher was killed,");
            c.add(1);
            ++the_board->kills;
        }
        residents.clear();
        // The four bytes at offset 0, which other programs may read.
        if constexpr (requires { here.recover(); }) here.recover();
        std::uint32_t counter = 0;
        std::memcpy(&counter, here.get_base_addr(), sizeof counter);
        if (counter != 1) fail("the counter at offset 0 is %u, and one process lives", counter);
    }
}

// All create at once; somebody must have done it, once, and all must hold the same segment.
template <class Segment>
void one_of_many_creates(context& c) {
    struct book {
        std::atomic<unsigned> created, orphaned;
        std::atomic<bool> over;
        std::atomic<std::uint64_t> inodes[max_workers];
    };
    const std::string name = c.segment("create");
    while (auto e = c.next()) {
        const unsigned n =
            c.processes() != 0 ? c.processes() : static_cast<unsigned>(2 + (e->seed * 7) % 15);
        const shared<book> b;
        const auto worker_0 = [&](const Segment& s) {
            if (b->created != 1)
                fail("%u of %u processes created the segment", b->created.load(), n);
            if (b->orphaned != 0) fail("%u hold a segment without the name", b->orphaned.load());
            for (unsigned i = 0; i < n; ++i)
                if (b->inodes[i] != b->inodes[0]) fail("processes hold different segments");
            if (s.get_ref_count() != n)
                fail("the count is %u, and %u processes hold it", s.get_ref_count(), n);
            b->created = 0;
        };
        team::rules r;
        r.mortal = false;
        r.lock_free = false;  // the others meet at a barrier
        team(
            *e, n,
            [&](worker& w) {
                for (bool over = false; !over; over = b->over) {
                    w.meet();
                    w.op("create");
                    {
                        const Segment s(name, Segment::size_for(4096));
                        if (s.created()) ++b->created;
                        w.meet();
                        b->inodes[w.index] = inode(name);
                        if (s.orphaned()) ++b->orphaned;
                        w.meet();
                        if (w.index == 0) worker_0(s);
                        w.meet();
                        w.op("leave");
                    }
                    w.meet();
                    if (w.index == 0 && inode(name) != 0)
                        fail("the last one to leave left the name");
                    if (w.index == 0) b->over = !w.running();
                    w.meet();
                }
            },
            r)
            .run();
    }
}

// The creator dies anywhere; the next caller has a segment that works, and soon.
template <class Segment>
void dead_creator_is_replaced(context& c) {
    const std::string name = c.segment("creator");
    const std::uint64_t size = Segment::size_for(65536);
    random dice(c.seed());
    for (unsigned round = 0; round < 200 || c.time_left(); ++round) {
        const bool at_access = dice.one_in(2);
        const std::uint64_t access = dice.magnitude(11);
        {
            child creator([&] {
                if (at_access) noise::die_at(access);
                for (;;) const Segment s(name, size);
            });
            if (!at_access) {
                spin(dice.magnitude(10));
                creator.kill();
            }
            creator.reap();
        }
        ++the_board->kills;
        const auto start = clock::now();
        {
            const Segment s(name, size);
            auto* const bytes = static_cast<unsigned char*>(s.get_base_addr());
            std::memset(bytes + size - 4096, 0xa5, 4096);  // the last page is there
            if (s.get_ref_count() != 1) fail("the count is %u, and one lives", s.get_ref_count());
            if constexpr (requires(Segment & m) { m.get_table(); }) {
                Segment again(name);
                if (again.get_table()->allocate("entry", 1024) == nullptr)
                    fail("the segment that a dead creator left has no room");
            }
        }
        const auto us =
            static_cast<std::uint64_t>((clock::now() - start) / std::chrono::microseconds(1));
        the_board->slowest_us = std::max<std::uint64_t>(the_board->slowest_us, us);
        if (us > 1'000'000) fail("the next caller waited %llu us", (unsigned long long)us);
        c.add(1);
    }
}

// Everybody attaches and leaves all the time, some die: who holds it holds the one with the name.
template <class Segment>
void live_segment_is_never_removed(context& c) {
    const std::string name = c.segment("storm");
    const std::uint64_t size = Segment::size_for(4096);
    while (const auto e = c.next()) {
        team::rules r;
        r.lock_free = false;  // who is stopped while it removes the segment may be waited for
        team(
            *e, e->processes,
            [&](worker& w) {
                while (w.running()) {
                    w.op("attach");
                    const Segment s(name, size);
                    w.op("hold");
                    for (std::uint64_t n = w.dice.below(4); n != 0; --n) {
                        if (s.orphaned()) fail("the segment was removed while a process held it");
                        const auto count = s.get_ref_count();
                        if (count < 1 || count > e->processes)
                            fail("the count is %u, of %u processes", count, e->processes);
                    }
                    w.op("leave");
                }
            },
            r)
            .run();
        const Segment last(name, size);  // may find what a dead one left; leaving, removes it
        if (last.get_ref_count() != 1)
            fail("the count is %u after all have left", last.get_ref_count());
    }
}

const enlist checks{
    {"posix_shm/killed_attachers_leave_no_count",
     "an attacher is killed anywhere in attach, hold or leave; the count is that of the living",
     "rounds", killed_attachers_leave_no_count<posix_shm>},
    {"posix_shm/one_of_many_creates",
     "2 to 16 processes create one name at once: one creates, all hold the same segment",
     "operations", one_of_many_creates<posix_shm>},
    {"posix_shm/dead_creator_is_replaced",
     "a creator is killed anywhere; the next caller has a working segment in under a second",
     "rounds", dead_creator_is_replaced<posix_shm>},
    {"posix_shm/live_segment_is_never_removed",
     "all attach and leave all the time, some are killed; nobody's segment loses its name",
     "operations", live_segment_is_never_removed<posix_shm>},
    {"posix_shm/canary_seed_counter_counts_the_dead",
     "the seed's reference counter, a number that each process raises and lowers",
     "rounds",
     killed_attachers_leave_no_count<broken::segment>,
     1,
     {"the count is"}},
    {"posix_shm/canary_seed_create_is_seen_half_made",
     "the seed's creation: open, then size, then count",
     "operations",
     one_of_many_creates<broken::segment>,
     1,
     {"the count is", "died of Bus error", "without the name", "left the name", "created the"}},
    {"posix_shm/canary_seed_dead_creator_leaves_half",
     "the seed's creation, its process killed between two steps",
     "rounds",
     dead_creator_is_replaced<broken::segment>,
     1,
     {"died of Bus error", "the count is"}},
};

}  // namespace
}  // namespace assay_stress
