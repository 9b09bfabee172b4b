// kernel.hpp -- the operating system as segments use it: files, locks of open files, room in
// /dev/shm.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "error.hpp"
#include "owner.hpp"

namespace assay::inline ASSAY_ABI {

namespace detail {

inline constexpr const char* shm_directory = "/dev/shm";  // where shm_open looks on Linux

// Lock bytes lie far behind any data; below 2^31 so that 32-bit builds agree.
inline constexpr off_t slot_locks = 0x40000000;
inline constexpr off_t name_lock = slot_locks + attachment_locks;

class unique_fd {
public:
    explicit unique_fd(int fd = -1) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
    unique_fd& operator=(unique_fd&& o) noexcept {
        std::swap(fd_, o.fd_);
        return *this;
    }
    ~unique_fd() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_;
};

// Locks that belong to the open file, not to the process (F_OFD_*): the kernel drops them when the
// last descriptor of the open file goes, whatever way its process ended.
class kernel_locks {
public:
    explicit kernel_locks(unique_fd fd) noexcept : fd_(std::move(fd)) {}

    // One of the attachment_locks.
    [[nodiscard]] bool try_lock(std::uint32_t n) noexcept { return set(F_WRLCK, place(n)); }
    void unlock(std::uint32_t n) noexcept { static_cast<void>(set(F_UNLCK, place(n))); }
    // By another open file than ours.
    [[nodiscard]] bool held(std::uint32_t n) const noexcept { return held(place(n), 1); }
    [[nodiscard]] bool any_held() const noexcept { return held(slot_locks, attachment_locks); }

    [[nodiscard]] bool try_lock_all_slots() noexcept {
        return set(F_WRLCK, slot_locks, attachment_locks);
    }
    [[nodiscard]] bool try_lock_name() noexcept { return set(F_WRLCK, name_lock); }
    void unlock_name() noexcept { static_cast<void>(set(F_UNLCK, name_lock)); }

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    void replace(unique_fd fd) noexcept { fd_ = std::move(fd); }

private:
    static constexpr off_t place(std::uint32_t n) noexcept {
        return slot_locks + static_cast<off_t>(n);
    }
    [[nodiscard]] bool held(off_t start, off_t length) const noexcept {
        struct flock lock = describe(F_WRLCK, start, length);
        // A file we cannot ask about counts as locked: nothing is taken from anyone on the
        // strength of a failed question.
        return ::fcntl(fd_.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
    }
    bool set(short type, off_t start, off_t length = 1) noexcept {
        struct flock lock = describe(type, start, length);
        int result;
        do result = ::fcntl(fd_.get(), F_OFD_SETLK, &lock);
        while (result != 0 && errno == EINTR);
        return result == 0;
    }
    static struct flock describe(short type, off_t start, off_t length) noexcept {
        struct flock lock {};
        lock.l_type = type;
        lock.l_whence = SEEK_SET;
        lock.l_start = start;
        lock.l_len = length;
        return lock;
    }

    unique_fd fd_;
};

// The segment's name as a path; "/name" and "name" are the same. Throws std::invalid_argument.
inline std::string shm_path(std::string_view name) {
    const std::string_view bare = name.starts_with('/') ? name.substr(1) : name;
    if (bare.empty() || bare.size() > 255 || bare == "." || bare == ".." ||
        bare.find('/') != std::string_view::npos || bare.find('\0') != std::string_view::npos)
        throw std::invalid_argument("assay: '" + std::string(name) +
                                    "' is not a segment name: 1 to 255 bytes without '/'");
    return std::string(shm_directory) + '/' + std::string(bare);
}

[[noreturn]] inline void throw_errno(int error, const std::string& call, std::string_view name,
                                     const std::string& cure) {
    throw system_failure(error, "assay: " + call + " of segment '" + std::string(name) + "'" +
                                    (cure.empty() ? "" : " (" + cure + ")"));
}

// Bytes that can be reserved now: the file system's, but no more than the machine's memory, since a
// tmpfs may be larger than that and filling it would have the kernel kill processes.
inline std::uint64_t available_bytes() noexcept {
    std::uint64_t file_system = std::numeric_limits<std::uint64_t>::max();
    struct statvfs fs {};
    if (::statvfs(shm_directory, &fs) == 0) file_system = std::uint64_t{fs.f_bavail} * fs.f_frsize;
    std::uint64_t memory = 0;
    if (std::FILE* const info = std::fopen("/proc/meminfo", "re")) {
        char line[128];
        unsigned long long kib = 0;
        while (std::fgets(line, sizeof line, info) != nullptr)
            if (std::sscanf(line, "MemAvailable: %llu", &kib) == 1 ||
                std::sscanf(line, "SwapFree: %llu", &kib) == 1)
                memory += kib * 1024;
        std::fclose(info);
    }
    return memory == 0 ? file_system : std::min(file_system, memory);
}

[[noreturn]] inline void throw_no_memory(std::string_view name, std::uint64_t size) {
    throw no_space("assay: no room for segment '" + std::string(name) + "': requested " +
                   std::to_string(size) + " bytes, available " + std::to_string(available_bytes()) +
                   " bytes in " + shm_directory +
                   "; remove unused segments there, or make it larger (mount -o remount,size=)");
}

// A second, independent open file on what `fd` leads to, whatever its name. A mapping keeps the open
// file that it was made from alive, locks included, and a forked child inherits mappings: so the
// file that holds our locks is never the one that we map.
inline unique_fd open_again(int fd) noexcept {
    char self[32];
    std::snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return unique_fd(::open(self, O_RDWR | O_CLOEXEC));
}

// Whether descriptor and path lead to one file.
inline bool same_file(const struct stat& a, const struct stat& b) noexcept {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
inline bool same_file(int fd, const std::string& path) noexcept {
    struct stat ours {
    }, named{};
    return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &named) == 0 && same_file(ours, named);
}

// Tries `f` until it says true, for about a second. Only for waits on a living process that is a
// few system calls from done; if it is stopped there, the caller reports it instead of hanging.
template <class F>
[[nodiscard]] bool patiently(F&& f) {
    for (int round = 0; round < 1000; ++round) {
        if (f()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

}  // namespace detail

}  // namespace assay::inline ASSAY_ABI
