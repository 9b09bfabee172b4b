// main.cpp -- runs the checks, each in a process of its own, watches them, and cleans up.
//
// If this process ends in whatever way, the kernel kills all others (begin_process), and the
// janitor, who waits on a pipe that all of them hold open, then removes what is in /dev/shm.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "scripts/stage.hpp"
#include "stress/harness.hpp"
#include "stress/kill/matrix.hpp"
#include "stress/litmus/litmus.hpp"

namespace assay_stress {
namespace {

namespace fs = std::filesystem;
using assay_stage::verdict;

struct settings {
    std::vector<std::string> filters;
    std::string json;
    std::string failures = ASSAY_FAILURES;
    std::uint64_t seed = 0;
    double budget = 60;
    unsigned processes = 0;
    bool list = false;
};

constexpr double canary_budget = 10;  // most are caught in a fraction of a second
constexpr double canary_usual = 0.4;  // what is set aside for one
constexpr double grace = 30;          // a conductor ends so long after its time, or is hung

std::vector<fs::path> segments_of(const std::string& prefix) {
    std::vector<fs::path> found;
    std::error_code ignored;
    for (const auto& f : fs::directory_iterator("/dev/shm", ignored))
        if (f.path().filename().string().starts_with(prefix)) found.push_back(f.path());
    return found;
}

void remove_traces(const std::string& prefix) {
    std::error_code ignored;
    for (const auto& f : segments_of(prefix)) fs::remove(f, ignored);
    remove_quota_groups(prefix);
}

// Ends when the last process of this run has ended, however that came about.
class janitor {
public:
    explicit janitor(const std::string& prefix) {
        int ends[2];
        if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
        hold_ = ends[1];
        pid_ = ::fork();
        if (pid_ != 0) {
            ::close(ends[0]);
            return;
        }
        ::setsid();  // Ctrl-C is not for us
        ::close(ends[1]);
        for (const int fd : {0, 1, 2}) ::close(fd);
        char byte;
        while (::read(ends[0], &byte, 1) < 0 && errno == EINTR) {
        }
        remove_traces(prefix);
        ::_exit(0);
    }
    ~janitor() {
        ::close(hold_);
        ::waitpid(pid_, nullptr, 0);
    }
    janitor(const janitor&) = delete;
    janitor& operator=(const janitor&) = delete;

private:
    int hold_;
    pid_t pid_;
};

std::string shell_name(const settings& s) {
    return s.processes == 0 ? "" : " --processes " + std::to_string(s.processes);
}

// The segments, the plan, and each worker's last operations.
std::string keep_corpse(const settings& s, const check& c, const std::string& prefix) {
    const board& b = *the_board;
    std::string name = c.name + "-" + std::to_string(b.episode_seed.load());
    std::replace(name.begin(), name.end(), '/', '_');
    const fs::path folder = fs::path(s.failures) / name;
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    fs::create_directories(folder, ignored);
    for (const auto& f : segments_of(prefix))
        fs::copy_file(f, folder / f.filename().string().substr(prefix.size()), ignored);
    std::ofstream log(folder / "log.txt");
    log << c.name << ": " << c.what << "\nfailure: " << b.message << "\nplan: " << b.plan
        << "\nseed: " << b.episode_seed << "\n";
    for (unsigned i = 0; i < std::min<unsigned>(b.team, max_workers); ++i) {
        const worker_slot& w = b.workers[i];
        const std::uint64_t n = w.operations;
        log << "\nworker " << i << " (pid " << w.pid << ", life " << w.life
            << (w.finished ? ", finished" : "") << "), " << n << " operations\n";
        for (std::uint64_t k = n < log_lines ? 0 : n - log_lines; k < n; ++k) {
            const log_line& line = w.log[k % log_lines];
            log << "  " << k << "  " << (line.what == nullptr ? "?" : line.what) << ' ' << line.a
                << ' ' << line.b << '\n';
        }
    }
    return folder.string();
}

struct ending {
    int status = 0;
    bool hung = false;
    double seconds = 0;
};

// Runs the check in a conductor, and sees to it that nothing of it is left alive.
ending conduct(const settings& s, const check& c, const std::string& prefix, double budget) {
    std::memset(static_cast<void*>(the_board), 0, sizeof *the_board);
    the_board->episode_seed = s.seed;
    const auto start = clock::now();
    const int parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::setpgid(0, 0);
        begin_process(parent);
        run_process([&] {
            context given(s.seed, budget, s.processes, !c.caught_by.empty(), prefix);
            c.run(given);
            given.expect_clean();
        });
    }
    ::setpgid(pid, pid);
    ending e;
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    while (::waitpid(pid, &e.status, WNOHANG) == 0) {
        const timespec tick{0, 50'000'000};
        ::sigtimedwait(&ended, nullptr, &tick);
        if (seconds(clock::now() - start).count() > budget * 1.5 + grace) {
            e.hung = true;
            break;
        }
    }
    // We are the subreaper of whatever is left of the group.
    ::kill(-pid, SIGKILL);
    while (::waitpid(-pid, nullptr, 0) > 0 || errno == EINTR) {
    }
    e.seconds = seconds(clock::now() - start).count();
    return e;
}

std::string failure(const ending& e) {
    const board& b = *the_board;
    if (b.state == board::failed) return b.message;
    if (e.hung) return std::string("the check hangs; plan: ") + b.plan;
    if (WIFSIGNALED(e.status))
        return std::string("the check itself died of ") + ::strsignal(WTERMSIG(e.status));
    if (WEXITSTATUS(e.status) != 0) return "the check ended without saying why";
    return "";
}

std::string statistics() {
    const board& b = *the_board;
    std::string text;
    const auto add = [&](std::uint64_t n, const char* what) {
        if (n != 0) text += (text.empty() ? "" : ", ") + std::to_string(n) + what;
    };
    add(b.episodes, " episodes");
    add(b.kills, " kills");
    add(b.stops, " stops");
    add(b.throttled, " times throttled");
    add(b.slowest_us, " us the slowest");
    return text;
}

assay_stage::check run(const settings& s, const check& c, double budget) {
    const std::string prefix = "assay-stress-" + std::to_string(::getpid()) + "-";
    const bool canary = !c.caught_by.empty();
    const ending e = conduct(s, c, prefix, budget);
    assay_stage::check result{.name = c.name, .what = c.what, .unit = c.unit};
    result.amount = the_board->amount;
    result.seconds = e.seconds;
    result.canary = canary;
    result.reproduce = "assay-stress " + c.name + " --seed " +
                       std::to_string(the_board->episode_seed.load()) + shell_name(s);
    const std::string found = failure(e);
    if (the_board->state == board::skipped) {
        result.verdict = verdict::skipped;
        result.detail = the_board->message;
        result.amount = 0;
    } else if (canary) {
        const bool caught = std::any_of(
            c.caught_by.begin(), c.caught_by.end(),
            [&](const std::string& word) { return found.find(word) != std::string::npos; });
        result.verdict = caught ? verdict::verified : verdict::failed;
        result.detail = caught          ? "caught: " + found
                        : found.empty() ? "this deliberate bug was not caught"
                                        : "failed, but not as its bug should: " + found;
        result.amount = std::max<std::uint64_t>(result.amount, 1);
    } else if (!found.empty()) {
        result.verdict = verdict::failed;
        result.detail =
            found + " [plan: " + the_board->plan + "] kept in " + keep_corpse(s, c, prefix);
        result.amount = std::max<std::uint64_t>(result.amount, 1);
    } else {
        result.verdict = verdict::bounded;
        result.detail = statistics();
    }
    remove_traces(prefix);
    return result;
}

bool selected(const settings& s, const check& c) {
    return s.filters.empty() ||
           std::any_of(s.filters.begin(), s.filters.end(),
                       [&](const std::string& f) { return c.name.starts_with(f); });
}

double time_for(const check& c) { return c.caught_by.empty() ? 0 : canary_usual; }
double weight_of(const check& c) { return c.caught_by.empty() ? c.weight : 0; }

int run_all(const settings& s) {
    std::vector<const check*> todo;
    for (const check& c : all_checks())
        if (selected(s, c)) todo.push_back(&c);
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    assay_stage::report report("assay-stress", s.seed);
    double left = s.budget;
    for (std::size_t i = 0; i < todo.size(); ++i) {
        double weights = 0, canaries = 0;
        for (std::size_t k = i; k < todo.size(); ++k) {
            weights += weight_of(*todo[k]);
            canaries += time_for(*todo[k]);
        }
        const bool canary = !todo[i]->caught_by.empty();
        const double budget =
            canary ? canary_budget : std::max(0.1, left - canaries) * weight_of(*todo[i]) / weights;
        if (terminal) {
            std::fprintf(stderr, "\r\033[K%3zu of %zu  %s, about %.0f s left\r", i + 1, todo.size(),
                         todo[i]->name.c_str(), std::max(left, 0.0));
        }
        assay_stage::check result = run(s, *todo[i], budget);
        if (terminal) std::fprintf(stderr, "\033[K");
        left -= result.seconds;
        report.add(std::move(result));
    }
    return report.finish(s.json);
}

}  // namespace
}  // namespace assay_stress

