// Sleeping until something changes, under the checker: who waits is woken, whoever dies. The event
// itself carries nothing; the change is the caller's word.
#include "assay/event.hpp"

#include "model/tests.hpp"

namespace assay::model {
namespace {

template <class Event>
struct signal {
    word<std::uint32_t> changes;
    Event changed;

    void format() {
        changes.store(0, relaxed);
        changed.format();
    }
    void change() {
        changes.fetch_add(1, seq_cst);
        changed.notify();
    }
    void wait_for(std::uint32_t n) {
        check(changed.wait_until([&] { return changes.load(relaxed) >= n; }, deadline::max()),
              "gave up");
    }
};

// So many waiters for the last of so many changes, each by a process of its own. If a notifier dies
// before its change, there is nothing to wait for.
template <class Event, int waiters, std::uint32_t notifiers, std::uint32_t needed = notifiers>
void wait_for_changes(scenario& s) {
    shared<signal<Event>> g(s);
    g->format();
    static constexpr const char* changing[] = {"changes", "changes too"};
    static constexpr const char* waiting[] = {"waits", "waits too"};
    for (std::uint32_t i = 0; i < notifiers; ++i) s.process(changing[i], [&g] { g->change(); });
    for (int i = 0; i < waiters; ++i) s.process(waiting[i], [&g] { g->wait_for(needed); });
    s.run();
}

// Waits twice: the second time on a count that has moved, in the one case round to zero.
template <std::uint32_t wakes>
void wait_again(scenario& s) {
    shared<signal<event>> g(s);
    g->format();
    g->changed.format(wakes);
    s.process("changes", [&g] {
        g->change();
        g->change();
    });
    s.process("waits", [&g] {
        g->wait_for(1);
        g->wait_for(2);
    });
    s.run();
}

// The change has happened, but nobody says so: its author may die in between.
template <class Event>
void change_without_a_word(scenario& s) {
    shared<signal<Event>> g(s);
    g->format();
    s.process("mortal", [&g] { g->change(); });
    s.process("waits", [&g] {
        // Only for a change that comes: until then it asks who lives.
        static_cast<void>(g->changed.wait_until(
            [&] { return g->changes.load(relaxed) >= 1 || died(0); }, deadline::max()));
    });
    s.run();
}

// --- broken ------------------------------------------------------------------------------------------

// Announces and looks without a total order.
struct without_seq_cst {
    word<std::uint32_t> word_;
    void format() { word_.store(0, relaxed); }
    template <class Ready>
    bool wait_until(Ready ready, deadline until) {
        for (;;) {
            const std::uint32_t seen = word_.fetch_or(1, acq_rel) | 1;
            if (ready()) return true;
            static_cast<void>(wait(word_, seen, until));
        }
    }
    void notify() {
        std::uint32_t seen = word_.load(acquire);
        if ((seen & 1) == 0) return;
        static_cast<void>(word_.compare_exchange(seen, seen + 1, relaxed, relaxed));
        wake(word_, everyone);
    }
};
// Looks before it announces itself.
struct looks_first {
    word<std::uint32_t> word_;
    void format() { word_.store(0, relaxed); }
    template <class Ready>
    bool wait_until(Ready ready, deadline until) {
        while (!ready()) {
            const std::uint32_t seen = word_.fetch_or(1, seq_cst) | 1;
            static_cast<void>(wait(word_, seen, until));
        }
        return true;
    }
    void notify() {
        std::uint32_t seen = word_.load(seq_cst);
        if ((seen & 1) == 0) return;
        static_cast<void>(word_.compare_exchange(seen, seen + 1, relaxed, relaxed));
        wake(word_, everyone);
    }
};
// Sleeps without a slice: whoever changes and dies before it says so is not noticed.
struct without_slices {
    word<std::uint32_t> word_;
    void format() { word_.store(0, relaxed); }
    template <class Ready>
    bool wait_until(Ready ready, deadline) {
        for (;;) {
            const std::uint32_t seen = word_.load(seq_cst);
            if (ready()) return true;
            static_cast<void>(wait(word_, seen, deadline::max()));
        }
    }
    void notify() {
        word_.fetch_add(1, seq_cst);
        wake(word_, everyone);
    }
};

[[nodiscard]] checker::settings one_spurious_wake() {
    checker::settings how;
    how.allowed.spurious_wakes = 1;
    return how;
}

}  // namespace

std::vector<test> event_tests() {
    using checker::verdict;
    return {
        {"event/who_waits_is_woken", wait_for_changes<event, 1, 1>, {verdict::verified, 6}},
        {"event/two_who_wait_are_woken", wait_for_changes<event, 2, 1>, {verdict::verified, 147}},
        {"event/waits_for_two_changes_of_two",
         wait_for_changes<event, 1, 2>,
         {verdict::verified, 434}},
        {"event/waits_twice", wait_again<0>, {verdict::verified, 133}},
        {"event/waits_twice_at_the_wrap", wait_again<~0u>, {verdict::verified, 133}},
        {"event/a_wake_without_a_reason_ends_no_wait",
         wait_for_changes<event, 1, 1>,
         {verdict::verified, 13},
         one_spurious_wake()},
        {"event/a_dead_waiter_keeps_no_other_asleep",
         wait_for_changes<event, 2, 1>,
         {verdict::verified, 569},
         one_death(6)},
        {"event/of_two_notifiers_one_may_die",
         wait_for_changes<event, 1, 2, 1>,
         {verdict::verified, 474},
         one_death(3)},
        {"event/change_is_seen_although_its_author_died_before_notifying",
         change_without_a_word<event>,
         {verdict::verified, 23},
         one_death(1)},
        {"event/canary_notifies_without_seq_cst",
         wait_for_changes<without_seq_cst, 1, 1>,
         {verdict::deadlock}},
        {"event/canary_looks_before_it_announces",
         wait_for_changes<looks_first, 1, 1>,
         {verdict::deadlock}},
        {"event/canary_sleeps_for_ever_on_a_dead_notifier",
         change_without_a_word<without_slices>,
         {verdict::blocked_by_dead},
         one_death(1)},
    };
}

}  // namespace assay::model
