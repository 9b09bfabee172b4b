// ring_buffer.hpp -- what the tests of the ring share: records that show when they are torn, a ring of
// several processes, and a reader that keeps the books.
#pragma once
#include "lib/tests/stepped.hpp"

#include <assay/posix_shm.hpp>
#include <assay/ring_buffer.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace testing_ring_buffer {

using namespace testing_stepped;
using assay::ring_buffer;
using testing_processes::child;
using testing_processes::shared_memory;
using testing_processes::shared_value;

inline constexpr std::uint64_t starts[] = {0, (std::uint64_t{1} << 32) - 3,
                                           std::numeric_limits<std::uint64_t>::max() - 2};

inline std::uint8_t noise_byte(std::uint64_t number, std::size_t i) {
    return static_cast<std::uint8_t>((number * 0x9e3779b97f4a7c15 + i * 0xbf58476d1ce4e5b9) >> 56);
}

// A record that knows its number, and whether it is whole: every byte follows from the number.
template <std::size_t Bytes>
struct stamped {
    static_assert(Bytes >= 8);
    std::array<std::uint8_t, Bytes> bytes;

    static stamped make(std::uint64_t number) {
        stamped s;
        std::memcpy(s.bytes.data(), &number, 8);
        for (std::size_t i = 8; i < Bytes; ++i) s.bytes[i] = noise_byte(number, i);
        return s;
    }
    [[nodiscard]] std::uint64_t number() const {
        std::uint64_t n;
        std::memcpy(&n, bytes.data(), 8);
        return n;
    }
    [[nodiscard]] bool whole() const { return bytes == make(number()).bytes; }
};
using odd = stamped<21>;   // three words, the last one in part
using big = stamped<200>;  // 25 words

// A ring in memory that children share, and the handle of this process to it.
template <class T>
struct shared_ring {
    using ring = ring_buffer<T>;
    explicit shared_ring(std::uint64_t count, std::uint64_t start = 0)
        : memory(ring::size_bytes(count)),
          me(*everyone.operator->()),
          records((ring::format(memory.get(), count, start), memory.get()), count, me) {}

    // Another handle: what another process has, or a successor.
    [[nodiscard]] ring handle() { return ring(memory.get(), records.capacity(), me); }
    // The header's words: reserved, committed and start; read; floor; and the first block's.
    [[nodiscard]] std::uint64_t& raw(std::size_t i) {
        constexpr std::size_t at[] = {0, 1, 2, 8, 16, 24};
        return static_cast<std::uint64_t*>(memory.get())[at[i]];
    }

    shared_value<population> everyone;
    shared_memory memory;
    member me;
    ring records;
};

template <class T>
std::vector<T> numbered(std::uint64_t first, std::uint64_t n) {
    std::vector<T> v;
    for (std::uint64_t i = 0; i < n; ++i) v.push_back(T::make(first + i));
    return v;
}

template <class T>
void expect_run(const std::vector<T>& v, std::uint64_t n, std::uint64_t first) {
    for (std::uint64_t i = 0; i < n; ++i) {
        ASSERT_TRUE(v[i].whole());
        ASSERT_EQ(v[i].number(), first + i);
    }
}

// Who follows a ring: each record whole, later than the one before, and none unaccounted for.
struct follower {
    std::uint64_t next = 0;  // number of the next record, if none is lost
    std::uint64_t lost = 0;
    std::uint64_t delivered = 0;

    template <class T>
    bool take(const T& record, std::uint64_t lost_before) {
        skip(lost_before);
        const bool good = record.whole() && record.number() == next;
        ++next, ++delivered;
        return good;
    }
    template <class Reading>
    bool take(const Reading& r) {
        if (r.record) return take(*r.record, r.lost);
        skip(r.lost);
        return true;
    }
    void skip(std::uint64_t n) { lost += n, next += n; }
};

}  // namespace testing_ring_buffer
