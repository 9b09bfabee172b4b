// main.cpp (Relacy) -- assay-relacy: the same scenarios under another checker, as a second opinion.
//
// Relacy (Dmitry Vyukov) runs a program many times under a scheduler of its own. It is used where
// it is installed (CMake option RELACY_ROOT); nothing of it is in this repository. This file takes
// the place of environment.cpp and scenario.cpp: the seam is that of the model build, and each
// access goes to an rl::atomic or rl::var made for its address, once in each execution.
//
// What Relacy cannot say: it samples; a failed compare-exchange always reads the latest value; only
// the last few values of a word can be read; nobody dies; all processes see one mapping; which call
// precedes which is known within a process only.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "model/scenario.hpp"
#include "model/tests.hpp"
#include "scripts/stage.hpp"

// Last, because it turns malloc, free, assert and $ into macros.
#include <relacy/relacy.hpp>
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

namespace assay::model {
namespace {

constexpr std::size_t most_processes = 4;
constexpr std::size_t arena_bytes = 1 << 16;
constexpr std::size_t stride = 4;  // one shadow for so many bytes

using shadow = std::variant<std::monostate, rl::atomic<std::uint32_t>, rl::atomic<std::uint64_t>,
                            rl::var<int>>;

// An execution: its memory, and what Relacy knows of it.
struct execution {
    alignas(64) std::byte arena[arena_bytes];
    shadow shadows[arena_bytes / stride];
    std::vector<std::size_t> used;   // shadows
    std::vector<std::size_t> words;  // of 4 or 8 bytes that processes have met, in all executions
    bool ended = true;

    void begin() {
        // A failed execution was abandoned, and Relacy has forgotten its variables already.
        if (!ended) {
            auto known = std::move(words);
            new (this) execution;
            words = std::move(known);
        }
        ended = false;
    }
    // Words that nothing has been stored to yet get their zero as a store: Relacy lets nobody read
    // the value that a word is born with once there is another.
    void store_zeros() {
        for (const std::size_t i : words) {
            void* const at = arena + i / 2 * stride;
            if (!std::holds_alternative<std::monostate>(shadows[i / 2])) continue;
            if (i % 2 == 0)
                shadow_of<rl::atomic<std::uint32_t>>(at).store(0, rl::mo_relaxed);
            else
                shadow_of<rl::atomic<std::uint64_t>>(at).store(0, rl::mo_relaxed);
        }
    }
    void end() {
        for (const std::size_t i : used) shadows[i].emplace<std::monostate>();
        used.clear();
        ended = true;
    }
    template <class T>
    T& shadow_of(const void* at) {
        const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(at) - arena);
        shadow& s = shadows[offset / stride];
        if (auto* const there = std::get_if<T>(&s)) return *there;
        if (!std::holds_alternative<std::monostate>(s))
            environment::current()->fail(checker::verdict::misuse, "two kinds at one address");
        used.push_back(offset / stride);
        if (!std::is_same_v<T, rl::var<int>>) {
            const std::size_t word =
                offset / stride * 2 + (std::is_same_v<T, rl::atomic<std::uint64_t>> ? 1 : 0);
            if (std::ranges::find(words, word) == words.end()) words.push_back(word);
        }
        return s.emplace<T>();
    }
};
execution& now_running() {
    static auto* const e = new execution;
    return *e;
}

rl::debug_info info(const checker::place& at) {
    return {at.function_name(), at.file_name(), at.line()};
}

rl::memory_order order(checker::order o) {
    switch (o) {
        case checker::order::relaxed:
            return rl::mo_relaxed;
        case checker::order::acquire:
            return rl::mo_acquire;
        case checker::order::release:
            return rl::mo_release;
        case checker::order::acq_rel:
            return rl::mo_acq_rel;
        default:
            return rl::mo_seq_cst;
    }
}

template <class T>
checker::answer compare_exchange(rl::atomic<T>& a, const checker::request& r,
                                 const rl::debug_info& at) {
    auto success = order(r.success);
    const auto failure = order(r.failure);
    // Relacy wants no failure stronger than the success.
    if (failure == rl::mo_acquire && success == rl::mo_relaxed) success = rl::mo_acquire;
    if (failure == rl::mo_acquire && success == rl::mo_release) success = rl::mo_acq_rel;
    if (failure == rl::mo_seq_cst) success = rl::mo_seq_cst;
    auto expected = static_cast<T>(r.expected);
    const auto desired = static_cast<T>(r.operand);
    const bool done = (r.flags & checker::weak) != 0
                          ? a.compare_exchange_weak(expected, desired, success, failure, at)
                          : a.compare_exchange_strong(expected, desired, success, failure, at);
    return {expected, done};
}

template <class T>
checker::answer perform(rl::atomic<T>& a, const checker::request& r, const rl::debug_info& at) {
    const auto operand = static_cast<T>(r.operand);
    const auto o = order(r.success);
    if (r.what == checker::kind::write) {
        a.store(operand, o, at);
        return {};
    }
    switch (r.operation) {
        case checker::op::exchange:
            return {a.exchange(operand, o, at), true};
        case checker::op::add:
            return {a.fetch_add(operand, o, at), true};
        case checker::op::sub:
            return {a.fetch_sub(operand, o, at), true};
        case checker::op::bit_and:
            return {a.fetch_and(operand, o, at), true};
        case checker::op::bit_or:
            return {a.fetch_or(operand, o, at), true};
        case checker::op::bit_xor:
            return {a.fetch_xor(operand, o, at), true};
        case checker::op::compare_exchange:
            return compare_exchange(a, r, at);
        default:
            return {a.load(o, at), true};
    }
}

// Who is asking: Relacy runs the processes itself, and the scenario function on a fiber of ours.
bool processes_run = false;

}  // namespace

