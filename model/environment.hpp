// environment.hpp -- the memory that modelled processes share, and who is asking.
//
// One memfd, mapped once per process at another address, as in real life: a raw pointer that is
// stored in it leads the others to a foreign mapping, which is reported. An access is translated
// to (segment, offset). Words have their history in the checker's graph, and their bytes in the
// memory are those before the processes started; cells live in the memory itself.
//
// Before the processes start, and after they have ended, the same accesses go straight to memory:
// nothing runs at the same time, so there is one outcome only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "checker/explore.hpp"

namespace assay::model {

// What a new block of memory holds.
enum class contents : std::uint8_t { zero, leftovers };

class environment {
public:
    static constexpr std::size_t memory_bytes = std::size_t{1} << 20;
    static constexpr std::uint32_t segment = 0;  // of the scenario's memory

    environment(std::size_t processes, checker::location_table& words);
    ~environment();
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;

    [[nodiscard]] static environment* current() noexcept { return current_; }

    // --- a run
    enum class phase : std::uint8_t { prepare, processes, check };
    void begin_run(checker::runtime* r);  // all memory is zero
    void begin(phase p, const checker::graph* g = nullptr);
    [[nodiscard]] phase now() const noexcept { return phase_; }
    // A block of these bytes; returns its offset. Leftovers are whatever was there: what a word
    // holds is not to be read before it was stored.
    [[nodiscard]] std::size_t allocate(std::size_t bytes, std::size_t alignment,
                                       contents what = contents::zero);
    // Where the calling process sees this offset.
    [[nodiscard]] void* address(std::size_t offset) const noexcept { return mapping() + offset; }

    // --- the accesses of backend.hpp
    // Fills in the location of the request, which stays the caller's: a copy of what was just
    // written byte by byte makes a processor wait.
    checker::answer access(const void* at, checker::request& what, const checker::place& from);
    void read(const void* at, void* to, std::size_t bytes, const checker::place& from);
    void write(void* at, const void* value, std::size_t bytes, const checker::place& from);
    void fence(checker::order o, const checker::place& from);
    // `frames`: where the caller's frame ends.
    void pause(const void* frames);
    [[nodiscard]] bool wait(const void* word, std::uint32_t seen, bool timed,
                            const checker::place& from);
    int wake(const void* word, int count, const checker::place& from);

    // --- who am I, who lives
    [[nodiscard]] std::size_t self() const noexcept {  // processes() for the observer
        return phase_ == phase::processes ? runtime_->self() : processes();
    }
    // The same for the program, which is refused if it is to be one of several identical ones.
    [[nodiscard]] std::size_t own_number();
    [[nodiscard]] std::size_t processes() const noexcept { return mappings_.size() - 1; }
    [[nodiscard]] bool alive(std::size_t process, const checker::place& from);
    [[nodiscard]] checker::runtime& running() noexcept { return *runtime_; }

    // Ends the run with this verdict; in a process or in the final check it does not return.
    void fail(checker::verdict what, const std::string& message);
    // Runs f as the final check, which may be stopped half-way like a process.
    void observe(void (*f)(void*), void* argument);

private:
    // What is known about a byte of the memory: the word or cell that starts there.
    enum class use : std::uint8_t { unknown, word, cell, inside };
    struct entry {
        use what = use::unknown;
        std::uint8_t size = 0;
        checker::location_id sleepers = checker::location_table::none;  // of a futex word, once met
        std::uint32_t id = 0;
    };

    [[nodiscard]] std::byte* mapping() const noexcept { return mappings_[self()]; }
    [[nodiscard]] std::size_t offset_of(const void* at, std::size_t bytes,
                                        const checker::place& from) {
        const std::size_t offset =
            reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(mapping());
        if (offset < allocated_ && allocated_ - offset >= bytes) return offset;
        return outside(at, from);
    }
    std::size_t outside(const void* at, const checker::place& from);
    [[nodiscard]] checker::location_id word_at(std::size_t offset, std::size_t size,
                                               const checker::place& from) {
        const entry& known = uses_[offset];
        if (known.what == use::word && known.size == size)
            return static_cast<checker::location_id>(known.id);
        return new_word(offset, size, from);
    }
    checker::location_id new_word(std::size_t offset, std::size_t size, const checker::place& from);
    [[nodiscard]] checker::cell_id cell_at(std::size_t offset, std::size_t size,
                                           const checker::place& from);
    [[nodiscard]] checker::location_id sleepers_of(std::size_t offset);
    void refuse_more_words();
    void claim(std::size_t offset, std::size_t size, use what, std::uint32_t id,
               const checker::place& from);
    checker::answer access_directly(std::size_t offset, const checker::request& what,
                                    const checker::place& from);
    void note_alone(const checker::request& what, const checker::place& from);
    void count_step();
    // An identical process must not do what tells it from the others.
    void refuse_identity(std::size_t process, const char* what, const checker::place& from);
    void refuse_address(checker::value v, const checker::place& from);

    static constinit thread_local environment* current_;

    int file_ = -1;
    std::vector<std::byte*> mappings_;  // one per process, then the observer's
    checker::location_table* words_;
    std::vector<entry> uses_;
    std::vector<contents> holds_;  // each byte, while no process runs
    checker::cell_id cells_ = 0;
    std::size_t allocated_ = 0;
    std::size_t runs_ = 0;
    checker::runtime* runtime_ = nullptr;
    phase phase_ = phase::prepare;
    checker::fiber observer_;
    bool observing_ = false;
    std::size_t steps_ = 0;  // of the final check
};

}  // namespace assay::model
