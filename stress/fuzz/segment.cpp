// The library against a hostile peer: a valid segment whose bytes somebody else overwrites, before
// and between our calls. libFuzzer chooses what is overwritten and what is called.
//
// Whatever the bytes say, there must be no signal, no access outside the segment, no allocation of
// sizes that they name, and no call that takes a second. Exceptions are the right answer.
//
// The segment lies between guard pages, and its file is made up (attachment.hpp takes the class as
// a parameter), so that an execution costs microseconds instead of system calls. What a peer may do
// that this cannot find is in lib/SECURITY.md.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/assay.hpp"

namespace {

using namespace assay;

constexpr std::uint64_t segment_size = 32 << 10;
constexpr std::uint64_t guard_size = std::uint64_t{1} << 32;  // farther than 32 bits can lead

// The only mapping near it is the segment itself.
std::byte* guarded_memory() {
    static auto* const memory = [] {
        void* const all = ::mmap(nullptr, 2 * guard_size + segment_size, PROT_NONE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED) std::abort();
        auto* const middle = static_cast<std::byte*>(all) + guard_size;
        if (::mprotect(middle, segment_size, PROT_READ | PROT_WRITE) != 0) std::abort();
        return middle;
    }();
    return memory;
}

// A segment_file (segment_file.hpp) without a kernel: we are alone, and everyone else is dead.
class made_up_file {
public:
    explicit made_up_file(std::string_view name) : name_(name) {}

    bool open(std::uint64_t least_bytes) {
        if (!linked_) return false;
        if (segment_size < least_bytes) throw mismatch("too small");
        opened_ = true;
        return true;
    }
    bool create(std::uint64_t) {
        std::memset(guarded_memory(), 0, segment_size);
        return opened_ = true;
    }
    bool link(mode_t) { return linked_ = true; }
    bool unlink() noexcept { return true; }
    void close() noexcept { opened_ = false; }
    [[nodiscard]] bool named() const noexcept { return true; }
    [[nodiscard]] bool linked() const noexcept { return true; }
    [[nodiscard]] bool is_open() const noexcept { return opened_; }
    [[nodiscard]] std::byte* base() const noexcept { return opened_ ? guarded_memory() : nullptr; }
    [[nodiscard]] std::uint64_t size() const noexcept { return segment_size; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& path() const noexcept { return name_; }
    [[nodiscard]] bool try_lock(std::uint32_t n) noexcept { return exists(n); }
    void unlock(std::uint32_t n) noexcept { exists(n); }
    [[nodiscard]] bool held(std::uint32_t n) const noexcept { return !exists(n); }
    [[nodiscard]] bool try_lock_all_slots() noexcept { return true; }
    [[nodiscard]] bool try_lock_name() noexcept { return true; }
    void unlock_name() noexcept {}
    template <class F>
    [[nodiscard]] static bool patiently(F&& f) {
        return f();
    }
    [[nodiscard]] static std::uint32_t pid() noexcept { return 1; }

private:
    // There are two lock bytes for each slot, and none beyond.
    static bool exists(std::uint32_t n) noexcept {
        if (n >= attachment_locks) std::abort();
        return true;
    }

    static inline bool linked_ = false;
    std::string name_;
    bool opened_ = false;
};

// What a structure wants of a segment.
class segment {
public:
    using table_type = table_small;

    // Throws whatever attaching throws.
    explicit segment(std::uint64_t size_to_create = 0)
        : hold_(basic_attachment<made_up_file>::open("fuzzed", size_to_create, {}, geometry(),
                                                     &table_type::format)),
          table_(hold_->base() + geometry().table_at, hold_->base(), geometry().data_begin,
                 hold_->size(), *hold_) {}

    [[nodiscard]] static segment_geometry geometry() { return posix_shm_small::geometry(); }
    [[nodiscard]] const auto& hold() const { return hold_; }
    [[nodiscard]] table_type* get_table() { return &table_; }
    [[nodiscard]] const table_type* get_table() const { return &table_; }
    [[nodiscard]] void* get_base_addr() const { return hold_->base(); }
    [[nodiscard]] const std::string& name() const { return hold_->name(); }

