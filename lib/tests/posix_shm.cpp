// Segments: creation, attachment, death, permissions, refusal. With real processes throughout.
#include "assay/posix_shm.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "lib/tests/own_shm.hpp"
#include "lib/tests/processes.hpp"

namespace {

using namespace assay;
using namespace std::chrono_literals;
using testing_processes::child;
using testing_processes::message_of;
using testing_processes::shared_value;
using testing_processes::unique_name;
using testing_processes::with_own_shm;

constexpr std::uint64_t mib = 1 << 20;

std::string path_of(const std::string& name) { return "/dev/shm/" + name; }
bool name_exists(const std::string& name) { return ::access(path_of(name).c_str(), F_OK) == 0; }

void expect_contains(const std::string& text, std::initializer_list<std::string> parts) {
    for (const auto& part : parts)
        EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
}

std::uint32_t counter_at_offset_0(const posix_shm& s) {
    return *static_cast<const volatile std::uint32_t*>(s.get_base_addr());
}

TEST(posix_shm, creator_creates_and_opener_finds_the_same_bytes) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    EXPECT_TRUE(a.created());
    EXPECT_EQ(a.get_total_size(), mib);
    auto* const bytes = static_cast<char*>(a.get_base_addr());
    bytes[mib - 1] = 42;
    child other([&] {
        posix_shm b("/" + name);
        return !b.created() && b.get_total_size() == mib &&
                       static_cast<char*>(b.get_base_addr())[mib - 1] == 42
                   ? 0
                   : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
}

TEST(posix_shm, reference_counter_is_the_four_bytes_at_offset_0) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    EXPECT_EQ(counter_at_offset_0(a), 1u);
    {
        posix_shm b(name);
        EXPECT_EQ(counter_at_offset_0(a), 2u);
        EXPECT_EQ(b.get_ref_count(), 2u);
    }
    EXPECT_EQ(counter_at_offset_0(a), 1u);
    EXPECT_EQ(a.get_ref_count(), 1u);
}

TEST(posix_shm, last_one_out_unlinks_and_nobody_before) {
    const auto name = unique_name();
    {
        std::optional<posix_shm> a(std::in_place, name, mib);
        posix_shm b(name);
        a.reset();
        EXPECT_TRUE(name_exists(name));
    }
    EXPECT_FALSE(name_exists(name));
}

TEST(posix_shm, keep_leaves_the_segment_to_the_next) {
    const auto name = unique_name();
    {
        posix_shm a(name, mib, {.policy = cleanup::keep});
        a.get_table()->allocate("x", 100);
    }
    ASSERT_TRUE(name_exists(name));
    posix_shm b(name);
    EXPECT_NE(b.get_table()->find("x"), nullptr);
    EXPECT_TRUE(b.unlink());
}

TEST(posix_shm, permissions_are_exact_whatever_the_umask) {
    for (const mode_t mask : {0u, 077u, 0777u}) {
        const auto name = unique_name();
        const mode_t before = ::umask(mask);
        posix_shm a(name, mib);
        posix_shm b(name + "b", mib, {.permissions = 0604});
        ::umask(before);
        struct stat s {};
        ASSERT_EQ(::stat(path_of(name).c_str(), &s), 0);
        EXPECT_EQ(s.st_mode & 07777u, 0660u) << "umask " << mask;
        ASSERT_EQ(::stat(path_of(name + "b").c_str(), &s), 0);
        EXPECT_EQ(s.st_mode & 07777u, 0604u) << "umask " << mask;
    }
}

TEST(posix_shm, umask_that_forbids_everything_does_not_lock_out_the_creator) {
    child other([] {
        if (::geteuid() == 0 && ::setuid(65534) != 0) return 77;  // root may open anything
        ::umask(0777);
        const auto name = unique_name();
        posix_shm a(name, mib);
        return posix_shm(name).get_ref_count() == 2 ? 0 : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
}

TEST(posix_shm, missing_segment_is_named_with_the_cure) {
    const auto name = unique_name();
    expect_contains(message_of<not_found>([&] { posix_shm a(name); }), {name, "give a size"});
}

TEST(posix_shm, bad_names_and_sizes_are_refused) {
    for (const std::string bad : {"", "/", "a/b", ".", "..", "//x"})
        EXPECT_THROW(posix_shm(bad, mib), std::invalid_argument) << bad;
    EXPECT_THROW(posix_shm(std::string(256, 'x'), mib), std::invalid_argument);
    EXPECT_THROW(posix_shm(unique_name(), 100), std::invalid_argument);
    EXPECT_THROW(posix_shm(unique_name(), posix_shm::size_for(0)), std::invalid_argument);
    EXPECT_NO_THROW(posix_shm(unique_name(), posix_shm::size_for(1)));
    EXPECT_NO_THROW(posix_shm(std::string(200, 'x') + unique_name(), mib));
    expect_contains(
        message_of<std::invalid_argument>([&] { posix_shm a(unique_name(), (1ull << 30) + 1); }),
        {"1073741825", "1073741824", "size_limit"});
    EXPECT_THROW(posix_shm(unique_name(), 2 * mib, {.size_limit = mib}), std::invalid_argument);
}

TEST(posix_shm, odd_sizes_are_kept_to_the_byte) {
    const auto name = unique_name();
    posix_shm a(name, 300'001);
    EXPECT_EQ(posix_shm(name).get_total_size(), 300'001u);
    EXPECT_EQ(posix_shm(name, 200'000).get_total_size(), 300'001u) << "length comes from the file";
}

TEST(posix_shm, larger_request_than_what_exists_is_refused_with_both_sizes) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    expect_contains(message_of<mismatch>([&] { posix_shm b(name, 2 * mib); }),
                    {name, "1048576", "2097152"});
}

TEST(posix_shm, foreign_files_are_refused_and_left_alone) {
    const auto name = unique_name();
    const auto refuse = [&](const std::string& bytes) {
        std::ofstream(path_of(name), std::ios::binary | std::ios::trunc) << bytes;
        expect_contains(message_of<mismatch>([&] { posix_shm a(name, mib); }), {name, "remove"});
        EXPECT_TRUE(name_exists(name));
    };
    refuse("");
    refuse("hello");
    refuse(std::string(mib, '\0'));
    refuse(std::string(mib, '\xff'));
    ::unlink(path_of(name).c_str());
    ASSERT_EQ(::symlink("/etc/hostname", path_of(name).c_str()), 0);
    EXPECT_THROW(posix_shm(name, mib), system_failure);
    ::unlink(path_of(name).c_str());
}

// Each field of the header that says what the bytes mean, changed by one.
TEST(posix_shm, another_layout_is_refused_with_both_sides_named) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    auto& h = *static_cast<segment_header*>(a.get_base_addr());
    const auto refused = [&](auto& field, auto value, std::initializer_list<std::string> parts) {
        const auto good = field.load(relaxed);
        field.store(static_cast<decltype(field.load(relaxed))>(value), relaxed);
        expect_contains(message_of<mismatch>([&] { posix_shm b(name); }), parts);
        field.store(good, relaxed);
    };
    const auto print = h.fingerprint.load(relaxed);
    refused(h.version, 77, {"layout version 77", std::to_string(layout_version)});
    refused(h.byte_order, 0x04030201,
            {"byte order", std::to_string(0x04030201),
             std::to_string(segment_header::byte_order_value)});
    refused(h.fingerprint, print + 1, {std::to_string(print + 1), std::to_string(print)});
    refused(h.magic, 1, {"not a segment"});
    const auto total = h.total_size.load(relaxed);
    h.total_size.store(total * 2, relaxed);
    expect_contains(message_of<corrupt>([&] { posix_shm b(name); }),
                    {std::to_string(total * 2), std::to_string(total)});
    h.total_size.store(total, relaxed);
    expect_contains(message_of<mismatch>([&] { posix_shm_large b(name); }),
                    {"64 entries", "256", "32 bytes"});
    EXPECT_NO_THROW(posix_shm{name});
}

TEST(posix_shm, no_access_names_owner_mode_and_cure) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    const auto name = unique_name();
    posix_shm a(name, mib);
    child other([&] {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
        const auto text = message_of<system_failure>([&] { posix_shm b(name); });
        return text.find("uid 0") != std::string::npos && text.find("0660") != std::string::npos &&
                       text.find("permissions") != std::string::npos
                   ? 0
                   : 1;
    });
    EXPECT_EQ(other.exit_code(), 0);
}

// --- a full /dev/shm, in a mount namespace of the test's own -----------------------------------

TEST(posix_shm, full_tmpfs_is_an_error_with_both_numbers_and_leaves_nothing) {
    ASSERT_PASSED_OR_SKIP(with_own_shm("4m", [] {
        const auto text = message_of<no_space>([] { posix_shm a("x", 4 * mib + 4096); });
        expect_contains(text, {"requested 4198400", "available 4194304", "/dev/shm"});
        EXPECT_FALSE(name_exists("x"));
        posix_shm fits("y", 3 * mib);
        auto* const bytes = static_cast<char*>(fits.get_base_addr());
        for (std::uint64_t i = posix_shm::size_for(0); i < 3 * mib; i += 4096) bytes[i] = 1;
        EXPECT_THROW(posix_shm("z", 2 * mib), no_space);
        EXPECT_NO_THROW(posix_shm("z", mib / 2));
    }));
}

// Each of the racing creators holds memory for a while; none may conclude that there is none. With
// this size the kernel needs long to give the memory, as on a busy machine, so that creators that
// merely tried again after a moment would be in each other's way every time.
TEST(posix_shm, creators_racing_for_the_last_space_do_not_fail_each_other) {
    constexpr unsigned n = 4;
    ASSERT_PASSED_OR_SKIP(with_own_shm("128m", [] {
        for (int round = 0; round < 3; ++round) {
            shared_value<word<std::uint32_t>> tried;
            std::vector<child> racers;
            for (unsigned i = 0; i < n; ++i)
                racers.emplace_back([&] {
                    std::optional<posix_shm> a;
                    try {
                        a.emplace("x", 80 * mib);
                    } catch (const no_space&) {
                    }
                    tried->fetch_add(1, seq_cst);
                    while (tried->load(seq_cst) < n) std::this_thread::yield();
                    return a ? 0 : 1;
                });
            for (auto& r : racers) ASSERT_EQ(r.exit_code(), 0);
            ASSERT_FALSE(name_exists("x"));
        }
    }));
}

// --- races and deaths --------------------------------------------------------------------------

struct race_board {
    word<std::uint32_t> ready, go, created, attached;
    word<std::uint64_t> inodes[16];
};

TEST(posix_shm, of_racing_creators_exactly_one_creates_and_all_share_one_inode) {
    for (const unsigned n : {2u, 4u, 16u})
        for (int round = 0; round < 40; ++round) {
            const auto name = unique_name();
            shared_value<race_board> board;
            std::vector<child> racers;
            for (unsigned i = 0; i < n; ++i)
                racers.emplace_back([&, i] {
                    board->ready.fetch_add(1, seq_cst);
                    // With more racers than cores, one that only spins would keep others from the start.
                    while (board->go.load(seq_cst) == 0) std::this_thread::yield();
                    posix_shm a(name, mib);
                    if (a.created()) board->created.fetch_add(1, seq_cst);
                    struct stat s {};
                    ::stat(path_of(name).c_str(), &s);
                    board->inodes[i].store(s.st_ino, seq_cst);
                    board->attached.fetch_add(1, seq_cst);
                    while (board->attached.load(seq_cst) < n) std::this_thread::yield();
                    return a.get_ref_count() <= n ? 0 : 1;
                });
            while (board->ready.load(seq_cst) < n) std::this_thread::yield();
            board->go.store(1, seq_cst);
            for (auto& r : racers) ASSERT_EQ(r.exit_code(), 0);
            ASSERT_EQ(board->created.load(seq_cst), 1u);
            std::set<std::uint64_t> inodes;
            for (unsigned i = 0; i < n; ++i) inodes.insert(board->inodes[i].load(seq_cst));
            ASSERT_EQ(inodes.size(), 1u);
            ASSERT_FALSE(name_exists(name));
        }
}

// Attach races the last detach: whoever holds the segment shares it with everyone who holds it.
TEST(posix_shm, attach_racing_the_last_detach_never_fails_and_never_splits) {
    const auto name = unique_name();
    std::vector<child> racers;
    for (int i = 0; i < 4; ++i)
        racers.emplace_back([&] {
            for (int round = 0; round < 1000; ++round) {
                posix_shm a(name, posix_shm::size_for(4096));
                if (a.orphaned() || a.get_ref_count() == 0) return 1;
            }
            return 0;
        });
    for (auto& r : racers) EXPECT_EQ(r.exit_code(), 0);
    EXPECT_FALSE(name_exists(name));
}

TEST(posix_shm, killed_creator_leaves_a_usable_segment_or_none) {
    std::mt19937 random(static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed()));
    for (int round = 0; round < 150; ++round) {
        const auto name = unique_name();
        child creator([&] {
            posix_shm a(name, 4 * mib);
            ::pause();
        });
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        creator.kill();
        posix_shm next(name, 4 * mib);  // must not wait for the dead
        ASSERT_EQ(next.get_ref_count(), 1u);
        ASSERT_NE(next.get_table()->allocate("x", 1000), nullptr);
    }
}

// Every other one kills itself when it is attached, the rest die at some moment of attaching.
TEST(posix_shm, killed_attachers_leak_no_count) {
    std::mt19937 random(static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed()));
    const auto name = unique_name();
    {
        posix_shm a(name, mib);
        child lives([&] {
            posix_shm b(name);
            ::pause();
        });
        while (a.get_ref_count() < 2) std::this_thread::yield();
        for (int round = 0; round < 1000; ++round) {
            child c([&] {
                posix_shm b(name);
                if (round % 2 == 0) ::kill(::getpid(), SIGKILL);
                ::pause();
            });
            if (round % 2 == 1) {
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
                c.kill();
            } else {
                ASSERT_EQ(c.exit_code(), 128 + SIGKILL);
            }
            ASSERT_EQ(a.get_ref_count(), 2u) << "round " << round;
        }
        EXPECT_LE(counter_at_offset_0(a), 3u) << "slots of the dead are reused";
        lives.kill();
        EXPECT_EQ(a.get_ref_count(), 1u);
        EXPECT_GE(a.recover(), 1u);
        EXPECT_EQ(counter_at_offset_0(a), 1u);
    }
    EXPECT_FALSE(name_exists(name));
}

TEST(posix_shm, segment_of_a_killed_last_process_is_used_and_removed_by_the_next) {
    const auto name = unique_name();
    child c([&] {
        posix_shm a(name, mib);
        a.get_table()->allocate("left", 100);
        ::kill(::getpid(), SIGKILL);
    });
    c.wait();
    ASSERT_TRUE(name_exists(name));
    {
        posix_shm b(name);
        EXPECT_EQ(b.get_ref_count(), 1u);
        EXPECT_NE(b.get_table()->find("left"), nullptr);
    }
    EXPECT_FALSE(name_exists(name));
}

TEST(posix_shm, a_zombie_is_dead) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    shared_value<word<std::uint32_t>> id;
    child c([&] {
        posix_shm b(name);
        id->store(b.hold()->self(), seq_cst);
        ::kill(::getpid(), SIGKILL);
    });
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(c.pid()), &info, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(a.get_ref_count(), 1u);
    EXPECT_FALSE(a.hold()->alive(id->load(seq_cst)));
}

