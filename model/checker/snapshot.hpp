// snapshot.hpp -- a copy of what a process can change outside shared memory, to see whether it has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace assay::checker {

class snapshot {
public:
    void forget() { copy_.clear(); }
    [[nodiscard]] bool empty() const noexcept { return copy_.empty(); }
    // Copies this memory. Was it the same before? A snapshot that forgot is different from all.
    bool renew(std::span<const std::byte> memory);
    // The same for memory that several processes can change, with what they have on the heap.
    bool renew_with_heap(std::span<const std::byte> memory);

private:
    void add(std::span<const std::byte> memory);
    bool replace();

    std::vector<std::uint64_t> copy_;
    std::vector<std::uint64_t> fresh_;
};

}  // namespace assay::checker
