#include "scenario.hpp"

#include <cstdio>

#include "checker/allocations.hpp"

namespace assay::model {

// --- one execution -------------------------------------------------------------------------------

scenario::~scenario() {
    for (const actor& a : actors_) a.destroy(a.f);
    if (last_.destroy != nullptr) last_.destroy(last_.f);
}

void scenario::run() {
    const checker::own_allocations guard;
    has_run_ = true;
    if (runtime_ == nullptr || runtime_->failed()) return;
    std::vector<checker::runtime::body> bodies;
    bodies.reserve(actors_.size());
    for (const actor& a : actors_) bodies.push_back({a.call, a.f});
    environment_->begin(environment::phase::processes);
    // The frames between this one and the scenario itself are those of the scenario function and
    // of what it called: the variables that a process has captured.
    const auto* const frame = static_cast<const std::byte*>(__builtin_frame_address(0));
    const auto* const end = reinterpret_cast<const std::byte*>(this + 1);
    runtime_->run(*search_, bodies, {frame, static_cast<std::size_t>(end - frame)});
    if (last_.call != nullptr && !runtime_->failed() && runtime_->complete()) {
        environment_->begin(environment::phase::check, &search_->current());
        environment_->observe(last_.call, last_.f);
    }
    environment_->begin(environment::phase::prepare);
}

void fail(checker::verdict what, const std::string& message) {
    environment::current()->fail(what, message);
}

void check(bool condition, const char* what, const checker::place& at) {
    if (condition) return;
    fail(checker::verdict::assertion, std::string("check failed at ") + at.file_name() + ":" +
                                          std::to_string(at.line()) + (*what != 0 ? ": " : "") +
                                          what);
}

bool died(std::size_t p, const checker::place& at) { return !environment::current()->alive(p, at); }
std::size_t self() { return environment::current()->own_number(); }

std::size_t member::self_now() { return environment::current()->own_number(); }

bool member::alive(owner_id id) const noexcept {
    return environment::current()->alive(owner_slot(id), checker::place::current());
}

// --- all executions ------------------------------------------------------------------------------

namespace {

class scenario_subject final : public checker::subject {
public:
    scenario_subject(scenario::body body, std::size_t processes, checker::location_table& words)
        : body_(body), environment_(processes, words) {}

    [[nodiscard]] std::size_t processes() const override { return environment_.processes(); }

    void run(checker::runtime& r, checker::search& s) override {
        environment_.begin_run(&r);
        {
            const checker::allocations_by guard(checker::scenario_allocates);
            scenario now(environment_, &r, &s);
            body_(now);
            if (!now.has_run() || now.processes() != processes())
                r.fail(checker::verdict::nothing_explored,
                       "the scenario did not call run(), or started other processes than before");
        }
        // The scenario's variables are gone. What is left now belongs to nobody.
        if (!r.failed()) {
            for (std::size_t p = 0; p < processes(); ++p) {
                if (r.state_of(p) != checker::runtime::state::finished) continue;
                const auto left = checker::left_by(static_cast<int>(p));
                if (left.blocks > 0)
                    r.fail(checker::verdict::leak, "process " + std::to_string(p) +
                                                       " has not freed " +
                                                       std::to_string(left.bytes) + " bytes");
            }
        }
        checker::free_leftovers();
    }

private:
    scenario::body body_;
    environment environment_;
};

}  // namespace

namespace {

struct shape {
    std::vector<std::string> names;
    checker::process_groups identical;  // empty: none
};

shape shape_of(scenario::body body) {
    checker::location_table none(0);
    environment e(0, none);
    e.begin_run(nullptr);
    scenario s(e, nullptr, nullptr);
    body(s);
    shape found;
    bool any = false;
    for (std::size_t p = 0; p < s.processes(); ++p) {
        found.names.emplace_back(s.name(p));
        found.identical.push_back(s.group(p));
        any = any || s.group(p) != 0;
    }
    if (!any) found.identical.clear();
    return found;
}

checker::subject_maker maker(scenario::body body, std::size_t processes) {
    return [=](checker::location_table& words) {
        return std::make_unique<scenario_subject>(body, processes, words);
    };
}

}  // namespace

std::vector<std::string> process_names(scenario::body body) { return shape_of(body).names; }

checker::result explore(scenario::body body, const checker::settings& how,
                        const checker::observer& watch) {
    const shape of = shape_of(body);
    const std::size_t n = of.names.size();
    if (n == 0 || n > checker::max_processes) {
        checker::result r;
        r.what = checker::verdict::nothing_explored;
        r.message =
            n == 0 ? "the scenario has no processes" : "the scenario has too many processes";
        return r;
    }
    checker::settings complete = how;
    complete.allowed.identical = of.identical;
    return checker::explore(n, maker(body, n), complete, watch);
}

checker::result sample(scenario::body body, const checker::settings& how,
                       const checker::sampling& which) {
    const std::size_t n = shape_of(body).names.size();
    return checker::sample(n, maker(body, n), how, which);
}

checker::result replay(scenario::body body, const checker::settings& how,
                       const std::string& script) {
    const shape of = shape_of(body);
    const std::size_t n = of.names.size();
    checker::settings complete = how;
    complete.allowed.identical = of.identical;
    return checker::replay(n, maker(body, n), complete, script);
}

}  // namespace assay::model
