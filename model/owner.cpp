// The lock that survives its holder, under the checker. Edge: [owner:lock].
#include "assay/owner.hpp"

#include "model/tests.hpp"

namespace assay::model {
namespace {

template <class Lock>
struct guarded {
    Lock lock;
    cell<int> turns;

    void take_turns(int n) {
        member me;
        for (int i = 0; i < n; ++i) {
            lock.lock(me);
            // As a cell: whoever is inside as well, or not ordered behind the last, is a race.
            turns.write(turns.read() + 1);
            lock.unlock();
        }
    }
};

// Each process locks so many times. Survivors always get in, and see what the others did.
template <class Lock, int... rounds>
void take_turns(scenario& s) {
    shared<guarded<Lock>> g(s);
    g->lock.format();
    g->turns.write(0);
    static constexpr const char* names[] = {"first", "second", "third"};
    std::size_t p = 0;
    (s.process(names[p++], [&g] { g->take_turns(rounds); }), ...);
    s.finally([&] {
        int least = 0, most = 0, i = 0;
        for (const int n : {rounds...}) {
            most += n;
            least += died(static_cast<std::size_t>(i++)) ? 0 : n;
        }
        const int turns = g->turns.read();
        check(turns >= least && turns <= most, "a turn was lost");
    });
    s.run();
}

// --- broken ------------------------------------------------------------------------------------------

// Asks a membership that says the same of everybody: nobody has died, or all have.
template <bool alive_or_dead>
struct without_looking {
    owned_lock inner;
    struct opinion final : membership {
        explicit opinion(membership& me) { id_ = me.self(); }
        [[nodiscard]] bool alive(owner_id) const noexcept override { return alive_or_dead; }
        [[nodiscard]] owner_id renew() override { return id_; }
    };
    void format() { inner.format(); }
    void lock(membership& me) {
        opinion o(me);
        inner.lock(o);
    }
    void unlock() { inner.unlock(); }
};
// Unlocks without a wake: what is left are the slices, and those hide nothing here.
struct without_wake {
    word<owner_id> word_;
    void format() { word_.store(nobody, relaxed); }
    void lock(membership& me) {
        for (;;) {
            owner_id seen = nobody;
            if (word_.compare_exchange(seen, me.self(), acquire, relaxed)) return;
            static_cast<void>(wait(word_, seen, now() + wait_slice));
        }
    }
    void unlock() { word_.store(nobody, release); }
};
// Forgets, after a sleep, that others may sleep too.
struct without_contended {
    static constexpr std::uint32_t contended = 1u << 31;
    word<owner_id> word_;
    void format() { word_.store(nobody, relaxed); }
    void lock(membership& me) {
        for (;;) {
            owner_id seen = nobody;
            if (word_.compare_exchange(seen, me.self(), acquire, relaxed)) return;
            if ((seen & contended) != 0 ||
                word_.compare_exchange(seen, seen | contended, relaxed, relaxed))
                static_cast<void>(wait(word_, seen | contended, now() + wait_slice));
        }
    }
    void unlock() {
        if ((word_.exchange(nobody, release) & contended) != 0) static_cast<void>(wake(word_, 1));
    }
};

[[nodiscard]] checker::settings two_deaths() {
    checker::settings how = one_death();
    how.allowed.crashes = 2;
    return how;
}
[[nodiscard]] checker::settings one_spurious_wake() {
    checker::settings how;
    how.allowed.spurious_wakes = 1;
    return how;
}

}  // namespace

std::vector<test> owner_tests() {
    using checker::verdict;
    return {
        {"owner/two_processes_exclude_each_other",
         take_turns<owned_lock, 2, 1>,
         {verdict::verified, 96}},
        {"owner/three_processes_exclude_each_other",
         take_turns<owned_lock, 1, 1, 1>,
         {verdict::verified, 10830}},
        {"owner/a_wake_without_a_reason_lets_nobody_in",
         take_turns<owned_lock, 1, 1>,
         {verdict::verified, 28},
         one_spurious_wake()},
        {"owner/lock_of_a_dead_holder_is_taken_over",
         take_turns<owned_lock, 2, 1>,
         {verdict::verified, 725},
         one_death()},
        {"owner/of_two_who_take_over_one_gets_it",
         take_turns<owned_lock, 1, 1, 1>,
         {verdict::verified, 39794},
         one_death(1)},
        {"owner/who_takes_over_may_die_too",
         take_turns<owned_lock, 1, 1, 1>,
         {verdict::verified, 369514},
         two_deaths()},
        {"owner/canary_waits_for_the_dead",
         take_turns<without_looking<true>, 1, 1>,
         {verdict::blocked_by_dead},
         one_death(1)},
        {"owner/canary_takes_from_the_living",
         take_turns<without_looking<false>, 1, 1>,
         {verdict::data_race}},
        {"owner/canary_wakes_nobody", take_turns<without_wake, 1, 1>, {verdict::lost_wake_up}},
        {"owner/canary_forgets_the_other_sleeper",
         take_turns<without_contended, 1, 1, 1>,
         {verdict::lost_wake_up}},
    };
}

}  // namespace assay::model