TEST(posix_shm, equal_pids_in_different_namespaces_are_told_apart) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    shared_value<word<std::uint32_t>> ids[2];
    const auto pid_1 = [&](word<std::uint32_t>& id) {
        return child([&] {
            if (::unshare(CLONE_NEWPID) != 0) return 77;
            child inner([&] {
                if (::getpid() != 1) return 1;
                posix_shm b(name);
                id.store(b.hold()->self(), seq_cst);
                ::pause();
                return 0;
            });
            return inner.exit_code() == 128 + SIGKILL ? 0 : 1;
        });
    };
    child first = pid_1(*ids[0]);
    int status = 0;
    while (ids[0]->load(seq_cst) == nobody) {
        if (::waitpid(first.pid(), &status, WNOHANG) == first.pid())
            GTEST_SKIP() << "the host permits no pid namespace";
        std::this_thread::sleep_for(1ms);
    }
    child second = pid_1(*ids[1]);
    while (ids[1]->load(seq_cst) == nobody) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(a.get_ref_count(), 3u);
    // Killing the outer process reaps nothing inside; find the inner one as its child.
    std::ifstream children("/proc/" + std::to_string(first.pid()) + "/task/" +
                           std::to_string(first.pid()) + "/children");
    pid_t inner = 0;
    children >> inner;
    ASSERT_GT(inner, 0);
    ::kill(inner, SIGKILL);
    EXPECT_EQ(first.exit_code(), 0);
    EXPECT_FALSE(a.hold()->alive(ids[0]->load(seq_cst)));
    EXPECT_TRUE(a.hold()->alive(ids[1]->load(seq_cst)));
    EXPECT_EQ(a.get_ref_count(), 2u);
    std::ifstream others("/proc/" + std::to_string(second.pid()) + "/task/" +
                         std::to_string(second.pid()) + "/children");
    others >> inner;
    ::kill(inner, SIGKILL);
    // Until it is dead: else the last one out is a killed process, and the name stays.
    EXPECT_EQ(second.exit_code(), 0);
}

