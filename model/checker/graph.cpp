#include "graph.hpp"

#include <algorithm>

namespace assay::checker {

graph::history& graph::history_of(location_id loc) {
    while (histories_.size() <= loc) histories_.push_back({{initial}, {}});
    return histories_[loc];
}

event_id graph::append(std::size_t process, const event& e) {
    auto& of = events_[process];
    of.push_back(e);
    of.back().at = next_++;
    return last_id(process);
}

void graph::renumber(history& h, std::size_t position) noexcept {
    for (; position < h.mo.size(); ++position)
        if (h.mo[position] != initial)
            (*this)[h.mo[position]].mo = static_cast<std::uint16_t>(position);
}

void graph::place(event_id w, std::size_t position) {
    history& h = history_of((*this)[w].loc);
    h.mo.insert(h.mo.begin() + static_cast<std::ptrdiff_t>(position) + 1, w);
    renumber(h, position + 1);
}

void graph::unplace(event_id w) {
    if (!placed(w)) return;
    history& h = history_of((*this)[w].loc);
    const std::size_t position = (*this)[w].mo;
    h.mo.erase(h.mo.begin() + static_cast<std::ptrdiff_t>(position));
    renumber(h, position);
}

void graph::cut(stamp s) {
    for (auto& of : events_) {
        while (!of.empty() && of.back().at > s) {
            const event& e = of.back();
            const event_id id{static_cast<std::uint16_t>(&of - events_.data()),
                              static_cast<std::uint16_t>(of.size() - 1)};
            if (e.writes()) {
                unplace(id);
            } else if (e.reads()) {
                // The reads of a location are in the order of their stamps: only the tail goes.
                auto& reads = histories_[e.loc].reads;
                while (!reads.empty() && (*this)[reads.back()].at > s) reads.pop_back();
            }
            of.pop_back();
        }
    }
    next_ = s + 1;
}

void graph::restrict(const graph& from, const clock& keep) {
    locations_ = from.locations_;
    next_ = from.next_;
    sc_ = from.sc_;
    events_.resize(from.events_.size());
    for (std::size_t p = 0; p < events_.size(); ++p)
        events_[p].assign(from.events_[p].begin(), from.events_[p].begin() + keep.count[p]);

    histories_.resize(from.histories_.size());
    for (std::size_t loc = 0; loc < histories_.size(); ++loc) {
        const auto kept = [&](event_id e) { return keep.contains(e); };
        history& h = histories_[loc];
        const history& old = from.histories_[loc];
        h.mo.clear();
        h.reads.clear();
        std::copy_if(old.mo.begin(), old.mo.end(), std::back_inserter(h.mo), kept);
        std::copy_if(old.reads.begin(), old.reads.end(), std::back_inserter(h.reads), kept);
        if (h.mo.size() != old.mo.size()) renumber(h, 1);
    }
}

}  // namespace assay::checker
