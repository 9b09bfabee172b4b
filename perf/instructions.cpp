// instructions.cpp -- how many instructions an operation has, counted by executing them one by one
// (ptrace): exact, the same in every run, whatever else the host does. Each figure is the mean over
// 64 operations in a row, in a process of its own and after 256 of them, so that what happens once
// in 16 operations counts for a sixteenth, and what happens once for nothing. The loop around them
// is included. One contender of the queue has a nop more in each pair: the figure must show it.
// The C library chooses its memcpy and memchr by the processor, so `own` counts what stands in this
// program only: the same on every processor, and what scripts/instructions compares.
#include <assay/array.hpp>
#include <assay/atomic.hpp>
#include <assay/posix_shm.hpp>

#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "perf/assay.hpp"
#include "perf/peers/peers.hpp"
#include "perf/plan.hpp"
#include "perf/team.hpp"
#include "scripts/victim.hpp"

// Where the text of the program begins and ends: the linker knows.
extern "C" const char __executable_start, etext;

namespace assay_perf {
namespace {

constexpr std::uint64_t before = 256, counted = 64;
constexpr std::size_t capacity = 1024;

template <class F>
void repeat(std::uint64_t times, F&& once) {
    for (std::uint64_t i = 0; i < times; ++i) once(i);
}

bool in_this_program(std::uint64_t place) {
    return place >= reinterpret_cast<std::uint64_t>(&__executable_start) &&
           place < reinterpret_cast<std::uint64_t>(&etext);
}

// The body calls operation() for `counted` of its operations.
outcome count(const std::function<void()>& body) {
    if (const char* why = assay_kill::victim::obstacle()) return {.invalid = why};
    assay_kill::victim process([&] {
        this_worker = 1;
        body();
    });
    std::uint64_t all = 0, own = 0;
    do {
        ++all;
        if (in_this_program(process.place())) ++own;
    } while (process.step());
    process.kill();
    const auto each = [](std::uint64_t n) {
        return static_cast<double>(n - assay_kill::mark_instructions) /
               static_cast<double>(counted);
    };
    return {.value = each(all), .found = {{"own", each(own)}}};
}

template <class F>
outcome count_operations(F&& once) {
    return count([&] {
        repeat(before, once);
        assay_kill::operation([&] { repeat(counted, once); });
    });
}

void add(plan& p, const std::string& structure, const std::string& operation,
         std::string_view contender, std::function<outcome()> run) {
    p.add({.name = structure + "/instructions/" + operation,
           .structure = structure,
           .kind = "instructions",
           .contender = std::string(contender),
           .parameters = {{"operation", operation}, {"compiler", ASSAY_COMPILER}},
           .unit = "instructions",
           .exact = true,
           .run = [run = std::move(run)](double) { return run(); }});
}

// Keeps a value from being optimised away.
template <class T>
void use(T& value) {
    asm volatile("" : "+r"(value));
}

// --- queues and rings: an element in and out ---------------------------------------------------

template <class C, class T>
outcome count_pair() {
    const shared_memory memory(C::bytes(capacity));
    C::format(memory.get(), capacity);
    const outcome o = count([&] {
        typename C::user user(memory.get(), capacity);
        T in{}, out;
        const auto pair = [&](std::uint64_t i) {
            in.set(i);
            if (!user.put(in) || !user.take(out)) assay_kill::fail("full, or empty");
        };
        repeat(before, pair);
        assay_kill::operation([&] { repeat(counted, pair); });
    });
    if constexpr (requires { C::dispose(nullptr, capacity); }) C::dispose(memory.get(), capacity);
    return o;
}

template <class T>
struct one_nop_more : assay_queue<T> {
    static constexpr std::string_view name = "assay and a nop";
    struct user : assay_queue<T>::user {
        using assay_queue<T>::user::user;
        bool put(const T& x) {
            asm volatile("nop");
            return assay_queue<T>::user::put(x);
        }
    };
};

template <class T, class... Cs>
void add_pairs(plan& p, const std::string& structure, bool several, contenders<Cs...> all) {
    each(all, [&]<class C>() {
        if ((C::producers == many && C::consumers == many) == several)
            add(p, structure, "pair/" + std::to_string(sizeof(T)) + "B", C::name, count_pair<C, T>);
    });
}

// --- pools: an object acquired and released ----------------------------------------------------

template <class C>
outcome count_acquire_release() {
    const shared_memory memory(C::bytes(capacity));
    C::format(memory.get(), capacity);
    return count([&] {
        typename C::user user(memory.get(), capacity);
        const auto pair = [&](std::uint64_t) { user.release(user.acquire()); };
        repeat(before, pair);
        assay_kill::operation([&] { repeat(counted, pair); });
    });
}

// --- names, elements, words --------------------------------------------------------------------

constexpr std::size_t names = 64;
std::vector<std::string> all_names() {
    std::vector<std::string> list;
    for (std::size_t i = 0; i < names; ++i) list.push_back("structure_" + std::to_string(i));
    return list;
}

outcome count_find() {
    assay::posix_shm segment("/assay_perf_" + std::to_string(::getpid()), 1 << 20);
    const auto list = all_names();
    for (const std::string& name : list) assay::array<std::uint64_t>(segment, name, 1);
    const auto& table = *segment.get_table();
    return count_operations([&](std::uint64_t i) {
        if (!table.find(list[i % names])) assay_kill::fail("a name is not found");
    });
}

#if ASSAY_HAS_BOOST
outcome count_boost_find() {
    const auto list = all_names();
    const shared_memory memory(peers::boost_find::bytes(names));
    peers::boost_find::format(memory.get(), list);
    peers::boost_find::user user(memory.get(), names);
    return count_operations([&](std::uint64_t i) {
        if (user.find(list[i % names]) == nullptr) assay_kill::fail("a name is not found");
    });
}
#endif

template <class Array>
outcome count_reads(const Array& array) {
    return count_operations([&](std::uint64_t i) {
        std::uint64_t value = array[i % capacity];
        use(value);
    });
}

outcome count_array_reads() {
    using array = assay::array<std::uint64_t>;
    const shared_memory memory(array::size_bytes(capacity));
    array::format(memory.get(), capacity);
    member me;
    return count_reads(array(memory.get(), capacity, me));
}

outcome count_additions() {
    using word = assay::atomic<std::uint64_t>;
    const shared_memory memory(word::size_bytes(1));
    word::format(memory.get(), 1);
    member me;
    word w(memory.get(), 1, me);
    return count_operations([&](std::uint64_t i) { w.fetch_add(i); });
}

const enlist rows([](plan& p) {
    const auto fifos = [&]<class T>(T) {
        add_pairs<T>(p, "queue", true, contenders<assay_queue<T>, one_nop_more<T>>{});
        add_pairs<T>(p, "queue", true, fifo_peers<T>{});
        add_pairs<T>(p, "ring_buffer", false, contenders<assay_ring_buffer<T>>{});
        add_pairs<T>(p, "ring_buffer", false, fifo_peers<T>{});
    };
    fifos(item<8>{});
    fifos(item<64>{});
    add(p, "object_pool", "pair", assay_object_pool::name,
        count_acquire_release<assay_object_pool>);
    each(pool_peers{},
         [&]<class C>() { add(p, "object_pool", "pair", C::name, count_acquire_release<C>); });
    add(p, "table", "find_among_64", "assay", count_find);
#if ASSAY_HAS_BOOST
    add(p, "table", "find_among_64", peers::boost_find::name, count_boost_find);
#endif
    add(p, "array", "read", "assay", count_array_reads);
    add(p, "array", "read", "std::vector",
        [] { return count_reads(std::vector<std::uint64_t>(capacity)); });
    add(p, "atomic", "fetch_add", "assay", count_additions);
    add(p, "atomic", "fetch_add", "std::atomic", [] {
        std::atomic<std::uint64_t> w{0};
        return count_operations([&](std::uint64_t i) { w.fetch_add(i); });
    });
});

}  // namespace
}  // namespace assay_perf
