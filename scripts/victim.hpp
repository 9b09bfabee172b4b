// victim.hpp -- a process that another one executes instruction by instruction (ptrace), and kills
// or stops after the k-th instruction of its operation.
//
// The operation is what runs between operation_begins() and operation_ends(): the instructions are
// counted from the entry of the one to the entry of the other. Two of them are the marks' own.
//
// To come to the k-th instruction it is not necessary to execute k single steps, which would make
// the number of steps grow with the square of the operation's length. A first run records where
// each instruction stands (a track). Later ones run freely up to a breakpoint at the best of the
// instructions before the k-th, one that was executed seldom before, and take single steps from
// there. They check that they arrived where the track says.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace assay_kill {

// What it does when a process cannot be led: the program's own (`assay-stress` gives up the kill
// point, `assay-perf` the figure).
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...);

// The marks: functions with an address and no effect.
void operation_begins() noexcept;
void operation_ends() noexcept;

template <class F>
[[gnu::always_inline]] inline void operation(F&& f) {
    operation_begins();
    f();
    operation_ends();
}

inline constexpr std::uint64_t mark_instructions = 2;  // the return of one, the call of the other

// Where the instructions of one operation stand, in memory that processes share.
struct track {
    static constexpr std::size_t most = std::size_t{1} << 17;

    // at[k] is executed as the (k + 1)-th; at[length] is the end.
    std::uint64_t at[most];
    // The instruction to run freely to on the way to the k-th, and how often its place is passed
    // before that.
    std::uint32_t anchor[most], passes[most];
    std::uint64_t length;
    std::atomic<unsigned> claimed;  // by who records it
    // The states of the structure: the first, and after which instruction a byte had changed.
    std::uint32_t changes[most], num_changes;
    // The instructions in the order in which to kill after them, when there may not be time for all:
    // first those around a change, then evenly spread.
    std::uint32_t order[most];

    void plan();  // all but `at` and `changes`, from them
};

class victim {
public:
    // Forks a process that runs `body`, and lets it run to the beginning of its operation. Its end
    // before that is a failure.
    explicit victim(const std::function<void()>& body);
    ~victim();
    victim(const victim&) = delete;
    victim& operator=(const victim&) = delete;

    // Executes one instruction. False: the operation has ended.
    [[nodiscard]] bool step();
    // Executes the first k instructions on the track. False: the process went another way.
    [[nodiscard]] bool run_to(const track& t, std::uint64_t k);
    // Executes the first k instructions, one by one, or all when there are not so many.
    void step_to(std::uint64_t k);

    // Where it stands.
    [[nodiscard]] std::uint64_t place() const;

    void kill();    // SIGKILL, and reaps it
    void stop();    // SIGSTOP; nobody traces it any more
    void finish();  // SIGCONT; waits for its end, which must be a good one

    // What keeps this process from tracing a child; null when nothing does.
    [[nodiscard]] static const char* obstacle();

private:
    void run_freely_to(std::uint64_t address);
    void resume(int request, int signal = 0) const;
    [[nodiscard]] int wait_for_stop();
    [[nodiscard]] long text_at(std::uint64_t address) const;
    void set_text(std::uint64_t address, long text) const;
    void move_to(std::uint64_t address) const;

    pid_t pid_ = -1;
    bool ended_early_ = false;
};

}  // namespace assay_kill
