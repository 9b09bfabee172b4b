// Waiting on a named atomic under the checker, at every width: no wake-up is lost, and what was
// released before the change is visible after the wait.
#include "assay/atomic.hpp"

#include "model/tests.hpp"

namespace assay::model {
namespace {

template <class T>
struct fixture {
    block memory;
    shared<cell<int>> letter;

    explicit fixture(scenario& s) : memory(s, atomic<T>::size_bytes(1)), letter(s) {
        atomic<T>::format(memory.get(), 1);
        letter->write(0);
    }
    struct user {
        member me;
        atomic<T> a;
        explicit user(fixture& f) : a(f.memory.get(), 1, me) {}
    };
};

template <class T, int waiters>
void waiters_see_the_change(scenario& s) {
    fixture<T> f(s);
    s.process("changes", [&f] {
        typename fixture<T>::user u(f);
        f.letter->write(7);
        u.a.store(T{1}, release);
        u.a.notify_all();
    });
    static constexpr const char* names[] = {"waits", "waits too"};
    for (int i = 0; i < waiters; ++i)
        s.process(names[i], [&f] {
            typename fixture<T>::user u(f);
            u.a.wait(T{0}, acquire);
            check(f.letter->read() == 7, "woken too early");
        });
    s.run();
}

// Either of two says that it has come; one may die, before or after it has changed the value.
void change_outlives_its_author(scenario& s) {
    fixture<std::uint32_t> f(s);
    for (const char* name : {"changes", "changes too"})
        s.process(name, [&f] {
            fixture<std::uint32_t>::user u(f);
            u.a.fetch_add(1, relaxed);
            u.a.notify_one();
        });
    s.process("waits", [&f] {
        fixture<std::uint32_t>::user u(f);
        u.a.wait(0);
    });
    s.run();
}

[[nodiscard]] checker::settings one_spurious_wake() {
    checker::settings how;
    how.allowed.spurious_wakes = 1;
    return how;
}

// As std::atomic might be used: a change, and a look at who waits, without the fence in between.
struct without_fence {
    word<std::uint32_t> value;
    event changed;
};
void notifies_without_the_fence(scenario& s) {
    shared<without_fence> a(s);
    a->value.store(0, relaxed);
    a->changed.format();
    s.process("changes", [&a] {
        a->value.store(1, release);
        a->changed.notify();
    });
    s.process("waits", [&a] {
        static_cast<void>(
            a->changed.wait_until([&] { return a->value.load(acquire) != 0; }, deadline::max()));
    });
    s.run();
}

}  // namespace

std::vector<test> atomic_tests() {
    using checker::verdict;
    return {
        {"atomic/waiter_of_1_byte_sees_the_change",
         waiters_see_the_change<std::uint8_t, 1>,
         {verdict::verified, 6}},
        {"atomic/waiter_of_2_bytes_sees_the_change",
         waiters_see_the_change<std::uint16_t, 1>,
         {verdict::verified, 6}},
        {"atomic/waiter_of_4_bytes_sees_the_change",
         waiters_see_the_change<std::uint32_t, 1>,
         {verdict::verified, 6}},
        {"atomic/waiter_of_8_bytes_sees_the_change",
         waiters_see_the_change<std::uint64_t, 1>,
         {verdict::verified, 6}},
        {"atomic/two_waiters_see_the_change",
         waiters_see_the_change<std::uint64_t, 2>,
         {verdict::verified, 144}},
        {"atomic/a_wake_without_a_reason_ends_no_wait",
         waiters_see_the_change<std::uint64_t, 1>,
         {verdict::verified, 13},
         one_spurious_wake()},
        {"atomic/a_dead_waiter_keeps_no_other_asleep",
         waiters_see_the_change<std::uint64_t, 2>,
         {verdict::verified, 557},
         one_death(6)},
        {"atomic/change_is_seen_although_its_author_died_before_notifying",
         change_outlives_its_author,
         {verdict::verified, 474},
         one_death(3)},
        {"atomic/canary_notifies_without_the_fence",
         notifies_without_the_fence,
         {verdict::deadlock}},
    };
}

}  // namespace assay::model