// --- environment -------------------------------------------------------------------------------

thread_local environment* environment::current_ = nullptr;

environment::environment(std::size_t processes, checker::location_table& words) : words_(&words) {
    mappings_.assign(processes + 1, now_running().arena);
    current_ = this;
}
environment::~environment() = default;

std::size_t environment::self() const noexcept {
    return processes_run ? static_cast<std::size_t>(rl::ctx().threadx_->index_) : processes();
}

// What the block holds is all the same here: a word that is read before it was stored is 0.
std::size_t environment::allocate(std::size_t bytes, std::size_t alignment, contents) {
    allocated_ = (allocated_ + alignment - 1) / alignment * alignment;
    const std::size_t at = allocated_;
    allocated_ += bytes;
    if (allocated_ > arena_bytes) fail(checker::verdict::misuse, "too much memory");
    std::memset(now_running().arena + at, 0, bytes);
    return at;
}

void environment::begin(phase p, const checker::graph*) {
    phase_ = p;
    if (p == phase::prepare) allocated_ = 0;
}

checker::answer environment::access(const void* at, const checker::request& what,
                                    const checker::place& from) {
    if (what.size == 4)
        return perform(now_running().shadow_of<rl::atomic<std::uint32_t>>(at), what, info(from));
    if (what.size != 8) fail(checker::verdict::misuse, "a word of another size");
    return perform(now_running().shadow_of<rl::atomic<std::uint64_t>>(at), what, info(from));
}

// The bytes are in memory; Relacy looks for races.
void environment::read(const void* at, void* to, std::size_t bytes, const checker::place& from) {
    static_cast<void>(now_running().shadow_of<rl::var<int>>(at)(info(from)).load());
    std::memcpy(to, at, bytes);
}
void environment::write(void* at, const void* value, std::size_t bytes,
                        const checker::place& from) {
    now_running().shadow_of<rl::var<int>>(at)(info(from)).store(1);
    std::memcpy(at, value, bytes);
}

void environment::fence(checker::order o, const checker::place&) {
    switch (o) {
        case checker::order::acquire:
            return rl::ctx().atomic_thread_fence_acquire();
        case checker::order::release:
            return rl::ctx().atomic_thread_fence_release();
        case checker::order::acq_rel:
            return rl::ctx().atomic_thread_fence_acq_rel();
        case checker::order::seq_cst:
            return rl::ctx().atomic_thread_fence_seq_cst();
        default:
            return;
    }
}

