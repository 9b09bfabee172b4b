// mrsw_array.cpp -- one writer that moves amounts between elements, and readers whose snapshots must
// always show the same sum; the writer is killed in the middle and followed by another.
#include <assay/mrsw_array.hpp>
#include <assay/posix_shm.hpp>

#include <algorithm>
#include <span>
#include <vector>

#include "stress/broken.hpp"
#include "stress/harness.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;

struct purse {
    std::int64_t amount;
    std::uint64_t update;  // the last one that touched it
    std::uint64_t sum;

    static purse make(std::int64_t amount, std::uint64_t update) {
        return {amount, update, static_cast<std::uint64_t>(amount) * 31 + update};
    }
    [[nodiscard]] bool whole() const {
        return sum == static_cast<std::uint64_t>(amount) * 31 + update;
    }
};

template <class Array>
void write(worker& w, Array& all, std::uint64_t count) {
    if constexpr (requires { all.recover(); }) {
        w.op("recover");
        all.recover();
        if (all.interrupted()) fail("still interrupted after recover()");
    }
    for (std::uint64_t n = 1; w.running(); ++n) {
        w.op("update", n);
        all.update([&](auto& edit) {
            for (std::uint64_t moves = w.dice.between(1, 3); moves != 0; --moves) {
                const std::uint64_t from = w.dice.below(count), to = w.dice.below(count);
                const auto by = static_cast<std::int64_t>(w.dice.below(1000));
                edit.set(from, purse::make(edit.get(from).amount - by, n));
                edit.set(to, purse::make(edit.get(to).amount + by, n));
            }
        });
    }
}

void expect_consistent(std::span<const purse> all) {
    std::int64_t sum = 0;
    for (const purse& p : all) {
        if (!p.whole()) fail("a snapshot has a torn element");
        sum += p.amount;
    }
    if (sum != 0) fail("a snapshot is of no single version: its sum is %lld", (long long)sum);
}

template <class Array>
void snapshots_are_of_one_version(context& c) {
    constexpr std::uint64_t counts[] = {2, 3, 16, 100};
    const std::string name = c.segment("mrsw");
    while (const auto e = c.next()) {
        random dice(e->seed ^ 1);
        const std::uint64_t count = counts[dice.below(std::size(counts))];
        posix_shm here(name, posix_shm::size_for(Array::size_bytes(count) + 4096));
        Array last(here, "array", count);
        team(*e, e->processes, [&](worker& w) {
            posix_shm segment(name);
            Array mine(segment, "array", count);
            if (w.index == 0) return write(w, mine, count);
            std::vector<purse> all(count);
            for (std::uint64_t seen = 0; w.running();) {
                w.op("snapshot", seen);
                const std::uint64_t version = mine.snapshot(std::span(all));
                expect_consistent(all);
                if (version < seen) fail("a snapshot of an older version than the one before");
                seen = version;
            }
        }).run();
        std::vector<purse> all(count);
        last.snapshot(std::span(all));
        expect_consistent(all);
    }
}

const enlist checks{
    {"mrsw_array/snapshots_are_of_one_version",
     "a writer moves amounts, is killed and followed; every snapshot has the same sum",
     "operations", snapshots_are_of_one_version<assay::mrsw_array<purse>>},
    {"mrsw_array/canary_seed_reads_are_not_snapshots",
     "the seed's reads without synchronisation",
     "operations",
     snapshots_are_of_one_version<broken::mrsw_array<purse>>,
     1,
     {"no single version", "torn"}},
};

}  // namespace
}  // namespace assay_stress
