// A process dies before each of its accesses to a segment's header: while it creates the segment,
// attaches, leaves, or recovers from such a death.
#include "lib/tests/stepped.hpp"

#include <assay/posix_shm.hpp>

#include <cstring>

namespace {

using namespace testing_processes;
using testing_stepped::killed_at_each_step;
using testing_stepped::population;
using segment = assay::posix_shm_small;

constexpr std::uint64_t size = segment::size_for(4096);

std::uint32_t counter(const segment& s) {
    std::uint32_t n;
    std::memcpy(&n, s.get_base_addr(), sizeof n);
    return n;
}

// One is attached; the dead are nobody.
void expect_alone(segment& here, long n) {
    EXPECT_EQ(here.get_ref_count(), 1u) << n;
    {
        const segment next(here.name());
        EXPECT_EQ(here.get_ref_count(), 2u) << n;
    }
    here.recover();
    EXPECT_EQ(counter(here), 1u) << n;
    EXPECT_EQ(here.recover(), 0u) << n;
}

TEST(attachment, whoever_attaches_and_leaves_may_die_at_every_access) {
    population all{};
    segment here(unique_name(), size);
    const long accesses = killed_at_each_step(
        all, [](long) {}, [&] { const segment mine(here.name()); }, [](long) {},
        [&](long n) { expect_alone(here, n); });
    EXPECT_GT(accesses, 20);
}

TEST(attachment, recovery_may_die_at_every_access) {
    population all{};
    segment here(unique_name(), size);
    const long accesses = killed_at_each_step(
        all,
        [&](long) {
            child dead([&] {
                const segment mine(here.name());
                ::kill(::getpid(), SIGKILL);
            });
            dead.wait();
        },
        [&] { here.recover(); }, [](long) {}, [&](long n) { expect_alone(here, n); });
    EXPECT_GT(accesses, 5);
}

// The name leads to a whole segment or nowhere; and the one who finds it there removes it in the
// end, if its creator cannot.
TEST(attachment, a_creator_may_die_at_every_access) {
    population all{};
    const std::string name = unique_name();
    const auto there = [&] { return ::access(("/dev/shm/" + name).c_str(), F_OK) == 0; };
    const long accesses = killed_at_each_step(
        all, [](long) {}, [&] { const segment mine(name, size); }, [](long) {},
        [&](long n) {
            {
                const bool was_there = there();
                segment next(name, size);
                EXPECT_NE(next.created(), was_there) << n;
                expect_alone(next, n);
            }
            EXPECT_FALSE(there()) << n;
        });
    EXPECT_GT(accesses, 10);
}

}  // namespace
