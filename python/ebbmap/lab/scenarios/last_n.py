"""The last 1,000 customers: of constant size, which is said to be no problem."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

from ebbmap.lab.bench import Bench
from ebbmap.lab.course import PROBES
from ebbmap.lab.model import Settings
from ebbmap.lab.scenarios.base import Drive, Scenario
from ebbmap.lab.subjects import BOUNDED, GO
from ebbmap.lab.subjects.bounded import Bounded

TURNS, LEAST = 5, 100_000
"""Every entry is replaced so often, and at least so many customers come."""
SAMPLES = 50


def customers(n: int) -> int:
    """How many come in all."""
    return max((TURNS + 1) * n, LEAST)


def prepare(settings: Settings) -> Drive:
    """Nothing to prepare."""
    return lambda bench, make: _Turning(bench, settings.n).run(make())


class _Turning:
    def __init__(self, bench: Bench, n: int) -> None:
        self._bench = bench
        self._n = n
        self._slowest = self._most = 0
        self._asked = self._expired_returned = self._live_lost = 0

    def run(self, subject: Bounded) -> None:
        """Sample the empty container, then the full one, then at even distances to the end."""
        self._bench.phase("turning")
        self._bench.sample(subject, 0.0, 0, 0.0)
        come = 0
        for until in stops(self._n):
            self._come(subject, range(come, until))
            come = until
            self._note(subject.maintain)
            self._bench.sample(subject, come / self._n, min(come, self._n), come / customers(self._n))
            self._probe(subject, come)
        self._bench.finish(
            peak_alive=min(come, self._n),
            slowest_op_ns=self._slowest,
            asked=self._asked,
            expired_returned=self._expired_returned,
            live_lost=self._live_lost,
            late_ns=0,
        )

    def _come(self, subject: Bounded, keys: range) -> None:
        put, slowest = subject.put, self._slowest
        for key in keys:
            value = self._bench.value(key)
            start = perf_counter_ns()
            put(key, value)
            took = perf_counter_ns() - start
            if took > slowest:
                slowest = took
        self._slowest = slowest

    def _probe(self, subject: Bounded, come: int) -> None:
        """Ask for some of the newest, and for some of those before them.

        The oldest tenth is left alone: with some caches asking for one keeps it, at the cost of another.
        """
        there = range(come - (min(come, self._n) * 9 + 9) // 10, come)
        gone = range(max(0, come - 2 * self._n), come - self._n)
        for key in _some(there):
            self._asked += 1
            self._live_lost += not subject.has(key)
        for key in _some(gone):
            self._asked += 1
            self._expired_returned += bool(subject.has(key))

    def _note(self, act: Callable[[], None]) -> None:
        start = perf_counter_ns()
        act()
        self._slowest = max(self._slowest, perf_counter_ns() - start)


def stops(n: int) -> list[int]:
    """After how many customers samples are taken."""
    total = customers(n)
    return [n, *(n + (total - n) * (place + 1) // SAMPLES for place in range(SAMPLES))]


def _some(keys: range) -> range:
    return keys[:: max(1, len(keys) // PROBES)][:PROBES]


SCENARIO = Scenario(
    "last-n",
    "the newest customers, --n of them: for each that comes the oldest goes",
    prepare,
    BOUNDED,
    GO,
    (
        "go:inline",
        "go:recreate",
        "dict",
        "dict:recreate",
        "cachetools.FIFOCache",
        "cachetools.LRUCache",
        "cachebox.FIFOCache",
        "cachebox.LRUCache",
        "theine.Cache",
        "moka_py.Moka",
        "lru.LRU",
        "ebbmap:inline",
        "ebbmap:cache:object",
        "ebbmap:cache",
    ),
    n=1000,
)
