// Segments under the checker: attachments as shipped, on the modelled kernel of kernel.hpp. What is
// not here: segment_file.hpp, which turns the promises of that model into system calls (its tests
// are lib/tests/posix_shm.cpp, with real processes and kills).
// Edges: [registry:entered] [registry:counted].
#include "assay/posix_shm.hpp"

#include <array>
#include <memory>

#include "model/kernel.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

using names = table_impl<8, 1>;

constexpr std::uint64_t table_at = align_up(sizeof(segment_header), line_size);
constexpr segment_geometry geometry{names::fingerprint(), 8, 1, table_at,
                                    table_at + names::size_bytes()};
constexpr std::uint64_t segment_bytes = geometry.data_begin + line_size;
constexpr std::uint32_t last_incarnation = (1u << owner_incarnation_bits) - 1;

// File is the modelled kernel, or one that breaks a promise.
template <class File>
struct fixture {
    using handle = std::shared_ptr<basic_attachment<File>>;
    static constexpr std::size_t processes = 2;

    disk all;
    handle corpse;
    std::array<handle, processes> kept;  // what each process has until the end

    explicit fixture(scenario& s) : all(s, processes, 2, segment_bytes) {}

    [[nodiscard]] static handle open_or_create() {
        return basic_attachment<File>::open("s", segment_bytes, {}, geometry, &names::format);
    }
    [[nodiscard]] static handle open_only() {  // nothing when there is none
        try {
            return basic_attachment<File>::open("s", 0, {}, geometry, &names::format);
        } catch (const not_found&) {
            return nullptr;
        }
    }
    handle& mine() { return kept[self()]; }
    [[nodiscard]] static segment_header& header(const handle& h) {
        return *reinterpret_cast<segment_header*>(h->base());
    }

    // The segment exists, but whoever made it has died: the incarnation of that number of slot 0.
    owner_id leave_a_corpse(std::uint32_t incarnation = 1) {
        corpse = open_or_create();
        auto& slot = header(corpse).registry.slots[0];
        const std::uint64_t others = ~(std::uint64_t{last_incarnation} << 32);
        slot.store((slot.load(relaxed) & others) | std::uint64_t{incarnation} << 32, relaxed);
        all.scenario_dies();
        return make_owner(0, incarnation);
    }

    // The living are counted, and nobody else: by who asks, and after a sweep in the first bytes as
    // well, which are exact without one if nobody died. When the last has left there is no name.
    void finish() {
        std::uint32_t living = 0, dead = corpse ? 1 : 0;
        for (std::size_t p = 0; p < processes; ++p) {
            if (died(p)) ++dead;
            if (kept[p] && !died(p)) ++living;
        }
        for (std::size_t p = 0; p < processes; ++p) {
            if (!kept[p] || died(p)) continue;
            check(!kept[p]->orphaned(), "the name does not lead to a segment in use");
            check(kept[p]->count() == living, "the count is wrong");
            if (dead > 0) kept[p]->sweep();
            check(
                reference_counter::count_of(header(kept[p]).attached.value.load(relaxed)) == living,
                "the published count is wrong");
        }
        for (std::size_t p = 0; p < processes; ++p)
            if (!died(p)) kept[p].reset();
        if (const handle h = open_only()) check(h->count() == 1, "the dead are counted");
        check(!all.has_a_name(), "the last one leaves a name behind");
    }
};

template <class File>
void two_creators(scenario& s) {
    fixture<File> f(s);
    for (const char* name : {"first", "second"})
        s.process(name, [&f] { f.mine() = f.open_or_create(); });
    s.finally([&] {
        if (!died(0) && !died(1))
            check(f.kept[0]->created() != f.kept[1]->created(), "two segments, or none");
        f.finish();
    });
    s.run();
}

// Each may create; one leaves while the other comes.
template <class File>
void last_leaves(scenario& s) {
    fixture<File> f(s);
    s.process("leaves", [&f] { static_cast<void>(f.open_or_create()); });
    s.process("comes", [&f] { f.mine() = f.open_or_create(); });
    s.finally([&] { f.finish(); });
    s.run();
}
// Who does not create finds a whole segment or none.
template <class File>
void last_leaves_and_nobody_creates(scenario& s) {
    fixture<File> f(s);
    s.process("leaves", [&f] { static_cast<void>(f.open_or_create()); });
    s.process("comes", [&f] { f.mine() = f.open_only(); });
    s.finally([&] { f.finish(); });
    s.run();
}

