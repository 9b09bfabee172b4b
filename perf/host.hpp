// host.hpp -- the processors this process may use, and how two of them are placed to each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace assay_perf {

// What the kernel says in /sys: smt (threads of one core), cache (one last-level cache),
// other-cache (one socket), socket, or unknown where it says nothing.
[[nodiscard]] std::string_view neighbours(int cpu, int other);

// In increasing order. Throws std::system_error when the kernel does not say.
[[nodiscard]] std::vector<int> allowed_cpus();

// From now on this process, and those it forks, run on this processor only. Throws
// std::system_error, with the cure, when the host does not permit it.
void pin(int cpu);
// Undoes it.
void unpin();

// One pair for each kind of neighbourhood that the host has. None with one processor.
[[nodiscard]] std::vector<std::vector<int>> pairs();

// As names have it: cpu0-cpu1, and cpu0..cpu7 for more than two.
[[nodiscard]] std::string placement(const std::vector<int>& cpus);

// Nanoseconds since some start (the monotonic clock), and of processor time of this process.
[[nodiscard]] unsigned long long now_ns() noexcept;
[[nodiscard]] unsigned long long cpu_ns() noexcept;

// The processor's own clock where it has one: several times faster to read, and for one processor only.
[[nodiscard]] inline unsigned long long ticks() noexcept {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return now_ns();
#endif
}
[[nodiscard]] double ns_per_tick();

}  // namespace assay_perf
