// histories.hpp -- what the processes of a team called and got, and when: to be compared with the
// sequential specification of the structure (lib/spec), as the model checker does.
//
// A process works in bursts of a few operations. A burst begins when all have ended the one before,
// so a burst is a window that nothing reaches into from outside, and is checked by itself. Between
// the operations of a window, time says which was over before which began. Who is killed leaves an
// operation unfinished, which may have taken effect or not, until its successor begins.
#pragma once

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "lib/spec/linearize.hpp"
#include "stress/harness.hpp"

namespace assay_stress {

// One process's part, in shared memory; survives its death.
class diary {
public:
    static constexpr std::uint64_t never = ~std::uint64_t{0};
    static constexpr std::size_t most = 1 << 13;  // operations of one process in an episode

    struct entry {
        const char* name;  // a literal: the address is the same in every fork of this program
        std::int64_t argument, result;
        std::uint64_t burst, begin;
        std::atomic<std::uint64_t> end;  // 0: unfinished
        bool finished;
    };

    template <class Use>
    std::int64_t operator()(const char* name, std::int64_t argument, Use use) {
        entry& e = entries_[count_];
        e.name = name;
        e.argument = argument;
        e.burst = burst_;
        e.begin = now();
        ++count_;
        e.result = use();
        e.finished = true;
        e.end = now();
        return e.result;
    }
    // The successor of one that was killed.
    void reopen() {
        if (count_ > 0 && entries_[count_ - 1].end == 0) entries_[count_ - 1].end = now();
    }
    // Waits for the others. False when the episode is over.
    bool next_burst(const worker& w, const shared<diary>& all) {
        if (count_ + 16 > most) return false;
        const std::uint64_t next = ++burst_;
        for (std::size_t i = 0; i < all.size(); ++i)
            while (all[i].burst_ < next) {
                if (!w.running()) return false;
                ::sched_yield();
            }
        return w.running();
    }
    void close() { burst_ = never; }

    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] const entry& operator[](std::size_t i) const { return entries_[i]; }

private:
    // The fences keep the operation between its times, as others see it: a store that waits in the
    // processor's store buffer has not happened yet.
    static std::uint64_t now() {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        const auto t = clock::now().time_since_epoch();
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return static_cast<std::uint64_t>(std::chrono::nanoseconds(t).count());
    }

    std::atomic<std::uint64_t> burst_, count_;
    entry entries_[most];
};

// Fails unless every window is explained from a state in which the one before may have ended.
// `object(operation)` numbers the objects that are specified each by itself.
template <class Specification, class Object>
void expect_linearizable(const shared<diary>& all, const Specification& initial, Object object) {
    struct item {
        assay::spec::operation call;
        std::uint64_t burst, begin, end;
        std::int64_t object;
    };
    std::vector<item> items;
    for (std::size_t p = 0; p < all.size(); ++p)
        for (std::size_t i = 0; i < all[p].size(); ++i) {
            const diary::entry& e = all[p][i];
            item it{
                {e.name, e.argument, std::nullopt, static_cast<int>(p)}, e.burst, e.begin, 0, 0};
            if (e.finished) it.call.result = e.result;
            it.end = e.end == 0 ? diary::never : e.end.load();
            it.object = object(it.call);
            items.push_back(it);
        }
    std::ranges::sort(items, {},
                      [](const item& i) { return std::tuple(i.object, i.burst, i.begin); });
    std::set<Specification> states;
    for (auto from = items.begin(), to = from; from != items.end(); from = to) {
        if (from == items.begin() || std::prev(from)->object != from->object) states = {initial};
        assay::spec::history window;
        std::string text;
        for (; to != items.end() && to->object == from->object && to->burst == from->burst; ++to) {
            std::uint64_t before = 0;
            for (auto other = from; other != items.end() && other->burst == from->burst &&
                                    other->object == from->object;
                 ++other)
                if (other->call.result && other->end < to->begin)
                    before |= std::uint64_t{1} << (other - from);
            if (window.operations.size() == assay::spec::max_operations)
                fail("a window of more than %zu operations cannot be checked",
                     assay::spec::max_operations);
            window.add(to->call, before);
            text += " " + std::to_string(to->call.process) + ":" + to_string(to->call) + " [" +
                    std::to_string(to->begin - from->begin) + "-" +
                    (to->call.result ? std::to_string(to->end - from->begin) : "") + "]";
        }
        states = assay::spec::linearization<Specification>::outcomes(window, states);
        if (states.empty()) fail("no sequential run explains%s", text.c_str());
    }
}

}  // namespace assay_stress
