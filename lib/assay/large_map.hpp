// large_map.hpp -- a hash map that any number of processes read and change at once.
//
// The bucket array and node pool of the seed's LargeMap, with the sorted lists of Michael ("High
// performance dynamic lock-free hash tables and list-based sets", SPAA 2002) as buckets. A node is
// named by its index, so a link fits one word: {tag | mark | index}. Whoever changes a link counts
// its tag up, also when the node changes lists: tags belong to the word, not to the node.
//
// State:      a node's claim (claims.hpp) is free -> owned by a process -> kept by the map -> free
//             in the next generation. A mark in a node's link says that its entry is no more. A
//             replaced entry's link leads, marked, to the node that replaces it.
// Invariant:  a bucket's keys ascend; of equal keys only the last is unmarked. Key and value of a
//             node do not change while it is linked. A marked link does not change either, so from
//             an unmarked link that still has its value one may trust all that follows through
//             marked ones. A node is freed after it was unlinked, by the one exchange that ends its
//             claim; an unmarked one never is.
// Progress:   all lock-free: a retry means that somebody else's change succeeded. Expected O(1).
// Crash:      each change is one exchange of one link: it has happened or not. A marked node is
//             unlinked and freed by whoever comes by. What a dead process owned, and what was
//             unlinked but not yet freed, comes back through recover(), which an insertion that
//             finds no node runs by itself.
// Wrap:       a tag has 63 bits less those of an index; with a million entries a stopped process
//             may miss 2^42 changes of one link. Claims: 2^32 lives of one node.
//
// Synchronisation:
//   [map:linked]   link changed -> link read    carries the node that it leads to, and all that the
//                                               changing process did before
//   [map:reused]   node rewritten -> link read again   whoever copied a word of a node's next life
//                                               sees that the link which led there has changed
//   [claims:passed] carries a node's link and key to recover(); [claims:freed] a node to its next
//   owner.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "claims.hpp"
#include "error.hpp"
#include "layout.hpp"
#include "owner.hpp"
#include "structure.hpp"

namespace assay::inline ASSAY_ABI {

template <shareable K, shareable V>
struct map_entry {
    K key;
    V value;
};

template <shareable K, shareable V>
inline constexpr std::uint64_t type_tag<map_entry<K, V>> = hash_words({type_tag<K>, type_tag<V>});

// Keys are compared and hashed by their bytes, hence no padding and no floating point in them. All
// operations may be called by any number of processes and threads at once, are linearizable for
// each key, and throw corrupt when a broken process has written nonsense into the map.
template <shareable K, shareable V>
requires std::has_unique_object_representations_v<K>
class large_map : public structure<large_map<K, V>, map_entry<K, V>> {
    using base = structure<large_map<K, V>, map_entry<K, V>>;
    static constexpr std::size_t key_size = (sizeof(K) + 7) / 8;
    static constexpr std::size_t value_size = (sizeof(V) + 7) / 8;
    using key_words = std::array<std::uint64_t, key_size>;
    using value_words = std::array<std::uint64_t, value_size>;

    struct node {
        word<std::uint64_t> next;
        word<std::uint64_t> key[key_size];
        word<std::uint64_t> value[value_size];
    };

public:
    static constexpr kind structure_kind = kind::large_map;
    static constexpr std::uint64_t max_count = claims::max_count / 2;

    // Opens `name` in the segment, or creates it for `count` entries. Without a count only opens.
    template <class Segment>
    large_map(Segment& segment, std::string_view name, std::uint64_t count = 0)
        : base(segment, name, count), claims_(this->memory(), num_nodes(this->count())) {}

    // On memory of size_bytes(count), aligned to line_size, that was formatted for `count`.
    large_map(void* memory, std::uint64_t count, membership& me)
        : base(memory, count, me), claims_(memory, num_nodes(count)) {}

    // Throws std::invalid_argument when the count is 0, above 2^30, or the sum beyond 2^48 bytes.
    [[nodiscard]] static std::uint64_t size_bytes(std::uint64_t count) {
        if (count == 0 || count > max_count ||
            num_nodes(count) > max_structure_bytes / sizeof(node))
            throw std::invalid_argument("assay: a map of " + std::to_string(count) +
                                        " entries; possible are 1 to " + std::to_string(max_count) +
                                        ", up to 2^48 bytes");
        return nodes_at(count) + num_nodes(count) * sizeof(node);
    }

