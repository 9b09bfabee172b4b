// guide.hpp -- who makes the choices of a run instead of the search: a script, or chance.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace assay::checker {

class guide {
public:
    enum class mark : unsigned char { none, fails, wakes, dies };

    guide() = default;
    guide(const guide&) = default;
    guide& operator=(const guide&) = default;
    virtual ~guide() = default;

    // The process that makes the next event, one of these; none: the run ends here.
    [[nodiscard]] virtual std::optional<std::size_t> next(
        const std::vector<std::size_t>& waiting) = 0;
    // May this process make its next event now?
    [[nodiscard]] virtual bool on_turn(std::size_t process) const = 0;
    // Does this happen now, instead of the event?
    [[nodiscard]] virtual bool take(mark what) = 0;
    // The position in mo, at least `bound`, that the event reads or is placed after.
    [[nodiscard]] virtual std::size_t choose(std::size_t bound, std::size_t last) = 0;
    // Does the event just chosen, a weak compare-exchange, fail for no reason?
    [[nodiscard]] virtual bool fails() = 0;
    // Are its choices the only right ones? Otherwise one that is not consistent is chosen again.
    [[nodiscard]] virtual bool insists() const noexcept = 0;
    // The next choice cannot be made, or the one just made should not have been.
    virtual void misfit(const std::string& why, bool taken = false) = 0;
};

}  // namespace assay::checker
