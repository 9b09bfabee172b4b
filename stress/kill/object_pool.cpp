// object_pool.cpp -- a process dies (stops) while it takes objects or gives them back: each object
// is free, or its process's, and comes back with recover(); nobody else ever gets it before.
#include <assay/object_pool.hpp>

#include <algorithm>
#include <iterator>
#include <vector>

#include "stress/kill/broken.hpp"
#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

constexpr std::uint64_t capacity = 8;

struct plan {
    bool takes;            // otherwise it gives back
    std::uint64_t amount;  // objects
    std::uint64_t held;    // by survivors, before it
    bool adopts = false;   // what it takes is a survivor's
};

std::uint32_t number_of(std::uint32_t h) { return h; }
std::uint32_t number_of(assay::claim h) { return h.index; }

template <class Pool>
class pool_scene : public in_segment<Pool> {
    using base = in_segment<Pool>;
    using base::any, base::first, base::mine;
    using handle = typename Pool::handle_type;
    static constexpr bool whole_api = requires(Pool & p) { p.recover(); };

public:
    pool_scene(const std::string& name, const plan& p) : base(name, capacity), plan_(p) {
        for (std::uint64_t n = 0; n < p.held; ++n)
            if (!take(first())) fail("the pool is empty at once");
        if (p.adopts) lent_ = first().acquire();
        if (take(first())) {
            next_ = held_.back();
            give_back(first(), held_.size() - 1);
        }
    }

    void operate() override {
        Pool& pool = mine();
        if (plan_.adopts) return adopt(pool);
        std::vector<handle> some(plan_.amount);
        for (auto& h : some) h = pool.acquire();  // or first used in its operation, hints and all
        std::uint64_t n = plan_.amount;
        if (plan_.takes) {
            for (const auto h : some) pool.release(h);
            acquire(pool, some, n);
            for (std::uint64_t i = 0; i < n; ++i) said_->numbers[i] = number_of(some[i]);
            said_->count = n;
        } else {
            release(pool, some, n);
            said_->count = n;
        }
    }

    void others(bool stopped) override {
        dice d;
        for (unsigned n = 0; n < survivor_operations; ++n) {
            if (d.below(16) == 0) taking_ = !taking_;
            if (taking_ == (d.below(4) != 0))
                take(any(d));
            else if (!held_.empty())
                give_back(any(d), d.below(held_.size()));
            if (stopped && n % 100 == 0) leave_the_living_alone();
        }
        end_as_it_began();
        count(survivor_operations);
    }

    void recover() override {
        said_->recovering = 1;  // and may free what the dead adopted
        if constexpr (whole_api) operation([&] { mine().recover(); });
    }

    void whole(bool finished) override {
        if (finished) {
            if (plan_.takes)
                for (std::uint64_t i = 0; i < said_->count; ++i)
                    for (const handle h : held_)
                        if (number_of(h) == said_->numbers[i])
                            fail("object %u has two owners", number_of(h));
            if (!plan_.takes && said_->count != plan_.amount)
                fail("release refused an object of its owner");
            if constexpr (whole_api)
                mine().recover();  // the victim has left with its objects
            else
                for (std::uint64_t i = 0; i < said_->count; ++i)
                    held_.push_back(static_cast<handle>(said_->numbers[i]));
        }
        if constexpr (whole_api)
            if (const auto more = mine().recover(); more != 0)
                fail("recover() left %llu objects of the dead",
                     static_cast<unsigned long long>(more));
        if (plan_.adopts) settle(finished);
        dice d;
        for (int lap = 0; lap < 3; ++lap) {
            while (held_.size() < capacity)
                if (!take(any(d)))
                    fail("after recovery only %zu of %llu objects can be had", held_.size(),
                         static_cast<unsigned long long>(capacity));
            if (take(any(d))) fail("more objects than there are");
            while (!held_.empty()) give_back(any(d), d.below(held_.size()));
        }
    }

private:
    void adopt(Pool& pool) {
        said_->numbers[0] = number_of(lent_);
        if constexpr (whole_api) operation([&] { said_->count = pool.adopt(lent_); });
    }
    // The object is the survivors' if it was not adopted, and free if its adopter is gone.
    void settle(bool finished) {
        if constexpr (whole_api) {
            if (finished && (said_->count != 1 || first().is_valid(lent_)))
                fail("the one who adopted has left, and its object is not free");
            first().release(lent_);
        }
        lent_ = Pool::invalid_handle;
    }
    static void acquire(Pool& pool, std::vector<handle>& some, std::uint64_t& n) {
        if constexpr (whole_api)
            if (some.size() > 1)
                return operation([&] { n = pool.acquire_batch(some.size(), some.begin()); });
        operation([&] { some[0] = pool.acquire(); });
        n = some[0] != Pool::invalid_handle;
    }
    static void release(Pool& pool, std::vector<handle>& some, std::uint64_t& n) {
        if constexpr (whole_api)
            if (some.size() > 1) return operation([&] { n = pool.release_batch(some); });
        bool done = false;
        operation([&] { done = pool.release(some[0]); });
        n = done;
    }

