"""The house rules. A rule takes the tree {path: text} and yields (path, line, message).

RULES gives each rule its canary: one small source that breaks it.
"""

import pathlib
import posixpath
import re

import yaml

SEAM = "lib/assay/sync.hpp"
# Bottom-up: a header includes only what stands before it.
LAYERS = ("sync, error layout, owner, event kernel span registry claims, segment_file, attachment table, posix_shm, structure, "
          "claims hands record, array atomic queue object_pool ring_buffer mrsw_array, large_map, assay, prefixed")
RANK = {stem: i for i, layer in enumerate(LAYERS.split(",")) for stem in layer.split()}
COLUMNS = ["lib/tests", "lib/examples", "model", "stress", "proptest", "perf"]
ORDER = re.compile(r"(?:[(,?:=]|memory_order::)\s*(relaxed|consume|acquire|release|acq_rel|seq_cst)\s*(?=[,);:])")
ACCESS = re.compile(r"\.(load|exchange|compare_exchange\w*|fetch_\w+|read)\(")
VAGUE = re.compile(r"misc|edge_case|comprehensive|coverage|basic|various|works_fine")


def blank(text, strings=True):
    """The code without comments (and strings); spaces take their place, so lines and columns stay."""
    parts = r"//[^\n]*|/\*.*?\*/" + (r'|"(?:\\.|[^"\\\n])*"' if strings else "")
    return re.sub(parts, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def headers(tree):
    return {p: t for p, t in tree.items() if re.fullmatch(r"lib/assay/\w+\.hpp", p)}


def atomics_only_in_the_seam(tree):
    word = r"std::atomic\w*|memory_order_[a-z]\w+|\bvolatile\b|\b__atomic_\w+|\b__sync_\w+|#include <atomic>"
    for path, text in headers(tree).items():
        for m in re.finditer(word, blank(text)) if path != SEAM else ():
            yield path, line_of(text, m.start()), f"{m.group()} belongs into sync.hpp"


def includes_point_down(tree):
    for path, text in tree.items():
        column = max((c for c in COLUMNS if path.startswith(c + "/")), key=len, default="")
        for m in re.finditer(r'#\s*include\s*([<"])([^>"]+)', blank(text, strings=False)):
            target, stem = m.group(2), re.sub(r"^assay/|\.hpp$", "", m.group(2))
            ours = m.group(1) == '"' or target.startswith("assay/")
            wrong = ""
            if path in headers(tree) and ours:
                below = RANK.get(stem, 99) < RANK.get(pathlib.Path(path).stem, 99)
                wrong = "" if below else "not below this header (LAYERS in scripts/house_rules.py)"
            elif path.startswith("model/checker/") and target.startswith("assay/"):
                wrong = "the checker knows nothing of the library"
            elif column and any(target.startswith(c + "/") for c in COLUMNS if c != column):
                wrong = "columns never include each other"
            if wrong:
                yield path, line_of(text, m.start()), f"includes {target}: {wrong}"


def comment_above(lines, n):
    """The comments that end at line n (from 0): on it, and the nearest block above without a gap."""
    said = [lines[n].partition("//")[2]]
    for i in range(n - 1, max(n - 16, -1), -1):
        line = lines[i].strip()
        if not line or (len(said) > 1 and not line.startswith("//")):
            break
        if line.startswith("//"):
            said.append(line)
    return " ".join(reversed(said))


CALL = re.compile(r"(?:(?:\.|->)(?P<method>load|store|exchange|compare_exchange(?:_weak)?|fetch_(?:add|sub|and|or|xor))"
                  r"|(?<![\w.>:])(?P<function>fence|load_words|store_words))\(")
STATED = r"relaxed|acquire|release|acq_rel|seq_cst|order|success|failure|on_failure\(order\)"  # or the caller's
BULK = {"load_words": "load", "store_words": "store"}  # relaxed, and the place is the caller's


def arguments(code, start):
    """The arguments of the call whose opening parenthesis stands before start, and where it ends."""
    depth, found, begin = 1, [], start
    for i in range(start, len(code)):
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if depth == 0 or (depth == 1 and code[i] == ","):
            found.append(" ".join(code[begin:i].split()))
            begin = i + 1
        if depth == 0:
            return found, i + 1
    return found, len(code)


def sites(tree):
    """Each access and fence of the library: as the compiler numbers it, with its comment's edges and exception."""
    for path, text in headers(tree).items():
        lines, code = text.splitlines(), blank(text)
        for m in CALL.finditer(code) if path != SEAM else ():
            what = m.group("method") or m.group("function")
            given, end = arguments(code, m.end())
            orders = given[-2:] if what.startswith("compare") else ["relaxed"] if what in BULK else given[-1:]
            if not all(re.fullmatch(STATED, o) for o in orders):
                continue  # somebody else's method of that name
            line = line_of(text, m.start(1) if m.group(1) else m.start(2))
            said = comment_above(lines, line - 1)
            begin = max(code.rfind(c, 0, m.start()) for c in ";{}") + 1
            yield {"file": path, "line": line, "column": m.end() - text.rfind("\n", 0, m.end()) - 1,
                   "what": BULK.get(what, what.removesuffix("_weak")), "order": "/".join(orders),
                   "edges": sorted(set(re.findall(r"\[\w+:\w+\]", said))),
                   "exception": " ".join((re.findall(r"\baudit: (.*)", said) or [""])[0].replace("//", " ").split()),
                   "text": " ".join(code[begin:end].split())}


def orders_are_explained(tree):
    for path, text in headers(tree).items():
        lines = text.splitlines()
        code = re.sub(r"memory_order \w+ = [\w:]+", lambda m: " " * len(m.group()), blank(text))  # defaults
        for m in ORDER.finditer(code) if path != SEAM else ():
            n = line_of(text, m.start(1))
            if not re.search(rf"\b{m.group(1)}\b", comment_above(lines, n - 1)):
                yield path, n, f"{m.group(1)}: no comment just above says why"


def exceptions_have_a_reason(tree):
    for path, text in headers(tree).items():
        reasons = {s["line"] for s in sites({path: text}) if len(s["exception"].split()) >= 5}
        for m in re.finditer(r"//[^\n]*\baudit:", text):
            n = line_of(text, m.start())
            if not any(n <= line < n + 16 for line in reasons):
                yield path, n, "audit: gives no reason (at least five words), or belongs to no access"


def edges_have_both_ends(tree):
    ends, declared = {}, set()
    for path, text in headers(tree).items():
        opening, _, body = text.partition("#pragma once")
        declared.update(re.findall(r"\[(\w+:\w+)\]", opening))
        for block in re.finditer(r"(?:[ \t]*//[^\n]*\n?)+|//[^\n]*", body):
            for m in re.finditer(r"\[(\w+:\w+)\]", block.group()):
                order = re.findall(r"\b(release|acquire|acq_rel|seq_cst)\b", block.group()[:m.start()])
                at = line_of(text, len(opening) + 12 + block.start() + m.start())
                seen = ends.setdefault(m.group(1), {"at": (path, at)})
                seen.update(dict.fromkeys(order[-1:]))
    for name in sorted(declared - ends.keys()):
        yield SEAM, 0, f"edge [{name}] is declared but no access names it"
    for name, seen in ends.items():
        both = {"acq_rel", "seq_cst"} & seen.keys() or {"release", "acquire"} <= seen.keys()
        if not both:
            yield *seen["at"], f"edge [{name}] has only its {' '.join(seen.keys() - {'at'})} end"
        if name not in declared:
            yield *seen["at"], f"edge [{name}]: no header's opening says what it carries"


def edges_are_modelled(tree):
    for path, text in headers(tree).items():
        scenarios = tree.get(f"model/{pathlib.Path(path).stem}.cpp")
        for name in sorted(set(re.findall(r"\[\w+:\w+\]", text))) if scenarios is not None else ():
            if name not in scenarios:
                yield path, 0, f"no scenario in model/{pathlib.Path(path).stem}.cpp names {name}"


def contract_opens_the_header(tree):
    for path, text in headers(tree).items():
        opening = text.partition("#pragma once")[0]
        for part in ("State", "Invariant", "Progress", "Crash", "Synchronisation"):
            if path != SEAM and ORDER.search(blank(text)) and f"// {part}:" not in opening:
                yield path, 1, f"the opening comment lacks '{part}:'"


def asserts_do_not_synchronise(tree):
    for path, text in tree.items():
        for m in re.finditer(r"\bassert\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)", blank(text)):
            if ACCESS.search(m.group(1)) and path.startswith("lib/assay/"):
                yield path, line_of(text, m.start()), "an assert that vanishes must not synchronise"


def test_names_are_properties(tree):
    for path, text in tree.items():
        for m in re.finditer(r"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", blank(text)):
            name = m.group(2)
            if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){2,}", name) or VAGUE.search(name):
                yield path, line_of(text, m.start()), f"{name} does not say what holds"


