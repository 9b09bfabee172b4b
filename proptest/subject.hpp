// subject.hpp -- tables under test behind one interface: the real one on plain memory and in a
// segment, and small broken ones that the properties must tell from it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <assay/posix_shm.hpp>
#include <assay/table.hpp>

#include "proptest/harness.hpp"
#include "proptest/plain.hpp"
#include "proptest/reference.hpp"

namespace assay_proptest {

template <class F>
answer answer_of(F&& operation) {
    try {
        return operation();
    } catch (const std::invalid_argument&) {
        return {ending::invalid_argument, {}};
    } catch (const assay::no_space&) {
        return {ending::no_space, {}};
    } catch (const assay::corrupt&) {
        return {ending::corrupt, {}};
    }
}

class subject {
public:
    virtual ~subject() = default;

    virtual answer add(const std::string& name, const record& wanted) = 0;
    virtual answer allocate(const std::string& name, const record& wanted,
                            std::uint64_t alignment) = 0;
    // Fills what it creates with fill_byte(name).
    virtual answer open_or_create(const std::string& name, const record& wanted,
                                  std::uint64_t alignment) = 0;
    virtual bool erase(const std::string& name) = 0;
    virtual void clear() = 0;
    [[nodiscard]] virtual std::optional<record> describe(const std::string& name) const = 0;
    [[nodiscard]] virtual std::vector<record> list() const = 0;
    [[nodiscard]] virtual counts count() const = 0;
    [[nodiscard]] virtual bool can_allocate(std::uint64_t size, std::uint64_t alignment) const = 0;
    virtual void reopen() {}  // looks at the same memory through a new object

    std::byte* base = nullptr;  // of the segment: offsets count from here
    std::uint64_t begin = 0, end = 0;
    std::size_t max_name = 0, max_entries = 0;

    [[nodiscard]] static std::byte fill_byte(const std::string& name) {
        return static_cast<std::byte>(assay::hash_bytes(name) & 0xff);
    }
};

// Operations of a real table, whatever memory it is in.
template <class Table>
class real_subject : public subject {
public:
    answer add(const std::string& name, const record& w) override {
        return answer_of([&]() -> answer {
            if (!table_->add(name, w.offset, w.size, w.elem_size, w.num_elem)) return {};
            return {ending::done, describe(name), true};
        });
    }
    answer allocate(const std::string& name, const record& w, std::uint64_t alignment) override {
        return answer_of([&]() -> answer {
            const auto* const entry = table_->allocate(name, w.size, alignment);
            if (entry == nullptr) return {};
            require(entry == table_->find(name), "allocate returns another entry than find");
            return {ending::done, describe(name), true};
        });
    }
    answer open_or_create(const std::string& name, const record& w,
                          std::uint64_t alignment) override {
        return answer_of([&]() -> answer {
            const auto [d, created] = table_->open_or_create(
                name, {w.size, alignment, w.what, w.elem_size, w.num_elem, w.tag},
                [&](void* memory) {
                    std::memset(memory, std::to_integer<int>(fill_byte(name)), w.size);
                });
            return {ending::done, as_record(name, d), created};
        });
    }
    bool erase(const std::string& name) override { return table_->erase(name); }
    void clear() override { table_->clear(); }

    [[nodiscard]] std::optional<record> describe(const std::string& name) const override {
        const auto* const entry = table_->find(name);
        const auto d = table_->describe(name);
        require((entry != nullptr) == d.has_value(), "find and describe differ");
        if (!d) return std::nullopt;
        require(as_record(name, *d) == as_record(*entry), "find and describe differ in a field");
        return as_record(name, *d);
    }
    [[nodiscard]] std::vector<record> list() const override {
        std::vector<record> all;
        for (const auto& entry : *table_) all.push_back(as_record(entry));
        return all;
    }
    [[nodiscard]] counts count() const override {
        return {table_->get_entry_count(), table_->get_available_entries(),
                table_->get_total_allocated_size(), table_->get_available_size()};
    }
    [[nodiscard]] bool can_allocate(std::uint64_t size, std::uint64_t alignment) const override {
        return table_->can_allocate(size, alignment);
    }

protected:
    void look_at(Table& table) {
        table_ = &table;
        begin = table.data_begin();
        end = table.data_end();
        max_name = Table::max_name_size;
        max_entries = Table::max_entries;
    }

private:
    static record as_record(const std::string& name, const typename Table::description& d) {
        return {name, d.offset, d.size, d.elem_size, d.num_elem, d.tag, d.what};
    }
    static record as_record(const typename Table::entry& e) {
        return {e.name,
                e.offset,
                e.size,
                e.elem_size,
                e.num_elem,
                e.tag,
                static_cast<assay::kind>(static_cast<std::uint32_t>(e.what))};
    }

