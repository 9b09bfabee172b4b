#include "model/counterexample.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

namespace assay::model {
namespace {

std::string number_of(int event) {
    return event == initial_value ? "init" : std::to_string(event + 1);
}

std::string pad(std::string s, std::size_t width) {
    s.resize(std::max(width, s.size()), ' ');
    return s;
}

// "load tail acquire -> 1 from 4": what a process did, without where in the source.
std::string sentence(const traced_event& e) {
    std::string s = e.what;
    for (const std::string* part : {&e.place, &e.order, &e.value})
        if (!part->empty()) s += " " + *part;
    if (e.from != nothing) s += " from " + number_of(e.from);
    return s;
}

// What stands under the sentence: the newer write that was not seen, and the note.
std::vector<std::string> footnotes(const traced_event& e) {
    std::vector<std::string> lines;
    if (e.ignored != nothing) lines.push_back("  did not see " + number_of(e.ignored));
    if (!e.note.empty()) lines.push_back("  " + e.note);
    return lines;
}

class table {
public:
    explicit table(const counterexample& c) : c_(c), widths_(c.processes.size()) {
        for (std::size_t p = 0; p < widths_.size(); ++p) widths_[p] = c.processes[p].size();
        for (const traced_event& e : c.events) {
            auto& width = widths_[static_cast<std::size_t>(e.process)];
            width = std::max(width, sentence(e).size() + 2 + e.site.size());
            for (const auto& line : footnotes(e)) width = std::max(width, line.size());
        }
    }

    void print(std::ostream& out) const {
        std::string head, rule;
        for (std::size_t p = 0; p < widths_.size(); ++p) {
            head += pad(c_.processes[p], widths_[p]) + gap;
            rule += std::string(widths_[p], '-') + gap;
        }
        line(out, "   #", head, false);
        line(out, "", rule, false);
        for (std::size_t i = 0; i < c_.events.size(); ++i) {
            const traced_event& e = c_.events[i];
            const auto column = static_cast<std::size_t>(e.process);
            const std::size_t room = widths_[column] - e.site.size();
            const std::string number = std::to_string(i + 1);
            line(out, std::string(4 - std::min<std::size_t>(4, number.size()), ' ') + number,
                 indent(column) + pad(sentence(e), room) + e.site, e.guilty);
            for (const auto& note : footnotes(e)) line(out, "", indent(column) + note, false);
        }
    }

private:
    static constexpr const char* gap = "   ";

    [[nodiscard]] std::string indent(std::size_t column) const {
        std::size_t n = 0;
        for (std::size_t p = 0; p < column; ++p) n += widths_[p] + std::string(gap).size();
        return std::string(n, ' ');
    }
    static void line(std::ostream& out, const std::string& number, std::string text, bool guilty) {
        text.erase(text.find_last_not_of(' ') + 1);
        out << pad(number, 4) << (guilty ? " * " : "   ") << text << '\n';
    }

