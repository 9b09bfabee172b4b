// kernel.hpp -- the little that a segment needs of the operating system, as a model: in place of
// assay::segment_file, for assay::basic_attachment.
//
// One name, and a few files that it may lead to. A file is zero bytes of the scenario's memory and a
// word that says who holds its locks. The processes may rely on this, and on nothing else:
//   link    succeeds exactly when the name leads nowhere, and comes before an open that finds it.
//           Name and link count are one word here: the kernel changes both in one call, under the
//           lock of the directory. To unlink is two steps, to look and to remove, as it is there.
//   locks   have one holder each, and those of a file change in one order: the kernel keeps them in
//           a list under one spin lock. Whoever gets a lock, or finds it free, knows what its last
//           holder did before; a refusal tells nothing.
//   death   frees the locks of a process not when it dies, but when somebody notices: in between the
//           kernel is still closing its files.
// Not modelled: running out of memory or descriptors, permissions, signals, fork.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/scenario.hpp"

namespace assay::model {

// For each lock of a file: 0, or the number of its holder, from 1.
inline constexpr unsigned lock_bits = 3;
inline constexpr std::uint64_t anyone = (1u << lock_bits) - 1;

// What all processes of a scenario see. One at a time.
class disk {
public:
    // Each process may create so many files of so many bytes; another one is for the scenario.
    disk(scenario& s, std::size_t processes, std::size_t files_each, std::size_t bytes)
        : scenario_(s),
          words_(s, sizeof(words) + (files_each * processes + 1) * sizeof(word<std::uint64_t>)),
          bytes_(bytes),
          each_(files_each),
          created_(processes) {
        check(processes < anyone, "a scenario with files has at most 6 processes");
        for (std::size_t i = 0; i < files_each * processes + 1; ++i)
            contents_.emplace_back(s, bytes);
        current_ = this;
    }
    ~disk() { current_ = nullptr; }
    disk(const disk&) = delete;
    disk& operator=(const disk&) = delete;

    // What the scenario itself has open, before the run, is closed: as if it had died.
    void scenario_dies() {
        const std::uint64_t holder = environment::current()->processes() + 1;
        for (std::size_t i = 0; i < contents_.size(); ++i)
            for (unsigned at = 0; at < 64; at += lock_bits) {
                word<std::uint64_t>& w = all().locks[i];
                const std::uint64_t now = w.load(relaxed);
                if ((now >> at & anyone) == holder) w.store(now & ~(anyone << at), relaxed);
            }
    }
    // Does the name lead to a file?
    [[nodiscard]] bool has_a_name() const { return all().name.load(relaxed) != 0; }

private:
    friend class file;
    struct words {
        word<std::uint64_t> name;  // number of the file, from 1; 0: leads nowhere
        word<std::uint64_t> locks[1];
    };
    [[nodiscard]] words& all() const { return *static_cast<words*>(words_.get()); }
    // The same numbers in every execution, whoever is first.
    [[nodiscard]] std::size_t new_file() {
        if (environment::current()->now() != environment::phase::processes) return contents_.size();
        const std::size_t p = self();
        check(created_[p] < each_, "the scenario needs more files");
        return p * each_ + ++created_[p];
    }

    static inline thread_local disk* current_ = nullptr;

    scenario& scenario_;
    block words_;
    std::vector<block> contents_;
    std::size_t bytes_, each_;
    std::vector<std::size_t> created_;
};

class file {
public:
    explicit file(std::string_view name) : disk_(*disk::current_), me_(self()), name_(name) {}
    ~file() { close(); }
    file(const file&) = delete;
    file& operator=(const file&) = delete;

    bool open(std::uint64_t /*least_bytes*/) {
        const std::uint64_t found = disk_.all().name.load(acquire);
        if (found != 0) map(found);
        return found != 0;
    }
    bool create(std::uint64_t /*size*/) {
        map(disk_.new_file());
        return true;
    }
    bool link(mode_t /*permissions*/) {
        std::uint64_t nothing = 0;
        return disk_.all().name.compare_exchange(nothing, number_, release, relaxed);
    }
    bool unlink() {
        if (!named()) return false;
        check(disk_.all().name.exchange(0, relaxed) == number_, "removed the name of another file");
        return true;
    }
    void close() {
        if (mine_ != 0 && !over()) locks().fetch_and(~mine_, release);
        mine_ = 0;
        number_ = 0;
    }
    [[nodiscard]] bool named() const { return disk_.all().name.load(relaxed) == number_; }
    [[nodiscard]] bool linked() const { return named(); }
    [[nodiscard]] bool is_open() const { return number_ != 0; }

