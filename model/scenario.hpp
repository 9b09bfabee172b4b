// scenario.hpp -- what a test of the library under the model checker says.
//
//     void dequeued_once(scenario& s) {
//         shared<ring> r(s);                              // memory, one mapping per process
//         int got = 0;
//         s.process("producer", [&] { r->try_push(7); });
//         s.process("consumer", [&] { await([&] { return r->try_pop(got); }); check(got == 7); });
//         s.finally([&] { check(r->empty()); });
//         s.run();
//     }
//
// The function is called afresh for every execution, so its variables start afresh too, and
// [&] may be captured. It must do the same each time. What runs before s.run() is alone; so is
// the final check, which runs after the processes have ended (or died).
//
// A test is a scenario with its bounds and the verdict and number of executions that it must have.
//
// A build that passes -DASSAY_SCENARIO="<header>" takes these names from there: the same scenarios,
// run by something else than the checker.
#pragma once

#if defined(ASSAY_SCENARIO)
#include ASSAY_SCENARIO
#else

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "assay/owner.hpp"
#include "model/checker/allocations.hpp"
#include "model/checker/sample.hpp"
#include "model/environment.hpp"

namespace assay::model {

class scenario {
public:
    using body = void (*)(scenario&);

    // f is copied; it is called in each execution, on a stack of its own.
    template <class F>
    void process(const char* name, F f) {
        actors_.push_back(keep(name, std::move(f)));
    }
    // The same for n processes that run copies of f. Of executions that differ only in which of
    // them is which, one is explored (checker/symmetry.hpp), so they must not know who they are:
    // self(), member, died() of one of them, and an address in shared memory are refused. Nor may
    // the final check tell them apart.
    template <class F>
    void identical(const char* name, std::size_t n, F f) {
        ++groups_;
        for (; n > 0; --n) {
            actors_.push_back(keep(name, f));
            actors_.back().group = groups_;
        }
    }
    // What must hold when all processes have ended. Not called in an execution in which one is
    // blocked: that is an error by itself, unless it is merely slow.
    template <class F>
    void finally(F f) {
        last_ = keep("finally", std::move(f));
    }
    // Runs the processes and the final check. The last statement of a scenario.
    void run();

    scenario(const scenario&) = delete;
    scenario& operator=(const scenario&) = delete;

    // For the driver, scenario.cpp.
    scenario(environment& e, checker::runtime* r, checker::search* s)
        : environment_(&e), runtime_(r), search_(s) {
        actors_.reserve(checker::max_processes);
    }
    ~scenario();
    [[nodiscard]] std::size_t processes() const noexcept { return actors_.size(); }
    [[nodiscard]] const char* name(std::size_t p) const noexcept { return actors_[p].name; }
    // Equal numbers: identical processes. 0: no other is like this one.
    [[nodiscard]] std::uint8_t group(std::size_t p) const noexcept { return actors_[p].group; }
    [[nodiscard]] bool has_run() const noexcept { return has_run_; }

private:
    struct actor {
        const char* name = "";
        void* f = nullptr;
        void (*call)(void*) = nullptr;
        void (*destroy)(void*) = nullptr;
        std::uint8_t group = 0;
    };

    template <class F>
    actor keep(const char* name, F f) {
        static_assert(alignof(F) <= alignof(std::max_align_t));
        used_ = (used_ + alignof(F) - 1) / alignof(F) * alignof(F);
        const bool fits = used_ + sizeof(F) <= sizeof(arena_);
        actor a{name, nullptr, [](void* p) { (*static_cast<F*>(p))(); }, nullptr, 0};
        if (fits) {
            a.f = new (arena_ + used_) F(std::move(f));
            a.destroy = [](void* p) { static_cast<F*>(p)->~F(); };
            used_ += sizeof(F);
        } else {
            a.f = new F(std::move(f));
            a.destroy = [](void* p) { delete static_cast<F*>(p); };
        }
        return a;
    }