void environment::pause(const void*) { rl::ctx().yield(1, info(checker::place::current())); }

bool environment::wait(const void* word, std::uint32_t seen, bool timed,
                       const checker::place& from) {
    rl::context& c = rl::ctx();
    auto& a = now_running().shadow_of<rl::atomic<std::uint32_t>>(word);
    c.sched();
    c.atomic_thread_fence_seq_cst();
    {
        const rl::preemption_disabler together(c);
        if (a.load(rl::mo_acquire, info(from)) != seen) return true;
    }
    return a.wait(c, timed, false, info(from)) != rl::unpark_reason_timeout;
}
int environment::wake(const void* word, int count, const checker::place& from) {
    rl::context& c = rl::ctx();
    c.sched();
    c.atomic_thread_fence_seq_cst();
    return now_running().shadow_of<rl::atomic<std::uint32_t>>(word).wake(c, count, info(from));
}

bool environment::alive(std::size_t, const checker::place&) { return true; }

void environment::fail(checker::verdict what, const std::string& message) {
    const std::string said = std::string(checker::name(what)) + ": " + message;
    rl::ctx().fail_test(said.c_str(), rl::test_result_user_assert_failed,
                        info(checker::place::current()));
}

// --- scenario ----------------------------------------------------------------------------------

namespace {

// The scenario function, on a stack of its own between its beginning, its run() and its end.
struct story {
    scenario::body body = nullptr;
    environment* env = nullptr;
    checker::fiber stack;
    std::vector<std::pair<void (*)(void*), void*>> actors;
    bool only_begins = false;  // to learn how many processes there are

    static void tell(void* self) {
        auto& me = *static_cast<story*>(self);
        {
            scenario s(*me.env, nullptr, nullptr);
            me.body(s);
        }
        for (;;) me.stack.suspend();
    }
};
story* told = nullptr;

// Not environment::phase::processes: nothing here has a checker's runtime.
constexpr auto running = environment::phase::check;
constexpr auto afterwards = static_cast<environment::phase>(3);

struct suite : rl::test_suite<suite, static_cast<rl::thread_id_t>(most_processes)> {
    void before() {
        now_running().begin();
        told->env->begin(environment::phase::prepare);
        told->actors.clear();
        told->stack.start(&story::tell, told);
        told->stack.resume();
        now_running().store_zeros();
        told->env->begin(running);
        processes_run = true;
    }
    void thread(unsigned p) {
        if (p < told->actors.size() && !told->only_begins)
            told->actors[p].first(told->actors[p].second);
    }
    void after() {
        processes_run = false;
        told->env->begin(afterwards);
        if (!told->only_begins) told->stack.resume();
        now_running().end();
    }
};

}  // namespace

scenario::~scenario() {
    for (const actor& a : actors_) a.destroy(a.f);
    if (last_.destroy != nullptr) last_.destroy(last_.f);
}
void scenario::run() {
    has_run_ = true;
    for (const actor& a : actors_) told->actors.emplace_back(a.call, a.f);
    if (actors_.size() > most_processes) fail(checker::verdict::misuse, "too many processes");
    told->stack.suspend();
    if (last_.call != nullptr) last_.call(last_.f);
}

void fail(checker::verdict what, const std::string& message) {
    environment::current()->fail(what, message);
}
void check(bool condition, const char* what, const checker::place&) {
    if (!condition) fail(checker::verdict::assertion, what);
}
bool died(std::size_t, const checker::place&) { return false; }
std::size_t self() { return environment::current()->self(); }
std::size_t member::self_now() { return model::self(); }
bool member::alive(owner_id) const noexcept { return true; }

// --- all of them -------------------------------------------------------------------------------

