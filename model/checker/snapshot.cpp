#include "snapshot.hpp"

#include "allocations.hpp"

namespace assay::checker {

// Frames have parts that a sanitizer forbids to touch (the gaps between variables), and that the
// compiler believes nobody reads: hence volatile, and no instrumentation here.
__attribute__((no_sanitize("address", "undefined"))) void snapshot::add(
    std::span<const std::byte> memory) {
    const volatile std::byte* const from = memory.data();
    const std::size_t n = memory.size();
    fresh_.push_back(n);
    std::size_t i = 0;
    if (reinterpret_cast<std::uintptr_t>(memory.data()) % sizeof(std::uint64_t) == 0) {
        using word [[gnu::may_alias]] = const volatile std::uint64_t;
        word* const words = reinterpret_cast<word*>(from);
        for (; i + sizeof(std::uint64_t) <= n; i += sizeof(std::uint64_t))
            fresh_.push_back(std::uint64_t{words[i / sizeof(std::uint64_t)]});
    }
    for (; i < n; ++i) fresh_.push_back(static_cast<std::uint64_t>(from[i]));
}

bool snapshot::replace() {
    const bool same = copy_ == fresh_;
    copy_.swap(fresh_);
    fresh_.clear();
    return same;
}

bool snapshot::renew(std::span<const std::byte> memory) {
    const own_allocations guard;
    add(memory);
    return replace();
}

bool snapshot::renew_with_heap(std::span<const std::byte> memory) {
    const own_allocations guard;
    add(memory);
    for_each_owned(
        [](void* self, std::span<const std::byte> block) {
            static_cast<snapshot*>(self)->add(block);
        },
        this);
    return replace();
}

}  // namespace assay::checker
