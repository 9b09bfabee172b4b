// random_programs.cpp -- generating, simplifying and cross-checking random programs.
#include "random_programs.hpp"

#include <algorithm>
#include <exception>
#include <map>
#include <random>
#include <set>
#include <utility>

namespace assay::proof {
namespace {

class generator {
public:
    generator(const family& f, std::uint64_t seed) : f_(f), random_(seed) {}

    program run() {
        program p;
        p.threads.resize(static_cast<std::size_t>(between(f_.threads_min, f_.threads_max)));
        int left = f_.events_max;
        for (std::size_t t = 0; t < p.threads.size(); ++t) {
            const int others = static_cast<int>(p.threads.size() - t) - 1;  // at least one each
            fill(p.threads[t], between(1, std::max(1, std::min(f_.per_thread_max, left - others))));
            left -= static_cast<int>(p.threads[t].size());
        }
        repeat_first(p);
        // Which thread is first matters to a search; which one gets more events should not depend
        // on it.
        std::shuffle(p.threads.begin(), p.threads.end(), random_);
        p.crashes = between(f_.crashes_max > 0 ? 1 : 0, f_.crashes_max);
        p.spurious_failures =
            between(f_.spurious_failures_max > 0 ? 1 : 0, f_.spurious_failures_max);
        if (f_.spurious_wakes_max > 0) p.spurious_wakes = between(0, f_.spurious_wakes_max);
        return p;
    }

private:
    // The first thread's code in several threads, as long as there is room for the events.
    void repeat_first(program& p) {
        p.reduce = f_.reduce;
        if (f_.identical_min < 2) return;
        const auto copies = static_cast<std::size_t>(between(f_.identical_min, f_.identical_max));
        const auto events = [&] {
            std::size_t n = 0;
            for (const auto& code : p.threads) n += code.size();
            return n;
        };
        for (std::size_t n = 1; n < copies; ++n) p.threads.push_back(p.threads[0]);
        while (events() > static_cast<std::size_t>(f_.events_max)) {
            if (p.threads.size() > copies && p.threads[1].size() + copies > p.threads[0].size()) {
                p.threads.erase(p.threads.begin() + 1);
                continue;
            }
            const auto last = p.threads.size() - copies + 1;
            for (std::size_t t = 0; t < p.threads.size(); t = t == 0 ? last : t + 1)
                p.threads[t].pop_back();
        }
    }
    int between(int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random_);
    }
    bool chance(int percent) { return between(1, 100) <= percent; }

    void fill(std::vector<instruction>& code, int count) {
        written_ = 0;
        while (static_cast<int>(code.size()) < count) {
            code.push_back(any());
            const bool access = code.back().kind != op::fence && code.back().kind != op::skip_eq &&
                                code.back().kind != op::skip_ne;
            if (access && static_cast<int>(code.size()) + 1 < count && chance(f_.sc_fence_percent))
                code.push_back(fence(sc));
        }
    }

    instruction any() {
        const int weights[] = {f_.loads,  f_.stores, f_.rmws,  f_.cases, f_.weak_cases, f_.fences,
                               f_.awaits, f_.plain,  f_.skips, f_.waits, f_.wakes};
        std::discrete_distribution<int> pick(std::begin(weights), std::end(weights));
        switch (pick(random_)) {
            case 0:
                return load(fresh(), location(), any_of({rlx, acq}));
            case 1:
                return store(location(), operand_value(), any_of({rlx, rel}));
            case 2: {
                const order m = any_of({rlx, acq, rel, acq_rel});
                return chance(50) ? exchange(fresh(), location(), operand_value(), m)
                                  : fetch_add(fresh(), location(), between(1, 2), m);
            }
            case 3:
                return any_cas(op::cas);
            case 4:
                return any_cas(op::cas_weak);
            case 5:
                return fence(any_of({acq, rel, acq_rel}));
            case 6: {
                const order m = any_of({rlx, acq});
                return chance(60) ? await_eq(fresh(), location(), between(1, 2), m)
                                  : await_ne(fresh(), location(), between(0, 1), m);
            }
            case 7: {
                const place at = between(0, f_.plain_locations - 1);
                return chance(50) ? read(fresh(), at) : write(at, operand_value());
            }
            case 9:
                return wait(location(), between(0, 2));
            case 10: {
                const auto at = location();
                return wake(fresh(), at, between(1, 2));
            }
            default:
                return any_skip();
        }
    }

    instruction any_cas(op kind) {
        const order success = any_of({rlx, acq, rel, acq_rel});
        const order failure = any_of({rlx, acq});
        const operand expected = chance(75) ? operand(between(0, 2)) : operand_value();
        const operand desired = operand_value();
        const auto at = location();
        auto i = cas(fresh(), at, expected, desired, success, failure, fresh());
        i.kind = kind;
        return i;
    }

    instruction any_skip() {
        const int r = written_ > 0 ? between(0, written_ - 1) : 0;
        const auto v = between(0, 2);
        return chance(50) ? skip_eq(r, v, between(1, 2)) : skip_ne(r, v, between(1, 2));
    }

