// victim.cpp -- see victim.hpp.
#include "scripts/victim.hpp"

#include <elf.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <exception>
#include <unordered_map>
#include <vector>

namespace assay_kill {

[[gnu::noinline]] void operation_begins() noexcept { asm volatile("" ::: "memory"); }
[[gnu::noinline]] void operation_ends() noexcept { asm volatile("" ::: "memory"); }

namespace {

#if defined(__x86_64__)
using registers = user_regs_struct;
auto& counter_of(registers& r) { return r.rip; }
constexpr std::uint64_t behind_trap = 1;  // a breakpoint leaves the counter so far behind its place
constexpr long trap_mask = 0xff, trap = 0xcc;  // int3
#elif defined(__aarch64__)
using registers = user_regs_struct;
auto& counter_of(registers& r) { return r.pc; }
constexpr std::uint64_t behind_trap = 0;
constexpr long trap_mask = 0xffffffff, trap = 0xd4200000;  // brk #0
#else
#error "single steps are known for x86-64 and aarch64 only"
#endif

registers registers_of(pid_t pid) {
    registers r{};
    iovec out{&r, sizeof r};
    if (::ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &out) != 0)
        fail("reading the victim's registers: %s", std::strerror(errno));
    return r;
}

std::uint64_t address_of(void (*mark)() noexcept) { return reinterpret_cast<std::uint64_t>(mark); }

[[noreturn]] void live(int parent, const std::function<void()>& body) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
    ::raise(SIGSTOP);
    try {
        body();
    } catch (const std::exception& e) {
        fail("in the victim: %s", e.what());
    }
    ::_exit(0);
}

}  // namespace

void track::plan() {
    // The price of the way to an instruction: the passes over its place before, or that of the
    // instruction before it and one step more.
    std::unordered_map<std::uint64_t, std::uint32_t> seen;
    std::uint64_t price = 0;
    for (std::uint64_t k = 0; k < length; ++k) {
        const std::uint32_t before = seen[at[k]]++;
        ++price;
        const bool better = k == 0 || 2 * before <= price;  // a pass: a breakpoint, a step from it
        anchor[k] = better ? static_cast<std::uint32_t>(k) : anchor[k - 1];
        passes[k] = better ? before : passes[k - 1];
        if (better) price = 2 * before;
    }
    std::vector<bool> listed(length + 1);
    std::uint64_t n = 0;
    const auto list = [&](std::uint64_t k) {
        if (k == 0 || k > length || listed[k]) return;
        listed[k] = true;
        order[n++] = static_cast<std::uint32_t>(k);
    };
    for (std::uint32_t c = 0; c < num_changes; ++c) list(changes[c]), list(changes[c] - 1);
    std::uint64_t stride = std::bit_ceil(length);
    for (; stride != 0; stride /= 2)
        for (std::uint64_t k = stride; k <= length; k += stride) list(k);
}

victim::victim(const std::function<void()>& body) {
    const int parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) fail("fork: %s", std::strerror(errno));
    if (pid_ == 0) live(parent, body);
    if (wait_for_stop() != SIGSTOP) fail("the victim did not stop at its start");
    run_freely_to(address_of(operation_begins));
    if (ended_early_) fail("the victim ended before its operation");
}

victim::~victim() {
    if (pid_ > 0) kill();
}

// The signal at which it stopped; 0 when it has ended.
int victim::wait_for_stop() {
    int status = 0;
    while (::waitpid(pid_, &status, __WALL) < 0)
        if (errno != EINTR) fail("waiting for the victim: %s", std::strerror(errno));
    if (WIFSTOPPED(status)) return WSTOPSIG(status);
    pid_ = -1;
    ended_early_ = true;
    return 0;
}

void victim::resume(int request, int signal) const {
    if (::ptrace(static_cast<__ptrace_request>(request), pid_, nullptr,
                 reinterpret_cast<void*>(static_cast<long>(signal))) != 0)
        fail("resuming the victim: %s", std::strerror(errno));
}

