// mrsw_array.cpp -- snapshots while a writer publishes, beside a mutex around the same bytes.
#include <assay/mrsw_array.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

constexpr std::size_t count = 64;  // 512 bytes
using values = std::array<std::uint64_t, count>;

struct ours : on_memory<assay::mrsw_array<std::uint64_t>> {
    struct user {
        user(void* memory, std::size_t n) : all(memory, n, me) {}
        void read(values& out) const { all.snapshot(out); }
        void write(const values& in) { all.write(0, std::span<const std::uint64_t>(in)); }
        member me;
        assay::mrsw_array<std::uint64_t> all;
    };
};

struct mutex {
    static constexpr std::string_view name = "robust mutex";
    struct state {
        pthread_mutex_t lock;
        values all;
    };
    static std::size_t bytes(std::size_t) { return sizeof(state); }
    static void format(void* memory, std::size_t) {
        pthread_mutexattr_t how;
        pthread_mutexattr_init(&how);
        pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&static_cast<state*>(memory)->lock, &how);
    }
    struct user {
        user(void* memory, std::size_t) : s(*static_cast<state*>(memory)) {}
        void read(values& out) const { exchange(out, s.all); }
        void write(const values& in) { exchange(s.all, in); }
        void exchange(values& to, const values& from) const {
            if (pthread_mutex_lock(&s.lock) != 0) throw std::runtime_error("mutex");
            to = from;
            pthread_mutex_unlock(&s.lock);
        }
        state& s;
    };
};

// The first worker writes (if there is a second one), the others read; each element says in which
// update it was written, so that a torn snapshot is noticed.
template <class C>
outcome snapshots(const std::vector<int>& cpus, double seconds) {
    const arena<C> place(count);
    const team_result r = repeat(cpus, seconds, [&](worker& w) {
        auto& all = place.enter();
        return [&, mine = values{}](std::uint64_t n) mutable {
            if (w.index == 0 && cpus.size() > 1) {
                mine.fill(n);
                return all.write(mine);
            }
            all.read(mine);
            if (std::ranges::count(mine, mine[0]) != count) w.fail("a snapshot was torn");
        };
    });
    return together(r, cpus.size() > 1 ? 1 : 0, static_cast<unsigned>(cpus.size()));
}

const enlist rows([](plan& p) {
    for (const auto& cpus : teams())
        each(contenders<ours, mutex>{}, [&]<class C>() {
            p.add(of_row("mrsw_array", "snapshot/512B/" + processes(cpus), cpus, "",
                         std::string(C::name), [=](double s) { return snapshots<C>(cpus, s); }));
        });
});

}  // namespace
}  // namespace assay_perf