// --- unlink ------------------------------------------------------------------------------------

TEST(posix_shm, unlink_keeps_the_attached_and_frees_the_name) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    posix_shm b(name);
    EXPECT_FALSE(b.orphaned());
    EXPECT_TRUE(a.unlink());
    EXPECT_TRUE(b.orphaned());
    EXPECT_FALSE(a.unlink()) << "there is nothing left to remove";
    EXPECT_EQ(b.get_ref_count(), 2u);
    posix_shm fresh(name, mib);
    EXPECT_TRUE(fresh.created());
    EXPECT_EQ(fresh.get_ref_count(), 1u);
}

TEST(posix_shm, unlink_never_removes_another_segment_under_the_name) {
    const auto name = unique_name();
    posix_shm second_owner_of_the_name = [&] {
        posix_shm first(name, mib);
        ::unlink(path_of(name).c_str());  // by hand, as an administrator would
        posix_shm second(name, mib);
        EXPECT_TRUE(second.created());
        EXPECT_TRUE(first.orphaned());
        EXPECT_FALSE(first.unlink());
        return second;
    }();  // `first` leaves as the last one of its segment
    EXPECT_TRUE(name_exists(name));
    EXPECT_FALSE(second_owner_of_the_name.orphaned());
}

// --- fork --------------------------------------------------------------------------------------

