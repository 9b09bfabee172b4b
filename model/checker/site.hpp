// site.hpp -- the places in the source that access shared memory, and the orders to use there.
//
// Every access names its source line. A site gets a small number the first time the line is
// executed; strings are touched only then. For each site the table can hold another order than the
// one in the source: to ask whether an order is needed (weaken), or whether a failure is one
// of ordering or of interleaving (force_sc).
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "event.hpp"
#include "place.hpp"

namespace assay::checker {

struct site {
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t column = 0;  // as the compiler has it; g++: of the call's opening parenthesis
    std::string function;
    kind what = kind::read;  // a point: payload, which has no order
    op operation = op::none;
    order success = order::relaxed;  // as the source says
    order failure = order::relaxed;
    bool alone = false;  // executed only before the processes started or after they ended
    bool overridden = false;
    order use_success = order::relaxed;
    order use_failure = order::relaxed;
};

// Another order for the accesses of one line, or for one of them.
struct weakening {
    std::string file;  // "queue.hpp": the path, or the end of it
    std::uint32_t line = 0;
    order use = order::relaxed;      // relaxed, at a fence: as if it were not there
    std::optional<order> failure{};  // of a compare-exchange, if that changes too
    std::uint32_t column = 0;        // 0: any

    [[nodiscard]] bool is_for(const site& s) const;
};

struct bad_weakening : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// From "queue.hpp:213=relaxed", "queue.hpp:213:40=relaxed" for the access in that column, "=release/relaxed"
// for the failure order of a compare-exchange too, "=dropped" for a fence. Throws bad_weakening.
[[nodiscard]] weakening parse_weakening(const std::string& text);
// The same as text, for this access alone.
[[nodiscard]] std::string to_text(const site& s, order use, order failure);
// Throws bad_weakening, with the accesses nearby, unless one of these has a place for the order.
void check_weakening(const weakening& w, const std::vector<site>& executed);

class site_table {
public:
    explicit site_table(std::vector<weakening> weaker = {}, bool force_sc = false)
        : weaker_(std::move(weaker)), force_sc_(force_sc), sites_(1) {}

    // Thread-safe, slow: callers keep the answer (see site_cache).
    site_id find(const place& at, const site& as_stated);
    // Nothing else runs: an access that has an order, but no use for one.
    void note_alone(const place& at, site as_stated) {
        as_stated.alone = true;
        find(at, as_stated);
    }
    // Goes on with the sites of an earlier exploration, and their numbers.
    void restore(std::vector<site> sites) { sites_ = std::move(sites); }
    // The site's entry; stays where it is. Safe while others find.
    [[nodiscard]] site get(site_id id) const {
        const std::lock_guard lock(mutex_);
        return sites_[id];
    }
    [[nodiscard]] std::vector<site> all() const {
        const std::lock_guard lock(mutex_);
        return sites_;
    }

private:
    std::vector<weakening> weaker_;
    bool force_sc_;
    mutable std::mutex mutex_;
    std::vector<site> sites_;  // number 0 is "unknown"
};

// One worker's memory of the table: from the address of the compiler's record of a call to the
// site's number and orders.
class site_cache {
public:
    explicit site_cache(site_table& table) : table_(&table), slots_(256) {}

    struct entry {
        const char* file = nullptr;
        std::uint32_t line = 0;
        std::uint32_t column = 0;
        op operation = op::none;
        kind what = kind::read;
        order stated_success = order::relaxed;
        order stated_failure = order::relaxed;
        site_id id = 0;
        order success = order::relaxed;
        order failure = order::relaxed;
    };
    const entry& find(const place& at, kind what, op operation, order success, order failure);

private:
    const entry& insert(const entry& e, const place& at, std::size_t slot);
    [[nodiscard]] static std::size_t hash(const entry& e) {
        const auto file = reinterpret_cast<std::uintptr_t>(e.file);
        return (file >> 3) * 31 + e.line * 0x9e3779b9u + e.column * 0x85ebca6bu +
               static_cast<std::size_t>(e.operation) * 7 + static_cast<std::size_t>(e.success);
    }

    site_table* table_;
    std::vector<entry> slots_;
    std::size_t used_ = 0;
};

}  // namespace assay::checker