    bool take(Pool& pool) {
        const handle h = pool.acquire();
        if (h == Pool::invalid_handle) {
            if (held_.size() + plan_.amount < capacity)
                fail("none free, and survivors hold %zu of %llu", held_.size(),
                     static_cast<unsigned long long>(capacity));
            return false;
        }
        for (const handle other : held_)
            if (number_of(other) == number_of(h)) fail("object %u has two owners", number_of(h));
        if (lent_ != Pool::invalid_handle && number_of(lent_) == number_of(h) && !said_->recovering)
            fail("object %u was lent, and has two owners", number_of(h));
        held_.push_back(h);
        return true;
    }
    void give_back(Pool& pool, std::size_t i) {
        if (!pool.release(held_[i])) fail("release refused object %u", number_of(held_[i]));
        held_[i] = held_.back();
        held_.pop_back();
    }
    // What the victim would have got next is free, again, and all else is not: who stopped after a
    // look at it, and does not look again, goes wrong (ABA).
    void end_as_it_began() {
        while (take(first())) {
        }
        for (std::size_t i = 0; i < held_.size(); ++i)
            if (number_of(held_[i]) == number_of(next_)) return give_back(first(), i);
    }
    void leave_the_living_alone() {
        if constexpr (whole_api)
            if (mine().recover() != 0) fail("recover() took an object from a living process");
    }

    struct words {
        std::uint64_t count, numbers[8], recovering;
    };

    const plan plan_;
    std::vector<handle> held_;
    handle next_ = Pool::invalid_handle;
    handle lent_ = Pool::invalid_handle;
    bool taking_ = true;
    told<words> said_;
};

template <class Pool = assay::object_pool<element>>
auto scene_of(const plan& p) {
    return [p](const std::string& name) { return std::make_unique<pool_scene<Pool>>(name, p); };
}

const enlist pool_cells{
    {"object_pool/acquire", "2 of 8 objects taken", scene_of({true, 1, 2}), true},
    {"object_pool/acquire_none", "8 of 8 objects taken", scene_of({true, 1, 8}), true},
    {"object_pool/acquire_batch", "3 objects, 2 of 8 taken", scene_of({true, 3, 2}), true},
    {"object_pool/acquire_last", "3 objects, 6 of 8 taken", scene_of({true, 3, 6}), true},
    {"object_pool/release", "of 8 objects 3 taken", scene_of({false, 1, 2}), true},
    {"object_pool/release_batch", "3 objects, of 8 5 taken", scene_of({false, 3, 2}), true},
    {"object_pool/adopt", "an object that a survivor took", scene_of({true, 1, 2, true}), true},
    {"object_pool/canary_recovery_is_locked_for_ever",
     "one recovers at a time: who dies at it stays the one",
     scene_of<broken::exclusive_recovery<element>>({true, 1, 2}),
     true,
     {"can be had"}},
    {"object_pool/canary_loses_objects",
     "a free list: who dies between taking an object and using it takes it along",
     scene_of<broken::free_list<element, true>>({true, 1, 2}),
     false,
     {"can be had"}},
    {"object_pool/canary_tagless_free_list",
     "a free list without a tag: a stopped process finds an old head again (ABA)",
     scene_of<broken::free_list<element, false>>({true, 1, 2}),
     false,
     {"two owners"}},
};

}  // namespace
}  // namespace assay_kill
