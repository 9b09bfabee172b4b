// broken.hpp -- the canaries: the seed's algorithms, re-created as it describes them, in their
// smallest form. Each goes through the same check as the real structure, and must fail it.
//
// They use words and cells of the seam, so that the noise reaches their windows; where the window
// lies between two system calls, they step themselves. In `assay-stress kill` there is no noise, and
// hence another namespace in between: one program has them both ways.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <assay/owner.hpp>
#include <assay/structure.hpp>
#include <assay/sync.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace assay_stress::inline ASSAY_ABI::broken {

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
        ASSAY_STEP();
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

// Seed: "Lock-Free Enqueue": load the tail, write there, store the tail. Right with one producer
// and one consumer; two of a kind take the same slot.
template <class T>
class queue : public base<queue<T>, T> {
public:
    using base<queue, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(header) + (count + 1) * sizeof(cell<T>);
    }

    bool enqueue(const T& value) {
        header& h = head();
        const std::uint64_t tail = h.tail.load(acquire);
        const std::uint64_t next = (tail + 1) % (this->count() + 1);
        if (next == h.head.load(acquire)) return false;
        slot(tail).write(value);
        h.tail.store(next, release);
        return true;
    }
    std::optional<T> dequeue() {
        header& h = head();
        const std::uint64_t at = h.head.load(acquire);
        if (at == h.tail.load(acquire)) return std::nullopt;
        const T value = slot(at).read();
        h.head.store((at + 1) % (this->count() + 1), release);
        return value;
    }

private:
    struct header {
        word<std::uint64_t> head, tail;
    };
    header& head() const { return this->template at<header>(); }
    cell<T>& slot(std::uint64_t i) const {
        return reinterpret_cast<cell<T>*>(this->memory() + sizeof(header))[i];
    }
};

// The repair that one finds in the wild: claim the slot by compare-exchange on the tail, then write
// it. Consumers read what is not yet written, and nobody passes a producer that died in between.
template <class T>
class claiming_queue : public base<claiming_queue<T>, T> {
public:
    using base<claiming_queue, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(header) + (count + 1) * sizeof(cell<T>);
    }

    bool enqueue(const T& value) {
        header& h = head();
        std::uint64_t tail = h.tail.load(acquire);
        do {
            if ((tail + 1) % (this->count() + 1) == h.head.load(acquire)) return false;
        } while (
            !h.tail.compare_exchange(tail, (tail + 1) % (this->count() + 1), acq_rel, acquire));
        slot(tail).write(value);
        return true;
    }
    std::optional<T> dequeue() {
        header& h = head();
        std::uint64_t at = h.head.load(acquire);
        do {
            if (at == h.tail.load(acquire)) return std::nullopt;
        } while (!h.head.compare_exchange(at, (at + 1) % (this->count() + 1), acq_rel, acquire));
        return slot(at).read();
    }

private:
    struct header {
        word<std::uint64_t> head, tail;
    };
    header& head() const { return this->template at<header>(); }
    cell<T>& slot(std::uint64_t i) const {
        return reinterpret_cast<cell<T>*>(this->memory() + sizeof(header))[i];
    }
};

// Seed: "Lock-Free Stack": a free list whose head has no tag. Between reading next[head] and the
// exchange the head may leave and come back (ABA), and then two processes get one object. With a
// tag that is repaired; what a dead process held is lost all the same.
template <class T, bool Tagged>
class free_list : public base<free_list<T, Tagged>, T> {
public:
    using handle_type = std::uint32_t;
    static constexpr handle_type invalid_handle = 0;

    using base<free_list, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return objects_at(count) + count * sizeof(T);
    }
    static void format(void* memory, std::uint64_t count) {
        auto* next = static_cast<word<std::uint64_t>*>(memory);  // [0] is the head
        for (std::uint64_t i = 0; i <= count; ++i) next[i].store(i < count ? i + 1 : 0, relaxed);
    }

    handle_type acquire() {
        std::uint64_t top = next()[0].load(broken::acquire);
        while (index(top) != 0) {
            const std::uint64_t after = next()[index(top)].load(broken::acquire);
            if (next()[0].compare_exchange(top, renew(top, after), acq_rel, broken::acquire))
                return index(top);
        }
        return invalid_handle;
    }
    bool release(handle_type h) {
        std::uint64_t top = next()[0].load(broken::acquire);
        do next()[h].store(index(top), relaxed);
        while (!next()[0].compare_exchange(top, renew(top, h), acq_rel, broken::acquire));
        return true;
    }
    T* get(handle_type h) const {
        return reinterpret_cast<T*>(this->memory() + objects_at(this->count())) + (h - 1);
    }

