// mutants.cpp -- the tests of the model checker notice each deliberate mistake in it.
//
// The checker is compiled here with its mutants (checker/mutant.hpp). Each one is given to the
// random programs of all families in turn, and to the litmus table, in processes of their own: a
// mutant may also crash or run for ever. One row per mutant is printed; the whole table:
//     assay-model-mutants | grep '^mutant'
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>

#include "model/checker/mutant.hpp"
#include "model/tests/litmus.hpp"
#include "model/tests/oracle.hpp"
#include "model/tests/random_programs.hpp"

namespace assay::proof {
namespace {

using checker::mutant;

constexpr std::uint64_t seed = 20'170'618;  // fixed: the table says after how many programs
constexpr int programs_per_family = 2000;
constexpr int programs_of_control = 300;  // per family, where none is to be noticed
constexpr int seconds_per_program = 3;    // of processor time; ordinary ones take a millisecond

struct named_mutant {
    mutant which;
    const char* name;
    const char* only = "";  // the one family that can notice it
};

// What a child process has found out; in memory shared with its parent, so that it outlives a
// crash of the child.
struct notes {
    int programs = 0;  // begun
    int failed = 0;
    char where[64] = "";
    char how[128] = "";

    static void set(char* field, std::size_t size, const std::string& text) {
        std::snprintf(field, size, "%s", text.c_str());
    }
};

class shared_notes {
public:
    shared_notes()
        : page_(mmap(nullptr, sizeof(notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0)) {
        if (page_ == MAP_FAILED) throw std::runtime_error("mmap");
        new (page_) notes;
    }
    ~shared_notes() { munmap(page_, sizeof(notes)); }
    shared_notes(const shared_notes&) = delete;
    shared_notes& operator=(const shared_notes&) = delete;

    notes* operator->() const { return static_cast<notes*>(page_); }
    notes& operator*() const { return *static_cast<notes*>(page_); }

private:
    void* page_;
};

void restart_timer() {
    const itimerval limit{{}, {seconds_per_program, 0}};
    setitimer(ITIMER_VIRTUAL, &limit, nullptr);  // SIGVTALRM ends the process
}

// Runs `body` under a mutant in a process of its own, without a core file and with bounded memory.
void run_in_child(mutant m, notes& out, const std::function<void(notes&)>& body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork");
    if (child == 0) {
        const rlimit no_core{0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        const rlimit memory{4ULL << 30, 4ULL << 30};
        setrlimit(RLIMIT_AS, &memory);
        if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);  // a crash may be noisy
        checker::active_mutant = m;
        body(out);
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    ++out.failed;
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    notes::set(out.how, sizeof out.how,
               signal == SIGVTALRM ? "runs for ever"
               : signal != 0       ? std::string("stopped: ") + strsignal(signal)
                                   : "stopped");
}

// Random programs, one of each family in turn, until one is checked wrongly.
void fuzz(notes& out, int rounds) {
    for (int n = 0; n < rounds; ++n) {
        for (const family& f : families()) {
            ++out.programs;
            notes::set(out.where, sizeof out.where, f.name);
            restart_timer();
            const std::string difference =
                disagreement(random_program(f, seed + static_cast<std::uint64_t>(n)));
            if (difference.empty()) continue;
            ++out.failed;
            notes::set(out.how, sizeof out.how, difference.substr(0, difference.find('\n')));
            return;
        }
    }
}

// The whole litmus table.
void litmus(notes& out) {
    for (const litmus_test& test : litmus_tests()) {
        ++out.programs;
        restart_timer();
        std::set<std::string> outcomes;
        summary found;
        bool stopped = false;
        try {
            found = engine::enumerate(test.code, [&](const execution& x) {
                if (x.is_complete()) outcomes.insert(outcome_of(test, x));
            });
        } catch (const std::exception&) {
            stopped = true;
        }
        const bool same = found.race == test.race && found.complete == test.executions &&
                          found.stuck == test.stuck && outcomes == expected_outcomes(test);
        if (!stopped && (same || (test.race && found.race))) continue;
        if (++out.failed <= 3)
            notes::set(out.where, sizeof out.where,
                       std::string(out.where) + (out.failed > 1 ? ", " : "") + test.name);
    }
}

struct trial {
    shared_notes by_fuzz;
    shared_notes by_litmus;
};

void run(mutant m, trial& t, int rounds) {
    run_in_child(m, *t.by_fuzz, [rounds](notes& out) { fuzz(out, rounds); });
    run_in_child(m, *t.by_litmus, litmus);
}

void print_row(const named_mutant& m, const trial& t) {
    std::printf("mutant %2d %-28s ", static_cast<int>(m.which), m.name);
    if (t.by_fuzz->failed > 0) {
        std::printf("killed by program %5d (%s: %s)", t.by_fuzz->programs, t.by_fuzz->where,
                    t.by_fuzz->how);
    } else {
        std::printf("survives %d programs", t.by_fuzz->programs);
    }
    std::printf("; litmus: %d of %zu fail%s%s %s\n", t.by_litmus->failed, litmus_tests().size(),
                t.by_litmus->failed > 0 ? ": " : "", t.by_litmus->where, t.by_litmus->how);
}

// Mutant 1 drops a test that the definition of the algorithm does not need (checker/search.cpp).
const named_mutant equivalent{mutant::no_rf_in_previous, "no_rf_in_previous"};

const std::vector<named_mutant> killable{
    {mutant::delete_read_writes, "delete_read_writes"},
    {mutant::delete_stale_reads, "delete_stale_reads"},
    {mutant::maximal_ignores_prefix, "maximal_ignores_prefix"},
    {mutant::taken_rmw_is_dropped, "taken_rmw_is_dropped"},
    {mutant::no_psc_fences, "no_psc_fences"},
    {mutant::revisit_stale_reads, "revisit_stale_reads"},
    {mutant::revisit_from_everywhere, "revisit_from_everywhere"},
    {mutant::revisit_ignores_bound, "revisit_ignores_bound"},
    {mutant::crash_is_deletable, "crash_is_deletable"},
    {mutant::spurious_is_deletable, "spurious_is_deletable"},
    {mutant::failed_cas_keeps_order, "failed_cas_keeps_order"},
    {mutant::forward_splits_rmw, "forward_splits_rmw"},
    {mutant::scb_whole_hb, "scb_whole_hb"},
    {mutant::no_rmw_release_chain, "no_rmw_release_chain"},
    {mutant::revisit_splits_rmw, "revisit_splits_rmw"},
    {mutant::no_psc_after_revisit, "no_psc_after_revisit"},
    {mutant::bound_ignores_reads, "bound_ignores_reads"},
    {mutant::acquire_fence_is_empty, "acquire_fence_is_empty"},
    {mutant::psc_base_without_fence_right, "psc_base_without_fence_right"},
    {mutant::skip_instead_of_stop, "skip_instead_of_stop"},
    {mutant::no_order_of_twins, "no_order_of_twins"},
    {mutant::any_choice_of_twins, "any_choice_of_twins"},
    {mutant::symmetry_never_misleads, "symmetry_never_misleads"},
    {mutant::sleeps_anyway, "sleeps_anyway", "sleepers"},
    {mutant::waking_is_deletable, "waking_is_deletable", "sleepers"},
    {mutant::dies_in_the_queue, "dies_in_the_queue", "sleepers"},
    {mutant::looks_too_early, "looks_too_early", "sleepers"},
};

class mutants : public testing::TestWithParam<named_mutant> {};

TEST_P(mutants, is_killed_by_random_programs) {
    trial t;
    run(GetParam().which, t, programs_per_family);
    print_row(GetParam(), t);
    EXPECT_GT(t.by_fuzz->failed, 0);
    if (*GetParam().only != 0) {
        EXPECT_STREQ(t.by_fuzz->where, GetParam().only);
        EXPECT_EQ(t.by_litmus->failed, 0);
    }
}

INSTANTIATE_TEST_SUITE_P(each, mutants, testing::ValuesIn(killable),
                         [](const auto& m) { return std::string(m.param.name); });

TEST(mutants_control, unchanged_checker_survives) {
    const named_mutant unchanged{mutant::none, "none"};
    trial t;
    run(unchanged.which, t, programs_of_control);
    print_row(unchanged, t);
    EXPECT_EQ(t.by_fuzz->failed + t.by_litmus->failed, 0);
}

TEST(mutants_control, equivalent_mutant_survives) {
    trial t;
    run(equivalent.which, t, programs_of_control);
    print_row(equivalent, t);
    EXPECT_EQ(t.by_fuzz->failed + t.by_litmus->failed, 0);
}

}  // namespace
}  // namespace assay::proof
