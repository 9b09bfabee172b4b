// relation.hpp -- sets of events and relations between them, as boolean matrices.
//
// The notation follows the papers: with `[S]` the identity on S and `;` composition,
//     [W] ; sb ; [F]   is written   only(W) >> sb >> only(F)
// Precedence is that of C++: >> binds tighter than &, and & tighter than |.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>

namespace assay::proof {

// A set of events; events are numbered from 0.
class event_set {
public:
    using word = std::uint32_t;  // small: the oracle spends its time on copies of relations
    static constexpr int capacity = 32;

    void insert(int e) { bits_ |= word{1} << e; }
    [[nodiscard]] bool contains(int e) const { return (bits_ >> e & 1) != 0; }
    [[nodiscard]] bool empty() const { return bits_ == 0; }

    friend event_set operator|(event_set a, event_set b) { return event_set(a.bits_ | b.bits_); }
    friend event_set operator&(event_set a, event_set b) { return event_set(a.bits_ & b.bits_); }
    friend event_set operator-(event_set a, event_set b) { return event_set(a.bits_ & ~b.bits_); }
    friend bool operator==(event_set, event_set) = default;

    template <class F>
    void for_each(F f) const {
        for (auto rest = bits_; rest != 0; rest &= rest - 1) f(std::countr_zero(rest));
    }

    event_set() = default;

private:
    explicit event_set(word bits) : bits_(bits) {}
    word bits_ = 0;
};

// A relation on the events 0 .. size - 1: row a is the set of all b with (a, b) in the relation.
class relation {
public:
    explicit relation(int size) : size_(size) { assert(size <= event_set::capacity); }

    [[nodiscard]] int size() const { return size_; }
    void insert(int a, int b) { row(a).insert(b); }
    [[nodiscard]] bool contains(int a, int b) const { return row(a).contains(b); }
    [[nodiscard]] event_set after(int a) const { return row(a); }

    // Makes room for one more event, related to nothing.
    void grow() {
        assert(size_ < event_set::capacity);
        ++size_;
    }

    friend relation operator|(relation a, const relation& b) {
        for (int e = 0; e < a.size_; ++e) a.row(e) = a.row(e) | b.row(e);
        return a;
    }
    friend relation operator&(relation a, const relation& b) {
        for (int e = 0; e < a.size_; ++e) a.row(e) = a.row(e) & b.row(e);
        return a;
    }
    friend relation operator-(relation a, const relation& b) {
        for (int e = 0; e < a.size_; ++e) a.row(e) = a.row(e) - b.row(e);
        return a;
    }
    // Composition: `a ; b`.
    friend relation operator>>(const relation& a, const relation& b) {
        relation r(a.size_);
        for (int e = 0; e < a.size_; ++e) {
            a.row(e).for_each([&](int middle) { r.row(e) = r.row(e) | b.row(middle); });
        }
        return r;
    }

    [[nodiscard]] bool empty() const {
        for (int e = 0; e < size_; ++e)
            if (!row(e).empty()) return false;
        return true;
    }
    [[nodiscard]] bool irreflexive() const {
        for (int e = 0; e < size_; ++e)
            if (contains(e, e)) return false;
        return true;
    }

    // The identity on all `size` events.
    static relation identity(int size) {
        relation r(size);
        for (int e = 0; e < size; ++e) r.insert(e, e);
        return r;
    }
    // [S]
    static relation identity(int size, event_set s) {
        relation r(size);
        s.for_each([&](int e) { r.insert(e, e); });
        return r;
    }

    // r+, by Warshall's algorithm.
    friend relation plus(relation r) {
        for (int middle = 0; middle < r.size_; ++middle)
            for (int e = 0; e < r.size_; ++e)
                if (r.contains(e, middle)) r.row(e) = r.row(e) | r.row(middle);
        return r;
    }
    // r?
    friend relation maybe(const relation& r) { return r | identity(r.size_); }
    // r*
    friend relation star(const relation& r) { return maybe(plus(r)); }
    friend relation inverse(const relation& r) {
        relation i(r.size_);
        for (int a = 0; a < r.size_; ++a) r.row(a).for_each([&](int b) { i.insert(b, a); });
        return i;
    }
    friend bool acyclic(const relation& r) { return plus(r).irreflexive(); }

private:
    event_set& row(int e) { return rows_[static_cast<std::size_t>(e)]; }
    [[nodiscard]] const event_set& row(int e) const { return rows_[static_cast<std::size_t>(e)]; }

    int size_;
    std::array<event_set, event_set::capacity> rows_{};
};

}  // namespace assay::proof
