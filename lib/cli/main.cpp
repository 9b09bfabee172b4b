// main.cpp -- the `assay` command: segments listed, shown, checked, recovered and removed.
#include <pwd.h>

#include <CLI/CLI.hpp>  // subcommands, help and errors of a command line
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assay/error.hpp"
#include "lib/cli/segment.hpp"

namespace assay::cli {
namespace {

// all_well  done, and nothing is wrong
// problem   a segment is damaged (check), or in use and therefore not removed (rm)
// failed    the system said no: no such segment, no permission, not a segment of ours
// usage     the command line is wrong
enum exit_status { all_well = 0, problem = 1, failed = 2, usage = 3 };

// --- for people --------------------------------------------------------------------------------

std::string bytes(std::uint64_t n) {
    constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(n);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
                  units[unit]);
    return text;
}

std::string user(uid_t uid) {
    const passwd* const known = ::getpwuid(uid);
    return known != nullptr ? known->pw_name : std::to_string(uid);
}

std::string time_of(std::int64_t seconds) {
    const auto t = static_cast<std::time_t>(seconds);
    std::tm parts{};
    char text[32] = "";
    if (::localtime_r(&t, &parts) != nullptr)
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    return text;
}

std::string octal(mode_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode));
    return text;
}

// Bytes that another process wrote must not move the reader's cursor.
std::string printable(const std::string& text) {
    std::string safe;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
        safe += byte < 0x20 || byte == 0x7f ? std::string(escaped) : std::string(1, c);
    }
    return safe;
}

