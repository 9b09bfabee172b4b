// script.hpp -- one execution as a short line of text, from which it can be run again.
//
//     A+3-1+2B+4x:5e1c
//
// Process A makes three events that choose the latest (a read sees the last write of its location
// so far, a write comes last), then one that chooses the write before that, then two more; then B
// makes four and dies. `f` is a weak compare-exchange that fails for no reason, `w` a sleep that
// ends for none. From the end of the script on the program goes on as in any run, so a script
// tells only how a run differs from the first one. After the colon stands a checksum of
// what the script leads to: another program, or another order of its accesses, is noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "graph.hpp"
#include "guide.hpp"

namespace assay::checker {

// A script that is not one, or that this program cannot follow.
struct bad_script : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The same for every run of one program to the same graph, unlike the values of events, which
// can be addresses, and the numbers of locations.
[[nodiscard]] std::uint64_t fingerprint(const graph& g);

class script final : public guide {
public:
    // How to get to this graph, which a run has started from.
    explicit script(const graph& g);
    // Throws bad_script.
    explicit script(const std::string& text);
    [[nodiscard]] std::string text() const;

    // --- following it
    [[nodiscard]] bool ended() const noexcept { return next_ == steps_.size() || !fits(); }
    [[nodiscard]] std::optional<std::size_t> next(const std::vector<std::size_t>& waiting) override;
    [[nodiscard]] bool on_turn(std::size_t process) const override {
        return !ended() && steps_[next_].process == process;
    }
    [[nodiscard]] bool take(mark what) override;
    [[nodiscard]] std::size_t choose(std::size_t bound, std::size_t last) override;
    [[nodiscard]] bool fails() override { return steps_[next_ - 1].what == mark::fails; }
    [[nodiscard]] bool insists() const noexcept override { return true; }
    [[nodiscard]] bool fits() const noexcept { return problem_.empty(); }
    void misfit(const std::string& why, bool taken = false) override;
    // Throws bad_script, with where, unless all of it was followed and has led to the right graph.
    void finish(const graph& g);

private:
    struct step {
        std::uint16_t process = 0;
        std::uint16_t back = 0;  // how many places before the latest
        mark what = mark::none;
    };

    std::vector<step> steps_;
    std::size_t next_ = 0;
    std::uint16_t sum_ = 0;
    std::string problem_;
};

}  // namespace assay::checker
