// segment_file.hpp -- the file of a segment, as one process holds it: name, mapping, locks.
//
// State:      the kernel's: a name in /dev/shm, the file it leads to, and locks on bytes of that file,
//             two for each attachment slot and one for the right to remove the name.
// Invariant:  a file gets its name when it is complete, and gets it once. The open file that holds our
//             locks is never the one that we map (see open_again), but of the same file.
// Progress:   every call is a few system calls and waits for nobody; a caller that wants to wait says
//             so with patiently().
// Crash:      the kernel closes what a dead process had open, and so releases its locks. A file that
//             was not named yet is gone.
// Fork:       the child's copy maps the same memory, but shares no lock with its parent.
//
// This is all that attachment.hpp assumes of the operating system, and it takes the class as a
// parameter: the model checker has another one, which promises no more than stands here.
//
// Synchronisation: the kernel's. link() comes before an open() that finds the name; the release of
// a lock, by unlock, by close or by death, before whatever finds it free.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "error.hpp"
#include "kernel.hpp"
#include "owner.hpp"

namespace assay::inline ASSAY_ABI {

class segment_file {
public:
    // Nothing is open yet. Throws std::invalid_argument for what is not a name.
    explicit segment_file(std::string_view name)
        : locks_(detail::unique_fd()), name_(name), path_(detail::shm_path(name)) {
        enlist();  // before there is a lock that a forked child could inherit
    }
    ~segment_file() {
        close();
        delist();
    }
    segment_file(const segment_file&) = delete;
    segment_file& operator=(const segment_file&) = delete;

    // Opens and maps what the name leads to; false when it leads nowhere. Throws mismatch for what
    // is no file of `least_bytes`, and system_failure.
    bool open(std::uint64_t least_bytes);
    // Makes and maps a new file of `size` zero bytes, reserved, that has no name: it vanishes with us.
    // False when there was no room for it and the name has appeared meanwhile. Throws no_space and
    // system_failure.
    bool create(std::uint64_t size);
    // Gives the file its name. False when the name is taken. Throws as create.
    bool link(mode_t permissions);
    // Removes the name if it leads to this file: two steps, so the caller holds the name lock. False
    // when it leads elsewhere or nowhere.
    bool unlink() noexcept { return named() && ::unlink(path_.c_str()) == 0; }
    // Gives up the mapping and every lock.
    void close() noexcept;

    // Whether the name leads to this file.
    [[nodiscard]] bool named() const noexcept { return detail::same_file(locks_.fd(), path_); }
    // Whether this file has its name still. Cheaper; not for a file that has had none yet.
    [[nodiscard]] bool linked() const noexcept {
        struct stat s {};
        return ::fstat(locks_.fd(), &s) == 0 && s.st_nlink > 0;
    }
    // False before open or create, and in a forked child that could not open it again.
    [[nodiscard]] bool is_open() const noexcept { return locks_.fd() >= 0; }

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

    // The locks. held(): by anyone but this. try_lock_all_slots takes all or none.
    [[nodiscard]] bool try_lock(std::uint32_t n) noexcept { return locks_.try_lock(n); }
    void unlock(std::uint32_t n) noexcept { locks_.unlock(n); }
    [[nodiscard]] bool held(std::uint32_t n) const noexcept { return locks_.held(n); }
    [[nodiscard]] bool try_lock_all_slots() noexcept { return locks_.try_lock_all_slots(); }
    [[nodiscard]] bool try_lock_name() noexcept { return locks_.try_lock_name(); }
    void unlock_name() noexcept { locks_.unlock_name(); }

