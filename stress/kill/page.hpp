// page.hpp -- what came of the kill points, and the table of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace assay_kill {

enum class fate { killed, stopped, recovered };  // the last: the one who recovers is killed

// What came of one item; in memory that all processes share.
struct outcome {
    enum : std::uint32_t { open, done, failed };
    std::atomic<std::uint32_t> state;
    std::atomic<std::uint64_t> points, survivors, detours, at;
    std::uint64_t instructions, changes, expected;
    double seconds;
    bool cut;         // for lack of time
    const char* now;  // what it does; a literal
    char message[600];
};

struct row {
    std::string name;
    fate how;
    const outcome* result;
};

// One line for each operation, in Markdown; the rows of one operation stand together.
[[nodiscard]] std::string page_of(const std::vector<row>& rows);
[[nodiscard]] bool write_page(const std::string& path, const std::string& page);

}  // namespace assay_kill
