// oracle.cpp -- the brute force enumeration of oracle.hpp.
#include "oracle.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "axioms.hpp"

namespace assay::proof::oracle {
namespace {

// Locations, atomic first, then plain, in one numbering.
using location = std::size_t;

struct thread_state {
    explicit thread_state(const std::vector<instruction>& instructions) : code(instructions) {}

    interpreter code;
    std::vector<int> events;           // in the candidate
    std::vector<event> atomic_events;  // as they will be reported
    fate end = fate::finished;         // once it has ended
    int last_step = -1;
    std::optional<interpreter::step> asleep{};  // the wait that it is in
};

// What the candidate does not say about an event: its value (of writes), its name in a reported
// execution and when it was added.
struct annotation {
    value written = 0;
    event_name name = initial_write;
    int step = -1;
};

// An execution under construction.
struct partial {
    candidate g;
    std::vector<annotation> notes;           // per event of g
    std::vector<std::vector<int>> mo;        // per location, the initial write first
    std::vector<std::vector<int>> accesses;  // per location
    std::vector<thread_state> threads;
    std::vector<int> steps;  // the thread that made each step
    int crashes = 0;         // still allowed
    int spurious_failures = 0;
    int spurious_wakes = 0;
};

// Who sleeps, the longest first. A location holds it as a number, as program.hpp says.
using queue = std::vector<int>;

value number_of(const queue& q) {
    value n = 0;
    for (auto thread = q.rbegin(); thread != q.rend(); ++thread) n = n * 16 + *thread + 1;
    return n;
}
queue queue_of(value n) {
    queue q;
    for (; n != 0; n /= 16) q.push_back(n % 16 - 1);
    return q;
}

bool acquires(order m) { return m == acq || m == acq_rel || m == sc; }
bool releases(order m) { return m == rel || m == acq_rel || m == sc; }

class enumerator {
public:
    enumerator(const program& p, const visitor& visit, shortcuts use)
        : program_(p),
          visit_(visit),
          use_(use),
          atomics_(count_locations(p)),
          queues_(has_sleepers(p) ? atomics_ : 0) {}

    summary run() {
        choose_dead_on_arrival(initial_graph(), 0);
        return found_;
    }

private:
    partial initial_graph() const {
        partial x;
        const auto add_locations = [&](const std::vector<value>& initial, int count, bool plain) {
            for (int l = 0; l < count; ++l) {
                const int e = x.g.add();
                x.g.W.insert(e);
                if (plain) x.g.plain.insert(e);
                x.g.same_location.insert(e, e);
                const auto i = static_cast<std::size_t>(l);
                x.notes.push_back({.written = i < initial.size() ? initial[i] : 0});
                x.mo.push_back({e});
                x.accesses.push_back({e});
            }
        };
        add_locations(program_.initial, atomics_, false);
        add_locations({}, queues_, false);
        add_locations(program_.initial_plain, count_plain_locations(program_), true);
        for (const auto& code : program_.threads) x.threads.emplace_back(code);
        x.crashes = program_.crashes;
        x.spurious_failures = program_.spurious_failures;
        x.spurious_wakes = program_.spurious_wakes;
        return x;
    }

    // A thread may die at its start.
    void choose_dead_on_arrival(const partial& x, std::size_t thread) {
        if (thread == x.threads.size()) return extend(x);
        choose_dead_on_arrival(x, thread + 1);
        if (x.crashes == 0) return;
        partial dead = x;
        die(dead, thread);
        choose_dead_on_arrival(dead, thread + 1);
    }

    static void die(partial& x, std::size_t thread) {
        --x.crashes;
        x.threads[thread].end = fate::crashed;
    }

    // Every way to go on with every thread.
    void extend(partial x) {
        if (found_.race) return;
        bool ended = true;
        for (std::size_t t = 0; t < x.threads.size(); ++t) {
            if (x.threads[t].end != fate::finished) continue;
            if (x.threads[t].asleep) {
                ended = false;
                sleep_on(x, t);
                continue;
            }
            const interpreter before = x.threads[t].code;
            if (const auto step = x.threads[t].code.next()) {
                ended = false;
                perform(x, t, *step);
            }
            x.threads[t].code = before;
        }
        if (ended) report(x);
    }

    // The step is one event, or the two of a read-modify-write.
    void perform(const partial& x, std::size_t t, const interpreter::step& s) {
        const auto l = static_cast<location>(s.location + (s.is_plain() ? atomics_ + queues_ : 0));
        if (s.kind == op::wait) return fall_asleep(x, t, s);
        if (s.kind == op::wake) return wake_others(x, t, s);
        if (s.kind == op::fence) return add_fence(x, t, s);
        if (s.kind == op::store || s.kind == op::write) return add_write(x, t, s, l);
        for (const int source : x.mo.at(l)) add_read(x, t, s, l, source);
    }