std::uint64_t victim::place() const {
    registers r = registers_of(pid_);
    return counter_of(r);
}

void victim::move_to(std::uint64_t address) const {
    registers r = registers_of(pid_);
    if (counter_of(r) == address) return;
    counter_of(r) = address;
    iovec in{&r, sizeof r};
    if (::ptrace(PTRACE_SETREGSET, pid_, NT_PRSTATUS, &in) != 0)
        fail("writing the victim's registers: %s", std::strerror(errno));
}

long victim::text_at(std::uint64_t address) const {
    errno = 0;
    const long text = ::ptrace(PTRACE_PEEKTEXT, pid_, reinterpret_cast<void*>(address), nullptr);
    if (errno != 0) fail("reading the victim's instructions: %s", std::strerror(errno));
    return text;
}

void victim::set_text(std::uint64_t address, long text) const {
    if (::ptrace(PTRACE_POKETEXT, pid_, reinterpret_cast<void*>(address), text) != 0)
        fail("setting a breakpoint: %s", std::strerror(errno));
}

void victim::run_freely_to(std::uint64_t address) {
    const long text = text_at(address);
    set_text(address, (text & ~trap_mask) | trap);
    resume(PTRACE_CONT);
    const int signal = wait_for_stop();
    if (signal == 0) return;
    if (signal != SIGTRAP) fail("the victim got the signal %s", ::strsignal(signal));
    if (place() != address + behind_trap) fail("the victim stopped where nobody asked it to");
    set_text(address, text);
    move_to(address);
}

bool victim::step() {
    resume(PTRACE_SINGLESTEP);
    const int signal = wait_for_stop();
    if (signal == 0) fail("the victim ended in the middle of its operation");
    if (signal != SIGTRAP)
        fail("the victim got the signal %s in its operation", ::strsignal(signal));
    return place() != address_of(operation_ends);
}

bool victim::run_to(const track& t, std::uint64_t k) {
    // The end itself is a place like any other, but nothing leads there but a step.
    const std::uint64_t from = k == t.length ? k - 1 : k;
    const std::uint64_t anchor = t.anchor[from];
    if (anchor != 0) {
        for (std::uint32_t n = 0; n <= t.passes[from]; ++n) {
            // From a place to itself: first away from it.
            if (place() == t.at[anchor] && !step()) return false;
            if (place() == t.at[anchor]) continue;
            run_freely_to(t.at[anchor]);
            if (ended_early_) return false;
        }
    }
    for (std::uint64_t n = anchor; n < k; ++n)
        if (!step() && n + 1 < t.length) return false;
    return k == t.length ? place() == address_of(operation_ends) : place() == t.at[k];
}

void victim::step_to(std::uint64_t k) {
    for (std::uint64_t n = 0; n < k && step();) ++n;
}

void victim::kill() {
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, __WALL) < 0 ? errno == EINTR
                                                : !WIFEXITED(status) && !WIFSIGNALED(status)) {
    }
    pid_ = -1;
}

void victim::stop() {
    resume(PTRACE_DETACH, SIGSTOP);
    int status = 0;
    while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {
    }
    if (!WIFSTOPPED(status)) fail("the victim could not be stopped");
}

void victim::finish() {
    ::kill(pid_, SIGCONT);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("stopped and continued, the victim did not finish its operation");
}

const char* victim::obstacle() {
    const int parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return "cannot fork";
    if (pid == 0) live(parent, [] {});
    int status = 0;
    while (::waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
    }
    const bool traced = WIFSTOPPED(status);
    bool stepped = false;
    if (traced) {
        stepped = ::ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) == 0 &&
                  ::waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status);
        ::kill(pid, SIGKILL);
        while (::waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status) &&
               !WIFEXITED(status)) {
        }
    }
    return stepped ? nullptr
           : traced
               ? "this host does not single-step (PTRACE_SINGLESTEP)"
               : "this host does not permit ptrace (a container needs the capability SYS_PTRACE)";
}

}  // namespace assay_kill
