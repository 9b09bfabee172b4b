// quota.cpp -- see quota.hpp.
#include "stress/quota.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "stress/harness.hpp"

namespace assay_stress {
namespace {

namespace fs = std::filesystem;

struct hierarchy {
    fs::path root;
    bool unified;  // version 2
};

bool has_word(const std::string& list, const std::string& wanted) {
    std::string spaced = list;
    std::replace(spaced.begin(), spaced.end(), ',', ' ');
    std::istringstream words(spaced);
    for (std::string word; words >> word;)
        if (word == wanted) return true;
    return false;
}

std::string read_line(const fs::path& file) {
    std::string line;
    std::getline(std::ifstream(file), line);
    return line;
}

// 0, or the error: these files answer to the call of write itself.
int write_line(const fs::path& file, const std::string& line) {
    errno = 0;
    std::ofstream out(file);
    out << line << std::flush;
    return out ? 0 : errno != 0 ? errno : EIO;
}

// Where the cpu controller is mounted, as this process sees it.
std::vector<hierarchy> hierarchies() {
    std::vector<hierarchy> found;
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        const auto dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
        std::string skipped, root, type, source, options;
        for (int i = 0; i < 4; ++i) before >> skipped;
        before >> root;
        after >> type >> source >> options;
        if (type == "cgroup" && has_word(options, "cpu")) found.push_back({root, false});
        if (type == "cgroup2" && has_word(read_line(fs::path(root) / "cgroup.controllers"), "cpu"))
            found.push_back({root, true});
    }
    return found;
}

// The group's folder, with its quota; or why this hierarchy gives none.
std::string make(const hierarchy& h, const fs::path& folder, std::uint64_t quota,
                 std::uint64_t period) {
    std::error_code error;
    if (h.unified && write_line(h.root / "cgroup.subtree_control", "+cpu") != 0 &&
        !has_word(read_line(h.root / "cgroup.subtree_control"), "cpu"))
        return "no cpu controller for the groups in " + h.root.string();
    fs::create_directory(folder, error);
    if (error) return "no group in " + h.root.string() + ": " + error.message();
    const std::string q = std::to_string(quota), p = std::to_string(period);
    int failed = 0;
    if (h.unified) {
        failed = write_line(folder / "cpu.max", q + " " + p);
    } else {
        failed = write_line(folder / "cpu.cfs_period_us", p);
        if (failed == 0) failed = write_line(folder / "cpu.cfs_quota_us", q);
    }
    if (failed == 0) return "";
    fs::remove(folder, error);
    return "no quota in " + folder.string() + ": " + std::strerror(failed);
}

}  // namespace

quota_group::quota_group(const std::string& name, std::uint64_t quota_us, std::uint64_t period_us) {
    std::string why_not = "no cpu hierarchy of cgroups is mounted";
    for (const hierarchy& h : hierarchies()) {
        folder_ = h.root / name;
        why_not = make(h, folder_, quota_us, period_us);
        if (why_not.empty()) return;
    }
    skip("this host gives no quota of processor time: %s", why_not.c_str());
}

void quota_group::enter() const {
    if (const int error = write_line(folder_ / "cgroup.procs", "0"))
        skip("this host lets no process into a group with a quota: %s", std::strerror(error));
}

std::uint64_t quota_group::throttled() const {
    std::ifstream numbers(folder_ / "cpu.stat");
    std::string name;
    for (std::uint64_t n = 0; numbers >> name >> n;)
        if (name == "nr_throttled") return n;
    return 0;
}

void remove_quota_groups(const std::string& prefix) {
    std::error_code ignored;
    for (const hierarchy& h : hierarchies())
        for (const auto& f : fs::directory_iterator(h.root, ignored))
            if (f.path().filename().string().starts_with(prefix)) fs::remove(f, ignored);
}

}  // namespace assay_stress
