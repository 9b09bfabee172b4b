// host.cpp -- what a host may do to processes that share memory: a full tmpfs, containers in which
// pids repeat, more segments than anybody looks at, quotas of processor time.
#include <assay/atomic.hpp>
#include <assay/object_pool.hpp>
#include <assay/posix_shm.hpp>

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "stress/broken.hpp"
#include "stress/harness.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;

// --- memory pressure ---------------------------------------------------------------------------

constexpr std::uint64_t tmpfs_bytes = 512 << 10;

// This check's own /dev/shm, and a small one.
void mount_small_tmpfs() {
    if (::unshare(CLONE_NEWNS) != 0)
        skip("this host permits no mount namespace: %s", std::strerror(errno));
    const std::string options = "mode=1777,size=" + std::to_string(tmpfs_bytes);
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/dev/shm", "tmpfs", 0, options.c_str()) != 0)
        skip("this host lets nobody mount a tmpfs: %s", std::strerror(errno));
}

// All the memory that a segment has can be written: nobody gets a SIGBUS for want of a page.
void write_all(posix_shm& s, std::uint64_t) {
    const std::uint64_t bytes = s.get_table()->get_available_size();
    const auto* const e = bytes == 0 ? nullptr : s.get_table()->allocate("all", bytes, 1);
    if (e == nullptr) return;  // another one has it
    std::memset(static_cast<char*>(s.get_base_addr()) + e->offset, 0xa5, bytes);
    s.get_table()->erase("all");
}

void write_all(broken::segment& s, std::uint64_t size) {
    std::memset(static_cast<char*>(s.get_base_addr()) + 64, 0xa5, size - 64);
}

template <class Segment>
void full_tmpfs_is_an_error(context& c) {
    mount_small_tmpfs();
    const shared<std::atomic<std::uint64_t>> made, refused;
    while (const auto e = c.next(*made == 0 || *refused == 0)) {
        constexpr unsigned names = 6;
        team::rules r;
        r.lock_free = false;  // who is stopped while it removes the segment may be waited for
        const auto work = [&](worker& w) {
            while (w.running()) {
                const std::string name = c.segment("full" + std::to_string(w.dice.below(names)));
                const std::uint64_t size = posix_shm::size_for(w.dice.between(1, tmpfs_bytes / 2));
                w.op("create or attach", size);
                try {
                    Segment s(name, size);
                    write_all(s, size);
                    ++*made;
                } catch (const assay::no_space&) {
                    ++*refused;
                } catch (const assay::mismatch&) {  // a smaller one is there
                }
            }
        };
        team(*e, std::min(e->processes, 8u), work, r).run();
        for (unsigned i = 0; i < names; ++i) try {  // whose last process was killed
                const posix_shm s(c.segment("full" + std::to_string(i)));
            } catch (const assay::not_found&) {
            }
        posix_shm(c.segment("after"), tmpfs_bytes / 2);  // no page is lost
        if (::access(("/dev/shm/" + c.segment("after")).c_str(), F_OK) == 0)
            fail("the last one has left, and its segment stays");
    }
}

// --- containers --------------------------------------------------------------------------------

struct tenant {
    flag ready, named, dead;
    std::atomic<int> pid, pid_inside;  // as this process sees it, as it sees itself
    std::atomic<std::uint32_t> object;
};

// A process with pid 1 in a namespace of its own, which holds an object until it is killed.
void live_in_a_container(const std::string& name, tenant& t) {
    if (::unshare(CLONE_NEWPID) != 0) fail("unshare: %s", std::strerror(errno));
    const pid_t pid = ::fork();
    if (pid < 0) skip("cannot fork into a pid namespace: %s", std::strerror(errno));
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_process([&] {
            posix_shm mine(name);
            assay::object_pool<std::uint64_t> pool(mine, "pool");
            t.object = pool.acquire().index;
            t.pid_inside = ::getpid();
            t.ready.raise();
            for (;;) ::pause();
        });
    }
    t.pid = pid;
    t.named.raise();
    ::waitpid(pid, nullptr, 0);
    t.dead.raise();
}

