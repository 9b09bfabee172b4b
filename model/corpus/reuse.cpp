// The same value, and not the same thing: ABA, flags and counters of another lap.
#include "model/corpus/known_bug.hpp"

namespace assay::model {
namespace {

using checker::verdict;

// A free list; its head carries a tag of so many bits, which each change raises.
template <unsigned tag_bits, std::uint32_t objects>
struct free_list {
    static constexpr std::uint32_t end = 0xffff;
    static constexpr std::uint32_t tags = (std::uint32_t{1} << tag_bits) - 1;
    word<std::uint32_t> head;  // tag, object
    word<std::uint32_t> next[objects];

    void format() {
        for (std::uint32_t i = 0; i < objects; ++i)
            next[i].store(i + 1 < objects ? i + 1 : end, relaxed);
    }
    static std::uint32_t successor(std::uint32_t old, std::uint32_t object) {
        return (((old >> 16) + 1) & tags) << 16 | object;
    }
    std::int64_t take() {
        std::uint32_t old = head.load(acquire);
        while ((old & 0xffff) != end) {
            const std::uint32_t after = next[old & 0xffff].load(relaxed);
            if (head.compare_exchange(old, successor(old, after), acq_rel, acquire))
                return old & 0xffff;
        }
        return spec::none;
    }
    void give(std::int64_t object) {
        std::uint32_t old = head.load(relaxed);
        do next[object].store(old & 0xffff, relaxed);
        while (!head.compare_exchange(old, successor(old, static_cast<std::uint32_t>(object)),
                                      acq_rel, relaxed));
    }
};

// One is about to take an object; meanwhile another takes them all and returns that one.
template <unsigned tag_bits, std::uint32_t objects>
void a_free_list_hands_out_twice(scenario& s) {
    shared<free_list<tag_bits, objects>> pool(s);
    pool->format();
    recorder h;
    const auto take = [&] { return note(h, "acquire", 0, [&] { return pool->take(); }); };
    s.process("slow", [&] { take(); });
    s.process("quick", [&] {
        std::int64_t first = take();
        for (std::uint32_t i = 1; i < objects; ++i)
            if (take() == spec::none) return;
        note(h, "release", first, [&] {
            pool->give(first);
            return 1;
        });
    });
    s.finally([&] {
        take();
        check_linearizable(h, spec::object_pool{objects});
    });
    s.run();
}

// Michael and Scott's queue. Each link has a tag against ABA; initialising the link of a node that
// is used again sets the tag back, and a late enqueue succeeds on a node that is not yet linked.
template <bool fixed>
struct linked_queue {
    static constexpr std::uint32_t end = 0xff;  // a link: tag * 256 + node
    word<std::uint32_t> head, tail, link[4];
    cell<std::int64_t> value[4];

