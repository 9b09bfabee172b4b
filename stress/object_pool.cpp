// object_pool.cpp -- processes that take, write, give back and die: no object has two owners, none
// changes under its owner, and what the dead held is free again after recover().
#include <assay/object_pool.hpp>
#include <assay/posix_shm.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <span>
#include <thread>
#include <vector>

#include "stress/broken.hpp"
#include "stress/harness.hpp"
#include "stress/payload.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;
using object = stamped<6>;

// Whether the process is dead, or dies within a second: the kernel lets go of what it held before
// others see it as a zombie. Asked only when an object seems to have two owners.
bool gone(int pid) {
    for (int i = 0; i < 1000; ++i) {
        char text[256] = {};
        std::snprintf(text, sizeof text, "/proc/%d/stat", pid);
        std::FILE* const f = std::fopen(text, "r");
        if (f == nullptr) return true;
        const std::size_t n = std::fread(text, 1, sizeof text - 1, f);
        std::fclose(f);
        text[n] = 0;
        const char* state = std::strrchr(text, ')');
        if (n == 0 || state == nullptr || std::strchr("ZXx", state[2]) != nullptr) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

// Who owns each object, as the workers see it. Entries of the dead stay until the next owner.
class deeds {
public:
    explicit deeds(std::size_t bytes) : owner_(bytes / sizeof(object) + 1) {}

    void take(const void* base, const object* x) {
        const int before = of(base, x).exchange(::getpid());
        if (before == 0) return;
        noise::end();
        if (before == ::getpid() || !gone(before))
            fail("an object has two owners: pid %d, which lives, and pid %d", before, ::getpid());
    }
    void give(const void* base, const object* x) {
        int me = ::getpid();
        if (!of(base, x).compare_exchange_strong(me, 0))
            fail("an object has two owners: pid %d found pid %d there", ::getpid(), me);
    }

private:
    std::atomic<int>& of(const void* base, const object* x) const {
        const auto offset = static_cast<std::size_t>(reinterpret_cast<const char*>(x) -
                                                     static_cast<const char*>(base));
        return owner_[offset / sizeof(object)];
    }
    shared<std::atomic<int>> owner_;
};

template <class Pool>
class tenant {
    struct holding {
        typename Pool::handle_type handle;
        object* at;
        std::uint64_t number;
    };

public:
    tenant(worker& w, const std::string& segment, std::uint64_t capacity, deeds& d)
        : w_(w), segment_(segment), pool_(segment_, "pool", capacity), deeds_(d) {}

    void run(std::size_t most) {
        while (w_.running()) {
            if (held_.size() < most && !w_.dice.one_in(3)) {
                acquire(1 + (w_.dice.one_in(8) ? w_.dice.below(4) : 0));
            } else if (!held_.empty()) {
                release(w_.dice.below(held_.size()));
            }
            if constexpr (requires(Pool & p) { p.recover(); })
                if (w_.dice.one_in(500)) {
                    w_.op("recover");
                    pool_.recover();
                }
        }
        while (!held_.empty()) release(held_.size() - 1);
    }

private:
    void acquire(std::uint64_t n) {
        std::vector<typename Pool::handle_type> got;
        w_.op("acquire", n);
        if constexpr (requires(Pool & p) { p.acquire_batch(n, std::back_inserter(got)); }) {
            if (n > 1) pool_.acquire_batch(n, std::back_inserter(got));
        }
        if (n == 1) {
            const auto h = pool_.acquire();
            if (h != Pool::invalid_handle) got.push_back(h);
        }
        for (const auto h : got) {
            object* const x = pool_.get(h);
            if (x == nullptr) fail("a handle just acquired is invalid");
            deeds_.take(segment_.get_base_addr(), x);
            *x = object::make(static_cast<std::uint64_t>(::getpid()), ++count_);
            held_.push_back({h, x, count_});
        }
    }
    void release(std::size_t i) {
        const holding x = held_[i];
        if (!x.at->whole() || x.at->number != x.number)
            fail("an object has two owners: its content changed under pid %d", ::getpid());
        deeds_.give(segment_.get_base_addr(), x.at);
        held_[i] = held_.back();
        held_.pop_back();
        w_.op("release");
        if (!pool_.release(x.handle)) fail("an object could not be released by its owner");
        if constexpr (requires(Pool & p) { p.is_valid(x.handle); }) {
            if (pool_.is_valid(x.handle)) fail("a released handle is valid");
            if (w_.dice.one_in(8) && pool_.release(x.handle)) fail("a handle was released twice");
        }
    }

    worker& w_;
    posix_shm segment_;
    Pool pool_;
    deeds& deeds_;
    std::vector<holding> held_;
    std::uint64_t count_ = 0;
};

// Free and owned are all: everything can be had again, once.
template <class Pool>
void expect_all_free(Pool& pool, std::uint64_t capacity) {
    if constexpr (requires { pool.recover(); }) pool.recover();
    std::vector<object*> all;
    for (std::uint64_t i = 0; i <= capacity; ++i) {
        const auto h = pool.acquire();
        if (h == Pool::invalid_handle) break;
        all.push_back(pool.get(h));
    }
    std::sort(all.begin(), all.end());
    if (std::adjacent_find(all.begin(), all.end()) != all.end())
        fail("an object has two owners: the pool gives it out twice");
    if (all.size() != capacity)
        fail("%zu objects of %llu are lost", static_cast<std::size_t>(capacity) - all.size(),
             static_cast<unsigned long long>(capacity));
}

template <class Pool, bool Kills = true>
void no_object_has_two_owners(context& c) {
    constexpr std::uint64_t capacities[] = {1, 2, 3, 8, 64, 500};
    const std::string name = c.segment("pool");
    while (auto e = c.next()) {
        e->kills = e->kills && Kills;
        random dice(e->seed ^ 1);
        const std::uint64_t capacity = capacities[dice.below(std::size(capacities))];
        const std::size_t most = 1 + dice.below(std::min<std::uint64_t>(capacity, 8));
        const std::uint64_t size = posix_shm::size_for(Pool::size_bytes(capacity) + 4096);
        posix_shm here(name, size);
        Pool pool(here, "pool", capacity);
        deeds d(size);
        team(*e, e->processes, [&](worker& w) {
            tenant<Pool>(w, name, capacity, d).run(most);
        }).run();
        expect_all_free(pool, capacity);
    }
}

const enlist checks{
    {"object_pool/no_object_has_two_owners",
     "all acquire, write, release and recover, some are killed: one owner each, none lost",
     "operations", no_object_has_two_owners<assay::object_pool<object>>},
    {"object_pool/canary_seed_free_list_aba",
     "the seed's free list, whose head has no tag",
     "operations",
     no_object_has_two_owners<broken::free_list<object, false>, false>,
     1,
     {"two owners", "are lost"}},
    {"object_pool/canary_free_list_loses_what_the_dead_held",
     "the same with a tag, and with kills",
     "operations",
     no_object_has_two_owners<broken::free_list<object, true>>,
     1,
     {"are lost"}},
};

}  // namespace
}  // namespace assay_stress
