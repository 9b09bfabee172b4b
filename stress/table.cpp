// table.cpp -- processes that create, find and erase names at once, and die while they do.
#include <assay/posix_shm.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "stress/broken.hpp"
#include "stress/harness.hpp"

namespace assay_stress {
namespace {

using assay::posix_shm;

constexpr std::uint64_t arena = 1 << 20;

struct range {
    std::uint64_t begin, end;
    std::string name;
};

void expect_disjoint(std::vector<range> all) {
    std::sort(all.begin(), all.end(),
              [](const range& a, const range& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < all.size(); ++i)
        if (all[i].begin < all[i - 1].end)
            fail("entries '%s' and '%s' overlap at offset %llu", all[i - 1].name.c_str(),
                 all[i].name.c_str(), static_cast<unsigned long long>(all[i].begin));
}

// The table of a segment, the real one or the canary, by one spelling.
struct real {
    explicit real(const std::string& name) : segment(name, posix_shm::size_for(arena)) {}
    assay::table& names() { return *segment.get_table(); }
    posix_shm segment;
};
struct seed {
    explicit seed(const std::string& name)
        : segment(name, posix_shm::size_for(arena)), table(segment, "seed's table", 1) {}
    broken::table& names() { return table; }
    posix_shm segment;
    broken::table table;
};

template <class Names>
void expect_all_there(Names& names, std::uint64_t round, unsigned n) {
    std::vector<range> found;
    for (unsigned i = 0; i < n; ++i) {
        const std::string wanted = std::to_string(round) + "." + std::to_string(i);
        const auto* entry = names.find(wanted);
        if (entry == nullptr) fail("entry '%s' is lost", wanted.c_str());
        const std::uint64_t begin = entry->offset;
        found.push_back({begin, begin + entry->size, wanted});
    }
    expect_disjoint(std::move(found));
}

// Each process creates one name of its own per round, all at once: the first 2000 rounds with two
// processes, the others with as many as planned; with random delays in every window.
template <class Table>
void creators_never_overlap(context& c) {
    constexpr std::uint64_t rounds_wanted = 2000;
    struct book {
        std::atomic<std::uint64_t> round;
        std::atomic<bool> over;
    };
    const shared<book> b;
    const std::string name = c.segment("table");
    while (auto e = c.next(b->round < rounds_wanted)) {
        if (e->noise == 0) e->noise = 100;
        if (!c.canary()) e->seconds = std::max(e->seconds, 0.3);  // mostly rounds, not forks
        const unsigned n = b->round < rounds_wanted ? 2 : std::min(e->processes, 32u);
        const Table keep(name);
        team::rules r;
        r.mortal = false;
        r.lock_free = false;
        team(
            *e, n,
            [&](worker& w) {
                Table mine(name);
                for (bool over = false; !over; over = b->over) {
                    w.meet();
                    const std::uint64_t round = b->round;
                    w.op("allocate", round);
                    const auto* entry =
                        mine.names().allocate(std::to_string(round) + "." + std::to_string(w.index),
                                              64 * w.dice.between(1, 9));
                    if (entry == nullptr) fail("no room in a table that has room");
                    w.meet();
                    if (w.index == 0) {
                        expect_all_there(mine.names(), round, n);
                        if (round % 2 == 1) mine.names().clear();
                        ++b->round;
                        c.add(1);
                        b->over = !w.running();
                    }
                    w.meet();
                }
            },
            r)
            .run();
    }
}

// What each process knows of its own names; survives its death.
enum class state { absent, adding, present, erasing };
constexpr unsigned names_each = 6;

struct own_names {
    std::atomic<state> of[names_each];
};

std::string own_name(unsigned worker, unsigned k) {
    return std::to_string(worker) + ":" + std::to_string(k);
}
std::uint64_t own_size(unsigned worker, unsigned k) { return 64 * (1 + (worker * 7 + k * 5) % 32); }

class clerk {
public:
    clerk(worker& w, own_names& mine, const std::string& segment)
        : w_(w), mine_(mine), segment_(segment), names_(*segment_.get_table()) {
        for (unsigned k = 0; k < names_each; ++k) settle(k);
    }

    void add(unsigned k) {
        w_.op("allocate", k);
        mine_.of[k] = state::adding;
        const auto* entry = names_.allocate(own_name(w_.index, k), own_size(w_.index, k));
        if (entry == nullptr) fail("no room for '%s'", own_name(w_.index, k).c_str());
        std::memset(bytes(entry->offset), stamp(k), own_size(w_.index, k));
        mine_.of[k] = state::present;
    }
    void verify(unsigned k) {
        const auto d = names_.describe(own_name(w_.index, k));
        if (!d) fail("'%s' is lost", own_name(w_.index, k).c_str());
        const unsigned char* at = bytes(d->offset);
        const std::uint64_t size = own_size(w_.index, k);
        if (d->size != size || at[0] != stamp(k) || at[size - 1] != stamp(k) ||
            std::memcmp(at, at + 1, size - 1) != 0)
            fail("somebody wrote into '%s'", own_name(w_.index, k).c_str());
    }
    void erase(unsigned k) {
        verify(k);
        w_.op("erase", k);
        mine_.of[k] = state::erasing;
        if (!names_.erase(own_name(w_.index, k)))
            fail("'%s' was erased by nobody", own_name(w_.index, k).c_str());
        mine_.of[k] = state::absent;
    }
    // Another's entry is there or not, but never half.
    void look(unsigned worker, unsigned k) {
        w_.op("find", worker, k);
        const auto d = names_.describe(own_name(worker, k));
        if (d && d->size != own_size(worker, k))
            fail("'%s' is found with a size of %llu", own_name(worker, k).c_str(),
                 static_cast<unsigned long long>(d->size));
    }

private:
    // After a death: what was under way has happened or not; all else is as it was.
    void settle(unsigned k) {
        const state s = mine_.of[k];
        const auto* entry = names_.find(own_name(w_.index, k));
        if (s == state::present && entry == nullptr)
            fail("'%s' is lost", own_name(w_.index, k).c_str());
        if (s == state::absent && entry != nullptr)
            fail("'%s' was erased, and is found", own_name(w_.index, k).c_str());
        if (s == state::adding && entry != nullptr)
            std::memset(bytes(entry->offset), stamp(k), own_size(w_.index, k));
        mine_.of[k] = entry != nullptr ? state::present : state::absent;
    }
    unsigned char* bytes(std::uint64_t offset) {
        return static_cast<unsigned char*>(segment_.get_base_addr()) + offset;
    }
    [[nodiscard]] unsigned char stamp(unsigned k) const {
        return static_cast<unsigned char>(1 + w_.index * names_each + k);
    }

    worker& w_;
    own_names& mine_;
    posix_shm segment_;
    assay::table& names_;
};

// All add, erase and look; some are killed in the middle.
void acknowledged_names_survive(context& c) {
    const std::string name = c.segment("names");
    while (const auto e = c.next()) {
        posix_shm here(name, posix_shm::size_for(arena));
        const auto room = here.get_capacity().available_memory;
        const unsigned n = std::min(e->processes, 10u);  // the table has 64 entries
        const shared<own_names> books(n);
        team::rules r;
        r.lock_free = false;  // a stopped process may hold the table's lock, and lives
        team(
            *e, n,
            [&](worker& w) {
                clerk me(w, books[w.index], name);
                while (w.running()) {
                    const auto k = static_cast<unsigned>(w.dice.below(names_each));
                    me.look(static_cast<unsigned>(w.dice.below(n)), k);
                    if (books[w.index].of[k] == state::absent)
                        me.add(k);
                    else
                        me.erase(k);
                }
            },
            r)
            .run();

        std::vector<range> all;
        for (const auto& entry : *here.get_table())
            all.push_back({entry.offset, entry.offset + entry.size, entry.name.str()});
        expect_disjoint(all);
        for (unsigned i = 0; i < n; ++i)
            for (unsigned k = 0; k < names_each; ++k) {
                const state s = books[i].of[k];
                const bool found = here.get_table()->find(own_name(i, k)) != nullptr;
                if ((s == state::present && !found) || (s == state::absent && found))
                    fail("'%s' is %sthere at the end", own_name(i, k).c_str(), found ? "" : "not ");
            }
        here.get_table()->clear();
        if (here.get_capacity().available_memory != room) fail("space is lost");
    }
}

const enlist checks{
    {"table/creators_never_overlap",
     "2000 rounds of two processes that create names at once, then more of them; all delayed",
     "rounds", creators_never_overlap<real>},
    {"table/acknowledged_names_survive",
     "all add, find and erase, some are killed: what was acknowledged holds, no space is lost",
     "operations", acknowledged_names_survive},
    {"table/canary_seed_bump_allocation_overlaps",
     "the seed's allocation: read the total, then add to it",
     "rounds",
     creators_never_overlap<seed>,
     1,
     {"overlap", "is lost"}},
};

}  // namespace
}  // namespace assay_stress
