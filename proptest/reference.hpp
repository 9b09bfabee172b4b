// reference.hpp -- what a table of named ranges should do, said as plainly as possible: a map of
// names, and a set of disjoint intervals. No bytes, no processes, no wrap-around.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <tuple>

#include <assay/table.hpp>

namespace assay_proptest {

// An entry as everyone can see it.
struct record {
    std::string name;
    std::uint64_t offset = 0, size = 0, elem_size = 0, num_elem = 0, tag = 0;
    assay::kind what = assay::kind::raw;

    friend bool operator==(const record&, const record&) = default;
    friend std::ostream& operator<<(std::ostream& out, const record& r) {
        return out << r.name << " at " << r.offset << " + " << r.size << " (" << r.num_elem
                   << " of " << r.elem_size << ", tag " << r.tag << ", " << to_string(r.what)
                   << ")";
    }
};

// How an operation ends: it did it; it said no by its return value; or which exception it threw.
enum class ending { done, refused, invalid_argument, no_space, corrupt };

inline std::ostream& operator<<(std::ostream& out, ending e) {
    constexpr const char* names[] = {"done", "refused", "invalid_argument", "no_space", "corrupt"};
    return out << names[static_cast<int>(e)];
}

struct answer {
    ending how = ending::refused;
    std::optional<record> entry;
    bool created = false;

    friend bool operator==(const answer&, const answer&) = default;
    friend std::ostream& operator<<(std::ostream& out, const answer& a) {
        out << a.how;
        if (a.entry) out << (a.created ? ", created " : ", found ") << *a.entry;
        return out;
    }
};

struct counts {
    std::uint64_t entries, available_entries, allocated, available;

    friend bool operator==(const counts&, const counts&) = default;
    friend std::ostream& operator<<(std::ostream& out, const counts& c) {
        return out << c.entries << " entries and " << c.available_entries << " free, "
                   << c.allocated << " bytes and " << c.available << " free";
    }
};

class reference_table {
public:
    reference_table(std::uint64_t begin, std::uint64_t end, std::size_t max_name,
                    std::size_t max_entries)
        : begin_(begin), end_(end), max_name_(max_name), max_entries_(max_entries) {}

    answer add(const std::string& name, const record& wanted) {
        const wide from = wanted.offset, to = from + wanted.size;
        if (!valid(name) || wanted.size == 0 || from < begin_ || to > end_)
            return {ending::invalid_argument, {}};
        if (full() || entries_.contains(name)) return {ending::refused, {}};
        if (next_used(wanted.offset).begin < to) return {ending::invalid_argument, {}};
        return insert(wanted, wanted.offset);
    }

    answer allocate(const std::string& name, const record& wanted, std::uint64_t alignment) {
        if (!valid(name) || !valid(wanted.size, alignment)) return {ending::invalid_argument, {}};
        const auto at = first_fit(wanted.size, alignment);
        if (full() || entries_.contains(name) || !at) return {ending::refused, {}};
        return insert(wanted, *at);
    }

    answer open_or_create(const std::string& name, const record& wanted, std::uint64_t alignment) {
        if (!valid(name)) return {ending::invalid_argument, {}};
        if (const auto found = describe(name)) return {ending::done, found};
        if (!valid(wanted.size, alignment)) return {ending::invalid_argument, {}};
        const auto at = first_fit(wanted.size, alignment);
        if (full() || !at) return {ending::no_space, {}};
        return insert(wanted, *at);
    }

    bool erase(const std::string& name) {
        const auto found = entries_.find(name);
        if (found == entries_.end()) return false;
        used_.erase(found->second.offset);
        entries_.erase(found);
        return true;
    }

    void clear() {
        entries_.clear();
        used_.clear();
    }

    [[nodiscard]] std::optional<record> describe(const std::string& name) const {
        const auto found = entries_.find(name);
        if (found == entries_.end()) return std::nullopt;
        return found->second;
    }

    [[nodiscard]] bool can_allocate(std::uint64_t size, std::uint64_t alignment) const {
        return valid(size, alignment) && !full() && first_fit(size, alignment).has_value();
    }

    [[nodiscard]] counts count() const {
        std::uint64_t allocated = 0;
        for (const auto& [name, entry] : entries_) allocated += entry.size;
        return {entries_.size(), max_entries_ - entries_.size(), allocated,
                end_ - begin_ - allocated};
    }

    [[nodiscard]] const std::map<std::string, record>& entries() const noexcept { return entries_; }

private:
    __extension__ using wide = unsigned __int128;  // sums of two sizes do not wrap

    struct interval {
        wide begin, end;
    };

    [[nodiscard]] bool valid(const std::string& name) const {
        return !name.empty() && name.size() <= max_name_ && name.find('\0') == std::string::npos;
    }
    [[nodiscard]] static bool valid(std::uint64_t size, std::uint64_t alignment) {
        return size != 0 && alignment != 0 && (alignment & (alignment - 1)) == 0 &&
               alignment <= assay::max_structure_bytes;
    }
    [[nodiscard]] bool full() const { return entries_.size() == max_entries_; }

    // The first interval that ends behind `at`, or one beyond all memory.
    [[nodiscard]] interval next_used(wide at) const {
        auto next = used_.upper_bound(static_cast<std::uint64_t>(at));
        if (next != used_.begin() && std::prev(next)->second > at) --next;
        if (next == used_.end()) return {wide{1} << 100, wide{1} << 100};
        return {next->first, next->second};
    }

    // The lowest aligned place where the bytes touch no interval.
    [[nodiscard]] std::optional<std::uint64_t> first_fit(std::uint64_t size,
                                                         std::uint64_t alignment) const {
        const auto aligned = [&](wide n) { return (n + alignment - 1) / alignment * alignment; };
        for (wide at = aligned(begin_);;) {
            if (at + size > end_) return std::nullopt;
            const interval used = next_used(at);
            if (at + size <= used.begin) return static_cast<std::uint64_t>(at);
            at = aligned(used.end);
        }
    }

    answer insert(record entry, std::uint64_t at) {
        entry.offset = at;
        used_[at] = at + entry.size;
        entries_[entry.name] = entry;
        return {ending::done, entry, true};
    }

    std::uint64_t begin_, end_;
    std::size_t max_name_, max_entries_;
    std::map<std::string, record> entries_;
    std::map<std::uint64_t, std::uint64_t> used_;  // begin -> end, disjoint
};

}  // namespace assay_proptest
