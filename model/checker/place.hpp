// place.hpp -- the caller's place in the source: std::source_location, which clang 14 lacks.
#pragma once

#include <version>

#if defined(__cpp_lib_source_location)
#include <source_location>
#else
#include <cstdint>
#endif

namespace assay::checker {

#if defined(__cpp_lib_source_location)
using place = std::source_location;
#else
class place {
public:
    static constexpr place current(const char* file = __builtin_FILE(),
                                   const char* function = __builtin_FUNCTION(),
                                   std::uint32_t line = __builtin_LINE(),
                                   std::uint32_t column = __builtin_COLUMN()) noexcept {
        place p;
        p.file_ = file;
        p.function_ = function;
        p.line_ = line;
        p.column_ = column;
        return p;
    }
    [[nodiscard]] constexpr const char* file_name() const noexcept { return file_; }
    [[nodiscard]] constexpr const char* function_name() const noexcept { return function_; }
    [[nodiscard]] constexpr std::uint32_t line() const noexcept { return line_; }
    [[nodiscard]] constexpr std::uint32_t column() const noexcept { return column_; }

private:
    const char* file_ = "";
    const char* function_ = "";
    std::uint32_t line_ = 0;
    std::uint32_t column_ = 0;
};
#endif

}  // namespace assay::checker
