#include "runtime.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <exception>

#include "allocations.hpp"
#include "mutant.hpp"

namespace assay::checker {

constinit thread_local runtime* runtime::current_ = nullptr;

runtime::runtime(std::size_t processes, const run_options& options, site_table& sites)
    : processes_(processes), options_(options), sites_table_(&sites), sites_(sites) {}
runtime::~runtime() = default;

// --- scheduling --------------------------------------------------------------------------------

void runtime::enter(void* argument) {
    process& p = *static_cast<process*>(argument);
    runtime& r = *p.owner;
    try {
        p.run->call(p.run->argument);
    } catch (const std::exception& e) {
        r.stop(verdict::misuse, std::string("an exception leaves a process: ") + e.what());
    } catch (...) {
        r.stop(verdict::misuse, "an exception leaves a process");
    }
    // It may still die after its last access: the end is a place like any other.
    if (r.search_->allowed().crashes > 0) r.point();
    if (p.position < r.g().length(r.self_))
        r.stop(verdict::nondeterministic,
               "process " + std::to_string(r.self_) + " ends, where it went on in another run");
    r.leave(state::finished);
}

void runtime::run(search& s, std::span<const body> bodies, std::span<const std::byte> variables) {
    search_ = &s;
    graph_ = &s.current();
    variables_ = variables;
    current_ = this;
    forward_ = false;
    for (std::size_t i = 0; i < processes_.size(); ++i) {
        process& p = processes_[i];
        p.is = state::waiting;
        p.position = 0;
        p.waits_for = initial;
        p.run = &bodies[i];
        p.owner = this;
        p.changed = p.loops = false;
        p.timed_out_for = 0;
        p.frames.forget();
        started_from_.count[i] = static_cast<std::uint16_t>(g().length(i));
        if ((options_.left_out >> i & 1) != 0)
            p.is = state::finished;
        else
            p.context.start(&enter, &p);
    }
    replay_graph();
    if (guide_ != nullptr) return follow_guide();
    // Forward.
    forward_ = true;
    for (std::size_t i = 0; i < processes_.size() && !failed_ && !s.dead_end(); ++i)
        if (processes_[i].is == state::waiting) resume(i);
}

// Each goes as far as the graph knows it, or to where it needs what another is to replay first.
void runtime::replay_graph() {
    for (bool again = true; again && !failed_;) {
        again = false;
        for (std::size_t i = 0; i < processes_.size() && !failed_; ++i) {
            process& p = processes_[i];
            if (p.is != state::waiting || p.position == started_from_.count[i]) continue;
            if (!has_to_wait_for(p.waits_for)) resume(i);
            again |= p.is == state::waiting && p.position < started_from_.count[i];
        }
    }
}

inline bool runtime::has_to_wait_for(event_id w) const {
    return w != initial && processes_[w.process].position <= w.index &&
           processes_[w.process].is == state::waiting;
}

bool runtime::complete() const {
    return std::all_of(processes_.begin(), processes_.end(), [](const process& p) {
        return p.is == state::finished || p.is == state::crashed;
    });
}

void runtime::resume(std::size_t i) {
    process& p = processes_[i];
    do {
        p.pausing = false;
        self_ = i;
        if (p.loops) p.variables.renew_with_heap(variables_);
        allocating_process = static_cast<int>(i);
        p.context.resume();
        allocating_process = nobody_allocates;
        if (p.loops) look_for_changes(p);
        if (p.pausing) compare_states(p);
    } while (p.pausing && !failed_ && p.is == state::waiting);
}

// Suspends the running process. Returns only if it is state::waiting and resumed.
inline void runtime::leave(state how) {
    process& p = processes_[self_];
    p.is = how;
    p.context.suspend();
    allocating_process = nobody_allocates;  // until the caller returns to the program
}

void runtime::block() {
    if (failed_ && trace_ != nullptr) trace_->fails(self_);
    leave(state::blocked);
    std::terminate();
}

void runtime::fail(verdict what, const std::string& message) {
    const own_allocations guard;
    if (failed_) return;
    failed_ = failure{what, message};
    if (options_.break_on_failure && guide_ == nullptr) static_cast<void>(std::raise(SIGTRAP));
}

void runtime::stop(verdict what, const std::string& message) {
    fail(what, message);
    block();
}

// --- accesses ----------------------------------------------------------------------------------

answer runtime::perform(const request& r, const place& at) {
    const own_allocations guard;
    process& p = processes_[self_];
    ++stats_.accesses;
    if (p.position < g().length(self_)) return replay(p, r, at);
    return extend(p, r, at);
}

inline answer runtime::replay(process& p, const request& r, const place& at) {
    const event_id id{static_cast<std::uint16_t>(self_), p.position};
    const event& e = g()[id];
    end_if_dead(p, e);
    if (e.what != r.what || e.loc != r.loc || e.operation != r.operation || e.size != r.size ||
        e.condition != r.condition || e.operand != r.operand || e.expected != r.expected)
        differs(p, e, r, at);
    if (e.reads() && e.rf.process != self_) wait_for(e.rf);
    return done(p, e, id);
}

answer runtime::await(const request& r, const place& at) {
    const answer a = perform(r, at);
    if (!holds(r.condition, a.seen, r.expected)) block();
    return a;
}

// Goes past the event, and the rest of a read-modify-write with it.
inline answer runtime::done(process& p, const event& e, event_id id) {
    const answer a{e.val, succeeds(e)};
    p.position = static_cast<std::uint16_t>(id.index + 1);
    if (a.succeeded) ++p.position;
    if (e.writes() || a.succeeded) changes(p);
    for (; trace_ != nullptr && id.index < p.position; ++id.index) note(id);
    if (e.reads() && e.rf == initial) check_written(e);
    return a;
}

inline void runtime::wait_for(event_id w) {
    while (has_to_wait_for(w)) {
        processes_[self_].waits_for = w;
        leave(state::waiting);
    }
}

// All that the graph knows of this process has been replayed: waits for the second phase.
void runtime::reach_the_end_of_the_graph() {
    while (!forward_ && !on_turn()) leave(state::waiting);
}

inline void runtime::end_if_dead(const process& p, const event& next) {
    if (!next.has(crash)) return;
    if (trace_ != nullptr) note({static_cast<std::uint16_t>(self_), p.position});
    leave(state::crashed);
    std::terminate();
}

// The process is about to add an event to the graph.
void runtime::start_event(process& p) {
    reach_the_end_of_the_graph();
    if (on_turn() && can_die_here() && search_->can_crash(self_) &&
        guide_->take(guide::mark::dies)) {
        search_->die(self_);
        leave(state::crashed);
        std::terminate();
    }
    if (p.position >= options_.max_events) {
        leave(state::bounded);
        std::terminate();
    }
    offer_crash();
}

answer runtime::extend(process& p, const request& r, const place& at) {
    start_event(p);
    // The look of a sleep is at the place of the sleep, and has no order to be weakened.
    const bool looks = (r.flags & inner) != 0;
    const auto& s = looks ? sites_.find(at, r.what, op::sleep, order::acq_rel, order::relaxed)
                          : sites_.find(at, r.what, r.operation, r.success, r.failure);
    event e;
    e.what = r.what;
    e.operation = r.operation;
    e.condition = r.condition;
    e.success = looks ? order::relaxed : s.success;
    e.failure = s.failure;
    e.size = r.size;
    e.flags = r.flags;
    e.loc = r.loc;
    e.site = s.id;
    e.operand = r.operand;
    e.expected = r.expected;
    if (r.what == kind::write) e.val = r.operand;
    if (const event* const twin = search_->differs_from_twin(self_, e)) not_identical(e, *twin);
    const event_id id = search_->add(self_, e);
    if (search_->dead_end()) block();
    return done(p, g()[id], id);
}

// A death matters to the others only where it comes after something that they can see, so that
// is where it is offered: at the start, and after each write (atomic or plain). One who sleeps
// leaves the queue when it dies, as if it had died before, and so does one who has woken by itself
// and not yet left it; but once woken, it has used up a wake.
bool runtime::can_die_here() const {
    if (search_->allowed().crashes == 0) return false;
    const event* const last = g().last(self_);
    const bool asleep = last != nullptr && last->operation == op::sleep && last->writes() &&
                        queued(last->val, self_);
    const bool woken_up = last != nullptr && last->condition == until::not_queued && !blocks(*last);
    const bool in_queue =
        asleep || (last != nullptr && last->has(woken) && !is(mutant::dies_in_the_queue));
    return last == nullptr || (last->writes() && !in_queue) ||
           (last->what == kind::point && !in_queue) || woken_up ||
           search_->allowed().crash_at_every_event;
}

void runtime::offer_crash() {
    if (can_die_here()) search_->may_crash_here(self_);
}

void runtime::differs(const process& p, const event& expected, const request& r, const place& at) {
    const auto describe = [](kind k, op o, location_id loc, value operand) {
        const char* const kinds[] = {"read", "write", "fence", "pause", "point"};
        return std::string(kinds[static_cast<int>(k)]) + " (operation " +
               std::to_string(static_cast<int>(o)) + ", location " + std::to_string(loc) +
               ", operand " + std::to_string(operand) + ")";
    };
    fail(verdict::nondeterministic,
         "event " + std::to_string(p.position) + " of process " + std::to_string(self_) +
             " was a " +
             describe(expected.what, expected.operation, expected.loc, expected.operand) + " at " +
             where(expected.site) + ", and now is a " +
             describe(r.what, r.operation, r.loc, r.operand) + " at " + at.file_name() + ":" +
             std::to_string(at.line()));
    block();
}

void runtime::not_identical(const event& mine, const event& twins) {
    fail(verdict::misuse, "process " + std::to_string(self_) +
                              " is declared identical to another one, but where they have seen the "
                              "same it accesses at " +
                              where(mine.site) + " what the other does not, or otherwise, at " +
                              where(twins.site));
    block();
}

std::string runtime::where(site_id s) const {
    const site found = sites_table_->get(s);
    return found.file.empty() ? "?" : found.file + ":" + std::to_string(found.line);
}

clock runtime::known() const {
    const process& p = processes_[self_];
    return p.position == 0 ? clock{}
                           : g()[{static_cast<std::uint16_t>(self_),
                                  static_cast<std::uint16_t>(p.position - 1)}]
                                 .hb;
}

// --- repeating an execution --------------------------------------------------------------------

bool runtime::on_turn() const { return guide_ != nullptr && guide_->on_turn(self_); }

void runtime::follow_guide() {
    std::vector<std::size_t> waiting;
    // A script goes on to its end, to the graph that it was made for; a sample ends with its failure.
    while (!failed_ || guide_->insists()) {
        waiting.clear();
        for (std::size_t i = 0; i < processes_.size(); ++i)
            if (processes_[i].is == state::waiting) waiting.push_back(i);
        const auto i = guide_->next(waiting);
        if (!i) return;
        resume(*i);
    }
}

void runtime::note(event_id id) { trace_->steps.push_back({id, false, false, g()[id].site, 0, 0}); }

void runtime::note(const race_detector::access& a, cell_id c, std::uint32_t offset) {
    trace_->steps.push_back({{a.process, a.events}, true, a.write, a.site, c, offset});
}

// --- pause: is this loop going anywhere? -------------------------------------------------------
// If the process is in the very state in which it was at its last pause (same frames of the
// program, same registers) and has changed nothing in between, then everything since was without
// effect: each execution in which it goes on is one in which that lap is left out. So it stops
// here, and goes on only if a new write revisits one of the reads of the lap. A loop that counts
// its laps is in another state each time, wherever the count is, and is not stopped.
//
// What others can change too (the scenario's variables, the heap) is compared over each of the
// process's own turns, not from pause to pause: what others do in between must not decide what a
// process does next, or the search would meet executions twice.

void runtime::pause(const void* frames) {
    add_pause();
    process& p = processes_[self_];
    p.paused_at = frames;
    p.pausing = true;
    p.context.suspend();
    allocating_process = static_cast<int>(self_);
}

void runtime::add_pause(std::uint8_t flags) {
    const own_allocations guard;
    process& p = processes_[self_];
    p.pause_is_new = false;
    if (p.position < g().length(self_)) {
        const event& e = g()[{static_cast<std::uint16_t>(self_), p.position}];
        end_if_dead(p, e);
        if (e.what != kind::pause) {
            request r;
            r.what = kind::pause;
            differs(p, e, r, place::current());
        }
    } else {
        start_event(p);
        p.pause_is_new = true;
        event e;
        e.what = kind::pause;
        e.flags = flags;
        search_->add(self_, e);
    }
    if (trace_ != nullptr) note({static_cast<std::uint16_t>(self_), p.position});
    ++p.position;
}

void runtime::repeat(bool (*f)(void*), void* argument, bool remembers) {
    // All that f can change is memory: it is called through a pointer. So the two ends of a lap
    // are compared here, at one place, where nothing of ours differs between them.
    registers kept;
    processes_[self_].lap_frames.forget();
    do next_lap(assay_fiber_here(&kept), remembers);
    while (!f(argument));
    changes(processes_[self_]);  // for a loop around this one
}

// Ends a lap, unless this is the first, and begins another.
void runtime::next_lap(const void* frames, bool remembers) {
    process& p = processes_[self_];
    if (!p.lap_frames.empty()) {
        add_pause(lap);
        look_for_changes(p);
        const bool same =
            (p.lap_frames.renew(p.context.frames(frames)) || !remembers) && !p.lap_changed;
        block_if(p, same);
        if (p.is == state::blocked) block();
    }
    add_pause();  // marks where the lap begins
    p.loops = true;
    p.frames.forget();
    p.lap_frames.renew(p.context.frames(frames));
    p.variables.renew_with_heap(variables_);
    p.lap_changed = false;
}

void runtime::end_operation() {
    changes(processes_[self_]);
    if (search_->allowed().crashes > 0) point();
}

void runtime::compare_states(process& p) {
    const bool same = p.frames.renew(p.context.frames(p.paused_at)) && !p.changed;
    p.changed = false;
    p.loops = true;
    block_if(p, same);
}

// Decided once, and kept in the graph: bytes that mean nothing may differ in a replay.
void runtime::block_if(process& p, bool same_state) {
    const event_id id{static_cast<std::uint16_t>(self_),
                      static_cast<std::uint16_t>(p.position - 1)};
    if (p.pause_is_new && same_state) search_->mark_stuck(id);
    if (g()[id].has(stuck)) p.is = state::blocked;
}

void runtime::look_for_changes(process& p) {
    if (!p.variables.renew_with_heap(variables_)) changes(p);
}

void runtime::note_alone(const request& r, const place& at) {
    const own_allocations guard;
    site s;
    s.what = r.what;
    s.operation = r.operation;
    s.success = r.success;
    s.failure = r.failure;
    sites_table_->note_alone(at, s);
}

// --- plain memory ------------------------------------------------------------------------------

void runtime::plain(kind what, cell_id c, const place& at, std::uint32_t offset) {
    const own_allocations guard;
    process& p = processes_[self_];
    const bool writes = what == kind::write;
    if (writes) {
        if (search_->allowed().crashes > 0 && options_.crash_between_plain_writes) point();
        changes(p);
    }
    const race_detector::access mine{
        static_cast<std::uint16_t>(self_), p.position,
        sites_.find(at, kind::point, op::none, order::relaxed, order::relaxed).id, writes};
    if (trace_ != nullptr) note(mine, c, offset);
    race_detector::access other;
    const auto outcome =
        writes ? races_.write(c, mine, known(), other) : races_.read(c, mine, known(), other);
    if (outcome != race_detector::outcome::fine) check_race(outcome, mine, other);
}

// A place where the process can die, although nothing happens there: between plain writes.
void runtime::point() {
    request r;
    r.what = kind::point;
    r.size = 0;
    perform(r, place::current());
}

// This read of a word saw what was there before anybody stored.
void runtime::check_written(const event& read) {
    if (!g().table()[read.loc].unwritten || guide_ != nullptr) return;
    fail(verdict::uninitialised_read,
         "process " + std::to_string(self_) + " reads what nobody wrote, at " + where(read.site));
    block();
}

void runtime::check_race(race_detector::outcome o, const race_detector::access& mine,
                         const race_detector::access& other) {
    if (!options_.check_races || guide_ != nullptr) return;
    if (o == race_detector::outcome::race && trace_ != nullptr) trace_->races_with(other);
    // Not stop(): a message that is built in a call that never returns would never be freed.
    if (o == race_detector::outcome::uninitialised) {
        fail(verdict::uninitialised_read, "process " + std::to_string(mine.process) +
                                              " reads what nobody wrote, at " + where(mine.site));
    } else {
        fail(verdict::data_race,
             "process " + std::to_string(mine.process) +
                 (mine.write ? " writes at " : " reads at ") + where(mine.site) + " what process " +
                 std::to_string(other.process) + (other.write ? " writes at " : " reads at ") +
                 where(other.site) + ", and neither happens before the other");
    }
    block();
}

// --- the futex ---------------------------------------------------------------------------------
// The sleepers of a word are a location of their own: a queue as a value, and each call one
// read-modify-write of it, as each takes the lock of the kernel's queue once. A sleep compares the
// futex word with the lock held, so no wake can come between comparing and falling asleep. In the
// graph the look at the word comes first, as an event of its own; the search sees to it that it was
// not too early (search::looked_in_time).

bool runtime::sleep(location_id sleepers, location_id word, value seen, bool timed,
                    const place& at) {
    process& p = processes_[self_];
    if (self_ > 14) stop(verdict::misuse, "only the first 15 processes can sleep");
    request look;
    look.flags = inner;
    look.size = g().table()[word].size;
    look.loc = word;
    look.expected = seen;
    perform(look, at);

    request r;
    r.flags = rmw;
    r.operation = op::sleep;
    r.success = order::acq_rel;
    r.loc = sleepers;
    r.operand = self_;
    r.expected = seen;
    perform(r, at);
    const event_id looked{static_cast<std::uint16_t>(self_),
                          static_cast<std::uint16_t>(p.position - 3)};
    if (g()[looked].val != seen) return true;

    request leave_queue = r;
    leave_queue.operation = op::leave;
    leave_queue.expected = 0;

    // A sleep that ends by itself is a point instead of the read below.
    if (wakes_by_itself(p)) {
        ++p.position;
        perform(leave_queue, at);
        return true;
    }
    request asleep;
    asleep.condition = until::not_queued;
    asleep.success = order::acquire;
    asleep.loc = sleepers;
    asleep.expected = self_;
    if (!queued(perform(asleep, at).seen, self_)) return true;

    // A deadline passes only after somebody has died, once for each death: short sleeps are how
    // the library survives a dead waker, and must not hide a wake that a living one forgot.
    for (std::size_t other = 0; timed && other < processes_.size(); ++other) {
        if (search_->allowed().crashes == 0) break;
        if (other == self_ || (p.timed_out_for >> other & 1) != 0) continue;
        request death;
        death.condition = until::equal;
        death.success = order::acquire;
        death.size = 1;
        death.loc = static_cast<location_id>(other);
        death.expected = 1;
        if (perform(death, at).seen == 0) continue;
        p.timed_out_for |= 1u << other;
        perform(leave_queue, at);
        return false;
    }
    block();
}

bool runtime::wakes_by_itself(process& p) {
    const own_allocations guard;
    if (p.position == g().length(self_)) {
        if (guide_ == nullptr) return false;
        reach_the_end_of_the_graph();
        if (!search_->can_wake() || !guide_->take(guide::mark::wakes)) return false;
        search_->wake_by_itself(self_);
    }
    return g()[{static_cast<std::uint16_t>(self_), p.position}].has(woken);
}

int runtime::wake(location_id sleepers, int n, const place& at) {
    request r;
    r.what = kind::read;
    r.flags = rmw;
    r.operation = op::wake;
    r.success = order::acq_rel;
    r.loc = sleepers;
    r.operand = static_cast<value>(n);
    const value asleep = sleeping(perform(r, at).seen);
    return static_cast<int>(std::min<value>(asleep, r.operand));
}

bool runtime::alive(std::size_t p, const place& at) {
    if (search_->allowed().crashes == 0) return true;
    request r;
    r.success = order::acquire;
    r.size = 1;
    r.loc = static_cast<location_id>(p);
    return perform(r, at).seen == 0;
}

}  // namespace assay::checker