// Columns as wide as they need to be; all but the first are flush right if they are numbers.
class columns {
public:
    explicit columns(std::vector<std::string> heads) : rows_{std::move(heads)} {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    void print(const char* indent = "") const {
        std::vector<std::size_t> width(rows_[0].size(), 0);
        for (const auto& row : rows_)
            for (std::size_t i = 0; i < row.size(); ++i)
                width[i] = std::max(width[i], row[i].size());
        for (const auto& row : rows_) {
            std::string line = indent;
            for (std::size_t i = 0; i < row.size(); ++i) {
                const std::string gap(width[i] - row[i].size(), ' ');
                const bool number =
                    i > 0 && rows_.size() > 1 && !rows_[1][i].empty() &&
                    rows_[1][i].find_first_not_of("0123456789") == std::string::npos;
                line += (i > 0 ? "  " : "") + (number ? gap + row[i] : row[i] + gap);
            }
            std::printf("%s\n", line.substr(0, line.find_last_not_of(' ') + 1).c_str());
        }
    }

private:
    std::vector<std::vector<std::string>> rows_;
};

void print(const listing& all) {
    columns table(
        {"NAME", "STATE", "ATTACHED", "SIZE", "FREE", "ENTRIES", "OWNER", "MODE", "CREATED"});
    for (const segment& s : all.segments) {
        const bool known = !s.type.empty() && s.now != state::damaged;
        table.add(
            {printable(s.name), std::string(to_string(s.now)), std::to_string(s.alive),
             bytes(s.size), known ? bytes(s.free_bytes) : "?",
             (known ? std::to_string(s.entries.size()) : "?") + "/" + std::to_string(s.max_entries),
             user(s.uid), octal(s.mode), time_of(s.created)});
    }
    if (all.segments.empty())
        std::printf("no segments\n");
    else
        table.print();
    if (all.unreadable > 0)
        std::printf("%zu files may not be read, and may be segments\n", all.unreadable);
}

void print(const segment& s) {
    const auto line = [](const char* what, const std::string& value) {
        std::printf("%-12s %s\n", what, value.c_str());
    };
    line("segment", printable(s.name));
    line("state", std::string(to_string(s.now)));
    for (const auto& p : s.problems) line("problem", printable(p));
    line("size", std::to_string(s.size) + " bytes" +
                     (s.type.empty() ? "" : ", free " + std::to_string(s.free_bytes)));
    line("type", s.type.empty() ? "a table of " + std::to_string(s.max_entries) +
                                      " entries, names of " + std::to_string(s.name_size) + " bytes"
                                : s.type);
    line("layout",
         "version " + std::to_string(s.version) + ", fingerprint " + std::to_string(s.fingerprint));
    line("owner", user(s.uid) + ", mode " + octal(s.mode));
    line("created", time_of(s.created));
    line("attached", std::to_string(s.alive) + " living" +
                         (s.counter == s.alive ? ""
                                               : "; the counter at offset 0 still says " +
                                                     std::to_string(s.counter)));
    if (!s.holders.empty()) {
        columns table({"SLOT", "PID", "LIFE"});
        for (const holder& h : s.holders)
            table.add({std::to_string(h.slot), std::to_string(h.pid), h.alive ? "alive" : "dead"});
        table.print("  ");
    }
    line("entries", std::to_string(s.entries.size()) + " of " + std::to_string(s.max_entries));
    if (!s.entries.empty()) {
        columns table({"NAME", "KIND", "OFFSET", "BYTES", "ELEMENTS", "ELEMENT BYTES"});
        for (const entry& e : s.entries)
            table.add({printable(e.name), std::string(to_string(e.what)), std::to_string(e.offset),
                       std::to_string(e.size), std::to_string(e.num_elem),
                       std::to_string(e.elem_size)});
        table.print("  ");
    }
}

// --- for programs ------------------------------------------------------------------------------

using nlohmann::json;

json to_json(const segment& s) {
    json holders = json::array(), entries = json::array();
    for (const holder& h : s.holders)
        holders.push_back({{"slot", h.slot}, {"pid", h.pid}, {"alive", h.alive}});
    for (const entry& e : s.entries)
        entries.push_back({{"name", e.name},
                           {"kind", to_string(e.what)},
                           {"offset", e.offset},
                           {"size_bytes", e.size},
                           {"elem_size", e.elem_size},
                           {"num_elem", e.num_elem},
                           {"tag", e.tag}});
    return {{"name", s.name},
            {"state", to_string(s.now)},
            {"problems", s.problems},
            {"size_bytes", s.size},
            {"free_bytes", s.free_bytes},
            {"type", s.type},
            {"layout_version", s.version},
            {"fingerprint", s.fingerprint},
            {"uid", s.uid},
            {"mode", octal(s.mode)},
            {"created", s.created},
            {"attached", s.alive},
            {"counter", s.counter},
            {"holders", holders},
            {"max_entries", s.max_entries},
            {"entries", entries}};
}

void print(const json& document) {
    // Names are bytes; what is not UTF-8 among them becomes U+FFFD.
    std::cout << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

// --- the commands ------------------------------------------------------------------------------

struct options {
    std::vector<std::string> names;
    bool as_json = false, dry_run = false, force = false;
};

// f(name) for each; a name that fails is reported, and the others are done all the same.
template <class F>
int for_each_name(const options& o, F&& f) {
    int worst = all_well;
    for (const std::string& name : o.names) try {
            worst = std::max<int>(worst, f(name));
        } catch (const std::exception& e) {
            std::fprintf(stderr, "%s\n", printable(e.what()).c_str());
            worst = failed;
        }
    return worst;
}

int ls(const options& o) {
    const listing all = list();
    if (o.as_json) {
        json segments = json::array();
        for (const segment& s : all.segments) segments.push_back(to_json(s));
        print(json{{"segments", segments}, {"unreadable", all.unreadable}});
    } else {
        print(all);
    }
    return all_well;
}

int show(const options& o) {
    json segments = json::array();
    const int status = for_each_name(o, [&](const std::string& name) {
        const segment s = look_at(name);
        if (o.as_json)
            segments.push_back(to_json(s));
        else
            print(s);
        return all_well;
    });
    if (o.as_json) print(segments);
    return status;
}

int check(const options& o) {
    json segments = json::array();
    const auto one = [&](const segment& s) {
        if (o.as_json)
            segments.push_back(
                {{"name", s.name}, {"state", to_string(s.now)}, {"problems", s.problems}});
        else if (s.problems.empty())
            std::printf("%s: whole, %zu entries, %u attached\n", printable(s.name).c_str(),
                        s.entries.size(), s.alive);
        for (const auto& p : s.problems)
            if (!o.as_json)
                std::printf("%s: %s\n", printable(s.name).c_str(), printable(p).c_str());
        return s.problems.empty() ? all_well : problem;
    };
    int status = all_well;
    if (o.names.empty())
        for (const segment& s : list().segments) status = std::max<int>(status, one(s));
    else
        status = for_each_name(o, [&](const std::string& name) { return one(look_at(name)); });
    if (o.as_json) print(segments);
    return status;
}

int recover_all(const options& o) {
    json segments = json::array();
    const int status = for_each_name(o, [&](const std::string& name) {
        const recovery done = recover(name);
        json entries = json::array();
        if (!o.as_json)
            std::printf("%s: %u attachments of dead processes freed\n", printable(name).c_str(),
                        done.attachments);
        for (const auto& e : done.entries) {
            entries.push_back({{"name", e.name}, {"kind", to_string(e.what)}});
            if (e.given_back)
                entries.back()["given_back"] = *e.given_back;
            else
                entries.back()["reason"] = e.reason;
            if (!o.as_json && (!e.given_back || *e.given_back > 0))
                std::printf("  %s (%s): %s\n", printable(e.name).c_str(),
                            std::string(to_string(e.what)).c_str(),
                            e.given_back ? (std::to_string(*e.given_back) + " given back").c_str()
                                         : printable("left: " + e.reason).c_str());
        }
        segments.push_back(
            {{"name", name}, {"attachments", done.attachments}, {"entries", entries}});
        return all_well;
    });
    if (o.as_json) print(segments);
    return status;
}

int gc(const options& o) {
    json removed = json::array();
    for (const segment& s : list().segments) try {
            if (s.now != state::orphan || (!o.dry_run && !collect(s.name))) continue;
            removed.push_back(s.name);
            if (!o.as_json)
                std::printf("%s %s, %s\n", o.dry_run ? "would remove" : "removed",
                            printable(s.name).c_str(), bytes(s.size).c_str());
        } catch (const not_found&) {  // somebody else was quicker
        } catch (const system_failure& e) {
            std::fprintf(stderr, "%s\n", printable(e.what()).c_str());
        }
    if (o.as_json)
        print(json{{o.dry_run ? "would_remove" : "removed", removed}});
    else if (removed.empty())
        std::printf("no orphans\n");
    return all_well;
}

int rm(const options& o) {
    return for_each_name(o, [&](const std::string& name) {
        if (remove(name, o.force)) return all_well;
        std::fprintf(stderr,
                     "assay: segment '%s' is in use by %u attachments and was not removed; stop "
                     "them, or use --force: they keep it, and new ones get another\n",
                     printable(name).c_str(), look_at(name).alive);
        return problem;
    });
}

}  // namespace
}  // namespace assay::cli

