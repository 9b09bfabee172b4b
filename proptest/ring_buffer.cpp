// ring_buffer in one process against the list of all records ever written and three positions:
// what is read, lost, peeked at and skipped, for the consumer and for a reader of its own.

#include <assay/ring_buffer.hpp>

#include "proptest/harness.hpp"
#include "proptest/plain.hpp"

namespace assay_proptest {

namespace {

enum class op {
    push,
    read,
    push_overwrite,
    push_bulk,
    overwrite_bulk,
    pop,
    read_bulk,
    peek,
    last_n,
    skip,
    clear,
    follow,
    next,
    reopen
};

const char* name_of(op o) {
    constexpr const char* names[] = {
        "push", "read",   "push_overwrite", "push_bulk", "overwrite_bulk", "pop",  "read_bulk",
        "peek", "last_n", "skip",           "clear",     "follow",         "next", "reopen"};
    return names[static_cast<int>(o)];
}

rc::Gen<history<op>> scripts() {
    return histories<op>({{10, op::push},
                          {6, op::read},
                          {6, op::push_overwrite},
                          {4, op::push_bulk},
                          {3, op::overwrite_bulk},
                          {4, op::pop},
                          {4, op::read_bulk},
                          {5, op::peek},
                          {4, op::last_n},
                          {2, op::skip},
                          {1, op::clear},
                          {1, op::follow},
                          {4, op::next},
                          {1, op::reopen}},
                         12);
}

template <class T, class Rings>
class comparison {
public:
    comparison(Rings& rings, std::uint64_t count) : rings_(rings), count_(count) { follow(0, 0); }

    void execute(const action<op>& x) {
        auto& r = rings_[x.handle];
        switch (x.what) {
            case op::push: {
                const bool fits = unread() < count_;
                const auto one = make(1);
                require_equal(r.push(one[0]), fits, "push");
                if (fits) write(one);
                break;
            }
            case op::push_bulk: {
                auto some = make(x.a);
                const std::uint64_t room = unread() < count_ ? count_ - unread() : 0;
                const auto n = r.push_bulk(some);
                require_equal(std::uint64_t{n}, std::min(x.a, room), "push_bulk");
                some.resize(n);
                write(some);
                break;
            }
            case op::push_overwrite: {
                const auto one = make(1);
                overwrite(one);
                r.push_overwrite(one[0]);
                break;
            }
            case op::overwrite_bulk: {
                const auto some = make(x.a);
                overwrite(some);
                r.push_overwrite_bulk(some);
                break;
            }
            case op::read: {
                const auto got = r.read();
                const std::uint64_t lost = lose(x.handle);
                require_equal(got.lost, lost, "records lost before a read");
                require_equal(got.record, take(), "a record read");
                break;
            }
            case op::pop:
                lose(x.handle);
                require_equal(r.pop(), take(), "a record popped");
                break;
            case op::read_bulk: {
                std::vector<T> out(x.a);
                const auto got = r.read_bulk(out);
                require_equal(got.lost, lose(x.handle), "records lost before a bulk read");
                same(out, got.count, read_, x.a, "read_bulk");
                read_ += got.count;
                break;
            }
            case op::peek: {
                std::vector<T> out(x.b % 14);
                const auto n = r.peek_bulk(x.a, out);
                same(out, n, std::min(oldest() + x.a, written()), out.size(), "peek_bulk");
                break;
            }
            case op::last_n: {
                std::vector<T> out(x.b % 30);
                const auto n = r.get_last_n(x.a, out);
                const std::uint64_t most =
                    std::min({x.a, std::uint64_t{out.size()}, count_, written()});
                same(out, n, written() - most, most, "get_last_n");
                break;
            }
            case op::skip: {
                const std::uint64_t n = r.skip(x.a);
                lose(x.handle);
                require_equal(n, std::min(x.a, unread()), "skip");
                read_ += n;
                break;
            }
            case op::clear:
                lose(x.handle);
                read_ = written();
                r.clear();
                break;
            case op::follow:
                follow(x.handle, x.a);
                break;
            case op::next: {
                std::vector<T> out(1 + x.a);
                const auto got = reader_->next_bulk(out);
                const std::uint64_t kept = written() - std::min(written(), count_);
                const std::uint64_t lost = at_ < kept ? kept - at_ : 0;
                require_equal(got.lost, lost, "records lost by a reader");
                at_ += lost;
                same(out, got.count, at_, out.size(), "a reader's records");
                at_ += got.count;
                break;
            }
            case op::reopen:
                rings_.reopen(x.handle);
                lost_[x.handle] = 0;
                if (reader_of_ == x.handle) follow(x.handle, x.a);
                break;
        }
        for (unsigned i = 0; i < 2; ++i) compare(i);
    }

private:
    [[nodiscard]] std::uint64_t written() const { return records_.size(); }
    [[nodiscard]] std::uint64_t unread() const { return written() - read_; }
    [[nodiscard]] std::uint64_t oldest() const { return std::max(read_, floor_); }

