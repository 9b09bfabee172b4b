// quota.hpp -- control groups (cgroups) in which the kernel stops a process when its quota of
// processor time is used up, wherever it is, and lets it go on in the next period.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace assay_stress {

// One group. Version 1 and 2 of cgroups differ in the names of files, and in what else they want.
class quota_group {
public:
    // Makes it below the first cpu hierarchy that this host lets us change; skip()s the check when
    // there is none. A group of that name that is there already is taken as it is.
    quota_group(const std::string& name, std::uint64_t quota_us, std::uint64_t period_us);

    void enter() const;  // this process, and what it forks
    // How often the kernel has stopped processes of the group.
    [[nodiscard]] std::uint64_t throttled() const;

private:
    std::filesystem::path folder_;
};

// Removes the groups whose names begin so, and that no process is in.
void remove_quota_groups(const std::string& prefix);

}  // namespace assay_stress