    void add_fence(partial x, std::size_t t, const interpreter::step& s) {
        add_event(x, t, s.mode, s.mode);
        x.g.F.insert(x.g.size - 1);
        x.threads[t].atomic_events.push_back({.kind = event_kind::fence, .mode = s.mode});
        x.threads[t].code.done();
        finish_step(std::move(x), t, -1);
    }

    void add_write(const partial& x, std::size_t t, const interpreter::step& s, location l) {
        partial y = x;
        const int w = add_event(y, t, rlx, s.mode);
        add_access(y, w, l, s.is_plain());
        y.g.W.insert(w);
        y.notes.back().written = s.arg;
        if (!s.is_plain()) {
            y.threads[t].atomic_events.push_back({.kind = event_kind::store,
                                                  .mode = s.mode,
                                                  .location = s.location,
                                                  .written = s.arg});
        }
        y.threads[t].code.done();
        place_in_mo(y, t, w, l, !s.is_plain(), -1);
    }

    void add_read(const partial& x, std::size_t t, const interpreter::step& s, location l,
                  int source) {
        const value v = x.notes[static_cast<std::size_t>(source)].written;
        if (s.is_cas()) {
            if (v != s.expected) return add_load(x, t, s, l, source, s.failure, false);
            if (s.kind == op::cas_weak && x.spurious_failures > 0) {
                partial y = x;
                --y.spurious_failures;
                add_load(y, t, s, l, source, s.failure, true);
            }
        }
        if (s.is_rmw()) return add_update(x, t, s, l, source);
        add_load(x, t, s, l, source, s.mode, false);
    }

    void add_load(partial x, std::size_t t, const interpreter::step& s, location l, int source,
                  order mode, bool spurious) {
        const int r = add_event(x, t, mode, rlx);
        add_access(x, r, l, s.is_plain());
        x.g.R.insert(r);
        x.g.rf.insert(source, r);
        const auto& from = x.notes[static_cast<std::size_t>(source)];
        thread_state& thread = x.threads[t];
        if (!s.is_plain()) {
            thread.atomic_events.push_back({.kind = event_kind::load,
                                            .mode = mode,
                                            .location = s.location,
                                            .read = from.written,
                                            .from = from.name,
                                            .spurious = spurious});
        }
        thread.code.done(from.written, false);
        if (s.is_await() && !s.satisfied(from.written)) thread.end = fate::blocked;
        finish_step(std::move(x), t, from.step);
    }

    void add_update(partial x, std::size_t t, const interpreter::step& s, location l, int source) {
        const annotation from = x.notes[static_cast<std::size_t>(source)];
        const int r = add_event(x, t, s.mode, rlx);
        const int w = add_event(x, t, rlx, s.mode);
        add_access(x, r, l, false);
        add_access(x, w, l, false);
        x.g.R.insert(r);
        x.g.W.insert(w);
        x.g.rf.insert(source, r);
        x.g.rmw.insert(r, w);
        x.notes.back().written = s.written(from.written);
        x.threads[t].atomic_events.push_back({.kind = event_kind::update,
                                              .mode = s.mode,
                                              .location = s.location,
                                              .read = from.written,
                                              .written = s.written(from.written),
                                              .from = from.name});
        x.threads[t].code.done(from.written, true);
        place_in_mo(x, t, w, l, true, from.step);
    }

    // --- the futex, as the kernel has it: each call has the queue of sleepers to itself, and learns
    // what those before it knew. Comparing and falling asleep are one call.

    void fall_asleep(const partial& x, std::size_t t, const interpreter::step& s) {
        const auto l = static_cast<location>(s.location);
        for (const int source : x.mo[queue_for(s)]) {
            for (const int seen : x.mo[l]) {
                partial y = x;
                const annotation found = y.notes[static_cast<std::size_t>(seen)];
                queue sleepers = queue_of(y.notes[static_cast<std::size_t>(source)].written);
                if (found.written == s.arg) {
                    sleepers.push_back(static_cast<int>(t));
                    y.threads[t].asleep = s;
                }
                y.threads[t].code.done();
                const int r = begin_call(y, t, s, source);
                const int look = add_event(y, t, rlx, rlx);
                add_access(y, look, l, false);
                y.g.R.insert(look);
                y.g.rf.insert(seen, look);
                y.threads[t].atomic_events.push_back({.kind = event_kind::load,
                                                      .location = s.location,
                                                      .read = found.written,
                                                      .from = found.name});
                const int w = end_call(y, t, s, source, r, sleepers);
                // To die asleep is to have died before: the kernel takes the dead out of the queue.
                place_in_mo(y, t, w, queue_for(s), !y.threads[t].asleep,
                            std::max(step_of(y, source), found.step));
            }
        }
    }

