#include "search.hpp"

#include <algorithm>
#include <array>

#include "mutant.hpp"

namespace assay::checker {

search::search(std::size_t processes, const location_table& locations, const rules& r)
    : rules_(r),
      locations_(&locations),
      processes_(processes),
      symmetry_(r.identical),
      keeps_order_(symmetry_.in_use()) {
    push(new_graph());
}
search::~search() = default;

void search::push(std::unique_ptr<graph> copy) {
    top_ = copy.get();
    std::vector<item> items;
    if (!spare_items_.empty()) {
        items = std::move(spare_items_.back());
        spare_items_.pop_back();
    }
    stack_.push_back({std::move(copy), std::move(items)});
}

void search::pop() {
    execution& last = stack_.back();
    last.items.clear();
    spare_graphs_.push_back(std::move(last.g));
    spare_items_.push_back(std::move(last.items));
    stack_.pop_back();
    top_ = stack_.empty() ? nullptr : stack_.back().g.get();
}

std::unique_ptr<graph> search::new_graph() {
    if (spare_graphs_.empty()) return std::make_unique<graph>(processes_, *locations_);
    auto g = std::move(spare_graphs_.back());
    spare_graphs_.pop_back();
    return g;
}

void search::later(item it) {
    if (guide_ != nullptr) return;
    it.s = g().next_stamp() - 1;
    stack_.back().items.push_back(it);
    ++fresh_;
    stats_.peak_items = std::max(stats_.peak_items, ++items_);
}

std::size_t search::count(flag f) const {
    const graph& in = current();
    std::size_t n = 0;
    for (std::size_t p = 0; p < in.processes(); ++p)
        for (std::uint16_t i = 0; i < in.length(p); ++i)
            n += in[{static_cast<std::uint16_t>(p), i}].has(f);
    return n;
}

// --- identical processes -----------------------------------------------------------------------

void search::settle(event_id e) {
    derive(g(), e, rules_.sequence);
    if (keeps_order_ && !is(mutant::no_order_of_twins)) symmetry_.order(g(), e);
}

event_id search::twin_of_next(std::size_t process) const {
    const auto p = static_cast<std::uint16_t>(process);
    return symmetry_.twin(current(), {p, static_cast<std::uint16_t>(current().length(p))});
}

std::size_t search::lowest_choice(event_id e, location_id loc, std::size_t known) {
    if (!keeps_order_ || is(mutant::any_choice_of_twins)) return known;
    const event_id twin = symmetry_.twin(g(), e);
    if (twin == initial) return known;
    const std::size_t lowest = symmetry::lowest(g(), twin);
    // What is left out was found with the two exchanged, unless it is there because of the twin.
    const auto& mo = g().of(loc).mo;
    for (std::size_t p = known; p < lowest && p < mo.size(); ++p)
        if (g()[e].reads() && g().write(mo[p], loc).porf.contains(twin)) symmetry_misleads_ = true;
    return std::max(known, lowest);
}

const event* search::differs_from_twin(std::size_t process, const event& like) const {
    if (!symmetry_.in_use()) return nullptr;
    const event_id twin = twin_of_next(process);
    if (twin == initial || current()[twin].has(crash)) return nullptr;
    const event& e = current()[twin];
    const bool same = e.what == like.what && e.operation == like.operation && e.loc == like.loc &&
                      e.size == like.size && e.operand == like.operand &&
                      e.expected == like.expected && e.condition == like.condition &&
                      e.site == like.site;
    return same ? nullptr : &e;
}

// --- forward: the latest write, always ---------------------------------------------------------
// What is added here is never inconsistent: RC11 can always go on with the latest write.

event_id search::add(std::size_t process, const event& like) {
    if (like.reads()) return add_read(process, like);
    if (like.writes()) return add_write(process, like);
    const event_id id = g().append(process, like);
    g()[id].ord = like.success;
    settle(id);
    static_cast<void>(choice(0, 0));
    return id;
}

event_id search::add_read(std::size_t process, const event& like) {
    // Before the read is there: that is where the sleeper would be when it woke by itself.
    if (like.condition == until::not_queued && can_wake())
        later({item::type::wake, {static_cast<std::uint16_t>(process), 0}, {}, {}, 0, 0});

    const event* const previous = g().last(process);
    const clock known = previous == nullptr ? clock{} : previous->hb;
    const event_id r = g().append(process, like);
    const auto& mo = g().history_for(like.loc).mo;
    const std::size_t last = mo.size() - 1;
    const std::size_t bound = lowest_choice(r, like.loc, coherence_bound(g(), like.loc, known));
    for (std::size_t p = bound; p < last; ++p) {
        // A wait that sees a value it does not want is worth exploring only with the latest
        // one: no newer write can then be the one that it was waiting for. To have seen what
        // nobody wrote is an error whatever it is.
        if (rules_.filter_waits && !(p == 0 && (*locations_)[like.loc].unwritten) &&
            !holds(like.condition, g().write(mo[p], like.loc).val, like.expected))
            continue;
        later({item::type::read, r, mo[p], {}, 0, 0});
    }
    g().add_read(r);
    if (by_chance()) {
        read_by_chance(r, bound, last);
        return r;
    }
    set_source(r, mo[choice(bound, last)]);
    if (guide_ != nullptr && guide_->fails())
        static_cast<void>(apply_failure({item::type::fail, r, {}, {}, 0, 0}));
    if (!looked_in_time(r)) {
        // What it might read instead is taken: the items above lead to where it is not.
        dead_end_ = true;
        if (guide_ != nullptr) guide_->misfit("compares what it knows to be overwritten", true);
        return r;
    }
    if (!complete_rmw(process) && guide_ != nullptr)
        guide_->misfit("cannot write where it is to", true);
    return r;
}

// The look of a sleep stands before its read-modify-write of the queue, but happens with that in
// its hands: it must not have missed what the process learns from the queue. (After it, at the read's
// place, it could not be revisited by a write of one who has not yet run: the search needs both
// halves of a read-modify-write side by side, or it takes the queue from an older call too late.)
bool search::looked_in_time(event_id r) const {
    const event& e = current()[r];
    if (e.operation != op::sleep || !e.reads() || is(mutant::looks_too_early)) return true;
    const event& look = *current().before(r);
    return coherence_bound(current(), look.loc, e.hb) <= current().source(look).mo;
}

// Makes the look of a sleep see the latest.
void search::look_again(event_id r) {
    const event_id look{r.process, static_cast<std::uint16_t>(r.index - 1)};
    set_source(look, g().of(g()[look].loc).mo.back());
    set_source(r, g()[r].rf);
}

event_id search::add_write(std::size_t process, const event& like) {
    const event_id a = g().append(process, like);
    g()[a].ord = like.success;
    settle(a);

    const event* const previous = g().before(a);
    const auto& mo = g().history_for(like.loc).mo;
    const std::size_t last = mo.size() - 1;
    const clock known = previous == nullptr ? clock{} : previous->hb;
    const std::size_t bound = lowest_choice(a, like.loc, coherence_bound(g(), like.loc, known));
    for (std::size_t p = bound; p < last; ++p)
        if (keeps_atomicity(g(), like.loc, p) || is(mutant::forward_splits_rmw))
            later({item::type::write, a, {}, mo[p], 0, 0});
    if (by_chance()) {
        place_by_chance(a, bound, last);
        return a;
    }
    const std::size_t position = choice(bound, last);
    if (!keeps_atomicity(g(), like.loc, position) && guide_ != nullptr)
        guide_->misfit("gets between the halves of a read-modify-write", true);
    g().place(a, position);
    revisit_from(a);
    return a;
}

bool search::can_crash(std::size_t process) const {
    return (rules_.may_crash >> process & 1) != 0 &&
           count(crash) < static_cast<std::size_t>(rules_.crashes);
}

void search::may_crash_here(std::size_t process) {
    if (!can_crash(process)) return;
    // Of two that have done the same, the lower one dies first.
    if (const event_id twin = twin_of_next(process); twin != initial && !g()[twin].has(crash))
        return;
    later({item::type::crash, {static_cast<std::uint16_t>(process), 0}, {}, {}, 0, 0});
}

// Makes r, the last event of its process, read from w. A weak compare-exchange that now succeeds
// could fail as well, which may even be consistent where success is not: its order differs.
void search::set_source(event_id r, event_id w) {
    event& e = g()[r];
    e.rf = w;
    e.flags = static_cast<std::uint8_t>(e.flags & ~failed);
    settle(r);
    if (e.has(weak) && succeeds(e) &&
        count(failed) < static_cast<std::size_t>(rules_.spurious_failures))
        later({item::type::fail, r, {}, {}, 0, 0});
}

// Adds the write half, by itself and at once, if the last event of the process is the read half of
// a read-modify-write. False if the graph is then inconsistent.
bool search::complete_rmw(std::size_t process) {
    const event_id r = g().last_id(process);
    const event read = g()[r];
    if (!succeeds(read)) return true;

    event half;
    half.what = kind::write;
    half.flags = rmw;
    half.operation = read.operation;
    half.loc = read.loc;
    half.size = read.size;
    half.site = read.site;
    half.ord = half.success = read.ord;
    const bool stays_awake = read.operation == op::sleep && g().before(r)->val != read.expected &&
                             !is(mutant::sleeps_anyway);
    half.val = stays_awake ? read.val
                           : truncate(result_of(read.operation, read.val, read.operand), read.size);
    const event_id w = g().append(process, half);
    settle(w);

    // If another RMW has taken the write that we read from, there is no place for ours and this
    // graph is a dead end. But our write must still offer itself to that RMW (or to an older
    // read): half of all executions are found that way.
    const std::size_t position = g().source(read).mo;
    const bool taken = g().taken(read.loc, position);
    if (!taken) g().place(w, position);
    if (!taken || !is(mutant::taken_rmw_is_dropped)) revisit_from(w);
    return !taken && consistent();
}

// --- revisits ----------------------------------------------------------------------------------

// Write a has just been added: which older reads could read from it instead? Called once for
// every write, whatever its place in mo.
void search::revisit_from(event_id a) {
    if (guide_ != nullptr) return;
    clock prefix = g()[a].porf;
    prefix.count[a.process] = a.index;

    // From the youngest event down, those of the prefix left out. `kept` is what would remain.
    clock kept = prefix;
    for (std::size_t p = 0; p < g().processes(); ++p)
        kept.count[p] = static_cast<std::uint16_t>(g().length(p));
    kept.count[a.process] = a.index;
    // The youngest that is left of each process, or 0.
    std::array<stamp, max_processes> youngest;
    const auto look_at = [&](std::size_t p) {
        const std::uint16_t n = kept.count[p];
        youngest[p] =
            n <= prefix.count[p]
                ? 0
                : g()[{static_cast<std::uint16_t>(p), static_cast<std::uint16_t>(n - 1)}].at;
    };
    for (std::size_t p = 0; p < g().processes(); ++p) look_at(p);
    for (;;) {
        const auto from = youngest.begin();
        const auto latest =
            std::max_element(from, from + static_cast<std::ptrdiff_t>(g().processes()));
        if (*latest == 0) return;
        const auto p = static_cast<std::uint16_t>(latest - from);
        const event_id e{p, static_cast<std::uint16_t>(kept.count[p] - 1)};
        const bool maximal = maximally_added(e, prefix);
        if (maximal || is(mutant::revisit_stale_reads))
            if (g()[e].reads() && g()[e].loc == g()[a].loc) offer(a, e, kept);
        // Every older read would remove e as well, which the search would not add again like that.
        if (!maximal && !is(mutant::skip_instead_of_stop)) return;
        --kept.count[p];
        look_at(p);
    }
}

// Leaves an item for each place in mo that a can have when e reads from it and only `kept` and a
// remain.
void search::offer(event_id a, event_id e, const clock& kept) {
    const location_id loc = g()[a].loc;
    const auto known = [&](event_id id) {
        const event* const previous = g().before(id);
        return previous == nullptr ? std::size_t{0} : coherence_bound(g(), loc, previous->hb);
    };
    std::size_t from = known(a);
    if (!is(mutant::revisit_ignores_bound)) from = std::max(from, known(e));
    std::size_t in_order = lowest_choice(a, loc, from);
    if (const event_id twin = symmetry_.twin(g(), e); keeps_order_ && twin != initial) {
        const std::size_t lowest = symmetry::lowest(g(), twin);
        if (from < lowest && g()[a].porf.contains(twin)) symmetry_misleads_ = true;
        in_order = std::max(in_order, lowest);
    }
    from = in_order;

    const auto& mo = g().of(loc).mo;
    std::size_t to = mo.size() - 1;
    if (g()[a].has(rmw)) {  // has one place only
        const std::size_t position = g().source(*g().before(a)).mo;
        if (position < from) return;
        from = to = position;
    }
    for (std::size_t p = from; p <= to; ++p) {
        if (!kept.contains(mo[p])) continue;
        std::size_t next = p + 1;
        while (next < mo.size() && !kept.contains(mo[next])) ++next;
        const bool splits = next < mo.size() && g()[mo[next]].has(rmw);
        if (!splits || is(mutant::revisit_splits_rmw))
            later({item::type::revisit, e, a, mo[p], 0, 0});
    }
}

// Would the search add e again just as it is, if it and everything younger outside the prefix of
// the revisiting write were removed? The paper's condition on Deleted, evaluated for one event.
bool search::maximally_added(event_id id, const clock& prefix) const {
    const graph& g = current();
    const event& e = g[id];
    if (e.has(crash) && !is(mutant::crash_is_deletable)) return false;
    if (e.has(failed) && !is(mutant::spurious_is_deletable)) return false;
    if (e.has(woken) && !is(mutant::waking_is_deletable)) return false;
    if (!e.accesses()) return true;

    const bool ignore_prefix = is(mutant::maximal_ignores_prefix);
    const auto previous = [&](event_id other) {
        return other == initial || g[other].at <= e.at ||
               (!ignore_prefix && prefix.contains(other));
    };
    event_id w = id;
    if (e.writes()) {
        // Read by an older read: then e was itself a revisit, and not added here.
        if (!is(mutant::delete_read_writes))
            for (const event_id r : g.of(e.loc).reads) {
                if (g[r].at > e.at) break;  // the reads are in the order of their stamps
                if (g[r].rf == id) return false;
            }
    } else {
        w = e.rf;
        // A source that is younger is deleted as well, and fails the test above; so this line
        // decides nothing, but it is the definition.
        if (!is(mutant::no_rf_in_previous) && !previous(w)) return false;
        if (is(mutant::delete_stale_reads)) return true;
    }
    const auto& mo = g.of(e.loc).mo;
    for (std::size_t p = g.write(w, e.loc).mo + std::size_t{1}; p < mo.size(); ++p)
        if (mo[p] != id && previous(mo[p])) return false;
    return true;
}

// {events not younger than e} u prefix. A count per process describes it, because stamps rise
// along po and the prefix is closed under po.
clock search::kept_by(event_id e, const clock& prefix) const {
    const graph& g = current();
    clock kept = prefix;
    for (std::uint16_t p = 0; p < g.processes(); ++p) {
        std::size_t n = g.length(p);
        while (n > prefix.count[p] && g[{p, static_cast<std::uint16_t>(n - 1)}].at > g[e].at) --n;
        kept.count[p] = static_cast<std::uint16_t>(n);
    }
    return kept;
}

// --- backward: take an item --------------------------------------------------------------------

// The event at which what an item leads to forks off: a revisit begins again at the read; and a
// read-modify-write that reads a taken write can only take over, by a revisit of who took it.
// Deaths share at one fork: who may die later still may, so that going on is not halved by each.
stamp search::fork_of(const item& it) const {
    if (it.what == item::type::crash) return 0;
    if (it.what != item::type::revisit && it.what != item::type::read) return it.s;
    const event& e = current()[it.at];
    if (it.what == item::type::revisit) return e.at;
    const std::size_t position = current().write(it.with, e.loc).mo;
    if (!e.has(rmw) || !current().taken(e.loc, position)) return it.s;
    return current()[current().of(e.loc).mo[position + 1]].at;
}

void search::share_out() {
    if (stack_.empty()) return;
    auto& items = stack_.back().items;  // the fresh ones are the last of these
    forks_.clear();
    for (std::size_t i = items.size() - fresh_; i < items.size(); ++i)
        forks_.emplace_back(fork_of(items[i]), &items[i]);
    fresh_ = 0;
    std::sort(forks_.begin(), forks_.end());
    for (auto from = forks_.begin(); from != forks_.end();) {
        auto to = from;
        while (to != forks_.end() && to->first == from->first) ++to;
        share_ /= static_cast<double>(to - from + 1);
        for (; from != to; ++from) from->second->share = share_;
    }
    explored_ += share_;
    share_ = 0;
}

bool search::backtrack() {
    dead_end_ = false;
    while (!stack_.empty()) {
        share_out();
        auto& items = stack_.back().items;
        if (items.empty()) {
            pop();
            continue;
        }
        const item it = items.back();
        items.pop_back();
        --items_;
        share_ = it.share;
        if (apply(it)) return true;
        ++stats_.rejected;
    }
    return false;
}

bool search::apply(const item& it) {
    g().cut(it.s);
    switch (it.what) {
        case item::type::read:
            return apply_read(it);
        case item::type::write:
            return apply_write(it);
        case item::type::revisit:
            return apply_revisit(it);
        case item::type::fail:
            return apply_failure(it);
        case item::type::wake:
            return apply_wake(it);
        case item::type::crash:
            return apply_crash(it);
    }
    return false;
}

bool search::apply_read(const item& it) {
    set_source(it.at, it.with);
    // An inconsistent graph explores nothing, not even what the write half would revisit.
    return looked_in_time(it.at) && consistent() && complete_rmw(it.at.process);
}

bool search::apply_write(const item& it) {
    g().unplace(it.at);
    g().place(it.at, g().write(it.after, g()[it.at].loc).mo);
    if (is(mutant::revisit_from_everywhere)) revisit_from(it.at);
    return consistent();
}

bool search::apply_revisit(const item& it) {
    clock prefix = g()[it.with].porf;
    prefix.count[it.with.process] = it.with.index;
    clock kept = kept_by(it.at, prefix);
    kept.include(it.with);

    auto copy = new_graph();
    copy->restrict(g(), kept);
    copy->unplace(it.with);
    copy->place(it.with, copy->write(it.after, (*copy)[it.with].loc).mo);
    push(std::move(copy));
    ++stats_.revisits;
    stats_.peak_graphs = std::max(stats_.peak_graphs, stack_.size());

    set_source(it.at, it.with);
    if (!looked_in_time(it.at)) return false;
    if (!is(mutant::no_psc_after_revisit) && !consistent()) return false;
    return complete_rmw(it.at.process);
}

bool search::apply_failure(const item& it) {
    g()[it.at].flags |= failed;
    settle(it.at);
    return consistent();
}

bool search::apply_wake(const item& it) {
    event e;
    e.what = kind::point;
    e.flags = woken;
    settle(g().append(it.at.process, e));
    return true;
}

bool search::apply_crash(const item& it) {
    const auto p = it.at.process;
    event death;
    death.what = kind::write;
    death.flags = crash;
    death.val = 1;
    death.size = 1;
    death.ord = death.success = order::release;  // who sees the death sees what came before it
    death.loc = static_cast<location_id>(p);
    const event_id w = g().append(p, death);
    settle(w);
    g().place(w, g().history_for(death.loc).mo.size() - 1);
    revisit_from(w);
    return true;
}

// --- repeating ---------------------------------------------------------------------------------

void search::follow(guide* choices) {
    // What the guide leaves behind is where an execution starts from, with no other to explore.
    guide_ = choices;
    keeps_order_ = false;  // it says who does what
    stack_.back().items.clear();
    items_ = fresh_ = 0;
    dead_end_ = false;
}

void search::go_on_from(const graph& from) {
    while (stack_.size() > 1) pop();
    g() = from;
    stack_.back().items.clear();
    items_ = fresh_ = 0;
}

// A choice that leads to no consistent graph is made again among the newer ones; the newest is
// always consistent.
void search::read_by_chance(event_id r, std::size_t bound, std::size_t last) {
    const location_id loc = g()[r].loc;
    for (;;) {
        const std::size_t p = guide_->choose(bound, last);
        set_source(r, g().of(loc).mo[p]);
        if (p == last && !looked_in_time(r)) look_again(r);
        if (p == last || consistent()) {
            const bool may_fail =
                g()[r].has(weak) && succeeds(g()[r]) &&
                count(failed) < static_cast<std::size_t>(rules_.spurious_failures);
            if (may_fail && guide_->fails()) {
                if (apply_failure({item::type::fail, r, {}, {}, 0, 0})) return;
                set_source(r, g().of(loc).mo[p]);
            }
            if (complete_rmw(r.process) || p == last) return;
        }
        g().cut(g()[r].at);
        bound = p + 1;
    }
}

void search::place_by_chance(event_id w, std::size_t bound, std::size_t last) {
    for (;;) {
        const std::size_t p = guide_->choose(bound, last);
        bound = p + 1;
        if (!keeps_atomicity(g(), g()[w].loc, p)) continue;
        g().place(w, p);
        if (p == last || consistent()) return;
        g().unplace(w);
    }
}

void search::die(std::size_t process) {
    static_cast<void>(
        apply_crash({item::type::crash, {static_cast<std::uint16_t>(process), 0}, {}, {}, 0, 0}));
}

void search::wake_by_itself(std::size_t process) {
    static_cast<void>(
        apply_wake({item::type::wake, {static_cast<std::uint16_t>(process), 0}, {}, {}, 0, 0}));
}

// --- sharing -----------------------------------------------------------------------------------

std::unique_ptr<search::task> search::split() {
    share_out();
    for (execution& x : stack_) {
        if (x.items.empty()) continue;
        auto t = std::make_unique<task>(task{*x.g, x.items.front()});
        x.items.erase(x.items.begin());
        --items_;
        // Only events up to the item's stamp matter, and younger items never touch those.
        t->g.cut(t->it.s);
        return t;
    }
    return nullptr;
}

bool search::start(task t) {
    while (!stack_.empty()) pop();
    dead_end_ = false;
    items_ = fresh_ = 0;
    share_ = t.it.share;
    push(std::make_unique<graph>(std::move(t.g)));
    const bool consistent = apply(t.it);
    if (!consistent) ++stats_.rejected;
    return consistent;
}

}  // namespace assay::checker
