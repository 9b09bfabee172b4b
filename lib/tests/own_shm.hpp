// own_shm.hpp -- a /dev/shm that other tests neither fill nor see, in a mount namespace of its own.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <string>

#include "lib/tests/processes.hpp"

namespace testing_processes {

// Runs f in a child whose /dev/shm is a fresh tmpfs of `size` bytes; 77 when that is not permitted.
template <class F>
int with_own_shm(const std::string& size, F&& f) {
    child c([&] {
        if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
        if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
        if (::mount("tmpfs", "/dev/shm", "tmpfs", 0, ("size=" + size).c_str()) != 0) return 77;
        f();
        return ::testing::Test::HasFailure() ? 1 : 0;
    });
    return c.exit_code();
}

}  // namespace testing_processes

// Of what with_own_shm said.
#define ASSERT_PASSED_OR_SKIP(code)                                              \
    do {                                                                         \
        const int result = (code);                                               \
        if (result == 77) GTEST_SKIP() << "the host permits no mount namespace"; \
        ASSERT_EQ(result, 0);                                                    \
    } while (false)
