// processes.hpp -- what tests with real processes share: children, and memory between them.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>

namespace testing_processes {

// A forked child that runs `f` and ends: with f's result when that is an int, else with 0, or with
// 111 after an exception (printed). Killed and reaped when it goes out of scope.
class child {
public:
    template <class F>
    explicit child(F&& f) : pid_(::fork()) {
        if (pid_ != 0) return;
        int status = 0;
        try {
            if constexpr (std::is_same_v<decltype(f()), int>)
                status = f();
            else
                f();
        } catch (const std::exception& e) {
            std::fprintf(stderr, "child %d: %s\n", static_cast<int>(::getpid()), e.what());
            status = 111;
        }
        ::_exit(status);
    }
    child(child&& o) noexcept : pid_(std::exchange(o.pid_, -1)) {}
    child& operator=(child&&) = delete;
    ~child() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        wait();
    }

    [[nodiscard]] pid_t pid() const { return pid_; }
    void send(int signal) const { ::kill(pid_, signal); }

    // Waits for its end; the raw status of waitpid.
    int wait() {
        int status = 0;
        if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), &status, 0);
        return status;
    }
    // Waits until it is stopped by a signal (true) or has ended, which wait() then tells.
    [[nodiscard]] bool stopped_or_ended() const {
        siginfo_t what{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &what, WEXITED | WSTOPPED | WNOWAIT);
        return what.si_code == CLD_STOPPED;
    }
    // Waits; the exit code, or 128 + the signal that killed it.
    int exit_code() {
        const int status = wait();
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    void kill() {
        send(SIGKILL);
        wait();
    }

private:
    pid_t pid_;
};

// Zeroed memory that children share with their parent, at the same address.
class shared_memory {
public:
    explicit shared_memory(std::size_t size)
        : size_(size),
          at_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (at_ == MAP_FAILED) throw std::bad_alloc();
    }
    shared_memory(const shared_memory&) = delete;
    ~shared_memory() { ::munmap(at_, size_); }
    [[nodiscard]] void* get() const { return at_; }
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    std::size_t size_;
    void* at_;
};

// One T in such memory. T is trivially constructible from zero bytes.
template <class T>
class shared_value {
public:
    shared_value() : memory_(sizeof(T)) {}
    T* operator->() const { return static_cast<T*>(memory_.get()); }
    T& operator*() const { return *static_cast<T*>(memory_.get()); }

private:
    shared_memory memory_;
};

// What the exception says that f throws; a failure of the test when it throws none.
template <class E, class F>
std::string message_of(F&& f) {
    try {
        f();
    } catch (const E& e) {
        return e.what();
    }
    ADD_FAILURE() << "the expected exception was not thrown";
    return {};
}

// A name that no other test process uses now. The prefix lets the suite find what a test left.
inline std::string unique_name(const std::string& what = "") {
    static int count = 0;
    return "assay-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count) + what;
}

}  // namespace testing_processes
