// ring_buffer.cpp -- the writer, the consumer or a reader dies (stops): nobody waits, no record is
// ever torn; a successor goes on where the dead one was, and what the consumer did not get was
// being taken, or overwritten.
#include <assay/ring_buffer.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include "stress/kill/broken.hpp"
#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

constexpr std::uint64_t capacity = 4;
constexpr std::uint64_t victims = 100;  // the first number of a record of the victim

enum class does { push, overwrite, pop, skip, peek, last, next };

struct plan {
    does what;
    std::uint64_t amount;  // records
    std::uint64_t there;   // before it
};

template <class Ring>
class ring_scene : public in_segment<Ring> {
    using base = in_segment<Ring>;
    using base::first, base::mine;
    static constexpr bool whole_api = requires(Ring & r) { r.skip(1); };

public:
    ring_scene(const std::string& name, const plan& p) : base(name, capacity), plan_(p) {
        for (std::uint64_t n = 1; n <= p.there; ++n)
            if (!first().push(numbered(n))) fail("the ring is full at once");
    }

    void operate() override {
        some_.clear();
        for (std::uint64_t i = 0; i < plan_.amount; ++i) some_.push_back(numbered(victims + i));
        Ring& r = mine();
        std::uint64_t n = 0;
        if constexpr (whole_api) {
            const std::span<element> some(some_);
            typename Ring::reader reader(r, capacity);
            switch (plan_.what) {
                case does::push:
                    if (some.size() == 1)
                        operation([&] { n = r.push(some[0]); });
                    else
                        operation([&] { n = r.push_bulk(some); });
                    break;
                case does::overwrite:
                    n = some.size();
                    if (some.size() == 1)
                        operation([&] { r.push_overwrite(some[0]); });
                    else
                        operation([&] { r.push_overwrite_bulk(some); });
                    break;
                case does::pop:
                    if (some.size() == 1)
                        operation([&] { n = r.pop(some[0]); });
                    else
                        operation([&] { n = r.pop_bulk(some); });
                    break;
                case does::skip:
                    operation([&] { said_->skipped = r.skip(plan_.amount); });
                    break;
                case does::peek:
                    operation([&] { n = r.peek_bulk(0, some); });
                    break;
                case does::last:
                    operation([&] { n = r.get_last_n(plan_.amount, some); });
                    break;
                case does::next:
                    operation([&] { n = reader.next_bulk(some).count; });
                    break;
            }
        } else {
            operation([&] { n = r.push(some_[0]); });
        }
        for (std::uint64_t i = 0; i < n; ++i) said_->numbers[i] = number_of(some_[i]);
        said_->count = n;
    }

    void others(bool stopped) override {
        if (writes()) {
            consume_what_the_victim_left();
            if (stopped)
                look(survivor_operations);
            else
                both(mine(), first());
        } else if (consumes()) {
            if (stopped) {
                write_alone();
            } else {
                take_over_from_a_consumer();
                both(first(), mine());
            }
        } else {
            while (take(first())) {
            }
            if (got_.size() != plan_.there || lost_ != 0) fail("a reader's death cost a record");
            both(first(), first());
        }
        count(survivor_operations);
    }

    void whole(bool finished) override {
        if (finished && writes()) {
            while (take(first())) {
            }
            const std::uint64_t seen = seen_of_victim();
            if (seen != std::min(said_->count, capacity))
                fail("%llu records pushed, %llu arrived",
                     static_cast<unsigned long long>(said_->count),
                     static_cast<unsigned long long>(seen));
        }
        if (finished && !writes())
            for (std::uint64_t i = 1; i < said_->count; ++i)
                if (said_->numbers[i] != said_->numbers[i - 1] + 1)
                    fail("records that are not adjacent");
        if (finished && consumes())
            while (take(mine())) {
            }
        expected_.clear();
        if constexpr (whole_api) first().clear();
        both(mine(), mine());
    }

private:
    [[nodiscard]] bool writes() const {
        return plan_.what == does::push || plan_.what == does::overwrite;
    }
    [[nodiscard]] bool consumes() const {
        return plan_.what == does::pop || plan_.what == does::skip;
    }

    // Takes a record, if there is one: newer than all before it.
    bool take(Ring& r) {
        const auto reading = r.read();
        lost_ += reading.lost;
        if (!reading.record) return reading.lost != 0;
        const std::uint64_t n = number_of(*reading.record);
        if (!got_.empty() && n <= got_.back())
            fail("record %llu came after %llu", static_cast<unsigned long long>(n),
                 static_cast<unsigned long long>(got_.back()));
        got_.push_back(n);
        return true;
    }
    [[nodiscard]] std::uint64_t seen_of_victim() const {
        return static_cast<std::uint64_t>(
            std::ranges::count_if(got_, [](std::uint64_t n) { return n >= victims; }));
    }

