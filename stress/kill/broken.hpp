// broken.hpp -- the canaries of the kill points: well-known structures that a death in the middle
// of an operation breaks. Each is the subject of the same scene as the real one.
#pragma once

#include <assay/object_pool.hpp>
#include <assay/structure.hpp>

#include <algorithm>
#include <cstdint>
#include <new>
#include <optional>
#include <string_view>

namespace assay_kill::broken {

using assay::acq_rel;
using assay::acquire;
using assay::cell;
using assay::relaxed;
using assay::release;
using assay::word;

// What they share with the real ones: a named entry in a segment.
template <class Derived, class T>
class base : public assay::structure<Derived, T> {
public:
    static constexpr assay::kind structure_kind = assay::kind::raw;

    template <class Segment>
    base(Segment& in, std::string_view name, std::uint64_t count)
        : assay::structure<Derived, T>(in, name, count) {}
    static void format(void*, std::uint64_t) {}  // fresh memory is zero

protected:
    template <class Layout>
    [[nodiscard]] Layout& at() const {
        return *std::launder(reinterpret_cast<Layout*>(this->memory()));
    }
};

// A ring of slots with a sequence number each (Vyukov, "Bounded MPMC queue", 2010). Fast, and not
// lock-free: a claimed slot waits for the one who claimed it.
template <class T>
class sequence_queue : public base<sequence_queue<T>, T> {
    struct slot {
        word<std::uint64_t> sequence;
        cell<T> value;
    };
    struct layout {
        word<std::uint64_t> tail, head;
        slot slots[1];
    };

public:
    using base<sequence_queue, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(layout) + count * sizeof(slot);
    }
    static void format(void* memory, std::uint64_t count) {
        auto& l = *static_cast<layout*>(memory);
        for (std::uint64_t i = 0; i < count; ++i) l.slots[i].sequence.store(i, relaxed);
    }

    bool enqueue(const T& value) {
        return claim(here().tail, 0, [&](slot& s, std::uint64_t at) {
            s.value.write(value);
            s.sequence.store(at + 1, release);
        });
    }
    std::optional<T> dequeue() {
        std::optional<T> value;
        claim(here().head, 1, [&](slot& s, std::uint64_t at) {
            value = s.value.read();
            s.sequence.store(at + this->count(), release);
        });
        return value;
    }

private:
    layout& here() const { return this->template at<layout>(); }

    template <class F>
    bool claim(word<std::uint64_t>& position, std::uint64_t ahead, F use) {
        std::uint64_t at = position.load(relaxed);
        for (;;) {
            slot& s = here().slots[at % this->count()];
            const auto difference =
                static_cast<std::int64_t>(s.sequence.load(acquire) - (at + ahead));
            if (difference < 0) return false;
            if (difference > 0) {
                at = position.load(relaxed);
            } else if (position.compare_exchange(at, at + 1, relaxed, relaxed)) {
                use(s, at);
                return true;
            }
        }
    }
};

// The repair that one finds in the wild: claim the slot by compare-exchange on the tail, then write
// it. Consumers read what is not yet written.
template <class T>
class claiming_queue : public base<claiming_queue<T>, T> {
    struct layout {
        word<std::uint64_t> head, tail;
        cell<T> slots[1];
    };

public:
    using base<claiming_queue, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(layout) + count * sizeof(cell<T>);
    }

    bool enqueue(const T& value) {
        std::uint64_t tail = here().tail.load(acquire);
        do {
            if (tail - here().head.load(acquire) == this->count()) return false;
        } while (!here().tail.compare_exchange(tail, tail + 1, acq_rel, acquire));
        here().slots[tail % this->count()].write(value);
        return true;
    }
    std::optional<T> dequeue() {
        std::uint64_t head = here().head.load(acquire);
        do {
            if (head == here().tail.load(acquire)) return std::nullopt;
        } while (!here().head.compare_exchange(head, head + 1, acq_rel, acquire));
        return here().slots[head % this->count()].read();
    }

