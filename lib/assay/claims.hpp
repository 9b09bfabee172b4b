// claims.hpp -- who owns which of N things: the allocator below object_pool and large_map.
//
// State:      one word per thing, {generation, owner}; owner 0 means free. Beside them two kinds of
//             hints that help to find a free one: per owner slot, where to look first; and one bit
//             per group of 64 things, "there may be a free one" (not kept for a single group).
// Invariant:  the words are the truth. A thing is taken by one compare-exchange {g, 0} -> {g, me}
//             and given back by one {g, owner} -> {g + 1, 0}, so it never has two owners, and a
//             claim {index, g} can be given back once only. Hints may be wrong in every way.
// Progress:   lock-free. Taking costs a few accesses while the hints are right and O(N / 64 + 64)
//             when nearly all is taken; finding out that all is taken costs two passes over the
//             words, or more if others give back and take meanwhile.
// Crash:      a death leaves each thing free or owned by the dead, who can be told from the living.
//             A death between a change and its hint makes a later search slower, not wrong.
// Wrap:       a generation repeats after 2^32 returns of one and the same thing: a claim kept that
//             long beyond its end would be believed again. Taking has no such limit, because it
//             asks for nothing but a free word.
//
// Synchronisation:
//   [claims:freed]   give_back -> take       carries the previous owner's writes to the thing
//   [claims:taken]   take -> search of all   carries what the taker gave back before: whoever sees
//                                            the thing taken also sees those others free
//   [claims:passed]  pass -> peek            carries what was written before it was passed on
// Not of ours: when membership::alive says that a process is dead, all that it wrote is visible
// (the kernel released its lock after its last instruction).
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "layout.hpp"
#include "owner.hpp"
#include "sync.hpp"

namespace assay::inline ASSAY_ABI {

// The right to one thing until it is given back. A value: may be stored in shared memory and sent
// to other processes, for example through a queue. Invalid when default constructed.
struct claim {
    static constexpr std::string_view shm_type_name = "assay::claim";
    static constexpr std::uint32_t none = 0xffffffff;

    std::uint32_t index = none;
    std::uint32_t generation = 0;

    // Whether it names a thing at all; it may have ended.
    [[nodiscard]] explicit operator bool() const noexcept { return index != none; }
    friend bool operator==(const claim&, const claim&) = default;
};

static_assert(shareable<claim> && sizeof(claim) == 8);

// Asks the kernel once per owner, not once per thing.
class census {
public:
    explicit census(const membership& me) noexcept : me_(me) {}

    // Dead is for ever; "not dead" is an answer of the time of the first question.
    [[nodiscard]] bool dead(owner_id id) noexcept {
        answer& known = answers_[owner_slot(id) % std::size(answers_)];
        if (known.id != id) known = {id, !me_.alive(id)};
        return known.dead;
    }

private:
    struct answer {
        owner_id id = nobody;
        bool dead = false;
    };
    const membership& me_;
    answer answers_[32];
};

class claims {
public:
    // An owner that is not a process: the thing is reachable through a structure, which keeps it.
    static constexpr owner_id kept = 1u << 31;
    static constexpr std::uint64_t max_count = 1u << 31;

    struct state {
        std::uint32_t generation;
        owner_id owner;
        friend bool operator==(const state&, const state&) = default;
    };

    // The caller has made sure that 0 < count <= max_count. A multiple of line_size.
    [[nodiscard]] static constexpr std::uint64_t size_bytes(std::uint64_t count) noexcept {
        return states_at(count) + align_up(count * sizeof(word<std::uint64_t>), line_size);
    }

    // All free. Before anyone else sees the memory.
    static void format(void* memory, std::uint64_t count, std::uint32_t first_generation) noexcept {
        const claims all(memory, count);
        // relaxed throughout: not published yet.
        for (std::uint64_t k = 0; k < hint_count; ++k)
            all.hints_[k].start.store(static_cast<std::uint32_t>(count * k / hint_count), relaxed);
        for (std::uint32_t w = 0; w < summary_words(count); ++w) {
            const std::uint64_t groups = (count + group - 1) / group - std::uint64_t{w} * 64;
            all.summary_[w].store(groups >= 64 ? ~0ull : (1ull << groups) - 1, relaxed);
        }
        for (std::uint64_t i = 0; i < count; ++i)
            all.states_[i].store(pack({first_generation, nobody}), relaxed);
    }

    claims(void* memory, std::uint64_t count) noexcept
        : hints_(static_cast<hint*>(memory)),
          summary_(at(memory, sizeof(hint) * hint_count)),
          states_(at(memory, states_at(count))),
          count_(static_cast<std::uint32_t>(count)) {}

    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

