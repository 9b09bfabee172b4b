// The queue under the checker: linearizable, whoever is slow or dead, and nothing is lost but what
// the dead had in their hands. Edges: [queue:hint] (a handle that starts at another's hint), and
// those of hands.hpp, [hands:node] [hands:owner] [hands:settled].
#include "assay/queue.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "lib/spec/queue.hpp"
#include "model/linearizability.hpp"
#include "model/suite.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

// A queue in shared memory, and what was done with it. Few hands, because each costs an operation
// that looks at all of them.
template <std::uint64_t Capacity, std::uint32_t Hands>
struct fixture {
    using small_queue = assay::queue<std::int64_t, Hands>;

    block memory;
    recorder calls;
    std::size_t processes = 0;

    fixture(scenario& s, std::uint64_t laps)
        : memory(s, small_queue::size_bytes(Capacity), line_size, contents::leftovers) {
        small_queue::format(memory.get(), Capacity, laps);
    }

    // One process's handle, whose calls are recorded.
    struct user {
        fixture& f;
        member me;
        small_queue q{f.memory.get(), Capacity, me};

        explicit user(fixture& fix) : f(fix) {}

        // False when all hands belong to the living.
        bool enqueue(std::int64_t v) {
            return record("enqueue", v, [&] { return q.enqueue(v) ? 1 : 0; });
        }
        bool dequeue() {
            return record("dequeue", 0, [&] { return q.dequeue().value_or(spec::none); });
        }
        void enqueue_both(const std::array<std::int64_t, 2>& v) {
            both("enqueue", v, [&](auto& done) {
                const std::size_t n = q.enqueue_bulk(v);
                done = {n > 0 ? 1 : 0, n > 1 ? 1 : 0};
                return n;
            });
        }
        void dequeue_both() {
            both("dequeue", {0, 0}, [&](auto& got) {
                got.fill(spec::none);
                return q.dequeue_bulk(got);
            });
        }
        void perform(char what) {
            if (what >= '0' && what <= '9') enqueue(what - '0');
            if (what == '-') dequeue();
            if (what == 'B') enqueue_both({8, 9});
            if (what == 'D') dequeue_both();
            if (what == 'r') q.recover();
            if (what == 'e') f.calls({"empty"}, [&] { return q.empty() ? 1 : 0; });
            if (what == 'f') f.calls({"full"}, [&] { return q.full() ? 1 : 0; });
            if (what == 's') {
                const std::int64_t n = f.calls({"size"}, [&] { return std::int64_t(q.size()); });
                check(n >= 0 && n <= std::int64_t{Capacity}, "more elements than fit");
            }
        }

    private:
        template <class F>
        bool record(std::string_view name, std::int64_t argument, F run) {
            // Asked only where hands may be too few: it costs accesses.
            const bool enough = Hands < 4 && a_hand_is_free();
            bool possible = true;
            f.calls({name, argument}, [&]() -> std::int64_t {
                try {
                    return run();
                } catch (const no_space&) {
                    possible = false;
                    return spec::not_tried;
                }
            });
            check(possible || !enough, "no hand, although one is free or a dead one's");
            return possible;
        }
        // Each has at most one. One of the dead may have to wait for an operation under way.
        [[nodiscard]] bool a_hand_is_free() const {
            std::size_t living = 0, dead = 0;
            for (std::size_t p = 0; p < f.processes; ++p)
                if (p != self()) ++(died(p) ? dead : living);
            return living + (living > 0 ? dead : 0) < Hands;
        }
        // A bulk operation, recorded as one call inside the other.
        template <class F>
        void both(std::string_view name, const std::array<std::int64_t, 2>& arguments, F run) {
            std::array<std::int64_t, 2> results{};
            std::size_t n = 0;
            f.calls({name, arguments[0]}, [&] {
                f.calls({name, arguments[1]}, [&] {
                    n = run(results);
                    return n == 0 ? spec::not_tried : results[1];
                });
                return results[0];
            });
        }
    };

    // Everything left comes out; then every hand is there, has a node of its own, and the queue all
    // its room; and the whole is explained.
    void finish() {
        {
            user u(*this);
            u.q.recover();
            for (std::uint64_t i = 0; i <= Capacity; ++i) u.dequeue();
        }
        use_all_hands(std::make_integer_sequence<std::uint32_t, Hands>());
        leave_out_sizes_in_between();
        check_linearizable(calls, spec::queue{Capacity, {}});
    }

    // Each goes first once, and the others write to their nodes although the queue is full: an
    // element whose node a second hand has as well would not come out as it went in.
    template <std::uint32_t... Each>
    void use_all_hands(std::integer_sequence<std::uint32_t, Each...>) {
        user all[] = {(static_cast<void>(Each), user(*this))...};
        for (std::uint32_t first = 0; first < Hands; ++first) {
            for (std::uint32_t i = 0; i < Hands; ++i)
                check(all[(first + i) % Hands].enqueue(100 + 10 * first + i), "a hand is lost");
            for (std::uint64_t i = 0; i <= Capacity; ++i) all[first].dequeue();
        }
    }

