// startup.cpp -- what a process pays before its first operation: a segment created, attached to,
// a name found in it; and the command `assay ls` as a whole, by hyperfine.
#include <assay/atomic.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "perf/assay.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

constexpr std::uint64_t segment_bytes = 64 << 10;

std::string unused_name(const char* what) {
    return "assay-perf-" + std::to_string(::getpid()) + "-" + what;
}

// What nobody can do without: the same file made or opened, reserved, mapped, its first byte read (a page
// fault; whoever attaches wants to look), unmapped, removed.
void by_hand(const std::string& name, bool create, bool remove) {
    const int fd = ::shm_open(name.c_str(), O_RDWR | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0 || (create && ::posix_fallocate(fd, 0, segment_bytes) != 0))
        throw std::runtime_error("cannot make or open " + name);
    void* const at = ::mmap(nullptr, segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (at == MAP_FAILED) throw std::runtime_error("cannot map " + name);
    keep(char{*static_cast<volatile char*>(at)});
    ::munmap(at, segment_bytes);
    if (remove) ::shm_unlink(name.c_str());
}

template <class F>
void add(plan& p, const std::string& what, const std::string& contender, F operation) {
    const std::vector<int> one{allowed_cpus().front()};
    measurement m = of_row("posix_shm", what, one, "", contender, [=](double seconds) {
        return each(run_team(one, seconds, [&](worker& w) {
            const auto once = operation();
            w.meet();
            for (std::uint64_t n = 0; w.running(n); ++n) once();
        }));
    });
    m.name = "posix_shm/startup/" + what + "/" + placement(one);
    m.kind = "startup";
    p.add(std::move(m));
}

void add_segments(plan& p) {
    add(p, "create_and_remove", "assay", [] {
        return [name = unused_name("create")] { assay::posix_shm made(name, segment_bytes); };
    });
    add(p, "create_and_remove", "system calls",
        [] { return [name = unused_name("create")] { by_hand(name, true, true); }; });
    const auto attach = [](bool find) {
        const std::string name = unused_name("attach");
        auto first = std::make_shared<assay::posix_shm>(name, segment_bytes);
        auto value = std::make_shared<assay::atomic<int>>(*first, "value", 1);
        return [=] {
            assay::posix_shm again(first->name());
            if (find) keep(assay::atomic<int>(again, "value").load());
        };
    };
    add(p, "attach_and_detach", "assay", [=] { return attach(false); });
    add(p, "attach_and_detach", "system calls", [] {
        return [first = std::make_shared<assay::posix_shm>(unused_name("attach"), segment_bytes)] {
            by_hand(first->name(), false, false);
        };
    });
    add(p, "attach_find_and_detach", "assay", [=] { return attach(true); });
    add(p, "find", "assay", [] {
        auto segment = std::make_shared<assay::posix_shm>(unused_name("find"), segment_bytes);
        auto value = std::make_shared<assay::atomic<int>>(*segment, "value", 1);
        return [=] { keep(assay::atomic<int>(*segment, "value").load()); };
    });
}

// The median of hyperfine's runs, in ms.
outcome by_hyperfine(const std::string& command) {
    const std::string line =
        "hyperfine --shell=none --warmup 3 --runs 20 --style none --export-json /dev/stdout '" +
        command + "' 2>/dev/null";
    const std::unique_ptr<FILE, int (*)(FILE*)> out(::popen(line.c_str(), "r"), ::pclose);
    std::string text;
    for (char part[4096]; out && std::fgets(part, sizeof part, out.get()) != nullptr;) text += part;
    const auto said = nlohmann::json::parse(text, nullptr, false);
    if (said.is_discarded()) return {.invalid = "hyperfine cannot run it"};
    return {.value = 1e3 * said["results"][0]["median"].get<double>()};
}

bool installed(const std::string& program) {
    const char* const path = std::getenv("PATH");
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');)
        if (::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
    return false;
}

void add_commands(plan& p) {
    if (!installed("hyperfine")) {
        p.missing.emplace_back("hyperfine: not installed (hyperfine), so no times of commands");
        return;
    }
    for (const auto& [name, command] : {std::pair("assay_ls", std::string("assay ls")),
                                        std::pair("assay_help", std::string("assay --help"))})
        p.add({.name = std::string("cli/startup/") + name,
               .structure = "cli",
               .kind = "startup",
               .unit = "ms",
               .cpus = {allowed_cpus().front()},
               .busy = false,
               .runs = 1,
               .run = [command = command](double) {
                   return by_hyperfine(ASSAY_PROGRAMS + command);
               }});
}

const enlist rows([](plan& p) {
    add_segments(p);
    add_commands(p);
});

}  // namespace
}  // namespace assay_perf
