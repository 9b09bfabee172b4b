// The queue's blocking waits under the checker: whoever waits gets what comes, although the other
// side dies.
#include "assay/queue.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

using small_queue = assay::queue<std::int64_t, 4>;

struct fixture {
    static constexpr std::uint64_t capacity = 1;
    block memory;

    explicit fixture(scenario& s) : memory(s, small_queue::size_bytes(capacity)) {
        small_queue::format(memory.get(), capacity);
    }
    struct user {
        member me;
        small_queue q;
        explicit user(fixture& f) : q(f.memory.get(), capacity, me) {}
    };
};

void waits_for_an_element(scenario& s) {
    fixture f(s);
    s.process("producer", [&f] { check(fixture::user(f).q.enqueue(7), "full"); });
    s.process("waits", [&f] { check(fixture::user(f).q.wait_dequeue() == 7, "another element"); });
    s.run();
}
void waits_for_space(scenario& s) {
    fixture f(s);
    check(fixture::user(f).q.enqueue(1), "full");
    s.process("consumer", [&f] { check(fixture::user(f).q.dequeue() == 1, "another element"); });
    s.process("waits", [&f] { check(fixture::user(f).q.wait_enqueue(2), "gave up"); });
    s.run();
}
// An element has come, but its producer may die before it says so; if it died earlier none comes.
void element_of_a_dead_producer(scenario& s) {
    fixture f(s);
    s.process("mortal", [&f] { static_cast<void>(fixture::user(f).q.enqueue(1)); });
    s.process("producer", [&f] { static_cast<void>(fixture::user(f).q.wait_enqueue(2)); });
    s.process("waits", [&f] { static_cast<void>(fixture::user(f).q.wait_dequeue()); });
    s.run();
}

}  // namespace

std::vector<test> queue_waits_tests() {
    using checker::verdict;
    return {
        {"queue_waits/consumer_is_woken", waits_for_an_element, {verdict::verified, 9}},
        {"queue_waits/producer_is_woken", waits_for_space, {verdict::verified, 9}},
        {"queue_waits/element_of_a_dead_producer_is_found",
         element_of_a_dead_producer,
         {verdict::verified, 14116},
         one_death(1)},
    };
}

}  // namespace assay::model