int main(int argc, char** argv) {
    using namespace assay::cli;
    CLI::App app{
        "Segments of the assay library in /dev/shm: what is there, who uses it, is it whole.\n"
        "Looking (ls, show, check) never attaches and never writes.\n"
        "Exit status: 0 well, 1 damaged (check) or in use (rm), 2 the system said no, 3 usage."};
    app.require_subcommand(1);
    options o;
    struct command {
        int (*run)(const options&);
        CLI::App* line;
    };
    const command commands[] = {
        {ls, app.add_subcommand("ls", "all segments: state, living attachments, size")},
        {show, app.add_subcommand("show", "one segment: header, attachments, entries")},
        {check, app.add_subcommand("check", "is it whole? Without a name: all of them")},
        {recover_all, app.add_subcommand("recover", "give back what dead processes held")},
        {gc,
         app.add_subcommand("gc", "remove every orphan: segments whose last process was killed")},
        {rm, app.add_subcommand("rm", "remove a segment that nobody uses")}};
    for (const command& c : commands) {
        if (c.run != rm) c.line->add_flag("--json", o.as_json, "for programs");
        if (c.run == gc) c.line->add_flag("--dry-run", o.dry_run, "only say which");
        if (c.run == rm) c.line->add_flag("--force", o.force, "also if it is in use");
        if (c.run == ls || c.run == gc) continue;
        auto* const names =
            c.line->add_option("name", o.names, "of a segment, with or without '/'");
        if (c.run != check) names->required();
    }
    try {
        app.parse(argc, argv);
        for (const command& c : commands)
            if (*c.line) return c.run(o);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? all_well : usage;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", printable(e.what()).c_str());
        return failed;
    }
    return usage;
}
