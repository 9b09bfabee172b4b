"""Which kinds of neighbourhood two processors of this host can have, from what the kernel says in /sys."""

import os
import pathlib

CPUS = pathlib.Path("/sys/devices/system/cpu")
LEVELS = {  # level: (what two such processors share, why a host may lack it)
    "smt": ("the two threads of one core", "no core has a second thread that this process may use"),
    "cache": ("two cores below one last-level cache", "no two cores share a last-level cache"),
    "other-cache": ("two cores of one socket with a last-level cache each", "each socket has one last-level cache"),
    "socket": ("two sockets", "one socket"),
}


def numbers(text):
    """'0-2,8' as {0, 1, 2, 8}."""
    ends = [part.partition("-") for part in text.strip().split(",") if part]
    return {n for first, _, last in ends for n in range(int(first), int(last or first) + 1)}


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def describe(cpu, cpus):
    """Its core, its last-level cache (nothing if the kernel does not say) and its socket."""
    folder = cpus / f"cpu{cpu}"
    caches = [(int(read(c / "level") or 0), read(c / "shared_cpu_list")) for c in folder.glob("cache/index*")]
    core = frozenset(numbers(read(folder / "topology/thread_siblings_list"))) or frozenset({cpu})
    return core, frozenset(numbers(max(caches)[1])) if caches else None, read(folder / "topology/physical_package_id")


def level(one, other):
    (core, cache, socket), (other_core, other_cache, other_socket) = one, other
    if core == other_core:
        return "smt"
    if socket != other_socket:
        return "socket"
    if cache is None or other_cache is None:
        return None
    return "cache" if cache == other_cache else "other-cache"


def placements(cpus=CPUS, allowed=None):
    """For each level the first two processors that are placed so, or the reason why there are none."""
    mine = sorted(os.sched_getaffinity(0) if allowed is None else allowed)
    known = {cpu: describe(cpu, cpus) for cpu in mine}
    found = {}
    for i, one in enumerate(mine):
        for other in mine[i + 1:]:
            found.setdefault(level(known[one], known[other]), (one, other))
    silent = len(mine) > 1 and any(cache is None for _, cache, _ in known.values())
    return {name: found.get(name) or ("the kernel does not say who shares a cache" if silent and "cache" in name else lacking)
            for name, (_, lacking) in LEVELS.items()}