namespace {

struct options {
    std::vector<std::string> filters;
    std::string json;
    unsigned iterations = 2000;
    std::string scheduler = "random";
};

// Tells t with these parameters; returns how many processes it had.
std::size_t simulate(const test& t, std::size_t processes, bool only_begins, rl::test_params& how) {
    checker::location_table none(0);
    environment env(processes, none);
    now_running().begin();
    now_running().words.clear();
    now_running().ended = true;
    story s;
    s.body = t.body;
    s.env = &env;
    s.only_begins = only_begins;
    told = &s;
    processes_run = false;
    rl::simulate<suite>(how);
    return s.actors.size();
}

assay_stage::check try_one(const test& t, const options& o) {
    const bool has_bug = t.expect.what != checker::verdict::verified;
    assay_stage::check c;
    c.name = std::string("relacy/") + t.name;
    c.what = "a second opinion: Relacy's " + o.scheduler + " scheduler";
    c.unit = "executions";
    c.reproduce = "assay-relacy " + std::string(t.name);
    c.canary = has_bug;
    if (t.how.allowed.crashes > 0) {
        c.verdict = assay_stage::verdict::skipped;
        c.detail = "nobody dies in Relacy";
        return c;
    }
    std::ostringstream said;
    rl::test_params how;
    how.output_stream = how.progress_stream = &said;
    how.iteration_count = 1;
    const std::size_t processes = simulate(t, most_processes, true, how);
    how.iteration_count = o.iterations;
    how.search_type = o.scheduler == "random"  ? rl::sched_random
                      : o.scheduler == "bound" ? rl::sched_bound
                                               : rl::sched_full;
    how.collect_history = true;  // of this run; Relacy would run the failing execution again
    const auto start = std::chrono::steady_clock::now();
    simulate(t, processes, false, how);
    c.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    c.amount = how.stop_iteration;
    const bool found = how.test_result != rl::test_result_success;
    c.detail = found ? rl::test_result_str(how.test_result) : "";
    if (found && !has_bug) {
        std::printf("%s\n", said.str().c_str());
    } else if (found) {
        c.verdict = assay_stage::verdict::verified;
    } else {
        c.verdict = assay_stage::verdict::bounded;
        c.canary = false;
        if (has_bug) c.detail = "Relacy does not find this bug";
    }
    return c;
}

}  // namespace
}  // namespace assay::model

int main(int argc, char** argv) {
    using namespace assay::model;
    CLI::App app{
        "The scenarios under Relacy, as a second opinion. It samples: see the top of its source."};
    options o;
    app.add_option("filter", o.filters, "beginnings of names");
    app.add_option("--json", o.json, "write the results here");
    app.add_option("--iterations", o.iterations, "of each scenario")->capture_default_str();
    app.add_option("--scheduler", o.scheduler, "of Relacy")
        ->check(CLI::IsMember({"random", "bound", "full"}))
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    assay_stage::report report("assay-relacy", 0);
    std::uint64_t bugs = 0, found = 0;
    for (const auto& tests :
         {queue_tests(), object_pool_tests(), ring_buffer_tests(), corpus_tests()})
        for (const test& t : tests) {
            const auto begins = [&t](const std::string& f) {
                return std::string_view(t.name).starts_with(f);
            };
            if (t.large || (!o.filters.empty() && std::ranges::none_of(o.filters, begins)))
                continue;
            const assay_stage::check c = try_one(t, o);
            const bool has_bug = t.expect.what != assay::checker::verdict::verified;
            if (has_bug && c.verdict != assay_stage::verdict::skipped) ++bugs;
            if (has_bug && c.verdict == assay_stage::verdict::verified) ++found;
            report.add(c);
        }
    // It misses some, by its nature; an adapter that showed it nothing would miss more.
    if (bugs > 0)
        report.add({.name = "relacy/sees_most_of_the_bugs",
                    .what = std::to_string(found) + " of " + std::to_string(bugs) + " found",
                    .amount = bugs,
                    .unit = "bugs",
                    .verdict = found * 3 >= bugs * 2 ? assay_stage::verdict::verified
                                                     : assay_stage::verdict::failed,
                    .detail = std::to_string(found) + " of them found",
                    .canary = true});
    return report.finish(o.json);
}
