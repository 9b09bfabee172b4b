// The table allocator against a map and an interval set: every operation, after every command.

#include <algorithm>
#include <memory>
#include <set>

#include "proptest/harness.hpp"
#include "proptest/reference.hpp"
#include "proptest/subject.hpp"

namespace assay_proptest {

namespace {

enum class op {
    allocate,
    erase,
    open_or_create,
    add,
    describe,
    can_allocate,
    clear,
    reopen,
    flood
};

// Every command makes sense in every state, so that any part of a sequence is a sequence: this is
// what makes it shrink well.
struct command {
    op what;
    unsigned name;
    std::uint64_t size, alignment, offset;
};

struct script {
    std::uint64_t begin, area;
    std::vector<command> commands;
};

// Names 2 to 5 are those at the limit: as long as allowed, another of that length that differs in
// the last byte, one byte longer, and longer with the same beginning. 6 and 7 are never valid.
std::string name_of(unsigned i, std::size_t max_name) {
    switch (i) {
        case 2:
            return std::string(max_name, 'x');
        case 3:
            return std::string(max_name - 1, 'x') + 'y';
        case 4:
            return std::string(max_name, 'x') + 'y';
        case 5:
            return std::string(3 * max_name, 'x');
        case 6:
            return std::string();
        case 7:
            return std::string("a\0b", 3);
        default:
            return "n" + std::to_string(i);
    }
}

std::ostream& operator<<(std::ostream& out, const command& c) {
    const auto name = [&]() -> std::string {
        constexpr const char* special[] = {"<max bytes x>",   "<max-1 bytes x>y", "<max bytes x>y",
                                           "<3*max bytes x>", "<empty>",          "<a NUL b>"};
        return c.name >= 2 && c.name <= 7 ? special[c.name - 2] : name_of(c.name, 8);
    }();
    switch (c.what) {
        case op::allocate:
            return out << "allocate(" << name << ", " << c.size << ", align " << c.alignment << ")";
        case op::erase:
            return out << "erase(" << name << ")";
        case op::open_or_create:
            return out << "open_or_create(" << name << ", " << c.size << ", align " << c.alignment
                       << ")";
        case op::add:
            return out << "add(" << name << ", begin+" << c.offset << ", " << c.size << ")";
        case op::describe:
            return out << "describe(" << name << ")";
        case op::can_allocate:
            return out << "can_allocate(" << c.size << ", align " << c.alignment << ")";
        case op::clear:
            return out << "clear()";
        case op::reopen:
            return out << "reopen()";
        case op::flood:
            return out << "flood(" << c.size % 2000 << ")";
    }
    return out;
}

std::ostream& operator<<(std::ostream& out, const script& s) {
    out << "[" << s.begin << ", +" << s.area << ") ";
    for (const command& c : s.commands) out << c << "; ";
    return out;
}

std::size_t length(const script& s) { return s.commands.size(); }

rc::Gen<script> scripts() {
    namespace gen = rc::gen;
    const auto sizes = gen::weightedOneOf<std::uint64_t>(
        {{6, gen::inRange<std::uint64_t>(1, 200)},
         {4, gen::inRange<std::uint64_t>(0, 9000)},
         {1, gen::element<std::uint64_t>(0, 1, 63, 64, 65, std::uint64_t{1} << 48,
                                         std::uint64_t{1} << 63, UINT64_MAX - 63, UINT64_MAX)}});
    const auto alignments = gen::weightedElement<std::uint64_t>({{8, 1},
                                                                 {8, 64},
                                                                 {4, 2},
                                                                 {4, 8},
                                                                 {2, 256},
                                                                 {1, 4096},
                                                                 {1, 0},
                                                                 {1, 3},
                                                                 {1, 48},
                                                                 {1, std::uint64_t{1} << 48},
                                                                 {1, std::uint64_t{1} << 49},
                                                                 {1, std::uint64_t{1} << 63}});
    const auto offsets = gen::weightedOneOf<std::uint64_t>(
        {{8, gen::inRange<std::uint64_t>(0, 9000)},
         {1, gen::element<std::uint64_t>(0, UINT64_MAX, UINT64_MAX - 100, UINT64_MAX / 2)}});
    const auto names =
        gen::weightedOneOf<unsigned>({{6, gen::inRange(0u, 14u)}, {1, gen::inRange(0u, 60u)}});
    const auto ops = gen::weightedElement<op>({{30, op::allocate},
                                               {24, op::erase},
                                               {12, op::open_or_create},
                                               {10, op::add},
                                               {6, op::describe},
                                               {6, op::can_allocate},
                                               {1, op::clear},
                                               {2, op::reopen},
                                               {1, op::flood}});
    const auto commands = gen::map(gen::tuple(ops, names, sizes, alignments, offsets), [](auto t) {
        return std::apply([](auto... fields) { return command{fields...}; }, t);
    });
    return gen::map(
        gen::tuple(gen::inRange<std::uint64_t>(0, 300), gen::inRange<std::uint64_t>(1, 9000),
                   gen::container<std::vector<command>>(commands)),
        [](auto t) {
            return std::apply(
                [](auto b, auto a, auto c) {
                    return script{b, a, std::move(c)};
                },
                std::move(t));
        });
}

// Runs both side by side and compares everything that can be seen of them.
class comparison {
public:
    explicit comparison(subject& s)
        : subject_(s), reference_(s.begin, s.end, s.max_name, s.max_entries) {}

