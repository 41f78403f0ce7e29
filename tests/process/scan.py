"""One table at a time, filled with entries of one size, and drained: `python tests/process/scan.py dtype`.

Entries come and go one by one; how many there are in the end, `--band` says. Prints a line of JSON for each
size: where `nbytes` was furthest over the promise, and what was resident at the top and at the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from bound import MIB, ONE_TABLE_FIXED, SMALL_BELOW, Contents, most_of_one
from readings import Meter, limit, return_large_objects, tell
from thresholds import LARGEST_ENTRY, entry_sizes

from ebbmap import Cache, Map

AnyMap: Any = Map
AnyCache: Any = Cache
KEY = 8
EACH = 1_000
"""Up to so many entries, each step is looked at; further on, each thousandth of the entries."""


def _fixed(entry: int) -> Any:
    return np.dtype(("V", entry - KEY))


TABLES: dict[str, tuple[int, Callable[[int], Any]]] = {
    "dtype": (KEY + 1, lambda entry: AnyMap(int, _fixed(entry))),
    "bytes": (KEY, lambda entry: AnyMap(int, bytes)),
    "cache": (KEY + 1, lambda entry: AnyCache(ttl=1, key=int, value=_fixed(entry), timer=lambda: 0.0)),
    "keys": (1, lambda entry: AnyMap(bytes, bytes)),
}
"""The least size of an entry, and a table of such; of `keys`, all of an entry is its key."""


class Worst:
    """The step at which a table held the most over what it may."""

    def __init__(self, table: Any, entry: int, is_cache: bool) -> None:
        self.table, self.entry, self.is_cache = table, entry, is_cache
        self.found: dict[str, Any] = {"over": -sys.maxsize}
        self.ratio = 0.0
        """The highest of `nbytes`, less the fixed part of the promise, over contents."""

    def look(self, entries: int, phase: str) -> None:
        held = self.table.nbytes
        over = held - most_of_one(entries * self.entry, entries, self.is_cache)
        self.ratio = max(self.ratio, (held - ONE_TABLE_FIXED) / (entries * self.entry or held))
        if over > self.found["over"]:
            self.found = {"over": over, "entries": entries, "nbytes": held, "phase": phase}


def key_of(name: str, entry: int) -> Callable[[int], Any]:
    """What makes a key of a number."""
    return (lambda number: number.to_bytes(entry, "big")) if name == "keys" else lambda number: number


def steps(numbers: range) -> Iterator[range]:
    """One number at a time while there are few, later a thousandth of them."""
    at = 0
    while at < len(numbers):
        step = max(1, max(at, len(numbers) // 100) // EACH)
        yield numbers[at : at + step]
        at += step


def scan(name: str, entry: int, contents: int, most_entries: int) -> dict[str, Any]:
    """Fill and drain a table of one size of entries."""
    is_cache, meter = name == "cache", Meter()
    table, key = TABLES[name][1](entry), key_of(name, entry)
    value = b"" if name == "keys" else b"v" * (entry - KEY)
    count = max(1, min(contents // entry, most_entries, 256 ** min(entry, 4)))
    worst = Worst(table, entry, is_cache)
    start = Meter()  # the value is the program's own
    for some in steps(range(count)):
        for number in some:
            table[key(number)] = value
        worst.look(some.stop, "filling")
    small = count if entry < SMALL_BELOW else 0
    top = start.look(Contents(count * entry, 1, small, count * is_cache))
    for some in steps(range(count)[::-1]):
        for number in some:
            del table[key(number)]
        worst.look(some[-1], "draining")
    left = table.nbytes
    del table, worst.table, value
    end = meter.settled(Contents())
    return {**worst.found, "ratio": worst.ratio, "top": top, "left": left, "end": end, "count": count}


class Band(NamedTuple):
    """Which sizes of entries are tried, and how many entries of each."""

    least: int = 1
    most: int = LARGEST_ENTRY
    mib: float = 2.0
    entries: int = 30_000
    every: int = 1

    def sizes(self, table: str) -> list[int]:
        """Those around every threshold, of which every so many are taken."""
        least = max(self.least, TABLES[table][0])
        return [size for size in entry_sizes() if least <= size <= self.most][:: self.every]


def band(text: str) -> Band:
    """A band, as the command line has it: its numbers with colons between, from the first on."""
    numbers = text.split(":")
    return Band(*(float(n) if at == 2 else int(n) for at, n in enumerate(numbers)))  # type: ignore[arg-type]  # by place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument(
        "--band",
        type=band,
        action="append",
        help="least:most:mib:entries:every, from the first on; may be repeated",
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="of entries, in place of those of each band")
    args = parser.parse_args()
    bands: list[Band] = args.band or [Band()]
    return_large_objects()
    limit(min(int(4 * max(band.mib for band in bands) * MIB) + 1024 * MIB, 6144 * MIB))
    scan(args.table, TABLES[args.table][0] + 10, 1 << 16, 1000)  # warms up
    for one in bands:
        for entry in args.sizes or one.sizes(args.table):
            tell(table=args.table, entry=entry, **scan(args.table, entry, int(one.mib * MIB), one.entries))


if __name__ == "__main__":
    main()
