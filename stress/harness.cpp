// harness.cpp -- see harness.hpp.
#include "stress/harness.hpp"

#include <dirent.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>

// A bus error, which a canary provokes, stays a bus error under the sanitizers.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
extern "C" const char* __asan_default_options() { return "handle_sigbus=0:exitcode=99"; }
extern "C" const char* __tsan_default_options() { return "handle_sigbus=0:exitcode=99"; }
#endif

namespace assay_stress {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t progress_wanted = 20;  // operations of each: while one is stopped, at least

void say(std::uint32_t verdict, const char* format, std::va_list args) {
    std::uint32_t expected = board::fine;
    if (!the_board->state.compare_exchange_strong(expected, board::speaking)) return;
    std::vsnprintf(the_board->message, sizeof the_board->message, format, args);
    the_board->state = verdict;
}

void sleep_on(std::atomic<std::uint32_t>& w, std::uint32_t seen, std::chrono::milliseconds most) {
    const timespec t{most / 1s, static_cast<long>(most % 1s / 1ns)};
    ::syscall(SYS_futex, &w, FUTEX_WAIT, seen, &t, nullptr, 0);
}
void wake_all(std::atomic<std::uint32_t>& w) {
    ::syscall(SYS_futex, &w, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

std::vector<int> allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> list;
    if (::sched_getaffinity(0, sizeof set, &set) == 0)
        for (int i = 0; i < CPU_SETSIZE; ++i)
            if (CPU_ISSET(i, &set)) list.push_back(i);
    if (list.empty()) list.push_back(0);
    return list;
}

// A host that forbids pinning runs the episode unpinned: pinning only makes some schedules likelier.
void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

const char* last_operation(unsigned i, log_line& out) {
    const worker_slot& s = the_board->workers[i];
    const std::uint64_t n = s.operations;
    if (n == 0) return "before its first operation";
    out = s.log[(n - 1) % log_lines];
    return out.what;
}

[[noreturn]] void fail_in(unsigned i, const char* how) {
    log_line last{};
    const char* what = last_operation(i, last);
    fail("worker %u (pid %d) %s; last operation: %s %llu %llu, number %llu", i,
         the_board->workers[i].pid.load(), how, what, static_cast<unsigned long long>(last.a),
         static_cast<unsigned long long>(last.b),
         static_cast<unsigned long long>(the_board->workers[i].operations.load()));
}

std::uint64_t throttled(std::span<const quota_group> groups) {
    std::uint64_t n = 0;
    for (const quota_group& g : groups) n += g.throttled();
    return n;
}

constexpr int sanitizer_exit = 99;

std::string ending(int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == sanitizer_exit)
        return "was ended by a sanitizer, whose report is above";
    if (WIFSIGNALED(status)) return std::string("died of ") + ::strsignal(WTERMSIG(status));
    return "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

void fail(const char* format, ...) {
    std::va_list args;
    va_start(args, format);
    say(board::failed, format, args);
    va_end(args);
    ::_exit(1);
}

void skip(const char* format, ...) {
    std::va_list args;
    va_start(args, format);
    say(board::skipped, format, args);
    va_end(args);
    ::_exit(1);
}

unsigned cores() {
    static const auto n = static_cast<unsigned>(allowed_cores().size());
    return n;
}

void flag::raise() {
    value_ = 1;
    wake_all(value_);
}

void flag::await() {
    while (value_ == 0) sleep_on(value_, 0, 100ms);
}

// --- the plan ----------------------------------------------------------------------------------

context::context(std::uint64_t seed, double budget, unsigned processes, bool canary,
                 std::string prefix)
    : seed_(seed),
      budget_(budget),
      until_(clock::now() + std::chrono::duration_cast<clock::duration>(seconds(budget))),
      processes_(processes),
      canary_(canary),
      prefix_(std::move(prefix)) {}

void context::throttle(std::uint64_t quota_us) {
    // Shorter and longer than what people take for "it must be dead".
    for (const unsigned period_ms : {5u, 10u, 20u, 50u, 5u, 10u, 20u, 50u})
        quotas_.emplace_back(prefix_ + "quota" + std::to_string(quotas_.size()), quota_us,
                             1000 * period_ms);
}

void context::expect_throttled() const {
    the_board->throttled = throttled(quotas_);
    if (the_board->throttled == 0) fail("the quotas of processor time stopped nobody");
}

std::optional<episode> context::next(bool more) {
    // On a busy machine it takes a while to use up a quota.
    if (!quotas_.empty() && throttled(quotas_) == 0) more = more || clock::now() < until_ + 5s;
    if (episodes_ != 0 && !more && !time_left()) return std::nullopt;
    // The n-th episode of seed s is the first of seed s + n: a failure is repeated from its own.
    episode e{};
    e.seed = seed_ + episodes_++;
    random dice(e.seed);
    e.processes = processes_ != 0 ? processes_
                                  : static_cast<unsigned>(dice.between(
                                        2, std::max(3u, (dice.one_in(4) ? 4 : 2) * cores())));
    e.processes = std::min(e.processes, max_workers);
    e.seconds = std::clamp(budget_ / 8, 0.05, 0.4);
    e.pins = static_cast<pinning>(dice.below(3));
    constexpr std::uint64_t means[] = {0, 20, 100, 1000};
    // In turn, not drawn: four episodes have each kind of violence, sixteen also each noise with it.
    e.noise = means[canary_ ? 1 + dice.below(2) : (e.seed + e.seed / 4) % 4];
    e.priorities = e.processes <= ranking::most && dice.one_in(3);
    const std::uint64_t violence = e.seed % 4;
    e.kills = violence & 1;
    e.stops = (violence & 2) && quotas_.empty();  // one way to be stopped at a time
    e.quotas = quotas_;
    the_board->episode_seed = e.seed;
    ++the_board->episodes;
    constexpr const char* pins[] = {"unpinned", "pinned over the cores", "pinned to one core"};
    std::snprintf(
        the_board->plan, sizeof the_board->plan, "%u processes, %s, %s %llu, kills %s, stops %s",
        e.processes, pins[static_cast<int>(e.pins)],
        e.priorities ? "by priorities instead of noise at one access in" : "noise at one access in",
        static_cast<unsigned long long>(e.noise), e.kills ? "yes" : "no",
        e.stops            ? "yes"
        : e.quotas.empty() ? "no"
                           : "by quotas");
    return e;
}

void context::expect_clean() const {
    DIR* const shm = ::opendir("/dev/shm");
    if (shm == nullptr) return;
    while (const dirent* entry = ::readdir(shm))
        if (std::string_view(entry->d_name).starts_with(prefix_))
            fail("/dev/shm/%s is left over", entry->d_name);
    ::closedir(shm);
}

// --- processes ---------------------------------------------------------------------------------

void begin_process(int parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_TIMERSLACK, 1);  // short sleeps of the noise are short
    if (::getppid() != parent) ::_exit(1);
}

void run_process(const std::function<void()>& body) {
    try {
        body();
    } catch (const std::exception& e) {
        noise::end();
        fail("unexpected exception: %s", e.what());
    }
    ::_exit(0);
}

child::child(const std::function<void()>& body) {
    const int parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) skip("cannot fork: %s", std::strerror(errno));
    if (pid_ == 0) {
        begin_process(parent);
        run_process(body);
    }
}

