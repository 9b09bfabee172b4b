// trace.hpp -- what the processes of one run did, in the order in which it was done. Written only
// when somebody asks (runtime::record); plain accesses are in no graph.
#pragma once

#include <cstdint>
#include <vector>

#include "race.hpp"

namespace assay::checker {

struct trace {
    struct step {
        event_id at;         // the event; or the one that the plain access comes before
        bool plain = false;  // an access to a cell
        bool write = false;
        site_id site = 0;
        cell_id cell = 0;
        std::uint32_t offset = 0;  // of the cell, in the memory of the scenario
    };
    static constexpr int nobody = -1;

    std::vector<step> steps;
    int last = nobody;   // the last step of the process that failed, while it ran
    int other = nobody;  // the step that this one races with

    void fails(std::size_t process) {
        last = static_cast<int>(steps.size()) - 1;
        while (last >= 0 && steps[static_cast<std::size_t>(last)].at.process != process) --last;
    }
    // The newest step, an access to a cell, races with this one.
    void races_with(const race_detector::access& a) {
        const step& mine = steps.back();
        for (int i = static_cast<int>(steps.size()) - 1; i-- > 0;) {
            const step& s = steps[static_cast<std::size_t>(i)];
            if (!s.plain || s.cell != mine.cell || s.at.process != a.process ||
                s.at.index != a.events || s.site != a.site || s.write != a.write)
                continue;
            other = i;
            return;
        }
    }
};

}  // namespace assay::checker
