// The assay command: what it says of segments, what it removes and what it never does.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "assay/object_pool.hpp"
#include "assay/posix_shm.hpp"
#include "assay/queue.hpp"
#include "lib/cli/segment.hpp"
#include "lib/tests/own_shm.hpp"
#include "lib/tests/processes.hpp"

namespace {

using namespace assay;
using cli::look_at;
using cli::state;
using testing_processes::child;
using testing_processes::message_of;
using testing_processes::shared_value;
using testing_processes::unique_name;
using testing_processes::with_own_shm;

constexpr std::uint64_t kib64 = 1 << 16;

bool exists(const std::string& name) { return ::access(("/dev/shm/" + name).c_str(), F_OK) == 0; }

// Does f(segment) in a child that is then killed, so that the segment has no living user.
template <class F>
void and_die(const std::string& name, const shm_options& options, F&& f) {
    child c([&] {
        posix_shm s(name, kib64, options);
        f(s);
        ::raise(SIGKILL);
    });
    ASSERT_EQ(c.exit_code(), 128 + SIGKILL);
}
void orphan(const std::string& name) {
    and_die(name, {}, [](posix_shm&) {});
}

TEST(cli, a_segment_is_in_use_kept_or_an_orphan) {
    const auto used = unique_name(), kept = unique_name(), left = unique_name();
    posix_shm s(used, kib64);
    and_die(kept, {.policy = cleanup::keep}, [](posix_shm&) {});
    orphan(left);
    EXPECT_EQ(look_at(used).now, state::in_use);
    EXPECT_EQ(look_at(used).alive, 1u);
    EXPECT_EQ(look_at(kept).now, state::kept);
    const auto seen = look_at("/" + left);
    EXPECT_EQ(seen.now, state::orphan);
    EXPECT_EQ(seen.alive, 0u);
    EXPECT_EQ(seen.counter, 1u) << "the dead one is still counted";
    ASSERT_EQ(seen.holders.size(), 1u);
    EXPECT_FALSE(seen.holders[0].alive);
    EXPECT_TRUE(cli::remove(kept, false));
    EXPECT_TRUE(cli::remove(left, false));
}

TEST(cli, looking_changes_nothing) {
    const auto name = unique_name();
    orphan(name);
    const auto bytes = [&] {
        std::array<char, kib64> all{};
        const int fd = ::open(("/dev/shm/" + name).c_str(), O_RDONLY);
        EXPECT_EQ(::read(fd, all.data(), all.size()), static_cast<ssize_t>(all.size()));
        ::close(fd);
        return all;
    };
    const auto before = bytes();
    for (int i = 0; i < 3; ++i) {
        static_cast<void>(look_at(name));
        static_cast<void>(cli::list());
    }
    EXPECT_EQ(bytes(), before);
    EXPECT_TRUE(cli::remove(name, false));
}

TEST(cli, entries_are_shown_with_kind_place_and_size) {
    const auto name = unique_name();
    posix_shm_small s(name, kib64);
    queue<int> q(s, "jobs", 10);
    s.get_table()->allocate("raw", 100);
    const auto seen = look_at(name);
    EXPECT_EQ(seen.type, "posix_shm_small");
    EXPECT_TRUE(seen.problems.empty());
    ASSERT_EQ(seen.entries.size(), 2u);
    EXPECT_EQ(seen.entries[0].name, "jobs");
    EXPECT_EQ(seen.entries[0].what, kind::queue);
    EXPECT_EQ(seen.entries[0].num_elem, 10u);
    EXPECT_EQ(seen.entries[0].elem_size, sizeof(int));
    EXPECT_EQ(seen.entries[1].what, kind::raw);
    EXPECT_EQ(seen.free_bytes, s.get_capacity().available_memory);
}

TEST(cli, files_of_others_are_no_segments) {
    const auto name = unique_name();
    const int fd = ::open(("/dev/shm/" + name).c_str(), O_CREAT | O_RDWR, 0600);
    ASSERT_GE(fd, 0);
    for (const off_t size : {0, 100, 1 << 16}) {
        ASSERT_EQ(::ftruncate(fd, size), 0);
        EXPECT_NE(
            message_of<mismatch>([&] { static_cast<void>(look_at(name)); }).find("another program"),
            std::string::npos);
        EXPECT_THROW(static_cast<void>(cli::remove(name, true)), mismatch);
    }
    EXPECT_TRUE(exists(name));
    ::close(fd);
    ::unlink(("/dev/shm/" + name).c_str());
    EXPECT_THROW(static_cast<void>(look_at(name)), not_found);
}

// Overwrites `n` bytes of the segment's file from `at` on.
void damage(const std::string& name, std::size_t at, std::uint64_t value, std::size_t n) {
    const int fd = ::open(("/dev/shm/" + name).c_str(), O_RDWR);
    ASSERT_EQ(::pwrite(fd, &value, n, static_cast<off_t>(at)), static_cast<ssize_t>(n));
    ::close(fd);
}

TEST(cli, damage_is_named) {
    struct {
        std::size_t at, bytes;
        std::uint64_t value;
        const char* says;
    } const cases[] = {
        {offsetof(segment_header, magic), 8, 1, "magic"},
        {offsetof(segment_header, version), 4, 77, "layout version 77"},
        {offsetof(segment_header, byte_order), 4, 0x04030201, "byte order"},
        {offsetof(segment_header, fingerprint), 8, 5, "fingerprint 5"},
        {offsetof(segment_header, total_size), 8, 3, "3 bytes"},
        {offsetof(segment_header, policy), 4, 9, "policy"},
    };
    for (const auto& c : cases) {
        const auto name = unique_name();
        orphan(name);
        damage(name, c.at, c.value, c.bytes);
        const auto seen = look_at(name);
        EXPECT_EQ(seen.now, state::damaged) << c.says;
        ASSERT_FALSE(seen.problems.empty()) << c.says;
        EXPECT_NE(seen.problems[0].find(c.says), std::string::npos) << seen.problems[0];
        EXPECT_FALSE(cli::collect(name)) << "a damaged one is not taken for an orphan";
        EXPECT_THROW(static_cast<void>(cli::recover(name)), corrupt);
        EXPECT_TRUE(cli::remove(name, false));
    }
}

TEST(cli, entries_that_contradict_each_other_are_named) {
    const auto name = unique_name();
    and_die(name, {}, [](posix_shm& s) {
        queue<int> a(s, "a", 10);
        queue<int> b(s, "b", 10);
        const auto* const end = reinterpret_cast<const std::byte*>(s.get_table()->find("b"));
        auto* const word = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(end) + 32);
        ASSERT_EQ(*word, s.get_table()->find("b")->offset);
        *word = s.get_table()->find("a")->offset + 64;  // the offset of b, after its name
    });
    const auto seen = look_at(name);
    EXPECT_EQ(seen.now, state::damaged);
    ASSERT_FALSE(seen.problems.empty());
    EXPECT_EQ(seen.problems[0], "entries 'a' and 'b' overlap");
    EXPECT_TRUE(cli::remove(name, false));
}

