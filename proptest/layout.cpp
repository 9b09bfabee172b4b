// The arithmetic on sizes that others wrote: exact, or refused.

#include <assay/layout.hpp>
#include <bit>

#include "proptest/harness.hpp"

namespace assay_proptest {

namespace {

__extension__ using wide = unsigned __int128;

struct operands {
    std::uint64_t a, b;
};
std::ostream& operator<<(std::ostream& out, const operands& o) {
    return out << o.a << " and " << o.b;
}
std::size_t length(const operands&) { return 2; }

// As many numbers of each magnitude, so that sums and products land on both sides of the limit.
rc::Gen<operands> pairs() {
    namespace gen = rc::gen;
    const auto number = gen::map(
        gen::tuple(gen::inRange(0, 64), gen::inRange<std::uint64_t>(0, UINT64_MAX),
                   gen::inRange(-2, 3)),
        [](auto t) {
            const auto [shift, bits, near] = t;
            return near == 2 ? bits >> shift
                             : (std::uint64_t{1} << shift) + static_cast<std::uint64_t>(near);
        });
    return gen::map(gen::pair(number, number), [](auto p) { return operands{p.first, p.second}; });
}

using checked = std::optional<std::uint64_t> (*)(std::uint64_t, std::uint64_t);

template <checked Add, checked Multiply>
void exact_or_nothing(context& c) {
    explore(c, pairs(), [](const operands& o) {
        const auto agrees = [&](std::optional<std::uint64_t> found, wide expected,
                                const char* what) {
            require(found.has_value() == (expected <= UINT64_MAX), what);
            require(!found || *found == expected, what);
        };
        agrees(Add(o.a, o.b), wide{o.a} + o.b, "checked_add");
        agrees(Multiply(o.a, o.b), wide{o.a} * o.b, "checked_mul");
    });
}

void aligns_up(context& c) {
    explore(c, pairs(), [](const operands& o) {
        const std::uint64_t alignment = std::bit_floor(o.b | 1);
        if (wide{o.a} + alignment > UINT64_MAX) return;  // the caller's duty
        const std::uint64_t up = assay::align_up(o.a, alignment);
        require(up % alignment == 0 && up >= o.a && up - o.a < alignment, "align_up");
    });
}

// What `a * b < a` was meant to notice.
std::optional<std::uint64_t> guessed_mul(std::uint64_t a, std::uint64_t b) {
    if (b != 0 && a * b < a) return std::nullopt;
    return a * b;
}

const registration layout_properties([](std::vector<check>& all) {
    all.push_back({"layout/sums_and_products_are_exact_or_nothing", "against 128-bit arithmetic",
                   exact_or_nothing<assay::checked_add, assay::checked_mul>, 0.2, 1000});
    all.push_back(
        {"layout/align_up_gives_the_next_multiple", "for each power of two", aligns_up, 0.2, 1000});
    check c{"layout/canary_product_checked_by_comparison", "a product that wraps past its factor",
            exact_or_nothing<assay::checked_add, guessed_mul>};
    c.canary = true;
    c.longest = 2;
    all.push_back(std::move(c));
});

}  // namespace

}  // namespace assay_proptest