private:
    layout& here() const { return this->template at<layout>(); }
};

// A free list, with or without a tag in its head against ABA. What a process has taken is written
// nowhere, so nobody can give it back for the dead.
template <class T, bool Tagged>
class free_list : public base<free_list<T, Tagged>, T> {
public:
    using handle_type = std::uint32_t;
    static constexpr handle_type invalid_handle = 0;

    using base<free_list, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return (count + 1) * sizeof(word<std::uint64_t>);
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

private:
    static std::uint32_t index(std::uint64_t w) { return static_cast<std::uint32_t>(w); }
    static std::uint64_t renew(std::uint64_t old, std::uint64_t to) {
        return Tagged ? ((old >> 32) + 1) << 32 | to : to;
    }
    word<std::uint64_t>* next() const { return &this->template at<word<std::uint64_t>>(); }
};

// A pool whose recover() runs in one process at a time, and leaves that to a flag. (The flag lies in
// the last object, which the scene does not write to.)
template <class T>
class exclusive_recovery : public assay::object_pool<T> {
public:
    using assay::object_pool<T>::object_pool;

    std::uint64_t recover() {
        const auto last = static_cast<std::uint32_t>(this->capacity() - 1);
        auto& busy = reinterpret_cast<word<std::uint64_t>&>((*this)[assay::claim{last, 0}]);
        if (busy.exchange(1, acquire) != 0) return 0;
        const std::uint64_t n = assay::object_pool<T>::recover();
        busy.store(0, release);
        return n;
    }
};

// A ring that shows a record before it is there.
template <class T>
class hasty_ring : public base<hasty_ring<T>, T> {
    struct layout {
        word<std::uint64_t> written, read;
        cell<T> slots[1];
    };

public:
    struct reading {
        std::optional<T> record;
        std::uint64_t lost = 0;
    };

    using base<hasty_ring, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(layout) + count * sizeof(cell<T>);
    }

    bool push(const T& value) {
        const std::uint64_t at = here().written.load(acquire);
        if (at - here().read.load(acquire) == this->count()) return false;
        here().written.store(at + 1, release);
        here().slots[at % this->count()].write(value);
        return true;
    }
    reading read() {
        const std::uint64_t at = here().read.load(acquire);
        if (at == here().written.load(acquire)) return {};
        const T value = here().slots[at % this->count()].read();
        here().read.store(at + 1, release);
        return {value, 0};
    }

private:
    layout& here() const { return this->template at<layout>(); }
};

// An array that is changed in place, and a version that is counted up afterwards.
template <class T>
class in_place_array : public base<in_place_array<T>, T> {
    struct layout {
        word<std::uint64_t> version;
        cell<T> elements[1];
    };

public:
    using base<in_place_array, T>::base;
    static std::uint64_t size_bytes(std::uint64_t count) {
        return sizeof(layout) + count * sizeof(cell<T>);
    }

    template <class Span>
    std::uint64_t write(std::uint64_t first, const Span& values) {
        for (const T& value : values) here().elements[first++].write(value);
        return here().version.fetch_add(1, release) + 1;
    }
    template <class Span>
    std::uint64_t snapshot(const Span& out) const {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = here().elements[i].read();
        return here().version.load(acquire);
    }
    [[nodiscard]] std::uint64_t version() const { return here().version.load(acquire); }

private:
    layout& here() const { return this->template at<layout>(); }
};

// A hash table with open addressing that replaces a value by erasing and inserting: for a while, or
// for ever, the key is missing.
template <class K, class V>
class erasing_map : public base<erasing_map<K, V>, std::uint64_t> {
    struct slot {
        word<std::uint64_t> used;
        cell<K> key;
        cell<V> value;
    };

public:
    using base<erasing_map, std::uint64_t>::base;
    static std::uint64_t size_bytes(std::uint64_t count) { return 2 * count * sizeof(slot); }