    // Tries `f` until it says true; false after about a second.
    template <class F>
    [[nodiscard]] static bool patiently(F&& f) {
        return detail::patiently(std::forward<F>(f));
    }
    // What people call this process.
    [[nodiscard]] static std::uint32_t pid() noexcept {
        return static_cast<std::uint32_t>(::getpid());
    }

private:
    [[nodiscard]] detail::unique_fd open_name() const;
    [[nodiscard]] struct stat look(int fd) const;
    [[noreturn]] void throw_not_permitted(int error) const;
    static int fill(int fd, std::uint64_t size);
    bool reserve(int fd, std::uint64_t size);
    void map(int fd, std::uint64_t size, detail::unique_fd locked);

    // All files of this process, for the fork handlers.
    struct roster {
        std::mutex lock;
        segment_file* first = nullptr;
    };
    static roster& everyone_here();
    void enlist();
    void delist() noexcept;
    void forget_locks_of_parent() noexcept;

    detail::kernel_locks locks_;
    std::string name_;
    std::string path_;
    std::byte* base_ = nullptr;
    std::uint64_t size_ = 0;
    segment_file* next_ = nullptr;
    segment_file* previous_ = nullptr;
};

inline bool segment_file::open(std::uint64_t least_bytes) {
    for (;;) {
        const detail::unique_fd mapped = open_name();
        if (!mapped) return false;
        const struct stat s = look(mapped.get());
        const auto size = static_cast<std::uint64_t>(s.st_size);
        if (!S_ISREG(s.st_mode) || size < least_bytes)
            throw mismatch("assay: '" + name_ + "' has " + std::to_string(size) +
                           " bytes and is not a segment of this library; another program made it: "
                           "choose another name, or remove " +
                           path_);
        // The name a second time: half the price of open_again. By now it may lead elsewhere, and locks
        // on another file would say that everyone in this one is dead.
        detail::unique_fd locked = open_name();
        if (!locked) return false;
        if (!detail::same_file(s, look(locked.get()))) continue;
        map(mapped.get(), size, std::move(locked));  // the file's size, never the caller's
        return true;
    }
}

// What the name leads to; none when it leads nowhere.
inline detail::unique_fd segment_file::open_name() const {
    detail::unique_fd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno != ENOENT) throw_not_permitted(errno);
    return fd;
}

inline struct stat segment_file::look(int fd) const {
    struct stat s {};
    if (::fstat(fd, &s) != 0) detail::throw_errno(errno, "fstat", name_, "");
    return s;
}

inline void segment_file::throw_not_permitted(int error) const {
    struct stat s {};
    const bool known = ::lstat(path_.c_str(), &s) == 0;
    char mode[16] = {};
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(s.st_mode & 07777));
    detail::throw_errno(error, "open", name_,
                        !known
                            ? std::string()
                            : "it belongs to uid " + std::to_string(s.st_uid) + " with mode " +
                                  mode + ", this process has uid " + std::to_string(::geteuid()) +
                                  "; its owner can grant access with "
                                  "shm_options::permissions");
}

inline bool segment_file::create(std::uint64_t size) {
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
    detail::unique_fd locked = detail::open_again(fd.get());
    if (!locked) detail::throw_errno(errno, "open through /proc", name_, "is /proc mounted?");
    map(fd.get(), size, std::move(locked));
    return true;
}

// Takes `size` bytes of the tmpfs for the file: 0, or the error.
inline int segment_file::fill(int fd, std::uint64_t size) {
    constexpr std::uint64_t piece = std::uint64_t{64}
                                    << 20;  // a signal undoes one call: keep short
    int error = size > detail::available_bytes() ? ENOSPC : 0;
    for (std::uint64_t done = 0; error == 0 && done < size;) {
        const std::uint64_t n = std::min(piece, size - done);
        error = ::posix_fallocate(fd, static_cast<off_t>(done), static_cast<off_t>(n));
        if (error == 0) done += n;
        if (error == EINTR) error = 0;
    }
    if (error != 0) static_cast<void>(::ftruncate(fd, 0));  // let go of it, for the others
    return error;
}

