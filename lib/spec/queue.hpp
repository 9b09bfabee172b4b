// queue.hpp -- a bounded FIFO: the sequential specification of assay::queue, and of
// assay::ring_buffer as long as nothing is overwritten.
//   enqueue(v) -> 1, or 0 exactly when `capacity` elements are inside
//   dequeue()  -> the oldest element, or none exactly when nothing is inside
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct queue {
    std::size_t capacity = 1;
    std::deque<std::int64_t> elements;

    auto operator<=>(const queue&) const = default;

    [[nodiscard]] std::vector<queue> after(const operation& o) const {
        std::int64_t expected;
        queue next = *this;
        if (o.name == "enqueue") {
            expected = elements.size() < capacity ? 1 : 0;
            if (expected == 1) next.elements.push_back(o.argument);
        } else {
            expected = elements.empty() ? none : elements.front();
            if (!elements.empty()) next.elements.pop_front();
        }
        if (o.result && *o.result != expected) return {};
        return {next};
    }
};

}  // namespace assay::spec
