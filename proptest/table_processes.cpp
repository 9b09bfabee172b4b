// The table among processes that create, erase and die: in a segment, with delays at every step
// and SIGKILL at exact steps and at random times. Afterwards the table is whole.
//
// Every shared access of this file's tables goes through step(), so they have an ABI of their own.
#define ASSAY_ABI proptested
#define ASSAY_STEP() ::assay_proptest::step()

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

namespace assay_proptest {
void step() noexcept;
}

#include <algorithm>
#include <assay/posix_shm.hpp>
#include <random>
#include <set>

#include "proptest/harness.hpp"

namespace assay_proptest {

namespace {

// What this process does at its steps. Not shared: set in each child after the fork.
struct schedule {
    std::uint64_t die_at = 0;      // SIGKILL at that step, counted from 1; 0: never
    std::uint64_t delay_seed = 0;  // 0: no delays
    std::uint64_t steps = 0;
};
schedule mine;

}  // namespace

void step() noexcept {
    if (++mine.steps == mine.die_at) ::kill(::getpid(), SIGKILL);
    if (mine.delay_seed == 0) return;
    mine.delay_seed = mine.delay_seed * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t dice = mine.delay_seed >> 40;
    if (dice % 97 == 0) ::sched_yield();
    if (dice % 1009 == 0) ::usleep(static_cast<useconds_t>(dice % 60));
}

namespace {

using segment = assay::posix_shm_impl<assay::table_small>;
using random_numbers = std::mt19937_64;

struct entry {
    std::string name;
    std::uint64_t offset, size, tag;
};

struct totals {
    std::uint64_t entries, allocated, available;
};

enum class how { allocate, open_or_create, add };

std::byte pattern(std::uint64_t tag) { return static_cast<std::byte>(tag * 37 + 11); }

// The real table.
class real_table {
public:
    static constexpr std::uint64_t overhead = 0;
    explicit real_table(segment& s)
        : base(static_cast<std::byte*>(s.get_base_addr())),
          begin(s.get_table()->data_begin()),
          end(s.get_table()->data_end()),
          table_(*s.get_table()) {}

    bool make(how way, const std::string& name, std::uint64_t offset, std::uint64_t size,
              std::uint64_t tag) {
        switch (way) {
            case how::allocate:
                return table_.allocate(name, size, 8) != nullptr;
            case how::add:
                try {
                    return table_.add(name, begin + offset, size);
                } catch (const std::invalid_argument&) {  // overlaps an entry
                    return false;
                }
            case how::open_or_create:
                break;
        }
        try {
            return table_
                .open_or_create(name, {size, 8, assay::kind::array, 1, size, tag},
                                [&](void* memory) {
                                    std::memset(memory, std::to_integer<int>(pattern(tag)), size);
                                })
                .second;
        } catch (const assay::no_space&) {
            return false;
        }
    }
    bool erase(const std::string& name) { return table_.erase(name); }
    void clear() { table_.clear(); }
    [[nodiscard]] std::optional<entry> describe(const std::string& name) const {
        const auto d = table_.describe(name);
        if (!d) return std::nullopt;
        return entry{name, d->offset, d->size, d->tag};
    }
    [[nodiscard]] std::vector<entry> list() const {
        std::vector<entry> all;
        for (const auto& e : table_) all.push_back({e.name, e.offset, e.size, e.tag});
        return all;
    }
    [[nodiscard]] totals count() const {
        return {table_.get_entry_count(), table_.get_total_allocated_size(),
                table_.get_available_size()};
    }

    std::byte* base;
    std::uint64_t begin, end;

private:
    assay::table_small& table_;
};

enum class flaw { seed_has_no_lock, lock_dies_with_its_holder, active_before_filled };

// A table like the seed's, inside an entry of a real one, with one flaw.
template <flaw Flaw>
class naive_table {
    struct slot {
        assay::word<std::uint32_t> active;
        assay::word<std::uint64_t> name[2], offset, size, tag;
    };
    struct layout {
        assay::owned_lock lock;
        assay::word<std::uint32_t> plain_lock;
        slot slots[16];
    };
    static constexpr auto relaxed = assay::relaxed;

public:
    static constexpr std::uint64_t overhead = 1024;
    static_assert(sizeof(layout) <= overhead);

