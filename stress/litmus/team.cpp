// team.cpp -- see team.hpp.
#include "stress/litmus/team.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>

#include "stress/shared.hpp"

namespace assay_litmus {
namespace {

using clock = std::chrono::steady_clock;
using dice = std::mt19937_64;

constexpr std::size_t batch = 2048;         // instances between two counts
constexpr std::size_t batches_of_plan = 8;  // before another plan is drawn
constexpr std::size_t widest = 256;         // bytes from one location to the next, at most
constexpr std::size_t most_outcomes = 512;
constexpr unsigned spins = 2000;  // before a waiting process gives its processor away
constexpr double patience = 20;   // seconds without a batch

std::size_t below(dice& d, std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(d);
}

// --- shared by a team ----------------------------------------------------------------------------

class barrier {
public:
    void wait(unsigned team) {
        const std::uint32_t round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == team) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (unsigned n = 1; round_.load(std::memory_order_acquire) == round; ++n) {
            assay::pause();
            if (n % spins == 0) ::sched_yield();
        }
    }

private:
    alignas(64) std::atomic<std::uint32_t> arrived_;
    alignas(64) std::atomic<std::uint32_t> round_;
};

// Outcomes that one process has counted.
struct counts {
    struct entry {
        std::uint64_t times;
        std::array<value, most_values> values;
    };
    std::array<entry, most_outcomes> entries;
    std::uint64_t lost;  // there was no room

    void add(const std::array<value, most_values>& values, std::size_t n) {
        std::size_t h = 0;
        for (std::size_t i = 0; i < n; ++i)
            h = (h ^ static_cast<std::uint32_t>(values[i])) * 0x9e3779b1u;
        for (std::size_t k = 0; k < most_outcomes; ++k) {
            entry& e = entries[(h + k) % most_outcomes];
            if (e.times != 0 && e.values != values) continue;
            e.values = values;
            ++e.times;
            return;
        }
        ++lost;
    }
};

struct board {
    barrier gate, count_gate;
    std::atomic<std::uint64_t> batches;
    std::atomic<bool> last;
    std::array<counts, most_threads> counted;
};

// --- a plan --------------------------------------------------------------------------------------

// The same in all processes of a team, because drawn from one seed.
struct plan {
    std::size_t stride, offset;  // bytes from one location to the next; of each in its place
    bool scattered;              // neighbours lie anywhere
    std::size_t row;             // instances between two common starts
    std::size_t late;            // a process begins a row up to so many turns of a loop late
    bool touch;                  // a process may have the lines of a row in its cache, or some
    int shift;                   // of the processors; -1: the kernel decides

    plan(dice& d, bool crowded) {
        constexpr std::size_t strides[] = {sizeof(value), 64, 128, widest};
        stride = strides[below(d, std::size(strides))];
        offset = stride == sizeof(value) ? 0 : sizeof(value) * below(d, 64 / sizeof(value));
        scattered = below(d, 2) == 0;
        // Who waits for a processor cannot begin together with anybody.
        row = crowded ? batch : std::size_t{1} << below(d, 12);
        late = std::size_t{1} << below(d, 8);
        touch = below(d, 2) == 0;
        shift = static_cast<int>(below(d, 9)) - 1;
    }
};

// --- one process ---------------------------------------------------------------------------------

class worker {
public:
    worker(const test& t, std::size_t me, std::byte* arena, value* results, board& b,
           std::uint64_t seed)
        : test_(t),
          me_(me),
          arena_(arena),
          results_(results),
          board_(b),
          common_(seed),
          own_(~seed + me),
          at_(batch * t.initial.size()) {}

    void work(clock::time_point end) {
        const bool crowded = test_.threads.size() > processors().size();
        while (true) {
            const plan p(common_, crowded);
            lay_out(p);
            settle(p);
            for (std::size_t n = 0; n < batches_of_plan; ++n) {
                if (me_ == 0 && clock::now() >= end) board_.last = true;
                prepare();
                wait();
                const bool last = board_.last;
                for (std::size_t from = 0; from < batch; from += p.row) run_row(p, from);
                wait();
                count();
                if (me_ == 0) board_.batches.fetch_add(1);
                wait();
                if (last) return;
            }
        }
    }

    // The values of thread t, of all instances.
    static value* results_of(value* all, std::size_t t) { return all + t * batch * most_values; }

private:
    void wait() { board_.gate.wait(static_cast<unsigned>(test_.threads.size())); }

    void lay_out(const plan& p) {
        std::vector<std::size_t> slots(at_.size());
        std::iota(slots.begin(), slots.end(), std::size_t{0});
        if (p.scattered) std::shuffle(slots.begin(), slots.end(), common_);
        for (std::size_t i = 0; i < at_.size(); ++i)
            at_[i] = arena_ + slots[i] * p.stride + p.offset;
    }

    void settle(const plan& p) const {
        const std::vector<int>& all = processors_;
        cpu_set_t set;
        CPU_ZERO(&set);
        const auto mine = static_cast<std::size_t>(p.shift) + me_;
        for (std::size_t k = 0; k < all.size(); ++k)
            if (p.shift < 0 || k == mine % all.size()) CPU_SET(static_cast<unsigned>(all[k]), &set);
        static_cast<void>(::sched_setaffinity(0, sizeof set, &set));
    }

    // Its part of the instances.
    std::pair<std::size_t, std::size_t> part() const {
        const std::size_t n = test_.threads.size();
        return {batch * me_ / n, batch * (me_ + 1) / n};
    }

