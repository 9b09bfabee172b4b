// object_pool in one process against a map from handles to contents: exact capacity, no object
// twice, no handle twice, stale and invented handles refused, generations that wrap.

#include <assay/object_pool.hpp>
#include <iterator>
#include <map>

#include "proptest/harness.hpp"
#include "proptest/plain.hpp"

namespace assay_proptest {

namespace {

enum class op {
    acquire,
    release,
    construct,
    batch,
    release_batch,
    release_stale,
    release_invented,
    adopt,
    reopen,
    recover
};

const char* name_of(op o) {
    constexpr const char* names[] = {"acquire",       "release",       "construct",        "batch",
                                     "release_batch", "release_stale", "release_invented", "adopt",
                                     "reopen",        "recover"};
    return names[static_cast<int>(o)];
}

rc::Gen<history<op>> scripts() {
    return histories<op>({{10, op::acquire},
                          {10, op::release},
                          {4, op::construct},
                          {3, op::batch},
                          {2, op::release_batch},
                          {3, op::release_stale},
                          {2, op::release_invented},
                          {2, op::adopt},
                          {1, op::reopen},
                          {1, op::recover}},
                         70);
}

using item = element<24>;
using handle = assay::claim;

template <class Pools>
class comparison {
public:
    comparison(Pools& pools, std::uint64_t count) : pools_(pools), count_(count) {}

    void execute(const action<op>& x) {
        auto& p = pools_[x.handle];
        switch (x.what) {
            case op::acquire:
                took(p, p.acquire());
                break;
            case op::construct: {
                const auto h = p.acquire_construct(item::of(x.b));
                if (h) require_equal(*p.get(*h), item::of(x.b), "the constructed object");
                took(p, h.value_or(handle{}));
                break;
            }
            case op::batch: {
                std::vector<handle> got;
                const auto n = p.acquire_batch(x.a, std::back_inserter(got));
                require_equal(n, std::uint64_t{got.size()}, "result of acquire_batch");
                require_equal(n, std::min(x.a, count_ - owned_.size()), "size of the batch");
                for (const handle h : got) took(p, h);
                break;
            }
            case op::release:
                if (owned_.empty()) break;
                release(p, std::next(owned_.begin(), at(x.b % owned_.size()))->second.h);
                break;
            case op::release_batch: {
                std::vector<handle> some;
                for (const auto& [index, o] : owned_)
                    if ((index + x.b) % 3 == 0) some.push_back(o.h);
                const std::uint64_t valid = some.size();
                for (const handle h : some) forget(h);
                some.insert(some.end(), {handle{}, stale(x.b)});
                require_equal(p.release_batch(some), valid, "release_batch");
                break;
            }
            case op::release_stale:
                refused(p, stale(x.b));
                break;
            case op::release_invented: {
                const handle h{static_cast<std::uint32_t>(x.b % (count_ + 3)),
                               static_cast<std::uint32_t>(x.a)};
                const auto o = owned_.find(h.index);
                if (o == owned_.end() || o->second.h != h) refused(p, h);
                break;
            }
            case op::adopt: {
                for (const auto& [index, o] : owned_) require(p.adopt(o.h), "adopt");
                require(!p.adopt(stale(x.b)), "a stale handle was adopted");
                break;
            }
            case op::reopen:
                pools_.reopen(x.handle);
                break;
            case op::recover:
                require_equal(p.recover(), std::uint64_t{0}, "objects of the dead, which are none");
                break;
        }
        for (unsigned i = 0; i < 2; ++i) compare(pools_[i]);
    }

private:
    struct tenure {
        handle h;
        item content;
    };

    static std::ptrdiff_t at(std::uint64_t n) { return static_cast<std::ptrdiff_t>(n); }

    [[nodiscard]] handle stale(std::uint64_t pick) const {
        return ended_.empty() ? handle{} : ended_[pick % ended_.size()];
    }