// The name is taken away from those who are attached, but from no segment of another.
void name_is_removed(scenario& s) {
    fixture<file> f(s);
    f.leave_a_corpse();
    s.process("unlinks", [&f] {
        f.mine() = f.open_only();
        if (!f.mine()) return;
        f.mine()->unlink();
        check(f.mine()->orphaned(), "the name still leads here");
    });
    s.process("comes", [&f] { f.mine() = f.open_or_create(); });
    s.finally([&] {
        for (std::size_t p = 0; p < f.processes; ++p)
            if (!died(p)) f.kept[p].reset();
        if (const auto h = f.open_only()) check(h->count() == 1, "the dead are counted");
        check(!f.all.has_a_name(), "the last one leaves a name behind");
    });
    s.run();
}

// A slot whose holder died is given out again, once, and the dead stays dead.
template <class File, std::uint32_t incarnation>
void slot_of_the_dead(scenario& s) {
    fixture<File> f(s);
    const owner_id dead = f.leave_a_corpse(incarnation);
    for (const char* name : {"first", "second"})
        s.process(name, [&f, dead] {
            f.mine() = f.open_or_create();
            check(f.mine()->alive(f.mine()->self()), "I do not live");
            check(!f.mine()->alive(dead), "the dead lives");
        });
    s.finally([&] {
        if (!died(0) && !died(1))
            check(f.kept[0]->self() != f.kept[1]->self(), "one slot was given out twice");
        f.finish();
    });
    s.run();
}
void sweep_of_the_dead(scenario& s) {
    fixture<file> f(s);
    const owner_id dead = f.leave_a_corpse();
    s.process("sweeps", [&f, dead] {
        f.mine() = f.open_or_create();
        f.mine()->sweep();
        check(!f.mine()->alive(dead), "the dead lives");
    });
    s.process("comes", [&f] { f.mine() = f.open_or_create(); });
    s.finally([&] { f.finish(); });
    s.run();
}

// Attachments as the holders that a lock names: it is not taken from the living, whatever a process
// has seen of their arrival, and what a dead one wrote under it is seen.
void lock_names_its_holder(scenario& s) {
    struct guarded {
        owned_lock lock;
        cell<int> turns;
    };
    fixture<file> f(s);
    shared<guarded> g(s);
    g->lock.format();
    g->turns.write(0);
    f.leave_a_corpse();
    for (const char* name : {"first", "second"})
        s.process(name, [&] {
            f.mine() = f.open_or_create();
            g->lock.lock(*f.mine());
            g->turns.write(g->turns.read() + 1);
            g->lock.unlock();
        });
    s.finally([&] { f.finish(); });
    s.run();
}

// That a process is gone may be learnt from the kernel, or from its slot: it has left, somebody has
// freed it, or its place has a newer holder. Either way what it did before is seen.
enum class then { nothing, enters, sweeps };
template <then other>
void work_of_the_gone(scenario& s) {
    struct remains {
        word<owner_id> who;
        cell<int> work;
    };
    struct visitor {
        file opened{"s"};
        registry<file> roll = [this]() -> registry<file> {
            check(opened.open(0));
            auto& h = *reinterpret_cast<segment_header*>(opened.base());
            return {h.attached, h.registry, opened};
        }();
    };
    fixture<file> f(s);
    shared<remains> g(s);
    g->who.store(nobody, relaxed);
    f.leave_a_corpse();
    s.process("goes", [&] {
        visitor v;
        const owner_id id = v.roll.enter(1).value();
        g->work.write(1);
        g->who.store(id, relaxed);  // who sees this knows nothing else
        v.roll.leave(id);
    });
    s.process("asks", [&] {
        const visitor v;
        const owner_id id = g->who.load(relaxed);
        if (id != nobody && !v.roll.alive(id, nobody)) check(g->work.read() == 1);
    });
    if (other != then::nothing)
        s.process("comes", [&] {
            visitor v;
            if (other == then::enters) static_cast<void>(v.roll.enter(2));
            if (other == then::sweeps) v.roll.sweep(nobody);
        });
    s.run();
}

// --- kernels that break a promise ------------------------------------------------------------------

