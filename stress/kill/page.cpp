// page.cpp -- see page.hpp.
#include "stress/kill/page.hpp"

#include <cstdio>
#include <fstream>

#include "scripts/victim.hpp"

namespace assay_kill {
namespace {

std::string cells_of(const std::vector<std::string>& columns) {
    constexpr int width[] = {36, 12, 7, 12, 12, 12, 12, 8};
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        char text[80];
        std::snprintf(text, sizeof text, i == 0 ? "| %-*s " : "| %*s ", width[i],
                      columns[i].c_str());
        line += text;
    }
    return line + "|\n";
}

std::string points(const outcome* r) {
    if (r == nullptr) return "";
    return (r->cut ? "bounded " : "") + std::to_string(r->points);
}

}  // namespace

std::string page_of(const std::vector<row>& rows) {
    std::string page = cells_of({"operation", "instructions", "changes", "killed", "stopped",
                                 "recovering", "survivors", "failures"});
    page += cells_of({"---", "---:", "---:", "---:", "---:", "---:", "---:", "---:"});
    std::uint64_t kills = 0, stops = 0, failures = 0, operations = 0;
    for (std::size_t i = 0; i < rows.size();) {
        const outcome* by[3] = {};
        std::uint64_t survivors = 0, failed = 0;
        const std::string& name = rows[i].name;
        const outcome* any = nullptr;
        for (; i < rows.size() && rows[i].name == name; ++i) {
            const outcome* const r = rows[i].result;
            by[static_cast<int>(rows[i].how)] = r;
            if (rows[i].how != fate::recovered || any == nullptr) any = r;
            survivors += r->survivors;
            failed += r->state != outcome::done;
            (rows[i].how == fate::stopped ? stops : kills) += r->points;
        }
        failures += failed;
        operations += survivors;
        page += cells_of({name, std::to_string(any->instructions - mark_instructions),
                          std::to_string(any->changes), points(by[0]), points(by[1]), points(by[2]),
                          std::to_string(survivors), std::to_string(failed)});
    }
    return page + "\n" + std::to_string(kills) + " kills and " + std::to_string(stops) +
           " stops, each after another instruction; " + std::to_string(operations) +
           " operations of survivors; " + std::to_string(failures) + " failures\n";
}

bool write_page(const std::string& path, const std::string& page) {
    std::ofstream file(path);
    file << "# Killed after every instruction\n\n"
            "What `make kill` (stress/README.md) did on this host: for each operation its "
            "instructions, how many of\nthem change shared memory, after how many its process was "
            "killed and stopped, and after how\nmany the process was killed that recovered from "
            "such a death.\n\n"
         << page;
    if (file.flush()) return true;
    std::fprintf(stderr, "assay-stress: cannot write %s\n", path.c_str());
    return false;
}

}  // namespace assay_kill
