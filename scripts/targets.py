"""What we aim for, as ratios within one run, and whether a perf.json shows that it was reached."""

import dataclasses

import perf_data


@dataclasses.dataclass
class Target:
    what: str
    rows: dict  # fields and parameters of the figure
    against: str  # limit, best (peer), vyukov (the best peer of that kind), alone (ours with one process), number, or who
    at_most: float
    begins: str = ""  # of the figure's name, where fields do not tell it apart
    contender: str = "assay"  # whose figure it is


ONE = {"producers": 1, "consumers": 1, "batch": 1}
RING = {"structure": "ring_buffer", "kind": "throughput", **ONE}
QUEUE = {"structure": "queue", "kind": "throughput", "payload": 8, "capacity": 1024, "batch": 1}
BULK = {"structure": "ring_buffer", "kind": "throughput", "capacity": 1024, "batch": 256}
POOL = {"structure": "object_pool", "kind": "throughput", "held": 1}
TARGETS = [
    Target("ring, 8 B, capacity 1024: transport limit", {**RING, "payload": 8, "capacity": 1024}, "limit", 2.5),
    Target("ring, 8 B, capacity 65536: transport limit", {**RING, "payload": 8, "capacity": 65536}, "limit", 1.5),
    Target("ring, 64 B, capacity 1024: transport limit", {**RING, "payload": 64, "capacity": 1024}, "limit", 1.1),
    Target("ring, 1 KiB, capacity 1024: transport limit", {**RING, "payload": 1024, "capacity": 1024}, "limit", 1.1),
    Target("ring, bulk of 256, 8 B: best peer", {**BULK, "payload": 8}, "best", 1.05),
    Target("ring, bulk of 256, 64 B: best peer", {**BULK, "payload": 64}, "best", 1.05),
    Target("ring, bulk of 256, 1 KiB: best peer", {**BULK, "payload": 1024}, "best", 1.05),
    Target("ring, round trip, spinning: two-line limit", {"structure": "ring_buffer", "kind": "latency"}, "limit", 1.05,
           "ring_buffer/latency/ping_pong"),
    Target("queue, 1 producer, 1 consumer: best Vyukov", {**QUEUE, "producers": 1, "consumers": 1}, "vyukov", 1.3),
    Target("queue, 2 producers, 2 consumers: best peer", {**QUEUE, "producers": 2, "consumers": 2}, "best", 1.0),
    Target("queue, a pair alone: best peer", {"structure": "queue", "kind": "throughput"}, "best", 1.5, "queue/throughput/pair"),
    Target("queue, a pair: instructions", {"structure": "queue", "kind": "instructions"}, "number", 60, "queue/instructions/pair/8B"),
    Target("queue, killed inside an operation: left stuck", {"structure": "queue", "kind": "survival"}, "number", 0),
    Target("queue, round trip, spinning: two-line limit", {"structure": "queue", "kind": "latency"}, "limit", 1.05,
           "queue/latency/ping_pong"),
    Target("wait, spin then futex, the other active: spinning", {"kind": "waiting"}, "assay (spin)", 1.3,
           "queue/waiting/round_trip/active", "assay (spin, then futex)"),
    Target("wait, spin then futex, a real sleep: eventfd", {"kind": "waiting"}, "eventfd (sleep at once)", 1.1,
           "queue/waiting/round_trip/asleep", "assay (spin, then futex)"),
    Target("attach and detach: the system calls alone", {"kind": "startup"}, "system calls", 1.2, "posix_shm/startup/attach_and_detach"),
    Target("pool, acquire and release, alone: ns", {**POOL, "processes": 1}, "number", 20),
    Target("pool, two processes: the same alone", {**POOL, "processes": 2}, "alone", 1.2),
    Target("table, find among 64: ns", {"structure": "table", "kind": "throughput", "processes": 1}, "number", 40, "table/throughput/find"),
    Target("array, scattered reads: a heap array", {"structure": "array", "kind": "throughput"}, "best", 1.03,
           "array/throughput/scattered_reads"),
    Target("array, sum: a heap array", {"structure": "array", "kind": "throughput"}, "best", 1.03, "array/throughput/sum"),
]


def measured(figures):
    return [f for f in figures if f["median"] is not None]


def meant(against, contender):
    peer = contender != perf_data.IN_TURNS and not contender.startswith("assay")
    return against == contender or (peer and (against == "best" or (against == "vyukov" and "yukov" in contender)))


def reference(document, target, figure):
    """The limit, or row, that it is compared with: something with a median, low and high; None if there is none."""
    if target.against == "limit":
        return perf_data.limit_of(document, figure)
    if target.against == "alone":
        found = [f for f in perf_data.of(document, **{**target.rows, "processes": 1}) if f["contender"] == "assay"]
    else:
        row = perf_data.row_of(figure)
        found = [f for f in document["figures"] if perf_data.row_of(f) == row and f is not figure and
                 meant(target.against, f["contender"])]
    return min(measured(found), key=lambda f: f["median"], default=None)


def judge(document, target):
    """{target, verdict, ratio, low, high, against, flags}: reached, not reached, inconclusive or not measured."""
    row = {"target": target, "verdict": "not measured", "ratio": None, "low": None, "high": None, "against": "", "flags": []}
    found = [f for f in perf_data.of(document, contender=target.contender, **target.rows) if f["name"].startswith(target.begins)]
    row["flags"] = sorted({flag for f in found for flag in f["flags"]})
    found = measured(found)
    if not found:
        return row
    figure = max(found, key=lambda f: f["median"])  # of several placements the worst counts
    base = {"median": 1, "low": 1, "high": 1, "flags": []} if target.against == "number" else reference(document, target, figure)
    if base is None or not base["median"]:
        return {**row, "flags": [*row["flags"], "nothing to compare it with"]}
    against = "" if target.against == "number" else base["contender"] if target.against != "limit" else figure["limit"]
    ratio, low, high = figure["median"] / base["median"], figure["low"] / base["high"], figure["high"] / base["low"]
    verdict = "reached" if high <= target.at_most else "not reached" if low > target.at_most else "inconclusive"
    return {**row, "verdict": verdict, "ratio": ratio, "low": low, "high": high, "against": against,
            "flags": sorted({*figure["flags"], *base["flags"]})}


def judge_all(document):
    return [judge(document, target) for target in TARGETS]