    Table* table_ = nullptr;
};

// On heap memory, with guard bytes before and behind the data area.
template <class Table>
class plain_subject final : public real_subject<Table> {
public:
    plain_subject(std::uint64_t area_begin, std::uint64_t area_size)
        : memory_(new (std::align_val_t{assay::line_size}) std::byte[Table::size_bytes()]{}),
          bytes_(area_begin + area_size + guard, guard_byte) {
        Table::format(memory_.get());
        this->base = bytes_.data();
        open(area_begin, area_begin + area_size);
    }
    ~plain_subject() override { table_.reset(); }

    void reopen() override { open(this->begin, this->end); }

    // Nobody wrote outside the data area.
    [[nodiscard]] bool guards_intact() const {
        const auto is_guard = [](std::byte b) { return b == guard_byte; };
        return std::all_of(bytes_.begin(), bytes_.begin() + offset(this->begin), is_guard) &&
               std::all_of(bytes_.begin() + offset(this->end), bytes_.end(), is_guard);
    }

    [[nodiscard]] std::byte* table_memory() noexcept { return memory_.get(); }
    [[nodiscard]] Table& table() noexcept { return *table_; }

private:
    static constexpr std::size_t guard = 64;
    static constexpr std::byte guard_byte{0xa5};

    struct release {
        void operator()(std::byte* p) const noexcept {
            ::operator delete[](p, std::align_val_t{assay::line_size});
        }
    };
    static std::ptrdiff_t offset(std::uint64_t n) { return static_cast<std::ptrdiff_t>(n); }

    void open(std::uint64_t from, std::uint64_t to) {
        table_.emplace(memory_.get(), bytes_.data(), from, to, me_);
        this->look_at(*table_);
    }

    lone me_;
    std::unique_ptr<std::byte[], release> memory_;
    std::vector<std::byte> bytes_;
    std::optional<Table> table_;
};

// In a segment, which loses its name at once: nothing is left, however the process ends.
template <class Table>
class segment_subject final : public real_subject<Table> {
public:
    segment_subject(std::uint64_t, std::uint64_t area_size)
        : segment_("assay-proptest-" + std::to_string(::getpid()),
                   assay::posix_shm_impl<Table>::size_for(area_size)) {
        segment_.unlink();
        this->base = static_cast<std::byte*>(segment_.get_base_addr());
        this->look_at(*segment_.get_table());
    }

private:
    assay::posix_shm_impl<Table> segment_;
};

// What a canary gets wrong.
enum class bug { none, never_reclaims, cuts_names, ignores_alignment, overlaps_by_one, erases_any };

// The seed's design in a vector, correct but for one bug. Without a bug it passes all properties,
// so that what a canary is caught for is its bug.
class toy_subject final : public subject {
public:
    toy_subject(bug flaw, std::uint64_t area_begin, std::uint64_t area_size)
        : flaw_(flaw), bytes_(area_begin + area_size), bump_(area_begin) {
        base = bytes_.data();
        begin = area_begin;
        end = area_begin + area_size;
        max_name = assay::table_small::max_name_size;
        max_entries = assay::table_small::max_entries;
    }

