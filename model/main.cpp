// main.cpp -- assay-model: the library's own headers under every execution that RC11 allows.
#include <unistd.h>

#include <CLI/CLI.hpp>  // subcommands, help and errors of a command line
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/audit.hpp"
#include "model/explain.hpp"
#include "model/litmus_table.hpp"
#include "model/smallest.hpp"
#include "model/tests.hpp"
#include "scripts/stage.hpp"

namespace assay::model {
namespace {

constexpr int exit_verified = 0, exit_failed = 1, exit_bounded = 2, exit_usage = 3;

struct options {
    std::vector<std::string> filters;
    std::string json, pictures;
    unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
    double seconds = 0;
    std::uint64_t seed = 0;
    bool large = false;
    std::uint64_t executions = 0;
    std::vector<std::string> weaken;
    bool force_sc = false;
    std::string scenario, script;  // of a replay
    std::vector<unsigned> without;
    std::size_t events = 0;
    bool break_on_failure = false;
    std::string checkpoint, resume;
    bool no_symmetry = false;
    checker::sampling sampling;
};

std::vector<test> all_tests() {
    std::vector<test> all;
    for (const auto& some :
         {owner_tests(), event_tests(), posix_shm_tests(), table_tests(), atomic_tests(),
          queue_tests(), queue_waits_tests(), object_pool_tests(), ring_buffer_tests(),
          mrsw_array_tests(), large_map_tests(), broken_tests(), corpus_tests()})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}

// Those that the filters match: the large or the others, and what is named in full.
std::vector<test> chosen(const options& o) {
    std::vector<test> some;
    std::size_t others = 0;
    for (const test& t : all_tests()) {
        const auto begins = [&t](const std::string& f) {
            return std::string_view(t.name).starts_with(f);
        };
        const auto names = [&t](const std::string& f) { return t.name == f; };
        if (!o.filters.empty() && std::ranges::none_of(o.filters, begins)) continue;
        if (t.large == o.large || std::ranges::any_of(o.filters, names))
            some.push_back(t);
        else
            ++others;
    }
    if (others > 0)
        std::fprintf(stderr, "assay-model: %zu %s scenarios are left out%s\n", others,
                     o.large ? "small" : "large", o.large ? "" : "; --large runs them");
    else if (some.empty())
        std::fprintf(stderr, "assay-model: no scenario begins with that; see assay-model list\n");
    return some;
}

checker::settings settings_of(const test& t, const options& o) {
    checker::settings how = t.how;
    how.workers = o.jobs;
    how.force_sc = o.force_sc;
    how.use_symmetry = !o.no_symmetry;
    for (const unsigned p : o.without) how.running.left_out |= 1u << p;
    if (o.events > 0) how.running.max_events = o.events;
    if (o.seconds > 0) how.stop_at.seconds = o.seconds;
    for (const auto& w : o.weaken) how.weaker.push_back(checker::parse_weakening(w));
    return how;
}

std::atomic<bool> interrupted{false};

// Once: the second time, the signal kills as usual.
void stop_on_interrupt() {
    struct sigaction act {};
    act.sa_handler = [](int) { interrupted = true; };
    act.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &act, nullptr);
    sigaction(SIGTERM, &act, nullptr);
}

// What a checkpoint is of. Another build may have other events, even of the same scenario.
std::string identity(const test& t, const checker::settings& how) {
    std::ifstream program("/proc/self/exe", std::ios::binary);
    std::size_t build = 0;
    for (char some[1 << 16]; program.read(some, sizeof some) || program.gcount() > 0;) {
        const std::string_view bytes(some, static_cast<std::size_t>(program.gcount()));
        build = build * 31 + std::hash<std::string_view>()(bytes);
    }
    return std::string("scenario: ") + t.name + "\nbuild: " + std::to_string(build) + "\n" +
           checker::describe(how);
}

// From a checkpoint, or to one, if asked for.
checker::result explore(const test& t, checker::settings how, const options& o) {
    if (o.sampling.samples > 0) return sample(t.body, how, o.sampling);
    if (o.checkpoint.empty() && o.resume.empty()) return explore(t.body, how);
    const std::string of = identity(t, how);
    if (!o.resume.empty())
        how.resume = std::make_shared<checker::checkpoint>(checker::load(of, o.resume));
    if (!o.checkpoint.empty()) {
        how.keep_open_work = true;
        how.interrupted = &interrupted;
        stop_on_interrupt();
    }
    checker::result r = explore(t.body, how);
    if (r.open) {
        checker::save(*r.open, of, o.checkpoint);
        std::printf("checkpoint with %zu open items: %s\n", r.open->open.size(),
                    o.checkpoint.c_str());
    }
    return r;
}

// "run NAME" or "replay NAME SCRIPT", with the orders that are in force.
std::string command(const std::string& what, const options& o) {
    std::string line = "assay-model " + what;
    for (const unsigned p : o.without) line += " --without " + std::to_string(p);
    if (o.events > 0) line += " --events " + std::to_string(o.events);
    for (const auto& w : o.weaken) line += " --weaken " + w;
    if (o.no_symmetry) line += " --no-symmetry";
    return line + (o.force_sc ? " --force-sc" : "");
}

// Is it the order of memory accesses that is wrong, or would it fail under any?
std::string blame(const test& t, const checker::settings& how) {
    checker::settings strongest = how;
    strongest.force_sc = true;
    strongest.weaker.clear();
    strongest.running = t.how.running;  // all of the program
    strongest.stop_at.seconds = 10;
    const checker::result r = explore(t.body, strongest);
    if (checker::failed_verdict(r.what))
        return "with --force-sc it fails as well: the interleaving is wrong, whatever the orders";
    return std::string("with --force-sc: ") + checker::name(r.what) +
           "; so an order is too weak, the interleaving by itself is not wrong";
}

// `r` is of replay().
counterexample describe(const test& t, const options& o, const checker::result& r) {
    counterexample c = explain(t.name, process_names(t.body), r);
    if (!o.force_sc) c.remarks.push_back(blame(t, settings_of(t, o)));
    c.replay = command(std::string("replay ") + t.name + " " + r.script, o);
    return c;
}

// Does the script lead to the failure that it was printed for? Says how not.
std::string compare(const checker::result& found, const checker::result& again) {
    const std::string differs = "; replayed, it differs: ";
    if (again.what != found.what) return differs + checker::name(again.what) + ": " + again.message;
    // What differs each time is different again.
    if (found.what != checker::verdict::nondeterministic && again.message != found.message)
        return differs + again.message;
    const bool same = fingerprint(*again.counterexample) == fingerprint(*found.counterexample);
    return same ? "" : differs + "another graph";
}

// The counterexample's execution alone, from its script. Says in `problem` if that is not the same.
checker::result repeat(const test& t, const checker::settings& how, const checker::result& found,
                       std::string& problem) {
    try {
        checker::result again = replay(t.body, how, found.script);
        problem = compare(found, again);
        again.executions = found.executions;
        again.blocked = found.blocked;
        if (found.what == checker::verdict::nondeterministic) again.message = found.message;
        return again;
    } catch (const checker::bad_script& e) {
        // What differs each time need not follow a script.
        if (found.what != checker::verdict::nondeterministic)
            problem = std::string("; not replayed: ") + e.what();
        return found;
    }
}

// The smallest counterexample of this kind that a few seconds can find; `first` is the one that
// the exploration stopped at, and `again` the same of replay().
counterexample describe_smallest(const test& t, options o, const checker::result& first,
                                 const checker::result& again) {
    const checker::settings how = settings_of(t, o);
    smaller small = smallest(t.body, how, first, again, 3);
    // The limit of events has helped to find it; most often it is the same without.
    const std::size_t limit = std::exchange(small.how.running.max_events, how.running.max_events);
    std::string problem;
    checker::result best = repeat(t, small.how, small.found, problem);
    const bool needs_limit = !problem.empty();
    if (needs_limit) {
        small.how.running.max_events = limit;
        best = repeat(t, small.how, small.found, problem);
    }
    if (!problem.empty()) return describe(t, o, again);
    if (needs_limit) o.events = limit;
    o.without.clear();
    for (unsigned p = 0; p < checker::max_processes; ++p)
        if ((small.how.running.left_out >> p & 1) != 0) o.without.push_back(p);
    counterexample c = describe(t, o, best);
    c.seed = "execution " + std::to_string(first.executions + first.blocked);
    c.remarks.insert(c.remarks.begin(),
                     small.remark + ", " + std::to_string(c.events.size()) + " lines");
    return c;
}

void draw_to(const std::string& folder, const counterexample& c) {
    std::error_code ignored;
    std::filesystem::create_directories(folder, ignored);
    std::string file = c.scenario, reason;
    std::replace(file.begin(), file.end(), '/', '-');
    const std::string path = folder + "/" + file + ".svg";
    if (draw(c, path, reason))
        std::printf("   picture: %s\n", path.c_str());
    else
        std::printf("   no picture: %s\n", reason.c_str());
}

std::string duration(double seconds) {
    char text[32];
    if (seconds > 1e9) return "years";
    if (seconds > 3600)
        std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
    else
        std::snprintf(text, sizeof text, "%.0f s", seconds);
    return text;
}

// Tells somebody who watches how far it is.
checker::settings watched(checker::settings how, const char* name) {
    if (::isatty(STDERR_FILENO) == 0) return how;
    how.tell = [name](const checker::progress& p) {
        if (p.seconds < 1) return;
        // A guess, and said to be one: it can be several times off until most is done.
        const double left = p.explored > 0 ? p.seconds / p.explored - p.seconds : 0;
        std::fprintf(
            stderr,
            "\r%s: %llu executions in %.0f s, %.0f/s; by a rough guess %.2g %% done%s\x1b[K", name,
            static_cast<unsigned long long>(p.executions), p.seconds,
            static_cast<double>(p.executions) / p.seconds, 100 * p.explored,
            left > 0 ? (", " + duration(left) + " to go").c_str() : "");
    };
    return how;
}

const char* bound_of(const checker::result& r) {
    return r.what == checker::verdict::bounded ? "stopped: " : "";
}

// Runs one test; adds its line to the report, and shows the counterexample of a failure that was
// not asked for (or of any, when it was asked for by name).
checker::verdict run_one(const test& t, const options& o, assay_stage::report& report,
                         nlohmann::json& counterexamples, std::vector<checker::site>& executed) {
    const checker::settings how = settings_of(t, o);
    const checker::result r = explore(t, watched(how, t.name), o);
    if (r.seconds > 1 && ::isatty(STDERR_FILENO) != 0) std::fputs("\r\x1b[K", stderr);
    executed.insert(executed.end(), r.sites.begin(), r.sites.end());
    std::string problem;  // with the counterexample
    checker::result again;
    if (r.counterexample) again = repeat(t, how, r, problem);
    const bool canary = checker::failed_verdict(t.expect.what);
    const bool tampered = !o.weaken.empty() || o.force_sc || o.no_symmetry;
    const bool right =
        r.what == t.expect.what && problem.empty() &&
        (t.expect.executions == 0 || tampered || canary || r.executions == t.expect.executions);
    assay_stage::check c;
    c.name = t.name;
    c.what = o.sampling.samples > 0 ? "samples of the executions under RC11"
                                    : "every execution under RC11";
    c.amount = r.executions + r.blocked;
    c.unit = "executions";
    c.seconds = r.seconds;
    c.canary = canary;
    c.reproduce = command(std::string("run ") + t.name, o);
    using assay_stage::verdict;
    if (right)
        c.verdict = r.what == checker::verdict::bounded ? verdict::bounded : verdict::verified;
    else if (r.what == checker::verdict::bounded)
        c.verdict = verdict::bounded;
    else
        c.verdict = verdict::failed;
    char rate[96];
    std::snprintf(rate, sizeof rate, "%llu complete, %llu blocked, %.3f s, %.0f/s",
                  static_cast<unsigned long long>(r.executions),
                  static_cast<unsigned long long>(r.blocked), r.seconds,
                  r.seconds > 0 ? static_cast<double>(r.executions + r.blocked) / r.seconds : 0.0);
    c.detail = rate;
    if (o.sampling.samples > 0)
        c.detail += ", " + std::to_string(r.distinct) + " different, seed " +
                    std::to_string(o.sampling.seed);
    if (r.stands_for > r.executions)
        c.detail +=
            ", for " + std::to_string(r.stands_for) + " with identical processes told apart";
    if (r.what != checker::verdict::verified)
        c.detail += std::string("; ") + bound_of(r) + checker::name(r.what) + ": " + r.message;
    c.detail += problem;
    if (!right && r.what == t.expect.what && problem.empty())
        c.detail += "; " + std::to_string(t.expect.executions) + " executions were expected";
    if (canary && r.what == checker::verdict::verified)
        c.detail +=
            "; this bug was not found, expected was " + std::string(checker::name(t.expect.what));
    report.add(c);
    const bool asked_for = o.filters.size() == 1 && o.filters[0] == t.name;
    if (r.counterexample && (!right || asked_for || !o.pictures.empty())) {
        const bool alike = problem.empty() && r.what != checker::verdict::nondeterministic;
        const counterexample example =
            alike ? describe_smallest(t, o, r, again) : describe(t, o, again);
        std::printf("\n%s\n", to_text(example).c_str());
        if (!o.pictures.empty()) draw_to(o.pictures, example);
        counterexamples.push_back(to_json(example));
    }
    return right && canary ? checker::verdict::verified : r.what;
}

int run_all(const options& o) {
    const std::vector<test> tests = chosen(o);
    if (tests.empty()) return exit_usage;
    if (tests.size() > 1 && !(o.checkpoint.empty() && o.resume.empty())) {
        std::fprintf(stderr, "assay-model: a checkpoint is of one scenario; these are %zu\n",
                     tests.size());
        return exit_usage;
    }
    assay_stage::report report("assay-model", o.seed);
    nlohmann::json counterexamples = nlohmann::json::array();
    std::vector<checker::site> executed;
    bool bounded = false;
    for (const test& t : tests)
        bounded |= run_one(t, o, report, counterexamples, executed) == checker::verdict::bounded &&
                   t.expect.what != checker::verdict::bounded;
    for (const auto& w : o.weaken) check_weakening(checker::parse_weakening(w), executed);
    if (!o.json.empty() && !counterexamples.empty())
        std::ofstream(o.json + ".counterexamples") << counterexamples.dump(2) << '\n';
    if (report.finish(o.json) != 0) return exit_failed;
    return bounded ? exit_bounded : exit_verified;
}

// The one execution that a counterexample's replay line names.
int replay_one(const options& o) {
    const std::vector<test> all = all_tests();
    const auto t = std::find_if(all.begin(), all.end(),
                                [&](const test& one) { return o.scenario == one.name; });
    if (t == all.end()) {
        std::fprintf(stderr, "assay-model: no scenario has the name %s; see assay-model list\n",
                     o.scenario.c_str());
        return exit_usage;
    }
    checker::settings how = settings_of(*t, o);
    how.running.break_on_failure = o.break_on_failure;
    checker::result r;
    try {
        r = replay(t->body, how, o.script);
    } catch (const checker::bad_script& e) {
        std::fprintf(stderr, "assay-model: %s\n", e.what());
        return exit_usage;
    }
    for (const auto& w : how.weaker) check_weakening(w, r.sites);
    if (!checker::failed_verdict(r.what)) {
        std::printf("verified  %s: this execution does not fail\n", t->name);
        return exit_verified;
    }
    const counterexample c = describe(*t, o, r);
    std::printf("%s", to_text(c).c_str());
    if (!o.pictures.empty()) draw_to(o.pictures, c);
    if (!o.json.empty()) std::ofstream(o.json) << to_json(c).dump(2) << '\n';
    return exit_failed;
}

// Only small scenarios; each weakening would run them all again.
int audit_all(const options& o) {
    std::vector<test> small;
    for (const test& t : all_tests())
        if (!t.large) small.push_back(t);
    audit_options how{o.filters, o.jobs};
    if (how.files.empty()) how.files = {"lib/assay/"};
    if (o.executions > 0) how.executions = o.executions;
    if (o.seconds > 0) how.seconds = static_cast<unsigned>(o.seconds);
    const nlohmann::json found =
        audit(small, how, [](const std::string& line) { std::puts(line.c_str()); });
    if (!o.json.empty()) std::ofstream(o.json) << found.dump(1) << '\n';
    bool sound = true;  // as it is, without any change
    for (const auto& s : found["scenarios"])
        sound = sound && (s["verdict"] == "verified" || s["verdict"] == "bounded");
    std::size_t all = 0, caught = 0;
    for (const auto& site : found["sites"])
        for (const auto& w : site["weakenings"]) {
            ++all;
            caught += w["outcome"] == "caught";
        }
    std::printf("%zu sites executed; %zu of %zu weakenings caught\n", found["sites"].size(), caught,
                all);
    return all == 0 ? exit_usage : sound && caught == all ? exit_verified : exit_failed;
}

int list_all() {
    for (const test& t : all_tests())
        std::printf("%-64s expected: %s%s%s\n", t.name, checker::name(t.expect.what),
                    t.expect.executions == 0
                        ? ""
                        : (", " + std::to_string(t.expect.executions) + " executions").c_str(),
                    t.large ? ", large" : "");
    return exit_verified;
}

}  // namespace
}  // namespace assay::model

