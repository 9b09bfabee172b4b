// broken.hpp -- canaries of the kill points: well-known structures that a death in the middle of an
// operation breaks. Others are those of the rest of stress. Each is the subject of the same scene as
// the real structure.
#pragma once

#include <assay/object_pool.hpp>
#include <assay/structure.hpp>

#include <algorithm>
#include <cstdint>
#include <new>
#include <optional>
#include <string_view>

#include "stress/broken.hpp"

namespace assay_kill::broken {

using namespace assay_stress::broken;

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
