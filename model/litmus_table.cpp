#include "model/litmus_table.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iterator>
#include <set>
#include <string_view>

#include "model/tests/litmus.hpp"
#include "scripts/stage.hpp"

namespace assay::model {
namespace {

using proof::litmus_test;
using outcomes = std::set<std::string>;

std::string joined(const outcomes& all) {
    std::string s;
    for (const std::string& one : all) s += (s.empty() ? "" : " ") + one;
    return s.empty() ? "none" : s;
}

std::string without(const outcomes& these, const outcomes& those) {
    outcomes rest;
    std::set_difference(these.begin(), these.end(), those.begin(), those.end(),
                        std::inserter(rest, rest.end()));
    return joined(rest);
}

assay_stage::check explore(const litmus_test& t) {
    assay_stage::check c;
    c.name = "litmus/" + t.name;
    c.what = t.source;
    c.unit = "executions";
    c.reproduce = "assay-model litmus " + t.name + " --programs";
    c.verdict = assay_stage::verdict::failed;
    const auto start = std::chrono::steady_clock::now();
    try {
        outcomes found;
        const proof::summary s = proof::engine::enumerate(t.code, [&](const proof::execution& x) {
            if (x.is_complete()) found.insert(outcome_of(t, x));
        });
        const outcomes allowed = expected_outcomes(t);
        c.amount = std::max<std::uint64_t>(1, s.complete + s.blocked);
        if (s.race != t.race)
            c.detail = s.race ? "a data race, where the table has none" : "no data race is found";
        else if (s.race)
            c.detail = "data race";
        else if (found != allowed)
            c.detail = "found and not allowed: " + without(found, allowed) +
                       "; allowed and not found: " + without(allowed, found);
        else if (s.complete != t.executions || s.stuck != t.stuck)
            c.detail = "other numbers of executions than in the table";
        else
            c.detail = joined(found);
        if (s.race == t.race &&
            (s.race || (found == allowed && s.complete == t.executions && s.stuck == t.stuck)))
            c.verdict = assay_stage::verdict::verified;
    } catch (const std::exception& e) {
        c.detail = e.what();
    }
    c.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return c;
}

}  // namespace

int run_litmus(const litmus_options& o) {
    assay_stage::report report("assay-model litmus", 0);
    bool any = false;
    for (const litmus_test& t : proof::litmus_tests()) {
        if (!o.filters.empty() &&
            std::none_of(o.filters.begin(), o.filters.end(), [&](const std::string& f) {
                return std::string_view(t.name).starts_with(f);
            }))
            continue;
        any = true;
        if (o.programs)
            std::printf("\n%s: %s\n%s", t.name.c_str(), t.source.c_str(),
                        to_string(t.code).c_str());
        report.add(explore(t));
    }
    if (any) return report.finish(o.json);
    std::fprintf(stderr, "assay-model: no litmus test begins with that\n");
    return 3;
}

}  // namespace assay::model
