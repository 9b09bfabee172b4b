"""Reads perf.json (perf.schema.json): every reader gets a document that was validated, or an error that says why not."""

import json
import math
import pathlib

import jsonschema

SCRIPTS = pathlib.Path(__file__).resolve().parent
IN_TURNS = "limit"  # the contender of a row that is its limit, measured in turns with the others


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
    limits, own = {limit["name"] for limit in document["limits"]}, limits_in_turns(document)
    names = set()
    for figure in document["figures"]:
        if figure["name"] in names:
            raise Unreadable(f"two figures are called {figure['name']}")
        names.add(figure["name"])
        limit = own.get(row_of(figure))
        if figure["limit"] != (limit["limit"] if limit else figure["limit"]):
            raise Unreadable(f"{figure['name']}: its row has another limit, {limit['limit']}")
        if figure["limit"] is not None and not limit and figure["limit"] not in limits:
            raise Unreadable(f"{figure['name']}: there is no limit {figure['limit']}")
        if limit and not math.isclose(figure["ratio_to_limit"] or 0, ratio(figure, limit), rel_tol=1e-6):
            raise Unreadable(f"{figure['name']}: its ratio is not that to the limit of its row")
    return document


def row_of(figure):
    """The name without the contender: what is compared."""
    return figure["name"].removesuffix("/" + figure["contender"])


def limits_in_turns(document):
    """{row: the limit that was measured in turns with it}; older files have none."""
    return {row_of(f): f for f in document["figures"] if f["contender"] == IN_TURNS}


def ratio(figure, limit):
    """0 if there is none: to itself, without a number."""
    return figure["median"] / limit["median"] if figure is not limit and figure["median"] and limit["median"] else 0


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
    """The limit that a figure is compared with: its row's, else that of the run if it was taken in the same regime. None without a number."""
    if figure["ratio_to_limit"] is None:
        return None
    row = row_of(figure)
    own = next((f for f in document["figures"] if f["contender"] == IN_TURNS and row_of(f) == row), None)
    return own or next((limit for limit in document["limits"] if limit["name"] == figure["limit"] and limit["median"]), None)


def of(document, **wanted):
    """The figures whose fields, or parameters, have these values."""
    return [f for f in document["figures"]
            if all({**f["parameters"], **f}.get(name) == value for name, value in wanted.items())]
