// assay-proptest: property tests of the library against reference models.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "proptest/harness.hpp"
#include "scripts/stage.hpp"

namespace assay_proptest {

namespace {

constexpr double shrink_limit = 10;  // seconds

double seconds_now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <std::size_t N>
void copy_text(char (&to)[N], std::string_view from) {
    const std::size_t n = std::min(from.size(), N - 1);
    std::memcpy(to, from.data(), n);
    to[n] = 0;
}

// Memory that a forked process shares with this one.
progress* new_progress() {
    void* at =
        mmap(nullptr, sizeof(progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    return new (at) progress{};
}

std::string describe_end(int status) {
    if (WIFSIGNALED(status))
        return std::string("killed by ") + strsignal(WTERMSIG(status)) +
               (WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
    return "ended with status " + std::to_string(WEXITSTATUS(status)) +
           " (see the report of the sanitizer above)";
}

// What the body throws beside a violation is one as well: a property names the exceptions it
// allows.
std::optional<std::string> violation_of(const std::function<void()>& body) {
    try {
        body();
        return std::nullopt;
    } catch (const violation& v) {
        return v.what;
    } catch (const std::exception& e) {
        return std::string("unexpected exception: ") + e.what();
    }
}

}  // namespace

context::context(progress& p, std::uint64_t seed, std::string_view name, const limits& l)
    : progress_(p), name_seed_(seed), limits_(l), begin_(seconds_now()) {
    for (const char ch : name)  // FNV-1a, so that checks differ in their cases
        name_seed_ = (name_seed_ ^ static_cast<unsigned char>(ch)) * 0x100000001b3;
}

bool context::next() {
    if (limits_.only && next_ > 0) return false;
    const bool in_time = seconds_now() - begin_ < limits_.seconds;
    if (next_ >= limits_.at_most || (!in_time && next_ >= limits_.at_least)) return false;
    number_ = limits_.only.value_or(next_);
    ++next_;
    progress_.current = number_;
    case_seed_ = rc::Random(rc::Random::Key{name_seed_, number_, 0, 0}).next();
    return true;
}

std::optional<std::string> context::attempt(const std::function<void()>& body) {
    ++progress_.beat;
    auto failure = limits_.isolated ? attempt_isolated(body) : violation_of(body);
    if (!failure && found_at_ == 0) ++progress_.cases;
    if (failure && found_at_ == 0) found_at_ = seconds_now();
    return failure;
}

std::optional<std::string> context::attempt_isolated(const std::function<void()>& body) {
    static progress* const answer = new_progress();
    answer->message[0] = 0;
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const auto ms = static_cast<long>(limits_.patience * 1000);
        const itimerval timer{{0, 0}, {ms / 1000, ms % 1000 * 1000}};
        setitimer(ITIMER_REAL, &timer, nullptr);
        // A hundred candidates that crash would bury the report under theirs.
        const int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (found_at_ > 0) dup2(quiet, STDERR_FILENO);
        if (const auto failure = violation_of(body)) copy_text(answer->message, *failure);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        if (answer->message[0] == 0) return std::nullopt;
        return answer->message;
    }
    return describe_end(status);
}

bool context::time_to_shrink() const { return seconds_now() - found_at_ < shrink_limit; }

void context::found(const std::string& message, const std::string& example, std::size_t length,
                    std::uint64_t shrinks) {
    copy_text(progress_.message, message);
    copy_text(progress_.example, example);
    progress_.length = length;
    progress_.shrinks = shrinks;
    progress_.found = true;
}

std::vector<check>& checks() {
    static std::vector<check> all;
    return all;
}

namespace {

// Waits for a check's process; empty when it ended by itself.
std::string supervise(pid_t child, const progress& p, double patience) {
    int status = 0;
    std::uint64_t beat = 0;
    double seen = seconds_now();
    std::string end;
    for (;;) {
        const pid_t r = waitpid(child, &status, WNOHANG);
        if (r == child) break;
        if (p.beat != beat) {
            beat = p.beat;
            seen = seconds_now();
        } else if (seconds_now() - seen > patience) {
            end = "no attempt ended within " + std::to_string(patience) + " s: it hangs";
            kill(-child, SIGKILL);
            waitpid(child, &status, 0);
            break;
        }
        usleep(1000);
    }
    kill(-child, SIGKILL);  // whatever processes it left, and the segment that they may have named
    unlink(("/dev/shm/assay-proptest-" + std::to_string(child)).c_str());
    if (end.empty() && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) end = describe_end(status);
    return end;
}

outcome run_once(const check& what, std::uint64_t seed, const context::limits& limits,
                 std::string& end) {
    progress* const p = new_progress();
    const double begin = seconds_now();
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
    if (child == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        context c(*p, seed, what.name, limits);
        what.body(c);
        std::fflush(nullptr);
        _exit(0);
    }
    setpgid(child, child);
    // In isolation the attempt's own alarm comes first.
    end = supervise(child, *p, limits.isolated ? 2 * limits.patience + 1 : limits.patience);
    outcome o;
    o.seconds = seconds_now() - begin;
    o.cases = p->cases;
    o.failing_case = p->current;
    o.failed = p->found || !end.empty();
    if (p->found) {
        o.message = p->message;
        o.example = p->example;
        o.length = p->length;
        o.shrinks = p->shrinks;
    }
    munmap(p, sizeof(progress));
    return o;
}

}  // namespace

outcome run(const check& what, std::uint64_t seed, context::limits limits) {
    limits.patience = what.patience;
    std::string end;
    outcome o = run_once(what, seed, limits, end);
    if (end.empty()) return o;
    o.message = end;
    if (!what.repeatable) return o;
    context::limits again = limits;
    again.only = o.failing_case;
    again.isolated = true;
    std::string end_again;
    const outcome shrunk = run_once(what, seed, again, end_again);
    if (!shrunk.failed || !end_again.empty()) return o;
    o.message = shrunk.message;
    o.example = shrunk.example;
    o.length = shrunk.length;
    o.shrinks = shrunk.shrinks;
    o.seconds += shrunk.seconds;
    return o;
}

std::string reproduction(const check& what, std::uint64_t seed, const outcome& o) {
    return "assay-proptest " + what.name + " --seed " + std::to_string(seed) + " --case " +
           std::to_string(o.failing_case);
}

namespace {

struct options {
    std::vector<std::string> filters;
    std::string json;
    std::uint64_t seed = 1;
    double seconds = 30;
    std::optional<std::uint64_t> only;
    bool list = false;
};

std::string describe(const outcome& o) {
    std::string text = "case " + std::to_string(o.failing_case) + ": " + o.message;
    if (!o.example.empty())
        text += "; counterexample of length " + std::to_string(o.length) + " after " +
                std::to_string(o.shrinks) + " shrinks: " + o.example;
    return text;
}

assay_stage::check judge(const check& what, const options& opt, const outcome& o) {
    using assay_stage::verdict;
    assay_stage::check r{what.name, what.what, o.cases, "cases"};
    r.seconds = o.seconds;
    r.reproduce = reproduction(what, opt.seed, o);
    r.canary = what.canary;
    if (o.failed) r.detail = describe(o);
    if (!what.canary || opt.only) {
        r.canary = false;  // to repeat one case is to ask whether it fails
        const std::uint64_t least = opt.only ? 1 : what.at_least;
        if (!o.failed && o.cases < least)
            r.detail = "only " + std::to_string(o.cases) + " of at least " + std::to_string(least) +
                       " cases ran";
        r.verdict = o.failed || o.cases < least ? verdict::failed : verdict::bounded;
        if (o.failed) r.amount = o.cases + 1;
        return r;
    }
    r.amount = o.cases + (o.failed ? 1 : 0);
    r.verdict = o.failed ? verdict::verified : verdict::failed;
    if (!o.failed) r.detail = "this bug was not caught";
    if (o.failed && what.longest != 0 && o.length > what.longest) {
        r.verdict = verdict::failed;
        r.detail = "caught, but the shrunk counterexample is longer than " +
                   std::to_string(what.longest) + "; " + r.detail;
    }
    return r;
}

bool selected(const check& c, const options& opt) {
    return opt.filters.empty() ||
           std::any_of(opt.filters.begin(), opt.filters.end(),
                       [&](const std::string& f) { return c.name.starts_with(f); });
}

int main_program(const options& opt) {
    std::vector<check> chosen;
    for (const check& c : checks())
        if (selected(c, opt)) chosen.push_back(c);
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const check& a, const check& b) { return a.name < b.name; });
    if (opt.list) {
        for (const check& c : chosen)
            std::printf("%-58s %s%s\n", c.name.c_str(), c.canary ? "[canary] " : "",
                        c.what.c_str());
        return 0;
    }
    double weights = 0;
    for (const check& c : chosen)
        if (!c.canary) weights += c.weight;
    std::printf("assay-proptest: seed %llu, %.0f s\n", static_cast<unsigned long long>(opt.seed),
                opt.seconds);
    assay_stage::report report("assay-proptest", opt.seed);
    for (const check& c : chosen) {
        context::limits limits;
        limits.at_least = c.at_least;
        if (c.canary) {
            limits.seconds = 10;  // a bug of this size shows within the first cases
        } else {
            limits.seconds = opt.seconds * c.weight / weights;
        }
        limits.only = opt.only;
        if (opt.only && !c.repeatable) limits.repeat = 200;
        report.add(judge(c, opt, run(c, opt.seed, limits)));
    }
    return report.finish(opt.json);
}

}  // namespace
}  // namespace assay_proptest

int main(int argc, char** argv) {
    assay_proptest::options opt;
    CLI::App app{"Property tests of assay: random inputs, reference models, shrunk failures."};
    app.add_option("filter", opt.filters, "prefixes of the checks to run; all by default");
    app.add_option("--json", opt.json, "write the result as JSON to this file");
    app.add_option("--seed", opt.seed, "of all random choices")->capture_default_str();
    app.add_option("--seconds", opt.seconds, "time budget for all checks")->capture_default_str();
    app.add_option("--case", opt.only, "only the case of this number; status 1 when it fails");
    app.add_flag("--list", opt.list, "name the checks and stop");
    CLI11_PARSE(app, argc, argv);
    return assay_proptest::main_program(opt);
}
