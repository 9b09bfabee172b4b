// litmus.cpp -- see litmus.hpp.
#include "stress/litmus/litmus.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "scripts/stage.hpp"
#include "stress/litmus/team.hpp"

namespace assay_litmus {
namespace {

using assay_stage::verdict;
using names = std::set<std::string>;

constexpr double canary_limit = 20;  // seconds; it ends when it is caught
constexpr double slice = 0.05;       // of a team, which is then another one

struct row {
    const test* what = nullptr;
    std::map<std::string, std::uint64_t> seen = {};
    std::uint64_t instances = 0;
    double seconds = 0;
    std::string problem = {};
};

names split(const char* text) {
    std::istringstream in(text);
    names all;
    for (std::string s; in >> s;) all.insert(s);
    return all;
}

std::string spelled(const test& t, const outcome& o) {
    std::string s;
    for (std::size_t i = 0; i < o.size(); ++i) {
        if (i + t.shown.size() == o.size() && !t.shown.empty()) s += "/";
        s += std::to_string(o[i]);
    }
    return s;
}

names forbidden(const row& r) {
    const names allowed = split(r.what->allowed);
    names found;
    for (const auto& [o, times] : r.seen)
        if (!allowed.contains(o)) found.insert(o);
    return found;
}

// Outcomes that no interleaving has.
names weak(const test& t) {
    names rest;
    const names allowed = split(t.allowed), simple = split(t.interleaved);
    std::ranges::set_difference(allowed, simple, std::inserter(rest, rest.end()));
    return rest;
}

std::uint64_t times(const row& r, const std::string& o) {
    const auto at = r.seen.find(o);
    return at == r.seen.end() ? 0 : at->second;
}

row measure(const test& t, double seconds, std::uint64_t seed) {
    row r{.what = &t};
    const auto start = std::chrono::steady_clock::now();
    try {
        for (double left = seconds; left > 0; left = seconds - r.seconds) {
            const tally some = run_team(t, std::min(left, slice), seed++);
            for (const auto& [o, n] : some.seen) r.seen[spelled(t, o)] += n;
            r.instances += some.instances;
            r.seconds =
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            if (t.canary && !forbidden(r).empty()) break;
        }
    } catch (const std::exception& e) {
        r.problem = e.what();
    }
    return r;
}

std::string counted(const row& r, const names& some) {
    std::string s;
    for (const std::string& o : some)
        s += (s.empty() ? "" : ", ") + o + ": " + std::to_string(times(r, o));
    return s;
}

assay_stage::check check_of(const row& r, const settings& s) {
    const test& t = *r.what;
    assay_stage::check c{
        .name = std::string("litmus/") + t.name, .what = t.source, .unit = "instances"};
    c.amount = r.instances;
    c.seconds = r.seconds;
    c.canary = t.canary;
    c.reproduce =
        "assay-stress litmus " + std::string(t.name) + " --seed " + std::to_string(s.seed);
    const names wrong = forbidden(r);
    if (!r.problem.empty()) {
        c.verdict = verdict::failed;
        c.detail = r.problem;
        c.amount = std::max<std::uint64_t>(c.amount, 1);
    } else if (t.canary) {
        c.verdict = wrong.empty() ? verdict::failed : verdict::verified;
        c.detail = wrong.empty() ? "this deliberate mistake was not caught"
                                 : "caught: forbidden outcome " + counted(r, wrong);
    } else if (!wrong.empty()) {
        c.verdict = verdict::failed;
        c.detail =
            "forbidden by the model, but seen: " + counted(r, wrong) + "; allowed: " + t.allowed;
    } else {
        c.verdict = verdict::bounded;
        c.detail = counted(r, split(t.allowed));
    }
    return c;
}

std::string obstacle(const test& t) {
    if (t.why_not != nullptr) return t.why_not;
    if (processors().size() < 2 && (t.canary || t.threads.size() > 1))
        return "one processor: nothing happens at the same time";
    return "";
}

std::string page_of(const std::vector<row>& rows) {
    std::ostringstream page;
    std::uint64_t instances = 0;
    std::size_t relaxed_tests = 0, observed = 0;
    for (const row& r : rows) {
        const names some = weak(*r.what);
        instances += r.instances;
        relaxed_tests += !some.empty();
        observed +=
            std::ranges::any_of(some, [&](const std::string& o) { return times(r, o) != 0; });
    }
    page << "# Litmus tests on this processor\n\n"
            "What `make litmus` (stress/README.md) did on this host. Each test ran in processes on "
         << processors().size() << " processors, as the compiler\nhad made it (" << __VERSION__
         << "); all that was seen is allowed by RC11 unless a line says otherwise. *Weak* are the "
            "allowed\noutcomes that no "
            "interleaving of the accesses has: they need a processor (or a compiler) that changes "
            "their order.\n\n"
         << instances << " instances of " << rows.size() << " tests; " << relaxed_tests
         << " have weak outcomes, of which this host showed some in " << observed << ".\n\n"
         << "| test | instances | weak outcomes | the others | forbidden "
            "|\n|---|---:|---|---|---|\n";
    for (const row& r : rows)
        page << "| " << r.what->name << " | " << r.instances << " | " << counted(r, weak(*r.what))
             << " | " << counted(r, split(r.what->interleaved)) << " | " << counted(r, forbidden(r))
             << " |\n";
    return page.str();
}

bool write_page(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    if (file.flush()) return true;
    std::fprintf(stderr, "assay-stress: cannot write %s\n", path.c_str());
    return false;
}

}  // namespace

int run(const settings& s) {
    const std::vector<test> all = all_tests();
    std::vector<const test*> chosen;
    for (const test& t : all)
        if (s.filters.empty() || std::ranges::any_of(s.filters, [&](const std::string& f) {
                return std::string_view(t.name).starts_with(f);
            }))
            chosen.push_back(&t);
    if (chosen.empty()) {
        std::fprintf(stderr, "assay-stress litmus: no test begins so; --list names them\n");
        return 2;
    }
    if (s.list) {
        for (const test* t : chosen) std::printf("%-36s %s\n", t->name, t->source);
        return 0;
    }
    const auto runs = std::ranges::count_if(
        chosen, [](const test* t) { return !t->canary && obstacle(*t).empty(); });
    assay_stage::report report("assay-stress", s.seed);
    std::vector<row> rows;
    for (const test* t : chosen) {
        if (const std::string why = obstacle(*t); !why.empty()) {
            report.add({.name = std::string("litmus/") + t->name,
                        .what = t->source,
                        .unit = "instances",
                        .verdict = verdict::skipped,
                        .detail = why,
                        .canary = t->canary});
            continue;
        }
        const row r =
            measure(*t, t->canary ? canary_limit : s.seconds / static_cast<double>(runs), s.seed);
        report.add(check_of(r, s));
        if (!t->canary) rows.push_back(r);
    }
    if (!s.page.empty() && !write_page(s.page, page_of(rows))) return 1;
    return report.finish(s.json);
}

}  // namespace assay_litmus
