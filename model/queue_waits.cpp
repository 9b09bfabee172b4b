// The queue's blocking waits under the checker: whoever waits gets what comes, whoever else waits, and
// although the other side or another waiter dies. The events' fences and orders are in event.cpp.
#include "assay/queue.hpp"

#include <string_view>

#include "model/suite.hpp"
#include "model/tests.hpp"
#include "spoiled/queue.hpp"

namespace assay::model {
namespace {

constexpr std::uint32_t hands = 4;

// Letters: 1 to 9 are enqueued if there is space, - takes what must be there; A to I (also 1 to 9) wait for space, w
// waits for an element. At the start the queue is empty, or full of nines.
template <programs Programs, std::uint64_t Capacity, bool Full = false,
          class Queue = queue<std::int64_t, hands>>
void mix(scenario& s) {
    block memory(s, Queue::size_bytes(Capacity), line_size, contents::leftovers);
    Queue::format(memory.get(), Capacity);
    const auto perform = [&memory](std::string_view todo) {
        member me;
        Queue q(memory.get(), Capacity, me);
        for (const char c : todo) {
            if (c >= '1' && c <= '9') static_cast<void>(q.enqueue(c - '0'));
            if (c >= 'A' && c <= 'I')
                check(q.wait_enqueue(c - 'A' + 1), "gave up waiting for space");
            if (c == '-') check(q.dequeue().has_value(), "empty");
            if (c == 'w') check(q.wait_dequeue().has_value(), "gave up waiting for an element");
        }
    };
    if (Full) perform(std::string_view("999999999").substr(0, Capacity));
    Programs.each([&](std::size_t, const char* name, std::string_view todo) {
        s.process(name, [&perform, todo] { perform(todo); });
    });
    s.run();
}

template <template <class, std::uint32_t> class Spoiled>
using with_bug = Spoiled<std::int64_t, hands>;

test canary(const char* name, scenario::body body) {
    return {name, body, {checker::verdict::deadlock}};
}

constexpr std::uint32_t first_dies = 1, second_dies = 2;

}  // namespace

std::vector<test> queue_waits_tests() {
    std::vector<test> all = tests_of(
        "queue_waits",
        {
            {"consumer_is_woken", {{"", mix<"1|w", 1>}}, {7}},
            {"producer_is_woken", {{"", mix<"-|A", 1, true>}}, {7}},
            {"both_wait_for_each_other", {{"", mix<"AB|ww", 1>}}, {406}},
            {"two_consumers_are_woken", {{"", mix<"12|w|w", 2>}}, {5936}},
            {"two_producers_are_woken", {{"", mix<"--|A|A", 2, true>}}, {5936}},
            {"element_of_a_dead_producer_is_found", {{"", mix<"1|B|w", 1>}}, {0, 7383}, first_dies},
            {"space_of_a_dead_consumer_is_found",
             {{"", mix<"w|w|A", 1, true>}},
             {0, 10843},
             first_dies},
            {"dead_consumer_keeps_no_other_asleep",
             {{"", mix<"12|w|w", 2>}},
             {0, 40550},
             second_dies},
            {"dead_producer_keeps_no_other_asleep",
             {{"", mix<"--|A|A", 2, true>}},
             {0, 42942},
             second_dies},
        });
    for (const test& t : {
             canary("queue_waits/canary_tells_no_consumer",
                    mix<"1|w", 1, false, with_bug<queue_tells_no_consumer>>),
             canary("queue_waits/canary_tells_no_producer",
                    mix<"-|A", 1, true, with_bug<queue_tells_no_producer>>),
             canary("queue_waits/canary_tells_too_early",
                    mix<"1|w", 1, false, with_bug<queue_tells_too_early>>),
             canary("queue_waits/canary_waits_for_its_own_kind",
                    mix<"1|w", 1, false, with_bug<queue_waits_for_its_own_kind>>),
         })
        all.push_back(t);
    return all;
}

}  // namespace assay::model
