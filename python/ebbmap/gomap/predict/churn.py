"""What "delete the oldest, insert a new one" does to a map of constant size.

A bucket or a group sees entries come at random and go: a birth-and-death chain over its count, followed here
as shares of all buckets. Time is counted in turnovers: one is as many steps as the map has entries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ebbmap.gomap.chance import UNUSUAL, binomial
from ebbmap.gomap.predict.base import SLOTS

# A step of the chain: so many turnovers, or this share of those that have passed, if that is more.
_STEP, _GROWTH = 0.02, 0.04
# The chain is of entries that go at random; ones that go in order mix the counts faster. Fitted to the
# executable models, for loads of 0.5 to 0.75 (Swiss) and 3.3 to 6.4 (classic).
_IN_ORDER = 0.75
_IN_ORDER_CLASSIC = 0.9
# Tables of the same load are not rebuilt at the same time. This is the standard deviation of a table of one
# group, as a share of the load at which half of the tables are rebuilt; it falls with the square root of the
# groups. From the chain's own variance, for 3 to 1,000,000 turnovers.
_NOISE = 0.25
# Where tables are pruned: the load at which one attempt fails for half of them, its deviation for one group,
# and independent attempts a turnover. Fitted to Go 1.27: tables of 16 to 1,024 slots, 1 to 100,000 turnovers.
_PRUNED_LOAD, _PRUNED_NOISE, _ATTEMPTS = 0.665, 0.1, 0.2
_NEGLIGIBLE = 1e-6


def overflow_share(entries: int, b: int, turnovers: float) -> float:
    """Overflow buckets for each of the 2^b buckets of a classic map of `entries`, after so many turnovers.

    A chain is as long as its fullest moment needed, until there are as many overflow buckets as buckets;
    then a growth of the same size makes all chains compact again.
    """
    times, shares = _overflow_course(entries, b, turnovers)
    if shares[-1] < 1:
        return shares[-1]
    whole = sum(
        (after - before) * share for (before, after), share in zip(pairwise(times), shares, strict=False)
    )
    return whole / times[-1]  # the mean of a cycle: after the first, maps are at different points of theirs


def compacts(entries: int, b: int, turnovers: float) -> bool:
    """Whether the chains of a classic map are made compact within so many turnovers."""
    return most_overflow_share(entries, b, turnovers) == 1


def most_overflow_share(entries: int, b: int, turnovers: float) -> float:
    """The most at any moment of so many turnovers, of 99 maps in 100; never more than one a bucket."""
    most = max(_overflow_course(entries, b, turnovers)[1])
    return min(1.0, most + UNUSUAL * math.sqrt(most / (1 << b)))


@lru_cache(maxsize=256)
def _overflow_course(entries: int, b: int, turnovers: float) -> tuple[list[float], list[float]]:
    """Turnovers, and the share that there is after so many, to the last or to when all is made compact."""
    if b == 0:
        return [turnovers], [0.0]  # one bucket that always holds the same
    load, chains = entries / (1 << b), _fresh_chains(entries, b)
    times, shares = [0.0], [sum(map(_outgrown, chains))]
    while times[-1] < turnovers and shares[-1] < 1:
        long = min(_step_at(times[-1]), (turnovers - times[-1]) / _IN_ORDER_CLASSIC)
        chains = [_flow(chain, load, long) for chain in chains]
        times.append(times[-1] + long * _IN_ORDER_CLASSIC)
        shares.append(sum(map(_outgrown, chains)))
    return times, shares


def _fresh_chains(entries: int, b: int) -> list[list[float]]:
    """For each length of chain: the shares of buckets by count, of those that never needed a longer one."""
    counts = list(binomial(entries, 0.5**b))
    lengths = range(1, len(counts) // SLOTS + 1)
    return [counts[: length * SLOTS + 1] for length in lengths if sum(counts[length * SLOTS + 1 :]) > 1e-9]


def _outgrown(chain: list[float]) -> float:
    return 1 - sum(chain)


@dataclass
class _Groups:
    """Shares of a table's groups by entries: those with an empty slot, and those that were full once.

    The latter turn deleted slots into tombstones, until their table is rebuilt or pruned.
    """

    load: float
    open: list[float]
    closed: list[float]

    @classmethod
    def filled(cls, load: float) -> _Groups:
        """A table filled to `load` (entries a slot) by inserts alone; a full group passes entries on."""
        groups, steps = cls(load, [1.0] + [0.0] * (SLOTS - 1), [0.0] * (SLOTS + 1)), 200
        for _ in range(steps):
            arrive = SLOTS * load / steps / (1 - groups.closed[SLOTS])
            groups.closed[SLOTS] += groups.open[-1] * arrive
            came = [0.0, *(share * arrive for share in groups.open[:-1])]
            groups.open = [share * (1 - arrive) + came[k] for k, share in enumerate(groups.open)]
        return groups

    @property
    def tombstones(self) -> float:
        """Tombstones a group."""
        return sum(share * (SLOTS - k) for k, share in enumerate(self.closed))

    def step(self, long: float) -> None:
        """Entries come and go for one step of time, of any length."""
        arrive = SLOTS * self.load / (1 - self.closed[SLOTS])
        opened = _flow(self.open, arrive, long)
        closing = opened[-1] * arrive * long
        self.closed = _flow([*self.closed[:SLOTS], self.closed[SLOTS] + closing], arrive, long, full=True)
        self.open = opened


def _flow(counts: list[float], arrive: float, long: float, full: bool = False) -> list[float]:
    """One step: each count goes up with `arrive` (a full group's doesn't) and down with its entries.

    By the backward Euler method, which no length of step makes unstable: a tridiagonal system is solved.
    """
    last = len(counts) - 1
    ratios, result = [0.0], [0.0]
    for k, share in enumerate(counts):
        up = arrive if k < last or not full else 0.0
        pivot = 1 + long * (up + k - arrive * ratios[-1])
        ratios.append(long * (k + 1) / pivot)
        result.append((share + long * arrive * result[-1]) / pivot)
    for k in range(last, 0, -1):
        result[k] += ratios[k] * result[k + 1]
    return result[1:]


@lru_cache(maxsize=1024)
def turnovers_to_rebuild(load: float, limit: float) -> float:
    """Turnovers until tombstones fill a Swiss table of `load` entries a slot, so that it doubles or splits.

    Infinity if that takes more than `limit`. Pruning isn't counted on. O(log limit).
    """
    groups, room, spent = _Groups.filled(load), SLOTS * (7 / 8 - load), 0.0
    while spent <= limit:
        if groups.tombstones >= room:
            return spent
        long = _step_at(spent)
        groups.step(long)
        spent += long * _IN_ORDER
    return math.inf


def _step_at(spent: float) -> float:
    return max(_STEP, _GROWTH * spent)


@lru_cache(maxsize=64)
def rebuilding_load(turnovers: float) -> float:
    """The load (entries a slot) above which a Swiss table without pruning is rebuilt in that time."""
    low, high = 0.0, 7 / 8
    limit = 2.0 ** math.ceil(math.log2(turnovers))  # one for many, so that answers are found again
    while high - low > 0.002:
        middle = (low + high) / 2
        rebuilt = turnovers_to_rebuild(middle, limit) <= turnovers
        low, high = (low, middle) if rebuilt else (middle, high)
    return high


def rebuilt_share(load: float, deviation: float, groups: int, turnovers: float, prunes: bool) -> float:
    """The share of tables of so many groups that are rebuilt in that time.

    `load` is the mean in entries a slot, and `deviation` its spread over the tables. Every turnover draws a
    table's load anew. Without pruning a table is rebuilt by its mean over time; with it, by its worst draw.
    """
    if turnovers <= 0:
        return 0.0
    root, unpruned = math.sqrt(groups), 1.0
    if prunes:
        fails = _above(load, _PRUNED_LOAD, math.hypot(deviation, _PRUNED_NOISE / root))
        unpruned = 1 - (1 - fails) ** (1 + _ATTEMPTS * turnovers)
        if unpruned < _NEGLIGIBLE:
            return 0.0
    bound = rebuilding_load(turnovers)
    spread = math.hypot(deviation / math.sqrt(1 + turnovers), _NOISE * bound / root)
    return unpruned * _above(load, bound, spread)


def _above(load: float, bound: float, deviation: float) -> float:
    return 0.5 * math.erfc((bound - load) / deviation / math.sqrt(2))
