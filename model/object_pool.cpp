// The object pool under the checker: no object in two hands, none lost, and what is handed over is
// ordered. Edges: [claims:freed], from the release of an object to its next acquire, and
// [claims:taken], by which a search that found everything taken is sure.
#include "assay/object_pool.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/spec/object_pool.hpp"
#include "model/linearizability.hpp"
#include "model/suite.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

using pool = assay::object_pool<std::int64_t>;
using handle = pool::handle_type;

// A pool in shared memory, and what was done with it.
struct fixture {
    std::uint64_t capacity;  // without the ballast
    std::uint32_t first_generation;
    std::uint32_t ballast;  // as many objects, the first ones, are taken and stay so
    block memory;
    recorder calls;
    std::size_t processes = 0;
    std::array<std::size_t, 5> held{};  // how many objects each process has
    handle given;                       // taken before the processes run, known to all

    fixture(scenario& s, std::uint64_t n, std::uint32_t first, std::uint32_t unused)
        : capacity(n),
          first_generation(first),
          ballast(unused),
          memory(s, pool::size_bytes(n + unused), line_size, contents::leftovers) {
        // What is not ballast is taken and given back, which ends a generation.
        pool::format(memory.get(), n + ballast, ballast == 0 ? first : first - 1);
        if (ballast == 0) return;
        member me;
        pool p(memory.get(), n + ballast, me);
        std::vector<handle> taken;
        for (handle h = p.acquire(); h != pool::invalid_handle; h = p.acquire()) taken.push_back(h);
        for (const handle h : taken)
            if (h.index >= ballast) check(p.release(h), "an object cannot be given back");
    }

    [[nodiscard]] std::int64_t pack(handle h) const {
        if (h == pool::invalid_handle) return spec::none;
        return spec::object_pool::pack(h.index - ballast, h.generation - first_generation);
    }

    // One process's access to the pool.
    struct user {
        fixture& f;
        member me;
        pool p{f.memory.get(), f.capacity + f.ballast, me};
        std::array<handle, 4> mine{};
        handle ended{};

        explicit user(fixture& fix) : f(fix) {}

        void perform(char what) {
            if (what == 'a') acquire();
            if (what == 'A') acquire_both();
            if (what == 'l' && count() > 0) release_latest();
            if (what == 'L' && count() > 1) release_both();
            if (what == 'x' && ended != pool::invalid_handle) release(ended);
            if (what == 'z' && release(f.given)) --f.held[f.processes];
            if (what == 'o') adopt();
            if (what == 'v')
                f.calls({"valid", f.pack(f.given)}, [&] { return p.is_valid(f.given) ? 1 : 0; });
            if (what == 'r') recover();
        }
        handle acquire() {
            handle h;
            f.calls({"acquire"}, [&] {
                h = p.acquire();
                return f.pack(h);
            });
            have(h);
            return h;
        }
        void recover() {
            // What it may do, if anybody is dead: see explain().
            for (std::size_t q = 0; q < f.processes; ++q)
                for (std::uint64_t i = 0; q != self() && i < f.capacity; ++i)
                    f.calls.begin(
                        {"reclaim", spec::object_pool::pack(std::int64_t(i), std::int64_t(q))});
            p.recover();
        }

    private:
        std::size_t& count() { return f.held[self()]; }

        // Uses the object as its only owner would: a second owner, or one that is not ordered
        // behind the last, is a race.
        void have(handle h) {
            if (h == pool::invalid_handle) return;
            mine[count()++] = h;
            reinterpret_cast<cell<std::int64_t>&>(p[h]).write(1);
        }
        // A batch is so many single calls, recorded one inside the other.
        void acquire_both() {
            std::array<handle, 2> got{};
            std::uint64_t n = 0;
            f.calls({"acquire"}, [&] {
                f.calls({"acquire"}, [&] {
                    n = p.acquire_batch(2, got.begin());
                    return n == 0 ? spec::not_tried : f.pack(got[1]);
                });
                return f.pack(got[0]);
            });
            for (std::uint64_t i = 0; i < n; ++i) have(got[i]);
        }
        bool release(handle h) {
            return f.calls({"release", f.pack(h)}, [&] { return p.release(h) ? 1 : 0; }) == 1;
        }
        void release_latest() {
            ended = mine[--count()];
            check(release(ended), "the object of a living process was taken from it");
        }
        void release_both() {
            const std::array<handle, 2> both{mine[0], mine[1]};
            count() = 0;
            f.calls({"release", f.pack(both[0])}, [&] {
                f.calls({"release", f.pack(both[1])}, [&] {
                    check(p.release_batch(both) == 2, "a release of a living process was refused");
                    return 1;
                });
                return 1;
            });
        }
        void adopt() {
            if (f.calls({"adopt", f.pack(f.given)}, [&] { return p.adopt(f.given) ? 1 : 0; }) == 0)
                return;
            --f.held[f.processes];
            have(f.given);
        }
    };

