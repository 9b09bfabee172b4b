// One side of an exchange between two builds: opens the segment, finds what the one before it left in
// each structure, and leaves something for the next. scripts/builds compiles it for every pair.
//
//   exchange NAME 0    creates the segment and every structure
//   exchange NAME N    reads what step N - 1 wrote, writes; the layout's version, and the names and
//                      bytes of all structures follow
//   exchange NAME send | receive    two that run at the same time, one waits for the other
//
// Exit status: 0; 1 something is not what it should be; 2 refused, for the reason that is printed.
#include <assay/assay.hpp>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

// The same bytes on every machine: 8-byte numbers are aligned to 4 on i386, unless it is said.
struct alignas(8) record {
    std::uint64_t number;
    double half;
    std::uint32_t side;
    std::uint32_t more;

    static record of(std::uint64_t step, std::uint64_t n) {
        const std::uint64_t i = step * 1000 + n;
        return {i * 0x9e3779b97f4a7c15, static_cast<double>(i) / 2, static_cast<std::uint32_t>(n),
                0xfeedbeef};
    }
    friend bool operator==(const record&, const record&) = default;
};

constexpr std::size_t count = 7;
constexpr std::uint64_t sent = 20000;

void expect(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(what);
}

// Every structure, of elements that are the same everywhere.
struct room {
    explicit room(assay::posix_shm& s, std::uint64_t n)
        : plain(s, "array", n),
          number(n == 0 ? assay::atomic<std::uint64_t>(s, "atomic")
                        : assay::atomic<std::uint64_t>(s, "atomic", 0)),
          line(s, "queue", n),
          pool(s, "object_pool", n),
          handles(s, "handles", n),
          ring(s, "ring_buffer", n),
          versions(s, "mrsw_array", n),
          map(s, "large_map", n) {}

    void find(std::uint64_t step) {
        for (std::size_t i = 0; i < count; ++i) {
            const record r = record::of(step, i);
            expect(plain[i] == r, "array: another element");
            expect(versions.read(i) == r, "mrsw_array: another element");
            expect(map.find(r.number) == r, "large_map: another value");
        }
        expect(number.load() == step, "atomic: another value");
        expect(versions.version() == step + 1, "mrsw_array: another version");
        expect(map.size() == count, "large_map: another size");
        for (std::size_t i = 0; i < count / 2; ++i) {
            expect(line.dequeue() == record::of(step, i), "queue: another element");
            expect(ring.pop() == record::of(step, i), "ring_buffer: another record");
            const auto h = handles[i];
            expect(pool.adopt(h), "object_pool: a stale handle");
            expect(*pool.get(h) == record::of(step, i), "object_pool: another object");
            expect(pool.release(h), "object_pool: not released");
        }
        expect(!line.dequeue() && !ring.pop(), "queue, ring_buffer: too many elements");
        expect(pool.empty(), "object_pool: an object that nobody has");
    }

    void leave(std::uint64_t step) {
        std::array<record, count> all;
        for (std::size_t i = 0; i < count; ++i) {
            if (step != 0)
                expect(map.erase(record::of(step - 1, i).number), "large_map: not erased");
            plain[i] = all[i] = record::of(step, i);
            expect(map.insert(all[i].number, all[i]), "large_map: not inserted");
        }
        static_cast<void>(versions.write(0, all));
        number.store(step);
        for (std::size_t i = 0; i < count / 2; ++i) {
            expect(line.enqueue(all[i]) && ring.push(all[i]), "queue, ring_buffer: full");
            const auto h = pool.acquire();
            *pool.get(h) = all[i];
            handles[i] = h;
        }
    }

    assay::array<record> plain;
    assay::atomic<std::uint64_t> number;
    assay::queue<record> line;
    assay::object_pool<record> pool;
    assay::array<assay::object_pool<record>::handle_type> handles;
    assay::ring_buffer<record> ring;
    assay::mrsw_array<record> versions;
    assay::large_map<std::uint64_t, record> map;
};

// A number that aligns as the machine likes: whoever aligns it otherwise has to be told.
void exchange_natural(assay::posix_shm& s, std::uint64_t step) {
    struct natural {
        std::uint32_t first;
        std::uint64_t number;
    };
    assay::queue<natural> line(s, "natural", step == 0 ? count : 0);
    if (step != 0) {
        const std::uint64_t n = line.dequeue()->number;  // the one before may have been refused
        expect(n + 1 == step || n + 2 == step, "natural: another number");
    }
    expect(line.enqueue({0, step}), "natural: full");
}

void list(assay::posix_shm& s) {
    std::printf("layout %" PRIu32 "\n", assay::layout_version);
    for (const char* const name : {"array", "atomic", "queue", "object_pool", "handles",
                                   "ring_buffer", "mrsw_array", "large_map"}) {
        const auto d = s.get_table()->describe(name);
        const auto* const at = static_cast<const char*>(s.get_base_addr()) + d->offset;
        const std::uint64_t hash = assay::hash_bytes({at, static_cast<std::size_t>(d->size)});
        std::printf("%s at %" PRIu64 ", %" PRIu64 " bytes, tag %016" PRIx64 ", hash %016" PRIx64
                    "\n",
                    name, d->offset, d->size, d->tag, hash);
    }
}

void step(const std::string& name, std::uint64_t n) {
    assay::shm_options kept;
    kept.policy = assay::cleanup::keep;
    assay::posix_shm s(name, n == 0 ? 1 << 17 : 0, kept);
    expect(s.created() == (n == 0), "the segment was there, or was not");
    room all(s, n == 0 ? count : 0);
    if (n != 0) all.find(n - 1);
    all.leave(n);
    list(s);
    try {
        exchange_natural(s, n);
    } catch (const assay::mismatch& e) {
        std::printf("natural: %s\n", e.what());
    }
}

void send(const std::string& name) {
    assay::posix_shm s(name, 1 << 17);
    assay::queue<record> line(s, "line", count);
    for (std::uint64_t i = 0; i < sent; ++i)
        expect(line.wait_enqueue(record::of(0, i), std::chrono::seconds(10)), "nobody receives");
}

void receive(const std::string& name) {
    assay::posix_shm s(name, 1 << 17);
    assay::queue<record> line(s, "line", count);
    for (std::uint64_t i = 0; i < sent; ++i)
        expect(line.wait_dequeue(std::chrono::seconds(10)) == record::of(0, i), "nothing is sent");
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 3) throw std::runtime_error("usage: exchange NAME STEP | send | receive");
    const std::string_view what = argv[2];
    if (what == "send")
        send(argv[1]);
    else if (what == "receive")
        receive(argv[1]);
    else
        step(argv[1], std::strtoull(argv[2], nullptr, 10));
    return 0;
} catch (const assay::mismatch& e) {
    std::printf("refused: %s\n", e.what());
    return 2;
} catch (const std::exception& e) {
    std::printf("failed: %s\n", e.what());
    return 1;
}