    bool insert(const K& key, const V& value) {
        if (find(key)) return false;
        for (std::uint64_t i = 0;; ++i) {  // the caller keeps below the capacity
            if (at(i).used.load(acquire) != 0) continue;
            at(i).key.write(key);
            at(i).value.write(value);
            at(i).used.store(1, release);
            return true;
        }
    }
    bool insert_or_assign(const K& key, const V& value) {
        const bool there = erase(key);
        insert(key, value);
        return !there;
    }
    [[nodiscard]] std::optional<V> find(const K& key) const {
        for (std::uint64_t i = 0; i < 2 * this->count(); ++i)
            if (at(i).used.load(acquire) != 0 && at(i).key.read() == key) return at(i).value.read();
        return std::nullopt;
    }
    bool erase(const K& key) {
        for (std::uint64_t i = 0; i < 2 * this->count(); ++i) {
            if (at(i).used.load(acquire) == 0 || at(i).key.read() != key) continue;
            at(i).used.store(0, release);
            return true;
        }
        return false;
    }

private:
    slot& at(std::uint64_t i) const { return reinterpret_cast<slot*>(this->memory())[i]; }
};

// A counter that is read, then written.
template <class T>
class counter : public base<counter<T>, T> {
public:
    using base<counter, T>::base;
    static std::uint64_t size_bytes(std::uint64_t) { return sizeof(word<T>); }

    T fetch_add(T n) {
        word<T>& w = this->template at<word<T>>();
        const T seen = w.load(relaxed);
        w.store(seen + n, relaxed);
        return seen;
    }
    [[nodiscard]] T load() const { return this->template at<word<T>>().load(acquire); }
};

// Names and their space under a lock. What each kind does wrong: nothing but the lock, whose dead
// holder nobody replaces; or besides it makes an entry active before its fields are there.
template <bool Hasty>
class names : public base<names<Hasty>, std::uint64_t> {
    static constexpr std::uint64_t most = 16;
    struct entry {
        word<std::uint64_t> active, name, offset, size;
    };
    struct layout {
        word<std::uint32_t> lock;
        entry entries[most];
    };

public:
    using base<names, std::uint64_t>::base;
    static std::uint64_t size_bytes(std::uint64_t) { return sizeof(layout); }

    struct range {
        std::uint64_t begin, size;
    };
    bool allocate(std::uint64_t name, std::uint64_t size) {
        const guard hold(here().lock);
        std::uint64_t end = 0;
        for (entry& e : here().entries)
            if (e.active.load(relaxed) != 0)
                end = std::max(end, e.offset.load(relaxed) + e.size.load(relaxed));
        for (entry& e : here().entries) {
            if (e.active.load(relaxed) != 0) continue;
            if (Hasty) e.active.store(1, release);
            e.name.store(name, relaxed);
            e.offset.store(end, relaxed);
            e.size.store(size, relaxed);
            e.active.store(1, release);
            return true;
        }
        return false;
    }
    bool erase(std::uint64_t name) {
        const guard hold(here().lock);
        for (entry& e : here().entries) {
            if (e.active.load(relaxed) == 0 || e.name.load(relaxed) != name) continue;
            e.active.store(0, release);
            return true;
        }
        return false;
    }
    // Calls f(name, range) for each entry.
    template <class F>
    void each(F f) const {
        for (const entry& e : here().entries)
            if (e.active.load(acquire) != 0)
                f(e.name.load(relaxed), range{e.offset.load(relaxed), e.size.load(relaxed)});
    }

private:
    class guard {
    public:
        explicit guard(word<std::uint32_t>& lock) : lock_(lock) {
            if (Hasty) return;  // its own mistake is to show, not that of the lock
            while (lock_.exchange(1, acquire) != 0) assay::pause();
        }
        ~guard() { lock_.store(0, release); }
        guard(const guard&) = delete;

    private:
        word<std::uint32_t>& lock_;
    };
    layout& here() const { return this->template at<layout>(); }
};

}  // namespace assay_kill::broken