child::~child() {
    if (pid_ <= 0) return;
    kill();
    ::waitpid(pid_, nullptr, 0);
}

void child::kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
}

bool child::reap() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("a process %s", ending(status).c_str());
    return false;
}

void worker::meet() {
    board& b = *the_board;
    const std::uint32_t round = b.round;
    if (++b.arrived == b.team) {
        b.arrived = 0;
        ++b.round;
        wake_all(b.round);
        return;
    }
    // Somebody who failed never arrives; then the conductor ends this process.
    while (b.round == round) sleep_on(b.round, round, 100ms);
}

// --- teams -------------------------------------------------------------------------------------

team::team(const episode& e, unsigned n, body b, const rules& r)
    : plan_(e), body_(std::move(b)), rules_(r), dice_(e.seed ^ 0x7465616d), members_(n) {}

team::~team() {
    for (const member& m : members_)
        if (m.pid > 0) {
            ::kill(m.pid, SIGKILL);
            ::waitpid(m.pid, nullptr, 0);
        }
}

void team::spawn(unsigned i) {
    member& m = members_[i];
    worker_slot& slot = the_board->workers[i];
    const unsigned life = m.lives++;
    const int parent = ::getpid();
    slot.life = life;
    slot.finished = false;
    m.pid = ::fork();
    if (m.pid < 0) skip("cannot fork: %s", std::strerror(errno));
    if (m.pid == 0) work(i, life, parent);
    slot.pid = m.pid;
    m.changed = clock::now();
}