TEST(cli, random_damage_never_crashes_it) {
    std::mt19937_64 random(20261125);
    const auto name = unique_name();
    for (int round = 0; round < 300; ++round) {
        and_die(name, {}, [](posix_shm& s) { queue<int> q(s, "a", 10); });
        for (int i = 0; i < 20; ++i)
            damage(name, random() % posix_shm::geometry().data_begin & ~std::size_t{7}, random(),
                   8);
        try {
            static_cast<void>(look_at(name));
            static_cast<void>(cli::collect(name));
            static_cast<void>(cli::recover(name));
        } catch (const std::runtime_error&) {  // is what it should do
        }
        ::unlink(("/dev/shm/" + name).c_str());
    }
}

TEST(cli, recover_gives_back_what_the_dead_held_and_leaves_the_segment) {
    const auto name = unique_name();
    and_die(name, {}, [](posix_shm& s) {
        object_pool<double> pool(s, "pool", 8);
        for (int i = 0; i < 3; ++i) ASSERT_NE(pool.acquire(), object_pool<double>::invalid_handle);
        queue<int> jobs(s, "jobs", 4);
        ASSERT_TRUE(jobs.enqueue(1));
        ::raise(SIGKILL);  // before the queue's handle gives back its hand
    });
    const auto done = cli::recover(name);
    EXPECT_EQ(done.attachments, 1u);
    ASSERT_EQ(done.entries.size(), 2u);
    EXPECT_EQ(done.entries[0].given_back, 3u);
    EXPECT_EQ(done.entries[1].given_back, 1u);
    ASSERT_TRUE(exists(name));
    const auto after = look_at(name);
    EXPECT_EQ(after.now, state::orphan);
    EXPECT_EQ(after.counter, 0u);
    posix_shm s(name);
    EXPECT_EQ(object_pool<double>(s, "pool").num_allocated(), 0u);
    EXPECT_EQ(queue<int>(s, "jobs").dequeue(), 1);
}

TEST(cli, recover_takes_nothing_from_the_living) {
    const auto name = unique_name();
    posix_shm s(name, kib64);
    object_pool<double> pool(s, "pool", 8);
    const auto mine = pool.acquire();
    const auto done = cli::recover(name);
    EXPECT_EQ(done.attachments, 0u);
    EXPECT_EQ(done.entries[0].given_back, 0u);
    EXPECT_TRUE(pool.is_valid(mine));
    EXPECT_EQ(s.get_ref_count(), 1u);
}

TEST(cli, rm_refuses_what_is_in_use) {
    const auto name = unique_name();
    posix_shm s(name, kib64);
    EXPECT_FALSE(cli::remove(name, false));
    EXPECT_FALSE(cli::collect(name));
    EXPECT_FALSE(s.orphaned());
    EXPECT_TRUE(cli::remove(name, true));
    EXPECT_TRUE(s.orphaned());
}