    void took(auto& p, handle h) {
        if (owned_.size() == count_) {
            require(h == handle{}, "an object was acquired from an exhausted pool");
            return;
        }
        require(h != handle{}, "nothing was acquired though an object is free");
        require(h.index < count_, "the handle names no object");
        require(!owned_.contains(h.index), "an object was handed out twice");
        for (const handle old : ended_) require(h != old, "a handle was used again");
        owned_[h.index] = {h, item::of(++made_)};
        p[h] = owned_[h.index].content;
    }
    void forget(handle h) {
        owned_.erase(h.index);
        ended_.push_back(h);
    }
    void release(auto& p, handle h) {
        require(p.release(h), "release of an owned object");
        forget(h);
        refused(p, h);
    }
    void refused(auto& p, handle h) {
        require(!p.release(h), "a handle was released that is stale, released already or invented");
        require(!p.is_valid(h) && p.get(h) == nullptr, "a stale or invented handle is valid");
    }
    void compare(auto& p) {
        require_equal(p.num_allocated(), std::uint64_t{owned_.size()}, "num_allocated");
        require_equal(p.num_available(), count_ - owned_.size(), "num_available");
        require_equal(p.empty(), owned_.empty(), "empty");
        require_equal(p.full(), owned_.size() == count_, "full");
        require_equal(p.capacity(), count_, "capacity");
        for (const auto& [index, o] : owned_) {
            require(p.is_valid(o.h) && p.get(o.h) == &p[o.h], "an owned handle is not valid");
            require_equal(p[o.h], o.content, "content of an owned object");
        }
    }

    Pools& pools_;
    std::uint64_t count_;
    std::uint64_t made_ = 0;
    std::map<std::uint32_t, tenure> owned_;
    std::vector<handle> ended_;
};

template <class Pools>
void is_a_map(context& c) {
    explore(c, scripts(), [](const history<op>& h) {
        Pools pools(h.count, static_cast<std::uint32_t>(h.start));
        comparison<Pools> both(pools, h.count);
        for (const auto& each : h.actions) both.execute(each);
    });
}

// The seed's free list: what is released goes to its head, whether it was taken or not.
class seed_pool {
public:
    seed_pool(std::uint64_t count, std::uint32_t) : objects_(count) {
        for (std::uint64_t i = count; i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
    }
    seed_pool& operator[](unsigned) { return *this; }
    item& operator[](handle h) { return objects_[h.index]; }
    void reopen(unsigned) {}
    handle acquire() {
        if (free_.empty()) return {};
        const handle h{free_.back(), ++generation_};
        free_.pop_back();
        return h;
    }
    std::optional<handle> acquire_construct(const item& value) {
        const handle h = acquire();
        if (h == handle{}) return std::nullopt;
        objects_[h.index] = value;
        return h;
    }
    template <class Out>
    std::uint64_t acquire_batch(std::uint64_t n, Out out) {
        std::uint64_t got = 0;
        for (handle h; got < n && (h = acquire()) != handle{}; ++got) *out = h;
        return got;
    }
    bool release(handle h) {
        if (h.index >= objects_.size()) return false;
        free_.push_back(h.index);
        return true;
    }
    std::uint64_t release_batch(const std::vector<handle>& handles) {
        std::uint64_t n = 0;
        for (const handle h : handles) n += release(h) ? 1 : 0;
        return n;
    }
    bool adopt(handle h) const { return is_valid(h); }
    bool is_valid(handle h) const { return h.index < objects_.size(); }
    item* get(handle h) { return is_valid(h) ? &objects_[h.index] : nullptr; }
    std::uint64_t num_allocated() const { return objects_.size() - free_.size(); }
    std::uint64_t num_available() const { return free_.size(); }
    bool empty() const { return num_allocated() == 0; }
    bool full() const { return free_.empty(); }
    std::uint64_t capacity() const { return objects_.size(); }
    std::uint64_t recover() { return 0; }

private:
    std::vector<item> objects_;
    std::vector<std::uint32_t> free_;
    std::uint32_t generation_ = 0;
};

const registration pool_properties([](std::vector<check>& all) {
    all.push_back({"object_pool/is_a_map_of_handles",
                   "commands through two handles against a map; stale, invented, repeated releases",
                   is_a_map<pair_of<assay::object_pool<item>>>, 1});
    check c{"object_pool/canary_seed_pool_releases_twice",
            "the seed's free list takes an object back as often as it is released",
            is_a_map<seed_pool>};
    c.canary = true;
    c.longest = 2;
    all.push_back(std::move(c));
});

}  // namespace

}  // namespace assay_proptest
