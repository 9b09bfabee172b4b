// suite.hpp -- many scenarios in few lines: mixes of operations, each from every start that its
// counters may have and with every number of deaths.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "model/scenario.hpp"

namespace assay::model {

// What the processes of a scenario do, as a template argument: a letter is an operation, and a bar
// stands between one process and the next. Which letter is what, each component says.
template <std::size_t N>
struct programs {
    char letters[N];

    // NOLINTNEXTLINE: implicit, so that mix<"12|--"> can be written
    consteval programs(const char (&text)[N]) {
        for (std::size_t i = 0; i < N; ++i) letters[i] = text[i];
    }
    // Calls f(process, its name, its letters) for each.
    template <class F>
    void each(F f) const {
        static constexpr const char* names[] = {"first", "second", "third", "fourth", "fifth"};
        std::size_t p = 0;
        for (std::size_t begin = 0, i = 0; i < N; ++i)
            if (letters[i] == '|' || letters[i] == 0) {
                f(p, names[p], std::string_view(letters + begin, i - begin));
                begin = i + 1;
                ++p;
            }
    }
};

// One mix. The executions must be the same from each start, which is a test of the wrap by itself.
struct suite {
    struct start {
        const char* suffix;
        scenario::body body;
    };
    const char* name;
    std::vector<start> from;
    std::vector<std::uint64_t>
        executions;  // without a death, with up to one, up to two; 0: not run
    std::uint32_t mortal = ~std::uint32_t{0};
};
inline constexpr std::uint64_t not_counted =
    ~std::uint64_t{0};                                // nobody has waited for the end yet
inline constexpr std::uint64_t large_from = 400'000;  // executions: some seconds of one processor

[[nodiscard]] inline std::vector<test> tests_of(const char* component,
                                                const std::vector<suite>& suites) {
    static std::deque<std::string> names;  // a test does not own its name
    constexpr const char* dying[] = {"", "_and_one_may_die", "_and_two_may_die"};
    std::vector<test> all;
    for (const suite& s : suites)
        for (std::size_t deaths = 0; deaths < s.executions.size(); ++deaths)
            for (const suite::start& at : s.from) {
                const std::uint64_t n = s.executions[deaths];
                if (n == 0) continue;
                names.push_back(std::string(component) + "/" + s.name + at.suffix + dying[deaths]);
                test t{names.back().c_str(), at.body, {checker::verdict::verified, n}};
                if (n == not_counted) t.expect.executions = 0;
                t.large = n >= large_from;
                t.twin = &at != s.from.data();
                t.how.allowed.crashes = static_cast<int>(deaths);
                t.how.allowed.may_crash = s.mortal;
                all.push_back(t);
            }
    return all;
}

}  // namespace assay::model