TEST(posix_shm, forked_children_change_neither_count_nor_name) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    for (int round = 0; round < 250; ++round) {
        child exits([&] { std::optional<posix_shm> mine(std::move(a)); });
        child calls_exec([&] { ::execl("/bin/true", "true", nullptr); });
        child is_killed([&] { ::kill(::getpid(), SIGKILL); });
        child destroys([&] { auto copy = std::move(a); });
        EXPECT_EQ(exits.exit_code(), 0);
        EXPECT_EQ(calls_exec.exit_code(), 0);
        is_killed.wait();
        EXPECT_EQ(destroys.exit_code(), 0);
        ASSERT_EQ(a.get_ref_count(), 1u);
        ASSERT_EQ(counter_at_offset_0(a), 1u);
        ASSERT_TRUE(name_exists(name));
    }
}

TEST(posix_shm, child_becomes_an_attachment_of_its_own_when_it_needs_an_identity) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    const owner_id parent = a.hold()->self();
    child c([&] {
        if (a.get_ref_count() != 1) return 1;
        const owner_id mine = a.hold()->self();
        if (mine == parent || a.get_ref_count() != 2) return 2;
        if (!a.hold()->alive(mine) || !a.hold()->alive(parent)) return 3;
        a.get_table()->allocate("by the child", 100);
        auto leaving = std::move(a);
        return 0;
    });
    EXPECT_EQ(c.exit_code(), 0);
    EXPECT_EQ(a.get_ref_count(), 1u);
    EXPECT_NE(a.get_table()->find("by the child"), nullptr);
}