    // Takes a free thing for `self`. None (index claim::none) means that at one instant during the
    // call all were taken: never spurious. (Short of 2^32 returns, of all things together, within
    // one pass over the words.)
    [[nodiscard]] claim take(owner_id self) noexcept {
        word<std::uint32_t>& next = hint_of(self);
        // relaxed: a hint. Bounded, because another process wrote it.
        const std::uint32_t start = next.load(relaxed);
        if (start < count_) {
            const claim c = try_take(start, self);
            if (c) [[likely]]
                return c;
        }
        claim c;
        if (has_summary()) c = take_by_hints(self, start < count_ ? start : 0);
        if (!c) c = take_or_prove_none(self);
        if (c) next.store(c.index + 1, relaxed);  // relaxed: a hint
        return c;
    }

    // Frees the thing, whoever owns it. False, and nothing happens, if the claim has ended already.
    bool give_back(claim c) noexcept {
        if (c.index >= count_) return false;
        // relaxed: only compared and handed to the compare-exchange.
        std::uint64_t seen = states_[c.index].load(relaxed);
        while (valid(c, seen)) {
            // release [claims:freed]: what was written to the thing, to whoever takes it next.
            // relaxed on failure: as above; fails when the owner changed, or when it is over.
            if (states_[c.index].compare_exchange(seen, pack({c.generation + 1, nobody}), release,
                                                  relaxed)) {
                const owner_id had = unpack(seen).owner;
                if (had != kept) suggest(had, c.index);
                set_group(c.index / group);
                return true;
            }
        }
        return false;
    }

    // As give_back, but only if the thing is still in the state seen.
    bool give_back_from(std::uint32_t index, state seen) noexcept {
        std::uint64_t expected = pack(seen);
        // release [claims:freed], as above. relaxed on failure: somebody else was quicker.
        if (!states_[index].compare_exchange(expected, pack({seen.generation + 1, nobody}), release,
                                             relaxed))
            return false;
        set_group(index / group);
        return true;
    }

    // Makes `to` the owner. False, and nothing happens, if the claim has ended already.
    bool pass(claim c, owner_id to) noexcept {
        if (c.index >= count_) return false;
        // relaxed: only compared and handed to the compare-exchange.
        std::uint64_t seen = states_[c.index].load(relaxed);
        while (valid(c, seen))
            // release [claims:passed]: what the caller wrote before. relaxed on failure: as above.
            if (states_[c.index].compare_exchange(seen, pack({c.generation, to}), release, relaxed))
                return true;
        return false;
    }

    // What the thing's word says; index < count().
    [[nodiscard]] state peek(std::uint32_t index) const noexcept {
        // acquire [claims:passed]: what was written before the thing was passed to its owner.
        return unpack(states_[index].load(acquire));
    }

    [[nodiscard]] bool is_valid(claim c) const noexcept {
        // relaxed: the holder of a valid claim knows of the thing through whoever gave it to him.
        return c.index < count_ && valid(c, states_[c.index].load(relaxed));
    }

    // Number of things owned by anyone: O(count), a value of about now.
    [[nodiscard]] std::uint32_t num_taken() const noexcept {
        std::uint32_t n = 0;
        // relaxed: a statistic.
        for (std::uint32_t i = 0; i < count_; ++i)
            n += unpack(states_[i].load(relaxed)).owner != nobody;
        return n;
    }

    // Tells the next search of `who` to begin here.
    void suggest(owner_id who, std::uint32_t index) noexcept {
        hint_of(who).store(index, relaxed);  // relaxed: a hint
    }

private:
    static constexpr std::uint32_t group = 64;  // things per bit of the summary
    static constexpr std::uint32_t hint_count = 16;

    struct alignas(line_size) hint {
        word<std::uint32_t> start;
    };

    static constexpr std::uint32_t summary_words(std::uint64_t count) noexcept {
        return static_cast<std::uint32_t>((count + group * 64 - 1) / (group * 64));
    }
    static constexpr std::uint64_t states_at(std::uint64_t count) noexcept {
        return sizeof(hint) * hint_count + align_up(summary_words(count) * 8ull, line_size);
    }
    static word<std::uint64_t>* at(void* memory, std::uint64_t offset) noexcept {
        return reinterpret_cast<word<std::uint64_t>*>(static_cast<std::byte*>(memory) + offset);
    }

    static constexpr std::uint64_t pack(state s) noexcept {
        return std::uint64_t{s.generation} << 32 | s.owner;
    }
    static constexpr state unpack(std::uint64_t w) noexcept {
        return {static_cast<std::uint32_t>(w >> 32), static_cast<owner_id>(w)};
    }
    static constexpr bool valid(claim c, std::uint64_t w) noexcept {
        const state s = unpack(w);
        return s.generation == c.generation && s.owner != nobody;
    }