// Reserves the memory now, so that a full tmpfs is an error here instead of a SIGBUS later. False
// when the name has appeared meanwhile. Of several creators racing in a nearly full tmpfs each can
// see the memory that the others hold for a moment: those whom it failed once go on one at a time,
// and believe "no space" only after a while. The kernel gives up the turn of a dead process, and
// the turn of a stopped one is waited for a second.
inline bool segment_file::reserve(int fd, std::uint64_t size) {
    const auto appeared = [&] { return ::access(path_.c_str(), F_OK) == 0; };
    int error = fill(fd, size);
    if (error == ENOSPC) {
        const detail::unique_fd turn(::open(detail::shm_directory, O_RDONLY | O_CLOEXEC));
        static_cast<void>(
            patiently([&] { return appeared() || ::flock(turn.get(), LOCK_EX | LOCK_NB) == 0; }));
        for (int patience = 0; error == ENOSPC && patience < 100; ++patience) {
            if (appeared()) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            error = fill(fd, size);
        }
    }
    if (error == 0) return true;
    if (error != ENOSPC) detail::throw_errno(error, "posix_fallocate", name_, "");
    if (appeared()) return false;
    detail::throw_no_memory(name_, size);
}

inline bool segment_file::link(mode_t permissions) {
    if (::fchmod(locks_.fd(), permissions) != 0) detail::throw_errno(errno, "fchmod", name_, "");
    const std::string self = "/proc/self/fd/" + std::to_string(locks_.fd());
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) == 0)
        return true;
    if (errno == EEXIST) return false;
    if (errno == ENOSPC) detail::throw_no_memory(name_, size_);
    detail::throw_errno(errno, "link", name_, errno == ENOENT ? "is /proc mounted?" : "");
}

// `locked` becomes the open file of our locks.
inline void segment_file::map(int fd, std::uint64_t size, detail::unique_fd locked) {
    // A program of 32 bits may be shown a segment that is larger than all it can address.
    const auto bytes = static_cast<std::size_t>(size);
    errno = ENOMEM;
    void* at = bytes != size ? MAP_FAILED
                             : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        detail::throw_errno(errno, "mmap of " + std::to_string(size) + " bytes", name_, "");
    base_ = static_cast<std::byte*>(at);
    size_ = size;
    locks_.replace(std::move(locked));
}

inline void segment_file::close() noexcept {
    if (base_ != nullptr) ::munmap(base_, static_cast<std::size_t>(size_));
    base_ = nullptr;
    locks_.replace(detail::unique_fd());  // and with it every lock
}

inline segment_file::roster& segment_file::everyone_here() {
    static roster r;
    // The list is locked across fork, so that the child finds it whole.
    static const int registered = ::pthread_atfork(
        [] { everyone_here().lock.lock(); }, [] { everyone_here().lock.unlock(); },
        [] {
            for (segment_file* f = everyone_here().first; f != nullptr; f = f->next_)
                f->forget_locks_of_parent();
            everyone_here().lock.unlock();
        });
    static_cast<void>(registered);
    return r;
}

inline void segment_file::enlist() {
    roster& r = everyone_here();
    const std::lock_guard hold(r.lock);
    next_ = r.first;
    if (next_ != nullptr) next_->previous_ = this;
    r.first = this;
}

inline void segment_file::delist() noexcept {
    roster& r = everyone_here();
    const std::lock_guard hold(r.lock);
    if (r.first == this) r.first = next_;
    if (previous_ != nullptr) previous_->next_ = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
}

// In a forked child: the inherited descriptor shares the parent's locks, which would keep a dead
// parent alive for as long as we run. Put an open file of our own under the same number.
inline void segment_file::forget_locks_of_parent() noexcept {
    if (locks_.fd() < 0) return;
    const detail::unique_fd own = detail::open_again(locks_.fd());
    if (!own || ::dup3(own.get(), locks_.fd(), O_CLOEXEC) < 0) locks_.replace(detail::unique_fd());
}

}  // namespace assay::inline ASSAY_ABI