    explicit naive_table(segment& s)
        : base(static_cast<std::byte*>(s.get_base_addr())), me_(*s.hold()) {
        auto& names = *s.get_table();
        if (names.find("naive") == nullptr) names.allocate("naive", sizeof(layout));
        begin = names.data_begin() + overhead;
        end = names.data_end();
        shared_ = reinterpret_cast<layout*>(base + names.find("naive")->offset);
    }

    bool make(how, const std::string& name, std::uint64_t, std::uint64_t size, std::uint64_t tag) {
        const guard hold(*this);
        slot* free = nullptr;
        std::vector<entry> used = list();
        for (slot& s : shared_->slots)
            if (free == nullptr && s.active.load(relaxed) == 0) free = &s;
        if (free == nullptr || locate(name) != nullptr) return false;
        std::sort(used.begin(), used.end(),
                  [](const entry& a, const entry& b) { return a.offset < b.offset; });
        std::uint64_t at = begin;
        for (const entry& e : used) {
            if (at + size <= e.offset) break;
            at = std::max(at, assay::align_up(e.offset + e.size, 8));
        }
        if (at + size > end) return false;
        std::memset(base + at, std::to_integer<int>(pattern(tag)), size);
        if (Flaw == flaw::active_before_filled) free->active.store(1, assay::release);
        std::uint64_t words[2] = {};
        std::memcpy(words, name.data(), name.size());
        assay::store_words(free->name, words, 2);
        free->offset.store(at, relaxed);
        free->size.store(size, relaxed);
        free->tag.store(tag, relaxed);
        free->active.store(1, assay::release);
        return true;
    }
    bool erase(const std::string& name) {
        const guard hold(*this);
        slot* const found = locate(name);
        if (found != nullptr) found->active.store(0, relaxed);
        return found != nullptr;
    }
    void clear() {
        const guard hold(*this);
        for (slot& s : shared_->slots) s.active.store(0, relaxed);
    }
    [[nodiscard]] std::optional<entry> describe(const std::string& name) const {
        if (const slot* const s = locate(name)) return as_entry(*s);
        return std::nullopt;
    }
    [[nodiscard]] std::vector<entry> list() const {
        std::vector<entry> all;
        for (const slot& s : shared_->slots)
            if (s.active.load(assay::acquire) != 0) all.push_back(as_entry(s));
        return all;
    }
    [[nodiscard]] totals count() const {
        totals t{0, 0, end - begin};
        for (const entry& e : list()) {
            ++t.entries;
            t.allocated += e.size;
            t.available -= e.size;
        }
        return t;
    }

    std::byte* base;
    std::uint64_t begin, end;

private:
    struct guard {
        explicit guard(naive_table& t) : table(t) {
            if (Flaw == flaw::active_before_filled) table.shared_->lock.lock(table.me_);
            if (Flaw != flaw::lock_dies_with_its_holder) return;
            std::uint32_t free = 0;
            while (!table.shared_->plain_lock.compare_exchange(free, 1, assay::acquire, relaxed)) {
                free = 0;
                ::sched_yield();
            }
        }
        ~guard() {
            if (Flaw == flaw::active_before_filled) table.shared_->lock.unlock();
            if (Flaw == flaw::lock_dies_with_its_holder)
                table.shared_->plain_lock.store(0, assay::release);
        }
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;
        naive_table& table;
    };

    static entry as_entry(const slot& s) {
        std::uint64_t words[3] = {};
        assay::load_words(s.name, words, 2);
        return {reinterpret_cast<const char*>(words), s.offset.load(relaxed), s.size.load(relaxed),
                s.tag.load(relaxed)};
    }
    [[nodiscard]] slot* locate(const std::string& name) const {
        for (slot& s : shared_->slots)
            if (s.active.load(assay::acquire) != 0 && as_entry(s).name == name) return &s;
        return nullptr;
    }

