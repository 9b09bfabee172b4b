// host.cpp -- see host.hpp.
#include "perf/host.hpp"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>
#include <system_error>

namespace assay_perf {
namespace {

std::string said(int cpu, const std::string& file) {
    std::ifstream in("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/" + file);
    std::string line;
    std::getline(in, line);
    return line;
}

// Who shares its last-level cache: the kernel's list, the same for all of them.
std::string last_level(int cpu) {
    std::string list;
    for (int i = 0; i < 8; ++i) {
        const std::string found = said(cpu, "cache/index" + std::to_string(i) + "/shared_cpu_list");
        if (!found.empty()) list = found;
    }
    return list;
}

unsigned long long read_clock(clockid_t which) noexcept {
    timespec t;
    ::clock_gettime(which, &t);
    return static_cast<unsigned long long>(t.tv_sec) * 1'000'000'000u +
           static_cast<unsigned long long>(t.tv_nsec);
}

void set_affinity(const cpu_set_t& set, const std::string& what) {
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw std::system_error(errno, std::generic_category(),
                                "cannot pin a process to " + what +
                                    ": a figure without a place means nothing. Permit "
                                    "sched_setaffinity (seccomp, container) or change the cpuset");
}

}  // namespace

std::string_view neighbours(int cpu, int other) {
    const std::string threads = "topology/thread_siblings_list";
    const std::string socket = "topology/physical_package_id";
    if (!said(cpu, threads).empty() && said(cpu, threads) == said(other, threads)) return "smt";
    if (said(cpu, socket) != said(other, socket)) return "socket";
    const std::string cache = last_level(cpu);
    if (cache.empty()) return "unknown";
    return cache == last_level(other) ? "cache" : "other-cache";
}

std::vector<int> allowed_cpus() {
    // What the process had when it began: pin() does not change it.
    static const std::vector<int> all = [] {
        cpu_set_t set;
        if (::sched_getaffinity(0, sizeof set, &set) != 0)
            throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
        std::vector<int> found;
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &set)) found.push_back(cpu);
        return found;
    }();
    return all;
}

void pin(int cpu) {
    static_cast<void>(allowed_cpus());
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    set_affinity(set, "cpu" + std::to_string(cpu));
}

void unpin() {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : allowed_cpus()) CPU_SET(cpu, &set);
    set_affinity(set, "all its processors");
}

std::vector<std::vector<int>> pairs() {
    // Asked for by every file of rows, and the kernel takes its time.
    static const std::vector<std::vector<int>> all = [] {
        const std::vector<int> cpus = allowed_cpus();
        std::set<std::string_view> seen;
        std::vector<std::vector<int>> found;
        for (std::size_t i = 1; i < cpus.size(); ++i)
            if (seen.insert(neighbours(cpus[0], cpus[i])).second)
                found.push_back({cpus[0], cpus[i]});
        return found;
    }();
    return all;
}

std::string placement(const std::vector<int>& cpus) {
    std::vector<int> each = cpus;
    std::ranges::sort(each);
    each.erase(std::unique(each.begin(), each.end()), each.end());
    const std::string first = "cpu" + std::to_string(each.front());
    if (each.size() == 1) return first;
    return first + (each.size() == 2 ? "-" : "..") + "cpu" + std::to_string(each.back());
}

unsigned long long now_ns() noexcept { return read_clock(CLOCK_MONOTONIC); }
unsigned long long cpu_ns() noexcept { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

double ns_per_tick() {
    static const double found = [] {
        const auto start = now_ns(), start_ticks = ticks();
        while (now_ns() < start + 5'000'000) {
        }
        return static_cast<double>(now_ns() - start) / static_cast<double>(ticks() - start_ticks);
    }();
    return found;
}

}  // namespace assay_perf
