// The copies of records as programs have them, eight words at a time (the other tests of the ring look
// at each access, and so have them word by word): beside a writer that overwrites, every record that
// somebody is given is whole.
#include <assay/ring_buffer.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <thread>
#include <vector>

#include "lib/tests/processes.hpp"

namespace {

using testing_processes::shared_memory;

template <std::size_t Words>
using record = std::array<std::uint64_t, Words>;

constexpr auto torn = [](const auto& r) {
    return r.front() != r.back() || r.front() != r[r.size() / 2];
};

class alone final : public assay::membership {
public:
    alone() { id_ = renew(); }
    [[nodiscard]] bool alive(assay::owner_id) const noexcept override { return true; }
    assay::owner_id renew() override { return assay::make_owner(1, 1); }
};

// Others look at a ring of records while one overwrites them, until each has seen that many.
template <std::size_t Words>
struct beside_a_writer {
    using ring = assay::ring_buffer<record<Words>>;
    static constexpr std::uint64_t capacity = 7, enough = 500;

    shared_memory memory{ring::size_bytes(capacity)};
    std::atomic<bool> over = false;
    std::atomic<std::uint64_t> torn_ones = 0, unordered = 0;

    void write(ring& r) {
        std::uint64_t n = 0;
        std::array<record<Words>, 5> some;
        while (!over) {
            for (auto& one : some) one.fill(n++);
            r.push_overwrite_bulk(some);
            some[0].fill(n++);
            r.push_overwrite(some[0]);
        }
    }
    void look(std::span<const record<Words>> got, std::uint64_t& seen) {
        for (const auto& one : got) {
            torn_ones += torn(one);
            unordered += one[0] != got[0][0] + static_cast<std::uint64_t>(&one - got.data());
        }
        seen += got.size();
    }
    void run() {
        ring::format(memory.get(), capacity);
        alone me;
        ring writers(memory.get(), capacity, me), others(memory.get(), capacity, me);
        std::thread writer([&] { write(writers); });
        std::vector<std::thread> threads;
        const auto reads = [&](std::function<std::size_t(std::span<record<Words>>)> how) {
            threads.emplace_back([this, how] {
                std::array<record<Words>, 5> out;
                for (std::uint64_t seen = 0; seen < enough;)
                    look(std::span(out).first(how(out)), seen);
            });
        };
        reads([&](auto out) { return others.read_bulk(out).count; });
        reads([&, r = typename ring::reader(others)](auto out) mutable {
            return r.next_bulk(out).count;
        });
        reads([&](auto out) { return others.get_last_n(5, out); });
        reads([&](auto out) { return others.peek_bulk(1, out); });
        for (auto& t : threads) t.join();
        over = true;
        writer.join();
        EXPECT_EQ(torn_ones, 0u);
        EXPECT_EQ(unordered, 0u);
    }
};

TEST(racing_copies, of_one_word_are_whole) { beside_a_writer<1>().run(); }
TEST(racing_copies, of_eight_words_are_whole) { beside_a_writer<8>().run(); }
TEST(racing_copies, of_eight_words_and_some_are_whole) { beside_a_writer<13>().run(); }
TEST(racing_copies, of_many_words_are_whole) { beside_a_writer<128>().run(); }

// The canary: who does not look a second time is given torn ones, and this test would see them.
TEST(racing_copies, canary_without_a_second_look_some_are_torn) {
    constexpr std::size_t words = 128;
    std::vector<assay::word<std::uint64_t>> slot(words);
    std::atomic<bool> over = false;
    std::thread writer([&] {
        record<words> one;
        for (std::uint64_t n = 0; !over; ++n) {
            one.fill(n);
            assay::store_words(slot.data(), one.data(), words);
        }
    });
    record<words> copy{};
    while (!torn(copy)) assay::load_words(slot.data(), copy.data(), words);
    over = true;
    writer.join();
}

}  // namespace