    // Tests start generations and tags just before they wrap.
    static void format(void* memory, std::uint64_t count, std::uint32_t first_generation = 0,
                       std::uint64_t first_tag = 0) {
        const links link(num_nodes(count));
        claims::format(memory, num_nodes(count), first_generation);
        auto* const bytes = static_cast<std::byte*>(memory);
        auto* const heads = reinterpret_cast<word<std::uint64_t>*>(bytes + heads_at(count));
        auto* const nodes = reinterpret_cast<node*>(bytes + nodes_at(count));
        // relaxed: not published yet.
        for (std::uint64_t b = 0; b < num_buckets(count); ++b)
            heads[b].store(link.make(first_tag, link.none(), false), relaxed);
        for (std::uint64_t i = 0; i < num_nodes(count); ++i)
            nodes[i].next.store(link.make(first_tag, link.none(), false), relaxed);
    }

    // The value, a copy that was in the map at one instant during the call.
    [[nodiscard]] std::optional<V> find(const K& key) const {
        const key_words k = words_of<key_words>(key);
        for (;;) {
            const position p = search(bucket_of(key), k);
            if (!p.holds(k)) return std::nullopt;
            if (const auto v = value_at(p)) return v;
        }
    }

    [[nodiscard]] bool contains(const K& key) const {
        const key_words k = words_of<key_words>(key);
        return search(bucket_of(key), k).holds(k);
    }

    // False, and nothing happens, if the key is present. Throws no_space if all nodes are in use.
    bool insert(const K& key, const V& value) { return put(key, value, false); }

    // True if the key is new; otherwise replaces its value in one step, so that nobody ever finds
    // the key missing. Throws no_space if all nodes are in use: a replacement needs one, too.
    bool insert_or_assign(const K& key, const V& value) { return put(key, value, true); }

    // False if the key is not present.
    bool erase(const K& key) {
        const key_words k = words_of<key_words>(key);
        const std::uint64_t bucket = bucket_of(key);
        const owner_id self = this->me().self();
        for (;;) {
            const position p = search(bucket, k);
            if (!p.holds(k)) return false;
            std::uint64_t seen = p.next;
            // release [map:linked]: what we did before, to whoever finds the key gone. relaxed on
            // failure: the search reads anew.
            if (!node_at(p.index).next.compare_exchange(
                    seen, link().renew(seen, link().index(seen), true), release, relaxed))
                continue;
            static_cast<void>(search(bucket, k));  // unlinks it, and frees it
            claims_.suggest(self, p.index);
            return true;
        }
    }

    // Calls f(const K&, const V&) for each entry: once for each key that is present all the time,
    // once or not at all for others. f may change the map.
    template <class F>
    void for_each(F&& f) const {
        for (std::uint64_t b = 0; b < num_buckets(this->count()); ++b) {
            std::optional<key_words> last;
            for (;;) {
                const position p =
                    search(b, [&](const key_words& k) { return !last || *last < k; });
                if (p.index == links::nowhere) break;
                const auto v = value_at(p);
                if (!v) continue;
                last = p.key;
                f(object_of<K>(p.key), *v);
            }
        }
    }

    // Counts the entries, O(capacity); possibly outdated when it returns.
    [[nodiscard]] std::uint64_t size() const {
        std::uint64_t n = 0;
        for_each([&](const K&, const V&) { ++n; });
        return n;
    }
    [[nodiscard]] bool empty() const { return size() == 0; }

    // So many entries fit for sure, while not more than num_spare() insertions are under way (or
    // were stopped on their way) at once. More fit while the spare nodes are not needed.
    [[nodiscard]] std::uint64_t capacity() const noexcept { return this->count(); }
    [[nodiscard]] std::uint64_t num_spare() const noexcept {
        return claims_.count() - this->count();
    }
    // Nodes not in use, O(capacity): capacity() + num_spare() - size(), while nothing is under way.
    [[nodiscard]] std::uint64_t num_available() const noexcept {
        return claims_.count() - claims_.num_taken();
    }

    // Returns to the map what dead processes held, and what is erased but was not freed because its
    // eraser died or has stopped; says how many nodes. May run in several processes at once, and
    // die at any point. O(capacity), and one question to the kernel per owner.
    std::uint64_t recover() {
        census who(this->me());
        std::uint64_t freed = 0;
        for (std::uint32_t i = 0; i < claims_.count(); ++i) {
            // acquire [claims:passed], within peek: link and key of a node that the map keeps.
            const claims::state s = claims_.peek(i);
            const bool kept = s.owner == claims::kept;
            if (s.owner == nobody || (!kept && !who.dead(s.owner))) continue;
            // relaxed: peek has acquired the node's link or, from its dead owner, who.dead has.
            if (kept && !link().marked(node_at(i).next.load(relaxed))) continue;
            // If the node's life ends meanwhile, the key is nonsense, and below nothing happens.
            key_words k;
            load_words(node_at(i).key, k.data(), key_size);
            // The search unlinks the node if it is marked. If it is not, and can be reached, then
            // its owner died after he had linked it. Otherwise it cannot be reached any more: its
            // owner never linked it and is dead, or it was marked.
            const position p = search(bucket_of(object_of<K>(k)), k);
            if (!kept && p.index == i) {
                static_cast<void>(claims_.pass({i, s.generation}, claims::kept));
            } else {
                claims_.give_back({i, s.generation});
                ++freed;
            }
        }
        return freed;
    }

private:
    // How a link is packed: the index in as many bits as the number of nodes needs (all ones mean
    // the end of the list), then the mark, then the tag.
    class links {
    public:
        static constexpr std::uint32_t nowhere = claim::none;

