// attachment.hpp -- one process's hold on one segment: file, mapping, and place in the registry.
//
// State:      the segment begins with a header (reference counter, identity, attachment slots) and
//             the table; entries follow. The kernel holds one lock byte per attachment slot, and
//             one for the right to remove the name, on the segment's file.
// Invariant:  a name leads to a complete segment or to nothing: creation fills an unnamed file and
//             then links it, so a creator that dies leaves nothing behind. A name is removed only
//             under the name lock of the very file it leads to.
// Progress:   attach and create wait for nobody, except that attach waits (at most a second) for
//             a living process which is just removing the segment.
// Crash:      locks are released by the kernel. A process killed as the last one leaves the name;
//             the next one to attach uses the segment and, leaving, removes it.
// Fork:       the child's copy is usable, but holds no lock and has no clean-up duty; its first
//             operation that needs an identity registers it as an attachment of its own.
// Synchronisation: none of its own; the header is complete before its file has a name, and the
//             registry has the edges between attachments (registry.hpp).
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "error.hpp"
#include "layout.hpp"
#include "owner.hpp"
#include "registry.hpp"
#include "segment_file.hpp"

namespace assay::inline ASSAY_ABI {

// What happens to the name when the last process leaves.
enum class cleanup : std::uint32_t { unlink_when_last_leaves = 0, keep = 1 };

struct shm_options {
    mode_t permissions = 0660;  // exactly these, whatever the umask
    cleanup policy = cleanup::unlink_when_last_leaves;
    std::uint64_t size_limit = std::uint64_t{1} << 30;  // seed: MAX_ALLOCATION
};

// The first bytes of every segment. Written before the segment has a name; later only the counter
// and the slots change. An attaching process reads each field once and trusts none of them.
struct segment_header {
    static constexpr std::uint64_t magic_value = 0x0079617373610a53;  // "S\nassay"
    static constexpr std::uint32_t byte_order_value = 0x01020304;

    reference_counter attached;
    word<std::uint64_t> magic;
    word<std::uint32_t> version;
    word<std::uint32_t> byte_order;
    word<std::uint64_t> fingerprint;
    word<std::uint64_t> total_size;
    word<std::uint32_t> name_size;  // of the table, so that a mismatch can be named
    word<std::uint32_t> entries;
    word<std::uint32_t> policy;
    alignas(line_size) registry_layout registry;
};
static_assert(offsetof(segment_header, attached) == 0, "seed: the counter is at offset 0");

// What a program expects of the bytes of a segment, from its template arguments.
struct segment_geometry {
    std::uint64_t fingerprint;
    std::uint32_t name_size;
    std::uint32_t entries;
    std::uint64_t table_at;    // offset of the table
    std::uint64_t data_begin;  // offset behind it
};

// File: what one process holds of the file, as segment_file.hpp says. The model checker has another.
template <class File>
class basic_attachment final : public membership {
public:
    // Attaches to `name`, or creates it when it is not there and size_bytes is not 0. Safe against
    // any number of others doing the same, and against their death.
    static std::shared_ptr<basic_attachment> open(std::string_view name, std::uint64_t size_bytes,
                                                  const shm_options& options,
                                                  const segment_geometry& geometry,
                                                  void (*format_table)(void*));

    ~basic_attachment() { leave(); }

    [[nodiscard]] std::byte* base() const noexcept { return file_.base(); }
    [[nodiscard]] std::uint64_t size() const noexcept { return file_.size(); }
    [[nodiscard]] const std::string& name() const noexcept { return file_.name(); }
    [[nodiscard]] bool created() const noexcept { return created_; }

    // Exactly the number of living attachments, at some moment of the call; asks the kernel.
    [[nodiscard]] std::uint32_t count() const noexcept {
        return roll().count(inherited() ? nobody : id_);
    }
    [[nodiscard]] bool alive(owner_id id) const noexcept override {
        return roll().alive(id, inherited() ? nobody : id_);
    }
    // Frees the slots of the dead; returns how many there were.
    std::uint32_t sweep() noexcept { return roll().sweep(inherited() ? nobody : id_); }

    // Whether the name no longer leads here: unlinked, or taken by another segment.
    [[nodiscard]] bool orphaned() const noexcept { return !file_.named(); }