// The child must not keep its dead parent alive through the locks that it inherited.
TEST(posix_shm, death_of_a_parent_is_seen_although_its_child_lives) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    shared_value<word<std::uint32_t>> id, grandchild;
    child parent([&] {
        posix_shm b(name);
        id->store(b.hold()->self(), seq_cst);
        if (::fork() == 0) {
            grandchild->store(static_cast<std::uint32_t>(::getpid()), seq_cst);
            ::pause();
        }
        ::pause();
    });
    while (grandchild->load(seq_cst) == 0) std::this_thread::sleep_for(1ms);
    EXPECT_TRUE(a.hold()->alive(id->load(seq_cst)));
    EXPECT_EQ(a.get_ref_count(), 2u);
    parent.kill();
    EXPECT_FALSE(a.hold()->alive(id->load(seq_cst)));
    EXPECT_EQ(a.get_ref_count(), 1u);
    ::kill(static_cast<pid_t>(grandchild->load(seq_cst)), SIGKILL);
}

// --- limits ------------------------------------------------------------------------------------

TEST(posix_shm, attachments_are_limited_and_the_limit_is_named) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < max_attachments + 100) GTEST_SKIP() << "too few descriptors permitted";
    child c([&] {
        files.rlim_cur = max_attachments + 100;
        ::setrlimit(RLIMIT_NOFILE, &files);
        const auto name = unique_name();
        std::vector<posix_shm> all;
        all.emplace_back(name, mib);
        while (all.size() < max_attachments) all.emplace_back(name);
        if (all.front().get_ref_count() != max_attachments) return 1;
        expect_contains(message_of<no_space>([&] { posix_shm one_more(name); }), {"1024", name});
        all.erase(all.begin() + 500);
        all.emplace_back(name);
        return ::testing::Test::HasFailure() ? 2 : 0;
    });
    EXPECT_EQ(c.exit_code(), 0);
}