    void execute(const command& c) {
        const std::string name = name_of(c.name, subject_.max_name);
        record wanted{name, subject_.begin + c.offset, c.size, c.size % 7, c.name, 0};
        switch (c.what) {
            case op::allocate:
                wanted.elem_size = wanted.num_elem = 0;
                agree(subject_.allocate(name, wanted, c.alignment),
                      reference_.allocate(name, wanted, c.alignment), c.alignment);
                break;
            case op::open_or_create:
                wanted.what = assay::kind::queue;
                wanted.tag = c.offset;
                agree(subject_.open_or_create(name, wanted, c.alignment),
                      reference_.open_or_create(name, wanted, c.alignment), c.alignment);
                break;
            case op::add:
                agree(subject_.add(name, wanted), reference_.add(name, wanted), 1);
                break;
            case op::erase:
                erase(name);
                break;
            case op::describe:
                break;  // done for every command, below
            case op::can_allocate:
                require_equal(subject_.can_allocate(c.size, c.alignment),
                              reference_.can_allocate(c.size, c.alignment), "can_allocate");
                break;
            case op::clear:
                subject_.clear();
                reference_.clear();
                break;
            case op::reopen:
                subject_.reopen();
                break;
            case op::flood:
                for (unsigned i = 0; i < c.size % 2000; ++i) {
                    const std::string each = "f" + std::to_string(i);
                    const record small{each, 0, 1 + i % 7, 0, 0, 0};
                    agree(subject_.allocate(each, small, 1), reference_.allocate(each, small, 1),
                          1);
                }
                break;
        }
        require_equal(subject_.describe(name), reference_.describe(name), "describe");
        compare_all();
    }

    // What was erased can be had again: with no entry left, the area is one gap.
    void finish() {
        for (const auto& [name, entry] : std::map(reference_.entries())) erase(name);
        require_equal(subject_.count().available, subject_.end - subject_.begin,
                      "space after the last erase");
        const record all{"all", 0, subject_.end - subject_.begin, 0, 0, 0};
        require_equal(subject_.allocate("all", all, 1).how, ending::done,
                      "allocating the whole area of an empty table");
    }

private:
    void agree(const answer& found, const answer& expected, std::uint64_t alignment) {
        require_equal(found, expected, "the answer");
        if (!found.entry || !found.created) return;
        require_equal(found.entry->offset % alignment, std::uint64_t{0}, "misalignment");
        std::memset(subject_.base + found.entry->offset,
                    std::to_integer<int>(subject::fill_byte(found.entry->name)), found.entry->size);
    }