    void consume_what_the_victim_left() {
        while (take(first())) {
        }
        const std::uint64_t old = got_.size() - seen_of_victim();
        const std::uint64_t gone = plan_.there - old;
        const std::uint64_t may_go = plan_.what == does::overwrite ? plan_.amount : 0;
        if (gone > may_go)
            fail("%llu records are gone that nobody took", static_cast<unsigned long long>(gone));
        if (gone > lost_) fail("records are gone, and the ring does not say so");
        expect_all_or_none();
    }
    // Those that are pushed together become visible together.
    void expect_all_or_none() const {
        const std::uint64_t together = plan_.what == does::push
                                           ? std::min(plan_.amount, capacity - plan_.there)
                                           : std::min(plan_.amount, capacity);
        if (const auto n = seen_of_victim(); n != 0 && n != together)
            fail("%llu of %llu records", static_cast<unsigned long long>(n),
                 static_cast<unsigned long long>(together));
    }
    void take_over_from_a_consumer() {
        while (take(mine())) {
        }
        const std::uint64_t gone = plan_.there - got_.size();
        if (gone != 0 && gone != std::min(plan_.amount, plan_.there))
            fail("%llu records are gone", static_cast<unsigned long long>(gone));
    }

    // Readers, while the writer has stopped: nothing moves.
    void look(unsigned times) {
        if constexpr (whole_api) {
            std::array<element, capacity> some;
            std::uint64_t newest = 0;
            for (unsigned n = 0; n < times; ++n) {
                if (mine().peek()) fail("a consumed record is there again");
                const std::size_t k = mine().get_last_n(capacity, some);
                for (std::size_t i = 0; i < k; ++i) number_of(some[i]);
                const std::uint64_t last = k == 0 ? 0 : some[k - 1].number;
                if (n != 0 && last != newest)
                    fail("the newest record changed, and its writer has stopped");
                newest = last;
            }
        }
    }

    // The writer, while the consumer has stopped: it overwrites.
    void write_alone() {
        if constexpr (whole_api) {
            std::uint64_t fits = 0;
            while (first().push(numbered(next_))) ++next_, ++fits;
            const std::uint64_t space = capacity - plan_.there;
            if (fits < space || fits > space + plan_.amount)
                fail("room for %llu records", static_cast<unsigned long long>(fits));
            for (unsigned n = 0; n < survivor_operations; ++n)
                first().push_overwrite(numbered(next_++));
            std::array<element, capacity> some;
            if (first().get_last_n(capacity, some) != capacity)
                fail("the newest records cannot be read");
            for (const element& e : some) number_of(e);
        }
    }

    // One who writes and one who consumes: exactly.
    void both(Ring& writer, Ring& consumer) {
        dice d;
        for (unsigned n = 0; n < survivor_operations; ++n) {
            if (d.below(10) == 0) filling_ = !filling_;
            if (filling_ == (d.below(4) != 0)) {
                const bool done = writer.push(numbered(next_));
                if (done != (expected_.size() < capacity))
                    fail("%s with %zu records", done ? "not full" : "full", expected_.size());
                if (done) expected_.push_back(next_++);
                continue;
            }
            const auto r = consumer.read();
            if (r.lost != 0) fail("a record was lost that nobody overwrote");
            if (r.record.has_value() != !expected_.empty())
                fail("%zu records, and one was %sread", expected_.size(), r.record ? "" : "not ");
            if (!r.record) continue;
            if (number_of(*r.record) != expected_.front()) fail("the wrong record");
            expected_.erase(expected_.begin());
        }
        while (consumer.read().record) {
        }
        expected_.clear();
    }

    struct words {
        std::uint64_t count, skipped, numbers[8];
    };

    const plan plan_;
    std::vector<element> some_;
    std::vector<std::uint64_t> got_, expected_;
    std::uint64_t lost_ = 0, next_ = 1000;
    bool filling_ = true;
    told<words> said_;
};

template <class Ring = assay::ring_buffer<element>>
auto scene_of(const plan& p) {
    return [p](const std::string& name) { return std::make_unique<ring_scene<Ring>>(name, p); };
}

const enlist ring_cells{
    {"ring_buffer/push", "2 of 4 records there", scene_of({does::push, 1, 2})},
    {"ring_buffer/push_full", "4 of 4 records there", scene_of({does::push, 1, 4})},
    {"ring_buffer/push_bulk", "3 records, room for 2", scene_of({does::push, 3, 2})},
    {"ring_buffer/push_overwrite", "4 of 4 records there", scene_of({does::overwrite, 1, 4})},
    {"ring_buffer/push_overwrite_bulk", "3 records, room for 1", scene_of({does::overwrite, 3, 3})},
    {"ring_buffer/pop", "3 of 4 records there", scene_of({does::pop, 1, 3})},
    {"ring_buffer/pop_empty", "no record there", scene_of({does::pop, 1, 0})},
    {"ring_buffer/pop_bulk", "2 records, 3 there", scene_of({does::pop, 2, 3})},
    {"ring_buffer/skip", "2 records, 3 there", scene_of({does::skip, 2, 3})},
    {"ring_buffer/peek_bulk", "by a reader, 3 records", scene_of({does::peek, 3, 3})},
    {"ring_buffer/get_last_n", "by a reader, 3 records", scene_of({does::last, 3, 3})},
    {"ring_buffer/reader_next_bulk", "by a reader, 3 records", scene_of({does::next, 3, 3})},
    {"ring_buffer/canary_shows_a_record_before_it_is_written",
     "counts up, then writes",
     scene_of<broken::hasty_ring<element>>({does::push, 1, 2}),
     false,
     {"torn", "came after"}},
};

}  // namespace
}  // namespace assay_kill
