// Segments whose bytes somebody else has changed: attaching and every operation of the segment end
// with a result or a documented exception.

#include <unistd.h>

#include <assay/posix_shm.hpp>

#include "proptest/harness.hpp"

namespace assay_proptest {

namespace {

struct damage {
    std::uint64_t where;  // which word of the header, the registry or the table
    std::uint64_t value;
};

struct damages {
    std::vector<damage> all;
    friend std::size_t length(const damages& d) { return d.all.size(); }
    friend std::ostream& operator<<(std::ostream& out, const damages& d) {
        for (const damage& each : d.all)
            out << "word " << each.where << " = " << each.value << "; ";
        return out;
    }
};

// Half of them where the header's fields are.
rc::Gen<damages> scribbles() {
    namespace gen = rc::gen;
    const auto where =
        gen::oneOf(gen::inRange<std::uint64_t>(0, 10), gen::inRange<std::uint64_t>(0, 1 << 16));
    const auto value = gen::oneOf(
        gen::element<std::uint64_t>(0, 1, 3, UINT32_MAX, UINT64_MAX, std::uint64_t{1} << 63,
                                    UINT64_MAX - 63, std::uint64_t{1} << 32),
        gen::inRange<std::uint64_t>(0, 100'000), gen::arbitrary<std::uint64_t>());
    return gen::map(
        gen::container<std::vector<damage>>(gen::map(gen::pair(where, value),
                                                     [](auto p) {
                                                         return damage{p.first, p.second};
                                                     })),
        [](auto all) { return damages{std::move(all)}; });
}

using segment = assay::posix_shm_small;

// True when f() ends with a result, false when with an exception that says the bytes are bad.
template <class F>
bool works(F&& f) {
    try {
        f();
        return true;
    } catch (const assay::mismatch&) {
    } catch (const assay::corrupt&) {
    } catch (const assay::system_failure&) {
    }
    return false;
}

void use(segment& s) {
    static_cast<void>(s.get_ref_count());
    static_cast<void>(s.get_capacity().can_allocate(100));
    s.recover();
    static_cast<void>(s.get_ref_count());
    static_cast<void>(s.orphaned());
    for (const auto& e : *s.get_table()) static_cast<void>(e.name.str());
    static_cast<void>(works([&] { static_cast<void>(s.get_table()->describe("there")); }));
}

// The lock of the table is left alone: whoever writes a living process's id into it makes others
// wait for that process, which a process with the right to write can always do.
constexpr std::uint64_t lock_word = assay::align_up(sizeof(assay::segment_header), 64) / 8;

void survives_damage(context& c) {
    // All processes of this check are in one group, and the leader cleans up after a crash.
    const std::string name = "assay-proptest-" + std::to_string(::getpgrp());
    const std::string path = "/dev/shm/" + name;
    explore(c, scribbles(), [&](const damages& d) {
        ::unlink(path.c_str());
        segment first(name, segment::size_for(4096));
        first.get_table()->allocate("there", 100);
        auto* const words = static_cast<std::uint64_t*>(first.get_base_addr());
        const std::uint64_t n = segment::size_for(0) / 8;
        for (const damage& each : d.all)
            if (each.where % n != lock_word) words[each.where % n] = each.value;
        use(first);
        static_cast<void>(works([&] {
            segment second(name);
            use(second);
        }));
        first.unlink();
        require(::access(path.c_str(), F_OK) != 0, "a damaged segment cannot be removed");
    });
    ::unlink(path.c_str());
}

// Believes the size that the header tells, as a reader does that does not ask the file.
void trusting(context& c) {
    explore(c, scribbles(), [](const damages& d) {
        std::vector<std::uint64_t> words(8);
        words[4] = words.size() * 8;
        for (const damage& each : d.all)
            if (each.where < words.size()) words[each.where] = each.value;
        const volatile char* const bytes = reinterpret_cast<const char*>(words.data());
        static_cast<void>(bytes[words[4] - 1]);
    });
}

const registration damaged_segments([](std::vector<check>& all) {
    all.push_back({"posix_shm/operations_on_damaged_segments_end_cleanly",
                   "random words in header, registry and table; attach, count, recover, unlink",
                   survives_damage, 0.7});
    check c{"posix_shm/canary_size_is_taken_from_the_header",
            "the size that the bytes tell is believed", trusting};
    c.canary = true;
    c.longest = 0;  // what lies behind the bytes differs from run to run, and so the smallest case
    all.push_back(std::move(c));
});

}  // namespace

}  // namespace assay_proptest
