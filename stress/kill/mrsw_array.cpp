// mrsw_array.cpp -- the writer or a reader dies (stops): readers see one whole version, always; the
// next writer goes on from it.
#include <assay/mrsw_array.hpp>

#include <array>

#include "stress/kill/broken.hpp"
#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

constexpr std::uint64_t size = 6;
constexpr std::uint64_t from = 2, to = 5;  // what the victim writes
constexpr std::uint64_t before = 1, after = 100;

enum class does { write, update, snapshot, try_snapshot, read };

template <class Array>
class array_scene : public in_segment<Array> {
    using base = in_segment<Array>;
    using base::any, base::first, base::mine;
    using elements = std::array<element, size>;
    static constexpr bool whole_api = requires(Array & a) { a.recover(); };

public:
    array_scene(const std::string& name, does what) : base(name, size), what_(what) {
        write_all(first(), before);
    }

    void operate() override {
        Array& a = mine();
        std::array<element, to - from> values;
        values.fill(numbered(after));
        elements seen;
        switch (what_) {
            case does::write:
                operation([&] { a.write(from, std::span<const element>(values)); });
                break;
            case does::update:
                if constexpr (whole_api)
                    operation([&] {
                        a.update([&](auto& e) {
                            for (std::uint64_t i = from; i < to; ++i) e.set(i, values[0]);
                        });
                    });
                break;
            case does::snapshot:
                operation([&] { a.snapshot(std::span<element>(seen)); });
                for (const element& e : seen)
                    if (number_of(e) != number_of(seen[0])) fail("a snapshot of two versions");
                break;
            case does::try_snapshot:
                if constexpr (whole_api) {
                    bool got = false;
                    operation([&] { got = a.try_snapshot(std::span<element>(seen)).has_value(); });
                    for (const element& e : seen)
                        if (got && number_of(e) != number_of(seen[0]))
                            fail("a snapshot of two versions");
                }
                break;
            case does::read:
                if constexpr (whole_api) {
                    operation([&] { seen[0] = a.read(3); });
                    number_of(seen[0]);
                }
                break;
        }
    }

    void others(bool stopped) override {
        if (!writes()) return write_many();
        const std::uint64_t version = first().version();
        const bool done = changed();
        for (unsigned n = 0; n < survivor_operations; ++n) {
            if (changed() != done || first().version() != version)
                fail("the array changes, and its writer is %s", stopped ? "stopped" : "dead");
        }
        count(survivor_operations);
        if (stopped) return;
        write_many();
    }

    void recover() override {
        if constexpr (whole_api) operation([&] { mine().recover(); });
    }

    void whole(bool finished) override {
        if (finished && writes() && !changed()) fail("a finished update is not seen");
        if constexpr (whole_api)
            if (mine().interrupted()) fail("an update is open, and nobody works at it");
        write_many();
    }

private:
    [[nodiscard]] bool writes() const { return what_ == does::write || what_ == does::update; }

    static void write_all(Array& a, std::uint64_t number) {
        elements all;
        all.fill(numbered(number));
        a.write(0, std::span<const element>(all));
    }
    // Whether the victim's update is seen; all of it or nothing.
    bool changed() {
        elements all;
        dice d;
        any(d).snapshot(std::span<element>(all));
        const std::uint64_t found = number_of(all[from]);
        if (found != before && found != after) fail("an element that nobody wrote");
        for (std::uint64_t i = 0; i < size; ++i)
            if (number_of(all[i]) != (i >= from && i < to ? found : before))
                fail("element %llu is not of the version of the others",
                     static_cast<unsigned long long>(i));
        return found == after;
    }
    void write_many() {
        elements all;
        for (unsigned n = 0; n < survivor_operations / 10; ++n) {
            const std::uint64_t version = first().version();
            write_all(first(), ++number_);
            if (first().version() != version + 1) fail("an update that is no version");
            mine().snapshot(std::span<element>(all));
            for (const element& e : all)
                if (number_of(e) != number_) fail("a snapshot that is not of the newest version");
        }
        count(survivor_operations / 5);
    }

    const does what_;
    std::uint64_t number_ = 1000;
};

template <class Array = assay::mrsw_array<element>>
auto scene_of(does what) {
    return [what](const std::string& name) {
        return std::make_unique<array_scene<Array>>(name, what);
    };
}

const enlist mrsw_cells{
    {"mrsw_array/write", "3 of 6 elements, first of a handle", scene_of(does::write), true},
    {"mrsw_array/update", "3 of 6 elements, one by one", scene_of(does::update), true},
    {"mrsw_array/snapshot", "6 elements", scene_of(does::snapshot)},
    {"mrsw_array/try_snapshot", "6 elements", scene_of(does::try_snapshot)},
    {"mrsw_array/read", "1 element", scene_of(does::read)},
    {"mrsw_array/canary_writes_in_place",
     "changes elements, then counts up a version",
     scene_of<broken::in_place_array<element>>(does::write),
     false,
     {"not of the version", "torn"}},
};

}  // namespace
}  // namespace assay_kill
