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

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "error.hpp"
#include "kernel.hpp"
#include "layout.hpp"
#include "owner.hpp"
#include "registry.hpp"

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

class attachment final : public membership {
public:
    // Attaches to `name`, or creates it when it is not there and size_bytes is not 0. Safe against
    // any number of others doing the same, and against their death.
    static std::shared_ptr<attachment> open(std::string_view name, std::uint64_t size_bytes,
                                            const shm_options& options,
                                            const segment_geometry& geometry,
                                            void (*format_table)(void*));

    ~attachment() {
        leave();
        delist();
    }

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
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
    [[nodiscard]] bool orphaned() const noexcept { return !detail::same_file(locks_.fd(), path_); }

    // Removes the name if it leads to this segment; who is attached stays attached. False when it
    // leads elsewhere or nowhere. Throws system_failure when a stopped process holds the name.
    bool unlink() {
        if (!detail::patiently([&] { return locks_.try_lock_name(); }))
            detail::throw_errno(EBUSY, "unlink", name_,
                                "a living but stopped process is removing it; continue or kill it");
        const bool removed = detail::same_file(locks_.fd(), path_) && ::unlink(path_.c_str()) == 0;
        locks_.unlock_name();
        return removed;
    }

private:
    attachment(std::string_view name, std::string path)
        : locks_(detail::unique_fd()), name_(name), path_(std::move(path)) {
        enlist();  // before there is a lock that a forked child could inherit
    }

    [[nodiscard]] segment_header& header() const noexcept {
        return *std::launder(reinterpret_cast<segment_header*>(base_));
    }
    [[nodiscard]] registry<detail::kernel_locks> roll() const noexcept {
        return {header().attached, header().registry, locks_};
    }

    bool try_attach(const segment_geometry& g, std::uint64_t wanted);
    bool try_create(std::uint64_t size, const shm_options& options, const segment_geometry& g,
                    void (*format_table)(void*));
    bool reserve(int fd, std::uint64_t size);
    void map(int fd, std::uint64_t size);
    void unmap() noexcept;
    void validate(const segment_geometry& g, std::uint64_t wanted) const;
    bool enter();
    void leave() noexcept;
    void remove_if_last() noexcept;
    owner_id renew() override;

    // All attachments of this process, for the fork handlers.
    struct roster {
        std::mutex lock;
        attachment* first = nullptr;
    };
    static roster& everyone_here();
    void enlist();
    void delist() noexcept;
    void forget_locks_of_parent() noexcept;

    mutable detail::kernel_locks locks_;
    std::string name_;
    std::string path_;
    std::byte* base_ = nullptr;
    std::uint64_t size_ = 0;
    bool created_ = false;
    bool entered_ = false;
    attachment* next_ = nullptr;
    attachment* previous_ = nullptr;
};

inline std::shared_ptr<attachment> attachment::open(std::string_view name, std::uint64_t size_bytes,
                                                    const shm_options& options,
                                                    const segment_geometry& geometry,
                                                    void (*format_table)(void*)) {
    std::string path = detail::shm_path(name);
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

    const std::shared_ptr<attachment> a(new attachment(name, std::move(path)));
    // Each round ends with a segment, or was overtaken by another process: one that created the
    // name before us, or removed it after we had opened it.
    for (;;) {
        if (a->try_attach(geometry, size_bytes)) break;
        if (size_bytes != 0 && a->try_create(size_bytes, options, geometry, format_table)) break;
    }
    return a;
}

// False when the segment was removed under us (or, if it may be created, is not there).
inline bool attachment::try_attach(const segment_geometry& g, std::uint64_t wanted) {
    detail::unique_fd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) {
        if (errno == ENOENT && wanted != 0) return false;
        if (errno == ENOENT)
            throw not_found("assay: there is no segment '" + name_ +
                            "' to attach to; give a size to create it");
        struct stat s {};
        const int error = errno;
        const bool known = ::lstat(path_.c_str(), &s) == 0;
        char mode[16] = {};
        std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(s.st_mode & 07777));
        detail::throw_errno(error, "open", name_,
                            !known ? std::string()
                                   : "it belongs to uid " + std::to_string(s.st_uid) +
                                         " with mode " + mode + ", this process has uid " +
                                         std::to_string(::geteuid()) +
                                         "; its owner can grant access with "
                                         "shm_options::permissions");
    }
    struct stat s {};
    if (::fstat(fd.get(), &s) != 0) detail::throw_errno(errno, "fstat", name_, "");
    if (!S_ISREG(s.st_mode) || static_cast<std::uint64_t>(s.st_size) < sizeof(segment_header))
        throw mismatch("assay: '" + name_ + "' has " + std::to_string(s.st_size) +
                       " bytes and is not a segment of this library; another program made it: "
                       "choose another name, or remove " +
                       path_);
    map(fd.get(), static_cast<std::uint64_t>(s.st_size));  // the file's size, never the caller's
    try {
        validate(g, wanted);
        if (enter()) return true;
    } catch (...) {
        unmap();
        throw;
    }
    unmap();
    return false;
}

