// race.hpp -- data races on plain memory, in the manner of FastTrack (Flanagan and Freund,
// PLDI 2009): for each cell the last write, and the last read of each process.
//
// Plain accesses are not events. One is located by its process and the number of events the
// process had at that moment; it happens-before whatever knows the process's *next* event.
// Checking the accesses of one run, in an order that respects (po u rf)+, is enough: of any two
// that race the search visits a graph in which both are there.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "event.hpp"

namespace assay::checker {

using cell_id = std::uint32_t;

class race_detector {
public:
    struct access {
        std::uint16_t process = no_process;
        std::uint16_t events = 0;  // of that process, before the access
        site_id site = 0;
        bool write = false;
    };
    enum class outcome : std::uint8_t { fine, race, uninitialised };

    // Forgets every access. Cells are numbered from 0.
    void reset() noexcept {
        for (const cell_id c : used_) cells_[c] = {};
        used_.clear();
    }
    // A write before any process started.
    void initialise(cell_id c) { cell_of(c).written = true; }

    [[nodiscard]] outcome read(cell_id c, const access& a, const clock& known, access& other) {
        cell& x = cell_of(c);
        if (!x.written) return outcome::uninitialised;
        if (!ordered(x.write, a, known)) return conflict(x.write, other);
        x.reads[a.process] = a;
        return outcome::fine;
    }
    [[nodiscard]] outcome write(cell_id c, const access& a, const clock& known, access& other) {
        cell& x = cell_of(c);
        if (!ordered(x.write, a, known)) return conflict(x.write, other);
        for (const access& r : x.reads)
            if (!ordered(r, a, known)) return conflict(r, other);
        x.written = true;
        x.write = a;
        return outcome::fine;
    }

private:
    struct cell {
        bool written = false;
        bool used = false;
        access write;
        std::array<access, max_processes> reads;
    };

    static bool ordered(const access& earlier, const access& now, const clock& known) noexcept {
        return earlier.process == no_process || earlier.process == now.process ||
               known.count[earlier.process] > earlier.events;
    }
    static outcome conflict(const access& with, access& other) {
        other = with;
        return outcome::race;
    }
    cell& cell_of(cell_id c) {
        if (c >= cells_.size()) cells_.resize(c + 1);
        if (!cells_[c].used) {
            cells_[c].used = true;
            used_.push_back(c);
        }
        return cells_[c];
    }

    std::vector<cell> cells_;
    std::vector<cell_id> used_;
};

}  // namespace assay::checker