    // A peer that writes the caller's own identity into the table's lock stops the caller for ever:
    // the one hang that we know of (lib/SECURITY.md).
    [[nodiscard]] bool locked_by_ourselves() const {
        std::uint32_t holder = 0;
        std::memcpy(&holder, hold_->base() + geometry().table_at, sizeof holder);
        return (holder & 0x7fffffff) == hold_->self();
    }

private:
    std::shared_ptr<basic_attachment<made_up_file>> hold_;
    table_type table_;
};

struct record {
    std::uint64_t a, b, c;
};
using numbers = array<int>;
using jobs = queue<int, 4>;
using objects = object_pool<record>;
using ticks = ring_buffer<record>;
using state = mrsw_array<int>;
using map = large_map<std::uint64_t, std::uint32_t>;

// The whole segment, as its makers left it.
const std::array<std::byte, segment_size>& valid_segment() {
    static const auto image = [] {
        auto bytes = std::make_unique<std::array<std::byte, segment_size>>();
        segment s(segment_size);
        numbers(s, "numbers", 16).fill(1);
        atomic<std::uint32_t>(s, "count", 1);
        jobs q(s, "jobs", 8);
        static_cast<void>(q.enqueue(1));
        objects p(s, "objects", 8);
        static_cast<void>(p.acquire());
        ticks r(s, "ticks", 8);
        static_cast<void>(r.push({1, 2, 3}));
        state(s, "state", 16).write(0, 1);
        map m(s, "map", 8);
        m.insert(1, 1);
        s.get_table()->allocate("raw", 100);
        std::memcpy(bytes->data(), s.get_base_addr(), segment_size);
        return bytes;
    }();
    return *image;
}

// Everything that a process may call, one structure each opened when first needed.
class user {
public:
    explicit user(segment& s) : s_(s) {}

    void call(unsigned operation, std::uint32_t x) {
        switch (operation % 8) {
            case 0:
                return of_table(operation / 8, x);
            case 1:
                return of_array(operation / 8, x);
            case 2:
                return of_queue(operation / 8, x);
            case 3:
                return of_pool(operation / 8, x);
            case 4:
                return of_ring(operation / 8, x);
            case 5:
                return of_state(operation / 8, x);
            case 6:
                return of_map(operation / 8, x);
            default:
                return of_atomic(operation / 8, x);
        }
    }

private:
    template <class T>
    T& open(std::optional<T>& what, const char* name) {
        if (!what) what.emplace(s_, name);
        return *what;
    }
    // Reads every byte of what the library says is there.
    template <class Bytes>
    static void touch(const Bytes& all) {
        unsigned sum = 0;
        for (const auto& one : all) sum += static_cast<unsigned>(one);
        asm volatile("" : : "r"(sum));
    }

    void of_table(unsigned operation, std::uint32_t x) {
        auto& t = *s_.get_table();
        const std::string name = "new" + std::to_string(x % 4);
        if (operation % 8 >= 4 && s_.locked_by_ourselves()) return;
        switch (operation % 8) {
            case 0:
                for (const auto& e : t) touch(std::string(e.name));
                return;
            case 1:
                static_cast<void>(t.get_available_size() + t.get_total_allocated_size());
                static_cast<void>(t.can_allocate(x));
                return;
            case 2:
                for (const char* known : {"numbers", "raw", "nothing"})
                    if (const auto d = t.describe(known))
                        touch(std::span(
                            static_cast<const unsigned char*>(s_.get_base_addr()) + d->offset,
                            d->size));
                return;
            case 3:
                static_cast<void>(s_.hold()->count() + s_.hold()->sweep());
                return;
            case 4:
                if (const auto* e = t.allocate(name, x % 4096 + 1, std::uint64_t{1} << x % 13))
                    std::memset(static_cast<std::byte*>(s_.get_base_addr()) + e->offset, 1,
                                x % 4096 + 1);
                return;
            case 5:
                static_cast<void>(t.add(name, x, 64));
                return;
            case 6:
                static_cast<void>(t.erase(name));
                return;
            default:
                numbers(s_, name, x % 64 + 1).fill(2);
        }
    }
    void of_array(unsigned operation, std::uint32_t x) {
        auto& a = open(numbers_, "numbers");
        if (operation % 2 == 0) return touch(a);
        a.at(x % a.size()) = 3;
    }
    void of_queue(unsigned operation, std::uint32_t x) {
        auto& q = open(jobs_, "jobs");
        int several[3] = {1, 2, 3};
        switch (operation % 8) {
            case 0:
                return static_cast<void>(q.enqueue(static_cast<int>(x)));
            case 1:
                return static_cast<void>(q.dequeue());
            case 2:
                return static_cast<void>(q.enqueue_bulk(several));
            case 3:
                return static_cast<void>(q.dequeue_bulk(several));
            case 4:
                return static_cast<void>(q.size() + q.full() + q.empty());
            case 5:
                return static_cast<void>(q.recover());
            case 6:
                return static_cast<void>(q.wait_dequeue(deadline::min()));
            default:
                jobs_.reset();  // gives back its hand
        }
    }
    void of_pool(unsigned operation, std::uint32_t x) {
        auto& p = open(objects_, "objects");
        switch (operation % 6) {
            case 0:
                handle_ = p.acquire();
                if (record* const r = p.get(handle_)) *r = {x, x, x};
                return;
            case 1:
                return static_cast<void>(p.release(handle_));
            case 2:
                if (const record* const r = p.get({x % 16, x >> 4})) touch(std::array{r->a, r->c});
                return;
            case 3:
                return static_cast<void>(p.recover());
            case 4:
                return static_cast<void>(p.num_available());
            default:
                return static_cast<void>(p.adopt({x % 16, x >> 4}));
        }
    }
    void of_ring(unsigned operation, std::uint32_t x) {
        auto& r = open(ticks_, "ticks");
        record several[3] = {};
        switch (operation % 8) {
            case 0:
                return static_cast<void>(r.push({x, x, x}));
            case 1:
                return r.push_overwrite_bulk(several);
            case 2:
                return static_cast<void>(r.read());
            case 3:
                return static_cast<void>(r.pop_bulk(several));
            case 4:
                return static_cast<void>(r.peek_bulk(x % 16, several));
            case 5:
                return static_cast<void>(r.get_last_n(x, several));
            case 6:
                return static_cast<void>(r.skip(x));
            default:
                return static_cast<void>(r.size() + r.total_read() + r.total_written());
        }
    }
    void of_state(unsigned operation, std::uint32_t x) {
        auto& a = open(state_, "state");
        std::vector<int> all(std::min<std::uint64_t>(a.size(), segment_size));
        switch (operation % 4) {
            case 0:
                return static_cast<void>(a.snapshot(all));
            case 1:
                return static_cast<void>(a.write(x % 16, 5));
            case 2:
                return static_cast<void>(a.recover());
            default:
                return static_cast<void>(a.read(x % 16));
        }
    }
    void of_map(unsigned operation, std::uint32_t x) {
        auto& m = open(map_, "map");
        switch (operation % 6) {
            case 0:
                return static_cast<void>(m.find(x % 16));
            case 1:
                return static_cast<void>(m.insert(x % 16, x));
            case 2:
                return static_cast<void>(m.insert_or_assign(x % 16, x));
            case 3:
                return static_cast<void>(m.erase(x % 16));
            case 4:
                return m.for_each([](const auto&, const auto&) {});
            default:
                return static_cast<void>(m.recover());
        }
    }
    void of_atomic(unsigned operation, std::uint32_t x) {
        auto& a = open(count_, "count");
        if (operation % 3 == 0) return a.store(x);
        if (operation % 3 == 1) return a.notify_all();
        static_cast<void>(a.wait_until(a.load(), deadline::min()));
    }

