// waiting.cpp -- what it costs to wait: spinning, spinning and then sleeping, and sleeping at once;
// how soon a sleeper is awake, and what an idle one uses.
#include <assay/event.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "perf/assay.hpp"
#include "perf/latency.hpp"

namespace assay_perf {
namespace {

using namespace std::chrono_literals;
using number = item<8>;

// A waiter's way: put() and wait() for one message; patient: nothing may come for `slice`.
constexpr auto slice = 20ms;

struct spinning : assay_queue<number> {
    static constexpr std::string_view name = "assay (spin)";
    struct user : assay_queue<number>::user {
        using assay_queue<number>::user::user;
        bool wait(number& x) {
            const auto until = assay::after(slice);
            while (!take(x)) {
                if (assay::now() > until) return false;
                assay::pause();
            }
            return true;
        }
    };
};
struct sleeping : assay_queue<number> {
    static constexpr std::string_view name = "assay (spin, then futex)";
    struct user : assay_queue<number>::user {
        using assay_queue<number>::user::user;
        bool wait(number& x) {
            const auto found = all.wait_dequeue(slice);
            if (found) x = *found;
            return found.has_value();
        }
    };
};

// The kernel's own: an event counter beside a queue that both sides look at. Sleeps at once.
struct counter : assay_queue<number> {
    static constexpr std::string_view name = "eventfd (sleep at once)";
    static inline std::vector<std::pair<void*, int>> made = {};
    static void format(void* memory, std::size_t capacity) {
        assay_queue<number>::format(memory, capacity);
        const int fd = ::eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
        made.emplace_back(memory, fd);
    }
    static void dispose(void* memory, std::size_t) {
        std::erase_if(made,
                      [&](const auto& m) { return m.first == memory && ::close(m.second) == 0; });
    }
    struct user : assay_queue<number>::user {
        user(void* memory, std::size_t capacity) : assay_queue<number>::user(memory, capacity) {
            for (const auto& [at, fd] : made)
                if (at == memory) event = fd;
        }
        bool put(const number& x) {
            const std::uint64_t one = 1;
            return all.enqueue(x) && ::write(event, &one, sizeof one) == sizeof one;
        }
        bool wait(number& x) {
            std::uint64_t n;
            pollfd asked{event, POLLIN, 0};
            if (::read(event, &n, sizeof n) != sizeof n &&
                (::poll(&asked, 1, slice / 1ms) != 1 || ::read(event, &n, sizeof n) != sizeof n))
                return false;
            return all.dequeue(x);
        }
        int event = -1;
    };
};

using ways = contenders<spinning, sleeping, counter>;

// Back and forth. With a pause before each message the other side is asleep when it comes.
template <class C>
outcome round_trip(const std::vector<int>& pair, std::chrono::microseconds pause, double seconds) {
    const arena<C> there(few), back(few);
    const shared<histogram> times;
    const team_result r = run_team(pair, seconds, [&](worker& w) {
        auto& out = w.index == 0 ? there.enter() : back.enter();
        auto& in = w.index == 0 ? back.enter() : there.enter();
        number x{};
        w.meet();
        for (std::uint64_t n = 0; w.running(n); ++n) {
            if (w.index == 0 && pause != 0us) ::usleep(static_cast<useconds_t>(pause.count()));
            const std::uint64_t start = now_ns();
            if (w.index == 0) {
                x.set(n);
                if (!out.put(x)) w.fail("full with one message inside");
            }
            while (!in.wait(x))
                if (!w.running(n)) return;
            if (x.value() != n) w.fail("another message came");
            if (w.index == 1 && !out.put(x)) w.fail("full with one message inside");
            if (w.index == 0 && w.measuring()) times->add(now_ns() - start);
        }
    });
    if (!r.failure.empty()) return {.invalid = r.failure};
    return {.value = times->percentile(50), .cpu_share = r.cpu_share, .times = *times};
}

// Nothing ever comes: how much of a processor the waiter uses.
template <class C>
outcome idle(int cpu, double seconds) {
    const arena<C> place(few);
    const team_result r = run_team({cpu}, seconds, [&](worker& w) {
        auto& user = place.enter();
        number x{};
        w.meet();
        for (std::uint64_t n = 0; w.running(n); ++n)
            if (user.wait(x)) w.fail("something came");
    });
    if (!r.failure.empty()) return {.invalid = r.failure};
    return {.value = 100 * r.parts[0].cpu_seconds / r.parts[0].seconds};
}

measurement waiting(const std::string& what, const std::vector<int>& cpus,
                    const std::string& contender, const std::string& limit,
                    std::function<outcome(double)> run) {
    measurement m = of_row("queue", what, cpus, limit, contender, std::move(run));
    m.name = "queue/waiting/" + what + "/" + placement(cpus);
    m.kind = "waiting";
    m.busy = false;
    return m;
}

const enlist rows([](plan& p) {
    for (const auto& pair : pairs())
        for (const auto pause : {0us, 300us})
            each(ways{}, [&]<class C>() {
                p.add(waiting(pause == 0us ? "round_trip/active" : "round_trip/asleep", pair,
                              std::string(C::name), round_trip_limit(true, pair),
                              [=](double s) { return round_trip<C>(pair, pause, s); }));
            });
    each(ways{}, [&]<class C>() {
        const int cpu = allowed_cpus().front();
        // Long enough for a few of the looks that a sleeper takes by itself.
        measurement m = waiting("idle", {cpu}, std::string(C::name), "",
                                [=](double s) { return idle<C>(cpu, 6 * s); });
        m.unit = "% of a CPU";
        m.runs = 5;
        p.add(std::move(m));
    });
});

}  // namespace
}  // namespace assay_perf
