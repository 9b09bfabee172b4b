// atomic.cpp -- assay::atomic beside std::atomic: the name costs nothing when it is used.
#include <assay/atomic.hpp>

#include <atomic>

#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/limits.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

using number = std::uint64_t;

struct ours : on_memory<assay::atomic<number>> {
    struct user {
        user(void* memory, std::size_t count) : value(memory, count, me) {}
        member me;
        assay::atomic<number> value;
    };
};

struct standard {
    static constexpr std::string_view name = "std::atomic";
    static std::size_t bytes(std::size_t) { return sizeof(std::atomic<number>); }
    static void format(void* memory, std::size_t) { new (memory) std::atomic<number>(0); }
    struct user {
        user(void* memory, std::size_t) : value(*static_cast<std::atomic<number>*>(memory)) {}
        std::atomic<number>& value;
    };
};

template <class F>
void add(plan& p, const std::string& what, const std::vector<int>& cpus, const std::string& limit,
         F operation) {
    each(contenders<ours, standard>{}, [&]<class C>() {
        p.add(of_row("atomic", what + "/" + processes(cpus), cpus, limit, std::string(C::name),
                     [=](double seconds) {
                         const arena<C> place(1);
                         return together(repeat(cpus, seconds,
                                                [&](worker&) {
                                                    auto& value = place.enter().value;
                                                    return [&value, operation](std::uint64_t n) {
                                                        operation(value, n);
                                                    };
                                                }),
                                         0, static_cast<unsigned>(cpus.size()));
                     }));
    });
}

const enlist rows([](plan& p) {
    for (const auto& cpus : teams()) {
        const std::string limit = cpus.size() <= 2 ? fetch_add_limit(cpus) : "";
        add(p, "fetch_add", cpus, limit, [](auto& value, number) { value.fetch_add(1); });
        add(p, "load", cpus, "", [](auto& value, number) { keep(value.load()); });
    }
    add(p, "store", teams().front(), "", [](auto& value, number n) { value.store(n); });
});

}  // namespace
}  // namespace assay_perf
