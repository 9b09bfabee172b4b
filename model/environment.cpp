#include "environment.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <system_error>

namespace assay::model {

constinit thread_local environment* environment::current_ = nullptr;

environment::environment(std::size_t processes, checker::location_table& words) : words_(&words) {
    file_ = memfd_create("assay-model", MFD_CLOEXEC);
    if (file_ < 0 || ftruncate(file_, static_cast<off_t>(memory_bytes)) != 0)
        throw std::system_error(errno, std::generic_category(), "memory of a scenario");
    for (std::size_t p = 0; p <= processes; ++p) {
        void* const m = mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
        if (m == MAP_FAILED)
            throw std::system_error(errno, std::generic_category(), "memory of a scenario");
        mappings_.push_back(static_cast<std::byte*>(m));
    }
}

environment::~environment() {
    for (std::byte* const m : mappings_) munmap(m, memory_bytes);
    if (file_ >= 0) close(file_);
    if (current_ == this) current_ = nullptr;
}

// --- a run ---------------------------------------------------------------------------------------

void environment::begin_run(checker::runtime* r) {
    current_ = this;
    runtime_ = r;
    phase_ = phase::prepare;
    std::memset(mappings_.back(), 0, allocated_);
    allocated_ = 0;
    ++runs_;
    if (r != nullptr) r->forget_races();
}

void environment::begin(phase p, const checker::graph* g) {
    phase_ = p;
    if (p != phase::check) return;
    // The processes have ended: memory now holds the last value of each word.
    for (checker::location_id l = 0; l < g->locations(); ++l) {
        const checker::location& where = (*words_)[l];
        if (where.segment != segment || g->of(l).mo.size() == 1) continue;
        const checker::value v = g->write(g->of(l).mo.back(), l).val;
        std::memcpy(mappings_.back() + where.offset, &v, where.size);
        holds_[where.offset] = contents::zero;
    }
}

std::size_t environment::allocate(std::size_t bytes, std::size_t alignment, contents what) {
    const std::size_t at = (allocated_ + alignment - 1) / alignment * alignment;
    if (at + bytes > memory_bytes) throw std::length_error("a scenario has 1 MiB of memory");
    allocated_ = at + bytes;
    const checker::own_allocations guard;
    if (uses_.size() < allocated_) {
        uses_.resize(allocated_);
        holds_.resize(allocated_);
    }
    std::fill_n(holds_.begin() + static_cast<std::ptrdiff_t>(at), bytes, what);
    if (what == contents::leftovers) std::memset(mappings_.back() + at, 0xa5, bytes);
    return at;
}

void environment::fail(checker::verdict what, const std::string& message) {
    if (runtime_ == nullptr) throw std::runtime_error(message);
    if (phase_ == phase::processes) runtime_->stop(what, message);
    runtime_->fail(what, message);
    if (observing_) {
        observer_.suspend();
        std::terminate();  // nobody resumes it
    }
}

void environment::observe(void (*f)(void*), void* argument) {
    struct call {
        environment* self;
        void (*f)(void*);
        void* argument;
    } c{this, f, argument};
    steps_ = 0;
    observing_ = true;
    observer_.start(
        [](void* p) {
            const call& it = *static_cast<call*>(p);
            try {
                it.f(it.argument);
            } catch (const std::exception& e) {
                it.self->runtime_->fail(
                    checker::verdict::misuse,
                    std::string("an exception leaves the final check: ") + e.what());
            }
            it.self->observer_.suspend();
            std::terminate();
        },
        &c);
    {
        const checker::allocations_by guard(checker::scenario_allocates);
        observer_.resume();
    }
    observing_ = false;
}

// --- identical processes -------------------------------------------------------------------------

namespace {

[[nodiscard]] std::string line(const checker::place& from) {
    return std::string(from.file_name()) + ":" + std::to_string(from.line());
}

}  // namespace

std::size_t environment::own_number() {
    if (phase_ == phase::processes)
        refuse_identity(self(), "it asks for its own number (self(), member)", {});
    return self();
}

void environment::refuse_identity(std::size_t process, const char* what,
                                  const checker::place& from) {
    if (!runtime_->identical(process)) return;
    fail(checker::verdict::misuse, "process " + std::to_string(process) +
                                       " is declared identical to others, and " + what +
                                       (from.line() == 0 ? "" : ", at " + line(from)) +
                                       "; declare it with scenario::process");
}

void environment::refuse_address(checker::value v, const checker::place& from) {
    for (const std::byte* const m : mappings_)
        if (v - reinterpret_cast<std::uintptr_t>(m) < memory_bytes)
            refuse_identity(self(), "it stores an address, which differs from theirs", from);
}

// --- translation -----------------------------------------------------------------------------------

std::size_t environment::outside(const void* at, const checker::place& from) {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    for (std::size_t p = 0; p < mappings_.size(); ++p) {
        if (address - reinterpret_cast<std::uintptr_t>(mappings_[p]) >= memory_bytes) continue;
        fail(checker::verdict::misuse,
             p == self() ? "an access beyond the scenario's blocks, at " + line(from)
                         : "process " + std::to_string(self()) +
                               " follows an address that is valid only in process " +
                               std::to_string(p) + ", at " + line(from));
    }
    fail(checker::verdict::misuse, "a word or cell outside the shared memory, at " + line(from));
    return 0;
}

void environment::claim(std::size_t offset, std::size_t size, use what, std::uint32_t id,
                        const checker::place& from) {
    for (std::size_t i = 0; i < size; ++i)
        if (uses_[offset + i].what != use::unknown)
            fail(checker::verdict::misuse, "two accesses of different size or kind overlap, at " +
                                               line(from) + ", offset " + std::to_string(offset));
    for (std::size_t i = 1; i < size; ++i) uses_[offset + i].what = use::inside;
    entry& first = uses_[offset];
    first.what = what;
    first.size = static_cast<std::uint8_t>(std::min<std::size_t>(size, 255));
    first.id = id;
}

checker::location_id environment::new_word(std::size_t offset, std::size_t size,
                                           const checker::place& from) {
    checker::value first = 0;
    std::memcpy(&first, mappings_.back() + offset, size);
    checker::location_id clash = 0;
    const auto id =
        words_->find(segment, static_cast<std::uint32_t>(offset), static_cast<std::uint8_t>(size),
                     first, clash, holds_[offset] == contents::leftovers);
    if (id == checker::location_table::none && clash == id) refuse_more_words();
    claim(offset, size, use::word, id, from);
    return id;
}

checker::cell_id environment::cell_at(std::size_t offset, std::size_t size,
                                      const checker::place& from) {
    const entry& known = uses_[offset];
    if (known.what == use::cell && known.size == std::min<std::size_t>(size, 255)) return known.id;
    claim(offset, size, use::cell, cells_, from);
    return cells_++;
}

checker::location_id environment::sleepers_of(std::size_t offset) {
    checker::location_id& known = uses_[offset].sleepers;
    checker::location_id clash = 0;
    // One for each futex word, and these may be neighbours: of one byte.
    if (known == checker::location_table::none)
        known = words_->find(checker::sleep_segment + segment, static_cast<std::uint32_t>(offset),
                             1, 0, clash);
    if (known == checker::location_table::none) refuse_more_words();
    return known;
}

void environment::refuse_more_words() {
    fail(checker::verdict::misuse, "the scenario shares more words than the checker's " +
                                       std::to_string(checker::location_table::capacity));
}

// --- accesses --------------------------------------------------------------------------------------

checker::answer environment::access(const void* at, checker::request& what,
                                    const checker::place& from) {
    const std::size_t offset = offset_of(at, what.size, from);
    if (phase_ != phase::processes) {
        note_alone(what, from);
        return access_directly(offset, what, from);
    }
    if (what.size == sizeof(void*) && runtime_->identical(self()))
        refuse_address(what.operand, from);
    what.loc = word_at(offset, what.size, from);
    return runtime_->perform(what, from);
}

// What is done alone is the same in every run, or nearly so.
void environment::note_alone(const checker::request& what, const checker::place& from) {
    if (runtime_ != nullptr && runs_ == 1) runtime_->note_alone(what, from);
}

void environment::count_step() {
    if (phase_ == phase::check && ++steps_ > 1'000'000)
        fail(checker::verdict::livelock, "the final check does not end");
}

checker::answer environment::access_directly(std::size_t offset, const checker::request& what,
                                             const checker::place& from) {
    count_step();
    if (what.what == checker::kind::read && holds_[offset] == contents::leftovers &&
        runtime_ != nullptr)
        fail(checker::verdict::uninitialised_read, "what nobody wrote is read at " + line(from));
    std::byte* const bytes = mappings_.back() + offset;
    checker::value old = 0;
    std::memcpy(&old, bytes, what.size);
    checker::event e;
    e.flags = what.flags;
    e.operation = what.operation;
    e.val = old;
    e.expected = what.expected;
    const bool succeeds = checker::succeeds(e);
    if (what.what == checker::kind::write || succeeds) {
        const checker::value now = what.what == checker::kind::write
                                       ? what.operand
                                       : checker::result_of(what.operation, old, what.operand);
        std::memcpy(bytes, &now, what.size);
        holds_[offset] = contents::zero;
    }
    return {old, succeeds};
}

void environment::read(const void* at, void* to, std::size_t bytes, const checker::place& from) {
    const std::size_t offset = offset_of(at, bytes, from);
    if (phase_ == phase::processes) {
        runtime_->plain(checker::kind::read, cell_at(offset, bytes, from), from,
                        static_cast<std::uint32_t>(offset));
    } else {
        count_step();
    }
    std::memcpy(to, mapping() + offset, bytes);
}

void environment::write(void* at, const void* value, std::size_t bytes,
                        const checker::place& from) {
    const std::size_t offset = offset_of(at, bytes, from);
    if (phase_ == phase::processes) {
        runtime_->plain(checker::kind::write, cell_at(offset, bytes, from), from,
                        static_cast<std::uint32_t>(offset));
    } else if (phase_ == phase::prepare && runtime_ != nullptr) {
        runtime_->initialise(cell_at(offset, bytes, from));
    }
    std::memcpy(mapping() + offset, value, bytes);
}

void environment::fence(checker::order o, const checker::place& from) {
    checker::request r;
    r.what = checker::kind::fence;
    r.size = 0;
    r.success = r.failure = o;
    if (phase_ != phase::processes) return note_alone(r, from);
    runtime_->perform(r, from);
}

void environment::pause(const void* frames) {
    if (phase_ == phase::processes) return runtime_->pause(frames);
    count_step();
}

bool environment::wait(const void* word, std::uint32_t seen, bool timed,
                       const checker::place& from) {
    const std::size_t offset = offset_of(word, 4, from);
    if (phase_ != phase::processes) {
        count_step();
        return true;  // woken for no reason: nobody else could
    }
    refuse_identity(self(), "it sleeps, in a queue that holds its number", from);
    return runtime_->sleep(sleepers_of(offset), word_at(offset, 4, from), seen, timed, from);
}

int environment::wake(const void* word, int count, const checker::place& from) {
    const std::size_t offset = offset_of(word, 4, from);
    if (phase_ != phase::processes) return 0;
    return runtime_->wake(sleepers_of(offset), count, from);
}

bool environment::alive(std::size_t process, const checker::place& from) {
    if (process >= processes()) return true;
    if (phase_ == phase::processes) {
        refuse_identity(process, "somebody asks whether it has died", from);
        return runtime_->alive(process, from);
    }
    return phase_ == phase::prepare ||
           runtime_->state_of(process) != checker::runtime::state::crashed;
}

}  // namespace assay::model

// An assert of the library that does not hold, in place of glibc's: a counterexample instead of the end of
// the checker.
extern "C" void __assert_fail(const char* what, const char* file, unsigned line,
                              const char*) noexcept {
    using namespace assay;
    if (auto* const e = model::environment::current();
        e != nullptr && e->now() != model::environment::phase::prepare)
        e->fail(checker::verdict::assertion,
                "assert at " + std::string(file) + ":" + std::to_string(line) + ": " + what);
    std::fprintf(stderr, "%s:%u: assert: %s\n", file, line, what);
    std::abort();
}