        explicit links(std::uint64_t nodes) noexcept
            : bits_(static_cast<unsigned>(std::bit_width(nodes))) {}

        [[nodiscard]] std::uint64_t none() const noexcept { return (1ull << bits_) - 1; }
        [[nodiscard]] std::uint32_t index(std::uint64_t w) const noexcept {
            return (w & none()) == none() ? nowhere : static_cast<std::uint32_t>(w & none());
        }
        [[nodiscard]] bool marked(std::uint64_t w) const noexcept { return (w >> bits_ & 1) != 0; }
        [[nodiscard]] std::uint64_t make(std::uint64_t tag, std::uint64_t index,
                                         bool mark) const noexcept {
            return tag << (bits_ + 1) | std::uint64_t{mark} << bits_ | (index & none());
        }
        // What replaces the value `old` of a link.
        [[nodiscard]] std::uint64_t renew(std::uint64_t old, std::uint32_t index,
                                          bool mark) const noexcept {
            return make((old >> (bits_ + 1)) + 1, index, mark);
        }

    private:
        unsigned bits_;
    };

    // A link, and the unmarked node that it led to, with its own link and key.
    struct position {
        word<std::uint64_t>* at;
        std::uint64_t link;
        std::uint32_t index;
        std::uint64_t next;
        key_words key;

        [[nodiscard]] bool holds(const key_words& k) const noexcept {
            return index != links::nowhere && key == k;
        }
    };

    // The first position in the bucket whose key satisfies `stop`, or the end.
    template <class Stop>
    requires std::is_invocable_r_v<bool, Stop, const key_words&> position
    search(std::uint64_t bucket, Stop stop)
    const {
        for (;;)
            if (const auto p = walk(&heads()[bucket], stop)) return *p;
    }
    position search(std::uint64_t bucket, const key_words& k) const {
        return search(bucket, [&](const key_words& found) { return !(found < k); });
    }

    // One attempt at that; unlinks and frees the marked nodes on its way. Nothing, if a change by
    // another process came in between.
    template <class Stop>
    std::optional<position> walk(word<std::uint64_t>* at, Stop stop) const {
        // acquire [map:linked]: the node that the link leads to. Here and below.
        std::uint64_t here = at->load(acquire);
        std::optional<key_words> before;
        for (;;) {
            const std::uint32_t i = link().index(here);
            if (i == links::nowhere) return position{at, here, i, 0, {}};
            node& n = node_at(i);
            // relaxed: the fence below acquires [map:linked] the node after this one.
            position p{at, here, i, n.next.load(relaxed), {}};
            load_words(n.key, p.key.data(), key_size);
            // What we copied is of the node's life in this list only if the link to it still has
            // its value. acquire [map:reused]: a word of its next life shows us the change. The
            // load is relaxed because the fence orders it.
            fence(acquire);
            if (at->load(relaxed) != here) return std::nullopt;
            if (link().marked(p.next)) {
                const claims::state s = claims_.peek(i);  // of this life, if the exchange succeeds
                const std::uint64_t past = link().renew(here, link().index(p.next), false);
                // release [map:linked]: the next node, which we acquired. relaxed on failure: the
                // next attempt reads anew.
                if (!at->compare_exchange(here, past, release, relaxed)) return std::nullopt;
                if (s.owner == nobody) fail("a node without an owner is linked");
                claims_.give_back({i, s.generation});
                here = past;
                continue;
            }
            if (before && !(*before < p.key)) fail("the keys of a bucket do not ascend");
            if (stop(p.key)) return p;
            before = p.key;
            at = &n.next;
            here = p.next;
        }
    }

    // The value at p; nothing if the node may have been reused before it was copied.
    std::optional<V> value_at(const position& p) const {
        value_words v;
        load_words(node_at(p.index).value, v.data(), value_size);
        // acquire [map:reused]: see walk. The load is relaxed because the fence orders it.
        fence(acquire);
        if (p.at->load(relaxed) != p.link) return std::nullopt;
        return object_of<V>(v);
    }