int main(int argc, char** argv) {
    using namespace assay_stress;
    settings s;
    s.seed = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                        std::chrono::milliseconds(1));
    CLI::App app("Multi-process stress of every structure, with kills, stops and schedule noise");
    app.add_option("filter", s.filters, "run only checks whose names begin so (queue/)");
    app.add_flag("--list", s.list, "name the checks and end");
    app.add_option("--json", s.json, "write a stage report (scripts/README.md)");
    app.add_option("--seed", s.seed, "of the plan; the kernel's schedule differs each time");
    app.add_option("--seconds", s.budget, "time in all")->capture_default_str();
    app.add_option("--processes", s.processes,
                   "in each episode; default: 2 to four times the cores")
        ->check(CLI::Range(2u, max_workers));
    app.add_option("--failures", s.failures, "where failing segments and logs are kept")
        ->capture_default_str();
    assay_kill::settings k;
    CLI::App* const kill =
        app.add_subcommand("kill", "Kill and stop each operation after each of its instructions");
    kill->add_option("filter", k.filters, "only rows whose names begin so (queue/enqueue)");
    kill->add_flag("--list", k.list, "name the rows and end");
    kill->add_flag("--all", k.all, "every kill point, however long it takes");
    kill->add_option("--seconds", k.seconds, "time in all, without --all")->capture_default_str();
    kill->add_option("--at", k.at, "only this kill point of each row; a failure names it");
    kill->add_option("--json", k.json, "write a stage report (scripts/README.md)");
    kill->add_option("--page", k.page, "write the table as Markdown");
    assay_litmus::settings l;
    l.seed = s.seed;
    CLI::App* const litmus = app.add_subcommand(
        "litmus", "Run the litmus tests of the model checker on these processors");
    litmus->add_option("filter", l.filters, "only tests whose names begin so (SB)");
    litmus->add_flag("--list", l.list, "name the tests and end");
    litmus->add_option("--seconds", l.seconds, "time in all")->capture_default_str();
    litmus->add_option("--seed", l.seed, "of places, rows and delays; the rest is the processor's")
        ->capture_default_str();
    litmus->add_option("--json", l.json, "write a stage report (scripts/README.md)");
    litmus->add_option("--page", l.page, "write the frequencies as Markdown");
    CLI11_PARSE(app, argc, argv);
    if (litmus->parsed()) return assay_litmus::run(l);

    auto& checks = all_checks();
    std::stable_sort(checks.begin(), checks.end(),
                     [](const check& a, const check& b) { return a.name < b.name; });
    if (s.list) {
        for (const check& c : checks) std::printf("%-56s %s\n", c.name.c_str(), c.what.c_str());
        return 0;
    }

    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, nullptr);  // received by sigtimedwait, in us and in conductors
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const std::string prefix = "assay-stress-" + std::to_string(::getpid()) + "-";
    const janitor cleaner(prefix);
    if (kill->parsed()) return assay_kill::run(k, prefix);
    the_board = share<board>();
    std::printf("assay-stress --seed %llu\n", static_cast<unsigned long long>(s.seed));
    std::fflush(stdout);
    return run_all(s);
}
