"""Runs unittest classes as a stage: a line and a check for each test (scripts/README.md)."""

import argparse
import io
import json
import pathlib
import unittest


def main(program, about, what, *classes):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", type=pathlib.Path, help="write a stage report (scripts/README.md)")
    options = parser.parse_args()
    checks = []
    for test in (t for c in classes for t in unittest.defaultTestLoader.loadTestsFromTestCase(c)):
        result = unittest.TextTestRunner(stream=io.StringIO()).run(test)
        problem = "".join(text for _, text in result.failures + result.errors)
        name = f"{program}/{test.id().rpartition('.')[2].removeprefix('test_')}"
        checks.append({"name": name, "what": what, "amount": result.testsRun, "unit": "tests",
                       "verdict": "verified" if result.wasSuccessful() else "FAILED", "detail": problem})
        print(f"{checks[-1]['verdict']:9} {name}  {problem}")
    if options.json:
        options.json.write_text(json.dumps({"schema": 1, "program": f"{program}_test", "checks": checks}))
    return int(any(c["verdict"] == "FAILED" for c in checks))
