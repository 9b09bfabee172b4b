// test.cpp -- each adapter between processes: nothing lost, nothing twice, everything in order; a
// pool's object has one owner. What fails here is not measured.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "perf/peers/peers.hpp"
#include "perf/team.hpp"

namespace {

using namespace assay_perf;

// Runs each in a process of its own; false when one of them does not end well in 20 seconds.
bool all_well(const std::vector<std::function<bool()>>& work) {
    std::vector<pid_t> pids;
    for (const auto& f : work) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::alarm(20);
            ::_exit(f() ? 0 : 1);
        }
        pids.push_back(pid);
    }
    bool well = true;
    for (std::size_t left = pids.size(); left != 0; ::usleep(200))
        for (pid_t& pid : pids) {  // and no other child: a peer may have one
            int status = 0;
            if (pid < 0 || ::waitpid(pid, &status, WNOHANG) != pid) continue;
            pid = -1;
            --left;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
            well = false;  // and the others may wait for it
            for (const pid_t other : pids)
                if (other > 0) ::kill(other, SIGKILL);
        }
    return well;
}

template <class C>
typename C::user enter(void* memory, std::size_t capacity, role what) {
    if constexpr (of_one_role<C>)
        return typename C::user(memory, capacity, what);
    else
        return typename C::user(memory, capacity);
}

void connect(auto& user) {
    if constexpr (requires { user.connect(); }) user.connect();
}

template <class C, class T>
bool moves_all_in_order(std::uint64_t count) {
    constexpr std::size_t capacity = 64;
    constexpr unsigned producers = C::producers == many ? 2 : 1;
    constexpr unsigned consumers = C::consumers == many ? 2 : 1;
    const shared_memory memory(C::bytes(capacity));
    C::format(memory.get(), capacity);
    struct board {
        std::atomic<unsigned> ended;  // producers
        std::atomic<std::uint8_t> times[1];
    };
    const shared_memory score(sizeof(board) + producers * count);
    auto* all = new (score.get()) board{};

    std::vector<std::function<bool()>> work;
    for (std::uint64_t p = 0; p < producers; ++p)
        work.emplace_back([&, p] {
            auto user = enter<C>(memory.get(), capacity, role::puts);
            connect(user);
            T element;
            for (std::uint64_t i = 0; i < count; ++i) {
                element.set(p << 32 | i);
                while (!user.put(element)) ::sched_yield();
            }
            all->ended.fetch_add(1);
            return true;
        });
    for (unsigned c = 0; c < consumers; ++c)
        work.emplace_back([&] {
            auto user = enter<C>(memory.get(), capacity, role::takes);
            connect(user);
            std::uint64_t next[producers] = {};
            T element;
            for (;;) {
                const bool last = all->ended.load() == producers;
                if (!user.take(element)) {
                    if (last) return true;
                    ::sched_yield();
                    continue;
                }
                const std::uint64_t p = element.value() >> 32, i = element.value() & 0xffffffff;
                if (!element.whole() || p >= producers || i >= count || i < next[p]) return false;
                next[p] = i + 1;
                all->times[p * count + i].fetch_add(1);
            }
        });
    bool well = all_well(work);
    for (std::uint64_t i = 0; i < producers * count; ++i) well = well && all->times[i] == 1;
    if constexpr (requires { C::dispose(nullptr, capacity); }) C::dispose(memory.get(), capacity);
    return well;
}

template <class C>
std::size_t acquired_at_most(void* memory, std::size_t capacity) {
    typename C::user user(memory, capacity);
    std::vector<void*> objects;
    while (void* object = user.acquire()) objects.push_back(object);
    for (void* object : objects) user.release(object);
    return objects.size();
}

