// linearize.hpp -- is there an order of these operations that explains their results?
//
// A history is a set of operations with what they returned, and which of them were over before
// which began. It is linearizable (Herlihy & Wing, TOPLAS 1990) when some total order keeps that
// precedence and is a run of the sequential specification. Found by depth-first search over the
// operations that may come next, with a memo of (operations done, state) (Wing & Gong, 1993;
// Lowe, 2017). An operation whose process died may have taken effect or not; its result is free.
//
// Used by the model checker, where precedence is happens-before, and by the stress suite, where it
// is time. The specifications beside this file say what each structure does, once for both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay::spec {

// One call. `name` tells the specification which operation it is; what the numbers mean is its own.
struct operation {
    std::string_view name;
    std::int64_t argument = 0;
    std::optional<std::int64_t> result =
        {};  // nothing: the process died inside, or is still inside
    int process = 0;
};

inline constexpr std::int64_t none = -1;  // the result of a dequeue from an empty queue, and so on
inline constexpr std::int64_t not_tried = -2;      // the result of one that was not done after all
inline constexpr std::size_t max_operations = 64;  // of one history: a set of them is one word

struct history {
    std::vector<operation> operations;
    std::vector<std::uint64_t> before;  // before[i]: the set of operations over before i began

    std::size_t add(operation o, std::uint64_t predecessors) {
        operations.push_back(std::move(o));
        before.push_back(predecessors);
        return operations.size() - 1;
    }
};

// Specification: copyable, ordered by <=>, with
//   std::vector<Specification> after(const operation&) const
// the states that the operation may lead to with the result it has (any result when it has none);
// empty when that result is impossible here.
template <class Specification>
class linearization {
public:
    // The operations' indices in an order that explains them, or nothing. Every operation that
    // has a result occurs in it; of the others, those that must have taken effect.
    [[nodiscard]] static std::optional<std::vector<std::size_t>> find(
        const history& h, const Specification& initial = {}) {
        linearization search(h);
        if (!search.extend(0, initial)) return std::nullopt;
        return std::move(search.order_);
    }

    // All states that the structure may be in afterwards, when it was in one of those before: for
    // a history that is checked in pieces. Empty when nothing explains it.
    [[nodiscard]] static std::set<Specification> outcomes(const history& h,
                                                          const std::set<Specification>& before) {
        linearization search(h);
        std::set<Specification> after;
        for (const Specification& s : before) search.collect(0, s, after);
        return after;
    }

private:
    explicit linearization(const history& h) : h_(h) {
        for (std::size_t i = 0; i < h.operations.size(); ++i)
            if (h.operations[i].result) finished_ |= bit(i);
    }

    static std::uint64_t bit(std::size_t i) noexcept { return std::uint64_t{1} << i; }

    bool extend(std::uint64_t done, const Specification& state) {
        if ((finished_ & ~done) == 0) return true;
        if (!seen_.emplace(done, state).second) return false;
        return any_next(done, state, [&](std::size_t i, const Specification& next) {
            order_.push_back(i);
            if (extend(done | bit(i), next)) return true;
            order_.pop_back();
            return false;
        });
    }
    void collect(std::uint64_t done, const Specification& state, std::set<Specification>& into) {
        if (!seen_.emplace(done, state).second) return;
        if ((finished_ & ~done) == 0) into.insert(state);
        any_next(done, state, [&](std::size_t i, const Specification& next) {
            collect(done | bit(i), next, into);
            return false;
        });
    }

    // Calls f for each operation that may come next, with each state that it may lead to, until f
    // returns true.
    template <class F>
    bool any_next(std::uint64_t done, const Specification& state, F f) {
        for (std::size_t i = 0; i < h_.operations.size(); ++i) {
            // An unfinished operation precedes nothing, so only finished ones can be missing.
            if ((done & bit(i)) != 0 || (h_.before[i] & finished_ & ~done) != 0) continue;
            for (const Specification& next : state.after(h_.operations[i]))
                if (f(i, next)) return true;
        }
        return false;
    }

    const history& h_;
    std::uint64_t finished_ = 0;
    std::set<std::pair<std::uint64_t, Specification>> seen_;
    std::vector<std::size_t> order_;
};

// "enqueue(1) -> 1, dequeue() -> none": for messages.
[[nodiscard]] inline std::string to_string(const operation& o) {
    std::string s = std::string(o.name) + "(" + std::to_string(o.argument) + ")";
    if (!o.result) return s + " unfinished";
    return s + " -> " + (*o.result == none ? "none" : std::to_string(*o.result));
}

}  // namespace assay::spec