    assay::membership& me_;
    layout* shared_ = nullptr;
};

// --- many processes ----------------------------------------------------------------------------

constexpr unsigned max_processes = 4;
constexpr unsigned max_steps = 64;
constexpr unsigned shared_names = 4;
constexpr unsigned private_names = 2;  // of each process
constexpr unsigned all_names = shared_names + max_processes * private_names;

enum class state : std::uint8_t { never_began, began, succeeded, did_not };

// What a process did, in memory that survives it. `end` is the last thing written.
struct deed {
    std::uint8_t name;
    bool creates;
    std::uint32_t size;
    std::uint64_t tag;
    volatile state end;
};

struct diary {
    deed deeds[max_processes][max_steps];
    char complaint[max_processes][200];
};

std::string name_of(unsigned i) {
    return i < shared_names ? "shared" + std::to_string(i) : "private" + std::to_string(i);
}
unsigned private_name(unsigned process, unsigned i) {
    return shared_names + process * private_names + i;
}

template <class Table>
bool content_intact(const Table& t, const entry& e) {
    if (e.tag == 0) return true;  // not filled by its creator
    const std::byte* const first = t.base + e.offset;
    return std::all_of(first, first + e.size, [&](std::byte b) { return b == pattern(e.tag); });
}

template <class Table>
class crowd {
public:
    crowd(std::uint64_t seed, bool with_deaths)
        : random_(seed),
          processes_(2 + static_cast<unsigned>(random_() % (max_processes - 1))),
          with_deaths_(with_deaths),
          segment_("assay-proptest-" + std::to_string(::getpid()),
                   segment::size_for(Table::overhead + 256 + random_() % 6000)),
          diary_(static_cast<diary*>(::mmap(nullptr, sizeof(diary), PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        segment_.unlink();  // nothing is left, whoever dies
        require(diary_ != MAP_FAILED, "mmap");
        Table make_it(segment_);
    }
    ~crowd() { ::munmap(diary_, sizeof(diary)); }
    crowd(const crowd&) = delete;
    crowd& operator=(const crowd&) = delete;

    void live() {
        std::vector<std::pair<pid_t, bool>> children;  // and whether to kill it
        for (unsigned i = 0; i < processes_; ++i) {
            schedule plan;
            plan.delay_seed = random_() | 1;
            // The first one always survives. Early steps are more likely than late ones.
            const unsigned fate = with_deaths_ && i > 0 ? static_cast<unsigned>(random_() % 3) : 0;
            const std::uint64_t reach = std::uint64_t{1} << (4 + random_() % 10);
            if (fate == 1) plan.die_at = 1 + random_() % reach;
            const std::uint64_t seed = random_();
            const pid_t pid = ::fork();
            if (pid == 0) {
                ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                mine = plan;
                act(i, seed);
                ::_exit(0);
            }
            survives_[i] = fate == 0;
            children.emplace_back(pid, fate == 2);
        }
        for (const auto& [pid, doomed] : children)
            if (doomed) {
                ::usleep(static_cast<useconds_t>(random_() % 1500));
                ::kill(pid, SIGKILL);
            }
        for (const auto& [pid, doomed] : children) {
            int status = 0;
            ::waitpid(pid, &status, 0);
            const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            if (!killed && status != 0)
                fail("a process ended with status " + std::to_string(status));
        }
        for (const auto& complaint : diary_->complaint)
            if (complaint[0] != 0) fail(complaint);
        judge();
    }

private:
    // One process. It writes down what it is about to do, does it, and writes down how it ended.
    void act(unsigned self, std::uint64_t seed) {
        random_numbers random(seed);
        Table t(segment_);
        const auto complain = [&](const std::string& what) {
            std::snprintf(diary_->complaint[self], sizeof diary_->complaint[self], "%s",
                          what.c_str());
            ::_exit(0);
        };
        for (unsigned i = 0; i < max_steps; ++i) {
            deed& d = diary_->deeds[self][i];
            const bool is_private = random() % 2 == 0;
            const auto pick = static_cast<unsigned>(random());
            const unsigned n =
                is_private ? private_name(self, pick % private_names) : pick % shared_names;
            const auto way = static_cast<how>(random() % 3);
            d.name = static_cast<std::uint8_t>(n);
            d.creates = random() % 5 < 3;
            d.size = static_cast<std::uint32_t>(1 + random() % 700);
            const bool fills = way == how::open_or_create || Table::overhead != 0;
            d.tag = fills ? 1 + self * max_steps + i : 0;
            const std::uint64_t offset = random() % 6000;
            const auto before = is_private ? t.describe(name_of(n)) : std::nullopt;
            if (before && !content_intact(t, *before))
                complain("the memory of '" + name_of(n) + "' was overwritten");
            d.end = state::began;
            const bool success =
                d.creates ? t.make(way, name_of(n), offset, d.size, d.tag) : t.erase(name_of(n));
            d.end = success ? state::succeeded : state::did_not;
            if (!is_private) continue;
            const auto after = t.describe(name_of(n));
            if (!d.creates && (success != before.has_value() || after))
                complain("erase of '" + name_of(n) + "' did not do what it said");
            if (d.creates && (success ? before || !after || after->size != d.size
                                      : before.has_value() != after.has_value()))
                complain("creation of '" + name_of(n) + "' did not do what it said");
        }
    }

    // With everyone gone. The first operation gets the lock from the dead, or the check hangs.
    void judge() {
        Table t(segment_);
        t.erase("nobody made this");
        std::vector<entry> all = t.list();
        std::sort(all.begin(), all.end(),
                  [](const entry& a, const entry& b) { return a.offset < b.offset; });
        std::set<std::string> names;
        std::uint64_t free_from = t.begin, sum = 0;
        for (const entry& e : all) {
            require(e.offset >= free_from, "entries overlap");
            free_from = e.offset + e.size;
            sum += e.size;
            if (!names.insert(e.name).second) fail("two entries are named '" + e.name + "'");
            if (!content_intact(t, e)) fail("the memory of '" + e.name + "' was overwritten");
        }
        require(free_from <= t.end, "an entry reaches behind the data area");
        const totals n = t.count();
        require_equal(n.entries, std::uint64_t{all.size()}, "entry count");
        require_equal(n.allocated, sum, "allocated bytes");
        require_equal(n.available, t.end - t.begin - sum, "available bytes");
        for (unsigned i = 0; i < all_names; ++i) account_for(i, t, names.erase(name_of(i)) == 1);
        if (!names.empty()) fail("nobody made '" + *names.begin() + "'");
        segment_.recover();
        require_equal(segment_.get_ref_count(), 1u, "attachments after all others died");
        t.clear();
        require(t.make(how::allocate, "all", 0, t.end - t.begin, 0),
                "an empty table cannot give its whole area");
    }

    // Present exactly if created once more than erased; a deed in which its process died counts or
    // does not. The last creation of a survivor's private name is what is there.
    void account_for(unsigned name, const Table& t, bool present) {
        int sure = 0, maybe_more = 0, maybe_less = 0;
        const deed* last = nullptr;
        for (const auto& deeds : diary_->deeds)
            for (const deed& d : deeds) {
                if (d.name != name || d.end == state::never_began || d.end == state::did_not)
                    continue;
                if (d.end == state::succeeded) {
                    sure += d.creates ? 1 : -1;
                    last = &d;
                } else {
                    ++(d.creates ? maybe_more : maybe_less);
                }
            }
        const int there = present ? 1 : 0;
        if (there < sure - maybe_less || there > sure + maybe_more)
            fail("'" + name_of(name) + (present ? "' is there" : "' is not there") +
                 " though it was created " + std::to_string(sure) + " times more than erased");
        if (name < shared_names || !survives_[(name - shared_names) / private_names] || !present)
            return;
        const auto e = t.describe(name_of(name));
        require(e && last != nullptr && e->size == last->size && e->tag == last->tag,
                "a survivor's entry is not what it created");
    }

    random_numbers random_;
    unsigned processes_;
    bool with_deaths_;
    bool survives_[max_processes] = {};
    segment segment_;
    diary* diary_;
};

template <class Table, bool WithDeaths>
void crowds(context& c) {
    sample(c, [](std::uint64_t seed) { crowd<Table>(seed, WithDeaths).live(); });
}

// --- one death, at every step ------------------------------------------------------------------

enum class operation { allocate, open_or_create, add, erase, clear };

// The name and the tag differ from one step to the next: what the last round left in the slots of
// the table must not look like this round's entry.
struct plan {
    operation what;
    std::uint64_t size;
    unsigned old;  // entries before
    std::uint64_t step;
    [[nodiscard]] std::string name() const { return "new" + std::to_string(step); }
};

template <class Table>
void operate(Table& t, const plan& p) {
    switch (p.what) {
        case operation::allocate:
            t.make(how::allocate, p.name(), 0, p.size, 0);
            break;
        case operation::open_or_create:
            t.make(how::open_or_create, p.name(), 0, p.size, p.step);
            break;
        case operation::add:
            t.make(how::add, p.name(), t.end - t.begin - p.size, p.size, 0);
            break;
        case operation::erase:
            t.erase("old0");
            break;
        case operation::clear:
            t.clear();
            break;
    }
}

// All but clear, which removes entry by entry, leave the state before or the state after.
template <class Table>
void check_half_done(Table& t, const plan& p) {
    unsigned found = 0;
    for (unsigned i = 0; i < p.old; ++i) found += t.describe("old" + std::to_string(i)) ? 1 : 0;
    const auto created = t.describe(p.name());
    if (p.what == operation::erase)
        require(found == p.old || (found == p.old - 1 && !t.describe("old0")),
                "erase lost an entry");
    else if (p.what != operation::clear)
        require_equal(found, p.old, "old entries");
    if (created) require_equal(created->size, p.size, "size of the new entry");
    if (created && !content_intact(t, *created)) fail("the new entry is there, but not formatted");
    require_equal(t.count().entries, std::uint64_t{found} + (created ? 1 : 0), "entries");
    // The survivors can do the same at once, and the space is where it should be.
    operate(t, p);
    if (p.what != operation::erase && p.what != operation::clear)
        require(t.describe(p.name()).has_value(), "a survivor cannot create the entry");
    t.clear();
    require(t.make(how::allocate, "all", 0, t.end - t.begin, 0), "space was lost");
    t.clear();
}

template <class Table>
void death_at_every_step(context& c) {
    sample(c, [](std::uint64_t seed) {
        random_numbers random(seed);
        segment s("assay-proptest-" + std::to_string(::getpid()),
                  segment::size_for(Table::overhead + 8000));
        s.unlink();
        Table t(s);
        plan p{static_cast<operation>(random() % 5), 1 + random() % 700,
               1 + static_cast<unsigned>(random() % 8), 0};
        for (;;) {
            ++p.step;
            for (unsigned i = 0; i < p.old; ++i)
                t.make(how::allocate, "old" + std::to_string(i), 0, 1 + i * 97, 0);
            const pid_t pid = ::fork();
            if (pid == 0) {
                ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                mine = {p.step, 0, 0};
                operate(t, p);
                ::_exit(0);
            }
            int status = 0;
            ::waitpid(pid, &status, 0);
            if (WIFEXITED(status)) {
                require_equal(status, 0, "status of a process that was not killed");
                return;  // it has fewer steps than that: all were tried
            }
            check_half_done(t, p);
        }
    });
}

const registration table_among_processes([](std::vector<check>& all) {
    const auto add = [&](const char* name, const char* what, auto body, double weight) {
        check c{std::string("table_processes/") + name, what, body, weight, 5, false};
        c.patience = 10;
        all.push_back(std::move(c));
    };
    add("whole_after_concurrent_use",
        "2 to 4 processes create and erase 64 times each, with delays at the steps",
        crowds<real_table, false>, 1);
    add("whole_after_deaths", "the same, some of them killed at an exact step or at a random time",
        crowds<real_table, true>, 2);
    add("whole_after_a_death_at_every_step",
        "one operation of each kind, killed at its 1st, 2nd, ... last shared access",
        death_at_every_step<real_table>, 2);
    const auto canary = [&](const char* name, const char* what, auto body) {
        check c{std::string("table_processes/canary_") + name, what, body};
        c.repeatable = false;
        c.canary = true;
        c.patience = 2;
        all.push_back(std::move(c));
    };
    canary("seed_has_no_lock", "the seed's table: two creators take the same slot and space",
           crowds<naive_table<flaw::seed_has_no_lock>, false>);
    canary("lock_dies_with_its_holder", "a spin lock that nobody can take from the dead",
           crowds<naive_table<flaw::lock_dies_with_its_holder>, true>);
    canary("active_before_filled", "an entry is announced before its fields are written",
           death_at_every_step<naive_table<flaw::active_before_filled>>);
});

}  // namespace

}  // namespace assay_proptest
