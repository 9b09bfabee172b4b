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

    explicit fixture(scenario& s, T initial = T{})
        : memory(s, atomic<T>::size_bytes(1), line_size, contents::leftovers), letter(s) {
        atomic<T>::format(memory.get(), 1, initial);
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

// Each change is as strong as the caller says: who finds that the other came first reads its letter.
// `change` makes another value of 1 and returns what it found.
using number = std::uint32_t;
template <number change(atomic<number>&)>
void change_carries_a_letter(scenario& s) {
    fixture<number> f(s, 1);
    s.process("writes", [&f] {
        fixture<number>::user u(f);
        f.letter->write(7);
        change(u.a);
    });
    s.process("reads", [&f] {
        fixture<number>::user u(f);
        if (change(u.a) != 1) check(f.letter->read() == 7, "the letter is not there");
    });
    s.run();
}
number exchanges(atomic<number>& a) { return a.exchange(2, acq_rel); }
number adds(atomic<number>& a) { return a.fetch_add(1, acq_rel); }
number subtracts(atomic<number>& a) { return a.fetch_sub(1, acq_rel); }
number clears_bits(atomic<number>& a) { return a.fetch_and(2, acq_rel); }
number sets_bits(atomic<number>& a) { return a.fetch_or(2, acq_rel); }
number flips_bits(atomic<number>& a) { return a.fetch_xor(2, acq_rel); }
template <class Compare>
number found_by(Compare exchange) {
    number expected = 1;
    return exchange(expected) ? 1 : expected;
}
number compares(atomic<number>& a) {
    return found_by([&a](number& e) { return a.compare_exchange_strong(e, 2, acq_rel); });
}
number compares_with_two_orders(atomic<number>& a) {
    return found_by([&a](number& e) { return a.compare_exchange_strong(e, 2, release, acquire); });
}
number compares_weakly(atomic<number>& a) {
    return found_by([&a](number& e) { return a.compare_exchange_weak(e, 2, acq_rel); });
}
number compares_weakly_with_two_orders(atomic<number>& a) {
    return found_by([&a](number& e) { return a.compare_exchange_weak(e, 2, release, acquire); });
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
         {verdict::verified, 147}},
        {"atomic/a_wake_without_a_reason_ends_no_wait",
         waiters_see_the_change<std::uint64_t, 1>,
         {verdict::verified, 13},
         one_spurious_wake()},
        {"atomic/a_dead_waiter_keeps_no_other_asleep",
         waiters_see_the_change<std::uint64_t, 2>,
         {verdict::verified, 569},
         one_death(6)},
        {"atomic/change_is_seen_although_its_author_died_before_notifying",
         change_outlives_its_author,
         {verdict::verified, 474},
         one_death(3)},
        {"atomic/exchange_carries_a_letter",
         change_carries_a_letter<exchanges>,
         {verdict::verified, 2}},
        {"atomic/fetch_add_carries_a_letter",
         change_carries_a_letter<adds>,
         {verdict::verified, 2}},
        {"atomic/fetch_sub_carries_a_letter",
         change_carries_a_letter<subtracts>,
         {verdict::verified, 2}},
        {"atomic/fetch_and_carries_a_letter",
         change_carries_a_letter<clears_bits>,
         {verdict::verified, 2}},
        {"atomic/fetch_or_carries_a_letter",
         change_carries_a_letter<sets_bits>,
         {verdict::verified, 2}},
        {"atomic/fetch_xor_carries_a_letter",
         change_carries_a_letter<flips_bits>,
         {verdict::verified, 2}},
        {"atomic/compare_exchange_strong_carries_a_letter",
         change_carries_a_letter<compares>,
         {verdict::verified, 2}},
        {"atomic/compare_exchange_strong_with_two_orders_carries_a_letter",
         change_carries_a_letter<compares_with_two_orders>,
         {verdict::verified, 2}},
        {"atomic/compare_exchange_weak_carries_a_letter",
         change_carries_a_letter<compares_weakly>,
         {verdict::verified, 2}},
        {"atomic/compare_exchange_weak_with_two_orders_carries_a_letter",
         change_carries_a_letter<compares_weakly_with_two_orders>,
         {verdict::verified, 2}},
        {"atomic/canary_notifies_without_the_fence",
         notifies_without_the_fence,
         {verdict::deadlock}},
    };
}

}  // namespace assay::model
