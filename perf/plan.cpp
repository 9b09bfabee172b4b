// plan.cpp -- see plan.hpp.
#include "perf/plan.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace assay_perf {
namespace {

measurement limit_in_turns(const plan& p, const measurement& row) {
    const auto found = std::ranges::find_if(
        p.all, [&](const measurement& m) { return m.kind == "limit" && m.name == row.limit; });
    if (found == p.all.end())
        throw std::runtime_error(row.name + ": nobody measures its limit " + row.limit);
    measurement m = row;
    m.contender = in_turns;
    m.what = found->what;
    m.cpus = found->cpus;
    m.busy = found->busy;
    m.run = found->run;
    return m;
}

void give_rows_their_limits(plan& p) {
    std::vector<measurement> all;
    for (auto m = p.all.begin(); m != p.all.end(); ++m) {
        all.push_back(*m);
        const bool last = m + 1 == p.all.end() || (m + 1)->name != m->name;
        if (last && !m->limit.empty()) all.push_back(limit_in_turns(p, *m));
    }
    p.all = std::move(all);
}

}  // namespace

void choose(plan& p, const std::vector<std::string>& filters) {
    std::ranges::stable_sort(p.all, {}, [](const measurement& m) { return m.kind != "limit"; });
    give_rows_their_limits(p);
    if (filters.empty()) return;
    const auto named = [&](const measurement& m) {
        return std::ranges::any_of(filters, [&](const std::string& f) {
            return m.full_name().starts_with(f) || (m.kind == "limit" && f == "limits");
        });
    };
    std::set<std::string> rows;
    for (const measurement& m : p.all)
        if (named(m)) rows.insert(m.name);
    std::erase_if(p.all, [&](const measurement& m) {
        return !named(m) && !(m.contender == in_turns && rows.contains(m.name));
    });
}

}  // namespace assay_perf