    std::vector<T> make(std::uint64_t n) {
        std::vector<T> some;
        for (; n > 0; --n) some.push_back(T::of(made_++));
        return some;
    }
    void write(const std::vector<T>& some) {
        records_.insert(records_.end(), some.begin(), some.end());
    }
    void overwrite(const std::vector<T>& some) {
        write(some);
        if (unread() > count_ && !some.empty()) floor_ = written() - count_;
    }
    // The consumer finds out that it was lapped.
    std::uint64_t lose(unsigned handle) {
        const std::uint64_t lost = oldest() - read_;
        read_ += lost;
        lost_[handle] += lost;
        return lost;
    }
    std::optional<T> take() {
        if (read_ == written()) return std::nullopt;
        return records_[read_++];
    }
    void same(const std::vector<T>& found, std::uint64_t n, std::uint64_t from, std::uint64_t most,
              const char* what) {
        require_equal(n, std::min<std::uint64_t>(most, written() - from), what);
        for (std::uint64_t i = 0; i < n; ++i) require_equal(found[i], records_[from + i], what);
    }
    void follow(unsigned handle, std::uint64_t back) {
        reader_.emplace(rings_[handle], back);
        reader_of_ = handle;
        at_ = written() - std::min({back, count_, written()});
    }
    void compare(unsigned i) {
        auto& r = rings_[i];
        require_equal(r.total_written(), written(), "total_written");
        require_equal(r.total_read(), read_, "total_read");
        require_equal(r.size(), std::min(unread(), count_), "size");
        require_equal(r.available_space(), count_ - std::min(unread(), count_), "space");
        require_equal(r.empty(), unread() == 0, "empty");
        require_equal(r.full(), unread() >= count_, "full");
        require_equal(r.lost(), lost_[i], "lost");
        require_equal(r.capacity(), count_, "capacity");
    }

    Rings& rings_;
    std::uint64_t count_;
    std::uint64_t made_ = 0;
    std::vector<T> records_;  // all that were ever written
    std::uint64_t read_ = 0, floor_ = 0;
    std::uint64_t lost_[2] = {};
    std::optional<typename assay::ring_buffer<T>::reader> reader_;
    unsigned reader_of_ = 0;
    std::uint64_t at_ = 0;  // the reader's
};

template <class T, class Rings>
void is_a_list(context& c) {
    explore(c, scripts(), [](const history<op>& h) {
        Rings rings(h.count, h.start);
        comparison<T, Rings> both(rings, h.count);
        for (const auto& each : h.actions) both.execute(each);
    });
}

// The seed's overwrite: when it is full, the writer takes the oldest record as the consumer would.
template <class T>
struct seed_ring : assay::ring_buffer<T> {
    using assay::ring_buffer<T>::ring_buffer;
    void push_overwrite(const T& record) {
        while (!this->push(record)) this->skip(1);
    }
};

const registration ring_properties([](std::vector<check>& all) {
    const std::string what = "commands through two handles against all records, each of ";
    all.push_back({"ring_buffer/is_a_list_of_1_byte_records", what + "1 byte",
                   is_a_list<element<1>, pair_of<assay::ring_buffer<element<1>>>>, 0.7});
    all.push_back({"ring_buffer/is_a_list_of_8_byte_records", what + "8 bytes",
                   is_a_list<element<8>, pair_of<assay::ring_buffer<element<8>>>>, 0.7});
    all.push_back({"ring_buffer/is_a_list_of_21_byte_records", what + "21 bytes",
                   is_a_list<element<21>, pair_of<assay::ring_buffer<element<21>>>>, 0.7});
    check c{"ring_buffer/canary_seed_overwrite_hides_what_was_lost",
            "the seed's writer moves the consumer's position",
            is_a_list<element<8>, pair_of<seed_ring<element<8>>>>};
    c.canary = true;
    c.longest = 2;
    all.push_back(std::move(c));
});

}  // namespace

}  // namespace assay_proptest
