#include "model/explain.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>

namespace assay::model {
namespace {

using checker::event;
using checker::event_id;
using checker::graph;
using checker::kind;
using checker::op;
using checker::order;

// The sources as they are now, to quote from. A file that is not there has no lines.
class sources {
public:
    [[nodiscard]] std::string line(const std::string& file, std::uint32_t number) {
        auto& lines = files_[file];
        if (lines.empty()) {
            std::ifstream in(ASSAY_SOURCES + file);  // sites are relative to it
            lines.emplace_back();                    // lines count from 1
            for (std::string text; std::getline(in, text);) lines.push_back(text);
        }
        return number < lines.size() ? lines[number] : std::string();
    }

    // What the source calls the word that it accesses there: "tail_" in "tail_.load(acquire)".
    [[nodiscard]] std::string subject(const checker::site& s, bool plain = false) {
        const std::string text = line(s.file, s.line);
        std::size_t end = std::string::npos;
        const std::vector<const char*> words{"load(", "store(", "exchange(", "compare_exchange",
                                             "fetch_"};
        const std::vector<const char*> cells{"read(", "write("};
        for (const char* method : plain ? cells : words)
            if (const auto at = text.find(method); at != std::string::npos && at > 0)
                end = std::min(end, at);
        if (end == std::string::npos) return {};
        end -= text[end - 1] == '.' ? 1 : text.compare(end - 2, 2, "->") == 0 ? 2 : 0;
        std::size_t begin = end;
        for (int depth = 0; begin > 0; --begin) {
            const char c = text[begin - 1];
            depth += c == ']' || c == ')' ? 1 : c == '[' || c == '(' ? -1 : 0;
            const bool part = depth > 0 || std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                              c == '_' || c == '.' || c == '[' || c == '(' ||
                              (c == '>' && begin > 1 && text[begin - 2] == '-') ||
                              (c == '-' && text[begin] == '>');
            if (depth < 0 || !part) break;
        }
        return text.substr(begin, end - begin);
    }

    // The edge that the comment at or above this line names, "[ring:committed]".
    [[nodiscard]] std::string edge(const checker::site& s) {
        for (std::uint32_t n = s.line, i = 0; n > 0 && i < 12; --n, ++i) {
            const std::string text = line(s.file, n);
            const auto comment = text.find("//");
            if (i > 2 && comment == std::string::npos) break;  // a statement may have three lines
            if (comment == std::string::npos) continue;
            const auto open = text.find('[', comment), close = text.find(']', comment);
            if (open != std::string::npos && close != std::string::npos && open < close &&
                text.find(':', open) < close)
                return text.substr(open, close - open + 1);
        }
        return {};
    }

private:
    std::map<std::string, std::vector<std::string>> files_;
};

std::string short_site(const checker::site& s) {
    if (s.file.empty()) return {};
    return s.file.substr(s.file.find_last_of('/') + 1) + ":" + std::to_string(s.line);
}

std::string number(checker::value v) {
    if (v < 100'000) return std::to_string(v);
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(v));
    return text;
}

class explanation {
public:
    explanation(counterexample& out, const checker::result& r)
        : out_(out), r_(r), g_(*r.counterexample), numbers_(g_.processes()) {
        for (std::size_t p = 0; p < g_.processes(); ++p) numbers_[p].assign(g_.length(p), nothing);
    }

    // In the order in which it was done.
    void write() {
        std::vector<int> lines;  // of each step, in print
        for (const auto& s : r_.steps.steps) {
            if (s.plain)
                add_plain(s);
            else
                add(s.at);
            lines.push_back(static_cast<int>(out_.events.size()) - 1);
        }
        for (const auto& s : r_.steps.steps)
            if (!s.plain) connect(s.at);
        modification_orders();
        other_orders();
        if (r_.steps.last != checker::trace::nobody) accuse(lines);
    }

private:
    // The lines of the source whose order is not the one in force here, and what it is there for.
    void other_orders() {
        std::vector<checker::site_id> said;
        for (const auto& step : r_.steps.steps) {
            const checker::site& s = r_.sites[step.site];
            const bool weaker = s.overridden && (s.use_success != order::seq_cst ||
                                                 s.use_failure != order::seq_cst);
            if (!weaker || std::count(said.begin(), said.end(), step.site) > 0) continue;
            said.push_back(step.site);
            const bool success = s.use_success != s.success;
            const std::string edge = sources_.edge(s);
            out_.remarks.push_back(
                short_site(s) + " is " + name(success ? s.use_success : s.use_failure) +
                " here, and the source says " + name(success ? s.success : s.failure) +
                (edge.empty() ? "" : " for the edge " + edge));
        }
    }

