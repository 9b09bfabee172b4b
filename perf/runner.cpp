// runner.cpp -- see runner.hpp.
#include "perf/runner.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>

#include "perf/host.hpp"
#include "perf/team.hpp"

namespace assay_perf {
namespace {

constexpr double least_share = 0.93;    // of its processor, for the worst worker
constexpr double largest_change = 1.5;  // of the probe during a measurement
constexpr unsigned attempts_each = 2;   // runs for one sample, on average
constexpr unsigned enough = 5;          // samples without which a figure is flagged

unsigned runs_of(const figure& f, const settings& with) {
    return f.of.exact ? 1 : f.of.runs != 0 ? f.of.runs : with.repetitions;
}

// A probe for each pair of processors, kept for all rows.
class probes {
public:
    explicit probes(bool only_pairs = false) : only_pairs_(only_pairs) {}

    // The measurement's first two processors, or its only one and another.
    [[nodiscard]] std::optional<double> ask(const std::vector<int>& cpus) {
        const std::vector<int> all = allowed_cpus();
        if (all.size() < 2 || (only_pairs_ && cpus.size() < 2)) return std::nullopt;
        const int one = cpus.empty() ? all[0] : cpus[0];
        int other = all[0] == one ? all[1] : all[0];
        for (const int cpu : cpus)
            if (cpu != one) {
                other = cpu;
                break;
            }
        std::unique_ptr<prober>& p = all_[{one, other}];
        if (!p) p = std::make_unique<prober>(one, other);
        return p->round_trip_ns();
    }

private:
    bool only_pairs_;
    std::map<std::pair<int, int>, std::unique_ptr<prober>> all_;
};

// What a contender throws (it cannot have so many elements) leaves it without a number.
outcome run(const measurement& m, double seconds) {
    try {
        return m.run(seconds);
    } catch (const std::exception& e) {
        return {.invalid = e.what()};
    }
}

void take(figure& f, const settings& with, unsigned round, probes& probe) {
    if (f.of.exact) {
        pin(allowed_cpus().front());  // who leads and who is led take turns: one core is best
        const outcome o = run(f.of, with.seconds);
        unpin();
        f.invalid = o.invalid;
        for (const auto& [what, value] : o.found) f.of.parameters.insert_or_assign(what, value);
        if (o.invalid.empty()) f.samples.push_back({o.value, "alone", 0, round});
        return;
    }
    const std::optional<double> before = probe.ask(f.of.cpus);
    const outcome o = run(f.of, with.seconds);
    const std::optional<double> after = probe.ask(f.of.cpus);
    if (!o.invalid.empty()) {
        f.invalid = o.invalid;
        return;
    }
    const double change = before ? std::max(*before / *after, *after / *before) : 1;
    if (change > largest_change || (before && (*before < near_ns) != (*after < near_ns))) {
        ++f.probe_changed;
    } else if ((f.of.busy && o.cpu_share < least_share) || !std::isfinite(o.value)) {
        ++f.starved;
    } else {
        const double trip = before ? (*before + *after) / 2 : 0;
        f.samples.push_back({o.value,
                             !before          ? "alone"
                             : trip < near_ns ? "near"
                                              : "far",
                             trip, round});
        if (o.times) {
            if (!f.times) f.times.emplace();
            f.times->add(*o.times);
        }
    }
}

// Says how far it is, and how long it will take if the rest is like what was.
class progress {
public:
    progress(std::size_t rows, std::size_t figures)
        : rows_(rows), figures_(figures), terminal_(::isatty(STDERR_FILENO) != 0) {}