def nothing_is_left_undone(tree):
    for path, text in tree.items():
        for m in re.finditer(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", text):
            yield path, line_of(text, m.start()), f"{m.group()}: do it, or file it"


def readme_example_runs(tree):
    example = re.search(r"```cpp\n(.*?)```", tree["README.md"], re.S)
    program = tree.get("lib/examples/quickstart.cpp", "").split("// [README]\n")
    if not example or len(program) != 3 or example.group(1) != program[1]:
        yield "README.md", 0, "the first example is not the one in lib/examples/quickstart.cpp"


def promises_name_their_test(tree):
    table = re.search(r"^\|.*if a process dies.*\n\|[-| ]*\n((?:\|.*\n)*)", tree["README.md"], re.M)
    if not table or not table.group(1):
        yield "README.md", 0, "no table says what happens if a process dies"
    for row in table.group(1).splitlines() if table else ():
        if not re.search(r"`\w+\.\w{12,}`[^|]*\|$", row):
            yield "README.md", 0, f"no test shows this: {row[:40]}"


def documents_name_what_exists(tree):
    tests = {m for t in tree.values() for m in re.findall(r"TEST(?:_F|_P)?\(\s*(\w+,\s*\w+)\)", t)}
    tests = {re.sub(r",\s*", ".", t) for t in tests}
    suites = {t.partition(".")[0] for t in tests}
    folders = {str(parent) for path in tree for parent in pathlib.PurePath(path).parents}
    for path, text in tree.items():
        if not path.endswith(".md"):
            continue
        for m in re.finditer(r"\]\((?!https?:|#)([^)#]+)", text):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), m.group(1)))
            if target not in tree and target not in folders:
                yield path, line_of(text, m.start()), f"{m.group(1)} does not exist"
        for m in re.finditer(r"`(\w+)\.(\w{12,})`", text):
            if m.group(1) in suites and m.group(0).strip("`") not in tests:
                yield path, line_of(text, m.start()), f"there is no test {m.group(0)}"