template <class C>
bool gives_each_object_to_one(std::uint64_t rounds) {
    constexpr std::size_t capacity = 16, held = 6;
    const shared_memory memory(C::bytes(capacity));
    C::format(memory.get(), capacity);
    const std::size_t before = acquired_at_most<C>(memory.get(), capacity);
    std::vector<std::function<bool()>> work;
    for (std::uint64_t mine = 1; mine <= 2; ++mine)
        work.emplace_back([&, mine] {
            typename C::user user(memory.get(), capacity);
            peers::pooled* objects[held];
            for (std::uint64_t r = 0; r < rounds; ++r) {
                std::uint64_t n = mine << 32 | r * held;
                for (auto& object : objects) {
                    object = static_cast<peers::pooled*>(user.acquire());
                    if (object == nullptr) return false;
                    object->set(n++);
                }
                n -= held;
                for (auto* object : objects) {
                    if (!object->whole() || object->value() != n++) return false;
                    user.release(object);
                }
            }
            return true;
        });
    return all_well(work) && before >= capacity &&
           acquired_at_most<C>(memory.get(), capacity) == before;
}

// --- canaries ----------------------------------------------------------------------------------

enum class habit { loses, repeats, swaps };

// A queue that does something wrong with every thousandth element.
template <habit Bad, class C = peers::vyukov<item<8>>>
struct wrong_queue : C {
    struct user : C::user {
        using C::user::user;
        bool put(const item<8>& value) {
            if (++n % 1000 != 0) return C::user::put(value);
            if (Bad == habit::loses) return true;
            if (Bad == habit::repeats) return C::user::put(value) && C::user::put(value);
            item<8> other = value;  // after the next one
            other.word[0] += n < 19'000 ? 1 : 0;
            return C::user::put(other);
        }
        std::uint64_t n = 0;
    };
};

// A pool that now and then gives an object to two.
struct wrong_pool : peers::tagged_stack<peers::pooled> {
    struct user : peers::tagged_stack<peers::pooled>::user {
        using base = peers::tagged_stack<peers::pooled>::user;
        using base::base;
        void* acquire() {
            void* object = base::acquire();
            return ++n % 1000 == 0 ? last : last = object;
        }
        void* last = nullptr;
        std::uint64_t n = 0;
    };
};

