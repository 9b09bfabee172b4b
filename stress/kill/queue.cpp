// queue.cpp -- a producer or consumer dies (stops) in the middle of an operation: survivors never
// wait, full and empty stay exact, and at most the element of the dying operation is lost.
#include <assay/queue.hpp>

#include <chrono>
#include <deque>
#include <vector>

#include "stress/kill/broken.hpp"
#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

constexpr std::uint64_t capacity = 4;
constexpr std::uint64_t victims = 100;  // the first number of an element of the victim
constexpr std::uint64_t bulk = 3;
constexpr auto patience = std::chrono::microseconds(200);

// What must be in a queue, some of which may or may not be there: what the victim was putting in,
// or taking out. What is certain is found in order and exactly.
class expectation {
public:
    void put(std::uint64_t number, bool maybe = false) { all_.push_back({number, maybe}); }

    void enqueued(std::uint64_t number, bool accepted) {
        if (accepted) {
            if (certain() == capacity) fail("a queue for %d elements took one more", int(capacity));
            put(number);
        } else if (all_.size() < capacity) {
            fail("full with %zu elements", all_.size());
        } else if (all_.size() == capacity) {  // so all the uncertain ones are there
            for (entry& e : all_) {
                if (e.maybe) present_.push_back(e.number);
                e.maybe = false;
            }
        }
    }
    void dequeued(std::optional<std::uint64_t> number) {
        while (!all_.empty() && all_.front().maybe && (!number || all_.front().number != *number)) {
            absent_.push_back(all_.front().number);
            all_.pop_front();
        }
        if (!number && !all_.empty())
            fail("empty with %zu elements: element %llu is lost, or blocked", all_.size(),
                 static_cast<unsigned long long>(all_.front().number));
        if (!number) return;
        if (all_.empty() || all_.front().number != *number)
            fail("element %llu came out, expected was %lld",
                 static_cast<unsigned long long>(*number),
                 all_.empty() ? -1LL : static_cast<long long>(all_.front().number));
        if (all_.front().maybe) present_.push_back(*number);
        all_.pop_front();
    }
    [[nodiscard]] std::size_t size() const { return all_.size(); }
    [[nodiscard]] bool empty() const { return all_.empty(); }
    // Of those that were uncertain.
    [[nodiscard]] const std::vector<std::uint64_t>& absent() const { return absent_; }
    [[nodiscard]] const std::vector<std::uint64_t>& present() const { return present_; }

private:
    [[nodiscard]] std::size_t certain() const {
        std::size_t n = 0;
        for (const entry& e : all_) n += !e.maybe;
        return n;
    }
    struct entry {
        std::uint64_t number;
        bool maybe;
    };
    std::deque<entry> all_;
    std::vector<std::uint64_t> absent_, present_;
};

enum class does { put, take };

struct plan {
    does what;
    std::uint64_t amount;  // elements
    std::uint64_t there;   // before it
    bool late = false;     // a handle that others have left a hundred laps behind
    bool fresh = false;    // the first operation of a handle
    bool waits = false;    // until there is room, or an element; or for so long
};

template <class Queue>
class queue_scene : public in_segment<Queue> {
    using base = in_segment<Queue>;
    using base::any, base::first, base::mine;
    static constexpr bool whole_api = requires(Queue & q) { q.recover(); };

public:
    queue_scene(const std::string& name, const plan& p) : base(name, capacity), plan_(p) {
        for (std::uint64_t n = 1; n <= plan_.there; ++n) {
            if (!first().enqueue(numbered(n))) fail("the queue is full at once");
            expected_.put(n, plan_.what == does::take && n <= plan_.amount);
        }
        if (plan_.what == does::put)
            for (std::uint64_t i = 0; i < plan_.amount; ++i) expected_.put(victims + i, true);
    }