    void wake_others(const partial& x, std::size_t t, const interpreter::step& s) {
        for (const int source : x.mo[queue_for(s)]) {
            partial y = x;
            queue sleepers = queue_of(y.notes[static_cast<std::size_t>(source)].written);
            const auto n = std::min<value>(s.arg, static_cast<value>(sleepers.size()));
            sleepers.erase(sleepers.begin(), sleepers.begin() + n);
            y.threads[t].code.done(n);
            change_queue(std::move(y), t, s, source, sleepers);
        }
    }

    // A sleeper goes on when it is no longer in the queue, or leaves it by itself.
    void sleep_on(const partial& x, std::size_t t) {
        const interpreter::step s = *x.threads[t].asleep;
        const location q = queue_for(s);
        for (const int source : x.mo[q]) {
            queue others = queue_of(x.notes[static_cast<std::size_t>(source)].written);
            const bool in_queue = std::erase(others, static_cast<int>(t)) > 0;
            look_at_queue(x, t, s, source, in_queue);
            if (x.spurious_wakes == 0) continue;
            partial y = x;
            --y.spurious_wakes;
            y.threads[t].asleep.reset();
            change_queue(std::move(y), t, s, source, others);
        }
    }

    void look_at_queue(partial x, std::size_t t, const interpreter::step& s, int source,
                       bool in_queue) {
        const annotation from = x.notes[static_cast<std::size_t>(source)];
        const int r = add_event(x, t, acq, rlx);
        add_access(x, r, queue_for(s), false);
        x.g.R.insert(r);
        x.g.rf.insert(source, r);
        x.threads[t].atomic_events.push_back({.kind = event_kind::load,
                                              .mode = acq,
                                              .location = static_cast<int>(queue_for(s)),
                                              .read = from.written,
                                              .from = from.name});
        if (in_queue) {
            x.threads[t].end = fate::blocked;
            return finish_step(std::move(x), t, from.step);
        }
        x.threads[t].asleep.reset();
        if (x.crashes > 0) {  // it has used up a wake: the others can tell
            partial dead = x;
            die(dead, t);
            finish_step(std::move(dead), t, from.step);
        }
        finish_step(std::move(x), t, from.step);
    }

    void change_queue(partial x, std::size_t t, const interpreter::step& s, int source,
                      const queue& after) {
        const int r = begin_call(x, t, s, source);
        const int w = end_call(x, t, s, source, r, after);
        place_in_mo(x, t, w, queue_for(s), true, step_of(x, source));
    }

    // A call reads the queue first and writes it last, and nothing of others comes in between.
    int begin_call(partial& x, std::size_t t, const interpreter::step& s, int source) const {
        const int r = add_event(x, t, acq_rel, rlx);
        add_access(x, r, queue_for(s), false);
        x.g.R.insert(r);
        x.g.rf.insert(source, r);
        return r;
    }
    int end_call(partial& x, std::size_t t, const interpreter::step& s, int source, int r,
                 const queue& after) const {
        const annotation from = x.notes[static_cast<std::size_t>(source)];
        const int w = add_event(x, t, rlx, acq_rel);
        x.notes.back().written = number_of(after);
        add_access(x, w, queue_for(s), false);
        x.g.W.insert(w);
        x.g.rmw.insert(r, w);
        x.threads[t].atomic_events.push_back({.kind = event_kind::update,
                                              .mode = acq_rel,
                                              .location = static_cast<int>(queue_for(s)),
                                              .read = from.written,
                                              .written = number_of(after),
                                              .from = from.name});
        return w;
    }

    location queue_for(const interpreter::step& s) const {
        return static_cast<location>(atomics_ + s.location);
    }
    static int step_of(const partial& x, int e) {
        return x.notes[static_cast<std::size_t>(e)].step;
    }

    // Adds an event after its thread's last one and the initial writes. `read_as` and `write_as`
    // are the orders whose acquire and release part it has.
    int add_event(partial& x, std::size_t t, order read_as, order write_as) const {
        const int e = x.g.add();
        for (int other = 0; other < e; ++other)
            if (x.notes[static_cast<std::size_t>(other)].name == initial_write)
                x.g.sb.insert(other, e);
        for (const int other : x.threads[t].events) x.g.sb.insert(other, e);
        if (acquires(read_as)) x.g.acquires.insert(e);
        if (releases(write_as)) x.g.releases.insert(e);
        if (read_as == sc || write_as == sc) x.g.Esc.insert(e);
        const event_name name{static_cast<int>(t),
                              static_cast<int>(x.threads[t].atomic_events.size())};
        x.notes.push_back({.name = name, .step = static_cast<int>(x.steps.size())});
        x.threads[t].events.push_back(e);
        return e;
    }

