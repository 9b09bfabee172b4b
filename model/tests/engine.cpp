// engine.cpp -- the second enumerator: the model checker, made to run tiny programs.
#include <algorithm>
#include <memory>

#include "../checker/explore.hpp"
#include "../checker/liveness.hpp"
#include "program.hpp"

namespace assay::proof {
namespace {

namespace mc = assay::checker;

mc::order translate(order o) {
    switch (o) {
        case order::relaxed:
            return mc::order::relaxed;
        case order::consume:
        case order::acquire:
            return mc::order::acquire;
        case order::release:
            return mc::order::release;
        case order::acq_rel:
            return mc::order::acq_rel;
        case order::seq_cst:
            break;
    }
    return mc::order::seq_cst;
}

order translate(mc::order o) {
    constexpr order orders[] = {rlx, acq, rel, acq_rel, sc};
    return orders[static_cast<int>(o)];
}

mc::value unsigned_of(value v) { return static_cast<std::uint32_t>(v); }
value signed_of(mc::value v) { return static_cast<value>(static_cast<std::uint32_t>(v)); }

class engine_program final : public mc::subject {
public:
    engine_program(const program& p, mc::location_table& locations) : program_(&p) {
        for (int l = 0; l < count_locations(p); ++l) {
            const auto i = static_cast<std::size_t>(l);
            const value first = i < p.initial.size() ? p.initial[i] : 0;
            mc::location_id clash = 0;
            locations_.push_back(
                locations.find(0, static_cast<std::uint32_t>(4 * l), 4, unsigned_of(first), clash));
        }
        for (int l = 0; has_sleepers(p) && l < count_locations(p); ++l) {
            mc::location_id clash = 0;
            locations_.push_back(
                locations.find(mc::sleep_segment, static_cast<std::uint32_t>(4 * l), 1, 0, clash));
        }
        for (std::size_t t = 0; t < p.threads.size(); ++t) threads_.push_back({this, t, {}});
        for (auto& t : threads_) bodies_.push_back({&body, &t});
    }

    [[nodiscard]] std::size_t processes() const override { return threads_.size(); }

    void run(mc::runtime& r, mc::search& s) override {
        plain_.assign(static_cast<std::size_t>(count_plain_locations(*program_)), 0);
        std::copy(program_->initial_plain.begin(), program_->initial_plain.end(), plain_.begin());
        r.forget_races();
        for (std::uint32_t c = 0; c < plain_.size(); ++c) r.initialise(c);
        r.run(s, bodies_);
    }

    [[nodiscard]] execution describe(const mc::graph& g, const mc::runtime& r) const;

private:
    struct thread {
        engine_program* owner;
        std::size_t index;
        interpreter::register_file registers;
    };

    static void body(void* argument) {
        thread& t = *static_cast<thread*>(argument);
        t.owner->run_thread(*mc::runtime::current(), t);
    }
    void run_thread(mc::runtime& r, thread& t);

