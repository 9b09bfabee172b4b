// limits.cpp -- what this host's processors, caches and memory allow, whatever the algorithm.
#include <assay/sync.hpp>

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "perf/contender.hpp"
#include "perf/fifo.hpp"
#include "perf/host.hpp"
#include "perf/limits.hpp"
#include "perf/plan.hpp"
#include "perf/repeat.hpp"
#include "perf/team.hpp"

namespace assay_perf {
namespace {

using enum std::memory_order;

constexpr std::size_t chunk_bytes = 4096;

void add_limit(plan& p, const std::string& name, const std::string& what, const std::string& unit,
               const std::vector<int>& cpus, std::function<outcome(double)> run) {
    p.add({.name = name,
           .kind = "limit",
           .unit = unit,
           .better = unit == "GB/s" ? "more" : "less",
           .what = what,
           .cpus = cpus,
           .run = std::move(run)});
}

// --- between two processors --------------------------------------------------------------------

struct alignas(64) line {
    std::atomic<std::uint64_t> word;
};

// Ping and pong through one word, or through one each on lines of their own.
outcome round_trip(const std::vector<int>& pair, bool two_lines, double seconds) {
    struct words {
        line ping, pong;
    };
    const shared<words> s;
    return each(run_team(pair, seconds, [&](worker& w) {
        const bool first = w.index == 0;
        auto& there = s->ping.word;
        auto& back = two_lines ? s->pong.word : there;
        const auto await = [&](auto& word, std::uint64_t wanted, std::uint64_t n) {
            while (word.load(acquire) < wanted)
                if (!w.running(n)) return false;
            return true;
        };
        w.meet();
        for (std::uint64_t n = 0; w.running(n); ++n) {
            const std::uint64_t ping = two_lines ? n + 1 : 2 * n + 1;
            const std::uint64_t pong = two_lines ? n + 1 : 2 * n + 2;
            if (first) there.store(ping, release);
            if (!await(first ? back : there, first ? pong : ping, n)) return;
            if (!first) back.store(pong, release);
        }
    }));
}

// A ring of chunks, each with a flag that says how often it was filled, and one that says how often
// it was emptied.
template <class T>
struct chunk_ring {
    static constexpr std::size_t per_chunk = chunk_bytes / sizeof(T);
    struct chunk {
        T items[per_chunk];
    };
    explicit chunk_ring(std::size_t bytes)
        : chunks(std::max<std::size_t>(2, bytes / chunk_bytes)),
          memory(chunks * (sizeof(chunk) + 2 * sizeof(line))),
          items(static_cast<chunk*>(memory.get())),
          filled(reinterpret_cast<line*>(items + chunks)),
          emptied(filled + chunks) {}

    std::size_t chunks;
    shared_memory memory;
    chunk* items;
    line *filled, *emptied;
};

template <class T>
outcome transport(const std::vector<int>& pair, std::size_t bytes, double seconds) {
    using ring = chunk_ring<T>;
    const ring r(bytes);
    return together(run_team(pair, seconds,
                             [&](worker& w) {
                                 w.meet();
                                 T x{};
                                 std::uint64_t n = 0;
                                 for (std::uint64_t lap = 0;; ++lap)
                                     for (std::size_t c = 0; c < r.chunks; ++c) {
                                         auto& flag = w.index == 0 ? r.emptied : r.filled;
                                         const std::uint64_t wanted = lap + w.index;
                                         while (flag[c].word.load(acquire) < wanted) {
                                             if (!w.running(n)) return;
                                             assay::pause();
                                         }
                                         for (T& place : r.items[c].items) {
                                             if (w.index == 0) {
                                                 x.set(n);
                                                 place = x;
                                             } else {
                                                 x = place;
                                                 if (x.value() != n || !x.whole())
                                                     w.fail("an item is not the next one");
                                                 asm volatile("" : : "m"(x));
                                             }
                                             ++n;
                                         }
                                         auto& told = w.index == 0 ? r.filled : r.emptied;
                                         told[c].word.store(lap + 1, release);
                                         if (!w.running(n)) return;
                                     }
                             }),
                    1, 2);
}

template <class T>
void add_transport(plan& p, const std::vector<int>& pair, std::size_t capacity) {
    add_limit(p, limit_of_transport(sizeof(T), capacity, pair),
              "items stored straight into 4 KiB chunks, with one flag for a chunk", "ns/item", pair,
              [=](double seconds) { return transport<T>(pair, sizeof(T) * capacity, seconds); });
}

// --- instructions ------------------------------------------------------------------------------

// All processes do it to the same word.
template <class F>
outcome at_one_word(const std::vector<int>& cpus, double seconds, F&& instruction) {
    const shared<line> s;
    const team_result r = repeat(
        cpus, seconds, [&](worker&) { return [&](std::uint64_t) { instruction(s->word); }; });
    return together(r, 0, static_cast<unsigned>(cpus.size()));
}

void increment(std::atomic<std::uint64_t>& word) { word.fetch_add(1, relaxed); }
void increment_if_unchanged(std::atomic<std::uint64_t>& word) {
    std::uint64_t seen = word.load(relaxed);
    while (!word.compare_exchange_strong(seen, seen + 1, relaxed)) {
    }
}

template <class F>
void add_instruction(plan& p, const std::string& name, const std::string& what,
                     const std::vector<int>& cpus, F instruction) {
    add_limit(p, name + "/" + placement(cpus), what, "ns", cpus,
              [=](double seconds) { return at_one_word(cpus, seconds, instruction); });
}

void add_instructions(plan& p) {
    const std::vector<int> one{allowed_cpus().front()};
    add_instruction(p, "fetch_add", "one process alone", one, increment);
    add_instruction(p, "compare_exchange", "a load and a compare-exchange, one process alone", one,
                    increment_if_unchanged);
    add_instruction(p, "exchange", "one process alone", one,
                    [](auto& word) { word.exchange(1, relaxed); });
    add_instruction(p, "fence_seq_cst", "one process alone", one,
                    [](auto&) { std::atomic_thread_fence(seq_cst); });
    add_instruction(p, "store_release", "one process alone", one,
                    [](auto& word) { word.store(1, release); });
    add_limit(p, two_locked_limit, "one process alone", "ns", one, [one](double seconds) {
        return at_one_word(one, seconds, [](auto& word) {
            increment(word);
            increment(word);
        });
    });
    for (const auto& pair : pairs()) {
        const std::string what = "two processes at one word, both together";
        add_instruction(p, "fetch_add", what, pair, increment);
        add_instruction(p, "compare_exchange", what, pair, increment_if_unchanged);
    }
}

// --- memory ------------------------------------------------------------------------------------

std::size_t cache_bytes(int level, std::size_t otherwise) {
    const long said = ::sysconf(level);
    return said > 0 ? static_cast<std::size_t>(said) : otherwise;
}

// Half of each cache, so that what is measured stays there; four times the last one, up to 256 MiB.
std::vector<std::pair<std::string, std::size_t>> levels() {
    const std::size_t l1 = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
    const std::size_t l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 512 << 10);
    const std::size_t l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE, 8 << 20);
    return {{"L1", l1 / 2},
            {"L2", l2 / 2},
            {"L3", std::min<std::size_t>(l3 / 2, 8 << 20)},
            {"DRAM", std::min<std::size_t>(4 * l3, 256 << 20)}};
}