    // Where the calling process has it: another address in each.
    [[nodiscard]] std::byte* base() const {
        return number_ == 0 ? nullptr : static_cast<std::byte*>(disk_.contents_[number_ - 1].get());
    }
    [[nodiscard]] std::uint64_t size() const { return disk_.bytes_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& path() const { return name_; }

    [[nodiscard]] bool try_lock(std::uint32_t n) { return take(n, 1); }
    void unlock(std::uint32_t n) { drop(n); }
    [[nodiscard]] bool held(std::uint32_t n) const {
        if (held_by_another(locks().load(relaxed), n)) return true;
        // Whatever the kernel says is free has a place among the changes: it holds the spin lock.
        if (held_by_another(locks().fetch_or(0, relaxed), n)) return true;
        fence(acquire);
        return false;
    }
    [[nodiscard]] bool try_lock_all_slots() { return take(0, attachment_locks); }
    [[nodiscard]] bool try_lock_name() { return take(name_lock, 1); }
    void unlock_name() { drop(name_lock); }

    // As long as it takes: the checker notices who waits for ever. A lap of f decides by what it
    // reads, and overwrites what the last one left.
    template <class F>
    [[nodiscard]] static bool patiently(F&& f) {
        await(std::forward<F>(f), false);
        return true;
    }
    [[nodiscard]] static std::uint32_t pid() { return static_cast<std::uint32_t>(self()) + 1; }

protected:  // for kernels that break a promise
    [[nodiscard]] std::uint64_t holder_of(std::uint32_t n) const {
        const std::uint64_t holder = locks().load(relaxed) >> lock_bits * n & anyone;
        return holder == me_ + 1 ? 0 : holder;
    }
    // When the run is over, handles that are left must not go on.
    [[nodiscard]] bool over() const {
        return disk_.scenario_.has_run() &&
               environment::current()->now() == environment::phase::prepare;
    }
    bool take_the_name() {
        disk_.all().name.store(number_, release);
        return true;
    }

private:
    static constexpr std::uint32_t name_lock = attachment_locks;
    static_assert(lock_bits * (name_lock + 1) <= 64);
    [[nodiscard]] static std::uint64_t bits(std::uint32_t lock, std::uint64_t holder) {
        return holder << lock_bits * lock;
    }

    [[nodiscard]] word<std::uint64_t>& locks() const { return disk_.all().locks[number_ - 1]; }
    [[nodiscard]] bool held_by_another(std::uint64_t seen, std::uint32_t lock) const {
        const std::uint64_t holder = seen >> lock_bits * lock & anyone;
        return holder != 0 && holder != me_ + 1 && !died(holder - 1);
    }
    bool take(std::uint32_t first, std::uint32_t count) {
        if (over()) return false;
        std::uint64_t seen = locks().load(relaxed), wanted;
        do {
            wanted = seen;
            for (std::uint32_t l = first; l < first + count; ++l) {
                if (held_by_another(seen, l)) return false;
                wanted = (wanted & ~bits(l, anyone)) | bits(l, me_ + 1);
            }
        } while (!locks().compare_exchange(seen, wanted, acquire, relaxed));
        for (std::uint32_t l = first; l < first + count; ++l) mine_ |= bits(l, anyone);
        return true;
    }
    void drop(std::uint32_t lock) {
        if (!over()) locks().fetch_and(~bits(lock, anyone), release);
        mine_ &= ~bits(lock, anyone);
    }
    void map(std::size_t number) { number_ = number; }

    disk& disk_;
    std::size_t me_;
    std::string name_;
    std::size_t number_ = 0;
    std::uint64_t mine_ = 0;
};

}  // namespace assay::model
