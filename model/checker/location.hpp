// location.hpp -- the words that a program shares, and the value each had before it started.
//
// A location is one word at one offset of one segment. It gets a small number the first time any
// worker meets it, and keeps it for the whole exploration, so that graphs can be handed from
// worker to worker.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "event.hpp"

namespace assay::checker {

struct location {
    std::uint32_t segment = 0;
    std::uint32_t offset = 0;
    std::uint8_t size = 8;
    bool unwritten = false;  // nobody stored what it held before: to read that is an error
    event first;             // the write that every other one is mo-after
};

// Where locations live that are not in the program's memory.
inline constexpr std::uint32_t life_segment = 0xffffffff;   // offset = process: 0 alive, 1 dead
inline constexpr std::uint32_t sleep_segment = 0x80000000;  // + segment of the futex word

class location_table {
public:
    static constexpr location_id capacity = 4096;
    static constexpr location_id none = capacity;

    // Location p, for p < processes, is the life of process p.
    explicit location_table(std::size_t processes) {
        all_.reserve(capacity);  // never moved: others read them without the lock
        location_id clash = none;
        for (std::uint32_t p = 0; p < processes; ++p) find(life_segment, p, 1, 0, clash);
    }

    [[nodiscard]] const location& operator[](location_id id) const noexcept { return all_[id]; }
    [[nodiscard]] location_id size() const noexcept { return count_; }

    // The location at (segment, offset), created with this size and initial value if it is new.
    // `none` if it overlaps one of another offset or size, which is then stored in `clash`, or if
    // the table is full.
    location_id find(std::uint32_t segment, std::uint32_t offset, std::uint8_t size, value first,
                     location_id& clash, bool unwritten = false) {
        const std::lock_guard lock(mutex_);
        for (location_id id = 0; id < count_; ++id) {
            const location& l = all_[id];
            if (l.segment != segment) continue;
            if (l.offset == offset && l.size == size) return id;
            if (offset < l.offset + l.size && l.offset < offset + size) {
                clash = id;
                return none;
            }
        }
        clash = none;
        if (count_ == capacity) return none;
        location& l = all_.emplace_back();
        l.segment = segment;
        l.offset = offset;
        l.size = size;
        l.unwritten = unwritten;
        l.first.what = kind::write;
        l.first.val = first;
        l.first.loc = count_;
        return count_++;
    }

private:
    std::vector<location> all_;
    location_id count_ = 0;
    std::mutex mutex_;
};

}  // namespace assay::checker