// Users attach, look whether the name still leads to what they have, and leave or are killed; one
// process collects all the time. It must take what the killed leave and never anything else.
TEST(cli, gc_races_with_attach_detach_and_kill) {
    const auto name = unique_name();
    struct board {
        std::atomic<bool> stop;
        std::atomic<std::uint64_t> robbed, attached, killed;
    };
    const shared_value<board> shared;
    // Several lives, one after the other; each ends by itself or is killed in the middle.
    const auto user = [&](unsigned seed) {
        for (std::minstd_rand random(seed); !shared->stop;)
            child([&, seed = random()] {
                std::minstd_rand fate(static_cast<unsigned>(seed));
                for (int n = 0; n < 8 && !shared->stop; ++n) {
                    const posix_shm s(name, kib64);
                    shared->attached++;
                    for (auto looks = fate() % 4; looks > 0; --looks)
                        if (s.orphaned()) shared->robbed++;
                    if (fate() % 8 == 0) {
                        shared->killed++;
                        ::raise(SIGKILL);
                    }
                }
            }).wait();
    };
    std::vector<child> users;
    for (unsigned i = 0; i < 3; ++i) users.emplace_back([&, i] { user(i + 1); });
    int collected = 0;
    for (int looks = 0; looks < 10000;) try {
            collected += cli::collect(name);
            ++looks;
        } catch (const not_found&) {  // that is no look at a segment
        } catch (const mismatch&) {
            ADD_FAILURE() << "a name led to half a segment";
        }
    shared->stop = true;
    for (auto& u : users) u.wait();
    EXPECT_EQ(shared->robbed, 0u) << "of " << shared->attached;
    EXPECT_GT(shared->killed, 3u);
    EXPECT_GT(collected, 0);
    EXPECT_TRUE(!exists(name) || cli::collect(name));
}

// The program itself: its status, and what it printed.
struct outcome {
    int status;
    std::string printed;
};
outcome run(const std::string& arguments) {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "assay";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
        ::popen((program.string() + " " + arguments + " 2>&1").c_str(), "r"),
        [](FILE*) { return 0; });
    outcome o{-1, {}};
    char some[4096];
    while (const std::size_t n = std::fread(some, 1, sizeof some, pipe.get()))
        o.printed.append(some, n);
    const int status = ::pclose(pipe.get());
    o.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return o;
}

TEST(cli, exit_status_says_what_happened) {
    const auto used = unique_name(), broken = unique_name(), none = unique_name();
    posix_shm s(used, kib64);
    orphan(broken);
    damage(broken, offsetof(segment_header, total_size), 1, 8);
    EXPECT_EQ(run("ls").status, 0);
    EXPECT_EQ(run("show " + used).status, 0);
    EXPECT_EQ(run("check " + used).status, 0);
    EXPECT_EQ(run("check " + broken).status, 1);
    EXPECT_EQ(run("check " + used + " " + broken).status, 1);
    EXPECT_EQ(run("rm " + used).status, 1);
    EXPECT_EQ(run("show " + none).status, 2);
    EXPECT_EQ(run("recover " + broken).status, 2);
    EXPECT_EQ(run("show").status, 3);
    EXPECT_EQ(run("polish").status, 3);
    EXPECT_EQ(run("--help").status, 0);
    EXPECT_EQ(run("rm " + broken).status, 0);
    EXPECT_EQ(run("rm --force " + used).status, 0);
}

TEST(cli, json_says_the_same_as_the_text) {
    const auto name = unique_name();
    posix_shm s(name, kib64);
    queue<int> q(s, "jobs", 10);
    const auto all = nlohmann::json::parse(run("ls --json").printed);
    EXPECT_EQ(std::ranges::count_if(all["segments"], [&](auto& o) { return o["name"] == name; }),
              1);
    const auto one = nlohmann::json::parse(run("show --json " + name).printed).at(0);
    EXPECT_EQ(one["state"], "in use");
    EXPECT_EQ(one["attached"], 1);
    EXPECT_EQ(one["entries"][0]["name"], "jobs");
    EXPECT_EQ(one["entries"][0]["kind"], "queue");
    const auto text = run("show " + name).printed;
    EXPECT_NE(text.find("jobs"), std::string::npos);
    EXPECT_NE(text.find("in use"), std::string::npos);
}

// It removes every orphan there is: not those of the tests that run beside this one.
TEST(cli, gc_of_the_program_removes_orphans_only) {
    ASSERT_PASSED_OR_SKIP(with_own_shm("4m", [] {
        const auto used = unique_name(), left = unique_name();
        posix_shm s(used, kib64);
        orphan(left);
        EXPECT_NE(run("gc --dry-run").printed.find(left), std::string::npos);
        EXPECT_TRUE(exists(left));
        const auto said = run("gc").printed;
        EXPECT_NE(said.find(left), std::string::npos);
        EXPECT_EQ(said.find(used), std::string::npos);
        EXPECT_FALSE(exists(left));
        EXPECT_TRUE(exists(used));
    }));
}

}  // namespace