    void prepare() {
        const std::size_t locations = test_.initial.size();
        const auto [from, to] = part();
        for (std::size_t i = from; i < to; ++i)
            for (std::size_t l = 0; l < locations; ++l) {
                void* const p = at_[i * locations + l];
                if (l < test_.atomic)
                    word_at(p).store(test_.initial[l], relaxed);  // relaxed: the gate orders it
                else
                    cell_at(p).write(test_.initial[l]);
            }
    }

    void run_row(const plan& p, std::size_t from) {
        const std::size_t n = std::min(p.row, batch - from);
        const thread& t = test_.threads[me_];
        void* const* const at = at_.data() + from * test_.initial.size();
        if (p.touch)
            for (std::size_t k = 0; k < n * test_.initial.size(); k += 1 + below(own_, 4))
                __builtin_prefetch(at[k]);
        const std::size_t late = below(own_, p.late);
        if (p.row != batch || from == 0)
            board_.count_gate.wait(static_cast<unsigned>(test_.threads.size()));
        for (std::size_t k = 0; k < late; ++k) asm volatile("" ::: "memory");
        t.run(at, results_of(results_, me_) + from * t.results, n);
    }

    void count() {
        const std::size_t locations = test_.initial.size();
        const auto [from, to] = part();
        for (std::size_t i = from; i < to; ++i) {
            std::array<value, most_values> values{};
            std::size_t n = 0;
            for (std::size_t t = 0; t < test_.threads.size(); ++t) {
                const std::size_t some = test_.threads[t].results;
                const value* const mine = results_of(results_, t) + i * some;
                for (std::size_t k = 0; k < some; ++k) values[n++] = mine[k];
            }
            for (const std::size_t l : test_.shown)
                values[n++] = word_at(at_[i * locations + l]).load(relaxed);  // relaxed: likewise
            board_.counted[me_].add(values, n);
        }
    }

    const test& test_;
    std::size_t me_;
    std::byte* arena_;
    value* results_;
    board& board_;
    dice common_, own_;
    std::vector<void*> at_;
    std::vector<int> processors_ = processors();
};

// --- the team ------------------------------------------------------------------------------------

std::size_t values_of(const test& t) {
    return std::accumulate(t.threads.begin(), t.threads.end(), t.shown.size(),
                           [](std::size_t n, const thread& one) { return n + one.results; });
}

tally merge(const test& t, const board& b) {
    tally sum;
    const std::size_t n = values_of(t);
    for (std::size_t w = 0; w < t.threads.size(); ++w) {
        if (b.counted[w].lost != 0) throw std::runtime_error("more than 512 different outcomes");
        for (const counts::entry& e : b.counted[w].entries) {
            if (e.times == 0) continue;
            sum.seen[{e.values.begin(), e.values.begin() + static_cast<std::ptrdiff_t>(n)}] +=
                e.times;
            sum.instances += e.times;
        }
    }
    return sum;
}

// Waits for all. Ends them, and says why, when one of them dies or all of them stand still.
void watch(const std::vector<pid_t>& team, const board& b) {
    std::string problem;
    std::size_t running = team.size();
    std::uint64_t batches = 0;
    auto moved = clock::now();
    while (running != 0) {
        int status = 0;
        const pid_t ended = ::waitpid(-team[0], &status, WNOHANG);
        if (ended > 0) {
            --running;
            if (status == 0 || !problem.empty()) continue;
            problem = WIFSIGNALED(status)
                          ? std::string("a process died of ") + ::strsignal(WTERMSIG(status))
                          : "a process ended with an error";
        } else if (b.batches != batches) {
            batches = b.batches;
            moved = clock::now();
        } else if (clock::now() - moved > std::chrono::duration<double>(patience) &&
                   problem.empty()) {
            problem = "the team stands still";
        } else {
            const timespec tick{0, 2'000'000};
            ::nanosleep(&tick, nullptr);
        }
        if (!problem.empty()) ::kill(-team[0], SIGKILL);
    }
    if (!problem.empty()) throw std::runtime_error(problem);
}

}  // namespace

void look_again() {
    static unsigned looked = 0;
    assay::pause();
    if (++looked % spins == 0) ::sched_yield();
}

std::vector<int> processors() {
    cpu_set_t set;
    std::vector<int> all;
    if (::sched_getaffinity(0, sizeof set, &set) == 0)
        for (int n = 0; n < CPU_SETSIZE; ++n)
            if (CPU_ISSET(static_cast<unsigned>(n), &set)) all.push_back(n);
    return all;
}

tally run_team(const test& t, double seconds, std::uint64_t seed) {
    if (t.threads.size() > most_threads || values_of(t) > most_values)
        throw std::runtime_error(
            "too large: raise most_threads or most_values in stress/litmus/team.hpp");
    const std::size_t arena_size = batch * std::max<std::size_t>(t.initial.size(), 1) * widest + 64;
    const assay_stress::shared<std::byte> arena(arena_size);
    const assay_stress::shared<value> results(t.threads.size() * batch * most_values);
    const assay_stress::shared<board> common;
    const auto end = clock::now() + std::chrono::duration_cast<clock::duration>(
                                        std::chrono::duration<double>(seconds));
    const pid_t parent = ::getpid();
    std::vector<pid_t> team;
    for (std::size_t me = 0; me < t.threads.size(); ++me) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent) ::_exit(1);
            worker(t, me, &arena[0], &results[0], *common, seed).work(end);
            ::_exit(0);
        }
        if (pid > 0) team.push_back(pid);
        if (pid > 0) ::setpgid(pid, team[0]);
        if (pid < 0) {
            for (const pid_t p : team) ::kill(p, SIGKILL), ::waitpid(p, nullptr, 0);
            throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
        }
    }
    watch(team, *common);
    return merge(t, *common);
}

}  // namespace assay_litmus