void team::work(unsigned i, unsigned life, int parent) {
    begin_process(parent);
    if (plan_.pins != pinning::none) {
        const auto list = allowed_cores();
        pin(list[plan_.pins == pinning::one_core ? plan_.seed % list.size() : i % list.size()]);
    }
    if (!plan_.quotas.empty() && i % 2 == 1) plan_.quotas[i / 2 % plan_.quotas.size()].enter();
    worker w(i, life, plan_.seed * 1000003 + i * 1009 + life);
    if (plan_.priorities) {
        the_board->order.enter(i, 1 + static_cast<std::uint32_t>(w.dice.below(1u << 20)));
        noise::obey(w.dice.next(), the_board->order, i);
    } else {
        noise::begin(w.dice.next(), plan_.noise);
    }
    if (plan_.kills && rules_.mortal && !w.dice.one_in(4)) noise::die_at(w.dice.magnitude(15));
    while (the_board->gate == 0) sleep_on(the_board->gate, 0, 100ms);
    run_process([&] {
        body_(w);
        noise::end();
        the_board->workers[i].finished = true;
    });
}

unsigned team::alive() const {
    return static_cast<unsigned>(
        std::count_if(members_.begin(), members_.end(), [](const member& m) { return m.pid > 0; }));
}

std::uint64_t team::operations() const {
    std::uint64_t n = 0;
    for (unsigned i = 0; i < members_.size(); ++i) n += the_board->workers[i].operations;
    return n;
}

std::optional<unsigned> team::victim() {
    const auto i = static_cast<unsigned>(dice_.below(members_.size()));
    if (members_[i].pid <= 0 || the_board->workers[i].finished) return std::nullopt;
    return i;
}

void team::run() {
    board& b = *the_board;
    b.gate = 0;
    b.stop = 0;
    b.arrived = 0;
    b.team = static_cast<std::uint32_t>(members_.size());
    b.order.clear();
    for (unsigned i = 0; i < members_.size(); ++i) {
        b.workers[i].operations = 0;
        spawn(i);
    }
    const auto start = clock::now();
    const auto end = start + std::chrono::duration_cast<clock::duration>(seconds(plan_.seconds));
    const auto at_last = end + 5s;  // on a machine so busy that nobody gets anywhere
    next_kill_ = next_stop_ = start + 2ms;
    b.gate = 1;
    wake_all(b.gate);

    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    while (alive() > 0) {
        const auto t = clock::now();
        const bool worth_it = operations() >= progress_wanted * members_.size();
        if (!stopping_ && t >= end && (worth_it || t >= at_last)) {
            stopping_ = true;
            b.stop = 1;
            release_stopped(true);
        }
        if (!stopping_) hurt();
        const timespec tick{0, 1'000'000};
        ::sigtimedwait(&ended, nullptr, &tick);  // blocked by main: the end of a worker wakes us
        reap();
        watch();
    }
    for (unsigned i = 0; i < members_.size(); ++i) b.amount += b.workers[i].operations;
    b.kills += deaths_;
}

void team::reap() {
    for (unsigned i = 0; i < members_.size(); ++i) {
        member& m = members_[i];
        int status = 0;
        if (m.pid <= 0 || ::waitpid(m.pid, &status, WNOHANG) != m.pid) continue;
        m.pid = -1;
        if (plan_.priorities) the_board->order.leave(i);
        if (stopped_ == i) stopped_.reset();
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        const bool murdered =
            plan_.kills && rules_.mortal && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (!murdered) fail_in(i, ending(status).c_str());
        ++deaths_;
        if (rules_.restart && !stopping_) spawn(i);
    }
}