    bool put(const K& key, const V& value, bool replace) {
        const key_words k = words_of<key_words>(key);
        const std::uint64_t bucket = bucket_of(key);
        claim mine;
        for (;;) {
            const position p = search(bucket, k);
            const bool present = p.holds(k);
            if (present && !replace) {
                claims_.give_back(mine);
                return false;
            }
            if (!mine)  // p may be outdated after this; then the exchange fails
                mine = fill_node(k, words_of<value_words>(value));
            else if (p.index == mine.index || p.at == &node_at(mine.index).next)
                fail("a free node is linked");
            // The new node goes in front of p's, or replaces it: then p's node gets marked in the
            // exchange that makes it lead to the new one.
            word<std::uint64_t>& next = node_at(mine.index).next;
            word<std::uint64_t>& at = present ? node_at(p.index).next : *p.at;
            std::uint64_t seen = present ? p.next : p.link;
            // relaxed: nobody else changes the link of a node that we own; the exchange releases.
            next.store(link().renew(next.load(relaxed), link().index(seen), false), relaxed);
            // release [map:linked]: our node. relaxed on failure: the search reads anew.
            if (at.compare_exchange(seen, link().renew(seen, mine.index, present), release,
                                    relaxed)) {
                // False if it was erased and freed already.
                static_cast<void>(claims_.pass(mine, claims::kept));
                if (present) static_cast<void>(search(bucket, k));  // unlinks the old one
                return !present;
            }
        }
    }

    claim fill_node(const key_words& k, const value_words& v) {
        const claim c = take_node();
        // release [map:reused]: who sees one of these words sees that the node had been unlinked.
        fence(release);
        store_words(node_at(c.index).key, k.data(), key_size);
        store_words(node_at(c.index).value, v.data(), value_size);
        return c;
    }

    claim take_node() {
        const owner_id self = this->me().self();
        for (bool again = true; again;) {
            if (const claim c = claims_.take(self)) return c;
            again = recover() != 0;
        }
        if (const claim c = claims_.take(self)) return c;
        throw no_space("assay: map '" + this->name() + "' is full: all " +
                       std::to_string(claims_.count()) + " nodes for " +
                       std::to_string(this->count()) + " entries are in use");
    }

    [[noreturn]] void fail(const char* what) const {
        throw corrupt("assay: map '" + this->name() + "' is damaged: " + what +
                      "; a broken process has written to it, create it again");
    }

    static constexpr std::uint64_t num_buckets(std::uint64_t count) noexcept {
        return std::bit_ceil(count);
    }
    static constexpr std::uint64_t num_nodes(std::uint64_t count) noexcept {
        return count + (count < 8 ? 8 : count > 64 ? 64 : count);
    }
    static constexpr std::uint64_t heads_at(std::uint64_t count) noexcept {
        return claims::size_bytes(num_nodes(count));
    }
    static constexpr std::uint64_t nodes_at(std::uint64_t count) noexcept {
        return heads_at(count) + align_up(num_buckets(count) * 8, line_size);
    }

    word<std::uint64_t>* heads() const noexcept {
        return reinterpret_cast<word<std::uint64_t>*>(this->memory() + heads_at(this->count()));
    }
    node& node_at(std::uint32_t i) const {
        if (i >= claims_.count()) fail("a link leads out of it");
        return reinterpret_cast<node*>(this->memory() + nodes_at(this->count()))[i];
    }
    links link() const noexcept { return links(claims_.count()); }

    std::uint64_t bucket_of(const K& key) const noexcept {
        char bytes[sizeof(K)];
        std::memcpy(bytes, &key, sizeof(K));
        std::uint64_t h = hash_bytes({bytes, sizeof(K)});
        h = (h ^ h >> 33) *
            0xff51afd7ed558ccd;  // MurmurHash3's finaliser: FNV mixes low bits badly
        h ^= h >> 33;
        return h & (num_buckets(this->count()) - 1);
    }

    template <class Words, class T>
    static Words words_of(const T& value) noexcept {
        Words w{};
        std::memcpy(w.data(), &value, sizeof(T));
        return w;
    }
    template <class T, class Words>
    static T object_of(const Words& w) noexcept {
        std::array<std::byte, sizeof(T)> bytes;
        std::memcpy(bytes.data(), w.data(), sizeof(T));
        return std::bit_cast<T>(bytes);
    }

    mutable claims claims_;  // const operations free what others have erased
};

}  // namespace assay::inline ASSAY_ABI