int main(int argc, char** argv) {
    using namespace assay::model;
    CLI::App app{
        "Runs the library's own headers under every execution that the memory model RC11 allows.\n"
        "Not explored: load buffering (see model/README.md).\n"
        "Exit status: 0 verified, 1 failed, 2 stopped at a bound, 3 usage."};
    app.require_subcommand(1);
    options o;
    auto* list = app.add_subcommand("list", "the scenarios, and what is expected of each");
    auto* run = app.add_subcommand("run", "explore scenarios; without a filter, all small ones");
    run->add_option("filter", o.filters, "names, or beginnings of names");
    run->add_option("--json", o.json, "write the results here");
    run->add_option("--pictures", o.pictures, "draw each counterexample into this folder (SVG)");
    run->add_option("--jobs", o.jobs, "workers")->capture_default_str()->check(CLI::Range(1, 256));
    run->add_option("--seconds", o.seconds, "stop each scenario after so long (then: bounded)");
    run->add_flag("--large", o.large, "the large scenarios instead of the small ones");
    run->add_option("--seed", o.seed, "of --sample; recorded in the results");
    run->add_option("--sample", o.sampling.samples,
                    "do not explore: take so many executions by chance (then: bounded)");
    using assay::checker::strategy;
    const std::map<std::string, strategy> strategies{{"walk", strategy::walk},
                                                     {"pct", strategy::pct}};
    run->add_option("--strategy", o.sampling.how,
                    "of --sample: walk (a random walk) or pct (priorities, few surprises)")
        ->transform(CLI::CheckedTransformer(strategies, CLI::ignore_case));
    run->add_option("--depth", o.sampling.depth, "of pct: surprises, plus one")
        ->capture_default_str()
        ->check(CLI::Range(1, 100));
    run->add_option("--checkpoint", o.checkpoint,
                    "if stopped by --seconds or an interrupt, write what is left to this file");
    run->add_option("--resume", o.resume,
                    "go on from this checkpoint, of the same scenario, build and settings");
    auto* weigh = app.add_subcommand(
        "audit", "weaken each memory order of the library until a scenario fails");
    weigh->add_option("file", o.filters, "only sites in these, for example queue or queue.hpp");
    weigh->add_option("--json", o.json, "write what was found here");
    weigh->add_option("--jobs", o.jobs, "weakenings at a time")->check(CLI::Range(1, 256));
    weigh->add_option("--executions", o.executions, "of each weakening, at most (3000000)");
    weigh->add_option("--seconds", o.seconds, "of processor time for each weakening (300)");
    auto* again = app.add_subcommand(
        "replay", "run one execution again: that of a counterexample, from its replay line");
    again->add_option("scenario", o.scenario, "its full name")->required();
    again->add_option("script", o.script, "what the replay line says")->required();
    again->add_option("--json", o.json, "write the execution here");
    again->add_option("--pictures", o.pictures, "draw the execution into this folder (SVG)");
    again->add_flag("--break-on-failure", o.break_on_failure,
                    "stop in the debugger where the failure is found (raises SIGTRAP)");
    litmus_options litmus_of;
    auto* litmus = app.add_subcommand(
        "litmus", "the named tests of the literature: all their outcomes under RC11");
    litmus->add_option("filter", litmus_of.filters, "beginnings of names");
    litmus->add_option("--json", litmus_of.json, "write the results here");
    litmus->add_flag("--programs", litmus_of.programs, "print the programs, too");
    for (auto* const command : {run, again}) {
        command->add_option("--weaken", o.weaken,
                            "use another order: FILE:LINE[:COLUMN]=ORDER[/ORDER-OF-FAILURE] "
                            "(repeatable)");
        command->add_option("--without", o.without, "leave out this process, from 0 (repeatable)")
            ->check(CLI::Range(0, static_cast<int>(assay::checker::max_processes) - 1));
        command->add_option("--events", o.events, "at most so many events per process");
        command->add_flag("--no-symmetry", o.no_symmetry,
                          "also executions that differ only in which identical process is which");
        command->add_flag("--force-sc", o.force_sc, "make every atomic access seq_cst");
    }
    try {
        app.parse(argc, argv);
        o.sampling.seed = o.seed;
        if (*litmus) return run_litmus(litmus_of);
        return *list ? list_all() : *weigh ? audit_all(o) : *again ? replay_one(o) : run_all(o);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? exit_verified : exit_usage;
    } catch (const assay::checker::bad_checkpoint& e) {
        std::fprintf(stderr, "assay-model: %s\n", e.what());
        return exit_usage;
    } catch (const assay::checker::bad_weakening& e) {
        std::fprintf(stderr, "assay-model: %s\n", e.what());
        return exit_usage;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "assay-model: %s\n", e.what());
        return exit_failed;
    }
}
