// structure.hpp -- what every named structure is: a kind of entry in a segment's table, created or
// opened by name, with its type checked. Each structure derives from it and adds an algorithm.
//
// Derived provides, and gets called:
//   static constexpr kind structure_kind
//   static std::uint64_t size_bytes(std::uint64_t count)        may throw std::invalid_argument
//   static void format(void* memory, std::uint64_t count)       before anyone else sees the memory
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "error.hpp"
#include "layout.hpp"
#include "owner.hpp"

namespace assay::inline ASSAY_ABI {

template <class Derived, shareable T>
class structure {
public:
    using value_type = T;

    // Whether the segment has a structure of this kind and element type under that name.
    // Wait-free; a value of about now.
    template <class Segment>
    [[nodiscard]] static bool exists(const Segment& segment, std::string_view name) {
        const auto d = segment.get_table()->describe(name);
        return d && d->what == Derived::structure_kind && d->elem_size == sizeof(T) &&
               d->tag == type_tag<T>;
    }

    // The name it was opened by; empty for one on plain memory.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

protected:
    // Opens `name`, or creates it for `count` elements; count 0 only opens. Throws mismatch when
    // what is there has another kind, element type or count; not_found; and what the table throws.
    template <class Segment>
    structure(Segment& segment, std::string_view name, std::uint64_t count)
        : structure(segment, name, count,
                    [count](void* memory) { Derived::format(memory, count); }) {}

    // The same, with another way to format what is created.
    template <class Segment, class Format>
    structure(Segment& segment, std::string_view name, std::uint64_t count, Format format)
        : hold_(segment.hold()), me_(segment.hold().get()), name_(name) {
        auto& names = *segment.get_table();
        auto d = names.describe(name);
        if (!d && count == 0)
            throw not_found("assay: segment '" + segment.name() + "' has no '" + name_ +
                            "'; give a count to create it");
        if (!d)
            d = names
                    .create(name,
                            {Derived::size_bytes(count), alignment(), Derived::structure_kind,
                             sizeof(T), count, type_tag<T>},
                            format)
                    .first;
        check(*d, count);
        memory_ = static_cast<std::byte*>(segment.get_base_addr()) + d->offset;
        count_ = d->num_elem;
    }

    // On memory of the caller that was formatted for `count`: for tests, benchmarks and proofs.
    structure(void* memory, std::uint64_t count, membership& me)
        : me_(&me), memory_(static_cast<std::byte*>(memory)), count_(count) {}

    [[nodiscard]] std::byte* memory() const noexcept { return memory_; }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] membership& me() const noexcept { return *me_; }

    // Every structure starts on a line of its own.
    [[nodiscard]] static constexpr std::uint64_t alignment() noexcept {
        return alignof(T) > line_size ? alignof(T) : line_size;
    }

private:
    // Whether a count that somebody else wrote is possible at all, and needs no more than `bytes`.
    [[nodiscard]] static bool fits(std::uint64_t count, std::uint64_t bytes) {
        try {
            return Derived::size_bytes(count) <= bytes;
        } catch (const std::invalid_argument&) {
            return false;
        }
    }

    template <class Description>
    void check(const Description& d, std::uint64_t count) const {
        const std::string what = "assay: '" + name_ + "' is ";
        if (d.what != Derived::structure_kind)
            throw mismatch(what + "a " + std::string(to_string(d.what)) + ", not a " +
                           std::string(to_string(Derived::structure_kind)));
        if (d.elem_size != sizeof(T))
            throw mismatch(what + "made of elements of " + std::to_string(d.elem_size) +
                           " bytes, the type given has " + std::to_string(sizeof(T)));
        if (d.tag != type_tag<T>)
            throw mismatch(what + "made of another type of the same size (tag " +
                           std::to_string(d.tag) + ", the type given has " +
                           std::to_string(type_tag<T>) + ")");
        if (count != 0 && count != d.num_elem)
            throw mismatch(what + "made for " + std::to_string(d.num_elem) +
                           " elements, asked for were " + std::to_string(count) +
                           "; omit the count to open what is there");
        if (d.num_elem == 0 || d.offset % alignment() != 0 || !fits(d.num_elem, d.size))
            throw corrupt(what + "damaged: " + std::to_string(d.size) + " bytes at offset " +
                          std::to_string(d.offset) + " cannot hold " + std::to_string(d.num_elem) +
                          " elements; a broken process has written to this segment");
    }

    std::shared_ptr<void> hold_;  // the segment's mapping
    membership* me_;
    std::string name_;
    std::byte* memory_ = nullptr;
    std::uint64_t count_ = 0;
};

}  // namespace assay::inline ASSAY_ABI