    order any_of(std::initializer_list<order> weaker) {
        if (chance(f_.sc_percent)) return sc;
        if (f_.relaxed_percent > 0 && chance(f_.relaxed_percent)) return rlx;
        return *(weaker.begin() + between(0, static_cast<int>(weaker.size()) - 1));
    }

    place location() { return between(0, f_.locations - 1); }

    // Small, so that values meet; sometimes dependent on what the thread has read.
    operand operand_value() {
        if (written_ > 0 && chance(25)) return {between(0, 1), between(0, written_ - 1)};
        return between(chance(5) ? -1 : 1, 3);
    }

    int fresh() { return written_++; }

    const family& f_;
    std::mt19937_64 random_;
    int written_ = 0;  // registers of the thread
};

template <class F>
void change_each(const program& p, std::vector<program>& out, F change) {
    for (std::size_t t = 0; t < p.threads.size(); ++t) {
        for (std::size_t i = 0; i < p.threads[t].size(); ++i) {
            program q = p;
            if (change(q.threads[t][i])) out.push_back(std::move(q));
        }
    }
}

bool has_order(const instruction& i) {
    return i.kind != op::read && i.kind != op::write && i.kind != op::skip_eq &&
           i.kind != op::skip_ne && i.kind != op::fence && i.kind != op::wait && i.kind != op::wake;
}

using found_executions = std::map<std::string, int>;

summary collect(summary (*enumerate)(const program&, const visitor&), const program& p,
                found_executions& found) {
    return enumerate(p, [&](const execution& x) { ++found[canonical(x)]; });
}

std::string only_in(const found_executions& a, const found_executions& b, const std::string& who) {
    std::string s;
    for (const auto& [x, times] : a)
        if (b.count(x) == 0) s += "only the " + who + " finds:\n" + x;
    return s;
}

std::string repeated(const found_executions& a, const std::string& who) {
    std::string s;
    for (const auto& [x, times] : a)
        if (times > 1) s += "the " + who + " finds " + std::to_string(times) + " times:\n" + x;
    return s;
}

}  // namespace

const std::vector<family>& families() {
    static const std::vector<family> all{
        {.name = "general", .locations = 3},
        {.name = "sc_heavy", .sc_percent = 75},
        {.name = "fence_heavy",
         .threads_min = 3,
         .threads_max = 4,
         .per_thread_max = 3,
         .events_max = 9,
         .loads = 5,
         .stores = 5,
         .rmws = 0,
         .cases = 0,
         .fences = 0,
         .skips = 0,
         .sc_percent = 20,
         .sc_fence_percent = 75},
        {.name = "rmw_heavy",
         .per_thread_max = 3,
         .events_max = 6,
         .loads = 1,
         .stores = 2,
         .rmws = 5,
         .cases = 5},
        {.name = "awaits", .loads = 2, .awaits = 4},
        {.name = "crashes", .events_max = 6, .loads = 3, .awaits = 1, .crashes_max = 2},
        {.name = "spurious",
         .events_max = 6,
         .cases = 0,
         .weak_cases = 6,
         .spurious_failures_max = 2},
        {.name = "plain_data",
         .events_max = 8,
         .plain_locations = 1,
         .loads = 3,
         .stores = 3,
         .fences = 2,
         .awaits = 2,
         .plain = 4},
        {.name = "everything",
         .per_thread_max = 3,
         .events_max = 6,
         .plain_locations = 1,
         .weak_cases = 2,
         .fences = 2,
         .awaits = 2,
         .plain = 1,
         .sc_percent = 40,
         .crashes_max = 1,
         .spurious_failures_max = 1},
        {.name = "sleepers",
         .per_thread_max = 3,
         .events_max = 5,
         .loads = 2,
         .stores = 3,
         .rmws = 1,
         .waits = 4,
         .wakes = 4,
         .crashes_max = 1,
         .spurious_wakes_max = 1},
        {.name = "identical",
         .per_thread_max = 3,
         .events_max = 8,
         .cases = 2,
         .sc_percent = 10,
         .identical_min = 2,
         .identical_max = 3,
         .reduce = true},
        // Often with causality against modification order (checker/symmetry.hpp).
        {.name = "identical_relaxed",
         .threads_min = 3,
         .threads_max = 3,
         .per_thread_max = 2,
         .events_max = 8,
         .rmws = 1,
         .cases = 0,
         .fences = 0,
         .skips = 0,
         .sc_percent = 0,
         .relaxed_percent = 95,
         .identical_min = 2,
         .identical_max = 2,
         .reduce = true},
        {.name = "identical_everything",
         .per_thread_max = 3,
         .events_max = 6,
         .plain_locations = 1,
         .weak_cases = 2,
         .fences = 1,
         .awaits = 2,
         .plain = 1,
         .sc_percent = 30,
         .crashes_max = 2,
         .spurious_failures_max = 1,
         .identical_min = 2,
         .identical_max = 3,
         .reduce = true},
    };
    return all;
}

program random_program(const family& f, std::uint64_t seed) { return generator(f, seed).run(); }