void equal_pids_are_different_processes(context& c) {
    const std::string name = c.segment("pids");
    child([] {
        if (::unshare(CLONE_NEWPID) != 0)
            skip("this host permits no pid namespace: %s", std::strerror(errno));
    }).reap();
    for (bool first = true; first || c.time_left(); first = false) {
        const shared<tenant> tenants(2);
        posix_shm here(name, posix_shm::size_for(65536));
        assay::object_pool<std::uint64_t> pool(here, "pool", 8);
        std::vector<child> containers;
        for (std::size_t i = 0; i < 2; ++i) {
            containers.emplace_back([&, i] { live_in_a_container(name, tenants[i]); });
            tenants[i].named.await();
            tenants[i].ready.await();
        }
        if (tenants[0].pid_inside != tenants[1].pid_inside) skip("the pids are not equal here");
        if (here.get_ref_count() != 3) fail("of 3 processes %u are counted", here.get_ref_count());
        if (pool.recover() != 0) fail("recover() took an object from a living process");
        ::kill(tenants[0].pid, SIGKILL);
        tenants[0].dead.await();
        if (here.get_ref_count() != 2) fail("of 2 processes %u are counted", here.get_ref_count());
        if (pool.recover() != 1) fail("the object of the dead does not come back");
        if (!pool.is_valid({tenants[1].object, 0}))
            fail("a living process lost its object: another one of the same pid had died");
        here.recover();
        ::kill(tenants[1].pid, SIGKILL);
        tenants[1].dead.await();
        c.add(1);
    }
}

// --- many segments -----------------------------------------------------------------------------

void many_segments_at_once(context& c) {
    using small = assay::posix_shm_small;
    constexpr unsigned many = 200;
    const auto name = [&](unsigned i) { return c.segment("many" + std::to_string(i)); };
    random dice(c.seed());
    for (bool first = true; first || c.time_left(); first = false) {
        std::vector<std::unique_ptr<small>> all;
        for (unsigned i = 0; i < many; ++i) {
            all.push_back(std::make_unique<small>(name(i), small::size_for(4096)));
            assay::atomic<unsigned>(*all[i], "number", i);
        }
        child other([&] {
            noise::die_at(dice.between(1, 40 * many));
            std::vector<std::unique_ptr<small>> mine;
            for (unsigned i = 0; i < many; ++i) {
                mine.push_back(std::make_unique<small>(name(i)));
                if (assay::atomic<unsigned>(*mine[i], "number").load() != i)
                    fail("segment %u is another one", i);
            }
        });
        dice.next();
        other.reap();
        for (unsigned i = 0; i < many; ++i)
            if (all[i]->get_ref_count() != 1)
                fail("segment %u: %u are counted, 1 lives", i, all[i]->get_ref_count());
        c.add(many);
    }
}

// --- quotas of processor time --------------------------------------------------------------------

// The check of that name, with quotas.
check throttled(const std::string& name) {
    const auto run = [name](context& c) {
        const auto same = [&](const check& other) { return other.name == name; };
        c.throttle();
        std::find_if(all_checks().begin(), all_checks().end(), same)->run(c);
        c.expect_throttled();
    };
    return {name + "_when_throttled",
            "the same, while the kernel stops every second process whose processor time is used up",
            "operations", run, 0.3};
}

void quotas_that_are_never_used_up(context& c) {
    c.throttle(1'000'000);
    team(*c.next(), 2, [](worker& w) {
        while (w.running()) w.op("spin");
    }).run();
    c.expect_throttled();
}

const enlist throttled_checks{
    throttled("array/everybody_has_the_same_array"),
    throttled("atomic/additions_are_not_lost"),
    throttled("large_map/each_key_is_as_its_owner_left_it"),
    throttled("mrsw_array/snapshots_are_of_one_version"),
    throttled("object_pool/no_object_has_two_owners"),
    throttled("posix_shm/live_segment_is_never_removed"),
    throttled("queue/conserves_elements"),
    throttled("ring_buffer/consumer_gets_every_record"),
    throttled("table/acknowledged_names_survive"),
};

const enlist checks{
    {"host/full_tmpfs_is_an_error_and_no_signal",
     "all create segments in a /dev/shm of 512 KiB, some are killed: no_space or all of its memory",
     "operations", full_tmpfs_is_an_error<posix_shm>, 0.5},
    {"host/equal_pids_are_different_processes",
     "two pid namespaces, pid 1 in both: when one dies the other keeps what it has", "rounds",
     equal_pids_are_different_processes, 0.3},
    {"host/many_segments_at_once",
     "200 segments, and a process that attaches to all of them and dies on the way", "segments",
     many_segments_at_once, 0.3},
    {"host/canary_quotas_that_stop_nobody_are_noticed",
     "quotas of more processor time than there is",
     "operations",
     quotas_that_are_never_used_up,
     1,
     {"stopped nobody"}},
    {"host/canary_seed_segment_reserves_nothing",
     "ftruncate makes a file as long as one likes; the pages are missed when they are written",
     "operations",
     full_tmpfs_is_an_error<broken::segment>,
     1,
     {"died of Bus error"}},
};

}  // namespace
}  // namespace assay_stress
