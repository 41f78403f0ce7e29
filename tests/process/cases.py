"""Many tables filled, and gone again: `python tests/process/cases.py NAME`; without a name, the names.

Prints one object of JSON: what was resident, and what may be, while the tables were filled (the look of eight
that is furthest over its bound), when they were filled, when they were gone, and when they were filled once
more; and whether threads still start.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from bound import MIB, SMALL_BELOW, Contents
from readings import Meter, limit, raised_by, tell

from ebbmap import Cache, Map

AnyMap: Any = Map
AnyCache: Any = Cache
LOOKS = 8
"""While the tables are filled, and when they are."""
THREADS = 8
STACK_BYTES = 48 * MIB
"""More than glibc keeps of the stacks of threads that have ended: each thread gets a new one."""


class Case(NamedTuple):
    """Equal tables of equal entries, and how they go."""

    tables: int
    """In the long form, where there is memory for them."""
    entries: int
    value: int
    """Bytes of a value."""
    make: Callable[[float], Any]
    """A table; takes the seconds that an entry of a cache lives."""
    ending: str = "dropped"
    short: int = 10
    """The short form has so many times fewer tables; where there is one table, entries."""
    caches: bool = False
    ints: bool = False


def _maps(_: float) -> Any:
    return AnyMap(int, bytes)


CASES = {
    "small maps": Case(100_000, 60, 100, _maps, short=20),
    "small maps, cleared": Case(100_000, 60, 100, _maps, "cleared", short=20),
    "small maps, drained": Case(100_000, 60, 100, _maps, "drained", short=20),
    "middling maps": Case(10_000, 900, 124, _maps),
    "maps of ints": Case(100_000, 500, 8, lambda _: AnyMap(int, int), ints=True, short=20),
    "expired caches": Case(
        20_000, 150, 100, lambda ttl: AnyCache(ttl=ttl, key=int, value=bytes), "expired", caches=True
    ),
    "cleared caches": Case(
        20_000, 150, 100, lambda ttl: AnyCache(ttl=3600, key=int, value=bytes), "cleared", caches=True
    ),
    "tiny maps": Case(150_000, 10, 8, lambda _: AnyMap(int, int), ints=True),
    "blobs": Case(1, 1_000_000, 33_000, _maps, "thinned", short=75),
    "one in 32 stays": Case(16_384, 8, 8_184, _maps, "decimated", short=8),
    "one large map": Case(1, 10_000_000, 1_016, lambda _: AnyMap(int, "V1016"), "drained", short=110),
}


class Run:
    """One case, in this process."""

    def __init__(self, case: Case, tables: int, entries: int, ttl: float) -> None:
        self.case, self.ttl = case, ttl
        self.tables: list[Any] = [None] * tables
        self.keys = range(entries)
        self.blob = b"v" * case.value
        self.meter = Meter()

    def contents(self, entries: int) -> Contents:
        """Of so many entries in the tables there are; those that are still empty count as tables too."""
        size = 8 + self.case.value
        cached = entries if self.case.caches else 0
        tables = sum(table is not None for table in self.tables)
        return Contents(entries * size, tables, entries if size < SMALL_BELOW else 0, cached)

    def fill(self) -> list[dict[str, int]]:
        """Fill all tables; gives a look at each of some moments, and when they are full."""
        if len(self.tables) == 1:
            return self._fill_one()
        looks = []
        for t in range(len(self.tables)):
            if self.tables[t] is None:
                self.tables[t] = self.case.make(self.ttl)
            self._set(self.tables[t])
            if (t + 1) * LOOKS % len(self.tables) < LOOKS:
                looks.append(self.meter.look(self.contents(self._entries(t + 1))))
        return looks

    def _entries(self, tables: int) -> int:
        """How many entries the first so many tables have: the first may expire before the last are filled."""
        if self.case.ending != "expired":
            return tables * len(self.keys)
        return sum(table.stats()["entries"] for table in self.tables[:tables])

    def _fill_one(self) -> list[dict[str, int]]:
        """Fill the one table there is."""
        looks = []
        self.tables[0] = table = self.tables[0] if self.tables[0] is not None else self.case.make(self.ttl)
        for look in range(LOOKS):
            for key in self.keys[look * len(self.keys) // LOOKS : (look + 1) * len(self.keys) // LOOKS]:
                table[key] = self.blob
            looks.append(self.meter.look(self.contents(len(table))))
        return looks

    def _set(self, table: Any) -> None:
        keys = np.array(self.keys)
        table.set_many(keys, keys if self.case.ints else [self.blob] * len(keys))

    def end(self) -> Contents:
        """Let the tables go as the case says; what is left then."""
        filled = time.monotonic()
        ways: dict[str, Callable[[], Contents]] = {
            "dropped": self.drop,
            "cleared": lambda: self._each(lambda table: table.clear()),
            "drained": lambda: self._each(self._drain),
            "expired": lambda: self._expired(filled),
            "thinned": self._thin,
            "decimated": self._decimate,
        }
        return ways[self.case.ending]()

    def drop(self) -> Contents:
        for t in range(len(self.tables)):
            self.tables[t] = None
        return Contents()

    def _each(self, do: Callable[[Any], object]) -> Contents:
        for table in self.tables:
            do(table)
        return Contents(tables=len(self.tables))

    def _drain(self, table: Any) -> None:
        if len(self.tables) == 1:  # one by one, so that no call needs memory for all keys
            for key in self.keys:
                del table[key]
        else:
            table.delete_many(np.array(self.keys))

    def _expired(self, filled: float) -> Contents:
        """Nobody calls: the library's own thread has to see to it."""
        time.sleep(max(0.0, filled + self.ttl - time.monotonic()))
        return Contents(tables=len(self.tables))

    def _thin(self) -> Contents:
        """Remove every other entry of the one table."""
        for key in self.keys[::2]:
            del self.tables[0][key]
        return self.contents(len(self.keys) // 2)

    def _decimate(self) -> Contents:
        """Drop all tables but every 32nd."""
        for t in range(len(self.tables)):
            if t % 32:
                self.tables[t] = None
        left = -(-len(self.tables) // 32)
        return self.contents(left * len(self.keys))


def start_threads() -> None:
    """Start threads, which need mappings for their stacks; `RuntimeError` where one can't be had."""
    threading.stack_size(STACK_BYTES)
    done, started = threading.Event(), list[threading.Thread]()
    try:
        for _ in range(THREADS):
            thread = threading.Thread(target=done.wait)
            thread.start()
            started.append(thread)
    finally:
        done.set()
        for thread in started:
            thread.join()


def run(case: Case, tables: int, entries: int, ttl: float) -> None:
    """Fill, let go, and fill again."""
    warm_up = Run(case, min(tables, 2), min(entries, 100), ttl=0.05)
    warm_up.fill()
    warm_up.drop()
    start_threads()
    this = Run(case, tables, entries, ttl)
    looks = this.fill()
    found: dict[str, Any] = {"filling": worst(looks), "filled": looks[-1]}
    found["left"] = this.meter.settled(this.end())
    found["no threads"] = raised_by(start_threads)
    looks = []
    found["no refill"] = raised_by(lambda: looks.extend(this.fill()))
    if looks:
        found |= {"refilling": worst(looks), "refilled": looks[-1]}
    found["dropped"] = this.meter.settled(this.drop())
    tell(**found)


def worst(looks: list[dict[str, int]]) -> dict[str, int]:
    return max(looks, key=lambda look: look["resident"] - look["bound"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=CASES)
    parser.add_argument("--gib", type=float, help="the long form, with so much contents at most")
    parser.add_argument("--again", help="a run of its own, whatever has been run before")
    args = parser.parse_args()
    if args.name is None:
        tell(names=list(CASES))
        return
    case = CASES[args.name]
    most = case.tables * case.entries * (8 + case.value)
    share = 1 / case.short if args.gib is None else min(1.0, args.gib * 1024 * MIB / most)
    tables = max(1, int(case.tables * share))
    entries = int(case.entries * share) if case.tables == 1 else case.entries
    contents = int(most * share)
    limit(min(4 * contents + 2560 * MIB, max(6500 * MIB, 2 * contents)))
    run(case, tables, entries, ttl=1.5 if args.gib is None else 20.0)


if __name__ == "__main__":
    main()