TEST(posix_shm, threads_may_attach_and_leave_at_once) {
    const auto name = unique_name();
    posix_shm a(name, mib);
    std::atomic<bool> failed = false;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                for (int i = 0; i < 200; ++i)
                    if (posix_shm b(name); b.get_ref_count() < 2) failed = true;
            });
    }
    EXPECT_FALSE(failed);
    EXPECT_EQ(a.get_ref_count(), 1u);
}

TEST(posix_shm, capacity_counts_down_and_up_again) {
    posix_shm a(unique_name(), posix_shm::size_for(10'000));
    const auto before = a.get_capacity();
    EXPECT_EQ(before.available_memory, 10'000u);
    EXPECT_EQ(before.available_entries, 64u);
    EXPECT_EQ(before.max_entries, 64u);
    EXPECT_TRUE(before.can_allocate(10'000));
    EXPECT_FALSE(before.can_allocate(10'001));
    ASSERT_NE(a.get_table()->allocate("x", 1000), nullptr);
    EXPECT_EQ(a.get_capacity().available_memory, 9'000u);
    EXPECT_EQ(a.get_capacity().available_entries, 63u);
    EXPECT_TRUE(a.get_table()->erase("x"));
    EXPECT_EQ(a.get_capacity().available_memory, 10'000u);
}

}  // namespace
