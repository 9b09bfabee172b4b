#include "script.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace assay::checker {

std::uint64_t fingerprint(const graph& g) {
    std::uint64_t sum = 0xcbf29ce484222325;  // FNV-1a
    const auto add = [&](std::uint64_t part) { sum = (sum ^ part) * 0x100000001b3; };
    const auto add_id = [&](event_id e) { add(std::uint64_t{e.process} << 16 | e.index); };
    for (std::uint16_t p = 0; p < g.processes(); ++p) {
        add(g.length(p));
        for (std::uint16_t i = 0; i < g.length(p); ++i) {
            const event& e = g[{p, i}];
            add(static_cast<std::uint64_t>(e.what) << 16 |
                static_cast<std::uint64_t>(e.operation) << 8 | e.size);
            if (!e.accesses()) continue;
            add(std::uint64_t{g.table()[e.loc].segment} << 32 | g.table()[e.loc].offset);
            if (e.reads()) add_id(e.rf);
            if (e.writes()) add(e.mo);
        }
    }
    return sum;
}

namespace {

std::uint16_t checksum(const graph& g) {
    const std::uint64_t sum = fingerprint(g);
    return static_cast<std::uint16_t>(sum ^ sum >> 16 ^ sum >> 32 ^ sum >> 48);
}

}  // namespace

// Puts the events into an order that respects po and rf, with few switches. Each makes its choice
// among what stands before it.
script::script(const graph& g) : sum_(checksum(g)) {
    clock done;
    const auto back = [&](location_id loc, std::size_t position) {
        std::size_t n = 0;
        const auto& mo = g.of(loc).mo;
        for (std::size_t i = position + 1; i < mo.size(); ++i) n += done.contains(mo[i]) ? 1 : 0;
        return static_cast<std::uint16_t>(n);
    };
    // The rest of a read-modify-write comes with its first event.
    const auto size_at = [&](event_id id) -> std::uint16_t {
        return g[id].reads() && succeeds(g[id]) ? 2 : 1;
    };
    for (bool more = true; more;) {
        more = false;
        for (std::uint16_t p = 0; p < g.processes(); ++p) {
            while (done.count[p] < g.length(p)) {
                const event_id id{p, done.count[p]};
                const std::uint16_t size = size_at(id);
                bool ready = true;
                for (std::uint16_t i = id.index; i < id.index + size; ++i) {
                    const event& e = g[{p, i}];
                    ready = ready && (!e.reads() || e.rf.process == p || done.contains(e.rf));
                }
                if (!ready) break;
                for (std::uint16_t i = id.index; i < id.index + size; ++i) {
                    const event& e = g[{p, i}];
                    step s{p, 0, mark::none};
                    if (e.has(failed)) s.what = mark::fails;
                    if (e.has(woken)) s.what = mark::wakes;
                    if (e.has(crash)) s.what = mark::dies;
                    if (e.reads()) s.back = back(e.loc, g.source(e).mo);
                    if (e.writes()) s.back = back(e.loc, e.mo);
                    if (e.reads() || i == id.index) steps_.push_back(s);
                }
                done.count[p] = static_cast<std::uint16_t>(done.count[p] + size);
                more = true;
            }
        }
    }
}

std::string script::text() const {
    std::string out;
    for (std::size_t i = 0; i < steps_.size();) {
        const step& s = steps_[i];
        if (i == 0 || steps_[i - 1].process != s.process)
            out += static_cast<char>('A' + static_cast<int>(s.process));
        if (s.what == mark::wakes || s.what == mark::dies || s.back > 0) {
            if (s.what == mark::wakes) out += 'w';
            if (s.what == mark::dies) out += 'x';
            if (s.back > 0) out += "-" + std::to_string(s.back);
            if (s.what == mark::fails) out += 'f';
            ++i;
            continue;
        }
        std::size_t n = 0;
        while (i < steps_.size() && steps_[i].process == s.process && steps_[i].back == 0 &&
               (steps_[i].what == mark::none || steps_[i].what == mark::fails)) {
            ++n;
            if (steps_[i++].what == mark::fails) break;
        }
        out += "+" + std::to_string(n);
        if (steps_[i - 1].what == mark::fails) out += 'f';
    }
    char sum[8];
    std::snprintf(sum, sizeof sum, ":%04x", sum_);
    return (out.empty() ? "0" : out) + sum;
}