private:
    static std::uint64_t objects_at(std::uint64_t count) {
        return assay::align_up((count + 1) * 8, assay::line_size);
    }
    static std::uint32_t index(std::uint64_t w) { return static_cast<std::uint32_t>(w); }
    static std::uint64_t renew(std::uint64_t old, std::uint64_t to) {
        return Tagged ? ((old >> 32) + 1) << 32 | to : to;
    }
    word<std::uint64_t>* next() const { return &this->template at<word<std::uint64_t>>(); }
};

// Seed: "push_overwrite: drops oldest". The writer moves the reader's position and writes the slot
// that is being read; both sides store that position.
template <class T>
class ring_buffer : public base<ring_buffer<T>, T> {
public:
    struct reading {
        std::optional<T> record;
        std::uint64_t lost = 0;
    };

    using base<ring_buffer, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(header) + count * sizeof(cell<T>);
    }

    void push_overwrite(const T& value) {
        header& h = head();
        const std::uint64_t at = h.written.load(relaxed);
        if (at - h.read.load(acquire) == this->count())
            h.read.store(h.read.load(relaxed) + 1, release);
        slot(at).write(value);
        h.written.store(at + 1, release);
    }
    reading read() {
        header& h = head();
        const std::uint64_t at = h.read.load(acquire);
        if (at == h.written.load(acquire)) return {};
        const T value = slot(at).read();
        h.read.store(at + 1, release);
        const std::uint64_t lost = at - expected_;
        expected_ = at + 1;
        return {value, lost};
    }
    [[nodiscard]] std::uint64_t total_written() const { return head().written.load(acquire); }
    [[nodiscard]] std::uint64_t total_read() const { return head().read.load(acquire); }

private:
    struct header {
        word<std::uint64_t> written, read;
    };
    header& head() const { return this->template at<header>(); }
    cell<T>& slot(std::uint64_t i) const {
        return reinterpret_cast<cell<T>*>(this->memory() + sizeof(header))[i % this->count()];
    }
    std::uint64_t expected_ = 0;
};

// Seed: "MRSW_Array: no synchronization for reads", and a version that readers do not look at.
template <class T>
class mrsw_array : public base<mrsw_array<T>, T> {
public:
    using base<mrsw_array, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(header) + count * sizeof(cell<T>);
    }

    template <class F>
    std::uint64_t update(F&& f) {
        f(*this);
        return head().version.fetch_add(1, release) + 1;
    }
    void set(std::uint64_t i, const T& value) { element(i).write(value); }
    [[nodiscard]] T get(std::uint64_t i) const { return element(i).read(); }
    template <class Span>
    std::uint64_t snapshot(Span out) const {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = get(i);
        return head().version.load(acquire);
    }

private:
    struct header {
        word<std::uint64_t> version;
    };
    header& head() const { return this->template at<header>(); }
    cell<T>& element(std::uint64_t i) const {
        return reinterpret_cast<cell<T>*>(this->memory() + sizeof(header))[i];
    }
};

// A counter that is read, then written.
template <class T>
class counter : public base<counter<T>, T> {
public:
    template <class Segment>
    counter(Segment& in, std::string_view name, T) : base<counter, T>(in, name, 1) {}
    static std::uint64_t size_bytes(std::uint64_t) { return sizeof(word<T>); }

    T fetch_add(T n) {
        word<T>& w = this->template at<word<T>>();
        const T seen = w.load(relaxed);
        w.store(seen + n, relaxed);
        return seen;
    }
    bool compare_exchange_strong(T& expected, T desired) {
        return this->template at<word<T>>().compare_exchange(expected, desired, acq_rel, relaxed);
    }
    [[nodiscard]] T load() const { return this->template at<word<T>>().load(acquire); }
};