    void format() {
        for (auto& l : link) l.store(end, relaxed);
    }
    void enqueue(std::uint32_t node, std::int64_t v) {
        value[node].write(v);
        const std::uint32_t tag = fixed ? (link[node].load(relaxed) >> 8) + 1 : 0;
        link[node].store(tag << 8 | end, release);
        for (;;) {
            std::uint32_t last = tail.load(acquire);
            std::uint32_t after = link[last].load(acquire);
            if (tail.load(acquire) != last) continue;  // a node that has been used again
            if ((after & 0xff) != end) {
                static_cast<void>(tail.compare_exchange(last, after & 0xff, acq_rel, relaxed));
                continue;
            }
            const std::uint32_t linked = ((after >> 8) + 1) << 8 | node;
            if (!link[last].compare_exchange(after, linked, acq_rel, relaxed)) continue;
            static_cast<void>(tail.compare_exchange(last, node, acq_rel, relaxed));
            return;
        }
    }
    // One consumer. `freed` is the node that is free now.
    std::int64_t dequeue(std::uint32_t& freed) {
        std::uint32_t first = head.load(relaxed);
        const std::uint32_t next = link[first].load(acquire) & 0xff;
        if (next == end) return spec::none;
        std::uint32_t last = first;  // the tail must not stay behind the head
        static_cast<void>(tail.compare_exchange(last, next, acq_rel, relaxed));
        const std::int64_t v = value[next].read();
        head.store(next, relaxed);
        freed = first;
        return v;
    }
};
template <bool fixed>
void a_node_used_again_loses_its_tag(scenario& s) {
    shared<linked_queue<fixed>> q(s);
    q->format();
    recorder h;
    const auto put = [&](std::uint32_t node, std::int64_t v) {
        note(h, "enqueue", v, [&] {
            q->enqueue(node, v);
            return 1;
        });
    };
    const auto take = [&](std::uint32_t& freed) {
        return note(h, "dequeue", 0, [&] { return q->dequeue(freed); });
    };
    s.process("late", [&] {
        put(2, 1);
        put(3, 2);
    });
    s.process("quick", [&] {
        std::uint32_t node = 1;
        put(1, 3);
        if (take(node) == 3) put(node, 4);
    });
    s.finally([&] {
        std::uint32_t node = 0;
        for (int i = 0; i < 4; ++i) take(node);
        check_linearizable(h, spec::queue{9, {}});
    });
    s.run();
}

// A slot has a flag that says "committed". One consumer reads it, and is slow; the slot is used
// again, and the flag is still, or again, the same.
template <bool fixed>
void a_flag_of_the_last_lap_is_believed(scenario& s) {
    struct queue {
        word<std::uint64_t> head, tail;
        word<std::uint64_t> committed;  // 0, 1; fixed: the element's number plus one
        word<std::int64_t> value;
    };
    shared<queue> q(s);
    recorder h;
    s.process("producer", [&] {
        for (const std::int64_t v : {1, 2})
            note(h, "enqueue", v, [&] {
                const std::uint64_t at = q->tail.load(relaxed);
                if (at != q->head.load(acquire)) return false;
                q->tail.store(at + 1, release);  // claimed
                q->value.store(v, relaxed);
                q->committed.store(fixed ? at + 1 : 1, release);
                return true;
            });
    });
    s.process("consumer", [&] {
        for (int i = 0; i < 2; ++i)
            note(h, "dequeue", 0, [&]() -> std::int64_t {
                const std::uint64_t at = q->head.load(relaxed);
                if (q->tail.load(acquire) == at) return spec::none;
                await([&] { return q->committed.load(acquire) == (fixed ? at + 1 : 1); });
                const std::int64_t v = q->value.load(relaxed);
                q->head.store(at + 1, release);
                return v;
            });
    });
    s.finally([&] { check_linearizable(h, spec::queue{1, {}}); });
    s.run();
}

// A ring of three places with counters that wrap (here at 8 bits): 256 is no multiple of 3, and
// place 0 is used twice running.
template <bool fixed>
void a_ring_of_three_breaks_at_the_wrap(scenario& s) {
    static constexpr std::uint32_t places = fixed ? 4 : 3;
    struct ring {
        word<std::uint32_t> head, tail;
        word<std::int64_t> place[places];
    };
    shared<ring> r(s);
    r->head.store(255, relaxed);
    r->tail.store(255, relaxed);
    recorder h;
    s.process("producer", [&] {
        for (const std::int64_t v : {1, 2})
            note(h, "enqueue", v, [&] {
                const std::uint32_t t = r->tail.load(relaxed);
                if (((t - r->head.load(acquire)) & 0xff) == places) return false;
                r->place[t % places].store(v, relaxed);
                r->tail.store((t + 1) & 0xff, release);
                return true;
            });
    });
    s.process("consumer", [&] {
        for (int i = 0; i < 2; ++i)
            note(h, "dequeue", 0, [&] {
                const std::uint32_t at = r->head.load(relaxed);
                if (at == r->tail.load(acquire)) return spec::none;
                const std::int64_t v = r->place[at % places].load(relaxed);
                r->head.store((at + 1) & 0xff, release);
                return v;
            });
    });
    s.finally([&] { check_linearizable(h, spec::queue{places, {}}); });
    s.run();
}

}  // namespace

std::vector<known_bug> reuse_bugs() {
    return {
        {"Z11_a_free_list_hands_out_twice", "zeroipc 13431d0", verdict::not_linearizable,
         a_free_list_hands_out_twice<0, 2>, a_free_list_hands_out_twice<16, 2>, 18},
        {"L22_a_tag_comes_round_again", "zeroipc c06a6fa pool, with 2 bits",
         verdict::not_linearizable, a_free_list_hands_out_twice<2, 3>,
         a_free_list_hands_out_twice<16, 3>, 38},
        {"C13_a_node_used_again_loses_its_tag", "boostorg/lockfree#59", verdict::not_linearizable,
         a_node_used_again_loses_its_tag<false>, a_node_used_again_loses_its_tag<true>, 3385},
        {"C19_a_flag_of_the_last_lap_is_believed", "elijahr/lockfreequeues#17",
         verdict::not_linearizable, a_flag_of_the_last_lap_is_believed<false>,
         a_flag_of_the_last_lap_is_believed<true>, 6},
        {"Z34_C8_a_ring_of_three_breaks_at_the_wrap", "zeroipc 4c2befe, iceoryx2#986",
         verdict::not_linearizable, a_ring_of_three_breaks_at_the_wrap<false>,
         a_ring_of_three_breaks_at_the_wrap<true>, 9},
    };
}

}  // namespace assay::model