script::script(const std::string& text) {
    const char* at = text.data();
    const char* const end = at + text.size();
    const auto bad = [&](const char* what) {
        return bad_script("'" + text + "' is not a script: " + what + " at character " +
                          std::to_string(at - text.data() + 1));
    };
    const auto number = [&](int base) {
        unsigned n = 0;
        const auto [stop, error] = std::from_chars(at, end, n, base);
        if (error != std::errc() || n > 0xffff) throw bad("no number");
        at = stop;
        return static_cast<std::uint16_t>(n);
    };
    int process = -1;
    if (at != end && *at == '0') ++at;  // no step
    for (; at != end && *at != ':';) {
        const char c = *at;
        if (c >= 'A' && c <= 'Z') {
            process = c - 'A';
            ++at;
            continue;
        }
        if (process < 0) throw bad("no process");
        step s{static_cast<std::uint16_t>(process), 0, mark::none};
        std::size_t count = 1;
        ++at;
        if (c == '+') {
            count = number(10);
            if (count == 0 || steps_.size() + count > 0xffff) throw bad("no such number of events");
        } else if (c == '-') {
            s.back = number(10);
        } else if (c == 'w' || c == 'x') {
            s.what = c == 'w' ? mark::wakes : mark::dies;
        } else if (c == 'f' && !steps_.empty() && steps_.back().what == mark::none) {
            steps_.back().what = mark::fails;
            continue;
        } else {
            --at;
            throw bad("no step");
        }
        steps_.insert(steps_.end(), count, s);
    }
    if (at == end) throw bad("no checksum");
    ++at;
    sum_ = number(16);
    if (at != end) throw bad("something more");
}

std::optional<std::size_t> script::next(const std::vector<std::size_t>& waiting) {
    if (ended()) return std::nullopt;
    const std::size_t process = steps_[next_].process;
    if (std::find(waiting.begin(), waiting.end(), process) != waiting.end()) return process;
    misfit("has ended, or waits for ever");
    return std::nullopt;
}

bool script::take(mark what) {
    if (ended() || steps_[next_].what != what) return false;
    ++next_;
    return true;
}

std::size_t script::choose(std::size_t bound, std::size_t last) {
    if (ended()) return last;
    const step& s = steps_[next_];
    if (s.what == mark::wakes) misfit("is not asleep there");
    if (s.what == mark::dies) misfit("cannot die there");
    if (s.back > last || last - s.back < bound)
        misfit("knows of a newer write than the one it is to see or to precede");
    ++next_;
    return fits() ? last - s.back : last;
}

void script::misfit(const std::string& why, bool taken) {
    if (!fits()) return;
    const std::size_t at = taken ? next_ - 1 : next_;
    const auto mine = [&](const step& s) { return s.process == steps_[at].process; };
    const auto end = steps_.begin() + static_cast<std::ptrdiff_t>(at) + 1;
    problem_ = "the script does not fit the program: at its step " + std::to_string(at + 1) +
               ", number " + std::to_string(std::count_if(steps_.begin(), end, mine)) +
               " of process " + std::to_string(steps_[at].process) + ", that process " + why;
}

void script::finish(const graph& g) {
    if (!fits()) throw bad_script(problem_);
    if (checksum(g) != sum_)
        throw bad_script(
            "the script does not fit the program: it leads to other accesses than those it was "
            "made for (another program, other orders, or a slip of the pen)");
}

}  // namespace assay::checker
