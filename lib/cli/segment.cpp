#include "lib/cli/segment.hpp"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <set>
#include <utility>

#include "assay/object_pool.hpp"
#include "assay/posix_shm.hpp"
#include "assay/queue.hpp"

namespace assay::cli {

std::string_view to_string(state s) noexcept {
    constexpr std::string_view names[] = {"in use", "kept", "orphan", "DAMAGED"};
    return names[static_cast<int>(s)];
}

namespace {

// Calls f with a null pointer to the posix_shm type whose table has these sizes; false: none has.
template <class F>
bool with_type(std::uint32_t name_size, std::uint32_t entries, F&& f) {
    const auto fits = [&](auto* shm, const char* name) {
        using table_type = typename std::remove_pointer_t<decltype(shm)>::table_type;
        if (name_size != table_type::max_name_size + 1 || entries != table_type::max_entries)
            return false;
        f(shm, name);
        return true;
    };
    return fits(static_cast<posix_shm*>(nullptr), "posix_shm") ||
           fits(static_cast<posix_shm_small*>(nullptr), "posix_shm_small") ||
           fits(static_cast<posix_shm_large*>(nullptr), "posix_shm_large") ||
           fits(static_cast<posix_shm_huge*>(nullptr), "posix_shm_huge");
}

// A table that is only read needs nobody's identity.
class nobody_at_all final : public membership {
public:
    [[nodiscard]] bool alive(owner_id) const noexcept override { return false; }

private:
    [[nodiscard]] owner_id renew() override { return nobody; }
};

// The first bytes of a segment's file. Not mapped: a file that shrinks meanwhile makes a read
// short, but a mapping a SIGBUS.
class prefix {
public:
    prefix(int fd, std::size_t wanted)
        : bytes_(static_cast<std::byte*>(::operator new(align_up(wanted, line_size), line))) {
        std::fill_n(bytes_.get(), wanted, std::byte{0});
        while (size_ < wanted) {
            const ssize_t n =
                ::pread(fd, bytes_.get() + size_, wanted - size_, static_cast<off_t>(size_));
            if (n == 0 || (n < 0 && errno != EINTR)) break;
            if (n > 0) size_ += static_cast<std::size_t>(n);
        }
    }
    [[nodiscard]] std::byte* get() const noexcept { return bytes_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    static constexpr std::align_val_t line{line_size};
    struct free {
        void operator()(std::byte* p) const noexcept { ::operator delete(p, line); }
    };
    std::unique_ptr<std::byte, free> bytes_;
    std::size_t size_ = 0;
};

segment_header& header_of(const prefix& bytes) noexcept {
    return *std::launder(reinterpret_cast<segment_header*>(bytes.get()));
}

detail::unique_fd open_file(std::string_view name, int how) {
    const std::string path = detail::shm_path(name);
    detail::unique_fd fd(::open(path.c_str(), how | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd) return fd;
    if (errno == ENOENT)
        throw not_found("assay: there is no segment '" + std::string(name) +
                        "'; `assay ls` shows what there is");
    detail::throw_errno(errno, "open", name, "only its owner and root may; see ls -l " + path);
}

// Throws mismatch when the bytes are nothing of ours. A segment whose header is damaged counts as
// ours while one of two marks is left.
void expect_ours(const segment_header& h, std::string_view name) {
    // relaxed, here and below: a private copy.
    const auto order = h.byte_order.load(relaxed);
    if (h.magic.load(relaxed) == segment_header::magic_value) return;
    if (h.version.load(relaxed) == layout_version && order == segment_header::byte_order_value)
        return;
    if (order == __builtin_bswap32(segment_header::byte_order_value)) return;
    throw mismatch("assay: '" + std::string(name) +
                   "' is not a segment of this library; another program made it");
}

void look_at_holders(segment& s, segment_header& h, int fd) {
    detail::kernel_locks locks{detail::unique_fd(::dup(fd))};
    const auto used = std::min<std::uint32_t>(h.registry.high_water.load(relaxed), max_attachments);
    const registry<detail::kernel_locks> roll(h.attached, h.registry, locks);
    for (std::uint32_t slot = 0; slot < used; ++slot)
        if (const auto pid = roll.pid(slot))
            s.holders.push_back({slot, *pid, roll.alive(roll.holder(slot), nobody)});
    s.counter = reference_counter::count_of(h.attached.value.load(relaxed));
    // A holder that a damaged slot does not show still has its lock.
    if (locks.any_held())
        for (std::uint32_t n = 0; n < attachment_locks; ++n)
            if (locks.held(n)) ++s.alive;
}

template <class Table>
void look_at_table(segment& s, const Table& t) {
    struct range {
        std::uint64_t begin, end;
        std::string name;
    };
    std::vector<range> ranges;
    std::set<std::string> names;
    const auto bad = [&s](const entry& e, const std::string& what) {
        s.problems.push_back("entry '" + e.name + "' " + what);
    };
    for (const auto& found : t) {
        const entry e{found.name,      static_cast<kind>(std::uint32_t(found.what)),
                      found.offset,    found.size,
                      found.elem_size, found.num_elem,
                      found.tag};
        s.entries.push_back(e);
        if (e.name.empty() || e.name.size() > Table::max_name_size)
            bad(e, "has no name, or one without an end");
        else if (!names.insert(e.name).second)
            bad(e, "stands twice in the table");
        if (to_string(e.what) == "unknown")
            bad(e, "is of kind " + std::to_string(found.what) + ", which does not exist");
        if (e.offset < t.data_begin() || e.offset > t.data_end() ||
            e.size > t.data_end() - e.offset) {
            bad(e, "claims bytes " + std::to_string(e.offset) + " + " + std::to_string(e.size) +
                       ", outside the data area " + std::to_string(t.data_begin()) + " to " +
                       std::to_string(t.data_end()));
            continue;
        }
        const auto payload = checked_mul(e.elem_size, e.num_elem);
        if (e.what != kind::raw && (!payload || *payload > e.size || e.num_elem == 0))
            bad(e, "has " + std::to_string(e.size) + " bytes, too few for " +
                       std::to_string(e.num_elem) + " elements of " + std::to_string(e.elem_size));
        if (e.what != kind::raw && e.offset % line_size != 0)
            bad(e, "is at " + std::to_string(e.offset) + ", which no structure is aligned to");
        ranges.push_back({e.offset, e.offset + e.size, e.name});
    }
    std::ranges::sort(ranges, {}, &range::begin);
    for (std::size_t i = 1; i < ranges.size(); ++i)
        if (ranges[i].begin < ranges[i - 1].end)
            s.problems.push_back("entries '" + ranges[i - 1].name + "' and '" + ranges[i].name +
                                 "' overlap");
    std::ranges::sort(s.entries, {}, &entry::offset);
    s.free_bytes = t.get_available_size();
}

template <class Shm>
void look_inside(segment& s, int fd) {
    using table_type = typename Shm::table_type;
    constexpr segment_geometry g = Shm::geometry();
    if (s.fingerprint != g.fingerprint) {
        s.problems.push_back("layout fingerprint " + std::to_string(s.fingerprint) +
                             ", this program has " + std::to_string(g.fingerprint) +
                             ": made by another build");
        return;
    }
    if (s.size <= g.data_begin) {
        s.problems.push_back("too small for its own table");
        return;
    }
    const prefix bytes(fd, g.data_begin);
    nobody_at_all me;
    look_at_table(s, table_type(bytes.get() + g.table_at, bytes.get(), g.data_begin, s.size, me));
}

segment look_at(std::string_view name, int fd) {
    segment s;
    s.name = name.starts_with('/') ? name.substr(1) : name;
    struct stat file {};
    if (::fstat(fd, &file) != 0) detail::throw_errno(errno, "fstat", name, "");
    const prefix first(fd, sizeof(segment_header));
    if (!S_ISREG(file.st_mode) || first.size() < sizeof(segment_header))
        throw mismatch("assay: '" + s.name +
                       "' is not a segment of this library; another program "
                       "made it");
    segment_header& h = header_of(first);
    expect_ours(h, name);
    s.size = static_cast<std::uint64_t>(file.st_size);
    s.uid = file.st_uid;
    s.mode = file.st_mode & 07777;
    s.created = file.st_ctime;
    s.version = h.version.load(relaxed);
    s.fingerprint = h.fingerprint.load(relaxed);
    s.name_size = h.name_size.load(relaxed);
    s.max_entries = h.entries.load(relaxed);
    look_at_holders(s, h, fd);
    const auto order = h.byte_order.load(relaxed);
    const auto policy = h.policy.load(relaxed);
    const auto total = h.total_size.load(relaxed);
    const auto bad = [&s](const std::string& what) { s.problems.push_back(what); };
    if (h.magic.load(relaxed) != segment_header::magic_value) bad("its magic number is gone");
    if (order != segment_header::byte_order_value)
        bad("made on a machine of the other byte order, or its mark is damaged");
    else if (s.version != layout_version)
        bad("layout version " + std::to_string(s.version) + ", this program has " +
            std::to_string(layout_version));
    if (total != s.size)
        bad("says that it has " + std::to_string(total) + " bytes, its file has " +
            std::to_string(s.size));
    if (policy > static_cast<std::uint32_t>(cleanup::keep))
        bad("its clean-up policy has the impossible value " + std::to_string(policy));
    if (s.problems.empty())
        with_type(s.name_size, s.max_entries, [&](auto* shm, const char* type) {
            s.type = type;
            look_inside<std::remove_pointer_t<decltype(shm)>>(s, fd);
        });
    s.now = !s.problems.empty()                                   ? state::damaged
            : s.alive > 0                                         ? state::in_use
            : policy == static_cast<std::uint32_t>(cleanup::keep) ? state::kept
                                                                  : state::orphan;
    return s;
}

// As an attachment does it (attachment.hpp), but without a mapping: see prefix. The locks go when
// the file is closed.
bool remove_name(detail::kernel_locks& locks, const std::string& path) {
    return detail::patiently([&] { return locks.try_lock_name(); }) &&
           detail::same_file(locks.fd(), path) && ::unlink(path.c_str()) == 0;
}
// All slot locks at once can be had only when no attachment is left, and then none can begin.
bool remove_if_unused(detail::kernel_locks& locks, const std::string& path) {
    return locks.try_lock_all_slots() && remove_name(locks, path);
}

// Keeps the last one from removing the segment while we work on it: a lock on a slot that nobody
// has, taken through a file of our own.
class pin {
public:
    explicit pin(detail::unique_fd fd) : locks_(std::move(fd)) {
        for (std::uint32_t n = attachment_locks; n-- > 0;)
            if (locks_.try_lock(n)) return;
        throw no_space("assay: all attachments are in use by living processes");
    }
    // By then we may be the last: does what the last one should.
    [[nodiscard]] bool release_and_remove(const std::string& path) && {
        locks_.replace(detail::open_again(locks_.fd()));
        return locks_.fd() >= 0 && remove_if_unused(locks_, path);
    }

private:
    detail::kernel_locks locks_;
};

template <class Shm>
recovery::of_entry recover_entry(const Shm& shm, const entry& e) {
    recovery::of_entry done{e.name, e.what, std::nullopt, {}};
    auto* const memory = static_cast<std::byte*>(shm.get_base_addr()) + e.offset;
    membership& me = *shm.hold();
    try {
        // What is recovered here does not depend on the type of the elements.
        if (e.what == kind::object_pool && claims::size_bytes(e.num_elem) <= e.size) {
            done.given_back = object_pool<std::byte>(memory, e.num_elem, me).recover();
        } else if (e.what == kind::queue && queue<std::byte>::size_bytes(e.num_elem) <= e.size) {
            done.given_back = queue<std::byte>(memory, e.num_elem, me).recover();
        } else if (e.what == kind::object_pool || e.what == kind::queue) {
            done.reason = "damaged: too small for its count";
        } else if (e.what == kind::large_map) {
            done.reason =
                "needs a program that knows its types; an insertion that finds no free "
                "node does it by itself";
        } else if (e.what == kind::mrsw_array) {
            done.reason = "its next writer does it by itself";
        } else {
            done.given_back = 0;  // holds nothing on anybody's behalf
        }
    } catch (const std::exception& problem) {
        done.reason = problem.what();
    }
    return done;
}

}  // namespace

segment look_at(std::string_view name) {
    const detail::unique_fd fd = open_file(name, O_RDONLY);
    return look_at(name, fd.get());
}

listing list() {
    listing all;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(detail::shm_directory), ::closedir);
    if (folder == nullptr)
        detail::throw_errno(errno, "list", detail::shm_directory, "is it mounted?");
    while (const dirent* const file = ::readdir(folder.get())) {
        if (file->d_type != DT_REG && file->d_type != DT_UNKNOWN) continue;
        try {
            all.segments.push_back(look_at(file->d_name));
        } catch (const not_found&) {  // gone by now
        } catch (const mismatch&) {   // somebody else's
        } catch (const system_failure&) {
            ++all.unreadable;
        }
    }
    std::ranges::sort(all.segments, {}, &segment::name);
    return all;
}

recovery recover(std::string_view name) {
    const std::string path = detail::shm_path(name);
    detail::unique_fd fd = open_file(name, O_RDWR);
    const segment before = look_at(name, fd.get());
    if (before.now == state::damaged)
        throw corrupt("assay: segment '" + before.name + "' is damaged: " + before.problems[0] +
                      "; see `assay check`, remove it with `assay rm`");
    pin held(std::move(fd));
    recovery done;
    const bool known = with_type(before.name_size, before.max_entries, [&](auto* shm, const char*) {
        std::remove_pointer_t<decltype(shm)> attached(name);
        // Attaching may have taken the slot of a dead one already.
        attached.recover();
        for (const auto& e : *attached.get_table())
            if (const auto d = attached.get_table()->describe(std::string(e.name)))
                done.entries.push_back(recover_entry(
                    attached, {e.name, d->what, d->offset, d->size, d->elem_size, d->num_elem, 0}));
    });
    if (!known)
        throw mismatch("assay: segment '" + before.name + "' has a table of " +
                       std::to_string(before.max_entries) +
                       " entries, which none of the library's own types has; recover it from a "
                       "program that has the type");
    done.attachments =
        static_cast<std::uint32_t>(std::ranges::count(before.holders, false, &holder::alive));
    // Whoever left meanwhile was kept from removing it.
    if (before.now == state::in_use) static_cast<void>(std::move(held).release_and_remove(path));
    return done;
}

bool collect(std::string_view name) {
    detail::unique_fd fd = open_file(name, O_RDWR);
    detail::kernel_locks locks(std::move(fd));
    // The locks come first: what is seen to be an orphan then stays one.
    return locks.try_lock_all_slots() && look_at(name, locks.fd()).now == state::orphan &&
           remove_name(locks, detail::shm_path(name));
}

bool remove(std::string_view name, bool even_if_used) {
    const std::string path = detail::shm_path(name);
    detail::unique_fd fd = open_file(name, O_RDWR);
    static_cast<void>(look_at(name, fd.get()));  // throws for what is not ours
    detail::kernel_locks locks(std::move(fd));
    return even_if_used ? remove_name(locks, path) : remove_if_unused(locks, path);
}

}  // namespace assay::cli