    void operate() override {
        // The elements as they were, in other slots: the handle has a hand now, and a position.
        if (!plan_.fresh) rotate(mine(), 1);
        if (plan_.late) rotate(first(), 100 * capacity);
        std::vector<element> some;
        for (std::uint64_t i = 0; i < plan_.amount; ++i) some.push_back(numbered(victims + i));
        Queue& q = mine();
        std::uint64_t n = 0;
        if (plan_.what == does::put)
            put(q, some, n, plan_.waits);
        else
            take(q, some, n, plan_.waits);
        for (std::uint64_t i = 0; i < n; ++i) said_->numbers[i] = number_of(some[i]);
        said_->count = n;
    }

    void others(bool) override {
        dice d;
        for (unsigned n = 0; n < survivor_operations; ++n) {
            // Long runs of a kind, so that it is full now and then, and empty.
            if (d.below(12) == 0) filling_ = !filling_;
            if (filling_ == (d.below(4) != 0))
                enqueue(any(d));
            else
                dequeue(any(d));
        }
        while (!expected_.empty()) dequeue(any(d));
        dequeue(any(d));
        in_order(expected_.present(), plan_.what == does::put, expected_.absent());
        count(survivor_operations);
        enqueue(first());
        enqueue(mine());
    }

    void recover() override {
        if constexpr (whole_api) operation([&] { mine().recover(); });
    }

    void whole(bool finished) override {
        if (finished) account_for_what_it_said();
        if constexpr (whole_api) {
            first().recover();  // of a victim that finished, and left without a good-bye
            if (const auto more = mine().recover(); more != 0)
                fail("recover() left %zu hands of the dead", more);
        }
        dice d;
        while (!expected_.empty()) dequeue(any(d));
        dequeue(first());
        for (int lap = 0; lap < 3; ++lap) {
            for (std::uint64_t i = 0; i < capacity; ++i) {
                const std::uint64_t before = expected_.size();
                enqueue(any(d));
                if (expected_.size() == before) fail("the queue lost a slot");
            }
            enqueue(any(d));
            while (!expected_.empty()) dequeue(any(d));
        }
    }

private:
    static void put(Queue& q, std::vector<element>& some, std::uint64_t& n, bool waits) {
        if constexpr (whole_api) {
            if (waits) return operation([&] { n = q.wait_enqueue(some[0], patience); });
            if (some.size() > 1) return operation([&] { n = q.enqueue_bulk(some); });
        }
        operation([&] { n = q.enqueue(some[0]); });
    }
    static void take(Queue& q, std::vector<element>& some, std::uint64_t& n, bool waits) {
        std::optional<element> got;
        if constexpr (whole_api) {
            if (some.size() > 1) return operation([&] { n = q.dequeue_bulk(some); });
            if (waits) operation([&] { got = q.wait_dequeue(patience); });
        }
        if (!waits) operation([&] { got = q.dequeue(); });
        n = got.has_value();
        if (got) some[0] = *got;
    }

    // Takes all elements out and puts them in again, in their order; or, when there is none, the
    // other way round.
    void rotate(Queue& q, std::uint64_t times) const {
        for (std::uint64_t i = 0; i < times; ++i) {
            if (plan_.there == 0) static_cast<void>(q.enqueue(numbered(1)) && q.dequeue());
            for (std::uint64_t n = 0; n < plan_.there; ++n)
                if (const auto x = q.dequeue()) static_cast<void>(q.enqueue(*x));
        }
    }

    void enqueue(Queue& q) {
        const std::uint64_t n = next_++;
        expected_.enqueued(n, q.enqueue(numbered(n)));
    }
    void dequeue(Queue& q) {
        const auto x = q.dequeue();
        expected_.dequeued(x ? std::optional(number_of(*x)) : std::nullopt);
    }

    // Of several that it puts in (takes out), the first ones are there (gone).
    static void in_order(const std::vector<std::uint64_t>& present, bool putting,
                         const std::vector<std::uint64_t>& absent) {
        if (present.empty() || absent.empty()) return;
        if (putting ? present.back() > absent.front() : present.front() < absent.back())
            fail("of several elements a later one went first");
    }