TEST(peers, canary_what_loses_repeats_or_swaps_is_noticed) {
    EXPECT_FALSE((moves_all_in_order<wrong_queue<habit::loses>, item<8>>(20'000)));
    EXPECT_FALSE((moves_all_in_order<wrong_queue<habit::repeats>, item<8>>(20'000)));
    EXPECT_FALSE((moves_all_in_order<wrong_queue<habit::swaps>, item<8>>(20'000)));
    EXPECT_FALSE(gives_each_object_to_one<wrong_pool>(20'000));
}

// --- one test per adapter and payload ----------------------------------------------------------

class check : public testing::Test {
public:
    explicit check(std::function<bool()> f) : f_(std::move(f)) {}
    void TestBody() override { EXPECT_TRUE(f_()); }

private:
    std::function<bool()> f_;
};

void add(std::string name, const std::function<bool()>& f) {
    for (char& c : name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    testing::RegisterTest("peers", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [f]() -> testing::Test* { return new check(f); });
}

template <std::size_t Bytes>
void add_fifos() {
    each(fifo_peers<item<Bytes>>{}, []<class C>() {
        add(std::string(C::name) + " in_order_" + std::to_string(Bytes) + "B",
            [] { return moves_all_in_order<C, item<Bytes>>(20'000); });
    });
}

#if ASSAY_HAS_ICEORYX
// Its daemon's files, and those of its ends: /dev/shm and /tmp are the host's, so only ours count.
class with_roudi : public testing::Test {
public:
    void SetUp() override {
        const shared_memory memory(peers::iceoryx<item<8>>::bytes(1));
        try {
            peers::open_iceoryx_service(memory.get());
        } catch (const std::exception& e) {
            const std::string why = e.what();
            for (const char* of_the_host : {"another one runs", "has no room"})
                if (why.find(of_the_host) != std::string::npos) GTEST_SKIP() << why;
            FAIL() << why;
        }
        peers::close_iceoryx_service(memory.get());
    }
};

std::size_t files_of(pid_t measuring) {
    const std::string ends = "/tmp/assay-perf-" + std::to_string(measuring) + "-";
    std::size_t n = std::filesystem::exists("/dev/shm/iceoryx_mgmt");
    for (const auto& entry : std::filesystem::directory_iterator("/tmp"))
        n += entry.path().string().starts_with(ends);
    return n;
}

bool in_ten_seconds(const std::function<bool()>& happens) {
    for (unsigned n = 0; n < 1000; ++n) {
        if (happens()) return true;
        ::usleep(10'000);
    }
    return false;
}

TEST_F(with_roudi, iceoryx_in_order) {
    EXPECT_TRUE((moves_all_in_order<peers::iceoryx<item<8>>, item<8>>(20'000)));
    EXPECT_TRUE((moves_all_in_order<peers::iceoryx<item<64>>, item<64>>(20'000)));
    EXPECT_TRUE((moves_all_in_order<peers::iceoryx<item<1024>>, item<1024>>(20'000)));
    EXPECT_EQ(peers::iceoryx_daemon(), 0);
    // Another measuring process may have a RouDi just now.
    EXPECT_TRUE(in_ten_seconds([] { return files_of(::getpid()) == 0; }));
}

TEST_F(with_roudi, canary_an_iceoryx_that_loses_is_noticed) {
    using loses = wrong_queue<habit::loses, peers::iceoryx<item<8>>>;
    EXPECT_FALSE((moves_all_in_order<loses, item<8>>(20'000)));
}

// Whatever way the measuring process dies, its RouDi and all files go as well.
TEST_F(with_roudi, iceoryx_ends_with_its_process) {
    struct told {
        std::atomic<pid_t> daemon, end;
    };
    const shared<told> said;
    const pid_t measuring = ::fork();
    if (measuring == 0) {
        ::alarm(20);
        const shared_memory memory(peers::iceoryx<item<8>>::bytes(1));
        peers::open_iceoryx_service(memory.get());
        said->daemon = peers::iceoryx_daemon();
        if (const pid_t end = ::fork(); end != 0) said->end = end, ::pause();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const peers::iceoryx_end one(memory.get(), 1, role::takes);
        ::pause();
    }
    // The management segment, and socket and lock of the one end.
    EXPECT_TRUE(in_ten_seconds([&] { return said->end != 0 && files_of(measuring) == 3; }));
    ::kill(measuring, SIGKILL);
    ::waitpid(measuring, nullptr, 0);
    EXPECT_TRUE(in_ten_seconds([&] { return files_of(measuring) == 0; }));
    // Ended, though perhaps nobody has reaped it.
    EXPECT_TRUE(in_ten_seconds([&] {
        std::ifstream stat("/proc/" + std::to_string(said->daemon) + "/stat");
        std::string number, name, state;
        return !(stat >> number >> name >> state) || state == "Z";
    }));
}
#endif

#if ASSAY_HAS_BOOST
TEST(peers, boost_interprocess_finds_what_was_named) {
    const std::vector<std::string> names{"a", "bb", "ccc"};
    const shared_memory memory(peers::boost_find::bytes(names.size()));
    peers::boost_find::format(memory.get(), names);
    EXPECT_TRUE(all_well({[&] {
        peers::boost_find::user user(memory.get(), names.size());
        return user.find("a") != nullptr && user.find("ccc") != nullptr &&
               user.find("a") != user.find("bb") && user.find("d") == nullptr;
    }}));
}
#endif

}  // namespace

int main(int argc, char** argv) {
    add_fifos<8>();
    add_fifos<64>();
    add_fifos<1024>();
    each(pool_peers{}, []<class C>() {
        add(std::string(C::name) + " one_owner",
            [] { return gives_each_object_to_one<C>(20'000); });
    });
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