// A dead process's locks stay.
struct forgetful : file {
    using file::file;
    [[nodiscard]] bool held(std::uint32_t n) const { return holder_of(n) != 0; }
};
// One lock for each slot, whatever the incarnation.
struct one_lock_each : file {
    using file::file;
    [[nodiscard]] bool try_lock(std::uint32_t n) { return file::try_lock(n / 2 * 2); }
    void unlock(std::uint32_t n) { file::unlock(n / 2 * 2); }
    [[nodiscard]] bool held(std::uint32_t n) const { return file::held(n / 2 * 2); }
};
// As rename would: the name leads to the latest.
struct replacing : file {
    using file::file;
    bool link(mode_t) { return take_the_name(); }
};
// Without looking whether the segment that was entered has been removed meanwhile.
struct trusting : file {
    using file::file;
    [[nodiscard]] bool linked() const { return true; }
};
// Whoever leaves takes all locks, also those of others.
struct greedy : file {
    using file::file;
    [[nodiscard]] bool try_lock_all_slots() { return !over(); }
};

}  // namespace

std::vector<test> posix_shm_tests() {
    using checker::verdict;
    constexpr auto reuse = slot_of_the_dead<file, 1>;
    constexpr auto reuse_at_the_wrap = slot_of_the_dead<file, last_incarnation>;
    return {
        {"posix_shm/of_two_creators_one_creates", two_creators<file>, {verdict::verified, 4}},
        {"posix_shm/of_two_creators_one_may_die",
         two_creators<file>,
         {verdict::verified, 58},
         one_death()},
        {"posix_shm/last_leave_removes_no_segment_that_another_enters",
         last_leaves<file>,
         {verdict::verified, 5525}},
        {"posix_shm/last_leave_and_who_comes_survive_a_death",
         last_leaves<file>,
         {verdict::verified, 133080},
         one_death()},
        {"posix_shm/attach_finds_a_whole_segment_or_none",
         last_leaves_and_nobody_creates<file>,
         {verdict::verified, 2762}},
        {"posix_shm/attach_finds_a_whole_segment_or_none_and_survives_a_death",
         last_leaves_and_nobody_creates<file>,
         {verdict::verified, 28666},
         one_death()},
        {"posix_shm/unlink_takes_the_name_of_no_other_segment",
         name_is_removed,
         {verdict::verified, 10926}},
        {"posix_shm/unlink_survives_a_death",
         name_is_removed,
         {verdict::verified, 106713},
         one_death()},
        {"posix_shm/slot_of_the_dead_is_given_out_once", reuse, {verdict::verified, 1186}},
        {"posix_shm/slot_of_the_dead_survives_another_death",
         reuse,
         {verdict::verified, 4170},
         one_death()},
        {"posix_shm/incarnations_may_wrap", reuse_at_the_wrap, {verdict::verified, 1186}},
        {"posix_shm/incarnations_may_wrap_and_a_process_die",
         reuse_at_the_wrap,
         {verdict::verified, 4170},
         one_death()},
        {"posix_shm/sweep_frees_the_dead_while_another_attaches",
         sweep_of_the_dead,
         {verdict::verified, 7339}},
        {"posix_shm/sweep_survives_a_death",
         sweep_of_the_dead,
         {verdict::verified, 25142},
         one_death()},
        {"posix_shm/lock_is_not_taken_from_the_living",
         lock_names_its_holder,
         {verdict::verified, 18338}},
        {"posix_shm/lock_is_taken_from_the_dead_only",
         lock_names_its_holder,
         {verdict::verified, 130755},
         one_death()},
        {"posix_shm/work_of_who_left_is_seen",
         work_of_the_gone<then::nothing>,
         {verdict::verified, 10}},
        {"posix_shm/work_of_the_dead_is_seen_by_who_finds_another_there",
         work_of_the_gone<then::enters>,
         {verdict::verified, 1176054},
         one_death(1)},
        {"posix_shm/work_of_the_dead_is_seen_by_who_finds_it_swept",
         work_of_the_gone<then::sweeps>,
         {verdict::verified, 53931},
         one_death(1)},
        {"posix_shm/canary_locks_outlive_their_holder",
         last_leaves<forgetful>,
         {verdict::assertion},
         one_death()},
        {"posix_shm/canary_one_lock_for_two_incarnations",
         slot_of_the_dead<one_lock_each, 1>,
         {verdict::assertion}},
        {"posix_shm/canary_a_name_can_be_replaced", two_creators<replacing>, {verdict::assertion}},
        {"posix_shm/canary_enters_a_removed_segment", last_leaves<trusting>, {verdict::assertion}},
        {"posix_shm/canary_removes_without_being_the_last",
         last_leaves<greedy>,
         {verdict::assertion}},
    };
}

}  // namespace assay::model