    // The victim has finished: what it said must be what happened.
    void account_for_what_it_said() {
        if (plan_.what == does::put) {
            for (std::uint64_t i = 0; i < said_->count; ++i) {
                bool seen = false;
                for (const std::uint64_t n : expected_.present()) seen |= n == victims + i;
                if (!seen) expected_.put(victims + i);
            }
            if (expected_.present().size() > said_->count)
                fail("an element came out whose enqueue says that the queue was full");
            return;
        }
        const auto& gone = expected_.absent();
        for (std::uint64_t i = 0; i < gone.size(); ++i)
            if (i >= said_->count || said_->numbers[i] != gone[i])
                fail("element %llu was taken out, and dequeue does not say so",
                     static_cast<unsigned long long>(gone[i]));
        for (std::uint64_t i = gone.size(); i < said_->count; ++i)
            expected_.dequeued(said_->numbers[i]);
    }

    struct words {
        std::uint64_t count, numbers[8];
    };

    const plan plan_;
    expectation expected_;
    std::uint64_t next_ = 1000;
    bool filling_ = true;
    told<words> said_;
};

template <class Queue = assay::queue<element>>
auto scene_of(const plan& p) {
    return [p](const std::string& name) { return std::make_unique<queue_scene<Queue>>(name, p); };
}

const enlist queue_cells{
    {"queue/enqueue", "2 of 4 elements there", scene_of({does::put, 1, 2}), true},
    {"queue/enqueue_full", "4 of 4 elements there", scene_of({does::put, 1, 4}), true},
    {"queue/enqueue_first_of_a_handle", "takes a hand first",
     scene_of({.what = does::put, .amount = 1, .there = 2, .fresh = true}), true},
    {"queue/enqueue_late", "by a handle 100 laps behind",
     scene_of({.what = does::put, .amount = 1, .there = 2, .late = true}), true},
    {"queue/enqueue_bulk", "3 elements, room for 2", scene_of({does::put, bulk, 2}), true},
    {"queue/dequeue", "2 of 4 elements there", scene_of({does::take, 1, 2}), true},
    {"queue/dequeue_empty", "no element there", scene_of({does::take, 1, 0}), true},
    {"queue/dequeue_first_of_a_handle", "takes a hand first",
     scene_of({.what = does::take, .amount = 1, .there = 2, .fresh = true}), true},
    {"queue/dequeue_late", "by a handle 100 laps behind",
     scene_of({.what = does::take, .amount = 1, .there = 2, .late = true}), true},
    {"queue/dequeue_bulk", "3 elements, 2 there", scene_of({does::take, bulk, 2}), true},
    {"queue/wait_enqueue", "2 of 4 elements there",
     scene_of({.what = does::put, .amount = 1, .there = 2, .waits = true}), true},
    {"queue/wait_enqueue_full", "200 us, in vain: looks, then sleeps",
     scene_of({.what = does::put, .amount = 1, .there = 4, .waits = true}), true},
    {"queue/wait_dequeue", "2 of 4 elements there",
     scene_of({.what = does::take, .amount = 1, .there = 2, .waits = true}), true},
    {"queue/wait_dequeue_empty", "200 us, in vain: looks, then sleeps",
     scene_of({.what = does::take, .amount = 1, .there = 0, .waits = true}), true},
    {"queue/canary_blocked_slot",
     "a claim, then the element, then the slot's sequence number (Vyukov): who dies in between "
     "blocks the slot",
     scene_of<broken::sequence_queue<element>>({does::put, 1, 2}),
     false,
     {"blocked", "lost", "full with"}},
    {"queue/canary_publishes_before_the_write",
     "claims a slot, then writes it",
     scene_of<broken::claiming_queue<element>>({does::put, 1, 2}),
     false,
     {"torn", "came out, expected"}},
};

}  // namespace
}  // namespace assay_kill
