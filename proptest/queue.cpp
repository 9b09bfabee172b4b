// queue in one process against std::deque: order, capacity, bulk forms, two handles, counters that
// wrap.

#include <assay/queue.hpp>
#include <deque>

#include "proptest/harness.hpp"
#include "proptest/plain.hpp"

namespace assay_proptest {

namespace {

enum class op {
    enqueue,
    dequeue,
    dequeue_into,
    enqueue_bulk,
    dequeue_bulk,
    waits,
    reopen,
    recover
};

const char* name_of(op o) {
    constexpr const char* names[] = {"enqueue",      "dequeue", "dequeue_into", "enqueue_bulk",
                                     "dequeue_bulk", "waits",   "reopen",       "recover"};
    return names[static_cast<int>(o)];
}

rc::Gen<history<op>> scripts() {
    return histories<op>({{12, op::enqueue},
                          {8, op::dequeue},
                          {4, op::dequeue_into},
                          {4, op::enqueue_bulk},
                          {4, op::dequeue_bulk},
                          {1, op::waits},
                          {1, op::reopen},
                          {1, op::recover}},
                         9);
}

template <class T, class Queues>
class comparison {
public:
    explicit comparison(Queues& queues, std::uint64_t count) : queues_(queues), count_(count) {}

    void execute(const action<op>& x) {
        auto& q = queues_[x.handle];
        switch (x.what) {
            case op::enqueue: {
                const T value = T::of(made_++);
                require_equal(q.enqueue(value), fits(value), "enqueue");
                break;
            }
            case op::dequeue:
                require_equal(q.dequeue(), next(), "dequeue");
                break;
            case op::dequeue_into: {
                T value = T::of(~x.b);
                const T before = value;
                const auto expected = next();
                require_equal(q.dequeue(value), expected.has_value(), "dequeue into");
                require_equal(value, expected.value_or(before), "the element");
                break;
            }
            case op::enqueue_bulk: {
                std::vector<T> values;
                for (std::uint64_t i = 0; i < x.a; ++i) values.push_back(T::of(made_++));
                std::size_t n = 0;
                while (n < values.size() && fits(values[n])) ++n;
                require_equal(q.enqueue_bulk(values), n, "enqueue_bulk");
                break;
            }
            case op::dequeue_bulk: {
                std::vector<T> values(x.a);
                const std::size_t n = q.dequeue_bulk(values);
                require_equal(n, std::min<std::size_t>(x.a, expected_.size()), "dequeue_bulk");
                for (std::size_t i = 0; i < n; ++i)
                    require_equal(std::optional(values[i]), next(), "an element of dequeue_bulk");
                break;
            }
            case op::waits: {
                using std::chrono::nanoseconds;
                const T value = T::of(made_++);
                if (x.b % 2 == 0)
                    require_equal(q.wait_enqueue(value, nanoseconds(0)), fits(value),
                                  "wait_enqueue without time");
                else
                    require_equal(q.wait_dequeue(nanoseconds(0)), next(),
                                  "wait_dequeue without time");
                break;
            }
            case op::reopen:
                queues_.reopen(x.handle);
                break;
            case op::recover:
                require_equal(q.recover(), std::size_t{0}, "hands of the dead, of which are none");
                break;
        }
        for (unsigned i = 0; i < 2; ++i) compare(queues_[i]);
    }

private:
    void compare(auto& q) {
        require_equal(q.size(), std::uint64_t{expected_.size()}, "size");
        require_equal(q.empty(), expected_.empty(), "empty");
        require_equal(q.full(), expected_.size() == count_, "full");
        require_equal(q.capacity(), count_, "capacity");
    }
    bool fits(const T& value) {
        if (expected_.size() == count_) return false;
        expected_.push_back(value);
        return true;
    }
    std::optional<T> next() {
        if (expected_.empty()) return std::nullopt;
        const T value = expected_.front();
        expected_.pop_front();
        return value;
    }

    Queues& queues_;
    std::uint64_t count_;
    std::uint64_t made_ = 0;
    std::deque<T> expected_;
};

template <class T, class Queues>
void is_a_deque(context& c) {
    explore(c, scripts(), [](const history<op>& h) {
        Queues queues(h.count, h.start);
        comparison<T, Queues> both(queues, h.count);
        for (const auto& each : h.actions) both.execute(each);
    });
}

// The seed's ring of `count` slots: full when the next slot is the first, so one stays empty.
template <class T>
class seed_queue {
public:
    seed_queue(std::uint64_t count, std::uint64_t) : slots_(count) {}
    seed_queue& operator[](unsigned) { return *this; }
    void reopen(unsigned) {}
    bool enqueue(const T& value) {
        const std::size_t after = (tail_ + 1) % slots_.size();
        if (after == head_) return false;
        slots_[tail_] = value;
        tail_ = after;
        return true;
    }
    std::optional<T> dequeue() {
        if (head_ == tail_) return std::nullopt;
        const T value = slots_[head_];
        head_ = (head_ + 1) % slots_.size();
        return value;
    }
    bool dequeue(T& value) {
        const auto got = dequeue();
        value = got.value_or(value);
        return got.has_value();
    }
    std::size_t enqueue_bulk(const std::vector<T>& values) {
        std::size_t n = 0;
        while (n < values.size() && enqueue(values[n])) ++n;
        return n;
    }
    std::size_t dequeue_bulk(std::vector<T>& values) {
        std::size_t n = 0;
        while (n < values.size() && dequeue(values[n])) ++n;
        return n;
    }
    bool wait_enqueue(const T& value, std::chrono::nanoseconds) { return enqueue(value); }
    std::optional<T> wait_dequeue(std::chrono::nanoseconds) { return dequeue(); }
    std::size_t recover() { return 0; }
    std::uint64_t size() const { return (tail_ + slots_.size() - head_) % slots_.size(); }
    bool empty() const { return head_ == tail_; }
    bool full() const { return (tail_ + 1) % slots_.size() == head_; }
    std::uint64_t capacity() const { return slots_.size(); }

private:
    std::vector<T> slots_;
    std::size_t head_ = 0, tail_ = 0;
};

const registration queue_properties([](std::vector<check>& all) {
    const std::string what = "commands through two handles against std::deque, elements of ";
    all.push_back({"queue/is_a_bounded_deque_of_1_byte", what + "1 byte",
                   is_a_deque<element<1>, pair_of<assay::queue<element<1>>>>, 0.7});
    all.push_back({"queue/is_a_bounded_deque_of_8_bytes", what + "8 bytes",
                   is_a_deque<element<8>, pair_of<assay::queue<element<8>>>>, 0.7});
    all.push_back({"queue/is_a_bounded_deque_of_100_bytes", what + "100 bytes; two hands at most",
                   is_a_deque<element<100>, pair_of<assay::queue<element<100>, 2>>>, 0.7});
    check c{"queue/canary_seed_queue_holds_one_less", "the seed's ring, which keeps a slot empty",
            is_a_deque<element<8>, seed_queue<element<8>>>};
    c.canary = true;
    c.longest = 2;
    all.push_back(std::move(c));
});

}  // namespace

}  // namespace assay_proptest
