// segment.hpp -- segments seen from outside: what the `assay` command shows, checks and cleans.
//
// Looking never attaches and never writes: the header and the table are read into a copy, and the
// kernel is asked which attachments live. So a segment that is corrupt, or whose creator is dead,
// or that belongs to somebody else, can be looked at without becoming its last user.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/layout.hpp"

namespace assay::cli {

struct entry {
    std::string name;
    kind what = kind::raw;
    std::uint64_t offset = 0, size = 0, elem_size = 0, num_elem = 0, tag = 0;
};

struct holder {
    std::uint32_t slot = 0;
    std::uint32_t pid = 0;  // as the process saw itself: of its own pid namespace
    bool alive = false;
};

// in_use   somebody living is attached
// kept     nobody is, and the segment was made to stay (cleanup::keep)
// orphan   nobody is, although the last one should have removed it: it was killed
// damaged  `problems` says how; nothing else is to be believed
enum class state { in_use, kept, orphan, damaged };
[[nodiscard]] std::string_view to_string(state s) noexcept;

struct segment {
    std::string name;
    state now = state::damaged;
    std::vector<std::string> problems;

    std::uint64_t size = 0;  // bytes of the file
    uid_t uid = 0;
    mode_t mode = 0;
    std::int64_t created = 0;  // seconds since 1970

    std::uint32_t version = 0;
    std::uint64_t fingerprint = 0;
    std::uint32_t counter = 0;         // at offset 0: still counts the dead
    std::vector<holder> holders = {};  // living and dead
    std::uint32_t alive = 0;
    std::string type;             // posix_shm, posix_shm_small, ...; empty: of another table
    std::uint32_t name_size = 0;  // of the table
    std::uint32_t max_entries = 0;
    std::uint64_t free_bytes = 0;
    std::vector<entry> entries = {};
};

// Everything in /dev/shm that begins like a segment, by name. What may not be read is left out and
// counted in `unreadable`.
struct listing {
    std::vector<segment> segments;
    std::size_t unreadable = 0;
};
[[nodiscard]] listing list();

// The segment of that name. Throws not_found, system_failure, and mismatch when the file is not a
// segment of this library at all.
[[nodiscard]] segment look_at(std::string_view name);

// Gives back what dead processes held: attachment slots, and what the structures allow without
// knowing the element type. Throws as attaching does. The segment stays, used or not.
struct recovery {
    struct of_entry {
        std::string name;
        kind what;
        std::optional<std::uint64_t> given_back;
        std::string reason;  // when it was not done here
    };
    std::uint32_t attachments = 0;
    std::vector<of_entry> entries;
};
[[nodiscard]] recovery recover(std::string_view name);

// Removes an orphan, and nothing else: never a segment that somebody uses, is just attaching to,
// or wants to keep, nor another one that has taken the name. Whether it did.
[[nodiscard]] bool collect(std::string_view name);

// Removes the name of a segment that nobody uses, whatever its state; with `even_if_used` of any.
// False when it is in use. Throws as look_at, for anything that is not a segment.
[[nodiscard]] bool remove(std::string_view name, bool even_if_used);

}  // namespace assay::cli
