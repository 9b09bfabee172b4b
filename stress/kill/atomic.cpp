// atomic.cpp -- a change has happened or not; whoever waits for it neither waits for the dead nor
// needs one who dies before it could notify.
#include <assay/atomic.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "stress/kill/broken.hpp"
#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

using namespace std::chrono_literals;

enum class does { store, exchange, compare_exchange, fetch_add, wait, notify };

constexpr std::uint64_t before = 5, written = 100;

// assay::atomic as the other structures are made; its own second argument is a value.
class counter : public assay::atomic<std::uint64_t> {
public:
    template <class Segment>
    counter(Segment& in, std::string_view name, std::uint64_t count)
        : assay::atomic<std::uint64_t>(in, name, count == 0 ? 0 : before) {}
};

template <class Counter>
class atomic_scene : public in_segment<Counter> {
    using base = in_segment<Counter>;
    using base::any, base::first, base::mine;
    static constexpr bool whole_api = requires(Counter & c) { c.notify_all(); };

public:
    atomic_scene(const std::string& name, does what) : base(name, 1), what_(what) {
        if (first().load() == 0) first().fetch_add(before);
        if (what_ == does::notify) fall_asleep(name);
    }
    ~atomic_scene() override {
        if (sleeper_ > 0) ::kill(sleeper_, SIGKILL), ::waitpid(sleeper_, nullptr, 0);
    }

    void operate() override {
        Counter& c = mine();
        if constexpr (whole_api) {
            std::uint64_t expected = before;
            switch (what_) {
                case does::store:
                    return operation([&] { c.store(written); });
                case does::exchange:
                    return operation([&] { c.exchange(written); });
                case does::compare_exchange:
                    return operation([&] { c.compare_exchange_strong(expected, written); });
                case does::wait:
                    return operation([&] { static_cast<void>(c.wait_for(before, 200us)); });
                case does::notify:
                    return operation([&] {
                        c.store(written);
                        c.notify_all();
                    });
                default:
                    break;
            }
        }
        operation([&] { c.fetch_add(written); });
    }

    void others(bool stopped) override {
        const std::uint64_t after = what_ == does::wait        ? before
                                    : what_ == does::fetch_add ? before + written
                                                               : written;
        value_ = first().load();
        if (value_ != before && value_ != after) fail("a value that nobody wrote");
        happened_ = value_ == after;
        if (what_ == does::notify && happened_) wake_up();  // whether it notified or not
        dice d;
        for (unsigned n = 0; n < survivor_operations; ++n) {
            if (stopped && what_ == does::fetch_add) {
                any(d).fetch_add(1);  // in the middle of the victim's, which adds to the newest
                ++added_;
            } else if (first().load() != value_) {
                fail("the value changes by itself");
            }
            if constexpr (whole_api) any(d).notify_all();
        }
        count(survivor_operations);
    }

    void whole(bool finished) override {
        if (finished) {
            const std::uint64_t wanted = what_ == does::wait        ? before
                                         : what_ == does::fetch_add ? before + written + added_
                                                                    : written;
            if (first().load() != wanted)
                fail("the value is %llu, %llu was expected",
                     static_cast<unsigned long long>(first().load()),
                     static_cast<unsigned long long>(wanted));
        }
        if constexpr (whole_api) {
            mine().store(written);
            mine().notify_all();
        }
        wake_up();
    }

private:
    // Another process, which sleeps until the value changes.
    void fall_asleep(const std::string& name) {
        if constexpr (whole_api) {
            sleeper_ = ::fork();
            if (sleeper_ == 0) {
                segment in(name);
                counter c(in, "it", 0);
                c.wait(before);
                ::_exit(0);
            }
            // The word beside the value says that somebody waits.
            while (this->bytes()[8] == std::byte{0}) ::usleep(50);
        }
    }
    void wake_up() {
        if (sleeper_ <= 0) return;
        const auto start = std::chrono::steady_clock::now();
        while (::waitpid(std::exchange(sleeper_, -1), nullptr, 0) < 0 && errno == EINTR) {
        }
        if (std::chrono::steady_clock::now() - start > 5s) fail("the one who waits was not woken");
    }

    const does what_;
    pid_t sleeper_ = -1;
    std::uint64_t value_ = 0, added_ = 0;
    bool happened_ = false;
};

template <class Counter = counter>
auto scene_of(does what) {
    return [what](const std::string& name) {
        return std::make_unique<atomic_scene<Counter>>(name, what);
    };
}

const enlist atomic_cells{
    {"atomic/store", "seq_cst", scene_of(does::store)},
    {"atomic/exchange", "seq_cst", scene_of(does::exchange)},
    {"atomic/compare_exchange", "seq_cst, which succeeds", scene_of(does::compare_exchange)},
    {"atomic/fetch_add", "seq_cst", scene_of(does::fetch_add)},
    {"atomic/wait_for", "200 us, in vain: looks, then sleeps", scene_of(does::wait)},
    {"atomic/store_and_notify", "while a process sleeps", scene_of(does::notify)},
    {"atomic/canary_adds_in_two_steps",
     "reads, then writes",
     scene_of<broken::counter<std::uint64_t>>(does::fetch_add),
     false,
     {"was expected"}},
};

}  // namespace
}  // namespace assay_kill
