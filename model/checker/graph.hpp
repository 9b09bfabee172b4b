// graph.hpp -- an execution graph: the events of every process, and how they relate.
//
//   po   the order of a process's events: their order in the vector
//   rf   which write each read reads from: in the read
//   mo   the total order of the writes to a location: a vector per location
//
// There is no list of all events: their insertion order is in their stamps, which rise along po.
// A graph only ever grows at the ends, is cut back to a stamp, or is copied in part. Clocks are
// never recomputed for old events: a new event, or a read that changes its write, is always the
// last thing in the causal order (Kokologiannakis et al., POPL 2022, section 4).
#pragma once

#include <cstddef>
#include <vector>

#include "event.hpp"
#include "location.hpp"

namespace assay::checker {

class graph {
public:
    // What the graph knows about one location. Position 0 of mo is the initial write.
    struct history {
        std::vector<event_id> mo;
        std::vector<event_id> reads;  // by rising stamp

        template <class Transfer>
        void pass(Transfer& io) {
            io(mo);
            io(reads);
        }
    };

    graph(std::size_t processes, const location_table& locations)
        : events_(processes), locations_(&locations) {}

    // --- looking
    [[nodiscard]] std::size_t processes() const noexcept { return events_.size(); }
    [[nodiscard]] std::size_t length(std::size_t process) const noexcept {
        return events_[process].size();
    }
    [[nodiscard]] const event& operator[](event_id e) const noexcept {
        return events_[e.process][e.index];
    }
    [[nodiscard]] event& operator[](event_id e) noexcept { return events_[e.process][e.index]; }

    // A write of `loc`, which may be the initial one.
    [[nodiscard]] const event& write(event_id w, location_id loc) const noexcept {
        return w == initial ? (*locations_)[loc].first : (*this)[w];
    }
    [[nodiscard]] const event& source(const event& read) const noexcept {
        return write(read.rf, read.loc);
    }
    [[nodiscard]] const event* last(std::size_t process) const noexcept {
        return events_[process].empty() ? nullptr : &events_[process].back();
    }
    [[nodiscard]] event_id last_id(std::size_t process) const noexcept {
        return {static_cast<std::uint16_t>(process),
                static_cast<std::uint16_t>(events_[process].size() - 1)};
    }
    [[nodiscard]] const event* before(event_id e) const noexcept {
        return e.index == 0 ? nullptr : &events_[e.process][e.index - 1u];
    }
    [[nodiscard]] bool touched(location_id loc) const noexcept { return loc < histories_.size(); }
    [[nodiscard]] const history& of(location_id loc) const noexcept { return histories_[loc]; }
    [[nodiscard]] std::size_t locations() const noexcept { return histories_.size(); }
    [[nodiscard]] const location_table& table() const noexcept { return *locations_; }

    // Is the write of this position of mo taken, that is, read by the RMW that follows it?
    [[nodiscard]] bool taken(location_id loc, std::size_t position) const noexcept {
        const auto& mo = histories_[loc].mo;
        return position + 1 < mo.size() && (*this)[mo[position + 1]].has(rmw);
    }
    // Not every write is in mo: the write half of an RMW that reads a taken write has no place.
    [[nodiscard]] bool placed(event_id w) const noexcept {
        if (w == initial) return true;
        const event& e = (*this)[w];
        const auto& mo = histories_[e.loc].mo;
        return e.mo < mo.size() && mo[e.mo] == w;
    }

    // --- growing
    // Appends to po; the caller fills in the rest and then calls add_read or place.
    event_id append(std::size_t process, const event& e);
    void add_read(event_id r) { history_of((*this)[r].loc).reads.push_back(r); }
    // Puts write w into mo just after position p.
    void place(event_id w, std::size_t position);
    void unplace(event_id w);
    [[nodiscard]] const history& history_for(location_id loc) { return history_of(loc); }

    // An access or fence of this graph, or of one that it was made from, is seq_cst.
    void note_sc() noexcept { sc_ = true; }
    [[nodiscard]] bool may_have_sc() const noexcept { return sc_; }

    // --- shrinking
    // Removes every event younger than s.
    void cut(stamp s);
    // Becomes the part of `from` that `keep` contains.
    void restrict(const graph& from, const clock& keep);

    [[nodiscard]] stamp next_stamp() const noexcept { return next_; }
    // All its parts, to be written or read (checkpoint.cpp).
    template <class Transfer>
    void pass(Transfer& io) {
        io(next_);
        io(sc_);
        io(events_);
        io(histories_);
    }

private:
    history& history_of(location_id loc);
    void renumber(history& h, std::size_t position) noexcept;

    std::vector<std::vector<event>> events_;
    std::vector<history> histories_;
    const location_table* locations_;
    stamp next_ = 1;
    bool sc_ = false;
};

}  // namespace assay::checker
