// The harness itself: that it finds, shrinks, survives crashes and hangs, and that the line it
// prints repeats the failure.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>

#include "proptest/harness.hpp"

namespace assay_proptest {

namespace {

struct numbers {
    std::vector<int> values;
};
std::ostream& operator<<(std::ostream& out, const numbers& n) {
    for (const int v : n.values) out << v << " ";
    return out;
}
std::size_t length(const numbers& n) { return n.values.size(); }

rc::Gen<numbers> lists() {
    return rc::gen::map(rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 1000)),
                        [](std::vector<int> v) { return numbers{std::move(v)}; });
}

void on_a_large_number(context& c, void (*react)()) {
    explore(c, lists(), [react](const numbers& n) {
        for (const int v : n.values)
            if (v >= 500) react();
    });
}

// Output and exit status of this program when a reproduction line is pasted.
std::pair<std::string, int> paste(const std::string& line) {
    std::array<char, 4096> self{};
    require(::readlink("/proc/self/exe", self.data(), self.size() - 1) > 0, "readlink");
    const std::string command = std::string(self.data()) + line.substr(line.find(' '));
    FILE* const pipe = ::popen(command.c_str(), "r");
    require(pipe != nullptr, "popen");
    std::string output;
    std::array<char, 1024> buffer;
    while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) output += buffer.data();
    const int status = ::pclose(pipe);
    return {output, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

// For each canary with a shrunk counterexample, under several seeds: the line fails, with the
// counterexample that was printed with it.
void lines_reproduce(context& c) {
    std::vector<const check*> broken;
    for (const check& each : checks())
        if (each.canary && each.repeatable && each.longest != 0) broken.push_back(&each);
    require(!broken.empty(), "there is no canary to reproduce");
    sample(c, [&](std::uint64_t seed) {
        const check& canary = *broken[seed % broken.size()];
        const std::uint64_t run_seed = seed >> 32;
        context::limits limits;
        limits.seconds = 10;
        const outcome first = run(canary, run_seed, limits);
        require(first.failed, "the canary was not caught");
        const auto [output, status] = paste(reproduction(canary, run_seed, first));
        require_equal(status, 1, "exit status of the reproduction line");
        require(!first.example.empty() && output.find(first.example) != std::string::npos,
                "the reproduction line printed another counterexample");
    });
}

const registration harness_checks([](std::vector<check>& all) {
    all.push_back({"harness/reproduction_lines_reproduce",
                   "the line printed for a canary, pasted, fails with the same counterexample",
                   lines_reproduce, 0.3, 4, false});
    const auto canary = [&](const char* name, const char* what, auto body) {
        check c{std::string("harness/canary_") + name, what, body};
        c.canary = true;
        c.longest = 1;
        c.patience = 0.3;
        all.push_back(std::move(c));
    };
    canary("violation", "a property that is false for one number in a list",
           [](context& c) { on_a_large_number(c, [] { fail("too large"); }); });
    canary("exception", "an exception that the property does not allow",
           [](context& c) { on_a_large_number(c, [] { throw std::runtime_error("surprise"); }); });
    canary("crash", "a signal in the property's process",
           [](context& c) { on_a_large_number(c, [] { std::raise(SIGKILL); }); });
    canary("hang", "a property that never ends",
           [](context& c) { on_a_large_number(c, [] { ::pause(); }); });
});

}  // namespace

}  // namespace assay_proptest