    const counterexample& c_;
    std::vector<std::size_t> widths_;
};

// A string of the dot language; its line breaks are spelled \n.
std::string literal(const std::string& s) {
    std::string out = "\"";
    for (const char ch : s) {
        if (ch == '"' || ch == '\\') out += '\\';
        out += ch == '\n' ? std::string("\\n") : std::string(1, ch);
    }
    return out + "\"";
}

// One colour per relation, told apart by the kind of line as well.
struct relation_style {
    const char* name;
    const char* attributes;
};
constexpr relation_style po{"", "color=\"#8c959f\" penwidth=1.2"};
constexpr relation_style rf{"rf", "color=\"#1a7f37\" fontcolor=\"#1a7f37\" penwidth=1.6"};
constexpr relation_style mo{"mo", "color=\"#bc4c00\" fontcolor=\"#bc4c00\" style=dashed"};
constexpr relation_style sw{"hb", "color=\"#0969da\" fontcolor=\"#0969da\" penwidth=2.6"};
constexpr relation_style missed{
    "not seen", "color=\"#cf222e\" fontcolor=\"#cf222e\" style=dotted penwidth=1.6"};

std::string edge(const std::string& from, const std::string& to, const relation_style& r) {
    return "  " + from + " -> " + to + " [label=\"" + r.name + "\" " + r.attributes + "];\n";
}

// Nodes stand where the text has them, a column per process and a row per event (in points), so
// that the picture reads like the text; Graphviz routes the edges and writes the labels.
std::string at(double column, double row) {
    constexpr int column_width = 290, row_height = 66;
    return " pos=\"" + std::to_string(static_cast<int>(column * column_width)) + "," +
           std::to_string(static_cast<int>(-row * row_height)) + "\"";
}

std::string node(int event) {
    return event == initial_value ? "init" : "e" + std::to_string(event);
}

}  // namespace

std::string to_text(const counterexample& c) {
    std::ostringstream out;
    out << "FAILED     " << c.scenario << "   " << c.seed << '\n';
    out << "           " << c.verdict << ": " << c.message << "\n\n";
    table(c).print(out);
    out << '\n';
    for (const std::string& remark : c.remarks) out << "   " << remark << '\n';
    if (!c.replay.empty()) out << "   replay: " << c.replay << '\n';
    return out.str();
}

nlohmann::json to_json(const counterexample& c) {
    using nlohmann::json;
    json events = json::array();
    for (std::size_t i = 0; i < c.events.size(); ++i) {
        const traced_event& e = c.events[i];
        json j{{"event", i + 1},    {"process", c.processes[static_cast<std::size_t>(e.process)]},
               {"what", e.what},    {"place", e.place},
               {"order", e.order},  {"value", e.value},
               {"site", e.site},    {"note", e.note},
               {"guilty", e.guilty}};
        if (e.from != nothing) j["reads_from"] = e.from + 1;  // 0 is the initial value
        if (e.ignored != nothing) j["did_not_see"] = e.ignored + 1;
        events.push_back(std::move(j));
    }
    json orders = json::array(), edges = json::array();
    for (const auto& chain : c.modification_orders) {
        json one = json::array();
        for (const int e : chain) one.push_back(e + 1);
        orders.push_back(std::move(one));
    }
    for (const auto& [from, to] : c.synchronises) edges.push_back({from + 1, to + 1});
    return {{"schema", 1},
            {"scenario", c.scenario},
            {"verdict", c.verdict},
            {"message", c.message},
            {"processes", c.processes},
            {"events", std::move(events)},
            {"modification_orders", std::move(orders)},
            {"synchronises_with", std::move(edges)},
            {"remarks", c.remarks},
            {"replay", c.replay}};
}

std::string to_dot(const counterexample& c) {
    std::string out =
        "digraph counterexample {\n"
        "  graph [fontname=\"Helvetica\" labelloc=t fontsize=16 splines=true pad=0.3 "
        "bgcolor=white\n"
        "         label=" +
        literal(c.scenario + "\n" + c.verdict + ": " + c.message + "\n ") +
        "];\n"
        "  node [shape=box style=\"rounded,filled\" fillcolor=\"#f6f8fa\" color=\"#57606a\"\n"
        "        fontname=\"Helvetica\" fontsize=12];\n"
        "  edge [fontname=\"Helvetica\" fontsize=11 arrowsize=0.7];\n";
    const auto reads_initial = [](const traced_event& e) { return e.from == initial_value; };
    const bool has_initial = std::any_of(c.events.begin(), c.events.end(), reads_initial);
    const double right = static_cast<double>(c.processes.size());
    if (has_initial)
        out += "  init [label=\"initial values\" shape=ellipse" + at(right, 0) + "];\n";
    for (std::size_t p = 0; p < c.processes.size(); ++p)
        out += "  p" + std::to_string(p) + " [label=" + literal(c.processes[p]) +
               " shape=plaintext style=\"\" fontsize=15" + at(static_cast<double>(p), 0) + "];\n";
    std::vector<std::string> last;
    for (std::size_t p = 0; p < c.processes.size(); ++p) last.push_back("p" + std::to_string(p));
    std::string edges;
    for (int i = 0; i < static_cast<int>(c.events.size()); ++i) {
        const traced_event& e = c.events[static_cast<std::size_t>(i)];
        std::string label = std::to_string(i + 1) + "  " + e.what + " " + e.place + " " + e.order +
                            "\n" + e.value + "    " + e.site;
        if (!e.note.empty()) label += "\n" + e.note;
        out += "  " + node(i) + " [label=" + literal(label) + at(e.process, i + 1) +
               (e.guilty ? " fillcolor=\"#ffebe9\" color=\"#cf222e\" penwidth=2" : "") + "];\n";
        std::string& previous = last[static_cast<std::size_t>(e.process)];
        edges += edge(previous, node(i), po);
        previous = node(i);
        if (e.from != nothing) edges += edge(node(e.from), node(i), rf);
        if (e.ignored != nothing) edges += edge(node(e.ignored), node(i), missed);
    }
    for (const auto& chain : c.modification_orders)
        for (std::size_t i = 1; i < chain.size(); ++i)
            edges += edge(node(chain[i - 1]), node(chain[i]), mo);
    for (const auto& [from, to] : c.synchronises) edges += edge(node(from), node(to), sw);
    return out + edges + "  legend [shape=plaintext style=\"\" fontsize=11" + at(right, 1.3) +
           " label=<"
           "<font color=\"#57606a\">po: program order</font><br align=\"left\"/>"
           "<font color=\"#1a7f37\">rf: reads from</font><br align=\"left\"/>"
           "<font color=\"#bc4c00\">mo: modification order (dashed)</font><br align=\"left\"/>"
           "<font color=\"#0969da\">hb: synchronises with (bold)</font><br align=\"left\"/>"
           "<font color=\"#cf222e\">dotted: newer write, not seen</font><br align=\"left\"/>"
           ">];\n}\n";
}

bool draw(const counterexample& c, const std::string& path, std::string& reason) {
    std::string target;
    for (const char ch : path) {  // for the shell, in single quotes
        if (ch == '\'')
            target += "'\\''";
        else
            target += ch;
    }
    std::FILE* const dot = ::popen(("neato -n -Tsvg -o '" + target + "' 2>/dev/null").c_str(), "w");
    if (dot == nullptr) {
        reason = "no shell to run Graphviz";
        return false;
    }
    const std::string text = to_dot(c);
    const bool written = std::fwrite(text.data(), 1, text.size(), dot) == text.size();
    if (::pclose(dot) == 0 && written) return true;
    reason = "Graphviz (neato) is missing or failed, or '" + path + "' cannot be written";
    return false;
}

}  // namespace assay::model