    // Removes the name if it leads to this segment; who is attached stays attached. False when it
    // leads elsewhere or nowhere. Throws system_failure when a stopped process holds the name.
    bool unlink() {
        if (!File::patiently([&] { return file_.try_lock_name(); }))
            detail::throw_errno(EBUSY, "unlink", name(),
                                "a living but stopped process is removing it; continue or kill it");
        const bool removed = file_.unlink();
        file_.unlock_name();
        return removed;
    }

private:
    explicit basic_attachment(std::string_view name) : file_(name) {}

    [[nodiscard]] segment_header& header() const noexcept {
        return *std::launder(reinterpret_cast<segment_header*>(base()));
    }
    [[nodiscard]] registry<File> roll() const noexcept {
        return {header().attached, header().registry, file_};
    }

    bool try_attach(const segment_geometry& g, std::uint64_t wanted);
    bool try_create(std::uint64_t size, const shm_options& options, const segment_geometry& g,
                    void (*format_table)(void*));
    void validate(const segment_geometry& g, std::uint64_t wanted) const;
    bool enter();
    void leave() noexcept;
    void remove_if_last() noexcept;
    owner_id renew() override;
    [[noreturn]] void throw_all_in_use() const;

    mutable File file_;
    bool created_ = false;
    bool entered_ = false;
};

using attachment = basic_attachment<segment_file>;

template <class File>
std::shared_ptr<basic_attachment<File>> basic_attachment<File>::open(
    std::string_view name, std::uint64_t size_bytes, const shm_options& options,
    const segment_geometry& geometry, void (*format_table)(void*)) {
    const std::shared_ptr<basic_attachment> a(new basic_attachment(name));
    if (size_bytes > options.size_limit)
        throw std::invalid_argument("assay: segment '" + std::string(name) + "' of " +
                                    std::to_string(size_bytes) + " bytes exceeds the limit of " +
                                    std::to_string(options.size_limit) +
                                    "; raise shm_options::size_limit if you mean it");
    if (size_bytes != 0 && size_bytes <= geometry.data_begin)
        throw std::invalid_argument(
            "assay: segment '" + std::string(name) + "' of " + std::to_string(size_bytes) +
            " bytes has no room for data: header and table alone take " +
            std::to_string(geometry.data_begin) + "; ask for more, or use a smaller table");

    // Each round ends with a segment, or was overtaken by another process: one that created the
    // name before us, or removed it after we had opened it.
    for (;;) {
        if (a->try_attach(geometry, size_bytes)) break;
        if (size_bytes != 0 && a->try_create(size_bytes, options, geometry, format_table)) break;
    }
    return a;
}

// False when the segment was removed under us (or, if it may be created, is not there).
template <class File>
bool basic_attachment<File>::try_attach(const segment_geometry& g, std::uint64_t wanted) {
    if (!file_.open(sizeof(segment_header))) {
        if (wanted != 0) return false;
        throw not_found("assay: there is no segment '" + name() +
                        "' to attach to; give a size to create it");
    }
    try {
        validate(g, wanted);
        if (enter()) return true;
    } catch (...) {
        file_.close();
        throw;
    }
    file_.close();
    return false;
}

template <class File>
void basic_attachment<File>::validate(const segment_geometry& g, std::uint64_t wanted) const {
    const segment_header& h = header();
    // relaxed, all: written before the segment had a name, which the kernel orders; and read once.
    const auto version = h.version.load(relaxed);
    const auto order = h.byte_order.load(relaxed);
    const auto print = h.fingerprint.load(relaxed);
    const auto total = h.total_size.load(relaxed);
    const auto names = h.name_size.load(relaxed);
    const auto entries = h.entries.load(relaxed);
    const auto say = [&](const std::string& what, std::uint64_t theirs, std::uint64_t ours) {
        throw mismatch("assay: segment '" + name() + "' has " + what + " " +
                       std::to_string(theirs) + ", this program has " + std::to_string(ours) +
                       "; rebuild both with one version, or remove the segment");
    };
    if (h.magic.load(relaxed) != segment_header::magic_value &&
        order != __builtin_bswap32(segment_header::byte_order_value))
        throw mismatch("assay: '" + name() +
                       "' is not a segment of this library; another program "
                       "made it: choose another name, or remove " +
                       file_.path());
    if (order != segment_header::byte_order_value)
        say("byte order mark", order, segment_header::byte_order_value);
    if (version != layout_version) say("layout version", version, layout_version);
    if (names != g.name_size || entries != g.entries)
        throw mismatch("assay: segment '" + name() + "' has a table of " + std::to_string(entries) +
                       " entries with names of " + std::to_string(names) +
                       " bytes, this program expects " + std::to_string(g.entries) + " and " +
                       std::to_string(g.name_size) + "; use the same posix_shm type on both sides");
    if (print != g.fingerprint) say("layout fingerprint", print, g.fingerprint);
    if (total != size())
        throw corrupt("assay: segment '" + name() + "' says it has " + std::to_string(total) +
                      " bytes, its file has " + std::to_string(size()) + "; remove " +
                      file_.path());
    if (size() <= g.data_begin)
        throw corrupt("assay: segment '" + name() + "' is too small for its own table; remove " +
                      file_.path());
    if (wanted > size())
        throw mismatch("assay: segment '" + name() + "' exists with " + std::to_string(size()) +
                       " bytes, requested were " + std::to_string(wanted) +
                       "; a segment never grows: attach with size 0, or unlink it first");
}

// Registers this process. False when the segment was removed meanwhile.
template <class File>
bool basic_attachment<File>::enter() {
    std::optional<owner_id> id;
    bool linked = true, full = false;
    const bool decided = File::patiently([&] {
        // While a slot of ours is locked, the last one to leave cannot remove the segment.
        id = roll().enter(File::pid());
        linked = file_.linked();
        full = !id && roll().count(nobody) == max_attachments;
        return id || !linked || full;  // else it is being removed right now
    });
    if (id && linked) {
        id_ = *id;
        entered_ = true;
        return true;
    }
    if (id) roll().leave(*id);
    if (!linked) return false;
    if (decided) throw_all_in_use();
    detail::throw_errno(EBUSY, "attach", name(),
                        "a living but stopped process is removing it; continue or kill it");
}

// Makes the segment complete while it has no name, then names it: nobody can find half of it, and
// if we die here nothing is left. False when somebody else took the name first.
template <class File>
bool basic_attachment<File>::try_create(std::uint64_t size, const shm_options& options,
                                        const segment_geometry& g, void (*format_table)(void*)) {
    if (!file_.create(size)) return false;
    segment_header& h = *new (base()) segment_header;
    // relaxed, all: nobody else can reach the file; link publishes it, and the kernel orders.
    h.magic.store(segment_header::magic_value, relaxed);
    h.version.store(layout_version, relaxed);
    h.byte_order.store(segment_header::byte_order_value, relaxed);
    h.fingerprint.store(g.fingerprint, relaxed);
    h.total_size.store(size, relaxed);
    h.name_size.store(g.name_size, relaxed);
    h.entries.store(g.entries, relaxed);
    h.policy.store(static_cast<std::uint32_t>(options.policy), relaxed);
    format_table(base() + g.table_at);
    id_ = *roll().enter(File::pid());  // cannot fail: all slots are free
    if (file_.link(options.permissions)) {
        created_ = entered_ = true;
        return true;
    }
    file_.close();
    return false;
}

template <class File>
void basic_attachment<File>::leave() noexcept {
    if (base() == nullptr) return;
    if (entered_ && !inherited()) {
        const auto policy =
            static_cast<cleanup>(header().policy.load(relaxed));  // relaxed: constant
        roll().leave(id_);
        if (policy == cleanup::unlink_when_last_leaves) remove_if_last();
    }
    file_.close();
}

// All slot locks at once can be had only when no attachment is left; while we have them none can
// begin. Our own slot is free already: of two who leave at once, the later one gets here alone.
template <class File>
void basic_attachment<File>::remove_if_last() noexcept {
    if (file_.try_lock_all_slots() && File::patiently([&] { return file_.try_lock_name(); }))
        static_cast<void>(file_.unlink());
    // Closing the file releases both.
}

// The first use of an identity in a forked child.
template <class File>
owner_id basic_attachment<File>::renew() {
    if (!file_.is_open())
        detail::throw_errno(EBADF, "use after fork", name(),
                            "the child could not open it again; attach in the child");
    const auto id = roll().enter(File::pid());
    if (!id) throw_all_in_use();
    entered_ = true;
    return *id;
}

template <class File>
void basic_attachment<File>::throw_all_in_use() const {
    throw no_space("assay: all " + std::to_string(max_attachments) + " attachments of segment '" +
                   name() + "' are in use by living processes");
}

}  // namespace assay::inline ASSAY_ABI
