// posix_shm.hpp -- a shared-memory segment with a table of named structures.
//
// State:      one attachment (attachment.hpp) and this process's view of the table (table.hpp).
// Invariant:  the segment stays mapped while this object, or any structure opened through it, lives.
// Progress:   create and attach wait for nobody but a living process that is removing the segment.
// Crash:      a dead process leaks no count: get_ref_count() asks the kernel who lives. A creator
//             that dies leaves nothing; the last process, killed, leaves the name for the next.
// Synchronisation: see registry.hpp and table.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "attachment.hpp"
#include "table.hpp"

namespace assay::inline ASSAY_ABI {

// A value of about now; other processes may change it at once.
template <class Table>
struct shm_capacity {
    std::uint64_t available_memory;  // bytes that no entry covers
    std::size_t available_entries;
    std::size_t max_entries;

    // Whether one more entry of that many bytes would find room.
    [[nodiscard]] bool can_allocate(std::uint64_t size_bytes) const noexcept {
        return view_->can_allocate(size_bytes);
    }

    const Table* view_;
};

// A segment of fixed size. Thread-safe; movable, not copyable (attach again instead).
template <class Table>
class posix_shm_impl {
public:
    using table_type = Table;

    // Attaches to the segment `name` ("/name" is the same). When there is none and size_bytes is
    // not 0, creates it with that many bytes in all, header and table included. size_bytes 0 only
    // attaches. Of several creators exactly one creates; the others attach. Throws not_found,
    // no_space (naming requested and available bytes), mismatch (layout, table, or a segment
    // smaller than asked for), corrupt, system_failure, std::invalid_argument.
    explicit posix_shm_impl(std::string_view name, std::uint64_t size_bytes = 0,
                            const shm_options& options = {})
        : attachment_(attachment::open(name, size_bytes, options, geometry(), &Table::format)),
          table_(std::make_unique<Table>(attachment_->base() + geometry().table_at,
                                         attachment_->base(), geometry().data_begin,
                                         attachment_->size(), *attachment_)) {}

    // What this type expects of the bytes of a segment; attaching compares it.
    [[nodiscard]] static constexpr segment_geometry geometry() noexcept {
        constexpr std::uint64_t table_at = align_up(sizeof(segment_header), line_size);
        constexpr std::uint64_t data_begin = align_up(table_at + Table::size_bytes(), line_size);
        return {hash_words({layout_version, sizeof(segment_header), alignof(segment_header),
                            offsetof(segment_header, registry), sizeof(registry_layout),
                            offsetof(registry_layout, slots), max_attachments, attachment_locks,
                            owner_slot_bits, owner_incarnation_bits, line_size,
                            Table::fingerprint(), table_at, data_begin}),
                static_cast<std::uint32_t>(Table::max_name_size + 1),
                static_cast<std::uint32_t>(Table::max_entries), table_at, data_begin};
    }

    // The smallest size_bytes that leaves `data_bytes` for entries.
    [[nodiscard]] static constexpr std::uint64_t size_for(std::uint64_t data_bytes) noexcept {
        return geometry().data_begin + data_bytes;
    }

    [[nodiscard]] void* get_base_addr() const noexcept { return attachment_->base(); }
    // Bytes of the segment's file, whatever the caller asked for.
    [[nodiscard]] std::uint64_t get_total_size() const noexcept { return attachment_->size(); }
    // Exactly the number of living attachments; one system call for each. The four bytes at offset
    // 0 are cheaper and still count the dead, until recover() or until their slots are reused.
    [[nodiscard]] std::uint32_t get_ref_count() const noexcept { return attachment_->count(); }
    [[nodiscard]] Table* get_table() noexcept { return table_.get(); }
    [[nodiscard]] const Table* get_table() const noexcept { return table_.get(); }
    [[nodiscard]] shm_capacity<Table> get_capacity() const noexcept {
        return {table_->get_available_size(), table_->get_available_entries(), Table::max_entries,
                table_.get()};
    }

    // Removes the name, if it still leads to this segment: never another one that took the name.
    // Attached processes go on. False when there was nothing of ours to remove.
    bool unlink() { return attachment_->unlink(); }
    // Whether the name was removed, or leads to another segment by now.
    [[nodiscard]] bool orphaned() const noexcept { return attachment_->orphaned(); }

    // Frees the attachment slots of dead processes and corrects the counter at offset 0; returns
    // how many. Attaching does the same as needed. Structures have a recover() of their own.
    std::uint32_t recover() { return attachment_->sweep(); }

    [[nodiscard]] const std::string& name() const noexcept { return attachment_->name(); }
    // Whether this object created the segment (or found it there).
    [[nodiscard]] bool created() const noexcept { return attachment_->created(); }

    // For structures: keeps the segment mapped, and says who this process is.
    [[nodiscard]] const std::shared_ptr<attachment>& hold() const noexcept { return attachment_; }

private:
    std::shared_ptr<attachment> attachment_;
    std::unique_ptr<Table> table_;
};

using posix_shm = posix_shm_impl<table>;
using posix_shm_small = posix_shm_impl<table_small>;
using posix_shm_large = posix_shm_impl<table_large>;
using posix_shm_huge = posix_shm_impl<table_huge>;

}  // namespace assay::inline ASSAY_ABI