    // Begins.
    void row(const std::vector<figure>& next) {
        if (terminal_ || begun_ % 10 == 0)
            std::fprintf(
                stderr, "%s%3zu of %zu rows%s  %s%s", terminal_ ? "\r\033[K" : "", begun_ + 1,
                rows_,
                time_left(static_cast<double>(now_ns() - start_) / 1e9, done_, figures_).c_str(),
                next.front().of.name.c_str(), terminal_ ? "\r" : "\n");
        ++begun_;
        done_ += next.size();
    }
    void clear() const {
        if (terminal_) std::fprintf(stderr, "\033[K");
    }

private:
    std::size_t rows_, figures_, begun_ = 0, done_ = 0;
    bool terminal_;
    unsigned long long start_ = now_ns();
};

using row_limits = std::map<std::string, double>;  // by name of the row

row_limits limits_of(const std::vector<figure>& figures) {
    row_limits found;
    for (const figure& f : figures)
        if (f.of.contender == in_turns && f.middle) found[f.of.name] = f.middle->median;
    return found;
}

// To the limit that was measured in turns with it, in the same regime.
std::optional<double> ratio(const figure& f, const row_limits& limits) {
    const auto found = limits.find(f.of.name);
    if (!f.middle || f.of.contender == in_turns || found == limits.end() || found->second <= 0)
        return std::nullopt;
    return f.middle->median / found->second;
}

void print(const figure& f, const row_limits& limits) {
    std::string line = f.of.full_name();
    line.resize(std::max<std::size_t>(line.size() + 1, 76), ' ');
    char text[160];
    if (f.middle) {
        std::snprintf(text, sizeof text, "%11.4g %-14s %.4g to %.4g", f.middle->median,
                      f.of.unit.c_str(), f.middle->low, f.middle->high);
        line += text;
    } else {
        line += "          -";
    }
    if (const auto r = ratio(f, limits)) {
        std::snprintf(text, sizeof text, "  %.2f x limit", *r);
        line += text;
    }
    if (f.times) {
        std::snprintf(text, sizeof text, "  p99 %.0f  p99.9 %.0f  max %.0f",
                      f.times->percentile(99), f.times->percentile(99.9),
                      static_cast<double>(f.times->max()));
        line += text;
    }
    for (const std::string& flag : f.flags) line += "  [" + flag + "]";
    std::puts(line.c_str());
    std::fflush(stdout);
}

nlohmann::json percentiles(const figure& f) {
    if (!f.times || !f.middle) return nullptr;
    nlohmann::json all;
    for (const auto& [name, percent] :
         {std::pair("p50", 50.0), std::pair("p90", 90.0), std::pair("p99", 99.0),
          std::pair("p99.9", 99.9), std::pair("p99.99", 99.99)})
        all[name] = f.times->percentile(percent);
    all["max"] = f.times->max();
    return all;
}

nlohmann::json optional_number(const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

nlohmann::json as_json(const facts& all) {
    nlohmann::json j = nlohmann::json::object();
    for (const auto& [what, one] : all)
        j[what] = std::visit([](const auto& value) { return nlohmann::json(value); }, one.value);
    return j;
}

// What limits and figures have in common.
nlohmann::json common(const figure& f) {
    nlohmann::json j = {{"name", f.of.full_name()}, {"unit", f.of.unit}, {"flags", f.flags}};
    j["median"] = f.middle ? nlohmann::json(f.middle->median) : nullptr;
    j["low"] = f.middle ? nlohmann::json(f.middle->low) : nullptr;
    j["high"] = f.middle ? nlohmann::json(f.middle->high) : nullptr;
    return j;
}

nlohmann::json fingerprint() {
    std::unique_ptr<FILE, int (*)(FILE*)> host(::popen(ASSAY_SOURCES "scripts/host", "r"),
                                               ::pclose);
    std::string text;
    for (char part[4096]; host && std::fgets(part, sizeof part, host.get()) != nullptr;)
        text += part;
    return nlohmann::json::parse(text);
}

// In which most samples of a row were taken, all contenders together.
std::string common_regime(const std::vector<figure>& row) {
    std::map<std::string, std::size_t> count;
    for (const figure& f : row)
        for (const sample& s : f.samples) ++count[s.regime];
    const auto most = std::ranges::max_element(count, {}, [](const auto& c) { return c.second; });
    return most == count.end() ? "" : most->first;
}

}  // namespace

void conclude(std::vector<figure>& row, unsigned repetitions) {
    const std::string regime = common_regime(row);
    for (figure& f : row) {
        std::vector<double> values;
        for (const sample& s : f.samples)
            if (s.regime == regime) values.push_back(s.value);
        if (!f.invalid.empty()) {
            f.flags.push_back(f.invalid);
        } else if (values.empty()) {
            f.flags.push_back(f.samples.empty() ? "every sample was dropped" : "other regime");
        } else {
            f.middle = quartiles_of(values);
            if (values.size() != f.samples.size()) f.flags.push_back("mixed regimes");
            if (!f.of.exact &&
                values.size() < std::min(enough, f.of.runs != 0 ? f.of.runs : repetitions))
                f.flags.push_back("few samples");
        }
    }
}

std::vector<figure> measure(const plan& p) {
    std::vector<std::vector<figure>> rows;
    for (const measurement& m : p.all) {
        const bool same =
            m.kind != "limit" && !rows.empty() && rows.back().front().of.name == m.name;
        if (!same) rows.emplace_back();
        rows.back().push_back({.of = m});
    }
    std::vector<figure> done;
    probes probe;
    progress said(rows.size(), p.all.size());
    for (std::vector<figure>& row : rows) {
        said.row(row);
        for (unsigned round = 0; round < attempts_each * p.with.repetitions; ++round)
            for (figure& f : row)
                if (f.invalid.empty() && round < attempts_each * runs_of(f, p.with) &&
                    f.samples.size() < runs_of(f, p.with))
                    take(f, p.with, round, probe);
        conclude(row, p.with.repetitions);
        said.clear();
        for (const figure& f : row) print(f, limits_of(row));
        std::ranges::move(row, std::back_inserter(done));
    }
    return done;
}

std::string time_left(double spent, std::size_t done, std::size_t of) {
    if (done == 0) return "";  // there is nothing that the rest could be like
    char text[40];
    std::snprintf(text, sizeof text, ", about %.0f s left",
                  spent / static_cast<double>(done) * static_cast<double>(of - done));
    return text;
}

void take_turns(const plan& p, std::istream& asked) {
    probes probe(true);  // on a busy host a probe takes longer than the sample between two of them
    settings with = p.with;
    std::string name;
    while (asked >> with.seconds && std::getline(asked >> std::ws, name)) {
        const auto m = std::ranges::find(p.all, name, &measurement::full_name);
        if (m == p.all.end()) throw std::runtime_error("no figure is called " + name);
        figure f{.of = *m};
        take(f, with, 0, probe);
        nlohmann::json j;
        if (!f.invalid.empty()) {
            j["invalid"] = f.invalid;
        } else if (f.samples.empty()) {
            j["dropped"] = f.starved != 0 ? "starved" : "probe changed";
        } else {
            j["value"] = f.samples[0].value;
            j["regime"] = f.samples[0].regime;
        }
        std::puts(j.dump().c_str());
        std::fflush(stdout);
    }
}

nlohmann::json report(const plan& p, const std::vector<figure>& figures) {
    nlohmann::json all = {{"schema", 1},
                          {"program", "assay-perf"},
                          {"host", fingerprint()},
                          {"settings",
                           {{"repetitions", p.with.repetitions},
                            {"seconds", p.with.seconds},
                            {"seed", p.with.seed},
                            {"quick", p.with.quick}}},
                          {"missing", p.missing},
                          {"limits", nlohmann::json::array()},
                          {"figures", nlohmann::json::array()}};
    const auto limits = limits_of(figures);
    for (const figure& f : figures) {
        nlohmann::json j = common(f);
        j["samples"] = nlohmann::json::array();
        if (f.of.kind == "limit") {
            j["what"] = f.of.what;
            for (const sample& s : f.samples) j["samples"].push_back(s.value);
            all["limits"].push_back(std::move(j));
            continue;
        }
        for (const sample& s : f.samples)
            j["samples"].push_back({{"value", s.value},
                                    {"regime", s.regime},
                                    {"probe_ns", s.probe_ns},
                                    {"round", s.round}});
        if (!f.of.what.empty()) j["what"] = f.of.what;
        j["structure"] = f.of.structure;
        j["kind"] = f.of.kind;
        j["contender"] = f.of.contender;
        j["parameters"] = as_json(f.of.parameters);
        j["better"] = f.of.better;
        j["limit"] = f.of.limit.empty() ? nlohmann::json(nullptr) : nlohmann::json(f.of.limit);
        j["dropped"] = {{"probe_changed", f.probe_changed}, {"starved", f.starved}};
        j["ratio_to_limit"] = optional_number(ratio(f, limits));
        j["percentiles"] = percentiles(f);
        all["figures"].push_back(std::move(j));
    }
    return all;
}

}  // namespace assay_perf