    const program* program_;
    std::vector<mc::location_id> locations_;
    std::vector<thread> threads_;
    std::vector<mc::runtime::body> bodies_;
    std::vector<value> plain_;
};

void engine_program::run_thread(mc::runtime& r, thread& t) {
    const auto here = mc::place::current();
    interpreter run(program_->threads[t.index]);
    while (const auto step = run.next()) {
        t.registers = run.registers();
        const auto l = static_cast<std::size_t>(step->location);
        if (step->kind == op::read) {
            r.plain(mc::kind::read, static_cast<mc::cell_id>(l), here);
            run.done(plain_[l]);
            continue;
        }
        if (step->kind == op::write) {
            r.plain(mc::kind::write, static_cast<mc::cell_id>(l), here);
            plain_[l] = step->arg;
            run.done();
            continue;
        }
        if (step->is_futex()) {
            const auto sleepers = locations_[locations_.size() / 2 + l];
            if (step->kind == op::wait) {
                static_cast<void>(
                    r.sleep(sleepers, locations_[l], unsigned_of(step->arg), false, here));
                run.done();
            } else {
                run.done(r.wake(sleepers, step->arg, here));
            }
            continue;
        }
        mc::request q;
        q.success = translate(step->mode);
        q.failure = step->is_cas() ? translate(step->failure) : q.success;
        if (step->kind == op::fence) {
            q.what = mc::kind::fence;
            q.size = 0;
            r.perform(q, here);
            run.done();
            continue;
        }
        q.size = 4;
        q.loc = locations_[l];
        q.operand = unsigned_of(step->arg);
        if (step->kind == op::store) q.what = mc::kind::write;
        if (step->is_rmw()) q.flags = mc::rmw;
        if (step->kind == op::exchange) q.operation = mc::op::exchange;
        if (step->kind == op::fetch_add) q.operation = mc::op::add;
        if (step->is_cas()) {
            q.operation = mc::op::compare_exchange;
            q.expected = unsigned_of(step->expected);
            if (step->kind == op::cas_weak) q.flags |= mc::weak;
        }
        if (step->is_await()) {
            q.condition = step->kind == op::await_eq ? mc::until::equal : mc::until::not_equal;
            q.operand = 0;
            q.expected = unsigned_of(step->arg);
        }
        if (step->kind == op::load) q.operand = 0;
        const mc::answer a = r.await(q, here);
        run.done(signed_of(a.seen), a.succeeded);
    }
    t.registers = run.registers();
}

execution engine_program::describe(const mc::graph& g, const mc::runtime& r) const {
    execution x;
    x.threads.resize(g.processes());
    // A read-modify-write is one event there and two here.
    std::vector<std::vector<int>> number(g.processes());
    const auto name = [&](mc::event_id e) {
        return e == mc::initial ? initial_write : event_name{e.process, number[e.process][e.index]};
    };
    for (std::uint16_t t = 0; t < g.processes(); ++t) {
        int n = -1;
        for (std::uint16_t i = 0; i < g.length(t); ++i) {
            const mc::event& e = g[{t, i}];
            n += !(e.writes() && e.has(mc::rmw)) && !e.has(mc::crash) && e.what != mc::kind::point;
            number[t].push_back(n);
        }
    }
    for (std::uint16_t t = 0; t < g.processes(); ++t) {
        thread_run& run = x.threads[t];
        run.registers = threads_[t].registers;
        const auto s = r.state_of(t);
        run.end = s == mc::runtime::state::finished  ? fate::finished
                  : s == mc::runtime::state::crashed ? fate::crashed
                                                     : fate::blocked;
        for (std::uint16_t i = 0; i < g.length(t); ++i) {
            const mc::event& e = g[{t, i}];
            if (e.has(mc::crash) || e.what == mc::kind::point) continue;
            if (e.writes() && e.has(mc::rmw)) {
                run.events.back().kind = event_kind::update;
                run.events.back().written = signed_of(e.val);
                continue;
            }
            event out;
            out.mode = translate(e.ord);
            if (e.accesses())
                for (std::size_t l = 0; l < locations_.size(); ++l)
                    if (locations_[l] == e.loc) out.location = static_cast<int>(l);
            out.kind = e.reads()    ? event_kind::load
                       : e.writes() ? event_kind::store
                                    : event_kind::fence;
            if (e.reads()) {
                out.read = signed_of(e.val);
                out.from = name(e.rf);
                out.spurious = e.has(mc::failed);
            }
            if (e.writes()) out.written = signed_of(e.val);
            run.events.push_back(out);
        }
    }
    for (const mc::location_id l : locations_) {
        x.mo.emplace_back();
        if (!g.touched(l)) continue;
        for (const mc::event_id w : g.of(l).mo)
            if (w != mc::initial) x.mo.back().push_back(name(w));
    }
    return x;
}

}  // namespace

namespace engine {

// Threads with equal code are identical.
mc::process_groups groups(const program& p) {
    mc::process_groups of;
    for (const auto& code : p.threads) {
        const auto first = std::find(p.threads.begin(), p.threads.end(), code);
        of.push_back(static_cast<std::uint8_t>(first - p.threads.begin() + 1));
    }
    return of;
}

complaint complaint_of(mc::verdict v) {
    return v == mc::verdict::lost_wake_up      ? complaint::lost_wake_up
           : v == mc::verdict::blocked_by_dead ? complaint::blocked_by_dead
           : v == mc::verdict::deadlock        ? complaint::deadlock
                                               : complaint::nothing;
}

summary enumerate(const program& p, const visitor& visit) {
    mc::settings how;
    if (p.reduce) how.allowed.identical = groups(p);
    how.allowed.crashes = p.crashes;
    how.allowed.spurious_failures = p.spurious_failures;
    how.allowed.spurious_wakes = p.spurious_wakes;
    how.running.crash_between_plain_writes = false;
    how.check_liveness = false;
    summary out;
    std::vector<execution> found;
    engine_program* made = nullptr;
    const auto make = [&](mc::location_table& locations) {
        out = {};
        found.clear();
        auto owned = std::make_unique<engine_program>(p, locations);
        made = owned.get();
        return owned;
    };
    const auto watch = [&](const mc::search& s, const mc::runtime& r) {
        execution x = made->describe(s.current(), r);
        if (x.is_complete()) {
            ++out.complete;
        } else {
            ++out.blocked;
            const auto complains = mc::classify(s.current(), r);
            if (complains) x.verdict = complaint_of(complains->what);
            if (!x.is_stuck() && !complains) return;
            ++out.stuck;
        }
        found.push_back(x);
    };
    const mc::result r = mc::explore(p.threads.size(), make, how, watch);
    out.race = r.what == mc::verdict::data_race;
    out.stands_for = r.stands_for;
    out.misled = r.symmetry_misled;
    if (mc::failed_verdict(r.what) && !out.race && r.what != mc::verdict::nothing_explored)
        throw std::runtime_error(std::string(mc::name(r.what)) + ": " + r.message);
    for (const execution& x : found) visit(x);
    return out;
}

}  // namespace engine
}  // namespace assay::proof