    static void add_access(partial& x, int e, location l, bool plain) {
        if (plain) x.g.plain.insert(e);
        x.accesses[l].push_back(e);
        for (const int other : x.accesses[l]) {
            x.g.same_location.insert(e, other);
            x.g.same_location.insert(other, e);
        }
    }

    // Write `w` at every place in mo, and its thread alive or dead afterwards. `source_step`: when
    // the latest write was added that its step reads from.
    void place_in_mo(const partial& x, std::size_t t, int w, location l, bool may_die,
                     int source_step) {
        for (std::size_t place = 1; place <= x.mo[l].size(); ++place) {
            partial y = x;
            auto& order_here = y.mo[l];
            order_here.insert(order_here.begin() + static_cast<std::ptrdiff_t>(place), w);
            for (std::size_t i = 0; i < place; ++i) y.g.mo.insert(order_here[i], w);
            for (std::size_t i = place + 1; i < order_here.size(); ++i)
                y.g.mo.insert(w, order_here[i]);
            if (may_die && y.crashes > 0) {
                partial dead = y;
                die(dead, t);
                finish_step(std::move(dead), t, source_step);
            }
            finish_step(std::move(y), t, source_step);
        }
    }

    void finish_step(partial x, std::size_t t, int source_step) {
        if (use_.one_interleaving && !is_least_order(x, t, source_step)) return;
        x.threads[t].last_step = static_cast<int>(x.steps.size());
        x.steps.push_back(static_cast<int>(t));
        if (use_.prune_prefixes) {
            if (!consistent(x.g)) return;
            if (racy(x.g)) {
                found_.race = true;
                return;
            }
        }
        extend(std::move(x));
    }

    // Could the new step of thread t have come earlier, before a step of a higher thread? Then
    // this order is not the least of those that lead to the same graph. A step must come after
    // its thread's last one and after the write it reads.
    static bool is_least_order(const partial& x, std::size_t t, int source_step) {
        const int earliest = std::max(x.threads[t].last_step, source_step) + 1;
        return std::none_of(x.steps.begin() + earliest, x.steps.end(),
                            [&](int other) { return other > static_cast<int>(t); });
    }

    void report(const partial& x) {
        if (!use_.prune_prefixes) {
            if (!consistent(x.g)) return;
            if (racy(x.g)) {
                found_.race = true;
                return;
            }
        }
        execution done = to_execution(x);
        if (done.is_stuck()) done.verdict = complaint_about(x);
        if (!use_.one_interleaving && !seen_.insert(canonical(done)).second) return;
        if (done.is_complete()) {
            ++found_.complete;
            visit_(done);
            return;
        }
        ++found_.blocked;
        if (!done.is_stuck()) return;
        ++found_.stuck;
        visit_(done);
    }

    execution to_execution(const partial& x) const {
        execution out;
        for (const auto& t : x.threads)
            out.threads.push_back({t.atomic_events, t.end, t.code.registers()});
        for (location l = 0; l < static_cast<location>(atomics_ + queues_); ++l) {
            auto& names = out.mo.emplace_back();
            for (auto w = x.mo[l].begin() + 1; w != x.mo[l].end(); ++w)
                names.push_back(x.notes[static_cast<std::size_t>(*w)].name);
        }
        return out;
    }

    // Nobody can go on. The most telling reason: somebody sleeps, and what he waits for is there.
    static complaint complaint_about(const partial& x) {
        const auto any = [&](auto is) {
            return std::any_of(x.threads.begin(), x.threads.end(), is);
        };
        if (any([](const thread_state& t) { return t.end == fate::crashed; }))
            return complaint::blocked_by_dead;
        const bool in_vain = any([&](const thread_state& t) {
            if (!t.asleep) return false;
            const int latest = x.mo[static_cast<location>(t.asleep->location)].back();
            return x.notes[static_cast<std::size_t>(latest)].written != t.asleep->arg;
        });
        return in_vain ? complaint::lost_wake_up : complaint::deadlock;
    }

    const program& program_;
    const visitor& visit_;
    shortcuts use_;
    int atomics_;
    int queues_;
    summary found_;
    std::set<std::string> seen_;
};

}  // namespace

summary enumerate(const program& p, const visitor& visit, shortcuts use) {
    return enumerator(p, visit, use).run();
}
summary enumerate(const program& p, const visitor& visit) { return enumerate(p, visit, {}); }

}  // namespace assay::proof::oracle
