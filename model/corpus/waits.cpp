// Sleeping and waking.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

void sleep_on(word<std::uint32_t>& w, std::uint32_t seen) {
    static_cast<void>(wait(w, seen, deadline::max()));
}

// The waiter counts itself and looks at the value; the notifier changes the value and looks at the
// count. Without one order of all four, each misses the other.
template <bool fixed>
void waiter_and_notifier_miss_each_other(scenario& s) {
    struct event {
        word<std::uint32_t> value, waiters;
    };
    shared<event> e(s);
    s.process("waiter", [&] {
        e->waiters.fetch_add(1, acq_rel);
        if (fixed) fence(seq_cst);
        while (e->value.load(acquire) == 0) sleep_on(e->value, 0);
    });
    s.process("notifier", [&] {
        e->value.store(1, release);
        if (fixed) fence(seq_cst);
        if (e->waiters.load(acquire) > 0) wake(e->value, everyone);
    });
    s.run();
}

// The consumer finds the queue empty, and then notes the event's number, on which it sleeps: what
// came in between has raised that number already. To the checker this is a deadlock: the word that
// the consumer sleeps on does not say that there is something.
template <bool fixed>
void the_number_is_noted_too_late(scenario& s) {
    struct queue {
        word<std::uint32_t> full, event;
    };
    shared<queue> q(s);
    s.process("consumer", [&] {
        for (;;) {
            std::uint32_t number = fixed ? q->event.load(acquire) : 0;
            if (q->full.load(acquire) == 1) return;
            if (!fixed) number = q->event.load(acquire);
            sleep_on(q->event, number);
        }
    });
    s.process("producer", [&] {
        q->full.store(1, release);
        q->event.fetch_add(1, release);
        wake(q->event, 1);
    });
    s.run();
}

// A monitor posts a permit for each notify, whether or not anybody waits: they pile up, and later
// waits return at once.
template <bool fixed>
void permits_pile_up_without_a_waiter(scenario& s) {
    struct monitor {
        word<std::uint32_t> waiters, permits;
        word<std::uint32_t> both;  // fixed: waiters * 16 + permits
    };
    shared<monitor> m(s);
    const auto notify_one = [&] {
        if (!fixed) {
            m->permits.fetch_add(1, acq_rel);
            return;
        }
        std::uint32_t is = m->both.load(acquire);
        while (is / 16 > is % 16 && !m->both.compare_exchange(is, is + 1, acq_rel, acquire)) {
        }
    };
    s.process("waiter", [&] {
        word<std::uint32_t>& permits = fixed ? m->both : m->permits;
        m->both.fetch_add(16, acq_rel);
        m->waiters.store(1, release);
        await([&] {
            std::uint32_t is = permits.load(acquire);
            if (is % 16 == 0) return false;
            return permits.compare_exchange(is, is - (fixed ? 17 : 1), acq_rel, relaxed);
        });
    });
    s.process("notifier", [&] {
        await([&] { return m->waiters.load(acquire) == 1; });
        notify_one();
        notify_one();
    });
    s.finally([&] {
        check(m->permits.load(relaxed) == 0 && m->both.load(relaxed) == 0, "a permit for nobody");
    });
    s.run();
}

}  // namespace

std::vector<known_bug> wait_bugs() {
    return {
        {"Z40_permits_pile_up_without_a_waiter", "zeroipc c06a6fa", verdict::assertion,
         permits_pile_up_without_a_waiter<false>, permits_pile_up_without_a_waiter<true>, 2},
        {"C15_waiter_and_notifier_miss_each_other", "llvm/llvm-project#109290, #77659",
         verdict::lost_wake_up, waiter_and_notifier_miss_each_other<false>,
         waiter_and_notifier_miss_each_other<true>, 5},
        {"C23b_the_number_is_noted_too_late", "yuzu#6868", verdict::deadlock,
         the_number_is_noted_too_late<false>, the_number_is_noted_too_late<true>, 5},
    };
}

}  // namespace assay::model