    segment& s_;
    std::optional<numbers> numbers_;
    std::optional<jobs> jobs_;
    std::optional<objects> objects_;
    objects::handle_type handle_{};
    std::optional<ticks> ticks_;
    std::optional<state> state_;
    std::optional<map> map_;
    std::optional<atomic<std::uint32_t>> count_;
};

// Eight bytes anywhere, as the input says.
void overwrite(FuzzedDataProvider& input) {
    const auto at = input.ConsumeIntegralInRange<std::uint32_t>(0, segment_size / 4 - 2) * 4;
    std::uint64_t value = 0;
    std::memcpy(&value, guarded_memory() + at, sizeof value);
    const auto x = input.ConsumeIntegral<std::uint64_t>();
    switch (input.ConsumeIntegralInRange<unsigned>(0, 3)) {
        case 0:
            value = x;
            break;
        case 1:
            value += static_cast<std::uint64_t>(static_cast<std::int8_t>(x));
            break;
        case 2:
            value = x % (2 * segment_size);
            break;
        default:
            value ^= std::uint64_t{1} << x % 64;
    }
    std::memcpy(guarded_memory() + at, &value, sizeof value);
}

#if defined(ASSAY_FUZZ_CANARY)
// A deliberate bug, which must be found: believes the table without a check.
void believe(segment& s) {
    if (const auto* e = s.get_table()->find("numbers"))
        static_cast<std::byte*>(s.get_base_addr())[e->offset] = std::byte{1};
}
#endif

// One second of processor time for everything that an input does; a loaded machine takes longer.
void limit_time() {
    static const bool armed = [] {
        std::signal(SIGVTALRM, [](int) {
            std::fputs("fuzz: a call did not end within a second\n", stderr);
            std::abort();
        });
        return true;
    }();
    static_cast<void>(armed);
    const itimerval second{{0, 0}, {1, 0}};
    ::setitimer(ITIMER_VIRTUAL, &second, nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto& image = valid_segment();
    std::memcpy(guarded_memory(), image.data(), segment_size);
    limit_time();
    FuzzedDataProvider input(data, size);
    const auto patiently = [](auto&& f) {
        try {
            f();
        } catch (const std::runtime_error&) {  // damage, no room, not there
        } catch (const std::logic_error&) {    // an index beyond what is there
        }
    };
    for (auto n = input.ConsumeIntegralInRange<unsigned>(0, 3); n > 0; --n) overwrite(input);
    patiently([&] {
        segment s;
        user u(s);
        for (int steps = 0; steps < 64 && input.remaining_bytes() > 0; ++steps) {
            const auto what = input.ConsumeIntegral<std::uint8_t>();
            if (what >= 192)
                overwrite(input);
            else
                patiently([&] { u.call(what, input.ConsumeIntegral<std::uint32_t>()); });
#if defined(ASSAY_FUZZ_CANARY)
            believe(s);
#endif
        }
    });
    return 0;
}