inline void attachment::validate(const segment_geometry& g, std::uint64_t wanted) const {
    const segment_header& h = header();
    // relaxed, all: written before the segment had a name, which the kernel orders; and read once.
    const auto version = h.version.load(relaxed);
    const auto order = h.byte_order.load(relaxed);
    const auto print = h.fingerprint.load(relaxed);
    const auto total = h.total_size.load(relaxed);
    const auto names = h.name_size.load(relaxed);
    const auto entries = h.entries.load(relaxed);
    const auto say = [&](const std::string& what, std::uint64_t theirs, std::uint64_t ours) {
        throw mismatch("assay: segment '" + name_ + "' has " + what + " " + std::to_string(theirs) +
                       ", this program has " + std::to_string(ours) +
                       "; rebuild both with one version, or remove the segment");
    };
    if (h.magic.load(relaxed) != segment_header::magic_value &&
        order != __builtin_bswap32(segment_header::byte_order_value))
        throw mismatch("assay: '" + name_ +
                       "' is not a segment of this library; another program "
                       "made it: choose another name, or remove " +
                       path_);
    if (order != segment_header::byte_order_value)
        say("byte order mark", order, segment_header::byte_order_value);
    if (version != layout_version) say("layout version", version, layout_version);
    if (names != g.name_size || entries != g.entries)
        throw mismatch("assay: segment '" + name_ + "' has a table of " + std::to_string(entries) +
                       " entries with names of " + std::to_string(names) +
                       " bytes, this program expects " + std::to_string(g.entries) + " and " +
                       std::to_string(g.name_size) + "; use the same posix_shm type on both sides");
    if (print != g.fingerprint) say("layout fingerprint", print, g.fingerprint);
    if (total != size_)
        throw corrupt("assay: segment '" + name_ + "' says it has " + std::to_string(total) +
                      " bytes, its file has " + std::to_string(size_) + "; remove " + path_);
    if (size_ <= g.data_begin)
        throw corrupt("assay: segment '" + name_ + "' is too small for its own table; remove " +
                      path_);
    if (wanted > size_)
        throw mismatch("assay: segment '" + name_ + "' exists with " + std::to_string(size_) +
                       " bytes, requested were " + std::to_string(wanted) +
                       "; a segment never grows: attach with size 0, or unlink it first");
}

// Registers this process. False when the segment was removed meanwhile.
inline bool attachment::enter() {
    std::optional<owner_id> id;
    bool linked = true, full = false;
    const bool decided = detail::patiently([&] {
        // While a slot of ours is locked, the last one to leave cannot remove the segment.
        id = roll().enter(static_cast<std::uint32_t>(::getpid()));
        struct stat s {};
        linked = ::fstat(locks_.fd(), &s) == 0 && s.st_nlink > 0;
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
    if (decided)
        throw no_space("assay: all " + std::to_string(max_attachments) +
                       " attachments of segment '" + name_ + "' are in use by living processes");
    detail::throw_errno(EBUSY, "attach", name_,
                        "a living but stopped process is removing it; continue or kill it");
}

// Makes the segment complete while it has no name, then names it: nobody can find half of it, and
// if we die here nothing is left. False when somebody else took the name first.
inline bool attachment::try_create(std::uint64_t size, const shm_options& options,
                                   const segment_geometry& g, void (*format_table)(void*)) {
    const detail::unique_fd fd(
        ::open(detail::shm_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!fd) {
        if (errno == ENOSPC) detail::throw_no_memory(name_, size);
        detail::throw_errno(errno, "create", name_,
                            "/dev/shm must be a writable tmpfs that supports O_TMPFILE");
    }
    // The umask may have taken even our own access, which open_again needs.
    if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) detail::throw_errno(errno, "fchmod", name_, "");
    if (!reserve(fd.get(), size)) return false;
    map(fd.get(), size);
    segment_header& h = *new (base_) segment_header;
    // relaxed, all: nobody else can reach the file; linkat publishes it, and the kernel orders.
    h.magic.store(segment_header::magic_value, relaxed);
    h.version.store(layout_version, relaxed);
    h.byte_order.store(segment_header::byte_order_value, relaxed);
    h.fingerprint.store(g.fingerprint, relaxed);
    h.total_size.store(size, relaxed);
    h.name_size.store(g.name_size, relaxed);
    h.entries.store(g.entries, relaxed);
    h.policy.store(static_cast<std::uint32_t>(options.policy), relaxed);
    format_table(base_ + g.table_at);
    id_ = *roll().enter(static_cast<std::uint32_t>(::getpid()));  // cannot fail: all slots are free
    if (::fchmod(fd.get(), options.permissions) != 0)
        detail::throw_errno(errno, "fchmod", name_, "");
    const std::string self = "/proc/self/fd/" + std::to_string(fd.get());
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) == 0) {
        created_ = entered_ = true;
        return true;
    }
    const int error = errno;
    unmap();
    if (error == EEXIST) return false;
    if (error == ENOSPC) detail::throw_no_memory(name_, size);
    detail::throw_errno(error, "link", name_, error == ENOENT ? "is /proc mounted?" : "");
}

