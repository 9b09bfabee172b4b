// matrix.hpp -- every operation of every structure, killed and stopped after each of its
// instructions, and what must hold then.
//
// A cell of the matrix is one operation from one state of one structure. It is told as a scene, of
// which each kill point gets a new one, in a new segment and new processes:
//
//   the scene is set; a victim is forked, opens the structure for itself and begins its operation;
//   after the k-th instruction it is killed (SIGKILL), or stopped (SIGSTOP);
//   others use the structure, with two handles of their own, for survivor_operations operations;
//   killed: recover() runs; stopped: the victim continues, and finishes;
//   then the structure must be whole.
//
// recover() has its turn, too: after a death at each instruction that changed shared memory a
// second victim recovers, and is killed after each of its instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "scripts/victim.hpp"

namespace assay_kill {

// fail() of victim.hpp ends this process, and with it the kill point, which has failed.

// What this process does now (a literal): the watchdog says so when it hangs.
void now(const char* what);
// Operations of survivors, for the report.
void count(std::uint64_t operations);

inline constexpr unsigned survivor_operations = 1000;

class scene {
public:
    virtual ~scene() = default;

    // This process gets a handle of its own. In the victim, then in the survivors.
    virtual void open() = 0;
    // What the victim does; calls operation().
    virtual void operate() = 0;
    // The survivors' operations, while the victim is dead (or stopped).
    virtual void others(bool stopped) = 0;
    // Gives back what the dead held, in an operation(). Nothing in structures without recover().
    virtual void recover() {}
    // What holds when the dead are recovered, or the stopped one has finished.
    virtual void whole(bool finished) = 0;
    // The structure, to see which instructions change it.
    [[nodiscard]] virtual std::span<const std::byte> bytes() const = 0;
};

struct cell {
    std::string name;  // structure/operation
    std::string what;
    std::function<std::unique_ptr<scene>(const std::string& segment)> set;
    bool recovers = false;  // has a recover() with something to do; a canary: that is its bug
    // For a canary: one of these words must be in the failure. Empty: must not fail.
    std::vector<std::string> caught_by = {};
    bool stops = true;  // the others need not wait when it is stopped; otherwise it is only killed
};

inline std::vector<cell>& cells() {
    static std::vector<cell> list;
    return list;
}

struct enlist {
    enlist(std::initializer_list<cell> some) {
        cells().insert(cells().end(), some.begin(), some.end());
    }
};

// The command line of `assay-stress kill`.
struct settings {
    std::vector<std::string> filters;
    std::string json, page;
    double seconds = 60;
    bool all = false, list = false;
    std::int64_t at = -1;
};

// Runs it; the result is the exit status. Segments are named with the prefix.
int run(const settings& s, const std::string& prefix);

}  // namespace assay_kill
