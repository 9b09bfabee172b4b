// counts.cpp -- execution counts that others have published for the same programs.
//
// The programs are those of GenMC's own tests (github.com/MPI-SWS/genmc, tests/correct/synthetic
// and .../litmus), rewritten; the numbers are its expected.rc11.mo. Where a program has a closed
// form (n!, 2^n, ...), the number does not depend on anybody's tool.
//
// ASSAY_COUNTS_LONG: also the programs with more than 200,000 executions.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "program.hpp"

namespace assay::proof {
namespace {

constexpr int x = 0, y = 1, z = 2, w = 3;

using code = std::vector<instruction>;

program repeat(int threads, const std::function<code(int)>& body) {
    program p;
    for (int t = 0; t < threads; ++t) p.threads.push_back(body(t));
    return p;
}

program with(program p, std::initializer_list<code> more) {
    p.threads.insert(p.threads.end(), more);
    return p;
}

// All skips of this code leave it.
code skips_to_end(code c) {
    for (std::size_t i = 0; i < c.size(); ++i)
        if (c[i].kind == op::skip_eq) c[i].skip = static_cast<int>(c.size() - 1 - i);
    return c;
}

code& operator+=(code& a, const code& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// --- one read-modify-write, or several, per thread

program ainc(int n) {
    return repeat(n, [](int) { return code{fetch_add(none, x, 1, rlx)}; });
}
program binc(int n) {
    return repeat(n, [](int) {
        return code{fetch_add(none, x, 1, rlx), fetch_add(none, y, 1, rlx)};
    });
}
program cinc(int n) {
    return repeat(n, [](int) {
        return code{fetch_add(none, x, 1, rlx), fetch_add(none, y, 1, rlx),
                    fetch_add(none, z, 1, rlx)};
    });
}

// --- compare-exchange

program casrot(int n) {  // thread t replaces t by t + 1
    return repeat(n, [](int t) { return code{cas(none, x, t, t + 1, rlx, rlx)}; });
}
program casw(int n) {
    return repeat(n, [](int t) {
        return code{cas(none, x, 0, 1, rlx, rlx), store(x, t + 3, rel)};
    });
}
program wcas(int n) {
    return with(repeat(n, [](int) { return code{cas(none, x, 2, 3, rlx, rlx)}; }),
                {{store(x, 2, rel)}});
}
// A hash table of 128 places: each thread inserts four keys, at the next free place.
program indexer(int n) {
    constexpr int size = 128;
    constexpr int attempts = 8;
    program p = repeat(n, [](int t) {
        code all;
        for (int i = 0; i < 4; ++i) {
            const int key = i * 11 + t;
            code insert;
            for (int a = 0; a < attempts; ++a) {
                insert.push_back(cas(none, (key * 7 + a) % size, 0, key, rlx, rlx, 0));
                insert.push_back(skip_eq(0, 1, 0));
            }
            all += skips_to_end(insert);
        }
        return all;
    });
    p.initial.assign(size, 0);
    return p;
}

// --- loads and stores

program store_buffering(int n) {  // in a ring
    return repeat(n, [n](int t) { return code{store(t, 1, rlx), load(0, (t + 1) % n, rlx)}; });
}
program readers(int n) {
    return with(repeat(n, [](int) { return code{load(0, x, acq)}; }), {{store(x, 42, rel)}});
}
program writers(int n) {  // N-writers: and one reader
    return with(repeat(n + 1, [](int t) { return code{store(x, t, rel)}; }), {{load(0, x, acq)}});
}
program nincload(int n) {  // read, then overwrite
    return repeat(n, [](int t) { return code{load(0, x, acq), store(x, t + 1, rel)}; });
}
program coa(int n) {
    program p;
    p.threads = {{store(x, 1, rel), load(0, y, acq), load(1, x, acq)},
                 {store(x, 2, rel), load(0, z, acq), load(1, x, acq)}};
    for (int t = 1; t < n; ++t) p.threads.push_back({store(y, t, rel), store(z, t, rel)});
    return p;
}
program lastzero(int n) {
    code reader;
    for (int i = n; i >= 0; --i) reader += {load(0, i, acq), skip_eq(0, 0, 0)};
    program p{.threads = {skips_to_end(reader)}};
    for (int j = 1; j <= n; ++j) p.threads.push_back({load(0, j - 1, acq), store(j, {1, 0}, rel)});
    return p;
}
program fib_bench(int rounds) {
    const auto thread = [rounds](int own) {
        code c;
        for (int i = 0; i < rounds; ++i) {
            c.push_back(load(0, x, acq));
            c.push_back(load(1, y, acq));
            c.push_back(store(own, {0, 0, 1}, rel));
        }
        return c;
    };
    return {.threads = {thread(x), thread(y), {load(0, x, acq), load(1, y, acq)}},
            .initial = {1, 1}};
}
code loads(std::initializer_list<int> locations) {
    code c;
    for (const int l : locations) c.push_back(load(0, l, acq));
    return c;
}
code three_times(int a, int b) {
    code c;
    for (int i = 1; i <= 3; ++i) {
        c.push_back(store(a, i, rel));
        c.push_back(store(b, i, rel));
    }
    return c;
}
program big0(int) {
    return {.threads = {loads({x, y, z, w, x, y, z}), loads({x, y, z}), three_times(x, y),
                        three_times(z, w)}};
}
program big1(int) {
    return {.threads = {loads({x, y, z, w, x, y, z, w}), loads({x, y, z, w, x, y}),
                        three_times(x, y), three_times(z, w)}};
}

// --- larger litmus tests

program four_reads_of_three_writes(int) {  // fr+w+w+w+reads
    return with(repeat(3, [](int t) { return code{store(x, t + 1, rlx)}; }),
                {{load(0, x, rlx), load(1, x, rlx), load(2, x, rlx), load(3, x, rlx)}});
}
program increments_and_readers(int) {  // inc+inc+RR+W+RR
    return {.threads = {{fetch_add(none, x, 1, rlx)},
                        {fetch_add(none, x, 1, rlx)},
                        {load(0, x, rlx), load(1, x, rlx)},
                        {store(x, 42, rlx)},
                        {load(0, x, rlx), load(1, x, rlx)}}};
}

// --- Treiber's stack: x is the head, links + i the link of node i; 0 is the end.

constexpr int links = 10;

// Each failure of a compare-exchange is due to another thread's success, of which there are few.
constexpr int attempts = 12;

code push(int node) {
    code c{load(0, x, rlx)};
    for (int a = 0; a < attempts; ++a)
        c += {store(links + node, {0, 0}, rlx), cas(0, x, {0, 0}, node, rel, rlx, 1),
              skip_eq(1, 1, 0)};
    return skips_to_end(c);
}
code pop() {
    code c{load(0, x, acq)};
    for (int a = 0; a < attempts; ++a)
        c += {skip_eq(0, 0, 0), load(2, {links, 0}, rlx), cas(0, x, {0, 0}, {0, 2}, acq, acq, 1),
              skip_eq(1, 1, 0)};
    return skips_to_end(c);
}
// Every thread pushes; the first `poppers` of them pop afterwards.
program treiber(int threads, int poppers) {
    program p = repeat(threads, [&](int t) {
        code c = push(t + 1);
        if (t < poppers) c += pop();
        return c;
    });
    p.initial.assign(links + 8, 0);
    return p;
}
program treiber2(int poppers) { return treiber(2, poppers); }
program treiber3(int poppers) { return treiber(3, poppers); }

struct published {
    const char* name;
    program (*make)(int);
    int size;
    std::uint64_t executions;
};

void expect_counts(std::initializer_list<published> all) {
    for (const published& p : all) {
        const bool is_long = p.executions > 200'000;
        if (is_long && std::getenv("ASSAY_COUNTS_LONG") == nullptr) continue;
        const summary found = engine::enumerate(p.make(p.size), [](const execution&) {});
        EXPECT_EQ(found.complete, p.executions) << p.name << " " << p.size;
        EXPECT_EQ(found.blocked, 0U) << p.name << " " << p.size;
    }
}

TEST(counts, increments_agree_with_factorials) {
    expect_counts({{"ainc", ainc, 2, 2},
                   {"ainc", ainc, 3, 6},
                   {"ainc", ainc, 4, 24},
                   {"ainc", ainc, 5, 120},
                   {"ainc", ainc, 6, 720},
                   {"ainc", ainc, 7, 5040},
                   {"binc", binc, 2, 4},
                   {"binc", binc, 3, 36},
                   {"binc", binc, 4, 576},
                   {"cinc", cinc, 2, 8},
                   {"cinc", cinc, 3, 216},
                   {"cinc", cinc, 4, 13824}});
}

TEST(counts, compare_exchange_agrees_with_genmc) {
    expect_counts(
        {{"casrot", casrot, 2, 2},      {"casrot", casrot, 3, 5},    {"casrot", casrot, 4, 14},
         {"casrot", casrot, 5, 43},     {"casrot", casrot, 6, 144},  {"casrot", casrot, 7, 523},
         {"casrot", casrot, 8, 2048},   {"casrot", casrot, 9, 8597}, {"casw", casw, 2, 6},
         {"casw", casw, 3, 66},         {"casw", casw, 4, 1200},     {"casw", casw, 5, 32880},
         {"wcas", wcas, 2, 5},          {"wcas", wcas, 3, 13},       {"wcas", wcas, 4, 33},
         {"wcas", wcas, 5, 81},         {"wcas", wcas, 6, 193},      {"wcas", wcas, 7, 449},
         {"wcas", wcas, 8, 1025},       {"wcas", wcas, 9, 2305},     {"indexer", indexer, 12, 8},
         {"indexer", indexer, 15, 4096}});
}

TEST(counts, loads_and_stores_agree_with_genmc) {
    expect_counts({{"readers", readers, 2, 4},
                   {"readers", readers, 8, 256},
                   {"readers", readers, 13, 8192},
                   {"N-writers", writers, 4, 720},
                   {"CoA", coa, 1, 4},
                   {"CoA", coa, 2, 16},
                   {"CoA", coa, 3, 144},
                   {"CoA", coa, 4, 2304},
                   {"CoA", coa, 5, 57600},
                   {"lastzero", lastzero, 5, 64},
                   {"lastzero", lastzero, 10, 3328},
                   {"lastzero", lastzero, 15, 147456},
                   {"fib_bench", fib_bench, 5, 525630},
                   {"big0", big0, 0, 82472},
                   {"big1", big1, 0, 2950753},
                   {"fr+w+w+w+reads", four_reads_of_three_writes, 0, 210},
                   {"inc+inc+RR+W+RR", increments_and_readers, 0, 600}});
}

TEST(counts, closed_forms_hold) {
    expect_counts({{"SB ring, 2^n", store_buffering, 2, 4},
                   {"SB ring, 2^n", store_buffering, 5, 32},
                   {"SB ring, 2^n", store_buffering, 7, 128},
                   {"read and overwrite, (n!)^2", nincload, 2, 4},
                   {"read and overwrite, (n!)^2", nincload, 3, 36},
                   {"read and overwrite, (n!)^2", nincload, 4, 576},
                   {"read and overwrite, (n!)^2", nincload, 5, 14400},
                   {"read and overwrite, (n!)^2", nincload, 6, 518400}});
}

// Nobody's numbers but ours: the oracle finds as many.
TEST(counts, treiber_stacks_agree_with_the_oracle) {
    expect_counts({{"2 pushes", treiber2, 0, 4},
                   {"2 pushes, pops by", treiber2, 1, 10},
                   {"2 pushes, pops by", treiber2, 2, 40},
                   {"3 pushes", treiber3, 0, 48},
                   {"3 pushes, pops by", treiber3, 1, 264},
                   {"3 pushes, pops by", treiber3, 2, 2200},
                   {"3 pushes, pops by", treiber3, 3, 25680}});
}

}  // namespace
}  // namespace assay::proof
