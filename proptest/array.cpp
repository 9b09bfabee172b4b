// array and span: what lies inside is reached, what lies outside is refused, at every bound.

#include <assay/array.hpp>
#include <assay/posix_shm.hpp>
#include <assay/span.hpp>
#include <numeric>

#include "proptest/harness.hpp"
#include "proptest/plain.hpp"

namespace assay_proptest {

namespace {

enum class op { write, at, fill, ends, subspan, reopen };

const char* name_of(op o) {
    constexpr const char* names[] = {"write", "at", "fill", "ends", "subspan", "reopen"};
    return names[static_cast<int>(o)];
}

rc::Gen<history<op>> scripts() {
    return histories<op>({{8, op::write},
                          {8, op::at},
                          {1, op::fill},
                          {2, op::ends},
                          {4, op::subspan},
                          {1, op::reopen}},
                         40);
}

// Small numbers as they are, some of the others near the top of the range.
std::uint64_t nasty(std::uint64_t n) {
    return n < 800 ? n % 90 : n < 900 ? UINT64_MAX - n % 90 : (std::uint64_t{1} << 62) + n % 3;
}

// True when f() throws std::out_of_range.
template <class F>
bool refuses(F&& f) {
    try {
        f();
        return false;
    } catch (const std::out_of_range&) {
        return true;
    }
}

template <class T, class Span>
void check_subspan(Span view, const std::vector<T>& expected, std::uint64_t from, std::uint64_t n) {
    const bool inside = from <= expected.size() && n <= expected.size() - from;
    require_equal(refuses([&] { static_cast<void>(view.subspan(from, n)); }), !inside,
                  "whether a part outside is refused");
    if (!inside) return;
    const auto part = view.subspan(from, n);
    require_equal(std::uint64_t{part.size()}, n, "size of a part");
    const auto first = expected.begin() + static_cast<std::ptrdiff_t>(from);
    require(std::equal(part.begin(), part.end(), first, first + static_cast<std::ptrdiff_t>(n)),
            "a part has other elements");
}

template <class T, class Arrays>
void is_a_vector(context& c) {
    explore(c, scripts(), [](const history<op>& h) {
        Arrays arrays(h.count);
        std::vector<T> expected(h.count);
        for (const auto& x : h.actions) {
            auto& a = arrays[x.handle];
            const std::uint64_t i = nasty(x.b);
            switch (x.what) {
                case op::write:
                    a[x.a % h.count] = expected[x.a % h.count] = T::of(x.b);
                    break;
                case op::at:
                    require_equal(refuses([&] { static_cast<void>(a.at(i)); }), i >= h.count,
                                  "whether an index outside is refused");
                    if (i < h.count) require_equal(a.at(i), expected[i], "an element");
                    break;
                case op::fill:
                    a.fill(T::of(x.b));
                    expected.assign(h.count, T::of(x.b));
                    break;
                case op::ends:
                    a.front() = expected.front() = T::of(x.b);
                    a.back() = expected.back() = T::of(x.a);
                    break;
                case op::subspan:
                    check_subspan(a.as_span(), expected, i, nasty(x.a));
                    break;
                case op::reopen:
                    arrays.reopen(x.handle);
                    break;
            }
            for (unsigned n = 0; n < 2; ++n) {
                const auto& each = std::as_const(arrays[n]);
                require_equal(std::uint64_t{each.size()}, h.count, "size");
                require(std::equal(each.begin(), each.end(), expected.begin(), expected.end()),
                        "elements differ from those of the vector");
                require(std::equal(each.rbegin(), each.rend(), expected.rbegin(), expected.rend()),
                        "elements differ backwards");
            }
        }
    });
}

// The same in a segment, by name.
template <class T>
class named_pair {
public:
    explicit named_pair(std::uint64_t count)
        : segment_("assay-proptest-" + std::to_string(::getpid()),
                   assay::posix_shm_small::size_for(count * sizeof(T) + 256)),
          first_(segment_, "a", count),
          second_(segment_, "a") {
        segment_.unlink();
    }
    assay::array<T>& operator[](unsigned i) { return i % 2 == 0 ? first_ : second_; }
    void reopen(unsigned i) { (*this)[i] = assay::array<T>(segment_, "a"); }

private:
    assay::posix_shm_small segment_;
    assay::array<T> first_, second_;
};

// Compares the sum, which wraps, instead of what is left.
template <class T>
struct careless_span {
    const std::vector<T>& elements;
    careless_span subspan(std::uint64_t from, std::uint64_t n) const {
        if (from + n > elements.size()) throw std::out_of_range("outside");
        return *this;
    }
    [[nodiscard]] std::size_t size() const { return elements.size(); }
    [[nodiscard]] auto begin() const { return elements.begin(); }
    [[nodiscard]] auto end() const { return elements.end(); }
};

void careless(context& c) {
    explore(c, scripts(), [](const history<op>& h) {
        using T = element<8>;
        const std::vector<T> expected(h.count);
        for (const auto& x : h.actions) {
            const std::uint64_t from = nasty(x.b), n = nasty(x.a * 12);
            if (from <= h.count && n <= h.count - from) continue;  // not what this is about
            check_subspan(careless_span<T>{expected}, expected, from, n);
        }
    });
}

const registration array_properties([](std::vector<check>& all) {
    const std::string what = "commands through two handles against std::vector, elements of ";
    all.push_back({"array/is_a_vector_of_1_byte", what + "1 byte",
                   is_a_vector<element<1>, pair_of<assay::array<element<1>>>>, 0.3});
    all.push_back({"array/is_a_vector_of_24_bytes", what + "24 bytes",
                   is_a_vector<element<24>, pair_of<assay::array<element<24>>>>, 0.3});
    all.push_back({"array/is_a_vector_by_name", what + "7 bytes, in a segment",
                   is_a_vector<element<7>, named_pair<element<7>>>, 0.3});
    check c{"array/canary_subspan_adds_without_care", "a sum of offset and count that wraps",
            careless};
    c.canary = true;
    c.longest = 1;
    all.push_back(std::move(c));
});

}  // namespace

}  // namespace assay_proptest
