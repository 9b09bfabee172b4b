// The queue under the checker: linearizable, whoever is slow. Edges: [queue:hint] (a handle that
// starts at another's hint), and those of hands.hpp, [hands:node] [hands:owner] [hands:settled].
#include "assay/queue.hpp"

#include "lib/spec/queue.hpp"
#include "model/linearizability.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

// Few hands, because each costs an operation that looks at all of them.
using small_queue = assay::queue<std::int64_t, 4>;

// A queue of two elements in shared memory, and what was done with it.
struct fixture {
    static constexpr std::uint64_t capacity = 2;

    block memory;
    recorder calls;
    spec::queue initial{capacity, {}};

    explicit fixture(scenario& s, std::uint64_t laps = 0)
        : memory(s, small_queue::size_bytes(capacity)) {
        small_queue::format(memory.get(), capacity, laps);
    }

    // One process's handle, whose calls are recorded.
    struct user {
        fixture& f;
        member me;
        small_queue q{f.memory.get(), capacity, me};

        explicit user(fixture& fix) : f(fix) {}
        void enqueue(std::int64_t v) {
            f.calls({"enqueue", v, std::nullopt, 0}, [&] { return q.enqueue(v) ? 1 : 0; });
        }
        void dequeue() {
            f.calls({"dequeue", 0, std::nullopt, 0},
                    [&] { return q.dequeue().value_or(spec::none); });
        }
    };
    // Everything left comes out as well, and the whole is explained.
    void finish() {
        user u(*this);
        for (std::uint64_t i = 0; i <= capacity; ++i) u.dequeue();
        check_linearizable(calls, initial);
    }
};

// What each process does: a positive number is enqueued, 0 dequeues.
using program = std::vector<std::int64_t>;

void run_all(scenario& s, fixture& f, const std::vector<program>& programs) {
    static constexpr const char* names[] = {"first", "second", "third", "fourth"};
    for (std::size_t p = 0; p < programs.size(); ++p)
        s.process(names[p], [&f, &todo = programs[p]] {
            fixture::user u(f);
            for (const std::int64_t v : todo) {
                if (v == 0)
                    u.dequeue();
                else
                    u.enqueue(v);
            }
        });
    s.finally([&] { f.finish(); });
    s.run();
}

void one_producer_one_consumer(scenario& s) {
    fixture f(s);
    const std::vector<program> programs{{1, 2, 3}, {0, 0, 0}};
    run_all(s, f, programs);
}
void turns_that_wrap(scenario& s) {
    fixture f(s, ~std::uint64_t{0});  // in the first lap
    const std::vector<program> programs{{1, 2, 3}, {0, 0}};
    run_all(s, f, programs);
}
void two_producers_one_consumer(scenario& s) {
    fixture f(s);
    const std::vector<program> programs{{1, 2}, {3}, {0, 0}};
    run_all(s, f, programs);
}
void two_producers_two_consumers(scenario& s) {
    fixture f(s);
    const std::vector<program> programs{{1}, {2}, {0}, {0}};
    run_all(s, f, programs);
}
void three_processes_that_do_both(scenario& s) {
    fixture f(s);
    const std::vector<program> programs{{1, 0}, {2, 0}, {3, 0}};
    run_all(s, f, programs);
}

}  // namespace

std::vector<test> queue_tests() {
    return {
        {"queue/one_producer_one_consumer_are_linearizable",
         one_producer_one_consumer,
         {checker::verdict::verified, 50}},
        {"queue/turns_that_wrap_are_linearizable",
         turns_that_wrap,
         {checker::verdict::verified, 20}},
        {"queue/two_producers_one_consumer_are_linearizable",
         two_producers_one_consumer,
         {checker::verdict::verified, 864}},
        {"queue/two_producers_two_consumers_are_linearizable",
         two_producers_two_consumers,
         {checker::verdict::verified, 556}},
        {"queue/three_processes_that_do_both_are_linearizable",
         three_processes_that_do_both,
         {checker::verdict::verified, 45456}},
        {"queue/one_producer_one_consumer_survive_a_death",
         one_producer_one_consumer,
         {checker::verdict::verified, 847},
         one_death()},
        {"queue/two_producers_one_consumer_survive_a_death",
         two_producers_one_consumer,
         {checker::verdict::verified, 16662},
         one_death()},
        {"queue/two_producers_two_consumers_survive_a_death",
         two_producers_two_consumers,
         {checker::verdict::verified, 13108},
         one_death()},
    };
}

}  // namespace assay::model