def workflows_only_call_make(tree):
    """Whatever a workflow runs, a person can run too: a target of the Makefile, with variables."""
    targets = set(re.findall(r"^([a-z]+):", tree.get("Makefile", ""), re.M))
    for path, text in tree.items():
        if not path.startswith(".github/workflows/"):
            continue
        try:
            steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
            runs = [str(step["run"]) for step in steps if "run" in step]
        except (yaml.YAMLError, TypeError, KeyError, AttributeError) as problem:
            yield path, 0, f"is no workflow: {' '.join(str(problem).split())[:100]}"
            continue
        if not runs:
            yield path, 0, "runs nothing"
        for run in runs:
            called = re.fullmatch(r"make ([a-z]+)((?: [A-Z]+=[\w.]+)*)", run)
            if not called or called.group(1) not in targets:
                yield path, 0, f"runs {run!r}, which is not a target of the Makefile"


OPEN = "#pragma once\n"
HEADERS, CODE, ALL, TEXTS = r"lib/assay/", r"\.[hc]pp$", "", r"\.md$"
RULES = {  # rule: (the files it is about, path and source of a canary)
    atomics_only_in_the_seam: (HEADERS, "lib/assay/queue.hpp", OPEN + "std::atomic<int> x;\n"),
    includes_point_down: (CODE, "lib/assay/span.hpp", OPEN + '#include "queue.hpp"\n'),
    orders_are_explained: (HEADERS, "lib/assay/queue.hpp", OPEN + "// why not\nx.load(relaxed);\n"),
    exceptions_have_a_reason: (HEADERS, "lib/assay/queue.hpp", "// relaxed. audit: fine\nx.load(relaxed);\n"),
    edges_have_both_ends: (HEADERS, "lib/assay/queue.hpp", "// [q:a]\n" + OPEN + "// release [q:a]: x\n"),
    edges_are_modelled: (HEADERS, "lib/assay/queue.hpp", "// [q:a] carries x\n" + OPEN),
    contract_opens_the_header: (HEADERS, "lib/assay/queue.hpp", "// State:\n" + OPEN + "x.load(relaxed);\n"),
    asserts_do_not_synchronise: (HEADERS, "lib/assay/queue.hpp", "assert(f(x.load(relaxed)) == 1);\n"),
    test_names_are_properties: (CODE, "lib/tests/queue.cpp", "TEST(queue, EdgeCases) {}\n"),
    readme_example_runs: (r"^README", "README.md", "```cpp\nint x;\n```\n"),
    promises_name_their_test: (r"^README", "README.md", "| a | if a process dies |\n|---|---|\n| b | fine |\n"),
    documents_name_what_exists: (TEXTS, "README.md", "[a file](lib/gone.hpp)\n"),
    workflows_only_call_make: (r"^\.github/workflows/", ".github/workflows/ci.yml",
                               "jobs: {a: {steps: [{run: make helped}]}}\n"),
    nothing_is_left_undone: (ALL, "scripts/x", "# TO" + "DO later\n"),
}
