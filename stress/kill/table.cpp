// table.cpp -- a process dies while it adds or removes a name: the entry is there, whole, or it is
// not, and no space is lost. One that has stopped may hold the lock: then others can look, and
// wait if they want to change something.
#include <assay/array.hpp>
#include <assay/posix_shm.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "stress/kill/broken.hpp"
#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

constexpr std::uint64_t room_for = 8192;               // bytes of entries
constexpr std::uint64_t most = 16;                     // entries
constexpr unsigned changes = survivor_operations / 4;  // each looks at all entries, several times

enum class does { allocate, add, create, erase, clear, find };

// The table of a segment, as a scene sees it: numbers for names.
class real_table {
public:
    real_table(const std::string& name, std::uint64_t size)
        : in_(name, size == 0 ? 0 : segment::size_for(size)) {}

    static std::string text(std::uint64_t n) { return "n" + std::to_string(n); }
    struct range {
        std::uint64_t begin, size;
    };
    bool allocate(std::uint64_t n, std::uint64_t size) {
        return names().allocate(text(n), size) != nullptr;
    }
    bool erase(std::uint64_t n) { return names().erase(text(n)); }
    template <class F>
    void each(F f) const {
        for (const auto& e : *in_.get_table()) {
            const std::string name = e.name.str();
            if (name.empty() || name[0] != 'n') fail("an entry without its name");
            f(std::stoull(name.substr(1)), range{e.offset, e.size});
            if (in_.get_table()->find(name) != &e) fail("an entry that find does not find");
        }
    }
    segment::table_type& names() { return *in_.get_table(); }
    segment& in() { return in_; }
    [[nodiscard]] std::span<const std::byte> bytes() const {
        return {static_cast<const std::byte*>(in_.get_base_addr()), in_.get_total_size()};
    }

private:
    segment in_;
};

template <bool Hasty>
class broken_table {
public:
    broken_table(const std::string& name, std::uint64_t size)
        : in_(name, size == 0 ? 0 : segment::size_for(size)), it_(in_, "it", 1) {}

    bool allocate(std::uint64_t n, std::uint64_t size) { return it_.allocate(n, size); }
    bool erase(std::uint64_t n) { return it_.erase(n); }
    template <class F>
    void each(F f) const {
        it_.each(f);
    }
    [[nodiscard]] std::span<const std::byte> bytes() const {
        return {static_cast<const std::byte*>(in_.get_base_addr()), in_.get_total_size()};
    }

private:
    segment in_;
    broken::names<Hasty> it_;
};

template <class Table>
class table_scene : public scene {
    static constexpr bool whole_api = requires(Table & t) { t.names(); };

public:
    table_scene(const std::string& name, does what)
        : what_(what), name_(name), here_(std::make_unique<Table>(name, room_for)) {
        for (std::uint64_t n = 1; n <= 4; ++n) {
            here_->allocate(n, 64 * n);
            model_[n] = 64 * n;
        }
        here_->erase(2);  // a gap
        model_.erase(2);
    }
    void open() override { mine_ = std::make_unique<Table>(name_, 0); }
    [[nodiscard]] std::span<const std::byte> bytes() const override { return here_->bytes(); }

    void operate() override {
        Table& t = *mine_;
        if constexpr (whole_api) {
            const std::uint64_t end = t.names().data_end();
            switch (what_) {
                case does::add:
                    return operation([&] { t.names().add("n50", end - 64, 64); });
                case does::create:
                    return operation([&] { assay::array<element>(t.in(), "n50", 2); });
                case does::clear:
                    return operation([&] { t.names().clear(); });
                case does::find:
                    return operation([&] { static_cast<void>(t.names().find("n4")); });
                default:
                    break;
            }
        }
        if (what_ == does::allocate)
            operation([&] { t.allocate(50, 64); });
        else
            operation([&] { t.erase(3); });
    }

    void others(bool stopped) override {
        look(true);
        if (stopped) {
            for (unsigned n = 0; n < survivor_operations; ++n) look(false);
            return count(survivor_operations);
        }
        change();
        count(changes);
    }

