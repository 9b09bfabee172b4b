// team.cpp -- see team.hpp.
#include "perf/team.hpp"

#include <assay/sync.hpp>

#include <linux/futex.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <span>
#include <stdexcept>
#include <system_error>

#include "perf/contender.hpp"
#include "perf/host.hpp"

namespace assay_perf {
namespace {

using enum std::memory_order;

constexpr double patience = 20;  // seconds that a worker may take to stop

void sleep_on(void* word, std::uint32_t seen) {
    ::syscall(SYS_futex, word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
}
void wake_all(void* word) { ::syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

void sleep_for(double seconds) {
    const auto whole = static_cast<time_t>(seconds);
    timespec t{whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
    while (::nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

void note(board& b, const char* format, std::va_list arguments) {
    if (b.claimed.exchange(true)) return;
    std::vsnprintf(b.message, sizeof b.message, format, arguments);
    b.failed = true;
}

[[gnu::format(printf, 2, 3)]] void note(board& b, const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    note(b, format, arguments);
    va_end(arguments);
}

// A child that dies with its parent, on its processor.
pid_t fork_pinned(int cpu, int parent) {
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(0);
        try {
            pin(cpu);
        } catch (const std::exception& e) {  // main has tried it: the cpuset has changed since
            std::fprintf(stderr, "%s\n", e.what());
            ::_exit(1);
        }
    }
    return pid;
}

[[noreturn]] void work(unsigned i, int cpu, board& b, const std::function<void(worker&)>& body) {
    static worker* self = nullptr;
    this_worker = i;
    give_up = [](const char* why) { self->fail("%s", why); };
    try {
        worker w(i, b);
        self = &w;
        body(w);
        ::_exit(0);
    } catch (const std::exception& e) {
        note(b, "worker %u on cpu%d: %s", i, cpu, e.what());
    }
    ::_exit(1);
}

// Whether it has; it can still be reaped.
bool has_ended(pid_t pid) {
    siginfo_t what{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &what, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           what.si_pid == pid;
}

// Waits until all have ended; kills them when one failed, or none ends.
void reap(std::span<pid_t> pids, board& b) {
    const auto until = now_ns() + static_cast<unsigned long long>(patience * 1e9);
    for (std::size_t left = pids.size(); left != 0;) {
        for (pid_t& pid : pids) {
            int status = 0;
            if (pid < 0 || ::waitpid(pid, &status, WNOHANG) != pid) continue;
            pid = -1;
            --left;
            if (WIFSIGNALED(status)) note(b, "a worker died: %s", ::strsignal(WTERMSIG(status)));
        }
        if (now_ns() > until) note(b, "a worker does not end");
        if (b.failed) {
            for (const pid_t pid : pids)
                if (pid > 0) ::kill(pid, SIGKILL), ::waitpid(pid, nullptr, 0);
            return;
        }
        if (left != 0) sleep_for(100e-6);
    }
}

}  // namespace

void worker::meet() {
    slot_.arrived.store(true, release);
    while (board_.now.load(acquire) == phase::setup)
        sleep_on(&board_.now, static_cast<std::uint32_t>(phase::setup));
}

bool worker::changed(phase p, std::uint64_t done) noexcept {
    const moment m{now_ns(), cpu_ns(), done};
    if (seen_ == phase::ramp) slot_.begin = m;
    seen_ = p;
    if (p != phase::over) return true;
    slot_.end = m;
    return false;
}

void worker::fail(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    note(board_, format, arguments);
    va_end(arguments);
    ::_exit(1);
}

double team_result::ns_together(unsigned first, unsigned last) const {
    double rate = 0;
    for (unsigned i = first; i < last; ++i)
        rate += static_cast<double>(parts[i].done) / parts[i].seconds;
    return 1e9 / rate;
}

double team_result::ns_each() const {
    double sum = 0;
    for (const part& p : parts) sum += p.seconds * 1e9 / static_cast<double>(p.done);
    return sum / static_cast<double>(parts.size());
}

team_result run_team(const std::vector<int>& cpus, double seconds,
                     const std::function<void(worker&)>& body) {
    if (cpus.size() > most_workers) throw std::invalid_argument("too many workers");
    const shared<board> b;
    const auto n = static_cast<unsigned>(cpus.size());
    const int parent = ::getpid();
    std::vector<pid_t> pids;
    for (unsigned i = 0; i < n; ++i) {
        pids.push_back(fork_pinned(cpus[i], parent));
        if (pids.back() == 0) work(i, cpus[i], *b, body);
    }
    for (unsigned i = 0; i < n && !b->failed; ++i)
        while (!b->workers[i].arrived.load(acquire) && !b->failed) {
            if (has_ended(pids[i])) note(*b, "worker %u ended before it began", i);
            sleep_for(50e-6);
        }
    const auto enter = [&](phase p) {
        b->now.store(p, release);
        wake_all(&b->now);
    };
    enter(phase::ramp);
    if (!b->failed) sleep_for(seconds / 3);
    enter(phase::measured);
    if (!b->failed) sleep_for(seconds);
    enter(phase::over);
    reap(pids, *b);

    team_result r{b->failed ? b->message : ""};
    if (!r.failure.empty()) return r;
    std::map<int, double> had;  // of each processor
    for (unsigned i = 0; i < n; ++i) {
        const worker_slot& w = b->workers[i];
        const auto& [begin, end] = std::pair(w.begin, w.end);
        r.parts.push_back({static_cast<double>(end.ns - begin.ns) / 1e9,
                           static_cast<double>(end.cpu_ns - begin.cpu_ns) / 1e9,
                           end.done - begin.done, w.items, w.sum, w.squares});
        // One that was not there at all for the measured time did not have its processor either.
        had[cpus[i]] +=
            end.ns == begin.ns ? 0 : r.parts.back().cpu_seconds / r.parts.back().seconds;
    }
    for (const auto& [cpu, share] : had) r.cpu_share = std::min(r.cpu_share, share);
    return r;
}

// --- the probe ---------------------------------------------------------------------------------

prober::prober(int cpu, int other) : cpu_(cpu) {
    pid_ = fork_pinned(other, ::getpid());
    if (pid_ == 0) answer();
}

prober::~prober() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

// Both pause while they spin. Two threads of one core that do not are in each other's way: 80 to
// 125 ns were seen where it is 50 to 75 ns, on both sides of near_ns. Between cores it is the same.
constexpr std::uint32_t trips = 500, batches = 5;

void prober::answer() {
    for (std::uint32_t seen = 0;; ++seen) {
        while (line_->questions.load(acquire) == seen) sleep_on(&line_->questions, seen);
        for (std::uint32_t i = 0; i < batches * trips; ++i) {
            while (line_->turn.load(acquire) != 2 * i + 1) assay::pause();
            line_->turn.store(2 * i + 2, release);
        }
    }
}

// Throws when nobody will answer any more.
void prober::await(std::uint32_t turn) {
    for (std::uint32_t spins = 1; line_->turn.load(acquire) != turn; ++spins) {
        assay::pause();
        constexpr std::uint32_t seldom = 1 << 20;  // some 20 ms: the kernel takes a moment to say
        if (spins % seldom != 0 || ::waitpid(pid_, nullptr, WNOHANG) == 0) continue;
        pid_ = 0;
        unpin();
        throw std::runtime_error(
            "the process that answers the probe of the round trip has ended (was it killed?): "
            "without it no figure has a regime, so start again");
    }
}

double prober::round_trip_ns() {
    pin(cpu_);
    line_->turn.store(0, relaxed);
    line_->questions.fetch_add(1, release);
    wake_all(&line_->questions);
    std::vector<double> times;
    for (std::uint32_t batch = 0, i = 0; batch < batches; ++batch) {
        const auto start = now_ns();
        for (const std::uint32_t end = i + trips; i < end; ++i) {
            line_->turn.store(2 * i + 1, release);
            await(2 * i + 2);
        }
        times.push_back(static_cast<double>(now_ns() - start) / trips);
    }
    unpin();
    return quartiles_of(times).median;
}

}  // namespace assay_perf
