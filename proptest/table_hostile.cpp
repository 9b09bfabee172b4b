// Tables that a broken or hostile process has written to: every operation ends with a result or an
// exception that it documents, touches no byte outside the data area, and clear() makes the table
// whole again.

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "proptest/harness.hpp"
#include "proptest/reference.hpp"
#include "proptest/subject.hpp"

namespace assay_proptest {

namespace {

enum class op { scribble, allocate, open_or_create, add, erase, describe, list, count, reopen };

struct command {
    op what;
    std::uint64_t where;  // of a scribble: which word; of others: which name
    std::uint64_t value;
    std::uint64_t size, alignment;
};

struct script {
    std::uint64_t area;
    std::vector<command> commands;
};

std::ostream& operator<<(std::ostream& out, const script& s) {
    constexpr const char* names[] = {"scribble", "allocate", "open_or_create", "add",   "erase",
                                     "describe", "list",     "count",          "reopen"};
    out << "[0, +" << s.area << ") ";
    for (const command& c : s.commands)
        out << names[static_cast<int>(c.what)] << "(" << c.where << ", " << c.value << ", "
            << c.size << ", align " << c.alignment << "); ";
    return out;
}

std::size_t length(const script& s) { return s.commands.size(); }

// Values at which arithmetic on offsets and sizes goes wrong, and states that say "active".
rc::Gen<std::uint64_t> nasty_words() {
    namespace gen = rc::gen;
    return gen::weightedOneOf<std::uint64_t>(
        {{3, gen::element<std::uint64_t>(1, 0, 3, UINT64_MAX, UINT64_MAX - 63, UINT64_MAX / 2,
                                         std::uint64_t{1} << 63, std::uint64_t{1} << 32, UINT32_MAX,
                                         'n' | '1' << 8)},
         {3, gen::inRange<std::uint64_t>(0, 9000)},
         {1, gen::arbitrary<std::uint64_t>()}});
}

rc::Gen<script> scripts() {
    namespace gen = rc::gen;
    const auto ops = gen::weightedElement<op>({{40, op::scribble},
                                               {10, op::allocate},
                                               {10, op::open_or_create},
                                               {6, op::add},
                                               {8, op::erase},
                                               {8, op::describe},
                                               {4, op::list},
                                               {4, op::count},
                                               {1, op::reopen}});
    const auto commands = gen::map(
        gen::tuple(ops, gen::inRange<std::uint64_t>(0, 100), nasty_words(),
                   gen::oneOf(gen::inRange<std::uint64_t>(1, 3000), nasty_words()),
                   gen::element<std::uint64_t>(1, 64, 4096, std::uint64_t{1} << 48, 0)),
        [](auto t) { return std::apply([](auto... fields) { return command{fields...}; }, t); });
    return gen::map(gen::tuple(gen::inRange<std::uint64_t>(1, 9000),
                               gen::container<std::vector<command>>(commands)),
                    [](auto t) {
                        return script{std::get<0>(t), std::move(std::get<1>(t))};
                    });
}

// Reads what an operation claims to be the caller's memory.
void touch(const subject& s, const record& r) {
    require(r.offset >= s.begin && r.offset <= s.end && r.size <= s.end - r.offset,
            "an operation returned memory outside the data area");
    if (r.size == 0) return;
    const volatile std::byte* const first = s.base + r.offset;
    static_cast<void>(*first);
    static_cast<void>(*(first + (r.size - 1)));
}

template <class Table>
class victim {
public:
    explicit victim(Table& table, std::byte* base) : table_(table) {
        subject_.base = base;
        subject_.begin = table.data_begin();
        subject_.end = table.data_end();
    }

    void execute(const command& c) {
        const std::string name = "n" + std::to_string(c.where % 12);
        const answer a = answer_of([&] { return run(c, name); });
        if (a.entry) touch(subject_, *a.entry);
    }

    // Whatever is in it, clear() empties it, and then it works.
    void heal() {
        table_.clear();
        require_equal(table_.get_entry_count(), std::size_t{0}, "entries after clear");
        const std::uint64_t all = table_.data_end() - table_.data_begin();
        require_equal(table_.get_available_size(), all, "space after clear");
        require(table_.allocate("all", all, 1) != nullptr, "a cleared table has no room");
    }

private:
    answer run(const command& c, const std::string& name) {
        switch (c.what) {
            case op::allocate:
                if (table_.allocate(name, c.size, c.alignment) == nullptr) break;
                [[fallthrough]];
            case op::describe:
                if (const auto d = table_.describe(name))
                    return {ending::done, record{name, d->offset, d->size}};
                break;
            case op::open_or_create: {
                const auto [d, created] = table_.open_or_create(
                    name, {c.size, c.alignment, assay::kind::array, 8, c.size / 8, c.value},
                    [&](void* memory) { std::memset(memory, 0x5a, c.size); });
                return {ending::done, record{name, d.offset, d.size}, created};
            }
            case op::add:
                table_.add(name, table_.data_begin() + c.value, c.size);
                break;
            case op::erase:
                table_.erase(name);
                break;
            case op::list:
                for (const auto& e : table_) {
                    require(std::string(e.name).size() <= Table::max_name_size + 1, "a long name");
                    static_cast<void>(
                        to_string(static_cast<assay::kind>(static_cast<std::uint32_t>(e.what))));
                }
                break;
            case op::count:
                require(table_.get_available_size() <= table_.data_end() - table_.data_begin(),
                        "more space is available than there is");
                require(table_.get_entry_count() <= Table::max_entries, "too many entries");
                require(table_.get_available_entries() <= Table::max_entries, "too many free");
                static_cast<void>(table_.get_total_allocated_size());
                static_cast<void>(table_.can_allocate(c.size, c.alignment));
                break;
            case op::scribble:
            case op::reopen:
                break;
        }
        return {};
    }

