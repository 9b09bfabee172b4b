// scenario.hpp (native) -- the names of model/scenario.hpp for a run on the real machine.
//
// A build that passes -DASSAY_SCENARIO="<model/native/scenario.hpp>" runs the same scenarios on
// threads, or on processes that are killed, as often as time allows: what a stress test can see of
// them. Whatever a scenario shares lies in memory that its processes share; variables of the
// scenario function that it captures are read only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/sync.hpp"
#include "model/checker/explore.hpp"  // settings and verdicts

namespace assay::model {

inline constexpr std::size_t max_processes = 4;

// What all processes of a run share with the one that watches them.
struct board {
    static constexpr std::size_t arena_bytes = 1 << 16;

    std::atomic<std::uint64_t> rounds;  // scenarios that have ended
    std::atomic<int> verdict;           // checker::verdict of the first failure
    std::atomic<bool> dead[max_processes];
    char message[256];
    std::size_t used;
    alignas(64) std::byte arena[arena_bytes];
};
inline board* shared_board = nullptr;
// Of this thread; max_processes before and after the processes run.
inline thread_local std::size_t this_process = max_processes;

class scenario {
public:
    using body = void (*)(scenario&);
    using runner = void (*)(const std::vector<std::function<void()>>& processes);

    explicit scenario(runner r) : run_(r) { shared_board->used = 0; }
    scenario(const scenario&) = delete;
    scenario& operator=(const scenario&) = delete;

    template <class F>
    void process(const char*, F f) {
        processes_.emplace_back(std::move(f));
    }
    template <class F>
    void finally(F f) {
        last_ = std::move(f);
    }
    void run() {
        run_(processes_);
        if (last_) last_();
    }

private:
    runner run_;
    std::vector<std::function<void()>> processes_;
    std::function<void()> last_;
};

class block {
public:
    block(scenario&, std::size_t bytes, std::size_t alignment = 64) {
        std::size_t& used = shared_board->used;
        used = (used + alignment - 1) / alignment * alignment;
        at_ = shared_board->arena + used;
        used += bytes;
        if (used > board::arena_bytes) throw std::bad_alloc();
        std::fill_n(at_, bytes, std::byte{0});
    }
    [[nodiscard]] void* get() const noexcept { return at_; }

private:
    std::byte* at_;
};

template <class T>
class shared {
public:
    template <class... Args>
    explicit shared(scenario& s, Args&&... args) : memory_(s, sizeof(T), alignof(T)) {
        new (memory_.get()) T(std::forward<Args>(args)...);
    }
    [[nodiscard]] T* operator->() const noexcept { return get(); }
    [[nodiscard]] T& operator*() const noexcept { return *get(); }
    [[nodiscard]] T* get() const noexcept { return static_cast<T*>(memory_.get()); }

private:
    block memory_;
};

// Ends the run.
[[noreturn]] void fail(checker::verdict what, const std::string& message);

inline void check(bool condition, const char* what = "") {
    if (!condition) fail(checker::verdict::assertion, what);
}

// Gives the processor away after a while: there are more processes than cores.
void await_again(unsigned tries);
template <class F>
void await(F f) {
    for (unsigned tries = 0; !f(); ++tries) await_again(tries);
}

[[nodiscard]] inline bool died(std::size_t p) { return shared_board->dead[p].load(); }
[[nodiscard]] inline std::size_t self() { return this_process; }

// What the processes called and got; one call precedes another if it was over, by the clock, when
// that began. Each process writes into a part of its own: recording orders nothing but the calls of
// one process, by the fences that keep each call between its times.
template <class Call, class Result>
class history {
public:
    struct operation {
        std::size_t process;
        Call call;
        std::optional<Result> result;
        clock::time_point begin, end;
    };

    history() {
        std::size_t& used = shared_board->used;
        used = (used + 63) / 64 * 64;
        parts_ = new (shared_board->arena + used) part[max_processes + 1];
        used += sizeof(part) * (max_processes + 1);
    }

    template <class F>
    Result operator()(Call call, F&& f) {
        part& mine = parts_[this_process];
        if (mine.count == part::most) fail(checker::verdict::misuse, "too many calls");
        operation& o = mine.operations[mine.count++];
        o = {this_process, std::move(call), std::nullopt, time(), {}};
        const Result r = f();
        o.end = time();
        o.result = r;
        return r;
    }
    [[nodiscard]] std::vector<operation> operations() const {
        std::vector<operation> all;
        for (std::size_t p = 0; p <= max_processes; ++p)
            all.insert(all.end(), parts_[p].operations, parts_[p].operations + parts_[p].count);
        return all;
    }
    [[nodiscard]] static bool precedes(const operation& a, const operation& b) {
        return a.result && a.end < b.begin;
    }

private:
    // A store that waits in the processor's store buffer has not happened yet.
    static clock::time_point time() {
        fence(seq_cst);
        const auto t = now();
        fence(seq_cst);
        return t;
    }
    struct part {
        static constexpr std::size_t most = 8;
        std::size_t count = 0;
        operation operations[most]{};
    };
    part* parts_;
};

struct expectation {
    checker::verdict what = checker::verdict::verified;
    std::uint64_t executions = 0;
};
struct test {
    const char* name;
    scenario::body body;
    expectation expect;
    checker::settings how{};
    bool large = false;
};

}  // namespace assay::model