// Reserves the memory now, so that a full tmpfs is an error here instead of a SIGBUS later. False
// when the name has appeared meanwhile: of several creators racing in a nearly full tmpfs each can
// see the memory that the others hold for a moment, so "no space" is believed only after a while.
inline bool attachment::reserve(int fd, std::uint64_t size) {
    constexpr std::uint64_t piece = std::uint64_t{64}
                                    << 20;  // a signal undoes one call: keep short
    for (int patience = 0;; ++patience) {
        int error = size > detail::available_bytes() ? ENOSPC : 0;
        for (std::uint64_t done = 0; error == 0 && done < size;) {
            const std::uint64_t n = std::min(piece, size - done);
            error = ::posix_fallocate(fd, static_cast<off_t>(done), static_cast<off_t>(n));
            if (error == 0) done += n;
            if (error == EINTR) error = 0;
        }
        if (error == 0) return true;
        if (error != ENOSPC) detail::throw_errno(error, "posix_fallocate", name_, "");
        static_cast<void>(::ftruncate(fd, 0));  // let go of what we got, for the others
        if (::access(path_.c_str(), F_OK) == 0) return false;
        if (patience == 20) detail::throw_no_memory(name_, size);
        // Not in step with the other creators: the address of a local differs between processes.
        const auto jitter =
            reinterpret_cast<std::uintptr_t>(&error) / 64 + std::uintptr_t(::getpid());
        std::this_thread::sleep_for(std::chrono::microseconds(500 + jitter % 4096));
    }
}

inline void attachment::map(int fd, std::uint64_t size) {
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        detail::throw_errno(errno, "mmap of " + std::to_string(size) + " bytes", name_, "");
    base_ = static_cast<std::byte*>(at);
    size_ = size;
    locks_.replace(detail::open_again(fd));
    if (locks_.fd() < 0) {
        const int error = errno;
        unmap();
        detail::throw_errno(error, "open through /proc", name_, "is /proc mounted?");
    }
}

inline void attachment::unmap() noexcept {
    if (base_ != nullptr) ::munmap(base_, size_);
    base_ = nullptr;
    locks_.replace(detail::unique_fd());  // and with it every lock
}

inline void attachment::leave() noexcept {
    if (base_ == nullptr) return;
    if (entered_ && !inherited()) {
        const auto policy =
            static_cast<cleanup>(header().policy.load(relaxed));  // relaxed: constant
        roll().leave(id_);
        if (policy == cleanup::unlink_when_last_leaves) remove_if_last();
    }
    unmap();
}

// All slot locks at once can be had only when no attachment is left; while we have them none can
// begin. Our own slot is free already: of two who leave at once, the later one gets here alone.
inline void attachment::remove_if_last() noexcept {
    if (!locks_.try_lock_all_slots()) return;
    if (detail::patiently([&] { return locks_.try_lock_name(); }) &&
        detail::same_file(locks_.fd(), path_))
        ::unlink(path_.c_str());
    // unmap() closes the file, which releases both.
}

// The first use of an identity in a forked child.
inline owner_id attachment::renew() {
    if (locks_.fd() < 0)
        detail::throw_errno(EBADF, "use after fork", name_,
                            "the child could not open it again; attach in the child");
    const auto id = roll().enter(static_cast<std::uint32_t>(::getpid()));
    if (!id)
        throw no_space("assay: all " + std::to_string(max_attachments) +
                       " attachments of segment '" + name_ + "' are in use by living processes");
    entered_ = true;
    return *id;
}

inline attachment::roster& attachment::everyone_here() {
    static roster r;
    // The list is locked across fork, so that the child finds it whole.
    static const int registered =
        ::pthread_atfork([] { everyone_here().lock.lock(); }, [] { everyone_here().lock.unlock(); },
                         [] {
                             for (attachment* a = everyone_here().first; a != nullptr; a = a->next_)
                                 a->forget_locks_of_parent();
                             everyone_here().lock.unlock();
                         });
    static_cast<void>(registered);
    return r;
}

inline void attachment::enlist() {
    roster& r = everyone_here();
    const std::lock_guard hold(r.lock);
    next_ = r.first;
    if (next_ != nullptr) next_->previous_ = this;
    r.first = this;
}

inline void attachment::delist() noexcept {
    roster& r = everyone_here();
    const std::lock_guard hold(r.lock);
    if (r.first == this) r.first = next_;
    if (previous_ != nullptr) previous_->next_ = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
}

// In a forked child: the inherited descriptor shares the parent's locks, which would keep a dead
// parent alive for as long as we run. Put an open file of our own under the same number.
inline void attachment::forget_locks_of_parent() noexcept {
    if (locks_.fd() < 0) return;
    const detail::unique_fd own = detail::open_again(locks_.fd());
    if (!own || ::dup3(own.get(), locks_.fd(), O_CLOEXEC) < 0) locks_.replace(detail::unique_fd());
}

}  // namespace assay::inline ASSAY_ABI