    void whole(bool finished) override {
        if (finished) {
            look(true);
            const bool there = model_.count(victims_name()) != 0;
            if (what_ != does::find && there != adds()) fail("a finished operation is not seen");
        }
        change();
        while (!model_.empty()) erase(model_.begin()->first);
        // No entry is lost, and no byte.
        for (std::uint64_t n = 100; n < 100 + most; ++n) allocate(n, 128);
        if constexpr (whole_api) {
            if (here_->names().allocate("more", 64) != nullptr) fail("more entries than there are");
            here_->names().clear();
            if (here_->names().allocate("all", room_for) == nullptr)
                fail("with no entry left, not all of the space can be had");
        }
    }

private:
    [[nodiscard]] bool adds() const {
        return what_ == does::allocate || what_ == does::add || what_ == does::create;
    }
    [[nodiscard]] std::uint64_t victims_name() const { return adds() ? 50 : 3; }

    // All entries are as they should be; the victim's, if it may, appears or disappears.
    void look(bool may_differ) {
        std::map<std::uint64_t, std::uint64_t> found;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
        here_->each([&](std::uint64_t n, auto r) {
            if (!found.emplace(n, r.size).second) fail("a name is there twice");
            ranges.emplace_back(r.begin, r.begin + r.size);
        });
        std::ranges::sort(ranges);
        for (std::size_t i = 1; i < ranges.size(); ++i)
            if (ranges[i].first < ranges[i - 1].second) fail("two entries overlap");
        if (may_differ) follow_the_victim(found);
        if (found != model_) fail("an entry is lost, or half there, or was never added");
    }
    void follow_the_victim(const std::map<std::uint64_t, std::uint64_t>& found) {
        if (what_ == does::clear) {  // one by one
            std::erase_if(model_, [&](const auto& e) { return found.count(e.first) == 0; });
        } else if (adds() && found.count(50) != 0) {
            model_[50] = what_ == does::create ? 2 * sizeof(element) : 64;
        } else if (what_ == does::erase && found.count(3) == 0) {
            model_.erase(3);
        }
    }

    void change() {
        dice d;
        for (unsigned n = 0; n < changes; ++n) {
            if (d.below(2) == 0 && model_.size() < most)
                allocate(++next_, 32 + d.below(200));
            else if (!model_.empty())
                erase(std::next(model_.begin(), static_cast<std::ptrdiff_t>(d.below(model_.size())))
                          ->first);
            if (n % 16 == 0) look(false);
        }
    }
    void allocate(std::uint64_t n, std::uint64_t size) {
        if (!(n % 2 == 0 ? *here_ : *mine_).allocate(n, size)) fail("no room, where there is some");
        model_[n] = size;
    }
    void erase(std::uint64_t n) {
        if (!(n % 3 == 0 ? *here_ : *mine_).erase(n)) fail("an entry cannot be erased");
        model_.erase(n);
    }

    const does what_;
    std::string name_;
    std::unique_ptr<Table> here_, mine_;
    std::map<std::uint64_t, std::uint64_t> model_;  // name -> size
    std::uint64_t next_ = 1000;
};

template <class Table = real_table>
auto scene_of(does what) {
    return [what](const std::string& name) {
        return std::make_unique<table_scene<Table>>(name, what);
    };
}

const enlist table_cells{
    {"table/find", "the last of 3 entries", scene_of(does::find)},
    {"table/allocate", "3 entries there, and a gap", scene_of(does::allocate)},
    {"table/add", "3 entries there", scene_of(does::add)},
    {"table/erase", "3 entries there", scene_of(does::erase)},
    {"table/clear", "3 entries there", scene_of(does::clear)},
    {"array/create", "an array of 2 elements is created in a segment", scene_of(does::create)},
    {"table/canary_lock_of_the_dead",
     "a lock that nobody takes over from a dead holder",
     scene_of<broken_table<false>>(does::allocate),
     false,
     {"hangs in: operations of survivors"}},
    {"table/canary_publishes_before_it_fills",
     "makes an entry active, then fills it in",
     scene_of<broken_table<true>>(does::allocate),
     false,
     {"half there", "overlap", "twice"}},
};

}  // namespace
}  // namespace assay_kill
