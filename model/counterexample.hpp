// counterexample.hpp -- one execution, as people look at it: a column per process, names instead
// of addresses, each read with the write it saw and the newer one it did not see; the same as
// JSON and as a picture. It knows nothing of the checker: explain.cpp fills it from a graph.
#pragma once

#include <nlohmann/json.hpp>  // the usual JSON library of C++
#include <string>
#include <utility>
#include <vector>

namespace assay::model {

inline constexpr int initial_value = -1;  // instead of an event's number: what was there before
inline constexpr int nothing = -2;

struct traced_event {
    int process = 0;   // its column
    std::string what;  // load, store, exchange, cas, add, fence, read, write, sleep, wake, dies ...
    std::string place;      // "tail", "slots[1]"; empty for a fence
    std::string order;      // "acquire"; empty for plain data
    std::string value;      // "-> 1" or "= 1"
    std::string site;       // "queue.hpp:34"
    std::string note;       // "races with 3"
    int from = nothing;     // the event whose value it read
    int ignored = nothing;  // the newest write to that place that it did not see
    bool guilty = false;    // part of what went wrong
};

struct counterexample {
    std::string scenario;
    std::string verdict;  // "data race", "not linearizable" ...
    std::string message;  // what went wrong, in one sentence
    std::string seed;     // how it was found: "execution 3"
    std::vector<std::string> processes;
    std::vector<traced_event> events;  // in an order in which they may have happened
    std::vector<std::vector<int>> modification_orders;  // one per place with two writes or more
    std::vector<std::pair<int, int>> synchronises;      // release event, acquire event
    std::vector<std::string> remarks;                   // the missing edge, --force-sc, how small
    std::string replay;                                 // one line to paste
};

// Events are numbered from 1 in print.
[[nodiscard]] std::string to_text(const counterexample& c);
[[nodiscard]] nlohmann::json to_json(const counterexample& c);
// The graph in Graphviz' language, with positions; `neato -n -Tsvg` draws it.
[[nodiscard]] std::string to_dot(const counterexample& c);

// Writes the picture to `path` (.svg). False, with the reason, when Graphviz is not there.
[[nodiscard]] bool draw(const counterexample& c, const std::string& path, std::string& reason);

}  // namespace assay::model
