#include "model/audit.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <stdexcept>
#include <system_error>
#include <tuple>

namespace assay::model {
namespace {

using checker::kind;
using checker::op;
using checker::order;
using nlohmann::json;

// --- one process for each piece of work ----------------------------------------------------------

// A weakened program may crash, or loop without an access: it must not take the audit with it.
class team {
public:
    using work = std::function<json(std::size_t)>;
    using receiver = std::function<void(std::size_t, const json&)>;

    // Calls f(0) .. f(n - 1), so many at a time, and `done` with what each returned; with
    // {"crashed": how} when its process died, or took longer than so many seconds.
    static void run(std::size_t n, unsigned jobs, unsigned seconds, const work& f,
                    const receiver& done) {
        team all;
        for (std::size_t i = 0; i < n || !all.running_.empty();) {
            if (i < n && all.running_.size() < jobs)
                all.start(i++, seconds, f);
            else
                all.collect(done);
        }
    }

private:
    struct member {
        std::size_t number;
        int answer;
    };

    void start(std::size_t i, unsigned seconds, const work& f) {
        const int answer = memfd_create("assay-audit", MFD_CLOEXEC);
        const pid_t child = answer < 0 ? -1 : fork();
        if (child < 0) throw std::system_error(errno, std::generic_category(), "audit");
        if (child == 0) {
            const rlimit most{seconds, seconds + 1};
            setrlimit(RLIMIT_CPU, &most);
            const std::string text = f(i).dump();
            _exit(write(answer, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0
                                                                                               : 1);
        }
        running_[child] = {i, answer};
    }

    void collect(const receiver& done) {
        int status = 0;
        const pid_t child = waitpid(-1, &status, 0);
        const auto found = running_.find(child);
        if (found == running_.end()) return;
        const member m = found->second;
        running_.erase(found);
        std::string text(static_cast<std::size_t>(std::max<off_t>(0, lseek(m.answer, 0, SEEK_END))),
                         ' ');
        const bool read =
            pread(m.answer, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
        close(m.answer);
        if (read && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return done(m.number, json::parse(text));
        const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        done(m.number, {{"crashed", signal == SIGXCPU ? "it did not end"
                                                      : "signal " + std::to_string(signal)}});
    }

    std::map<pid_t, member> running_;
};

// --- which scenarios execute what ----------------------------------------------------------------

// The sites through which one process learned, in this execution, what another one had done: both
// ends of each edge, the fences included.
void note_edges(const checker::graph& g, std::set<checker::site_id>& through) {
    const auto release_ends = [&](const checker::event& read) {
        for (checker::event_id w = read.rf; w != checker::initial;) {
            const checker::event& e = g[w];
            if (checker::releases(e.ord)) through.insert(e.site);
            if (e.fenced > 0)
                through.insert(g[{w.process, static_cast<std::uint16_t>(e.fenced - 1)}].site);
            if (!e.has(checker::rmw)) break;
            w = g.before(w)->rf;  // the release sequence goes on through a read-modify-write
        }
    };
    for (std::uint16_t p = 0; p < g.processes(); ++p) {
        std::vector<const checker::event*> unfenced;  // relaxed reads of what others released
        for (std::uint16_t i = 0; i < g.length(p); ++i) {
            const checker::event& e = g[{p, i}];
            const bool fence = e.what == kind::fence && checker::acquires(e.ord);
            if (e.reads() && e.rf != checker::initial && e.rf.process != p &&
                !g.source(e).message.empty()) {
                unfenced.push_back(&e);
                if (!checker::acquires(e.ord)) continue;
                through.insert(e.site);
                release_ends(e);
            } else if (fence && !unfenced.empty()) {
                through.insert(e.site);
                for (const auto* const read : unfenced) release_ends(*read);
                unfenced.clear();
            }
        }
    }
}

bool is_order(const checker::site& s) { return s.what != kind::point && s.operation < op::sleep; }

const char* name_of(const checker::site& s) {
    if (s.what == kind::fence) return "fence";
    switch (s.operation) {
        case op::none:
            return s.what == kind::write ? "store" : "load";
        case op::exchange:
            return "exchange";
        case op::compare_exchange:
            return "compare_exchange";
        default:
            return "fetch_*";
    }
}

json to_json(const checker::site& s) {
    return {{"file", s.file},         {"line", s.line},       {"column", s.column},
            {"function", s.function}, {"what", s.what},       {"operation", s.operation},
            {"success", s.success},   {"failure", s.failure}, {"alone", s.alone}};
}
checker::site from_json(const json& j) {
    checker::site s;
    s.file = j["file"];
    s.line = j["line"];
    s.column = j["column"];
    s.function = j["function"];
    s.what = j["what"];
    s.operation = j["operation"];
    s.success = j["success"];
    s.failure = j["failure"];
    s.alone = j["alone"];
    return s;
}

checker::result explore_alone(const test& t, std::uint64_t executions, const checker::weakening* w,
                              const checker::observer& watch = {}) {
    checker::settings how = t.how;
    how.workers = 1;
    how.stop_at.executions = executions;
    if (w != nullptr) how.weaker = {*w};
    return explore(t.body, how, watch);
}

// What it executes as the source is: the beginning is enough to see that.
json cover(const test& t) {
    std::set<checker::site_id> through;
    const checker::result r =
        explore_alone(t, 10'000, nullptr, [&](const checker::search& s, const checker::runtime&) {
            note_edges(s.current(), through);
        });
    json sites = json::array();
    for (std::size_t i = 1; i < r.sites.size(); ++i) {
        if (!is_order(r.sites[i])) continue;
        sites.push_back(to_json(r.sites[i]));
        sites.back()["synchronises"] = through.count(static_cast<checker::site_id>(i)) > 0;
    }
    return {{"sites", sites},
            {"seconds", r.seconds},
            {"executions", r.executions},
            {"verdict", checker::name(r.what)},
            {"message", r.message}};
}

// --- the next weaker orders ----------------------------------------------------------------------

std::vector<order> one_step_down(order o, bool loads, bool stores) {
    switch (o) {
        case order::seq_cst:
            if (loads && stores) return {order::acq_rel};
            return {loads ? order::acquire : order::release};
        case order::acq_rel:
            return {order::acquire, order::release};
        case order::acquire:
        case order::release:
            return {order::relaxed};
        case order::relaxed:
            break;
    }
    return {};
}

struct weaker {
    order use, failure;
};

std::vector<weaker> weaker_orders(const checker::site& s) {
    std::vector<weaker> all;
    const bool both = s.what == kind::fence || s.operation != op::none;
    for (const order o :
         one_step_down(s.success, both || s.what == kind::read, both || s.what == kind::write))
        all.push_back({o, s.failure});
    if (s.what == kind::fence && s.success == order::seq_cst)
        all.push_back({order::relaxed, s.failure});
    if (s.operation == op::compare_exchange)
        for (const order o : one_step_down(s.failure, true, false)) all.push_back({s.success, o});
    return all;
}

// --- the audit -----------------------------------------------------------------------------------

class auditor {
public:
    auditor(const std::vector<test>& tests, const audit_options& o,
            const std::function<void(const std::string&)>& tell)
        : o_(&o), tell_(&tell) {
        for (const test& t : tests)
            if (!checker::failed_verdict(t.expect.what) && !t.twin) tests_.push_back(t);
        costs_.resize(tests_.size());
    }

    json run() {
        team::run(
            tests_.size(), o_->jobs, o_->seconds, [&](std::size_t i) { return cover(tests_[i]); },
            [&](std::size_t i, const json& answer) { add_cover(i, answer); });
        for (auto& [key, s] : sites_) {
            std::ranges::sort(s.tests, {}, [&](std::size_t t) { return std::pair(costs_[t], t); });
            for (const weaker& w : weaker_orders(s.stated)) trials_.push_back({&s, w, {}});
        }
        team::run(
            trials_.size(), o_->jobs, o_->seconds,
            [&](std::size_t i) { return weaken(trials_[i]); },
            [&](std::size_t i, const json& answer) { add_trial(trials_[i], answer); });
        return report();
    }

private:
    struct audited {
        checker::site stated;
        std::set<std::string> functions;
        bool synchronises = false;
        std::vector<std::size_t> tests;  // those that execute it beside others
        json trials = json::array();
    };
    struct trial {
        audited* site;
        weaker use;
        json outcome;
    };

    [[nodiscard]] bool chosen(const std::string& file) const {
        const std::string stem = file.substr(file.rfind('/') + 1);
        return std::ranges::any_of(o_->files, [&](const std::string& f) {
            return file.starts_with(f) || (file.starts_with("lib/assay/") && stem.starts_with(f));
        });
    }

    void add_cover(std::size_t t, const json& answer) {
        json scenario{{"name", tests_[t].name}};
        for (const char* part : {"seconds", "executions", "verdict", "message"})
            if (answer.contains(part)) scenario[part] = answer[part];
        if (answer.contains("crashed")) scenario["verdict"] = answer["crashed"];
        // Not seconds: the same scenario shall be named each time.
        const bool all = scenario["verdict"] == "verified";
        costs_[t] = all ? answer["executions"].get<std::uint64_t>() : ~std::uint64_t{0};
        if (!all && scenario["verdict"] != "bounded")
            throw std::runtime_error("audit: " + std::string(tests_[t].name) +
                                     " fails as the sources are (" +
                                     scenario["verdict"].get<std::string>() + "): mend that first");
        scenarios_.push_back(scenario);
        for (const json& j : answer.value("sites", json::array())) {
            const checker::site s = from_json(j);
            if (!chosen(s.file)) continue;
            audited& a =
                sites_
                    .try_emplace({s.file, s.line, s.column, s.operation, s.success, s.failure},
                                 audited{s, {}, false, {}, json::array()})
                    .first->second;
            a.functions.insert(s.function);
            a.stated.alone = a.stated.alone && s.alone;
            a.synchronises |= j["synchronises"].get<bool>();
            if (!s.alone && (a.tests.empty() || a.tests.back() != t)) a.tests.push_back(t);
        }
    }

    // In a process of its own. First the beginning of all scenarios, then more of those that go on.
    [[nodiscard]] json weaken(const trial& it) const {
        const checker::weakening w =
            checker::parse_weakening(checker::to_text(it.site->stated, it.use.use, it.use.failure));
        std::vector<std::size_t> open = it.site->tests;
        std::string bounds;
        std::uint64_t left = o_->executions;
        for (std::uint64_t most = 3000; !open.empty() && left > 0; most *= 30) {
            std::vector<std::size_t> more;
            for (const std::size_t t : open) {
                if (left == 0) break;
                const std::uint64_t limit = std::min(most, left);
                const checker::result r = explore_alone(tests_[t], limit, &w);
                left -= std::min(left, r.runs);
                if (checker::failed_verdict(r.what) && r.what != checker::verdict::nothing_explored)
                    return {{"outcome", "caught"},
                            {"scenario", tests_[t].name},
                            {"verdict", checker::name(r.what)},
                            {"message", r.message}};
                if (r.runs >= limit)
                    more.push_back(t);
                else if (r.what != checker::verdict::verified)
                    bounds += std::string(tests_[t].name) + ": " + r.message + "; ";
            }
            open.swap(more);
        }
        if (left == 0) bounds += std::to_string(o_->executions) + " executions";
        return {{"outcome", bounds.empty() ? "survived" : "bounded"}, {"message", bounds}};
    }

    void add_trial(trial& it, const json& answer) {
        const checker::site& s = it.site->stated;
        it.outcome = answer;
        if (answer.contains("crashed"))
            it.outcome = {{"outcome", "crashed"}, {"message", answer["crashed"]}};
        it.outcome["weaken"] = checker::to_text(s, it.use.use, it.use.failure);
        std::string line = it.outcome["outcome"].get<std::string>();
        line.resize(10, ' ');
        line +=
            it.outcome["weaken"].get<std::string>() + "  (" + name_of(s) + " " + stated(s) + ")  ";
        if (it.outcome.contains("scenario"))
            line += it.outcome["scenario"].get<std::string>() + ": " +
                    it.outcome["verdict"].get<std::string>();
        else
            line += it.outcome["message"].get<std::string>() +
                    (it.site->synchronises ? "" : "; no execution synchronises through it");
        (*tell_)(line);
    }

    [[nodiscard]] static std::string stated(const checker::site& s) {
        return std::string(checker::name(s.success)) +
               (s.operation == op::compare_exchange ? std::string("/") + checker::name(s.failure)
                                                    : "");
    }

    [[nodiscard]] json report() {
        for (const trial& it : trials_) it.site->trials.push_back(it.outcome);
        json sites = json::array();
        for (const auto& [key, s] : sites_) {
            json names = json::array();
            for (const std::size_t t : s.tests) names.push_back(tests_[t].name);
            sites.push_back({{"file", s.stated.file},
                             {"line", s.stated.line},
                             {"column", s.stated.column},
                             {"functions", s.functions},
                             {"what", name_of(s.stated)},
                             {"order", stated(s.stated)},
                             {"alone", s.stated.alone},
                             {"synchronises", s.synchronises},
                             {"scenarios", names},
                             {"weakenings", s.trials}});
        }
        return {{"sites", sites}, {"scenarios", scenarios_}};
    }

    const audit_options* o_;
    const std::function<void(const std::string&)>* tell_;
    std::vector<test> tests_;
    std::vector<std::uint64_t> costs_;
    json scenarios_ = json::array();
    std::map<std::tuple<std::string, std::uint32_t, std::uint32_t, op, order, order>, audited>
        sites_;
    std::vector<trial> trials_;
};

}  // namespace

json audit(const std::vector<test>& tests, const audit_options& o,
           const std::function<void(const std::string&)>& tell) {
    return auditor(tests, o, tell).run();
}

}  // namespace assay::model
