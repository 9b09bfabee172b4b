// program.cpp -- evaluating, printing and naming tiny programs and their executions.
#include "program.hpp"

#include <algorithm>
#include <sstream>

namespace assay::proof {
namespace {

value wrapping_sum(value a, value b) {
    return static_cast<value>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

const char* name(order m) {
    switch (m) {
        case order::relaxed:
            return "rlx";
        case order::consume:
            return "con";
        case order::acquire:
            return "acq";
        case order::release:
            return "rel";
        case order::acq_rel:
            return "acq_rel";
        case order::seq_cst:
            return "sc";
    }
    return "?";
}

std::string show(const operand& o) {
    std::string s;
    for (const int r : {o.a, o.b}) {
        if (r != none) s += (s.empty() ? "r" : " + r") + std::to_string(r);
    }
    if (s.empty()) return std::to_string(o.constant);
    return o.constant == 0 ? s : s + " + " + std::to_string(o.constant);
}

std::string show(const place& p, char kind) {
    const std::string s = kind + std::to_string(p.base);
    return p.index == none ? s : s + "[r" + std::to_string(p.index) + "]";
}

std::string show(const instruction& i) {
    const auto assign = i.into == none ? std::string() : "r" + std::to_string(i.into) + " = ";
    const auto at = show(i.at, 'l');
    const std::string mode = name(i.mode);
    const auto test = [&](const char* relation) {
        return "if (r" + std::to_string(i.into) + relation + show(i.arg) + ") skip " +
               std::to_string(i.skip);
    };
    const auto cas = [&](const char* strength) {
        const auto won = i.won == none ? std::string() : ", r" + std::to_string(i.won);
        return assign + strength + "(" + at + ", " + show(i.expected) + ", " + show(i.arg) + ", " +
               mode + ", " + name(i.failure) + won + ")";
    };
    switch (i.kind) {
        case op::load:
            return assign + "load(" + at + ", " + mode + ")";
        case op::store:
            return "store(" + at + ", " + show(i.arg) + ", " + mode + ")";
        case op::exchange:
            return assign + "exchange(" + at + ", " + show(i.arg) + ", " + mode + ")";
        case op::fetch_add:
            return assign + "fetch_add(" + at + ", " + show(i.arg) + ", " + mode + ")";
        case op::cas:
            return cas("cas");
        case op::cas_weak:
            return cas("cas_weak");
        case op::fence:
            return "fence(" + mode + ")";
        case op::await_eq:
            return assign + "await(" + at + " == " + show(i.arg) + ", " + mode + ")";
        case op::await_ne:
            return assign + "await(" + at + " != " + show(i.arg) + ", " + mode + ")";
        case op::wait:
            return "wait(" + at + ", " + show(i.arg) + ")";
        case op::wake:
            return assign + "wake(" + at + ", " + show(i.arg) + ")";
        case op::read:
            return assign + "read(" + show(i.at, 'p') + ")";
        case op::write:
            return "write(" + show(i.at, 'p') + ", " + show(i.arg) + ")";
        case op::skip_eq:
            return test(" == ");
        case op::skip_ne:
            return test(" != ");
    }
    return "?";
}

std::string show(event_name e) {
    if (e == initial_write) return "init";
    return "T" + std::to_string(e.thread) + "." + std::to_string(e.index);
}

std::string show(const event& e) {
    const auto access = [&](char kind) {
        return std::string(1, kind) + " l" + std::to_string(e.location) + " " + name(e.mode) + " ";
    };
    switch (e.kind) {
        case event_kind::load:
            return access('R') + std::to_string(e.read) + " <- " + show(e.from) +
                   (e.spurious ? " spurious" : "");
        case event_kind::store:
            return access('W') + std::to_string(e.written);
        case event_kind::update:
            return access('U') + std::to_string(e.read) + " -> " + std::to_string(e.written) +
                   " <- " + show(e.from);
        case event_kind::fence:
            return std::string("F ") + name(e.mode);
    }
    return "?";
}

bool is_access(const instruction& i, bool plain) {
    if (i.kind == op::fence || i.kind == op::skip_eq || i.kind == op::skip_ne) return false;
    return (i.kind == op::read || i.kind == op::write) == plain;
}

int count(const program& p, bool plain) {
    int n = static_cast<int>((plain ? p.initial_plain : p.initial).size());
    for (const auto& thread : p.threads)
        for (const auto& i : thread)
            if (is_access(i, plain)) n = std::max(n, i.at.base + 1);
    return n;
}

}  // namespace

int count_locations(const program& p) { return count(p, false); }
int count_plain_locations(const program& p) { return count(p, true); }

bool has_sleepers(const program& p) {
    return std::any_of(p.threads.begin(), p.threads.end(), [](const auto& code) {
        return std::any_of(code.begin(), code.end(), [](const instruction& i) {
            return i.kind == op::wait || i.kind == op::wake;
        });
    });
}

std::string to_string(const program& p) {
    std::ostringstream out;
    const auto values = [&](const char* what, const std::vector<value>& v) {
        if (v.empty()) return;
        out << what << ":";
        for (const value x : v) out << " " << x;
        out << "\n";
    };
    values("initial", p.initial);
    values("initial plain", p.initial_plain);
    if (p.crashes > 0) out << "crashes: " << p.crashes << "\n";
    if (p.spurious_failures > 0) out << "spurious failures: " << p.spurious_failures << "\n";
    if (p.spurious_wakes > 0) out << "spurious wakes: " << p.spurious_wakes << "\n";
    for (std::size_t t = 0; t < p.threads.size(); ++t) {
        out << "T" << t << ":\n";
        for (const auto& i : p.threads[t]) out << "    " << show(i) << "\n";
    }
    return out.str();
}

value interpreter::step::written(value old) const {
    return kind == op::fetch_add ? wrapping_sum(old, arg) : arg;
}

value interpreter::evaluate(const operand& o) const {
    value v = o.constant;
    for (const int r : {o.a, o.b}) {
        if (r != none) v = wrapping_sum(v, registers_.at(static_cast<std::size_t>(r)));
    }
    return v;
}

std::optional<interpreter::step> interpreter::next() {
    for (; at_ < code_->size(); ++at_) {
        const instruction& i = (*code_)[at_];
        if (i.kind != op::skip_eq && i.kind != op::skip_ne) {
            const auto location = evaluate({i.at.base, i.at.index});
            return step{i.kind, location, i.mode, i.failure, evaluate(i.arg), evaluate(i.expected)};
        }
        const bool equal = registers_.at(static_cast<std::size_t>(i.into)) == evaluate(i.arg);
        if (equal == (i.kind == op::skip_eq)) at_ += static_cast<std::size_t>(i.skip);
    }
    return std::nullopt;
}

void interpreter::done(value v, bool won) {
    const instruction& i = (*code_)[at_++];
    if (i.into != none) registers_.at(static_cast<std::size_t>(i.into)) = v;
    if (i.won != none) registers_.at(static_cast<std::size_t>(i.won)) = won ? 1 : 0;
}

bool execution::is_complete() const {
    return std::none_of(threads.begin(), threads.end(),
                        [](const thread_run& t) { return t.end == fate::blocked; });
}

bool execution::is_stuck() const {
    const auto reads_last = [&](const event& e) {
        const auto& writes = mo[static_cast<std::size_t>(e.location)];
        return e.from == (writes.empty() ? initial_write : writes.back());
    };
    return !is_complete() && std::all_of(threads.begin(), threads.end(), [&](const auto& t) {
        return t.end != fate::blocked || reads_last(t.events.back());
    });
}

value execution::final_value(const program& p, int location) const {
    const auto l = static_cast<std::size_t>(location);
    if (mo[l].empty()) return l < p.initial.size() ? p.initial[l] : 0;
    const auto [thread, index] = mo[l].back();
    return threads[static_cast<std::size_t>(thread)]
        .events[static_cast<std::size_t>(index)]
        .written;
}

std::string canonical(const execution& x) {
    std::string s;
    for (std::size_t t = 0; t < x.threads.size(); ++t) {
        s += "T" + std::to_string(t) + ":";
        const char* separator = " ";
        for (const event& e : x.threads[t].events) {
            s += separator + show(e);
            separator = "; ";
        }
        if (x.threads[t].end == fate::blocked) s += std::string(separator) + "blocked";
        if (x.threads[t].end == fate::crashed) s += std::string(separator) + "crashed";
        s += "\n";
    }
    for (std::size_t l = 0; l < x.mo.size(); ++l) {
        if (x.mo[l].empty()) continue;
        s += "mo l" + std::to_string(l) + ":";
        for (const event_name e : x.mo[l]) s += " " + show(e);
        s += "\n";
    }
    constexpr const char* complaints[] = {"", "deadlock\n", "lost wake-up\n",
                                          "blocked by a dead one\n"};
    s += complaints[static_cast<int>(x.verdict)];
    return s;
}

}  // namespace assay::proof
