"""An hour of peaks and troughs, scaled to two minutes: `python benches/soak.py`.

One process keeps three caches on the default clock (inline, objects, and one bounded in bytes) and fills
them in `--peaks` peaks to `--alive` entries each, of values of 1 to 256 bytes, some renewed, some deleted,
some used until they idle out. Between the peaks nobody touches them: what is there expires by itself. After
each peak comes a trough, in which the process's RSS is set against that in the first trough. Answers are
checked as they come: a value found must be the one set, and nothing may be found after its lifetime.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from _common import Figures, arguments, document, save
from ebbmap import Cache

MIB = 1 << 20
PROCESS = psutil.Process()
Row = dict[str, Any]


class Load:
    """The caches, and what is done to them."""

    def __init__(self, ttl: float, alive: int) -> None:
        self.ttl, self.alive = ttl, alive
        self.random = random.Random(alive)
        self.caches: list[Cache[Any, Any]] = [
            Cache(ttl=ttl, key=int, value=bytes),
            Cache(ttl=ttl, idle=ttl / 2),
            Cache(ttl=ttl, key=int, value=bytes, max_bytes=alive * 100),
        ]
        self.values = [bytes([i % 251]) * (1 + i % 256) for i in range(1024)]
        self.wrong = self.operations = 0

    def peak(self, seconds: float) -> None:
        """Arrivals, as fast as the goal asks for, until the time is over."""
        end = time.monotonic() + seconds
        for share in self.shares(seconds):
            for key in range(int(self.alive * share[0]), int(self.alive * share[1])):
                self.arrive(key)
            if time.monotonic() > end:
                return

    def shares(self, seconds: float) -> Iterator[tuple[float, float]]:
        """Parts of the arrivals, each begun when its time has come."""
        start, parts = time.monotonic(), 100
        for part in range(parts):
            wait = start + seconds * part / parts - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            yield part / parts, (part + 1) / parts

    def arrive(self, key: int) -> None:
        """A new entry, and something done to an older one."""
        value = self.values[key % 1024]
        older = self.random.randrange(key + 1)
        for cache in self.caches:
            cache[key] = value
            found = cache.get(older)
            self.wrong += found is not None and found != self.values[older % 1024]
        if key % 10 == 0:
            self.caches[0].pop(older, None)
            self.caches[0].touch(older + 1)
        self.operations += 6

    def held(self) -> int:
        return sum(cache.nbytes for cache in self.caches)

    def found_after_its_time(self) -> int:
        """Entries that are still found; called a lifetime after the last arrival."""
        keys = range(0, self.alive, 97)
        return sum(cache.get(key) is not None for cache in self.caches for key in keys)


def rss() -> int:
    return int(PROCESS.memory_info().rss)


def one_round(load: Load, seconds: float) -> Row:
    """A peak, the time in which it expires untouched, and a trough."""
    load.peak(seconds * 0.4)
    alive = sum(map(len, load.caches))
    top, held = rss(), load.held()
    time.sleep(seconds * 0.6)
    row: Row = {"alive at the peak": alive, "RSS at the peak": top, "nbytes at the peak": held}
    row |= {"RSS in the trough": rss(), "nbytes in the trough": load.held()}
    row["wrong answers"] = load.wrong + load.found_after_its_time()
    return row


def shown(number: int, row: Row, first: int) -> str:
    more = (row["RSS in the trough"] - first) / MIB
    sizes = [row[name] / MIB for name in ("RSS at the peak", "nbytes at the peak", "RSS in the trough")]
    cells = "".join(f"{size:>14.1f}" for size in (*sizes, row["nbytes in the trough"] / MIB, more))
    return f"{number:>5}{row['alive at the peak']:>12,}{cells}{row['wrong answers']:>8}"


def main() -> None:
    args = arguments(__doc__, seconds=120.0, peaks=6, alive=150_000, json="")
    seconds = args.seconds / args.peaks
    load = Load(seconds * 0.35, args.alive)
    for key in range(2000):  # what comes with the first use: code, arenas, the sweeper's stack
        load.arrive(key)
    print("MiB       entries   RSS, peak  nbytes, peak   RSS, trough  nbytes, trough  over first   wrong")
    rows: list[Row] = []
    for number in range(1, args.peaks + 1):
        rows.append(one_round(load, seconds))
        print(shown(number, rows[-1], rows[0]["RSS in the trough"]), flush=True)
    report(args, load, rows)


def report(args: Any, load: Load, rows: list[Row]) -> None:
    first = rows[0]["RSS in the trough"]
    figures = Figures()
    over = max(row["RSS in the trough"] - first for row in rows) / MIB
    figures.add("RSS in a trough, over the first trough's, at most", over, "MiB", at_most=3)
    lowest = max(row["nbytes in the trough"] for row in rows) / MIB
    figures.add("nbytes of all three caches in a trough, at most", lowest, "MiB", at_most=1.5)
    peak = max(row["RSS at the peak"] for row in rows) - first
    figures.add("RSS at a peak, over the first trough's, at most", peak / MIB, "MiB")
    figures.add("wrong answers", rows[-1]["wrong answers"], at_most=0)
    figures.add("operations", load.operations)
    if args.json:
        Path(args.json).write_text(json.dumps(document({**figures.results, "rounds": rows})) + "\n")
    save(args, "soak", {**figures.results, "rounds": rows})


if __name__ == "__main__":
    main()
