// main.cpp -- the command line of assay-perf.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "perf/host.hpp"
#include "perf/peers/peers.hpp"
#include "perf/plan.hpp"
#include "perf/runner.hpp"

namespace assay_perf {
namespace {

constexpr settings quick_settings{.repetitions = 3, .seconds = 0.015, .seed = 1, .quick = true};

int run(plan& p, const std::vector<std::string>& filters, bool list, bool turns,
        const std::string& json) {
    p.missing = missing_peers();
    if (pairs().empty())
        p.missing.emplace_back(
            "two processors: this process may use one only, so no row of two "
            "processes is measured (see taskset, cpuset)");
    for (const auto& adds : enlisted()) adds(p);
    choose(p, filters);
    if (turns) {
        take_turns(p, std::cin);
        return 0;
    }
    if (list) {
        for (const measurement& m : p.all) std::puts(m.full_name().c_str());
        return 0;
    }
    if (p.all.empty()) throw std::runtime_error("nothing has such a name: see --list");
    pin(allowed_cpus().front());  // throws where that is not permitted
    unpin();
    for (const std::string& m : p.missing) std::printf("missing  %s\n", m.c_str());
    const std::vector<figure> figures = measure(p);
    if (!json.empty()) {
        std::ofstream file(json);
        file << report(p, figures).dump(1) << '\n';
        if (!file.flush()) throw std::runtime_error("cannot write " + json);
    }
    return 0;
}

}  // namespace
}  // namespace assay_perf

int main(int argc, char** argv) {
    using namespace assay_perf;
    plan p;
    bool list = false, turns = false;
    std::string json;
    std::vector<std::string> filters;
    CLI::App app("Throughput and latency of every structure, beside peers and physical limits");
    app.add_option("filter", filters,
                   "only figures whose names begin so (queue/throughput, limits)");
    app.add_flag("--list", list, "name the figures and end");
    app.add_flag("--turns", turns, "answer each \"SECONDS NAME\" with a sample (scripts/compare)");
    app.add_option("--json", json, "write the figures (perf/README.md)");
    app.add_flag("--quick", p.with.quick, "fewer and shorter runs: a look, not a result");
    auto* const repetitions = app.add_option("--repetitions", p.with.repetitions, "of each figure");
    repetitions->check(CLI::Range(1u, 1000u))->capture_default_str();
    auto* const seed = app.add_option("--seed", p.with.seed, "of keys and orders");
    seed->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    if (p.with.quick) {
        const settings asked = p.with;
        p.with = quick_settings;
        p.with.seed = asked.seed;
        if (repetitions->count() != 0) p.with.repetitions = asked.repetitions;
    }
    try {
        return run(p, filters, list, turns, json);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "assay-perf: %s\n", e.what());
        return 2;
    }
}