    answer add(const std::string& given, const record& w) override {
        return answer_of([&]() -> answer {
            const std::string name = checked(given);
            if (w.size == 0 || w.offset < begin || w.offset > end || w.size > end - w.offset)
                throw std::invalid_argument("outside");
            if (full() || describe(name)) return {};
            for (const record& e : entries_)
                if (w.offset < e.offset + e.size && e.offset < w.offset + w.size)
                    throw std::invalid_argument("overlap");
            return insert(name, w, w.offset);
        });
    }
    answer allocate(const std::string& given, const record& w, std::uint64_t alignment) override {
        return answer_of([&]() -> answer {
            const std::string name = checked(given);
            check(w.size, alignment);
            const auto at = fit(w.size, alignment);
            if (full() || !at || describe(name)) return {};
            return insert(name, w, *at);
        });
    }
    answer open_or_create(const std::string& given, const record& w,
                          std::uint64_t alignment) override {
        return answer_of([&]() -> answer {
            const std::string name = checked(given);
            if (auto found = describe(name)) return {ending::done, std::move(found)};
            check(w.size, alignment);
            const auto at = fit(w.size, alignment);
            if (full() || !at) throw assay::no_space("full");
            std::memset(base + *at, std::to_integer<int>(fill_byte(given)), w.size);
            return insert(name, w, *at);
        });
    }
    bool erase(const std::string& given) override {
        const auto found = locate(cut(given));
        if (found == entries_.end()) {
            // The bug: an index of "not found" that is clipped instead of refused.
            if (flaw_ != bug::erases_any || entries_.empty()) return false;
            entries_.pop_back();
            return true;
        }
        entries_.erase(found);
        return true;
    }
    void clear() override { entries_.clear(); }
    [[nodiscard]] std::optional<record> describe(const std::string& name) const override {
        for (const record& e : entries_)
            if (e.name == cut(name)) return e;
        return std::nullopt;
    }
    [[nodiscard]] std::vector<record> list() const override { return entries_; }
    [[nodiscard]] counts count() const override {
        std::uint64_t sum = 0;
        for (const record& e : entries_) sum += e.size;
        return {entries_.size(), max_entries - entries_.size(), sum, end - begin - sum};
    }
    [[nodiscard]] bool can_allocate(std::uint64_t size, std::uint64_t alignment) const override {
        return size != 0 && std::has_single_bit(alignment) &&
               alignment <= assay::max_structure_bytes && !full() &&
               fit(size, alignment).has_value();
    }

private:
    [[nodiscard]] std::string cut(const std::string& name) const {
        return flaw_ == bug::cuts_names ? name.substr(0, max_name) : name;
    }
    [[nodiscard]] std::string checked(const std::string& name) const {
        const std::string n = cut(name);
        if (n.empty() || n.size() > max_name || n.find('\0') != std::string::npos)
            throw std::invalid_argument("name");
        return n;
    }
    static void check(std::uint64_t size, std::uint64_t alignment) {
        if (size == 0 || !std::has_single_bit(alignment) || alignment > assay::max_structure_bytes)
            throw std::invalid_argument("size or alignment");
    }
    [[nodiscard]] bool full() const { return entries_.size() >= max_entries; }
    [[nodiscard]] std::vector<record>::iterator locate(const std::string& name) {
        return std::find_if(entries_.begin(), entries_.end(),
                            [&](const record& e) { return e.name == name; });
    }
    [[nodiscard]] std::optional<std::uint64_t> fit(std::uint64_t size,
                                                   std::uint64_t alignment) const {
        if (size > end - begin) return std::nullopt;
        if (flaw_ == bug::ignores_alignment) alignment = 1;
        const std::uint64_t first = flaw_ == bug::never_reclaims ? bump_ : begin;
        std::uint64_t at = assay::align_up(first, alignment);
        std::vector<record> sorted = entries_;
        std::sort(sorted.begin(), sorted.end(),
                  [](const record& a, const record& b) { return a.offset < b.offset; });
        const std::uint64_t slack = flaw_ == bug::overlaps_by_one ? 1 : 0;
        for (const record& e : sorted) {
            if (at <= e.offset && size <= e.offset - at + slack) break;
            at = std::max(at, assay::align_up(e.offset + e.size, alignment));
        }
        if (at > end || size > end - at) return std::nullopt;
        return at;
    }
    answer insert(const std::string& name, record entry, std::uint64_t at) {
        entry.name = name;
        entry.offset = at;
        bump_ = std::max(bump_, at + entry.size);
        entries_.push_back(entry);
        return {ending::done, entry, true};
    }

    bug flaw_;
    std::vector<std::byte> bytes_;
    std::uint64_t bump_;
    std::vector<record> entries_;
};

}  // namespace assay_proptest
