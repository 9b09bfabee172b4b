// object_pool.hpp -- a fixed number of objects that any process may take, use and give back.
//
// State:      claims.hpp's words, which say who owns what, and the objects at a fixed stride.
// Invariant:  an object is free, or owned by exactly one process. A handle names an object and the
//             generation of its tenure, so that a handle kept too long is refused.
// Progress:   lock-free; get, [] and is_valid are wait-free. Typically one compare-exchange each to
//             acquire and to release.
// Crash:      an object of a dead process stays owned by it until recover() frees it. Nothing else
//             is lost, nobody waits.
// Wrap:       a stale handle would be believed again after exactly 2^32 releases of its object.
//
// Synchronisation: [claims:freed] carries the writes to an object from its release to its next
// acquire. A handle given to another process is ordered by whatever it is given through.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "claims.hpp"
#include "layout.hpp"
#include "owner.hpp"
#include "structure.hpp"

namespace assay::inline ASSAY_ABI {

// All operations may be called by any number of processes and threads at once. The threads of a
// process own objects together. What an acquired object contains is what its last user left there.
template <shareable T>
class object_pool : public structure<object_pool<T>, T> {
    using base = structure<object_pool<T>, T>;

public:
    using handle_type = claim;
    static constexpr handle_type invalid_handle{};
    static constexpr kind structure_kind = kind::object_pool;

    // Opens `name` in the segment, or creates it with `count` objects. Without a count only opens.
    template <class Segment>
    object_pool(Segment& segment, std::string_view name, std::uint64_t count = 0)
        : base(segment, name, count), claims_(this->memory(), this->count()) {}

    // On memory of size_bytes(count), aligned to line_size and T, that was formatted for `count`.
    object_pool(void* memory, std::uint64_t count, membership& me)
        : base(memory, count, me), claims_(memory, count) {}

    // Throws std::invalid_argument when the count is 0, above 2^31, or the sum beyond 2^48 bytes.
    [[nodiscard]] static std::uint64_t size_bytes(std::uint64_t count) {
        if (count == 0 || count > claims::max_count || count > max_structure_bytes / sizeof(T))
            throw std::invalid_argument("assay: a pool of " + std::to_string(count) +
                                        " objects; possible are 1 to " +
                                        std::to_string(claims::max_count) + ", up to 2^48 bytes");
        return objects_at(count) + count * sizeof(T);
    }

    // Tests start the generations just before they wrap.
    static void format(void* memory, std::uint64_t count, std::uint32_t first_generation = 0) {
        claims::format(memory, count, first_generation);
    }

    // An object for this process, or invalid_handle if at one instant during the call none was
    // free. O(1) typically, O(capacity) if none is free. Throws what membership::self throws.
    [[nodiscard]] handle_type acquire() { return claims_.take(this->me().self()); }

    // The same, and constructs the object. If that throws, the object is free again.
    template <class... Args>
    [[nodiscard]] std::optional<handle_type> acquire_construct(Args&&... args) {
        const handle_type h = acquire();
        if (h == invalid_handle) return std::nullopt;
        try {
            if constexpr (std::is_constructible_v<T, Args...>)
                ::new (static_cast<void*>(object(h))) T(std::forward<Args>(args)...);
            else
                ::new (static_cast<void*>(object(h))) T{std::forward<Args>(args)...};
        } catch (...) {
            release(h);
            throw;
        }
        return h;
    }

    // Up to `n` objects, their handles written to `out`; returns how many. Fewer only if at one
    // instant none was free. Each is acquired by itself: a death in the middle loses none of them.
    template <std::output_iterator<handle_type> Out>
    std::uint64_t acquire_batch(std::uint64_t n, Out out) {
        std::uint64_t got = 0;
        for (; got < n; ++got, ++out) {
            const handle_type h = acquire();
            if (h == invalid_handle) break;
            *out = h;
        }
        return got;
    }

    // Frees the object; any process that knows the handle may do so, once. False, and nothing
    // happens, if the handle is invalid or stale (released before).
    bool release(handle_type h) noexcept { return claims_.give_back(h); }

    // Returns how many of the handles were valid and are now free.
    std::uint64_t release_batch(std::span<const handle_type> handles) noexcept {
        std::uint64_t n = 0;
        for (const handle_type h : handles) n += release(h);
        return n;
    }

    // Makes this process the owner of an object whose handle another one sent, so that the sender's
    // death does not free it. False if the handle is stale: recover() may have come first.
    [[nodiscard]] bool adopt(handle_type h) { return claims_.pass(h, this->me().self()); }

    // Null for an invalid, stale or out-of-range handle. The object stays the caller's while he
    // does not release the handle; a later release by anyone does not take the pointer away.
    [[nodiscard]] T* get(handle_type h) const noexcept { return is_valid(h) ? object(h) : nullptr; }

    // Unchecked: for a handle that is known to be valid.
    [[nodiscard]] T& operator[](handle_type h) const noexcept {
        assert(h.index < claims_.count());
        return *object(h);
    }

    [[nodiscard]] bool is_valid(handle_type h) const noexcept { return claims_.is_valid(h); }

    [[nodiscard]] std::uint64_t capacity() const noexcept { return claims_.count(); }

    // O(capacity), and possibly outdated when they return. Objects of dead processes count as
    // allocated until they are recovered.
    [[nodiscard]] std::uint64_t num_allocated() const noexcept { return claims_.num_taken(); }
    [[nodiscard]] std::uint64_t num_available() const noexcept {
        return capacity() - num_allocated();
    }
    [[nodiscard]] bool empty() const noexcept { return num_allocated() == 0; }  // none allocated
    [[nodiscard]] bool full() const noexcept { return num_available() == 0; }   // none available

    // Frees the objects of processes that died without releasing them, and returns how many. Leaves
    // alone what a living process owns. May run in several processes at once, and die at any point.
    // O(capacity), and one question to the kernel per owner.
    std::uint64_t recover() noexcept {
        census who(this->me());
        std::uint64_t n = 0;
        for (std::uint32_t i = 0; i < claims_.count(); ++i) {
            const claims::state s = claims_.peek(i);
            if (s.owner != nobody && who.dead(s.owner)) n += claims_.give_back_from(i, s);
        }
        return n;
    }

private:
    static constexpr std::uint64_t objects_at(std::uint64_t count) noexcept {
        return align_up(claims::size_bytes(count), base::alignment());
    }

    T* object(handle_type h) const noexcept {
        return reinterpret_cast<T*>(this->memory() + objects_at(this->count())) + h.index;
    }

    claims claims_;
};

}  // namespace assay::inline ASSAY_ABI
