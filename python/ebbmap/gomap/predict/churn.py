"""What "delete the oldest, insert a new one" does to a map of constant size.

A bucket or a group sees entries come at random and go: a birth-and-death chain over its count, followed here
as shares of all buckets. Time is counted in turnovers: one is as many steps as the map has entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ebbmap.gomap.chance import binomial
from ebbmap.gomap.predict.base import SLOTS

_STEP = 0.02
_LATE, _LATE_STEP = 5.0, 0.05  # tables that last so long change slowly, and are so empty that longer steps do
_PRUNED_FOR_GOOD = 10.0  # turnovers: a table that pruning has kept so long, it keeps
# The chain is of entries that go at random; ones that go in order mix the counts faster. Fitted to the
# executable models, for loads of 0.5 to 0.75 (Swiss) and 3.3 to 6.4 (classic).
_IN_ORDER = 0.75
_IN_ORDER_CLASSIC = 0.9
_PASSED = 0.8  # of the entries that a closed group passed on, how many keep it closed; fitted likewise
# How often in a turnover a table's load is as good as drawn anew: where pruning starts it afresh, each draw
# may be one too many. From real Go 1.26, 100 turnovers around the load at which tables begin to split.
_DRAWN_AGAIN = 0.1
_PRUNED_SHARE = 0.1  # of a table's slots that pruning must win back


@lru_cache(maxsize=256)
def overflow_share(entries: int, b: int, turnovers: float) -> float:
    """Overflow buckets for each of the 2^b buckets of a classic map of `entries`, after so many turnovers.

    A chain is as long as its fullest moment needed, until there are as many overflow buckets as buckets;
    then a growth of the same size makes all chains compact again.
    """
    return list(_overflow_shares(entries, b, turnovers))[-1]


@lru_cache(maxsize=256)
def most_overflow_share(entries: int, b: int, turnovers: float) -> float:
    """The most that there are at any moment of so many turnovers."""
    most = 0.0
    for share in _overflow_shares(entries, b, turnovers):
        most = max(most, share)
        if most >= 1:
            return 1.0
    return most


def _overflow_shares(entries: int, b: int, turnovers: float) -> Iterator[float]:
    """The share after each step of the chain."""
    if b == 0:
        yield 0.0  # one bucket that always holds the same
        return
    load, fresh = entries / (1 << b), _fresh_chains(entries, b)
    chains = fresh
    for _ in range(round(turnovers / _IN_ORDER_CLASSIC / _STEP)):
        yield (share := sum(map(_outgrown, chains)))
        chains = [_step(chain, load) for chain in (fresh if share >= 1 else chains)]
    yield sum(map(_outgrown, chains))


def _fresh_chains(entries: int, b: int) -> list[list[float]]:
    """For each length of chain: the shares of buckets by count, of those that never needed a longer one."""
    counts = list(binomial(entries, 0.5**b))
    lengths = range(1, len(counts) // SLOTS + 1)
    return [counts[: length * SLOTS + 1] for length in lengths if sum(counts[length * SLOTS + 1 :]) > 1e-9]


def _outgrown(chain: list[float]) -> float:
    return 1 - sum(chain)


def _step(counts: list[float], load: float) -> list[float]:
    """One step of the chain; what passes its end has outgrown it."""
    arrive = load * _STEP
    came = [0.0, *(share * arrive for share in counts[:-1])]
    went = [share * k * _STEP for k, share in enumerate(counts)]
    return [
        share * (1 - arrive) + came[k] - went[k] + (went[k + 1] if k + 1 < len(counts) else 0.0)
        for k, share in enumerate(counts)
    ]


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
        """Entries come and go for one step of time."""
        arrive = SLOTS * self.load / (1 - self.closed[SLOTS]) * long
        closing = self.open[-1] * arrive
        self.open = _flow(self.open, arrive, long)
        self.closed = _flow(self.closed, arrive, long, full=True)
        self.closed[SLOTS] += closing

    def prune(self) -> bool:
        """Open the groups no search passes; False if that wins too little."""
        passing = SLOTS * self.load / (1 - self.closed[SLOTS]) * self.closed[SLOTS] / sum(self.closed)
        free = math.exp(-_PASSED * passing)
        if self.tombstones * free < _PRUNED_SHARE * SLOTS:
            return False
        self.open = [share + free * self.closed[k] for k, share in enumerate(self.open)]
        self.closed = [*(share * (1 - free) for share in self.closed[:SLOTS]), self.closed[SLOTS]]
        return True


def _flow(counts: list[float], arrive: float, long: float, full: bool = False) -> list[float]:
    """One step: each count goes up with `arrive` (a full group's doesn't) and down with its entries."""
    last = len(counts) - 1
    up = [share * (arrive if k < last or not full else 0.0) for k, share in enumerate(counts)]
    down = [share * k * long for k, share in enumerate(counts)]
    return [
        share - up[k] - down[k] + (up[k - 1] if k else 0.0) + (down[k + 1] if k < last else 0.0)
        for k, share in enumerate(counts)
    ]


@lru_cache(maxsize=1024)
def turnovers_to_rebuild(load: float, prunes: bool, limit: float) -> float:
    """Turnovers until tombstones fill a Swiss table of `load` entries a slot, so that it doubles or splits.

    Infinity if that takes more than `limit`.
    """
    groups, room, spent = _Groups.filled(load), SLOTS * (7 / 8 - load), 0.0
    last = min(limit, _PRUNED_FOR_GOOD) if prunes else limit
    while spent <= last:
        if groups.tombstones >= room and not (prunes and groups.prune()):
            return spent
        long = _STEP if spent < _LATE else _LATE_STEP
        groups.step(long)
        spent += long * _IN_ORDER
    return math.inf


@lru_cache(maxsize=64)
def rebuilding_load(turnovers: float, prunes: bool) -> float:
    """The load (entries a slot) above which a Swiss table is rebuilt within so many turnovers."""
    low, high = 0.0, 7 / 8
    limit = 2.0 ** math.ceil(math.log2(turnovers))  # one for many, so that answers are found again
    while high - low > 0.002:
        middle = (low + high) / 2
        rebuilt = turnovers_to_rebuild(middle, prunes, limit) <= turnovers
        low, high = (low, middle) if rebuilt else (middle, high)
    return high


def rebuilt_share(load: float, deviation: float, turnovers: float, prunes: bool) -> float:
    """The share of tables with `load` entries a slot (deviating so much) that are rebuilt in that time."""
    if turnovers <= 0:
        return 0.0
    bound = rebuilding_load(turnovers, prunes)
    if deviation <= 0:
        return float(load > bound)
    chance = 0.5 * math.erfc((bound - load) / deviation / math.sqrt(2))
    again = _DRAWN_AGAIN * max(0.0, turnovers - 1) if prunes else 0.0
    spared: float = (1 - chance) ** (1 + again)
    return 1 - spared
