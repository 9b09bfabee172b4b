"""Reads perf.json (perf.schema.json): every reader gets a document that was validated, or an error that says why not."""

import json
import pathlib

import jsonschema

SCRIPTS = pathlib.Path(__file__).resolve().parent


class Unreadable(Exception):
    """The file is not a perf.json, and what is wrong with it."""


def schema():
    """One document: what the schema says about the host stands in verify's."""
    described = json.loads((SCRIPTS / "perf.schema.json").read_text())
    described["properties"]["host"] = json.loads((SCRIPTS / "verify.schema.json").read_text())["definitions"]["host"]
    return described


def check(document):
    """The document, if it is one of schema 1 and its names fit together."""
    try:
        jsonschema.validate(document, schema())
    except jsonschema.ValidationError as problem:
        at = "/".join(map(str, problem.absolute_path)) or "the document"
        raise Unreadable(f"at {at}: {problem.message[:200]}") from None
    limits = {limit["name"] for limit in document["limits"]}
    names = set()
    for figure in document["figures"]:
        if figure["name"] in names:
            raise Unreadable(f"two figures are called {figure['name']}")
        names.add(figure["name"])
        if figure["limit"] is not None and figure["limit"] not in limits:
            raise Unreadable(f"{figure['name']}: there is no limit {figure['limit']}")
    return document


def read(path):
    try:
        return check(json.loads(pathlib.Path(path).read_text()))
    except OSError as problem:
        raise Unreadable(f"{path}: {problem.strerror}") from None
    except json.JSONDecodeError as problem:
        raise Unreadable(f"{path}: is no JSON: {problem}") from None
    except Unreadable as problem:
        raise Unreadable(f"{path}: {problem}") from None


def limit_of(document, figure):
    """The limit that a figure is compared with; None if there is none, or it has no number."""
    return next((limit for limit in document["limits"] if limit["name"] == figure["limit"] and limit["median"]), None)


def of(document, **wanted):
    """The figures whose fields, or parameters, have these values."""
    return [f for f in document["figures"]
            if all({**f["parameters"], **f}.get(name) == value for name, value in wanted.items())]
