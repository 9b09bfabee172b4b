// litmus_code.cpp -- writes the litmus table as C++, one function for each thread of each test, for
// programs that run it on a real processor (stress/litmus). So the compiler sees the accesses and
// orders of a test as it would see them in the library, and may do to them what it does there.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "model/tests/litmus.hpp"

namespace assay::proof {
namespace {

using outcomes = std::set<std::string>;

// --- outcomes of interleavings -------------------------------------------------------------------

struct machine {
    const litmus_test& test;
    std::vector<interpreter> threads;
    std::vector<value> words, cells;
};

std::string outcome_of(const machine& m) {
    execution x;
    x.threads.resize(m.threads.size());
    for (std::size_t t = 0; t < m.threads.size(); ++t)
        x.threads[t].registers = m.threads[t].registers();
    litmus_test without_memory = m.test;
    without_memory.shown.clear();
    std::string s = outcome_of(without_memory, x);
    if (!m.test.shown.empty()) s += "/";
    for (const int l : m.test.shown) s += std::to_string(m.words[static_cast<std::size_t>(l)]);
    return s;
}

// Executes the next access of the thread; false when it has ended, or waits.
bool advance(machine& m, std::size_t t) {
    const auto step = m.threads[t].next();
    if (!step) return false;
    if (step->kind == op::fence) return m.threads[t].done(), true;
    value& at = (step->is_plain() ? m.cells : m.words).at(static_cast<std::size_t>(step->location));
    const value old = at;
    if (step->is_await() && !step->satisfied(old)) return false;
    const bool won = !step->is_cas() || old == step->expected;
    if (step->kind == op::store || step->kind == op::write || (step->is_rmw() && won))
        at = step->written(old);
    m.threads[t].done(old, won);
    return true;
}

void interleave(const machine& m, outcomes& found) {
    bool ended = true;
    for (std::size_t t = 0; t < m.threads.size(); ++t) {
        machine next = m;
        if (!advance(next, t)) continue;
        ended = false;
        interleave(next, found);
    }
    if (ended) found.insert(outcome_of(m));
}

outcomes interleavings(const litmus_test& test) {
    machine m{test, {}, test.code.initial, test.code.initial_plain};
    for (const auto& code : test.code.threads) m.threads.emplace_back(code);
    m.words.resize(static_cast<std::size_t>(count_locations(test.code)));
    m.cells.resize(static_cast<std::size_t>(count_plain_locations(test.code)));
    outcomes found;
    interleave(m, found);
    return found;
}

// --- C++ ----------------------------------------------------------------------------------------

const char* spelled(order m) {
    constexpr const char* names[] = {"relaxed", "consume", "acquire",
                                     "release", "acq_rel", "seq_cst"};
    return names[static_cast<int>(m)];
}

std::string name_of(int reg) { return "r" + std::to_string(reg); }

std::string expression(value constant, int a, int b) {
    if (a == none) std::swap(a, b);
    if (a == none) return std::to_string(constant);
    return "sum(" + std::to_string(constant) + ", " + name_of(a) +
           (b == none ? "" : ", " + name_of(b)) + ")";
}
std::string expression(const operand& o) { return expression(o.constant, o.a, o.b); }

bool is_plain(const instruction& i) { return i.kind == op::read || i.kind == op::write; }
bool is_skip(const instruction& i) { return i.kind == op::skip_eq || i.kind == op::skip_ne; }
bool has_result(const instruction& i) { return i.into != none && !is_skip(i); }

std::string location(const program& p, const instruction& i) {
    const int first = is_plain(i) ? count_locations(p) : 0;
    return std::string(is_plain(i) ? "cell_at" : "word_at") + "(at[" +
           expression(first + i.at.base, i.at.index, none) + "])";
}

std::string call(const program& p, const instruction& i) {
    const std::string to = location(p, i), arg = expression(i.arg), mode = spelled(i.mode);
    const std::string into = i.into == none ? "" : name_of(i.into) + " = ";
    const auto read = [&](const std::string& expression) {
        return into.empty() ? "static_cast<void>(" + expression + ");" : into + expression + ";";
    };
    const auto compare_exchange = [&](const char* how) {
        const std::string call =
            to + "." + how + "(seen, " + arg + ", " + mode + ", " + spelled(i.failure) + ");";
        return "{ value seen = " + expression(i.expected) + "; const bool won = " + call + " " +
               (i.won == none ? "static_cast<void>(won);" : name_of(i.won) + " = won;") + " " +
               (into.empty() ? "" : into + "seen; ") + "}";
    };
    const auto await = [&](const char* unwanted) {
        return "for (value seen = " + to + ".load(" + mode + ");; seen = " + to + ".load(" + mode +
               ")) { " + (into.empty() ? "" : into + "seen; ") + "if (!(seen " + unwanted + " " +
               arg + ")) break; look_again(); }";
    };
    switch (i.kind) {
        case op::load:
            return read(to + ".load(" + mode + ")");
        case op::store:
            return to + ".store(" + arg + ", " + mode + ");";
        case op::exchange:
            return into + to + ".exchange(" + arg + ", " + mode + ");";
        case op::fetch_add:
            return into + to + ".fetch_add(" + arg + ", " + mode + ");";
        case op::cas:
            return compare_exchange("compare_exchange");
        case op::cas_weak:
            return compare_exchange("compare_exchange_weak");
        case op::fence:
            return "assay::fence(" + mode + ");";
        case op::await_eq:
            return await("!=");
        case op::await_ne:
            return await("==");
        case op::read:
            return read(to + ".read()");
        case op::write:
            return to + ".write(" + arg + ");";
        case op::skip_eq:
        case op::skip_ne:
            break;  // not an access
        case op::wait:
        case op::wake:
            break;  // no litmus test sleeps
    }
    return "";
}

std::size_t results_of(const std::vector<instruction>& code) {
    return static_cast<std::size_t>(std::count_if(code.begin(), code.end(), has_result));
}

void write_thread(const program& p, const std::vector<instruction>& code, const std::string& name) {
    std::set<int> registers;
    for (const instruction& i : code)
        for (const int r :
             {i.into, i.won, i.arg.a, i.arg.b, i.expected.a, i.expected.b, i.at.index})
            if (r != none) registers.insert(r);
    std::printf(
        "void %s([[maybe_unused]] void* const* at, [[maybe_unused]] value* out, std::size_t n) {\n"
        "    for (; n != 0; --n, at += %d, out += %zu) {\n",
        name.c_str(), count_locations(p) + count_plain_locations(p), results_of(code));
    for (const int r : registers) std::printf("        [[maybe_unused]] value r%d = 0;\n", r);
    std::map<std::size_t, int> labels;  // before which instruction; how many jump there
    for (std::size_t k = 0; k < code.size(); ++k) {
        if (labels.contains(k)) std::printf("    to_%zu:;\n", k);
        const instruction& i = code[k];
        if (is_skip(i)) {
            const std::size_t target = k + 1 + static_cast<std::size_t>(i.skip);
            ++labels[target];
            std::printf("        if (r%d %s %s) goto to_%zu;\n", i.into,
                        i.kind == op::skip_eq ? "==" : "!=", expression(i.arg).c_str(), target);
        } else {
            std::printf("        %s\n", call(p, i).c_str());
        }
    }
    if (labels.contains(code.size())) std::printf("    to_%zu:;\n", code.size());
    std::size_t n = 0;
    for (const instruction& i : code)
        if (has_result(i)) std::printf("        out[%zu] = r%d;\n", n++, i.into);
    std::printf("    }\n}\n");
}

// Why it is not run; null if it is.
const char* obstacle(const litmus_test& t) {
    for (const auto& code : t.code.threads)
        for (const instruction& i : code)
            if (i.kind == op::cas_weak)
                return "how often a weak compare-exchange fails is the processor's choice";
    if (t.race) return "a data race: nothing is specified";
    if (t.stuck != 0) return "may wait for ever";
    if (t.code.crashes != 0) return "is about a death: see assay-stress kill";
    return nullptr;
}

std::string joined(const outcomes& all) {
    std::string s;
    for (const std::string& one : all) s += (s.empty() ? "" : " ") + one;
    return s;
}

template <class List, class Text>
std::string listed(const List& list, Text text) {
    std::string s;
    for (const auto& one : list) s += (s.empty() ? "" : ", ") + text(one);
    return "{" + s + "}";
}

// The code of its threads; what is written is its entry in the list of all.
std::string write(const litmus_test& t, std::size_t number, bool canary) {
    const program& p = t.code;
    std::istringstream code(to_string(p));
    std::printf("\n// %s: %s\n", t.name.c_str(), t.source.c_str());
    for (std::string line; std::getline(code, line);) std::printf("//   %s\n", line.c_str());
    std::string threads;
    for (std::size_t k = 0; k < p.threads.size(); ++k) {
        const std::string name = "test_" + std::to_string(number) + "_" + std::to_string(k);
        write_thread(p, p.threads[k], name);
        threads +=
            (k == 0 ? "{" : ", {") + name + ", " + std::to_string(results_of(p.threads[k])) + "}";
    }
    std::vector<value> initial = p.initial;
    initial.resize(static_cast<std::size_t>(count_locations(p)));
    initial.insert(initial.end(), p.initial_plain.begin(), p.initial_plain.end());
    initial.resize(static_cast<std::size_t>(count_locations(p) + count_plain_locations(p)));
    const auto digits = [](auto v) { return std::to_string(v); };
    const char* const why_not = obstacle(t);
    outcomes both, allowed = expected_outcomes(t),
                   simple = why_not == nullptr ? interleavings(t) : outcomes{};
    std::set_intersection(allowed.begin(), allowed.end(), simple.begin(), simple.end(),
                          std::inserter(both, both.end()));
    std::ostringstream entry;
    entry << "        {\"" << t.name << "\", \"" << t.source << "\",\n         {" << threads
          << "}, " << listed(initial, digits) << ", " << count_locations(p) << ", "
          << listed(t.shown, digits) << ",\n         \"" << joined(allowed) << "\",\n         \""
          << joined(both) << "\", ";
    if (why_not == nullptr)
        entry << "nullptr";
    else
        entry << '"' << why_not << '"';
    entry << ", " << (canary ? "true" : "false") << "},\n";
    return entry.str();
}

// Mistakes in the table, which a run must find. All processors have store buffers: who does not see
// the first one sees nothing.
std::vector<litmus_test> canaries() {
    return {{.name = "canary_store_buffering_called_sc",
             .source = "relaxed accesses, and the outcomes of SC ones",
             .code = {.threads = {{store(0, 1, rlx), load(0, 1, rlx)},
                                  {store(1, 1, rlx), load(0, 0, rlx)}}},
             .outcomes = "01 10 11",
             .executions = 0},
            {.name = "canary_increment_in_two_steps",
             .source = "a load and a store, and the outcomes of an atomic increment",
             .code = {.threads = {{load(0, 0, rlx), store(0, {1, 0}, rlx)},
                                  {load(0, 0, rlx), store(0, {1, 0}, rlx)}}},
             .outcomes = "01/2 10/2",
             .executions = 0,
             .shown = {0}}};
}

void write_all() {
    std::printf(
        "// Written by model/litmus_code.cpp.\n#include \"stress/litmus/program.hpp\"\n\n"
        "namespace assay_litmus {\nnamespace {\n");
    std::string entries;
    std::size_t number = 0;
    for (const litmus_test& t : litmus_tests()) entries += write(t, number++, false);
    for (const litmus_test& t : canaries()) entries += write(t, number++, true);
    std::printf(
        "\n}  // namespace\n\nstd::vector<test> all_tests() {\n    return {\n%s    };\n}\n\n"
        "}  // namespace assay_litmus\n",
        entries.c_str());
}

}  // namespace
}  // namespace assay::proof

int main() { assay::proof::write_all(); }
