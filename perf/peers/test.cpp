// test.cpp -- each adapter between processes: nothing lost, nothing twice, everything in order; a
// pool's object has one owner. What fails here is not measured.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
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
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        well = false;  // and the others may wait for it
        for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    }
    return well;
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
            typename C::user user(memory.get(), capacity);
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
            typename C::user user(memory.get(), capacity);
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
template <habit Bad>
struct wrong_queue : peers::vyukov<item<8>> {
    struct user : peers::vyukov<item<8>>::user {
        using base = peers::vyukov<item<8>>::user;
        using base::base;
        bool put(const item<8>& value) {
            if (++n % 1000 != 0) return base::put(value);
            if (Bad == habit::loses) return true;
            if (Bad == habit::repeats) return base::put(value) && base::put(value);
            item<8> other = value;  // after the next one
            other.word[0] += n < 19'000 ? 1 : 0;
            return base::put(other);
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
