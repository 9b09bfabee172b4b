// queue.hpp -- a bounded FIFO: the sequential specification of assay::queue, and of
// assay::ring_buffer as long as nothing is overwritten.
//   enqueue(v) -> 1, or 0 exactly when `capacity` elements are inside
//   dequeue()  -> the oldest element, or none exactly when nothing is inside
//   empty(), full() -> 1 exactly when nothing, `capacity` elements are inside, else 0
//   size()     -> how many are inside
// A bulk operation is so many single ones; those that it did not try any more have no effect.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "lib/spec/linearize.hpp"

namespace assay::spec {

struct queue {
    std::size_t capacity = 1;
    std::vector<std::int64_t> elements;  // the oldest first

    auto operator<=>(const queue&) const = default;

    [[nodiscard]] std::vector<queue> after(const operation& o) const {
        if (o.result == not_tried) return {*this};
        std::int64_t expected;
        queue next = *this;
        if (o.name == "enqueue") {
            expected = elements.size() < capacity ? 1 : 0;
            if (expected == 1) next.elements.push_back(o.argument);
        } else if (o.name == "dequeue") {
            expected = elements.empty() ? none : elements.front();
            if (!elements.empty()) next.elements.erase(next.elements.begin());
        } else if (o.name == "size") {
            expected = static_cast<std::int64_t>(elements.size());
        } else {
            expected = elements.size() == (o.name == "full" ? capacity : 0) ? 1 : 0;
        }
        if (o.result && *o.result != expected) return {};
        return {next};
    }
};

}  // namespace assay::spec
