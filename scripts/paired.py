"""Decides whether B is slower or faster than A from pairs of samples taken one right after the other.

The order within a pair is drawn by lot, so if A and B are the same the logarithm of B / A is as likely
to be d as -d, whatever the host does: drift, steps and outliers hit both alike. That makes Wilcoxon's
signed-rank test exact; the Hodges-Lehmann estimate and its interval come from the same distribution.
A row is judged at a few fixed numbers of pairs, and the error that is allowed is divided among rows and
looks (Bonferroni), so judging many rows, or early, makes no false alarm likelier.
"""

import dataclasses
import functools
import math

import numpy

ALARM = 0.004  # chance of any false alarm in one comparison, at most
LOOKS = (12, 24, 48, 96, 192)  # pairs of a row after which it is judged
IGNORED = math.log(1.01)  # a change that is smaller is none: the layout of the code alone makes as much
CLOSE = math.log(1.025)  # an interval within this needs no further pairs


@dataclasses.dataclass
class Verdict:
    outcome: str  # better, worse, inconclusive
    pairs: int
    change: float | None = None  # of B / A, as a logarithm, with its interval
    low: float | None = None
    high: float | None = None

    @property
    def close(self):
        """No change that matters is left possible."""
        return self.low is not None and -CLOSE < self.low and self.high < CLOSE


@functools.lru_cache(maxsize=None)
def distribution(n):
    """P(T <= t) of the signed-rank statistic of n pairs, if both are the same."""
    chance = numpy.ones(1)
    for rank in range(1, n + 1):
        grown = numpy.zeros(len(chance) + rank)
        grown[:len(chance)] += chance / 2
        grown[rank:] += chance / 2
        chance = grown
    return numpy.cumsum(chance)


def interval(differences, error):
    """The Hodges-Lehmann estimate and the interval that misses the truth with that chance at most; None if too few."""
    d = numpy.asarray(differences, dtype=float)
    outside = int(numpy.searchsorted(distribution(len(d)), error / 2, side="right"))
    if outside == 0:
        return None
    walsh = numpy.sort(((d[:, None] + d[None, :]) / 2)[numpy.triu_indices(len(d))])
    return float(numpy.median(walsh)), float(walsh[outside - 1]), float(walsh[-outside])


def judge(differences, rows, less_is_better=True):
    """The verdict on one of so many rows, from log(B / A) of each pair."""
    found = interval(differences, ALARM / len(LOOKS) / rows) if len(differences) else None
    if found is None:
        return Verdict("inconclusive", len(differences))
    change, low, high = found
    grew = low > IGNORED
    if grew or high < -IGNORED:
        return Verdict("worse" if grew == less_is_better else "better", len(differences), *found)
    return Verdict("inconclusive", len(differences), *found)


def compare(names, take, watch=lambda verdicts: None, less_is_better=lambda name: True):
    """The verdict on each row. take(name) is log(B / A) of a fresh pair, or None when it had to be dropped."""
    pairs, tried = {name: [] for name in names}, dict.fromkeys(names, 0)
    verdicts = {name: Verdict("inconclusive", 0) for name in names}
    left = set(names)
    for look in LOOKS:
        while waiting := [n for n in names if n in left and len(pairs[n]) < look and tried[n] < 8 * LOOKS[0] + 3 * look]:
            for name in waiting:  # in turns, so that every row sees every mood of the host
                tried[name] += 1
                if (difference := take(name)) is not None:
                    pairs[name].append(difference)
        for name in left:
            verdicts[name] = judge(pairs[name], len(names), less_is_better(name)) if len(pairs[name]) >= look else verdicts[name]
        left -= {n for n in left if verdicts[n].outcome != "inconclusive" or verdicts[n].close or len(pairs[n]) < look}
        watch(verdicts)
    for name in names:  # what starved early has pairs that no look has seen: they are too few to judge by
        verdicts[name].pairs = max(verdicts[name].pairs, len(pairs[name]))
    return verdicts


def overall(verdicts):
    outcomes = {v.outcome for v in verdicts.values()}
    return next((o for o in ("worse", "better") if o in outcomes), "inconclusive")
