// large_map.cpp -- finds, and inserts with erases, beside a hash table in one process.
#include <assay/large_map.hpp>

#include <unordered_map>

#include "perf/assay.hpp"
#include "perf/fifo.hpp"
#include "perf/repeat.hpp"

namespace assay_perf {
namespace {

using map = assay::large_map<std::uint64_t, std::uint64_t>;

// Keys that look random and are all different.
constexpr std::uint64_t key(std::uint64_t i) noexcept { return i * 0x9e3779b97f4a7c15; }

// Half of the capacity is in the map all the time.
struct ours : on_memory<map> {
    struct user {
        user(void* memory, std::size_t capacity) : all(memory, capacity, me) {}
        [[nodiscard]] bool has(std::uint64_t i) const { return all.find(key(i)) == i; }
        bool add(std::uint64_t i) { return all.insert(key(i), i); }
        bool remove(std::uint64_t i) { return all.erase(key(i)); }
        member me;
        map all;
    };
};
struct standard {
    static constexpr std::string_view name = "std::unordered_map (one process)";
    static std::size_t bytes(std::size_t) { return 0; }
    static void format(void*, std::size_t) {}
    struct user {
        user(void*, std::size_t capacity) { all.reserve(capacity); }
        [[nodiscard]] bool has(std::uint64_t i) const {
            const auto found = all.find(key(i));
            return found != all.end() && found->second == i;
        }
        bool add(std::uint64_t i) { return all.emplace(key(i), i).second; }
        bool remove(std::uint64_t i) { return all.erase(key(i)) == 1; }
        std::unordered_map<std::uint64_t, std::uint64_t> all;
    };
};

template <class C>
outcome finds(const std::vector<int>& cpus, std::size_t capacity, double seconds) {
    const arena<C> place(capacity);
    auto& all = place.enter();  // inherited
    for (std::uint64_t i = 0; i < capacity / 2; ++i) all.add(i);
    return each(repeat(cpus, seconds, [&](worker& w) {
        return [&](std::uint64_t n) {
            if (!all.has(key(n) % (capacity / 2))) w.fail("a key was not found");
        };
    }));
}

// Each worker with keys of its own, which are not in the map before and after.
template <class C>
outcome changes(const std::vector<int>& cpus, std::size_t capacity, double seconds) {
    const arena<C> place(capacity);
    auto& all = place.enter();
    for (std::uint64_t i = 0; i < capacity / 2; ++i) all.add(i);
    return each(repeat(cpus, seconds, [&](worker& w) {
        return [&](std::uint64_t n) {
            const std::uint64_t i = capacity + n * most_workers + w.index;
            if (!all.add(i) || !all.remove(i)) w.fail("a key was there already, or was lost");
        };
    }));
}

const enlist rows([](plan& p) {
    for (const std::size_t capacity : {few, plenty})
        for (const auto& cpus : teams())
            each(contenders<ours, standard>{}, [&]<class C>() {
                const std::string size = "/cap" + std::to_string(capacity) + "/" + processes(cpus);
                const std::string who(C::name);
                p.add(of_row("large_map", "find" + size, cpus, "", who,
                             [=](double s) { return finds<C>(cpus, capacity, s); }));
            });
    for (const std::size_t capacity : {few, plenty})
        for (const auto& cpus : teams())
            each(contenders<ours, standard>{}, [&]<class C>() {
                const std::string size = "/cap" + std::to_string(capacity) + "/" + processes(cpus);
                const std::string who(C::name);
                p.add(of_row("large_map", "insert_erase" + size, cpus, "", who,
                             [=](double s) { return changes<C>(cpus, capacity, s); }));
            });
});

}  // namespace
}  // namespace assay_perf
