// rates.cpp -- how fast is the search? Prints, and asserts no time: that is the machine's, too.
//
// ASSAY_RATES  also the programs that run for seconds; a part of a name: only those
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "model/tests.hpp"

namespace assay::model {
namespace {

[[nodiscard]] double processor_seconds() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}
[[nodiscard]] double peak_megabytes() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return static_cast<double>(used.ru_maxrss) / 1024;
}

// --- the programs

template <int Threads, int Times>
void increments(scenario& s) {
    shared<word<std::uint32_t>> w(s);
    for (int t = 0; t < Threads; ++t)
        s.process("increments", [&] {
            for (int i = 0; i < Times; ++i) w->fetch_add(1, relaxed);
        });
    s.run();
}

template <int Rounds>
void fibonacci(scenario& s) {
    struct pair {
        word<std::uint32_t> x, y;
    };
    shared<pair> m(s);
    m->x.store(1, relaxed);
    m->y.store(1, relaxed);
    s.process("x", [&] {
        for (int i = 0; i < Rounds; ++i) {
            const auto x = m->x.load(acquire);
            m->x.store(x + m->y.load(acquire), release);
        }
    });
    s.process("y", [&] {
        for (int i = 0; i < Rounds; ++i) {
            const auto x = m->x.load(acquire);
            m->y.store(x + m->y.load(acquire), release);
        }
    });
    s.process("looks", [&] {
        static_cast<void>(m->x.load(acquire));
        static_cast<void>(m->y.load(acquire));
    });
    s.run();
}

void coherence(scenario& s) {  // big1
    using words = std::array<word<std::uint32_t>, 4>;
    shared<words> m(s);
    const auto reader = [&](int n) {
        return [&, n] {
            for (int i = 0; i < n; ++i)
                static_cast<void>((*m)[static_cast<std::size_t>(i) % 4].load(acquire));
        };
    };
    const auto writer = [&](std::size_t first) {
        return [&, first] {
            for (std::uint32_t i = 1; i <= 3; ++i) {
                (*m)[first].store(i, release);
                (*m)[first + 1].store(i, release);
            }
        };
    };
    s.process("reads 8", reader(8));
    s.process("reads 6", [&] {
        for (const std::size_t i : {0U, 1U, 2U, 3U, 0U, 1U})
            static_cast<void>((*m)[i].load(acquire));
    });
    s.process("writes x y", writer(0));
    s.process("writes z w", writer(2));
    s.run();
}

struct stack {
    word<std::uint32_t> head;
    std::array<word<std::uint32_t>, 8> next;

    void push(std::uint32_t node) {
        std::uint32_t top = head.load(relaxed);
        do next[node].store(top, relaxed);
        while (!head.compare_exchange(top, node, release, relaxed));
    }
    void pop() {
        std::uint32_t top = head.load(acquire);
        while (top != 0)
            if (head.compare_exchange(top, next[top].load(relaxed), acquire, acquire)) return;
    }
};

void treiber(scenario& s) {  // each of three pushes, then pops
    shared<stack> st(s);
    for (std::uint32_t t = 1; t <= 3; ++t)
        s.process("pushes and pops", [&, t] {
            st->push(t);
            st->pop();
        });
    s.run();
}
void treiber_apart(scenario& s) {  // three push, three others pop
    shared<stack> st(s);
    for (std::uint32_t t = 1; t <= 3; ++t) s.process("pushes", [&, t] { st->push(t); });
    for (std::uint32_t t = 1; t <= 3; ++t) s.process("pops", [&] { st->pop(); });
    s.run();
}

// Vyukov's bounded queue of two places.
struct queue_of_two {
    struct place {
        word<std::uint32_t> turn;
        cell<std::uint32_t> value;
    };
    word<std::uint32_t> tail, head;
    std::array<place, 2> places;

    bool push(std::uint32_t v) {
        for (std::uint32_t at = tail.load(relaxed);;) {
            place& p = places[at % 2];
            const std::uint32_t turn = p.turn.load(acquire);
            if (turn < at) return false;
            if (turn == at && tail.compare_exchange(at, at + 1, relaxed, relaxed)) {
                p.value.write(v);
                p.turn.store(at + 1, release);
                return true;
            }
            if (turn > at) at = tail.load(relaxed);
        }
    }
    bool pop() {
        for (std::uint32_t at = head.load(relaxed);;) {
            place& p = places[at % 2];
            const std::uint32_t turn = p.turn.load(acquire);
            if (turn < at + 1) return false;
            if (turn == at + 1 && head.compare_exchange(at, at + 1, relaxed, relaxed)) {
                static_cast<void>(p.value.read());
                p.turn.store(at + 2, release);
                return true;
            }
            if (turn > at + 1) at = head.load(relaxed);
        }
    }
};

void ring_2x2(scenario& s) {  // two push, two pop, each pops at most twice
    shared<queue_of_two> q(s);
    q->places[1].turn.store(1, relaxed);
    for (std::uint32_t t = 0; t < 2; ++t) s.process("pushes", [&, t] { q->push(t); });
    for (std::uint32_t t = 0; t < 2; ++t)
        s.process("pops", [&] {
            q->pop();
            q->pop();
        });
    s.run();
}

struct row {
    const char* name;
    scenario::body body;
    std::uint64_t executions;  // 0: nobody's number but ours
    double genmc;              // thousand executions per second that were measured for it; 0: none
    bool is_long;
};

constexpr row rows[] = {
    {"Treiber stack, 3 push and pop", treiber, 0, 0, false},
    {"MPMC ring of 2, 2 + 2", ring_2x2, 0, 0, false},
    {"fetch-and-increment by 9", increments<9, 1>, 362880, 28, true},
    {"5 threads x 3 increments", increments<5, 3>, 168168000, 29, true},
    {"Fibonacci", fibonacci<5>, 525630, 163, true},
    {"coherence, big1", coherence, 2950753, 165, true},
    {"Treiber stack, 3 push, 3 pop", treiber_apart, 0, 9, true},
};

TEST(rates, executions_per_second) {
    std::printf("%-32s %11s %9s %9s %11s %11s %7s %8s\n", "", "executions", "cpu s", "clock s",
                "/cpu s", "/s", "x GenMC", "peak MB");
    const char* const asked = std::getenv("ASSAY_RATES");
    const std::string_view which = asked == nullptr ? "" : asked;
    for (const row& r : rows) {
        if (r.is_long && which.empty()) continue;
        if (which.size() > 1 && std::string_view(r.name).find(which) == std::string_view::npos)
            continue;
        checker::settings how;
        how.stop_at.executions = 3'000'000;
        how.running.max_events = 400;
        const double before = processor_seconds();
        const checker::result found = explore(r.body, how);
        const double seconds = processor_seconds() - before;
        const auto n = static_cast<double>(found.runs);
        std::printf("%-32s %11.0f %9.2f %9.2f %11.0f %11.0f %7.1f %8.1f %s\n", r.name, n, seconds,
                    found.seconds, n / seconds, n / found.seconds,
                    r.genmc > 0 ? n / seconds / (r.genmc * 1000) : 0.0, peak_megabytes(),
                    checker::name(found.what));
        std::fflush(stdout);
        EXPECT_FALSE(checker::failed_verdict(found.what)) << r.name << ": " << found.message;
        if (r.executions != 0 && found.what == checker::verdict::verified) {
            EXPECT_EQ(found.executions, r.executions) << r.name;
        }
    }
}

}  // namespace
}  // namespace assay::model
