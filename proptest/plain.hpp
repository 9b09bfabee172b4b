// plain.hpp -- structures on plain memory, for properties of one process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>

#include <assay/layout.hpp>
#include <assay/owner.hpp>

#include "proptest/harness.hpp"

namespace assay_proptest {

// A process that is alone with its memory.
class lone final : public assay::membership {
public:
    lone() { id_ = assay::make_owner(0, 1); }
    [[nodiscard]] bool alive(assay::owner_id id) const noexcept override { return id == id_; }

private:
    assay::owner_id renew() override { return id_; }
};

// Two handles to one structure, on heap memory of exactly the size that it asks for: one byte
// more, and the address sanitizer sees it.
template <class Structure>
class pair_of {
public:
    template <class... Arguments>
    explicit pair_of(std::uint64_t count, Arguments... more)
        : count_(count),
          memory_(::operator new (Structure::size_bytes(count), std::align_val_t{alignment})) {
        Structure::format(memory_.get(), count, more...);
        reopen(0);
        reopen(1);
    }
    Structure& operator[](std::size_t i) { return *handles_[i % 2]; }
    void reopen(std::size_t i) {
        handles_[i % 2].reset();
        handles_[i % 2].emplace(memory_.get(), count_, me_);
    }

private:
    static constexpr std::size_t alignment = 4096;
    struct release {
        void operator()(void* p) const noexcept {
            ::operator delete (p, std::align_val_t{alignment});
        }
    };

    std::uint64_t count_;
    lone me_;
    std::unique_ptr<void, release> memory_;
    std::array<std::optional<Structure>, 2> handles_;
};

// An element of any size, made from a number and compared by all its bytes.
template <std::size_t Size>
struct element {
    std::array<unsigned char, Size> bytes;

    static element of(std::uint64_t n) {
        element e;
        for (std::size_t i = 0; i < Size; ++i)
            e.bytes[i] = static_cast<unsigned char>((n + 1) * (i + 1) * 0x9e3779b97f4a7c15 >> 56);
        return e;
    }
    friend bool operator==(const element&, const element&) = default;
    friend std::ostream& operator<<(std::ostream& out, const element& e) {
        for (const unsigned char b : e.bytes) out << std::hex << int{b} << std::dec << '.';
        return out;
    }
};

// A step of a stateful property; what a, b and handle mean is the operation's affair.
template <class Operation>
struct action {
    Operation what;
    unsigned handle;
    std::uint64_t a, b;
};

template <class Operation>
struct history {
    std::uint64_t count;  // of the structure
    std::uint64_t start;  // of its counters
    std::vector<action<Operation>> actions;

    friend std::size_t length(const history& h) { return h.actions.size(); }
    friend std::ostream& operator<<(std::ostream& out, const history& h) {
        out << "count " << h.count << ", start " << h.start << ": ";
        for (const auto& x : h.actions)
            out << name_of(x.what) << '(' << x.a << ", " << x.b << ")@" << x.handle << "; ";
        return out;
    }
};

// Small structures, so that they are full and empty often; counters from 0 and before each wrap.
template <class Operation>
rc::Gen<history<Operation>> histories(
    std::initializer_list<std::pair<std::size_t, Operation>> weights, std::uint64_t max_count) {
    namespace gen = rc::gen;
    const auto actions = gen::map(
        gen::tuple(gen::weightedElement<Operation>(weights), gen::inRange(0u, 2u),
                   gen::inRange<std::uint64_t>(0, 2 * max_count),
                   gen::inRange<std::uint64_t>(0, 1000)),
        [](auto t) { return std::apply([](auto... f) { return action<Operation>{f...}; }, t); });
    const auto starts = gen::weightedOneOf<std::uint64_t>(
        {{3, gen::just<std::uint64_t>(0)},
         {1, gen::map(gen::inRange<std::uint64_t>(1, 6), [](auto n) { return 0 - n; })},
         {1, gen::map(gen::inRange<std::uint64_t>(1, 6),
                      [](auto n) { return (std::uint64_t{1} << 32) - n; })},
         {1, gen::map(gen::inRange<std::uint64_t>(1, 6),
                      [](auto n) { return (std::uint64_t{1} << 63) - n; })}});
    return gen::map(gen::tuple(gen::inRange<std::uint64_t>(1, max_count + 1), starts,
                               gen::container<std::vector<action<Operation>>>(actions)),
                    [](auto t) {
                        return std::apply(
                            [](auto c, auto s, auto v) {
                                return history<Operation>{c, s, std::move(v)};
                            },
                            std::move(t));
                    });
}

}  // namespace assay_proptest
