// harness.hpp -- how a property is stated, searched, shrunk, counted and reproduced.
//
// A check is a generator of inputs and a function that throws `violation` when the property does
// not hold for one. Inputs come from RapidCheck generators; a failing one is shrunk by trying
// RapidCheck's smaller candidates until none fails. A case is a function of (seed, name, number)
// alone, so `assay-proptest NAME --seed S --case N` repeats it and shrinks it the same way.
//
// Each check runs in a process of its own: what crashes or hangs is a failed check with the number
// of the case, not the end of the program. Such a case is then repeated with one process for each
// attempt, so that it can be shrunk like any other.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// RapidCheck stores its generators in place and trips this analysis of g++ 12.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <rapidcheck.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace assay_proptest {

// The property does not hold.
struct violation {
    std::string what;
};

[[noreturn]] inline void fail(std::string what) { throw violation{std::move(what)}; }

inline void require(bool holds, const char* what) {
    if (!holds) fail(what);
}

// Both sides are named in the message: require_equal(subject, reference, "entry count").
template <class A, class B>
void require_equal(const A& found, const B& expected, std::string_view what) {
    if (found == expected) return;
    fail(std::string(what) + " is " + rc::toString(found) + ", not " + rc::toString(expected));
}

// What a check's process tells the program; lies in memory that both share.
struct progress {
    std::atomic<std::uint64_t> beat;   // changes with every attempt: no hang
    std::atomic<std::uint64_t> cases;  // executed
    std::atomic<std::uint64_t> current;
    std::atomic<bool> found;
    std::uint64_t length;  // of the counterexample: commands, elements
    std::uint64_t shrinks;
    char message[1 << 12];
    char example[1 << 14];
};

// Handed to a check's body; see explore().
class context {
public:
    struct limits {
        double seconds = 1;
        std::uint64_t at_least = 1;  // cases, whatever the time
        std::uint64_t at_most = UINT64_MAX;
        std::optional<std::uint64_t> only;  // one case, by number
        unsigned repeat = 1;                // how often to try that one
        bool isolated = false;              // each attempt in a process of its own
        double patience = 30;               // seconds without an attempt ending: it hangs
    };

    context(progress& p, std::uint64_t seed, std::string_view name, const limits& l);

    // Moves on to the next case; false when there is none.
    bool next();
    [[nodiscard]] std::uint64_t seed() const noexcept { return case_seed_; }
    [[nodiscard]] int size() const noexcept { return static_cast<int>(number_ % 100) + 1; }
    [[nodiscard]] unsigned repeat() const noexcept { return limits_.repeat; }

    // The violation that one execution of the body ends with, if it does.
    [[nodiscard]] std::optional<std::string> attempt(const std::function<void()>& body);
    [[nodiscard]] bool time_to_shrink() const;
    void found(const std::string& message, const std::string& example, std::size_t length,
               std::uint64_t shrinks);

private:
    [[nodiscard]] std::optional<std::string> attempt_isolated(const std::function<void()>& body);

    progress& progress_;
    std::uint64_t name_seed_;
    limits limits_;
    double begin_;
    double found_at_ = 0;
    std::uint64_t next_ = 0;
    std::uint64_t number_ = 0;
    std::uint64_t case_seed_ = 0;
};

// Runs `property(input)` on inputs of `gen` until the time is over or it fails, and shrinks the
// failure. Input needs rc::toString (an operator<<) and length(Input) by argument-dependent lookup.
template <class Input, class Property>
void explore(context& c, const rc::Gen<Input>& gen, Property property) {
    const auto attempt = [&](const rc::Shrinkable<Input>& s) {
        const Input input = s.value();
        return c.attempt([&] { property(input); });
    };
    while (c.next()) {
        rc::Shrinkable<Input> worst = gen(rc::Random(c.seed()), c.size());
        auto failure = attempt(worst);
        if (!failure) continue;
        std::uint64_t shrinks = 0;
        for (bool smaller = true; smaller;) {
            smaller = false;
            auto candidates = worst.shrinks();
            for (auto next = candidates.next(); next && c.time_to_shrink();
                 next = candidates.next()) {
                if (auto f = attempt(*next)) {
                    worst = *next;
                    failure = std::move(f);
                    smaller = true;
                    ++shrinks;
                    break;
                }
            }
        }
        const Input input = worst.value();
        c.found(*failure, rc::toString(input), length(input), shrinks);
        return;
    }
}

// The same for what is not a function of the input alone (several processes): `property(seed)`.
// No shrinking, which needs a failure that repeats; a single case is tried repeat() times.
template <class Property>
void sample(context& c, Property property) {
    while (c.next())
        for (unsigned i = 0; i < c.repeat(); ++i)
            if (const auto failure = c.attempt([&] { property(c.seed()); })) {
                c.found(*failure, "", 0, 0);
                return;
            }
}

struct check {
    std::string name;  // component/property
    std::string what;
    std::function<void(context&)> body;
    double weight = 1;            // share of the time
    std::uint64_t at_least = 50;  // fewer cases count as not having run
    bool repeatable = true;       // a case has one outcome; else see sample()
    bool canary = false;          // broken on purpose: must fail
    std::uint64_t longest = 0;    // of a canary's shrunk counterexample, 0: any
    double patience = 30;         // seconds without an attempt ending: it hangs
};

// All checks of the program. A file adds its own with a namespace-scope `const registration`.
std::vector<check>& checks();

struct registration {
    explicit registration(void (*add)(std::vector<check>&)) { add(checks()); }
};

// What became of one check.
struct outcome {
    bool failed = false;
    std::uint64_t cases = 0;
    std::uint64_t failing_case = 0;
    std::string message;
    std::string example;
    std::uint64_t length = 0;
    std::uint64_t shrinks = 0;
    double seconds = 0;
};

// Executes a check in a process of its own.
[[nodiscard]] outcome run(const check& what, std::uint64_t seed, context::limits limits);

// The line to paste that repeats a failure.
[[nodiscard]] std::string reproduction(const check& what, std::uint64_t seed, const outcome& o);

}  // namespace assay_proptest
