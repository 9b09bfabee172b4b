// The object pool under the checker: no object in two hands, and what is handed over is ordered.
// Edge: [claims:freed], from the release of an object to its next acquire.
#include "assay/object_pool.hpp"

#include "lib/spec/object_pool.hpp"
#include "model/linearizability.hpp"
#include "model/tests.hpp"

namespace assay::model {
namespace {

using pool = assay::object_pool<std::int64_t>;

struct fixture {
    std::uint64_t capacity;
    block memory;
    recorder calls;

    fixture(scenario& s, std::uint64_t n, std::uint32_t first_generation = 0)
        : capacity(n), memory(s, pool::size_bytes(n)) {
        pool::format(memory.get(), n, first_generation);
    }

    struct user {
        fixture& f;
        member me;
        pool p{f.memory.get(), f.capacity, me};

        explicit user(fixture& fix) : f(fix) {}

        // Acquires, uses the object as its only owner would, and returns its handle.
        pool::handle_type acquire() {
            pool::handle_type h;
            f.calls({"acquire", 0, std::nullopt, 0}, [&] {
                h = p.acquire();
                return h == pool::invalid_handle ? spec::none : std::int64_t{h.index};
            });
            // As a cell: a second owner, or one that is not ordered behind the last, is a race.
            if (h != pool::invalid_handle) reinterpret_cast<cell<std::int64_t>&>(p[h]).write(1);
            return h;
        }
        void release(pool::handle_type h) {
            if (h == pool::invalid_handle) return;
            f.calls({"release", h.index, std::nullopt, 0}, [&] { return p.release(h) ? 1 : 0; });
        }
    };
    void finish() { check_linearizable(calls, spec::object_pool{capacity}); }
};

// Each process acquires and releases so many times.
void take_and_return(scenario& s, std::uint64_t capacity, std::initializer_list<int> rounds,
                     std::uint32_t first_generation = 0) {
    fixture f(s, capacity, first_generation);
    static constexpr const char* names[] = {"first", "second", "third"};
    std::size_t p = 0;
    for (const int n : rounds)
        s.process(names[p++], [&f, n] {
            fixture::user u(f);
            for (int i = 0; i < n; ++i) u.release(u.acquire());
        });
    s.finally([&] { f.finish(); });
    s.run();
}

void two_with_reuse(scenario& s) { take_and_return(s, 1, {2, 1}); }
void three_with_reuse(scenario& s) { take_and_return(s, 2, {1, 1, 1}); }
void two_at_the_wrap(scenario& s) { take_and_return(s, 1, {2, 1}, ~std::uint32_t{0}); }

void release_of_a_stale_handle_is_refused(scenario& s) {
    fixture f(s, 1);
    pool::handle_type first;
    {
        fixture::user u(f);
        first = u.acquire();
    }
    for (const char* name : {"first", "second"})
        s.process(name, [&f, first] {
            fixture::user u(f);
            u.release(first);
        });
    s.process("third", [&f] { fixture::user(f).acquire(); });
    s.finally([&] { f.finish(); });
    s.run();
}

// Who survives gets back what the dead held.
void recover_frees_what_the_dead_held(scenario& s) {
    fixture f(s, 1);
    s.process("mortal", [&f] {
        fixture::user u(f);
        u.release(u.acquire());
    });
    s.process("survivor", [&f] {
        member me;
        pool p(f.memory.get(), f.capacity, me);
        const auto h = p.acquire();
        if (h != pool::invalid_handle || !died(0)) return;
        p.recover();
        check(p.acquire() != pool::invalid_handle, "the dead still have the object");
    });
    s.run();
}

}  // namespace

std::vector<test> object_pool_tests() {
    return {
        {"object_pool/two_processes_with_reuse_are_linearizable",
         two_with_reuse,
         {checker::verdict::verified, 3868}},
        {"object_pool/three_processes_with_reuse_are_linearizable",
         three_with_reuse,
         {checker::verdict::verified, 18384}},
        {"object_pool/generations_that_wrap_are_linearizable",
         two_at_the_wrap,
         {checker::verdict::verified, 3868}},
        {"object_pool/release_of_a_stale_handle_is_refused",
         release_of_a_stale_handle_is_refused,
         {checker::verdict::verified, 164}},
        {"object_pool/recover_frees_what_the_dead_held",
         recover_frees_what_the_dead_held,
         {checker::verdict::verified, 171},
         one_death(1)},
    };
}

}  // namespace assay::model
