// verdict.hpp -- what an exploration can find, and what it says at the end.
#pragma once

#include <cstdint>
#include <string>

namespace assay::checker {

enum class verdict : std::uint8_t {
    verified,  // every execution within the model was explored, and none is wrong
    bounded,   // stopped at a stated bound: not a proof
    // The failures.
    data_race,
    assertion,
    not_linearizable,
    deadlock,         // everyone who is left waits, and nothing will change
    lost_wake_up,     // a process sleeps although what it waits for has happened
    livelock,         // a process spins for ever without new information
    blocked_by_dead,  // a survivor cannot go on because another process died
    uninitialised_read,
    leak,
    nondeterministic,  // the program did something else in the same situation
    misuse,            // a mixed-size access, a foreign address, an exception that escapes
    nothing_explored,  // no execution or no modelled access: a vacuous proof
};

[[nodiscard]] constexpr bool failed_verdict(verdict v) noexcept {
    return v != verdict::verified && v != verdict::bounded;
}

// Somebody can never go on.
[[nodiscard]] constexpr bool concerns_progress(verdict v) noexcept {
    return v == verdict::deadlock || v == verdict::lost_wake_up || v == verdict::livelock ||
           v == verdict::blocked_by_dead;
}

[[nodiscard]] constexpr const char* name(verdict v) noexcept {
    switch (v) {
        case verdict::verified:
            return "verified";
        case verdict::bounded:
            return "bounded";
        case verdict::data_race:
            return "data race";
        case verdict::assertion:
            return "assertion";
        case verdict::not_linearizable:
            return "not linearizable";
        case verdict::deadlock:
            return "deadlock";
        case verdict::lost_wake_up:
            return "lost wake-up";
        case verdict::livelock:
            return "livelock";
        case verdict::blocked_by_dead:
            return "blocked by a dead process";
        case verdict::uninitialised_read:
            return "uninitialised read";
        case verdict::leak:
            return "leak";
        case verdict::nondeterministic:
            return "nondeterministic scenario";
        case verdict::misuse:
            return "misuse";
        case verdict::nothing_explored:
            return "nothing explored";
    }
    return "?";
}

// The first error, and where: the source lines of the two sides if there are two.
struct failure {
    verdict what = verdict::verified;
    std::string message;
};

}  // namespace assay::checker