// From one half of so many bytes to the other.
outcome copy(std::size_t bytes, double seconds) {
    const std::vector<int> one{allowed_cpus().front()};
    outcome o = each(run_team(one, seconds, [&](worker& w) {
        const std::size_t half = bytes / 2, part = std::min<std::size_t>(half, 64 << 10);
        std::vector<std::byte> all(bytes, std::byte{1});
        w.meet();
        std::uint64_t n = 0;
        for (std::size_t at = 0; w.running(n); at = at + 2 * part > half ? 0 : at + part) {
            std::memcpy(all.data() + half + at, all.data() + at, part);
            asm volatile("" : : "r"(all.data()) : "memory");
            n += part;
        }
    }));
    o.value = 1 / o.value;  // from ns per byte
    return o;
}

// Reads of lines, each of which says where the next one is: one cycle in random order.
outcome chase(std::size_t bytes, std::uint64_t seed, double seconds) {
    const std::vector<int> one{allowed_cpus().front()};
    return each(repeat(one, seconds, [&](worker&) {
        struct alignas(64) node {
            std::uint64_t next;
        };
        std::vector<node> all(bytes / sizeof(node));
        for (std::size_t i = 0; i < all.size(); ++i) all[i].next = i;
        std::mt19937_64 dice(seed);
        for (std::size_t i = all.size() - 1; i > 0; --i)  // Sattolo: one cycle through all
            std::swap(all[i].next, all[dice() % i].next);
        return [all = std::move(all), at = std::uint64_t{0}](std::uint64_t) mutable {
            at = all[at].next;
            keep(at);
        };
    }));
}

void add_memory(plan& p) {
    const std::vector<int> one{allowed_cpus().front()};
    for (const auto& [level, size] : levels()) {
        const std::size_t bytes = size;
        add_limit(p, "memcpy/" + level,
                  "bytes copied in one direction, from " + std::to_string(bytes >> 10) +
                      " KiB to and fro",
                  "GB/s", one, [bytes](double seconds) { return copy(bytes, seconds); });
        add_limit(p, "dependent_read/" + level,
                  "reads of which each needs the one before, over " + std::to_string(bytes >> 10) +
                      " KiB",
                  "ns", one,
                  [bytes, seed = p.with.seed](double s) { return chase(bytes, seed, s); });
    }
}

const enlist limits([](plan& p) {
    for (const auto& pair : pairs()) {
        for (const bool two : {false, true})
            add_limit(p, round_trip_limit(two, pair),
                      two ? "a word there on one line, and back on another"
                          : "a word there and back on one line",
                      "ns", pair, [=](double s) { return round_trip(pair, two, s); });
        for (const std::size_t kib : {64u, 1024u, 16384u})
            add_limit(p, "streamed_line/" + std::to_string(kib) + "KiB/" + placement(pair),
                      "lines of 64 bytes, in a ring of 4 KiB chunks with one flag each", "ns/line",
                      pair, [=](double s) { return transport<item<64>>(pair, kib << 10, s); });
        add_transport<item<8>>(p, pair, few);
        add_transport<item<8>>(p, pair, plenty);
        add_transport<item<64>>(p, pair, few);
        add_transport<item<64>>(p, pair, plenty);
        add_transport<item<1024>>(p, pair, few);
    }
    add_instructions(p);
    add_memory(p);
});

}  // namespace
}  // namespace assay_perf
