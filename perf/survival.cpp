// survival.cpp -- what a SIGKILL in the middle of an operation does to those who live on.
//
// A process executes one operation under ptrace and is killed after its k-th instruction, for every
// k. Another one then attaches and makes 1000 operations, each of which can succeed at once: nobody
// else is there. The figure is after how many of the instructions it cannot: it tries for ever, or
// waits for the dead one. What it finds inside is checked as well: `damaged` counts the kill points
// after which elements that were complete are lost, repeated or out of order, and `shrunk` those
// after which there is room for fewer than before.
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "perf/assay.hpp"
#include "perf/peers/peers.hpp"
#include "perf/plan.hpp"
#include "perf/team.hpp"
#include "scripts/victim.hpp"

void assay_kill::fail(const char* format, ...) {
    char text[400];
    std::va_list args;
    va_start(args, format);
    std::vsnprintf(text, sizeof text, format, args);
    va_end(args);
    throw std::runtime_error(text);
}

namespace assay_perf {
namespace {

constexpr std::size_t capacity = 16;
constexpr unsigned operations = 1000;
constexpr unsigned patience = 20'000;  // attempts at an operation that can succeed
constexpr std::uint64_t all_kills = ~0u, quick_kills = 100;  // of an operation
constexpr unsigned inside = 4;  // elements in the queue when the victim comes
constexpr std::uint64_t victims = 1000, survivors = 2000;  // their elements are numbered from here

// What a survivor reports, in shared memory.
struct testimony {
    std::atomic<unsigned> done;
    bool damaged;
    unsigned room;  // what could be put in, or acquired, in the end
};

struct verdict {
    bool stuck, damaged;
    unsigned room;
};

double cpu_seconds(pid_t pid) {
    clockid_t its;
    timespec t{};
    if (::clock_getcpuclockid(pid, &its) != 0 || ::clock_gettime(its, &t) != 0) return 0;
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

bool sleeps(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(stat, text);
    const std::size_t name_ends = text.rfind(')');
    return name_ends != std::string::npos && text.compare(name_ends + 2, 1, "S") == 0;
}

// Lets a process live on, and waits for its end; stuck if it gets no further although it had 50 ms
// of a processor for that, or if it sleeps through 20 looks: nobody is there to wake it.
verdict survive(const std::function<bool(testimony&)>& lives) {
    shared<testimony> told;
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("cannot fork");
    if (pid == 0) {
        this_worker = 2;
        ::_exit(lives(*told) ? 0 : 1);
    }
    unsigned done = 0, asleep = 0;
    double since = 0;
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
        ::usleep(500);
        const double cpu = cpu_seconds(pid);
        asleep = sleeps(pid) ? asleep + 1 : 0;
        if (const unsigned now = told->done; now != done) done = now, since = cpu, asleep = 0;
        if (cpu - since < 0.05 && asleep < 20) continue;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, &status, 0);
        return {true, false, 0};
    }
    const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return {!well, told->damaged, told->room};
}

struct subject {
    std::function<void()> set;                // the scene, anew
    std::function<void()> operate;            // what the victim does; calls operation()
    std::function<bool(testimony&)> live_on;  // false: it got stuck
};

// Where the instructions of its operation stand.
std::unique_ptr<assay_kill::track> track_of(const subject& s) {
    auto t = std::make_unique<assay_kill::track>();
    s.set();
    assay_kill::victim victim(s.operate);
    do {
        if (t->length + 1 == assay_kill::track::most) assay_kill::fail("the operation is too long");
        t->at[t->length++] = victim.place();
    } while (victim.step());
    t->at[t->length] = victim.place();
    t->plan();
    return t;
}

// One by one if it does not go the way it went before.
void die_after(const subject& s, const assay_kill::track& way, std::uint64_t k) {
    s.set();
    if (assay_kill::victim(s.operate).run_to(way, k)) return;
    s.set();
    assay_kill::victim(s.operate).step_to(k);
}

// After each instruction, or after so many of them that lie evenly.
outcome kill_everywhere(const subject& s, std::uint64_t most) {
    if (const char* why = assay_kill::victim::obstacle()) return {.invalid = why};
    s.set();
    const verdict unharmed = survive(s.live_on);
    if (unharmed.stuck || unharmed.damaged) return {.invalid = "stuck although nobody was killed"};
    unsigned stuck = 0, damaged = 0, shrunk = 0;
    const auto way = track_of(s);
    const std::uint64_t length = way->length, stride = (length + most - 1) / most;
    std::uint64_t killed = 0;
    for (std::uint64_t k = 1; k <= length; k += stride, ++killed) {
        die_after(s, *way, k);
        const verdict v = survive(s.live_on);
        stuck += v.stuck;
        damaged += v.damaged;
        // The dying operation's own element may still be there, or its object not come back.
        shrunk += !v.stuck && v.room + 1 < unharmed.room;
    }
    outcome o{.value = static_cast<double>(stuck),
              .found = {{"instructions", length - assay_kill::mark_instructions},
                        {"damaged", damaged},
                        {"shrunk", shrunk}}};
    if (stride != 1) o.found.emplace("killed", killed);
    return o;
}

template <class F>
bool in_time(F&& attempt) {
    for (unsigned n = 0; n < patience; ++n)
        if (attempt()) return true;
    return false;
}

// --- queues and rings --------------------------------------------------------------------------

using element = item<8>;

template <class User>
bool put(User& user, std::uint64_t number) {
    element e;
    e.set(number);
    return user.put(e);
}

// Puts and takes in turns; what comes out must be what is inside, in order, and then its own.
template <class C>
bool use_fifo(void* memory, bool victim_took, testimony& told) {
    typename C::user user(memory, capacity);
    std::uint64_t last = 0, known = 0;
    const auto note = [&](const element& e) {
        told.damaged = told.damaged || e.value() <= last;
        last = e.value();
        known += last < victims || last >= survivors;
    };
    element e;
    for (unsigned i = 0; i < operations / 2; ++i) {
        if (!in_time([&] { return put(user, survivors + i); })) return false;
        ++told.done;
        if (!in_time([&] { return user.take(e); })) return false;
        ++told.done;
        note(e);
    }
    while (last != survivors + operations / 2 - 1) {
        if (!in_time([&] { return user.take(e); })) return false;
        note(e);
    }
    const std::uint64_t lost = inside + operations / 2 - known;
    told.damaged = told.damaged || lost > (victim_took ? 1 : 0);
    while (told.room < 2 * capacity && put(user, 0)) ++told.room;
    return true;
}

template <class C>
subject fifo(void* memory, bool takes) {
    const auto set = [memory] {
        if constexpr (requires { C::dispose(memory, capacity); }) C::dispose(memory, capacity);
        std::memset(memory, 0, C::bytes(capacity));
        C::format(memory, capacity);
        typename C::user user(memory, capacity);
        for (std::uint64_t i = 1; i <= inside; ++i)
            if (!put(user, i)) assay_kill::fail("it does not take %u elements", inside);
    };
    const auto operate = [memory, takes] {
        this_worker = 1;
        typename C::user user(memory, capacity);
        element e;
        // Not its first: some do more then.
        if (!put(user, inside + 1) || !user.take(e)) assay_kill::fail("full, or empty");
        if (takes)
            assay_kill::operation([&] { static_cast<void>(user.take(e)); });
        else
            assay_kill::operation([&] { static_cast<void>(put(user, victims)); });
    };
    return {set, operate,
            [memory, takes](testimony& told) { return use_fifo<C>(memory, takes, told); }};
}

// --- pools -------------------------------------------------------------------------------------

template <class C>
bool use_pool(void* memory, testimony& told) {
    typename C::user user(memory, capacity);
    for (unsigned i = 0; i < operations / 2; ++i) {
        void* object = nullptr;
        if (!in_time([&] { return (object = user.acquire()) != nullptr; })) return false;
        ++told.done;
        user.release(object);
        ++told.done;
    }
    std::vector<void*> all;
    while (void* object = user.acquire()) {
        told.damaged = told.damaged || std::ranges::count(all, object) != 0;
        if (told.damaged) break;
        all.push_back(object);
    }
    told.room = static_cast<unsigned>(all.size());
    return true;
}

template <class C>
subject pool(void* memory, bool releases) {
    const auto set = [memory] {
        std::memset(memory, 0, C::bytes(capacity));
        C::format(memory, capacity);
    };
    const auto operate = [memory, releases] {
        this_worker = 1;
        typename C::user user(memory, capacity);
        user.release(user.acquire());
        void* object = releases ? user.acquire() : nullptr;
        if (releases)
            assay_kill::operation([&] { user.release(object); });
        else
            assay_kill::operation([&] { object = user.acquire(); });
    };
    return {set, operate, [memory](testimony& told) { return use_pool<C>(memory, told); }};
}

// --- the rows ----------------------------------------------------------------------------------

template <class C>
void add(plan& p, const std::string& structure, const char* operation, subject (*make)(void*, bool),
         bool second) {
    p.add({.name = structure + "/survival/" + operation,
           .structure = structure,
           .kind = "survival",
           .contender = std::string(C::name),
           .parameters = {{"operation", operation}, {"capacity", capacity}},
           .unit = "kill points",
           .exact = true,
           .run = [make, second, most = p.with.quick ? quick_kills : all_kills](double) {
               const shared_memory memory(C::bytes(capacity));
               const outcome o = kill_everywhere(make(memory.get(), second), most);
               if constexpr (requires { C::dispose(nullptr, capacity); })
                   C::dispose(memory.get(), capacity);
               return o;
           }});
}

template <class Own, class Others>
void add_fifos(plan& p, const std::string& structure, bool several, Others others) {
    for (const bool takes : {false, true}) {
        const char* const what = several ? (takes ? "dequeue" : "enqueue") : takes ? "pop" : "push";
        add<Own>(p, structure, what, fifo<Own>, takes);
        each(others, [&]<class C>() {
            if ((C::producers == many && C::consumers == many) == several)
                add<C>(p, structure, what, fifo<C>, takes);
        });
    }
}

const enlist rows([](plan& p) {
    add_fifos<assay_queue<element>>(p, "queue", true, fifo_peers<element>{});
    add_fifos<assay_ring_buffer<element>>(p, "ring_buffer", false, fifo_peers<element>{});
    for (const bool releases : {false, true}) {
        const char* const what = releases ? "release" : "acquire";
        add<assay_object_pool>(p, "object_pool", what, pool<assay_object_pool>, releases);
        each(pool_peers{}, [&]<class C>() { add<C>(p, "object_pool", what, pool<C>, releases); });
    }
});

}  // namespace
}  // namespace assay_perf