    word<std::uint32_t>& hint_of(owner_id who) const noexcept {
        return hints_[owner_slot(who) % hint_count].start;
    }

    claim try_take(std::uint32_t i, owner_id self) noexcept {
        // relaxed: a look before the compare-exchange, which decides.
        std::uint64_t seen = states_[i].load(relaxed);
        const state s = unpack(seen);
        // acq_rel. acquire [claims:freed]: the previous owner has finished with the thing.
        // release [claims:taken]: things we gave back before are seen free by whoever sees this
        // one taken. relaxed on failure: another was quicker, the caller looks elsewhere.
        if (s.owner == nobody &&
            states_[i].compare_exchange(seen, pack({s.generation, self}), acq_rel, relaxed))
            return {i, s.generation};
        return {};
    }

    claim take_in_group(std::uint32_t g, std::uint32_t start, owner_id self) noexcept {
        const std::uint32_t begin = g * group;
        const std::uint32_t end = std::min(begin + group, count_);
        for (std::uint32_t i = start, n = begin; n < end; ++n, i = i + 1 == end ? begin : i + 1)
            if (const claim c = try_take(i, self)) return c;
        return {};
    }

    // One round over the groups that the summary recommends, beginning at `start`.
    claim take_by_hints(owner_id self, std::uint32_t start) noexcept {
        const std::uint32_t words = summary_words(count_);
        const std::uint32_t home = start / group;
        const std::uint64_t from_home = ~0ull << (home % 64);
        for (std::uint32_t n = 0; n <= words; ++n) {  // home's word twice: its end, its beginning
            const std::uint32_t w = (home / 64 + n) % words;
            // relaxed here and below: the summary is a hint; a wrong one costs time.
            std::uint64_t maybe = summary_[w].load(relaxed);
            if (n == 0) maybe &= from_home;
            if (n == words) maybe &= ~from_home;
            for (; maybe != 0; maybe &= maybe - 1) {
                const std::uint32_t g =
                    w * 64 + static_cast<std::uint32_t>(std::countr_zero(maybe));
                if (g > (count_ - 1) / group) break;  // a bit that we never set
                const std::uint32_t first = g == home ? start : g * group;
                if (const claim c = take_in_group(g, first, self)) return c;
                // Full. Say so, then look again: who gave back in between saw the bit still set.
                // relaxed: a hint, as above.
                static_cast<void>(summary_[w].fetch_and(~bit(g), relaxed));
                if (const claim c = take_in_group(g, first, self)) {
                    set_group(g);
                    return c;
                }
            }
        }
        return {};
    }

    // The hints led nowhere. Generations only grow, so two passes that found everything taken, with
    // the same sum of generations, met each thing in one and the same tenure: between the passes
    // all were taken at once. Otherwise somebody else gave back or took: look again.
    //
    // No total order is needed for that. Let D be what happened before the first pass ended: for
    // each thing a beginning of its history, which ends with it taken, because the second pass would
    // have seen its return. Of several searches, the union of their D still is such a beginning
    // with all taken; so in the order of the searches, each has its instant after its D.
    claim take_or_prove_none(owner_id self) noexcept {
        std::uint64_t before = ~0ull;  // no sum: there are at most 2^31 generations of 32 bits
        for (;;) {
            std::uint64_t sum = 0;
            std::uint32_t i = 0;
            for (; i < count_; ++i) {
                // acquire [claims:taken]: what the taker gave back before, for the second pass.
                const state s = unpack(states_[i].load(acquire));
                if (s.owner == nobody) break;
                sum += s.generation;
            }
            if (i < count_) {
                if (const claim c = try_take(i, self)) {
                    set_group(i / group);  // was forgotten, and may hold more
                    return c;
                }
                before = ~0ull;
                continue;
            }
            if (sum == before) return {};
            before = sum;
        }
    }

    static constexpr std::uint64_t bit(std::uint32_t g) noexcept { return 1ull << (g % 64); }

    // A single group needs no bit: who looks further than its hint looks at all of it anyway.
    [[nodiscard]] bool has_summary() const noexcept { return count_ > group; }

    void set_group(std::uint32_t g) noexcept {
        if (!has_summary()) return;
        // relaxed: a hint; read first, because mostly the bit is set and the line is shared.
        word<std::uint64_t>& w = summary_[g / 64];
        if ((w.load(relaxed) & bit(g)) == 0) static_cast<void>(w.fetch_or(bit(g), relaxed));
    }

    hint* hints_;
    word<std::uint64_t>* summary_;
    word<std::uint64_t>* states_;
    std::uint32_t count_;
};

}  // namespace assay::inline ASSAY_ABI