    void erase(const std::string& name) {
        if (const auto entry = reference_.describe(name)) {
            const std::byte* const first = subject_.base + entry->offset;
            require(std::all_of(first, first + entry->size,
                                [&](std::byte b) { return b == subject::fill_byte(name); }),
                    "somebody else wrote into the memory of an entry");
        }
        require_equal(subject_.erase(name), reference_.erase(name), "erase");
        require_equal(subject_.erase(name), false, "erasing the same name once more");
    }

    void compare_all() const {
        require_equal(subject_.count(), reference_.count(), "the table's state");
        std::vector<record> all = subject_.list();
        std::sort(all.begin(), all.end(),
                  [](const record& a, const record& b) { return a.offset < b.offset; });
        std::set<std::string> names;
        std::uint64_t free_from = subject_.begin;
        for (const record& e : all) {
            require(e.offset >= free_from, "entries overlap, or one lies before the data area");
            free_from = e.offset + e.size;
            require(names.insert(e.name).second, "two entries have one name");
            require_equal(std::optional(e), reference_.describe(e.name), "an entry");
        }
        require(free_from <= subject_.end, "an entry reaches behind the data area");
        require_equal(all.size(), reference_.entries().size(), "number of entries listed");
    }

    subject& subject_;
    reference_table reference_;
};

void compare(subject& s, const script& input) {
    comparison both(s);
    for (const command& c : input.commands) both.execute(c);
    both.finish();
}

template <class Subject>
void agrees_with_reference(context& c) {
    explore(c, scripts(), [](const script& input) {
        Subject s(input.begin, input.area);
        compare(s, input);
        if constexpr (requires { s.guards_intact(); })
            require(s.guards_intact(), "bytes outside the data area were written");
    });
}

template <bug Flaw>
void toy(context& c) {
    explore(c, scripts(), [](const script& input) {
        toy_subject s(Flaw, input.begin, input.area);
        compare(s, input);
    });
}

const registration table_properties([](std::vector<check>& all) {
    const std::string what = "random commands against a map and an interval set, ";
    const auto add = [&](const char* name, const char* where, auto body, double weight) {
        all.push_back(
            {std::string("table/agrees_with_reference_") + name, what + where, body, weight, 50});
    };
    add("small", "table_small on plain memory",
        agrees_with_reference<plain_subject<assay::table_small>>, 3);
    add("default", "table on plain memory", agrees_with_reference<plain_subject<assay::table>>, 2);
    add("large", "table_large on plain memory",
        agrees_with_reference<plain_subject<assay::table_large>>, 1);
    add("huge", "table_huge on plain memory",
        agrees_with_reference<plain_subject<assay::table_huge>>, 1);
    add("small_in_segment", "table_small in a posix_shm",
        agrees_with_reference<segment_subject<assay::table_small>>, 1);
    add("default_in_segment", "table in a posix_shm",
        agrees_with_reference<segment_subject<assay::table>>, 1);
    all.push_back({"table/the_toy_without_a_bug_agrees_with_reference",
                   "what the canaries are made of has no other bug than theirs", toy<bug::none>,
                   0.3, 50});

    const auto canary = [&](const char* name, const char* bug_text, auto body,
                            std::uint64_t longest) {
        check c{std::string("table/canary_") + name, bug_text, body};
        c.canary = true;
        c.longest = longest;
        all.push_back(std::move(c));
    };
    canary("seed_bump_allocator_never_reclaims", "the seed's allocator: erase returns no space",
           toy<bug::never_reclaims>, 3);
    canary("cuts_long_names", "names are cut at the limit, two of them become one",
           toy<bug::cuts_names>, 2);
    canary("ignores_alignment", "every request is placed at any byte", toy<bug::ignores_alignment>,
           2);
    canary("overlaps_by_one", "a gap one byte too small is taken", toy<bug::overlaps_by_one>, 4);
    canary("erase_not_idempotent", "erasing what is not there removes another entry",
           toy<bug::erases_any>, 2);
});

}  // namespace

}  // namespace assay_proptest