    struct area final : real_subject<Table> {};  // only base, begin and end
    Table& table_;
    area subject_;
};

// Everything behind the lock: what a lock holds is who waits for whom, see lib/tests/owner.cpp.
void scribble(std::byte* table, std::size_t bytes, std::uint64_t where, std::uint64_t value) {
    const std::size_t words = (bytes - assay::line_size) / 8;
    std::memcpy(table + assay::line_size + where % words * 8, &value, 8);
}

template <class Table>
void survives_scribbles(context& c) {
    explore(c, scripts(), [](const script& input) {
        plain_subject<Table> memory(0, input.area);
        victim<Table> v(memory.table(), memory.base);
        for (const command& each : input.commands) {
            if (each.what == op::scribble)
                scribble(memory.table_memory(), Table::size_bytes(), each.where, each.value);
            else
                v.execute(each);
        }
        v.heal();
        require(memory.guards_intact(), "bytes outside the data area were written");
    });
}

// Trusts the offset of an entry, as the seed does: no check_range.
void trusting_reader(context& c) {
    explore(c, scripts(), [](const script& input) {
        using table = assay::table_small;
        plain_subject<table> memory(0, input.area);
        for (const command& each : input.commands) {
            const std::string name = "n" + std::to_string(each.where % 12);
            if (each.what == op::scribble)
                scribble(memory.table_memory(), table::size_bytes(), each.where, each.value);
            else if (each.what == op::allocate)
                static_cast<void>(answer_of([&]() -> answer {
                    memory.table().allocate(name, each.size, each.alignment);
                    return {};
                }));
            else if (const auto* const e = memory.table().find(name))
                touch(memory, {name, e->offset, e->size});
        }
    });
}

// A process that writes while we read: what was checked must be what is used.
class scribbler {
public:
    scribbler(std::byte* table, std::size_t bytes, std::uint64_t seed) : pid_(::fork()) {
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::mt19937_64 random(seed);
        const std::uint64_t nasty[] = {
            0, 1, 3, 64, 4000, UINT64_MAX, UINT64_MAX - 63, std::uint64_t{1} << 63};
        for (;;) scribble(table, bytes, random(), nasty[random() % std::size(nasty)]);
    }
    ~scribbler() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    scribbler(const scribbler&) = delete;
    scribbler& operator=(const scribbler&) = delete;

private:
    pid_t pid_;
};

void survives_a_live_scribbler(context& c) {
    using table = assay::table_small;
    constexpr std::size_t table_bytes = table::size_bytes();
    const std::size_t mapped = table_bytes + 8192;
    void* const at =
        ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(at != MAP_FAILED, "mmap");
    auto* const base = static_cast<std::byte*>(at);
    lone me;
    sample(c, [&](std::uint64_t seed) {
        std::memset(base, 0, mapped);
        table::format(base);
        table t(base, base, table_bytes, mapped, me);
        victim<table> v(t, base);
        std::mt19937_64 random(seed);
        {
            const scribbler enemy(base, table_bytes, seed);
            for (int i = 0; i < 400; ++i) {
                const auto what = static_cast<op>(1 + random() % 8);
                v.execute({what, random(), random() % 9000, 1 + random() % 3000,
                           std::uint64_t{1} << random() % 13});
            }
        }
        v.heal();
    });
}

const registration hostile_tables([](std::vector<check>& all) {
    const std::string what = "random words written into the entries, then every operation, ";
    all.push_back({"table_hostile/operations_end_cleanly_small", what + "table_small",
                   survives_scribbles<assay::table_small>, 1, 50});
    all.push_back({"table_hostile/operations_end_cleanly_huge", what + "table_huge",
                   survives_scribbles<assay::table_huge>, 0.5, 20});
    all.push_back({"table_hostile/operations_end_cleanly_while_another_process_writes",
                   "400 operations on entries that another process overwrites all the time",
                   survives_a_live_scribbler, 0.7, 10, false});
    check c{"table_hostile/canary_reader_trusts_the_offset",
            "an offset is taken from the entry unchecked", trusting_reader};
    c.canary = true;
    c.longest = 8;
    all.push_back(std::move(c));
});

}  // namespace

}  // namespace assay_proptest
