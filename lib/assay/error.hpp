// error.hpp -- what the library throws. Expected outcomes (full, empty, not found) are return
// values; exceptions are for the environment, and for bytes that another process wrote.
// Every message names the segment, what was found, what was expected, and what to do.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// A system call failed; code() is errno.
class system_failure : public std::system_error {
public:
    system_failure(int error, const std::string& what)
        : std::system_error(error, std::generic_category(), what) {}
};

// The memory file system (or the segment, or its table) has no room for what was asked.
class no_space : public system_failure {
public:
    explicit no_space(const std::string& what) : system_failure(ENOSPC, what) {}
};

// The segment or the named structure is not there.
class not_found : public system_failure {
public:
    explicit not_found(const std::string& what) : system_failure(ENOENT, what) {}
};

// It is there, but it is not what the caller asked for: another layout, kind, type or size.
class mismatch : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// The bytes contradict themselves: a broken or hostile process wrote them.
class corrupt : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace assay::inline ASSAY_ABI
