// large_map.cpp -- a process dies (stops) in the middle of an operation on one key: the key is as
// before or as after, all others are exact, and no node is lost.
#include <assay/large_map.hpp>

#include <map>

#include "stress/kill/broken.hpp"
#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

constexpr std::uint64_t capacity = 8;
constexpr std::uint64_t after = 100;  // the value that the victim writes

enum class does { find, visit, insert, assign, erase };

template <class Map>
class map_scene : public in_segment<Map> {
    using base = in_segment<Map>;
    using base::any, base::first, base::mine;
    static constexpr bool whole_api = requires(Map & m) { m.recover(); };

public:
    map_scene(const std::string& name, does what, std::uint64_t key)
        : base(name, capacity), what_(what), key_(key) {
        for (std::uint64_t k = 1; k <= 5; ++k) {
            first().insert(k, numbered(k));
            model_[k] = k;
        }
        present_ = model_.count(key_) != 0;
    }

    void operate() override {
        Map& m = mine();
        const element value = numbered(after);
        std::optional<element> found;
        bool result = false;
        switch (what_) {
            case does::find:
                operation([&] { found = m.find(key_); });
                break;
            case does::visit:
                if constexpr (whole_api)
                    operation([&] {
                        m.for_each([&](std::uint64_t, const element& e) { result |= !e.whole(); });
                    });
                if (result) fail("for_each shows a torn value");
                break;
            case does::insert:
                operation([&] { result = m.insert(key_, value); });
                break;
            case does::assign:
                operation([&] { result = m.insert_or_assign(key_, value); });
                break;
            case does::erase:
                operation([&] { result = m.erase(key_); });
                break;
        }
        said_->result = result;
        said_->found = found ? number_of(*found) : 0;
    }

    void others(bool stopped) override {
        decide();
        dice d;
        for (unsigned n = 0; n < survivor_operations; ++n) {
            const std::uint64_t k = n % 8 == 0 ? key_ : 1 + d.below(14);
            if (stopped && k == key_)
                expect(any(d), k);
            else
                change(any(d), k, d.below(4));
        }
        count(survivor_operations);
    }

    void recover() override {
        if constexpr (whole_api) operation([&] { mine().recover(); });
    }

    void whole(bool finished) override {
        if (finished) account_for_what_it_said();
        if constexpr (whole_api) {
            mine().recover();  // of a victim that finished, and left with what it had
            if (mine().recover() != 0) fail("recover() left nodes of the dead");
            if (first().size() != model_.size()) fail("an entry too many, or too few");
            if (first().num_available() + model_.size() != capacity + first().num_spare())
                fail("of %llu nodes %llu are free, with %zu entries",
                     static_cast<unsigned long long>(capacity + first().num_spare()),
                     static_cast<unsigned long long>(first().num_available()), model_.size());
        }
        dice d;
        for (std::uint64_t k = 0; k < 20; ++k) expect(any(d), k);
        for (std::uint64_t k = 200; model_.size() < capacity; ++k) change(any(d), k, 0);
        while (!model_.empty()) change(any(d), model_.begin()->first, 3);
    }

private:
    void expect(Map& m, std::uint64_t k) {
        const auto found = m.find(k);
        const auto known = model_.find(k);
        if (found.has_value() != (known != model_.end()))
            fail("key %llu is %s", static_cast<unsigned long long>(k),
                 found ? "there, and was erased" : "missing");
        if (found && number_of(*found) != known->second)
            fail("key %llu has the value of another time", static_cast<unsigned long long>(k));
    }
    void change(Map& m, std::uint64_t k, std::uint64_t how) {
        const bool there = model_.count(k) != 0;
        const std::uint64_t n = ++next_;
        bool right = true;
        if (how == 0 && (there || model_.size() < capacity)) {
            right = m.insert(k, numbered(n)) != there;
            if (!there) model_[k] = n;
        } else if (how == 1 && (there || model_.size() < capacity)) {
            right = m.insert_or_assign(k, numbered(n)) != there;
            model_[k] = n;
        } else if (how == 3) {
            right = m.erase(k) == there;
            model_.erase(k);
        }
        if (!right)
            fail("an operation on key %llu denies what is", static_cast<unsigned long long>(k));
        expect(m, k);
    }

    // The victim's key: as before its operation, or as after.
    void decide() {
        const auto found = first().find(key_);
        const std::uint64_t value = found ? number_of(*found) : 0;
        const std::uint64_t old = present_ ? key_ : 0;
        const bool looks = what_ == does::find || what_ == does::visit;
        const std::uint64_t wanted = looks                               ? old
                                     : what_ == does::erase              ? 0
                                     : what_ == does::insert && present_ ? old
                                                                         : after;
        if (value != old && value != wanted)
            fail("the victim's key is %s", found ? "neither as before nor as after" : "missing");
        done_ = value == wanted;
        set(value);
    }
    void set(std::uint64_t value) {
        model_.erase(key_);
        if (value != 0) model_[key_] = value;
    }
    void account_for_what_it_said() {
        const bool result = said_->result;
        switch (what_) {
            case does::find:
                if (said_->found != (present_ ? key_ : 0)) fail("find found something else");
                break;
            case does::visit:
                break;
            case does::insert:
                if (result == present_) fail("insert denies what is");
                if (result) set(after);
                break;
            case does::assign:
                if (result == present_) fail("insert_or_assign denies what is");
                set(after);
                break;
            case does::erase:
                if (result != present_) fail("erase denies what is");
                set(0);
                break;
        }
    }

    struct words {
        std::uint64_t result, found;
    };

    const does what_;
    const std::uint64_t key_;
    bool present_ = false, done_ = false;
    std::map<std::uint64_t, std::uint64_t> model_;
    std::uint64_t next_ = 1000;
    told<words> said_;
};

template <class Map = assay::large_map<std::uint64_t, element>>
auto scene_of(does what, std::uint64_t key) {
    return [what, key](const std::string& name) {
        return std::make_unique<map_scene<Map>>(name, what, key);
    };
}

const enlist map_cells{
    {"large_map/find", "a key that is there", scene_of(does::find, 3)},
    {"large_map/for_each", "5 entries", scene_of(does::visit, 3)},
    {"large_map/insert", "a new key", scene_of(does::insert, 9), true},
    {"large_map/insert_present", "a key that is there", scene_of(does::insert, 3), true},
    {"large_map/insert_or_assign", "a key that is there", scene_of(does::assign, 3), true},
    {"large_map/insert_or_assign_new", "a new key", scene_of(does::assign, 9), true},
    {"large_map/erase", "a key that is there", scene_of(does::erase, 3), true},
    {"large_map/erase_absent", "a key that is not there", scene_of(does::erase, 9), true},
    {"large_map/canary_replaces_in_two_steps",
     "erases the key, then inserts it again",
     scene_of<broken::map<std::uint64_t, element>>(does::assign, 3),
     false,
     {"missing"}},
};

}  // namespace
}  // namespace assay_kill