// The same behind a lock that is a lease: who has held it for 5 ms must be dead, and the next one
// takes it. But it was only stopped for a while, goes on, and stores what it had read before.
template <class T>
class leased_counter : public base<leased_counter<T>, T> {
public:
    template <class Segment>
    leased_counter(Segment& in, std::string_view name, T) : base<leased_counter, T>(in, name, 1) {}
    static std::uint64_t size_bytes(std::uint64_t) { return sizeof(layout); }

    T fetch_add(T n) {
        const lease hold(all().holder);
        const T seen = all().value.load(relaxed);
        all().value.store(seen + n, relaxed);
        return seen;
    }
    bool compare_exchange_strong(T& expected, T desired) {
        const lease hold(all().holder);
        const T seen = all().value.load(relaxed);
        if (seen == expected) all().value.store(desired, relaxed);
        return seen == std::exchange(expected, seen);
    }
    [[nodiscard]] T load() const { return all().value.load(acquire); }

private:
    struct layout {
        word<std::uint64_t> holder;
        word<T> value;
    };
    [[nodiscard]] layout& all() const { return this->template at<layout>(); }

    // Nobody else ever has the same number, so that it gives back only what is still its own.
    class lease {
    public:
        explicit lease(word<std::uint64_t>& holder) : holder_(holder) {
            using clock = std::chrono::steady_clock;
            static std::uint32_t many = 0;
            mine_ = static_cast<std::uint64_t>(::getpid()) << 32 | ++many;
            auto since = clock::now();
            for (std::uint64_t last = 0, seen = 0;
                 !holder.compare_exchange(seen, mine_, acq_rel, acquire);) {
                const bool expired =
                    seen == last && clock::now() - since > std::chrono::milliseconds(5);
                if (seen != last) last = seen, since = clock::now();
                if (!expired) seen = 0, ::sched_yield();
            }
        }
        ~lease() {
            std::uint64_t mine = mine_;
            static_cast<void>(holder_.compare_exchange(mine, 0, acq_rel, acquire));
        }
        lease(const lease&) = delete;
        lease& operator=(const lease&) = delete;

    private:
        word<std::uint64_t>& holder_;
        std::uint64_t mine_;
    };
};

// A hash table with open addressing, in which a free slot is looked for first and taken afterwards.
template <class K, class V>
class map : public base<map<K, V>, std::uint64_t> {
    struct slot {
        word<std::uint64_t> used;
        cell<K> key;
        cell<V> value;
    };

public:
    using base<map, std::uint64_t>::base;
    static std::uint64_t size_bytes(std::uint64_t count) { return 2 * count * sizeof(slot); }

    bool insert(const K& key, const V& value) {
        if (find(key)) return false;
        for (std::uint64_t i = start(key);; ++i) {  // the caller keeps below the capacity
            if (at(i).used.load(acquire) != 0) continue;
            at(i).key.write(key);
            at(i).value.write(value);
            at(i).used.store(1, release);
            return true;
        }
    }
    bool insert_or_assign(const K& key, const V& value) {
        erase(key);
        return insert(key, value);
    }
    [[nodiscard]] std::optional<V> find(const K& key) const {
        for (std::uint64_t i = 0; i < 2 * this->count(); ++i)
            if (at(start(key) + i).used.load(acquire) != 0 && at(start(key) + i).key.read() == key)
                return at(start(key) + i).value.read();
        return std::nullopt;
    }
    bool erase(const K& key) {
        for (std::uint64_t i = 0; i < 2 * this->count(); ++i) {
            slot& s = at(start(key) + i);
            if (s.used.load(acquire) == 0 || s.key.read() != key) continue;
            s.used.store(0, release);
            return true;
        }
        return false;
    }

private:
    static std::uint64_t start(const K& key) { return static_cast<std::uint64_t>(key) % 7; }
    slot& at(std::uint64_t i) const {
        return reinterpret_cast<slot*>(this->memory())[i % (2 * this->count())];
    }
};

}  // namespace assay_stress::inline ASSAY_ABI::broken