    // All that no living process has is there, and the whole is explained.
    void finish() {
        std::size_t taken = held[processes];
        for (std::size_t p = 0; p < processes; ++p)
            if (!died(p)) taken += held[p];
        user u(*this);
        u.recover();
        std::size_t free = 0;
        while (u.acquire() != pool::invalid_handle) ++free;
        check(free + taken >= capacity, "the dead still have an object");
        explain();
    }

    // Of the reclaims, those of objects of the living must not happen.
    void explain() {
        for (std::size_t i = 0; i < calls.operations().size(); ++i) {
            const spec::operation& o = calls.operations()[i].call;
            if (o.name == "reclaim" && !died(static_cast<std::size_t>(o.argument >> 8)))
                calls.set_result(i, spec::not_tried);
        }
        check_linearizable(calls, spec::object_pool{capacity, true});
    }
};

// Letters: a acquires, l releases what was acquired last, A L the same with a batch of two, x
// releases again what was released last, z releases the given object, o adopts it, v asks whether
// its handle is valid, r recovers. With z, o, v one object is given out before.
template <programs Programs, std::uint64_t Capacity, std::uint32_t FirstGeneration,
          std::uint32_t Ballast>
void mix(scenario& s) {
    fixture f(s, Capacity, FirstGeneration, Ballast);
    bool needs_given = false;
    Programs.each([&](std::size_t p, const char* name, std::string_view todo) {
        f.processes = p + 1;
        needs_given |= todo.find_first_of("zov") != todo.npos;
        s.process(name, [&f, todo] {
            fixture::user u(f);
            for (const char c : todo) u.perform(c);
        });
    });
    if (needs_given) f.given = fixture::user(f).acquire();
    s.finally([&] { f.finish(); });
    s.run();
}

// From generation 0, and from the last one: the first release wraps.
template <programs Programs, std::uint64_t Capacity, std::uint32_t Ballast = 0>
std::vector<suite::start> from() {
    return {{"", mix<Programs, Capacity, 0, Ballast>},
            {"_at_the_wrap", mix<Programs, Capacity, ~std::uint32_t{0}, Ballast>}};
}

}  // namespace

std::vector<test> object_pool_tests() {
    return tests_of(
        "object_pool",
        {
            {"one_object_twice_and_once", from<"alal|al", 1>(), {131, 1409, 3904}},
            {"one_object_twice_each", from<"alal|alal", 1>(), {1866, 20190, 56317}},
            {"one_object_for_three", from<"al|al|al", 1>(), {2496, 33336, 145521}},
            {"one_object_for_three_and_again", from<"alal|al|al", 1>(), {152746, 2049596}},
            {"two_objects_for_three", from<"al|al|al", 2>(), {1248, 19872, 107217}},
            {"two_objects_for_three_one_keeps", from<"ala|al|al", 2>(), {24680, 342884}},
            {"two_objects_one_keeps", from<"aal|al", 2>(), {54, 616, 1857}},
            {"batch_against_batch", from<"AL|AL", 2>(), {170, 2676, 9851}},
            {"batch_beside_single_ones", from<"AL|al|a", 2>(), {18070, 251756}},
            {"double_release", from<"alx|al|al", 1>(), {6504, 76992}},
            {"given_handle_released_by_two", from<"z|z|al", 1>(), {40, 412, 1417}},
            {"given_handle_released_twice", from<"zx|zal|v", 1>(), {32, 292, 868}},
            {"adopted_beside_recovery", from<"ol|r|a", 1>(), {36, 387, 1170}},
            {"never_exhausted", from<"aza|a", 3>(), {28, 288}},
            {"exhausted_after_returns", from<"alza|a", 2>(), {71, 690, 1957}},
            {"exhausted_after_returns_of_both", from<"alza|alza", 2>(), {742, 7894}},
            {"exhausted_for_three", from<"za|a|a", 2>(), {662, 6292, 20875}},
            {"recovered_and_taken", from<"al|ra|a", 1>(), {408, 4017, 13820}},
            {"recovered_by_two", from<"al|r|ra", 1>(), {53, 619, 2096}},
            {"recovered_beside_reuse", from<"aal|ral", 2>(), {84, 959, 2929}},
            // Objects on both sides of the border between two groups of 64, which have a summary.
            {"two_groups_one_object_for_two", from<"al|al", 1, 64>(), {106, 954}},
            {"two_groups_two_objects_for_two", from<"al|al", 2, 63>(), {50, 482}},
            {"two_groups_one_object_twice_and_once", from<"alal|al", 1, 64>(), {4050, 37754}},
            {"two_groups_one_object_for_three", from<"al|al|al", 1, 63>(), {4443}},
            {"two_groups_never_exhausted", from<"za|a", 2, 63>(), {8, 87}},
            {"two_groups_one_keeps", from<"al|a", 2, 63>(), {22, 188}},
            {"two_groups_recovered", from<"al|ra", 2, 63>(), {31, 268}},
            {"recovered_beside_two", from<"al|ral|al", 2>(), {1874, 30802, 172961}},
        });
}

}  // namespace assay::model
