// stage.hpp -- how a program of ours tells `make verify` what it checked (scripts/README.md).
//
// One object per run; one add() per check, canaries included; finish() writes the file and gives
// the exit status.
#pragma once

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay_stage {

// verified  everything within the stated bound was checked
// bounded   a sample, or stopped at a bound: nothing found, but no proof
// failed    the detail says what was found
// skipped   this host does not permit it; the detail says why
enum class verdict { verified, bounded, failed, skipped };

[[nodiscard]] constexpr std::string_view to_string(verdict v) noexcept {
    constexpr std::string_view names[] = {"verified", "bounded", "FAILED", "skipped"};
    return names[static_cast<int>(v)];
}

struct check {
    std::string name;  // component/property
    std::string what;  // what was done, for a reader who does not know the code
    std::uint64_t amount = 0;
    std::string unit;  // of the amount, plural: executions, operations, cases
    assay_stage::verdict verdict = assay_stage::verdict::failed;
    std::string detail = {};     // why it failed or was skipped
    std::string reproduce = {};  // one line to paste
    double seconds = 0;
    bool canary = false;  // a deliberate bug; `verified` says that it was caught
};

class report {
public:
    report(std::string program, std::uint64_t seed) : program_(std::move(program)), seed_(seed) {}

    // Also prints the check's line, so that a person who watches sees what a machine reads.
    void add(check c) {
        if (c.amount == 0 && c.verdict != verdict::skipped) {
            c.verdict = verdict::failed;
            c.detail += c.detail.empty() ? "nothing was checked" : "; nothing was checked";
        }
        std::printf("%-9s %-56s %12llu %s%s%s\n", to_string(c.verdict).data(), c.name.c_str(),
                    static_cast<unsigned long long>(c.amount), c.unit.c_str(),
                    c.detail.empty() ? "" : "  ", c.detail.c_str());
        if (c.verdict == verdict::failed && !c.reproduce.empty())
            std::printf("          reproduce: %s\n", c.reproduce.c_str());
        std::fflush(stdout);
        checks_.push_back(std::move(c));
    }

    // Writes the JSON unless the path is empty. The result is the exit status: 0 nothing failed,
    // 1 something failed or nothing ran.
    [[nodiscard]] int finish(const std::string& json_path) const {
        bool ok = !checks_.empty();
        nlohmann::json list = nlohmann::json::array();
        for (const check& c : checks_) {
            ok = ok && c.verdict != verdict::failed;
            list.push_back({{"name", c.name},
                            {"what", c.what},
                            {"amount", c.amount},
                            {"unit", c.unit},
                            {"verdict", to_string(c.verdict)},
                            {"detail", c.detail},
                            {"reproduce", c.reproduce},
                            {"seconds", c.seconds},
                            {"canary", c.canary}});
        }
        if (!json_path.empty()) {
            std::ofstream file(json_path);
            file << nlohmann::json{{"schema", 1},
                                   {"program", program_},
                                   {"seed", seed_},
                                   {"checks", std::move(list)}}
                        .dump(2)
                 << '\n';
            if (!file.flush()) {
                std::fprintf(stderr, "%s: cannot write %s\n", program_.c_str(), json_path.c_str());
                return 1;
            }
        }
        return ok ? 0 : 1;
    }

private:
    std::string program_;
    std::uint64_t seed_;
    std::vector<check> checks_;
};

}  // namespace assay_stage
