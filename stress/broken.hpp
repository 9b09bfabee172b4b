// broken.hpp -- the canaries: the seed's algorithms, re-created as it describes them, in their
// smallest form. Each goes through the same check as the real structure, and must fail it.
//
// They use words and cells of the seam, so that the noise reaches their windows; where the window
// lies between two system calls, they call step() themselves.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <assay/owner.hpp>
#include <assay/structure.hpp>
#include <assay/sync.hpp>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "stress/noise.hpp"

namespace assay_stress::broken {

using assay::acq_rel;
using assay::acquire;
using assay::cell;
using assay::relaxed;
using assay::release;
using assay::word;

// Seed: "Reference Counting: Last process cleans up", an integer that each process raises and
// lowers; and creation in steps that everybody can see. A killed process stays counted, an opener
// finds a file of no size, or counts itself before the creator writes the first count.
class segment {
public:
    segment(std::string_view name, std::uint64_t size, bool = true)
        : path_("/dev/shm/" + std::string(name)), size_(size) {
        int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0660);
        created_ = fd >= 0;
        if (!created_) fd = ::open(path_.c_str(), O_RDWR);
        if (fd < 0) throw std::runtime_error("cannot open the segment that was there just now");
        step();
        if (created_ && ::ftruncate(fd, static_cast<off_t>(size_)) != 0)
            throw std::runtime_error("ftruncate");
        struct stat status {};
        ::fstat(fd, &status);
        inode_ = status.st_ino;
        void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ::close(fd);
        if (at == MAP_FAILED) throw std::runtime_error("mmap");
        count_ = static_cast<word<std::uint32_t>*>(at);
        if (created_)
            count_->store(1, release);
        else
            count_->fetch_add(1, acq_rel);
    }
    ~segment() {
        if (count_->fetch_sub(1, acq_rel) == 1) ::unlink(path_.c_str());
        ::munmap(static_cast<void*>(count_), size_);
    }
    segment(const segment&) = delete;
    segment& operator=(const segment&) = delete;

    static constexpr std::uint64_t size_for(std::uint64_t bytes) { return 4096 + bytes; }
    [[nodiscard]] bool created() const { return created_; }
    [[nodiscard]] std::uint32_t get_ref_count() const { return count_->load(acquire); }
    [[nodiscard]] void* get_base_addr() const { return count_; }
    [[nodiscard]] bool orphaned() const {
        struct stat named {};
        return ::stat(path_.c_str(), &named) != 0 || named.st_ino != inode_;
    }

private:
    std::string path_;
    std::uint64_t size_;
    word<std::uint32_t>* count_ = nullptr;
    ino_t inode_ = 0;
    bool created_ = false;
};

// What the broken structures share with the real ones: a named entry in a segment.
template <class Derived, class T>
class base : public assay::structure<Derived, T> {
public:
    static constexpr assay::kind structure_kind = assay::kind::raw;

    template <class Segment>
    base(Segment& in, std::string_view name, std::uint64_t count)
        : assay::structure<Derived, T>(in, name, count) {}
    static void format(void*, std::uint64_t) {}  // fresh memory is zero
    [[nodiscard]] std::uint64_t capacity() const { return this->count(); }

protected:
    template <class Layout>
    [[nodiscard]] Layout& at() const {
        return *std::launder(reinterpret_cast<Layout*>(this->memory()));
    }
};

// Seed: "Stack/Bump Allocation": offset = total; total += size. Two at once get one offset, and
// two that take the same free entry lose one of the names.
class table : public base<table, std::uint64_t> {
public:
    struct number : word<std::uint64_t> {
        operator std::uint64_t() const { return load(relaxed); }
    };
    struct entry {
        word<std::uint32_t> active;
        cell<std::array<char, 32>> name;
        number offset, size;
    };
    using base::base;
    static std::uint64_t size_bytes(std::uint64_t) { return sizeof(layout); }

    const entry* allocate(std::string_view name, std::uint64_t size, std::uint64_t = 0) {
        layout& l = at<layout>();
        for (entry& e : l.entries) {
            if (e.active.load(acquire) != 0) continue;
            const std::uint64_t offset = l.total.load(relaxed);
            l.total.store(offset + size, relaxed);
            std::array<char, 32> text{};
            std::memcpy(text.data(), name.data(), name.size());
            e.name.write(text);
            e.offset.store(offset, relaxed);
            e.size.store(size, relaxed);
            e.active.store(1, release);
            return &e;
        }
        return nullptr;
    }
    [[nodiscard]] const entry* find(std::string_view name) const {
        for (const entry& e : at<layout>().entries)
            if (e.active.load(acquire) != 0 && name == e.name.read().data()) return &e;
        return nullptr;
    }
    void clear() {
        for (entry& e : at<layout>().entries) e.active.store(0, relaxed);
        at<layout>().total.store(0, relaxed);
    }

private:
    struct layout {
        word<std::uint64_t> total;
        entry entries[64];
    };
};

}  // namespace assay_stress::broken
