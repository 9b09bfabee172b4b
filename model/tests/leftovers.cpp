// leftovers.cpp -- words of memory that somebody used before: what they hold is not to be read before
// it was stored.
#include "model/scenario.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "assay/sync.hpp"

namespace assay::model {
namespace {

using checker::verdict;

constexpr auto never = std::chrono::steady_clock::time_point::max();

void expect(scenario::body body, verdict what, std::uint64_t executions) {
    const checker::result r = explore(body, {});
    EXPECT_EQ(checker::name(r.what), std::string(checker::name(what))) << r.message;
    if (executions != 0) {
        EXPECT_EQ(r.executions, executions);
    }
}

// Word 0 is stored before the processes start, word 1 by one of them.
struct two_words {
    word<std::uint32_t> first, second;
};

template <bool Orders>
void reads_a_word_that_another_stores(scenario& s) {
    block memory(s, sizeof(two_words), 64, contents::leftovers);
    auto* const w = static_cast<two_words*>(memory.get());
    w->first.store(0, std::memory_order_relaxed);
    s.process("writer", [&] {
        auto& at = *static_cast<two_words*>(memory.get());
        at.second.store(7, std::memory_order_relaxed);
        at.first.store(1, Orders ? std::memory_order_release : std::memory_order_relaxed);
    });
    s.process("reader", [&] {
        auto& at = *static_cast<two_words*>(memory.get());
        if (at.first.load(std::memory_order_acquire) == 1)
            check(at.second.load(std::memory_order_relaxed) == 7);
    });
    s.finally([&] {
        check(static_cast<two_words*>(memory.get())->second.load(std::memory_order_relaxed) == 7);
    });
    s.run();
}

TEST(leftovers, word_of_leftovers_is_read_only_after_somebody_stored_it) {
    expect(reads_a_word_that_another_stores<true>, verdict::verified, 2);
    expect(reads_a_word_that_another_stores<false>, verdict::uninitialised_read, 0);
}

TEST(leftovers, read_modify_write_of_a_word_that_nobody_stored_is_an_uninitialised_read) {
    expect(
        [](scenario& s) {
            block memory(s, 4, 64, contents::leftovers);
            s.process("adder", [&] {
                static_cast<word<std::uint32_t>*>(memory.get())
                    ->fetch_add(1, std::memory_order_relaxed);
            });
            s.run();
        },
        verdict::uninitialised_read, 1);
}

TEST(leftovers, await_that_leftovers_may_end_is_an_uninitialised_read) {
    expect(
        [](scenario& s) {
            block memory(s, 4, 64, contents::leftovers);
            const auto at = [&] { return static_cast<word<std::uint32_t>*>(memory.get()); };
            s.process("writer", [=] { at()->store(1, std::memory_order_release); });
            s.process("reader",
                      [=] { await([=] { return at()->load(std::memory_order_acquire) == 1; }); });
            s.run();
        },
        verdict::uninitialised_read, 0);
}

TEST(leftovers, sleep_that_compares_with_leftovers_is_an_uninitialised_read) {
    expect(
        [](scenario& s) {
            block memory(s, 4, 64, contents::leftovers);
            const auto at = [&] { return static_cast<word<std::uint32_t>*>(memory.get()); };
            s.process("sleeper", [=] { static_cast<void>(wait(*at(), 0, never)); });
            s.run();
        },
        verdict::uninitialised_read, 1);
    expect(
        [](scenario& s) {
            block memory(s, 4, 64, contents::leftovers);
            const auto at = [&] { return static_cast<word<std::uint32_t>*>(memory.get()); };
            s.process("sleeper", [=] {
                at()->store(1, std::memory_order_relaxed);
                static_cast<void>(wait(*at(), 0, never));
            });
            s.run();
        },
        verdict::verified, 1);
}

TEST(leftovers, leftovers_are_not_read_before_or_after_the_processes_either) {
    expect(
        [](scenario& s) {
            block memory(s, 8, 64, contents::leftovers);
            auto* const w = static_cast<word<std::uint64_t>*>(memory.get());
            static_cast<void>(w->load(std::memory_order_relaxed));
            s.process("bystander", [] {});
            s.run();
        },
        verdict::uninitialised_read, 0);
    expect(
        [](scenario& s) {
            block memory(s, 16, 64, contents::leftovers);
            const auto at = [&] { return static_cast<word<std::uint64_t>*>(memory.get()); };
            s.process("writer", [=] { at()[0].store(1, std::memory_order_relaxed); });
            s.finally([=] {
                check(at()[0].load(std::memory_order_relaxed) == 1);
                static_cast<void>(at()[1].load(std::memory_order_relaxed));
            });
            s.run();
        },
        verdict::uninitialised_read, 1);
}

}  // namespace
}  // namespace assay::model
