// segment.hpp -- what scenes in a segment share: a structure, the victim's handle or the survivors'
// second one, and a place where a victim that finishes leaves what its operation said.
#pragma once

#include <assay/posix_shm.hpp>

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "stress/kill/matrix.hpp"
#include "stress/payload.hpp"

namespace assay_kill {

using segment = assay::posix_shm_small;
using element = assay_stress::stamped<1>;

// Element number n: known again wherever it turns up.
inline element numbered(std::uint64_t n) { return element::make(7, n); }
inline std::uint64_t number_of(const element& e) {
    if (!e.whole()) fail("a torn element, number %llu", static_cast<unsigned long long>(e.number));
    return e.number;
}

// Memory that the victim leaves word in.
template <class T>
class told {
public:
    told()
        : at_(static_cast<T*>(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        if (at_ == MAP_FAILED) throw std::bad_alloc();
    }
    ~told() { ::munmap(at_, sizeof(T)); }
    told(const told&) = delete;
    T* operator->() const { return at_; }

private:
    T* at_;
};

// splitmix64 again, without the noise: each kill point has the same survivors.
class dice {
public:
    std::uint64_t below(std::uint64_t n) {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return (z ^ (z >> 31)) % n;
    }

private:
    std::uint64_t state_ = 1;
};

template <class Structure>
class in_segment : public scene {
public:
    in_segment(const std::string& name, std::uint64_t count)
        : name_(name),
          size_(segment::size_for(Structure::size_bytes(count) + 4096)),
          bytes_(Structure::size_bytes(count)),
          here_(std::make_unique<room>(name, size_, count)) {}

    void open() override { mine_ = std::make_unique<room>(name_, 0, 0); }
    [[nodiscard]] std::span<const std::byte> bytes() const override {
        const auto* const base = static_cast<const std::byte*>(here_->in.get_base_addr());
        return {base + here_->in.get_table()->find("it")->offset, bytes_};
    }

protected:
    // One attachment, and the structure through it.
    struct room {
        room(const std::string& name, std::uint64_t size, std::uint64_t count)
            : in(name, size), it(in, "it", count) {}
        segment in;
        Structure it;
    };
    // The handle that set the scene, a survivor's.
    [[nodiscard]] Structure& first() const { return here_->it; }
    // The victim's, or a survivor's second one.
    [[nodiscard]] Structure& mine() const { return mine_->it; }
    // The survivors take turns.
    [[nodiscard]] Structure& any(dice& d) const { return d.below(2) == 0 ? first() : mine(); }

private:
    std::string name_;
    std::uint64_t size_, bytes_;
    std::unique_ptr<room> here_, mine_;
};

}  // namespace assay_kill