    static void remark_on(traced_event& t, const std::string& note) {
        t.note += (t.note.empty() ? "" : ", ") + note;
    }

    // Marks where a process failed, and the access that this races with.
    void accuse(const std::vector<int>& lines) {
        const auto line = [&](int step) { return lines[static_cast<std::size_t>(step)]; };
        const int guilty = line(r_.steps.last);
        if (guilty < 0) return;
        at(guilty).guilty = true;
        if (r_.steps.other == checker::trace::nobody) return;
        const int with = line(r_.steps.other);
        at(with).guilty = true;
        remark_on(at(guilty), "races with " + std::to_string(with + 1));
        remark_on(at(with), "races with " + std::to_string(guilty + 1));
    }

    [[nodiscard]] bool is_second_half(event_id id) const {
        return g_[id].writes() && g_[id].has(checker::rmw) && id.index > 0;
    }

    void add(event_id id) {
        const event& e = g_[id];
        int& mine = numbers_[id.process][id.index];
        if (e.what == kind::point && !e.has(checker::crash)) return;
        if (is_second_half(id)) {  // one line for both halves
            mine = numbers_[id.process][id.index - 1u];
            if (mine != nothing) at(mine).value += ", = " + number(e.val);
            return;
        }
        mine = static_cast<int>(out_.events.size());
        const checker::site& s = r_.sites[e.site];
        traced_event t;
        t.process = id.process;
        t.what = verb(e);
        t.site = short_site(s);
        if (e.accesses() && !e.has(checker::crash)) t.place = place(e, s);
        if (e.what == kind::fence || (e.accesses() && !e.has(checker::crash)))
            t.order = name(e.ord);
        if (e.reads()) t.value = "-> " + number(e.val);
        if (e.writes() && !e.has(checker::crash)) t.value = "= " + number(e.val);
        if (s.overridden)
            t.note =
                std::string("the source says ") +
                name(e.reads() && !checker::succeeds(e) && e.operation != op::none ? s.failure
                                                                                   : s.success);
        t.guilty = checker::blocks(e) || repeats_for_ever(id);
        if (t.guilty) remark_on(t, "waits for ever");
        out_.events.push_back(std::move(t));
    }

    // The end of the lap of an await after which nothing will change.
    [[nodiscard]] bool repeats_for_ever(event_id id) const {
        return g_[id].has(checker::lap) && id == g_.last_id(id.process) &&
               checker::concerns_progress(r_.what);
    }

    void add_plain(const checker::trace::step& s) {
        const checker::site& site = r_.sites[s.site];
        const std::string text = sources_.subject(site, true), at = "@" + std::to_string(s.offset);
        traced_event t;
        t.process = s.at.process;
        t.what = s.write ? "write" : "read";
        t.place = text.empty() ? at : text + " " + at;
        t.site = short_site(site);
        out_.events.push_back(std::move(t));
    }

    [[nodiscard]] static std::string verb(const event& e) {
        if (e.has(checker::crash)) return "DIES";
        switch (e.what) {
            case kind::fence:
                return "fence";
            case kind::pause:
                return "pause";
            case kind::point:
                return "dies";
            case kind::write:
                return "store";
            case kind::read:
                break;
        }
        switch (e.operation) {
            case op::none:
                return e.condition == checker::until::none ? "load" : "waits for";
            case op::exchange:
                return "exchange";
            case op::add:
                return "fetch_add";
            case op::sub:
                return "fetch_sub";
            case op::bit_and:
                return "fetch_and";
            case op::bit_or:
                return "fetch_or";
            case op::bit_xor:
                return "fetch_xor";
            case op::compare_exchange:
                return checker::succeeds(e) ? "cas" : "cas fails";
            case op::sleep:
                return "sleep";
            case op::wake:
                return "wake";
            case op::leave:
                return "leave";
        }
        return "?";
    }

