// kernel.hpp -- what the kernel offers: pipe, Unix socket, POSIX message queue. None of them waits
// here; full and empty are EAGAIN.
#pragma once

#include <fcntl.h>
#include <mqueue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {

// Two ends, inherited by the forked.
struct ends {
    ends() = default;
    ends(const ends&) = delete;
    ends& operator=(const ends&) = delete;
    ~ends() {
        ::close(out);
        ::close(in);
    }
    int out = -1, in = -1;
};

[[noreturn]] inline void cannot(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// Of a pipe, or of a socket that keeps messages apart.
template <class T>
class user_of_ends {
public:
    user_of_ends(void* memory, std::size_t) : ends_(beside<ends>::of(memory)) {}
    bool put(const T& value) { return ::write(ends_.out, &value, sizeof value) == sizeof value; }
    bool take(T& value) { return ::read(ends_.in, &value, sizeof value) == sizeof value; }

private:
    ends& ends_;
};

// A pipe of so many bytes, by whole pages. An element of up to PIPE_BUF bytes is written whole, and
// one that was written whole is read whole when all are of one size.
template <class T>
struct kernel_pipe {
    static constexpr std::string_view name = "pipe";
    static constexpr unsigned producers = many, consumers = many;
    static_assert(sizeof(T) <= 4096);

    static std::size_t bytes(std::size_t) { return line; }
    static void dispose(void* memory, std::size_t) { beside<ends>::drop(memory); }
    static void format(void* memory, std::size_t capacity) {
        int both[2];
        if (::pipe2(both, O_NONBLOCK | O_CLOEXEC) != 0) cannot("pipe");
        auto& pipe = beside<ends>::keep(memory, std::make_unique<ends>());
        pipe.in = both[0], pipe.out = both[1];
        // Not so much is permitted to everyone: then it keeps its usual 64 KiB.
        ::fcntl(pipe.out, F_SETPIPE_SZ, static_cast<int>(capacity * sizeof(T)));
    }

    using user = user_of_ends<T>;
};

template <class T>
struct kernel_socket {
    static constexpr std::string_view name = "Unix socket";
    static constexpr unsigned producers = many, consumers = many;

    static std::size_t bytes(std::size_t) { return line; }
    static void dispose(void* memory, std::size_t) { beside<ends>::drop(memory); }
    static void format(void* memory, std::size_t) {
        int both[2];
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) != 0)
            cannot("socketpair");
        auto& pair = beside<ends>::keep(memory, std::make_unique<ends>());
        pair.in = both[0], pair.out = both[1];
    }

    using user = user_of_ends<T>;
};

template <class T>
struct posix_mq {
    static constexpr std::string_view name = "POSIX message queue";
    static constexpr unsigned producers = many, consumers = many;

    static std::size_t bytes(std::size_t) { return line; }
    static void dispose(void* memory, std::size_t) { beside<ends>::drop(memory); }
    // As many elements as the limits of the user permit (without privileges, ten).
    static void format(void* memory, std::size_t capacity) {
        const std::string unique = "/assay_perf_" + std::to_string(::getpid());
        auto& queue = beside<ends>::keep(memory, std::make_unique<ends>());
        mq_attr a{};
        a.mq_msgsize = sizeof(T);
        for (; capacity > 0 && queue.in < 0; capacity /= 2) {
            a.mq_maxmsg = static_cast<long>(capacity);
            queue.in = ::mq_open(unique.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &a);
        }
        if (queue.in < 0) cannot("mq_open");
        ::mq_unlink(unique.c_str());
    }

    struct user {
        user(void* memory, std::size_t) : queue(beside<ends>::of(memory)) {}
        bool put(const T& value) {
            return ::mq_send(queue.in, reinterpret_cast<const char*>(&value), sizeof value, 0) == 0;
        }
        bool take(T& value) {
            return ::mq_receive(queue.in, reinterpret_cast<char*>(&value), sizeof value, nullptr) ==
                   sizeof value;
        }

    private:
        ends& queue;
    };
};

}  // namespace assay_perf::peers