    // A size is exact when no operation is under way.
    void leave_out_sizes_in_between() {
        const auto& all = calls.operations();
        for (std::size_t i = 0; i < all.size(); ++i)
            if (all[i].call.name == "size" && std::ranges::any_of(all, [&](const auto& o) {
                    const bool changes = o.call.name == "enqueue" || o.call.name == "dequeue";
                    return changes && !calls.precedes(o, all[i]) && !calls.precedes(all[i], o);
                }))
                calls.set_result(i, std::nullopt);
    }
};

// Letters: a digit is enqueued, - dequeues, B enqueues 8 and 9 in bulk, D dequeues two in bulk,
// r recovers, s e f ask for size(), empty(), full().
template <programs Programs, std::uint64_t Capacity, std::uint32_t Hands, std::uint64_t Laps>
void mix(scenario& s) {
    using shared_queue = fixture<Capacity, Hands>;
    shared_queue f(s, Laps);
    Programs.each([&](std::size_t p, const char* name, std::string_view todo) {
        f.processes = p + 1;
        s.process(name, [&f, todo] {
            typename shared_queue::user u(f);
            for (const char c : todo) u.perform(c);
        });
    });
    s.finally([&] { f.finish(); });
    s.run();
}

// From turn 0, and from the last turn before 2^64, so that it wraps in the first lap.
template <programs Programs, std::uint64_t Capacity = 2, std::uint32_t Hands = 4>
std::vector<suite::start> from() {
    return {{"", mix<Programs, Capacity, Hands, 0>},
            {"_at_the_wrap", mix<Programs, Capacity, Hands, ~std::uint64_t{0}>}};
}

// Who finds the queue full, or empty, has looked further than where others had passed already, and
// nobody may come to the contrary behind his back.
void full_and_empty_beyond_what_others_passed(scenario& s) {
    using shared_queue = fixture<2, 4>;
    shared_queue f(s, 0);
    shared_queue::user(f).perform('1');
    shared_queue::user(f).perform('2');
    shared_queue::user(f).perform('-');
    s.process("fills", [&f] {
        shared_queue::user behind(f), ahead(f);
        ahead.perform('3');
        behind.perform('4');
    });
    s.process("empties", [&f] {
        shared_queue::user u(f);
        u.perform('-');
        u.perform('-');
    });
    s.finally([&] { f.finish(); });
    s.run();
}

constexpr std::uint32_t second_dies = 2;

}  // namespace

std::vector<test> queue_tests() {
    return tests_of(
        "queue",
        {
            {"one_producer_one_consumer", from<"12345|-----">(), {129, 2374, 11778}},
            {"one_producer_two_consumers", from<"12|-|-">(), {25, 482, 3156}},
            {"two_producers_one_consumer", from<"12|3|--">(), {353, 6724, 44493}},
            {"two_producers_two_consumers", from<"1|2|-|-">(), {196, 4580, 40856}},
            {"two_producers_two_consumers_of_one_lap", from<"12|3|-|-">(), {3105, 71044}},
            {"one_lap_by_two_consumers_of_two", from<"1|2|--|-">(), {848, 18540}},
            {"two_laps_by_two_producers", from<"12|34|-|-">(), {26734}},
            {"two_laps_by_two_producers_two_consumers", from<"12|34|--|--">(), {3489334}},
            {"two_that_do_both", from<"1-2-|3-">(), {1050, 13908, 54833}},
            {"one_that_fills_and_empties_beside_another", from<"12--|3-">(), {500, 6141, 23410}},
            {"three_that_do_both", from<"1-|2-|3-">(), {44352, 772764}},
            {"bulk_of_two_against_bulk_of_two", from<"B|DD">(), {7, 134, 682}},
            {"bulk_beside_single_ones", from<"B1|D-">(), {11, 202, 996}},
            {"bulk_beside_another_producer", from<"B|12|D">(), {1908, 39676}},
            {"asked_for_full_and_empty", from<"123|f|-e">(), {98, 1311}},
            {"full_and_empty_beyond_what_others_passed",
             {{"", full_and_empty_beyond_what_others_passed}},
             {43}},
            {"asked_by_a_third", from<"1|2|ef">(), {32, 444}},
            {"asked_for_size", from<"1-s|2-s">(), {152, 2008, 6976}},
            {"one_slot", from<"12|3|--", 1>(), {3026, 50667}},
            {"three_slots", from<"123|4|--", 3>(), {710, 13709}},
            {"recovered_beside_operations", from<"1-|r|2-">(), {504, 9504, 53393}},
            {"recovered_in_the_middle", from<"1r-|2r-">(), {88, 1348, 6232}},
            {"recovered_while_a_node_comes_back", from<"1-2|-|r", 1>(), {0, 12430}, second_dies},
            {"recovered_while_nodes_come_back", from<"1-2-|-|r", 1>(), {0, 66925}, second_dies},
            {"one_hand_for_two", from<"1-|2-", 2, 1>(), {10, 208, 1637}},
            {"two_hands_for_three", from<"1|2|3", 2, 2>(), {306, 9152, 82157}},
            {"two_hands_for_three_and_recovery", from<"1|r-|2", 2, 2>(), {538, 18626, 189068}},
        });
}

}  // namespace assay::model