std::vector<program> smaller(const program& p) {
    std::vector<program> out;
    for (std::size_t t = 0; t < p.threads.size(); ++t) {
        out.push_back(p);
        out.back().threads.erase(out.back().threads.begin() + static_cast<std::ptrdiff_t>(t));
    }
    for (std::size_t t = 0; t < p.threads.size(); ++t) {
        for (std::size_t i = 0; i < p.threads[t].size(); ++i) {
            out.push_back(p);
            auto& code = out.back().threads[t];
            code.erase(code.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
    const auto reduce_budget = [&](int program::*budget) {
        if (p.*budget == 0) return;
        out.push_back(p);
        --(out.back().*budget);
    };
    reduce_budget(&program::crashes);
    reduce_budget(&program::spurious_failures);
    reduce_budget(&program::spurious_wakes);
    change_each(p, out, [](instruction& i) {
        if (!has_order(i) || i.mode == rlx) return false;
        i.mode = i.mode == acq_rel && i.kind != op::load ? rel : rlx;
        return true;
    });
    change_each(p, out, [](instruction& i) { return std::exchange(i.failure, rlx) != rlx; });
    change_each(p, out, [](instruction& i) {  // an RMW becomes a plain write, a CAS an exchange
        if (i.kind == op::exchange || i.kind == op::fetch_add) {
            if (i.mode == acq || i.mode == acq_rel) return false;  // no order of a store
            i.kind = op::store;
            i.into = none;
            return true;
        }
        if (i.kind == op::cas_weak) return i.kind = op::cas, true;
        if (i.kind == op::cas) return i.kind = op::exchange, i.won = none, true;
        return false;
    });
    change_each(p, out, [](instruction& i) { return std::exchange(i.arg.a, none) != none; });
    change_each(p, out, [](instruction& i) { return std::exchange(i.expected.a, none) != none; });
    change_each(p, out,
                [](instruction& i) { return i.arg.constant > 1 && (--i.arg.constant, true); });
    return out;
}

// All executions that arise from x when threads with equal code change places.
void exchange_threads(const program& p, const execution& x, std::set<std::string>& out) {
    std::vector<int> who;  // thread t of x becomes thread who[t]
    for (std::size_t t = 0; t < p.threads.size(); ++t) who.push_back(static_cast<int>(t));
    do {
        bool equal = true;
        for (std::size_t t = 0; t < who.size(); ++t)
            equal = equal && p.threads[t] == p.threads[static_cast<std::size_t>(who[t])];
        if (!equal) continue;
        const auto rename = [&](event_name& e) {
            if (e != initial_write) e.thread = who[static_cast<std::size_t>(e.thread)];
        };
        execution y = x;
        for (std::size_t t = 0; t < who.size(); ++t) {
            thread_run& run = y.threads[static_cast<std::size_t>(who[t])] = x.threads[t];
            for (event& e : run.events) rename(e.from);
        }
        for (auto& writes : y.mo)
            for (event_name& w : writes) rename(w);
        out.insert(canonical(y));
    } while (std::next_permutation(who.begin(), who.end()));
}

// The same for a checker that tells apart only what no exchange of equal threads makes equal.
std::string disagreement_of_reduced(const program& p) {
    found_executions expected, found;
    const summary by_oracle = collect(oracle::enumerate, p, expected);
    std::vector<execution> all;
    summary by_engine;
    try {
        by_engine = engine::enumerate(p, [&](const execution& x) { all.push_back(x); });
    } catch (const std::exception& e) {
        return std::string("the checker stopped: ") + e.what() + "\n";
    }
    if (by_oracle.race != by_engine.race)
        return std::string("only the ") + (by_oracle.race ? "oracle" : "checker") +
               " finds a data race\n";
    if (by_oracle.race) return {};
    for (const execution& x : all) {
        std::set<std::string> of_x{canonical(x)};
        if (!by_engine.misled) exchange_threads(p, x, of_x);
        for (const std::string& one : of_x) ++found[one];
    }
    std::string s = repeated(found, "checker") + only_in(found, expected, "checker") +
                    only_in(expected, found, "oracle");
    if (by_engine.stands_for != by_oracle.complete)
        s += "the executions found stand for " + std::to_string(by_engine.stands_for) + ", not " +
             std::to_string(by_oracle.complete) + "\n";
    return s;
}

std::string disagreement(const program& p) {
    if (p.reduce) return disagreement_of_reduced(p);
    found_executions expected;
    found_executions found;
    const summary by_oracle = collect(oracle::enumerate, p, expected);
    summary by_engine;
    try {
        by_engine = collect(engine::enumerate, p, found);
    } catch (const std::exception& e) {
        return std::string("the checker stopped: ") + e.what() + "\n";
    }
    if (by_oracle.race != by_engine.race)
        return std::string("only the ") + (by_oracle.race ? "oracle" : "checker") +
               " finds a data race\n";
    if (by_oracle.race) return {};
    std::string s = repeated(found, "checker") + repeated(expected, "oracle") +
                    only_in(found, expected, "checker") + only_in(expected, found, "oracle");
    if (by_oracle.complete != by_engine.complete || by_oracle.stuck != by_engine.stuck)
        s += "the totals differ\n";
    return s;
}

}  // namespace assay::proof