    environment* environment_;
    checker::runtime* runtime_;
    checker::search* search_;
    std::vector<actor> actors_;
    actor last_;
    std::uint8_t groups_ = 0;
    bool has_run_ = false;
    alignas(std::max_align_t) std::byte arena_[1024];
    std::size_t used_ = 0;
};

// --- shared memory -------------------------------------------------------------------------------

// Memory that all processes share, each at its own address: zero bytes, as the kernel gives them,
// or what somebody else left there.
class block {
public:
    block(scenario&, std::size_t bytes, std::size_t alignment = 64, contents what = contents::zero)
        : offset_(environment::current()->allocate(bytes, alignment, what)) {}
    // In the calling process's mapping.
    [[nodiscard]] void* get() const noexcept { return environment::current()->address(offset_); }

private:
    std::size_t offset_;
};

// A T in shared memory.
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

// --- inside a process, or the final check --------------------------------------------------------

// The exploration ends here, with this verdict and this execution as its counterexample.
void fail(checker::verdict what, const std::string& message);
// Must hold, or it fails.
void check(bool condition, const char* what = "",
           const checker::place& at = checker::place::current());

// Repeats f until it returns true. A lap that returned false and changed nothing is not repeated:
// the process waits for a new write to something that it read. `remembers`: f may do something else
// in another lap although nothing has changed since, because it counts them.
template <class F>
void await(F f, bool remembers = true) {
    environment& e = *environment::current();
    if (e.now() != environment::phase::processes) {
        while (!f()) e.pause(nullptr);
        return;
    }
    e.running().repeat([](void* g) { return static_cast<bool>((*static_cast<F*>(g))()); }, &f,
                       remembers);
}

// Has process p died? Reading this happens after everything that it did, if so.
[[nodiscard]] bool died(std::size_t p, const checker::place& at = checker::place::current());
// Number of the calling process, in the order of scenario::process.
[[nodiscard]] std::size_t self();

// The owner_id that modelled process p has in its member objects.
[[nodiscard]] constexpr owner_id id_of(std::size_t p) noexcept {
    return make_owner(static_cast<std::uint32_t>(p), 1);
}
// The calling process's membership, as a structure wants it: each process makes its own.
class member final : public membership {
public:
    member() { id_ = id_of(self_now()); }
    [[nodiscard]] bool alive(owner_id id) const noexcept override;

private:
    [[nodiscard]] owner_id renew() override { return id_; }
    [[nodiscard]] static std::size_t self_now();
};

// --- recording operations ------------------------------------------------------------------------

// What the processes called and got, with what happens-before what: for linearizability, or any
// other check of a whole history. Call is whatever describes a call, Result what it returned.
// Lives in the scenario function, outside shared memory.
template <class Call, class Result>
class history {
public:
    struct operation {
        std::size_t process;
        Call call;
        std::optional<Result> result;  // none: its process died or was blocked in the middle
        checker::clock begin;          // all events that happen-before its begin
        checker::event_id last;        // its process's latest event when it ended
        bool any = false;              // ... if there was one
        environment::phase when;       // before, while or after the processes run
    };

    // Notes a call that does not come back: it may take effect at any time from here, or never.
    std::size_t begin(Call call) {
        environment& e = *environment::current();
        const bool modelled = e.now() == environment::phase::processes;
        const checker::own_allocations guard;
        operations_.push_back({e.self(),
                               std::move(call),
                               std::nullopt,
                               modelled ? e.running().known() : checker::clock{},
                               {},
                               false,
                               e.now()});
        return operations_.size() - 1;
    }
    // Runs f() as this call and notes its result, which it returns.
    template <class F>
    Result operator()(Call call, F&& f) {
        environment& e = *environment::current();
        const bool modelled = e.now() == environment::phase::processes;
        const std::size_t index = begin(std::move(call));
        Result r = f();
        operation& o = operations_[index];
        if (modelled && e.running().position() > 0) {
            o.last = {static_cast<std::uint16_t>(o.process),
                      static_cast<std::uint16_t>(e.running().position() - 1)};
            o.any = true;
        }
        o.result = r;
        if (modelled) e.running().end_operation();
        return r;
    }

    [[nodiscard]] const std::vector<operation>& operations() const noexcept { return operations_; }
    // What the i-th is to be taken to have returned; nothing: it may have taken effect or not.
    void set_result(std::size_t i, std::optional<Result> r) {
        operations_[i].result = std::move(r);
    }
    // Had a ended before b began, as far as anyone can tell?
    [[nodiscard]] static bool precedes(const operation& a, const operation& b) {
        if (!a.result || &a == &b) return false;
        if (a.when != b.when) return a.when < b.when;
        if (a.process == b.process) return &a < &b;
        return a.any && b.begin.contains(a.last);
    }

private:
    std::vector<operation> operations_;
};

// --- a test --------------------------------------------------------------------------------------

struct expectation {
    checker::verdict what = checker::verdict::verified;
    std::uint64_t executions = 0;  // 0: not stated
};

struct test {
    const char* name;
    scenario::body body;
    expectation expect;
    checker::settings how{};
    bool large = false;  // takes minutes or more: run only when asked for (assay-model run --large)
    bool twin = false;   // another's executions, from counters before their wrap
};

// The names of its processes, in order.
[[nodiscard]] std::vector<std::string> process_names(scenario::body body);

// Explores all executions of the scenario.
[[nodiscard]] checker::result explore(scenario::body body, const checker::settings& how,
                                      const checker::observer& watch = {});
// Some of them, taken by chance.
[[nodiscard]] checker::result sample(scenario::body body, const checker::settings& how,
                                     const checker::sampling& which);
// The one that `script` was made for (checker/script.hpp). Throws checker::bad_script.
[[nodiscard]] checker::result replay(scenario::body body, const checker::settings& how,
                                     const std::string& script);

}  // namespace assay::model

#endif
