// posix_shm.cpp -- a process dies while it creates, attaches, leaves or unlinks. System calls are
// single instructions here. The name leads to a whole segment or nowhere; the count is that of the
// living; the last one to leave removes the name; nothing else stays in /dev/shm.
#include <assay/atomic.hpp>
#include <assay/posix_shm.hpp>

#include <cstring>

#include "stress/kill/segment.hpp"

namespace assay_kill {
namespace {

constexpr std::uint64_t size = segment::size_for(4096);
// An attachment is some thirty system calls, and each kill point has others beside it.
constexpr unsigned cycles = 20;

enum class does { create, attach, detach, detach_last, unlink };

class segment_scene : public scene {
public:
    segment_scene(const std::string& name, does what) : what_(what), name_(name) {
        if (what_ == does::create || what_ == does::detach_last) return;
        here_ = std::make_unique<segment>(name, size);
        assay::atomic<std::uint64_t>(*here_, "value", 42);
    }
    // Attaching is the operation, or comes just before it; survivors first look at what there is.
    void open() override {}

    void operate() override {
        const auto attach = [&](std::uint64_t wanted) {
            mine_ = std::make_unique<segment>(name_, wanted);
        };
        if (what_ == does::create) return operation([&] { attach(size); });
        if (what_ == does::attach) return operation([&] { attach(0); });
        attach(what_ == does::detach_last ? size : 0);
        if (what_ == does::unlink) return operation([&] { mine_->unlink(); });
        operation([&] { mine_.reset(); });
    }

    [[nodiscard]] std::span<const std::byte> bytes() const override {
        if (!here_) return {};
        return {static_cast<const std::byte*>(here_->get_base_addr()), here_->get_total_size()};
    }

    void others(bool stopped) override {
        together_ = here_ && !here_->orphaned();
        if (!together_ && (what_ == does::attach || what_ == does::detach))
            fail("the name is gone, and a process is attached");
        mine_ = std::make_unique<segment>(name_, size);
        if (assay::atomic<std::uint64_t>(*mine_, "value", 42).load() != 42)
            fail("a value that nobody wrote");
        for (unsigned n = 0; n < cycles; ++n) {
            segment more(name_);
            if (more.orphaned()) fail("attached to a segment that is not there any more");
            const std::uint32_t counted = more.get_ref_count();
            if (counted <= attached() || counted > attached() + 1 + (stopped ? 1 : 0))
                fail("%u are counted, %u live", counted, attached() + 1);
        }
        count(3 * cycles);
    }

    void recover() override {
        segment* const in = here_ ? here_.get() : mine_.get();
        operation([&] { in->recover(); });
    }

    void whole(bool finished) override {
        const bool removed = finished && what_ == does::unlink && together_;
        if (mine_->orphaned() != removed)
            fail(removed ? "unlink has not removed the name" : "the name of survivors is gone");
        mine_->recover();
        if (mine_->get_ref_count() != attached())
            fail("%u are counted, %u live", mine_->get_ref_count(), attached());
        std::uint32_t counter;
        std::memcpy(&counter, mine_->get_base_addr(), sizeof counter);
        if (counter != attached())
            fail("the counter at offset 0 says %u, %u live", counter, attached());
        if (mine_->recover() != 0) fail("recover() left an attachment of the dead");
        // Unlinked or not, the old one works.
        if (here_ && assay::atomic<std::uint64_t>(*here_, "value").load() != 42)
            fail("the value is lost");
        here_.reset();
        mine_.reset();
    }

private:
    // Survivors, to the segment of mine_.
    [[nodiscard]] std::uint32_t attached() const { return together_ ? 2 : 1; }

    const does what_;
    std::string name_;
    std::unique_ptr<segment> here_, mine_;
    bool together_ = false;
};

auto scene_of(does what) {
    return [what](const std::string& name) { return std::make_unique<segment_scene>(name, what); };
}

const enlist segment_cells{
    {"posix_shm/create", "nobody was there", scene_of(does::create)},
    {"posix_shm/attach", "one is attached", scene_of(does::attach), true},
    {"posix_shm/detach", "another one stays", scene_of(does::detach), true},
    {"posix_shm/detach_last",
     "removes the name; a stopped one may delay others by a second, and is not tried",
     scene_of(does::detach_last),
     false,
     {},
     false},
    {"posix_shm/unlink", "two are attached", scene_of(does::unlink), true},
};

}  // namespace
}  // namespace assay_kill