// A worker that begins no operation for long is hung; so is one that does not end.
void team::watch() {
    const auto t = clock::now();
    for (unsigned i = 0; i < members_.size(); ++i) {
        member& m = members_[i];
        const std::uint64_t n = the_board->workers[i].operations;
        if (m.pid <= 0 || n != m.seen || stopped_ == i) {
            m.seen = n;
            m.changed = t;
        } else if (seconds(t - m.changed).count() > rules_.patience) {
            fail_in(i, "hangs");
        }
    }
}

void team::hurt() {
    const auto t = clock::now();
    // Somebody has got on since the last kill, or nobody ever gets anywhere.
    if (plan_.kills && rules_.mortal && t >= next_kill_ && operations() > at_kill_ + 10) {
        at_kill_ = operations();
        next_kill_ = t + std::chrono::microseconds(1000 * dice_.between(2, 20));
        if (const auto i = victim()) ::kill(members_[*i].pid, SIGKILL);
    }
    if (!plan_.stops) return;
    if (stopped_) {
        release_stopped(false);
    } else if (t >= next_stop_) {
        next_stop_ = t + std::chrono::microseconds(1000 * dice_.between(2, 30));
        if (const auto i = victim()) {
            ::kill(members_[*i].pid, SIGSTOP);
            stopped_ = i;
            resume_ = t + std::chrono::microseconds(100 * dice_.magnitude(8));
            at_stop_.clear();
            for (unsigned k = 0; k < members_.size(); ++k)
                at_stop_.push_back(the_board->workers[k].operations);
            ++the_board->stops;
        }
    }
}

// Where the contract promises progress, a stopped worker stays stopped until every other one has
// completed some operations; the watchdog sees to it that this happens.
void team::release_stopped(bool always) {
    if (!stopped_) return;
    bool resume = always || clock::now() >= resume_;
    for (unsigned i = 0; resume && !always && rules_.lock_free && i < members_.size(); ++i)
        resume = i == *stopped_ || members_[i].pid <= 0 || the_board->workers[i].finished ||
                 the_board->workers[i].operations >= at_stop_[i] + progress_wanted;
    if (!resume) return;
    ::kill(members_[*stopped_].pid, SIGCONT);
    stopped_.reset();
}

// --- the harness checks itself -----------------------------------------------------------------

namespace {

void hang(context& c) {
    episode e = *c.next();
    e.kills = e.stops = false;
    team::rules r;
    r.patience = 0.3;
    team(
        e, 2,
        [](worker& w) {
            w.op("sleep for ever", 42);
            while (w.index == 1) ::pause();
        },
        r)
        .run();
}
void crash(context& c) {
    episode e = *c.next();
    e.kills = true;  // a death that nobody planned is a failure even then
    team(e, 2, [](worker& w) {
        w.op("abort");
        if (w.index == 1) ::abort();
        while (w.running()) w.op("wait");
    }).run();
}
void leave_a_segment(context& c) {
    if (std::FILE* f = std::fopen(("/dev/shm/" + c.segment("leftover")).c_str(), "w"))
        std::fclose(f);
}
void stay_behind_a_stopped_one(context& c) {
    episode e = *c.next();
    e.kills = false;
    e.stops = true;
    e.seconds = 5;
    const shared<std::atomic<bool>> lock;
    team::rules r;
    r.patience = 0.5;
    team(
        e, 2,
        [&](worker& w) {
            while (w.running()) {
                w.op("lock");
                while (lock->exchange(true)) ::sched_yield();
                lock->store(false);
            }
        },
        r)
        .run();
}

const enlist checks{
    {"harness/canary_hung_worker_is_named",
     "a worker that sleeps for ever",
     "checks",
     hang,
     1,
     {"worker 1 (pid"}},
    {"harness/canary_crashed_worker_is_named",
     "a worker that aborts",
     "checks",
     crash,
     1,
     {"died of Aborted; last operation: abort"}},
    {"harness/canary_leftover_segment_is_found",
     "a check that leaves a segment",
     "checks",
     leave_a_segment,
     1,
     {"leftover is left over"}},
    {"harness/canary_spin_lock_is_not_lock_free",
     "a lock whose holder is stopped until the others get on",
     "checks",
     stay_behind_a_stopped_one,
     1,
     {"hangs; last operation: lock"}},
};

}  // namespace

}  // namespace assay_stress
