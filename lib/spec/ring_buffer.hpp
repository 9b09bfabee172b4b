// ring_buffer.hpp -- the sequential specification of assay::ring_buffer. Records are the digits 1 to
// 9; several are one number, the first of them its last digit. Positions count records from 0.
//
// A push is several steps, because others may see the first before the last:
//   drop(n)       -> nothing: makes room for n by taking unread ones away, if need be
//   announce(n)   -> how many it announces; what they replace may not be whole any more
//   append(d)     -> how many it appends, adjacent ones; fewer only when there is no room
//   take(n)       -> {digits, lost}: what comes next, `lost` having been overwritten before it
//   skip(n)       -> {number passed over, lost}
//   peek()        -> the oldest unread record that is whole
//   last(n)       -> the newest ones
//   join(n)       -> nothing: a reader begins with the n newest
//   next(n)       -> {digits, lost}, for this process's reader
// Nothing (no record, none lost) is always a possible answer, and so is "full": whether the caller
// should have known better is not a question of order, and is asked by the model (known_better).
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct ring_buffer {
    std::int64_t capacity = 1;
    std::vector<std::int64_t> records{};  // all that were ever appended
    std::int64_t announced = 0;           // positions
    std::int64_t floor = 0;
    std::int64_t read = 0;
    std::array<std::int64_t, 8> readers{};  // by process

    auto operator<=>(const ring_buffer&) const = default;

    [[nodiscard]] static constexpr std::int64_t pack(std::int64_t what,
                                                     std::int64_t lost) noexcept {
        return lost << 32 | what;
    }
    [[nodiscard]] static constexpr std::int64_t digits(std::int64_t number) noexcept {
        std::int64_t n = 0;
        for (; number > 0; number /= 10) ++n;
        return n;
    }

    [[nodiscard]] std::vector<ring_buffer> after(const operation& o) const {
        if (o.result == not_tried) return {*this};
        ring_buffer next = *this;
        const std::int64_t what = o.result.value_or(0) & 0xffffffff;
        if (o.name == "drop") {
            const std::int64_t end = written() + o.argument;
            if (end - oldest() > capacity) next.floor = end - capacity;
            return {next};
        }
        if (o.name == "announce") {
            next.announced = std::max(announced, written() + o.result.value_or(o.argument));
            return {next};
        }
        if (o.name == "append") return append(o);
        if (o.name == "skip") return skip(o);
        if (o.name == "take") return next.follow(next.read, floor, o);
        if (o.name == "next") return next.follow(next.reader_of(o), announced - capacity, o);
        if (o.name == "join") {
            next.reader_of(o) = written() - std::min({o.argument, capacity, written()});
            return {next};
        }
        if (!o.result || what == 0) return {next};
        const std::int64_t n = digits(what);
        const std::int64_t whole = std::max<std::int64_t>(announced - capacity, 0);
        const std::int64_t from = o.name == "peek" ? std::max(read, whole) : written() - n;
        if (from < whole || n > o.argument || !matches(from, what)) return {};
        return {next};
    }

private:
    [[nodiscard]] std::int64_t written() const { return static_cast<std::int64_t>(records.size()); }
    [[nodiscard]] std::int64_t oldest() const { return std::max(read, floor); }
    [[nodiscard]] std::int64_t& reader_of(const operation& o) {
        return readers[static_cast<std::size_t>(o.process)];
    }
    [[nodiscard]] bool matches(std::int64_t from, std::int64_t number) const {
        for (; number > 0; number /= 10, ++from)
            if (from < 0 || from >= written() ||
                records[static_cast<std::size_t>(from)] != number % 10)
                return false;
        return true;
    }

    [[nodiscard]] std::vector<ring_buffer> append(const operation& o) const {
        const std::int64_t n = o.result.value_or(digits(o.argument));
        if (written() + n - oldest() > capacity || written() + n > announced) return {};
        ring_buffer next = *this;
        for (std::int64_t i = 0, rest = o.argument; i < n; ++i, rest /= 10)
            next.records.push_back(rest % 10);
        return {next};
    }
    [[nodiscard]] std::vector<ring_buffer> skip(const operation& o) const {
        std::vector<ring_buffer> next;
        const std::int64_t passed = o.result.value_or(0) & 0xffffffff;
        const std::int64_t lost = o.result.value_or(0) >> 32;
        // Of those that it passed over, some may have been overwritten meanwhile.
        if (lost > std::max<std::int64_t>(floor - read, 0)) return {};
        for (std::int64_t to = read; to <= written(); ++to)
            if (!o.result || to == read + lost + passed) {
                next.push_back(*this);
                next.back().read = to;
            }
        return next;
    }
    // One step from position `at`, those before `gone` being lost.
    [[nodiscard]] std::vector<ring_buffer> follow(std::int64_t& at, std::int64_t gone,
                                                  const operation& o) {
        if (!o.result) {
            // It died, or is still inside: so much may have been taken.
            std::vector<ring_buffer> all;
            const std::int64_t from = std::max(at, gone);
            for (std::int64_t n = 0; n <= o.argument && from + n <= written(); ++n) {
                at = from + n;
                all.push_back(*this);
            }
            return all;
        }
        const std::int64_t what = *o.result & 0xffffffff, lost = *o.result >> 32;
        if (lost != std::max<std::int64_t>(gone - at, 0) || !matches(at + lost, what)) return {};
        at += lost + digits(what);
        return {*this};
    }
};

}  // namespace assay::spec
