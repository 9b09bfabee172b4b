// stall.cpp -- whether the suite itself sees what it should: a receiver that stops for 10 ms in each
// second moves the percentiles to where arithmetic says.
#include "perf/assay.hpp"
#include "perf/latency.hpp"

namespace assay_perf {
namespace {

constexpr std::uint64_t ms = 1'000'000, interval_ns = 20'000, service_ns = interval_ns / 2;

// In each whole second there is one stall.
outcome against_arithmetic(const std::vector<int>& pair, double percent, double whole_seconds) {
    const stalls s{10 * ms, 1000 * ms, service_ns};
    outcome o = under_load<assay_queue<item<8>>, item<8>>(pair, interval_ns, whole_seconds, s);
    if (!o.invalid.empty()) return o;
    o.value = o.times->percentile(percent) / stalled_percentile(10 * ms, 1000 * ms, 0.5, percent);
    return o;
}

const enlist rows([](plan& p) {
    for (const auto& pair : pairs())
        for (const double percent : {99.0, 99.9})
            p.add({.name = "self_test/latency/stall10ms_per_s/p" +
                           std::string(percent == 99 ? "99" : "99.9") + "/" + placement(pair),
                   .structure = "self_test",
                   .kind = "latency",
                   .parameters = {{"placement", placement(pair)}, {"interval_ns", interval_ns}},
                   .unit = "of computed",
                   .better = "less",
                   .cpus = pair,
                   .runs = 1,
                   .run = [=, whole_seconds = p.with.quick ? 1.0 : 2.0](double) {
                       return against_arithmetic(pair, percent, whole_seconds);
                   }});
});

}  // namespace
}  // namespace assay_perf