    [[nodiscard]] std::string place(const event& e, const checker::site& s) {
        const checker::location& l = (*r_.locations)[e.loc];
        if (l.segment == checker::life_segment)
            return "life of " +
                   out_.processes[std::min<std::size_t>(l.offset, out_.processes.size() - 1)];
        const std::string at = "@" + std::to_string(l.offset);
        if (l.segment != 0) return "sleepers" + at;
        const std::string text = sources_.subject(s);
        return text.empty() ? at : text + " " + at;
    }

    void connect(event_id id) {
        const event& e = g_[id];
        const int mine = numbers_[id.process][id.index];
        if (!e.reads() || mine == nothing) return;
        traced_event& t = at(mine);
        t.from = e.rf == checker::initial ? initial_value : number_of(e.rf);
        // The newest write that had happened already, if it read an older one.
        const auto& mo = g_.of(e.loc).mo;
        for (std::size_t i = mo.size() - 1; i > g_.source(e).mo; --i)
            if (number_of(mo[i]) != nothing && number_of(mo[i]) < mine) {
                t.ignored = number_of(mo[i]);
                break;
            }
        if (e.rf == checker::initial || e.rf.process == id.process) return;
        if (e.hb.contains(e.rf)) {
            out_.synchronises.emplace_back(number_of(e.rf), mine);
            return;
        }
        if (r_.what == checker::verdict::data_race ||
            r_.what == checker::verdict::uninitialised_read)
            missing_edge(id);
    }

    void missing_edge(event_id id) {
        const event& e = g_[id];
        const event& w = g_[e.rf];
        const bool released = checker::releases(w.ord) || w.fenced > 0;
        std::string edge = sources_.edge(r_.sites[released ? e.site : w.site]);
        if (edge.empty()) edge = sources_.edge(r_.sites[e.site]);
        out_.remarks.push_back(std::to_string(number_of(id) + 1) + " reads from " +
                               std::to_string(number_of(e.rf) + 1) + ", but " +
                               (released
                                    ? std::to_string(number_of(id) + 1) + " does not acquire"
                                    : std::to_string(number_of(e.rf) + 1) + " does not release") +
                               (edge.empty() ? "" : ": is edge " + edge + " missing?"));
    }

    void modification_orders() {
        for (checker::location_id l = 0; l < g_.locations(); ++l) {
            std::vector<int> chain;
            for (const event_id w : g_.of(l).mo)
                if (w != checker::initial && number_of(w) != nothing) chain.push_back(number_of(w));
            if (chain.size() > 1) out_.modification_orders.push_back(std::move(chain));
        }
    }

    [[nodiscard]] int number_of(event_id id) const { return numbers_[id.process][id.index]; }
    [[nodiscard]] traced_event& at(int i) { return out_.events[static_cast<std::size_t>(i)]; }

    counterexample& out_;
    const checker::result& r_;
    const graph& g_;
    std::vector<std::vector<int>> numbers_;  // of each event, in print; nothing: not printed
    sources sources_;
};

// "process 1" by its name.
std::string with_names(std::string text, const std::vector<std::string>& processes) {
    for (std::size_t p = 0; p < processes.size(); ++p) {
        const std::string plain = "process " + std::to_string(p);
        for (auto at = text.find(plain); at != std::string::npos; at = text.find(plain, at))
            text.replace(at, plain.size(), "'" + processes[p] + "'");
    }
    return text;
}

}  // namespace

counterexample explain(const std::string& scenario, const std::vector<std::string>& processes,
                       const checker::result& r) {
    counterexample c;
    c.scenario = scenario;
    c.verdict = checker::name(r.what);
    c.message = with_names(r.message, processes);
    c.seed = "execution " + std::to_string(r.executions + r.blocked);
    c.processes = processes;
    if (r.counterexample) explanation(c, r).write();
    return c;
}

}  // namespace assay::model
