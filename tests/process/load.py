"""A random load over many tables, and what is resident at many moments of it: `python tests/process/load.py`.

Prints a line of JSON for each checkpoint, then one when everything was emptied, and one when everything was
dropped. `--dry` does the same operations on nothing: what is resident then is the program's own.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from math import exp, log
from typing import Any

from books import NONE, Books
from bound import MIB
from kinds import KINDS, LIFE, NOTHING, Settings, keys_of, write
from readings import Meter, limit, return_large_objects, tell
from values import Values

CHUNK = 4096
"""Entries to a bulk call."""
SMALLEST = 16
"""Bytes of contents that a small table is to have."""


def chunks(numbers: range) -> Iterator[range]:
    cuts = [*range(0, len(numbers), CHUNK), len(numbers)]
    return (numbers[start:stop] for start, stop in pairwise(cuts))


def every_other(numbers: range) -> range:
    """Those that twice the step does not divide."""
    is_even = numbers.start // numbers.step % 2 == 0
    return numbers[is_even::2]


def largest_for(mean: float) -> float:
    """The upper end of log-uniform sizes from `SMALLEST` up that have this mean."""
    largest = 2 * mean
    for _ in range(50):
        largest = mean * log(largest / SMALLEST) + SMALLEST
    return largest


class Load:
    """The tables, and what is done to them."""

    def __init__(self, tables: int, budget: int, seed: int, dry: bool) -> None:
        self.rng, self.dry, self.budget = random.Random(seed), dry, budget
        self.values = Values(self.rng, 256, min(4 * MIB, budget // 64))
        self.books = Books(tables, self.values)
        self.tables: list[Any] = [None] * tables
        self.now = 0
        self.largest = largest_for(1.5 * budget / tables)

    def timer(self) -> float:
        return self.now

    # --- one table -----------------------------------------------------------------------------------------

    def make(self, t: int) -> None:
        """A new table, of any kind, for some size of contents and of values."""
        rng, number = self.rng, self.rng.randrange(len(KINDS))
        kind, goal = KINDS[number], self._goal()
        first, spread = self._values_for(goal, kind.value == "fixed")
        length = int(self.values.lengths[first])
        items = max(1, int(goal / (8 + (8 if kind.value == "int" else length)) * rng.uniform(0.3, 1)))
        self.books.open(t, number, goal, first, spread, items)
        self.tables[t] = NOTHING if self.dry else kind.make(Settings(length, items, self.timer))

    def _goal(self) -> int:
        if self.rng.random() < 0.5 / len(self.tables) + 0.0005:
            return self.budget // 6  # one far larger than the others
        return int(exp(self.rng.uniform(log(SMALLEST), log(self.largest))))

    def _values_for(self, goal: int, one_length: bool) -> tuple[int, int]:
        """The first of the values of a table, and how many from there on."""
        fit = self.values.up_to(goal / 2)
        first = self.rng.randrange(fit)
        if one_length or self.rng.random() < 0.3:
            return first, 1
        return first, self.rng.randint(1, fit - first)

    def put(self, t: int, numbers: range) -> None:
        """Set entries that are not there."""
        kind, table = self.books.kind_of(t), self.tables[t]
        for some in chunks(numbers):
            write(kind, table, some, partial(self._blobs, t, some))
            if not kind.bounded:
                self.books.add(t, some)
        self.books.high[t] = max(int(self.books.high[t]), numbers.stop)
        if kind.bounded:
            self._recount(t, int(self.books.count[t]) + len(numbers))

    def _blobs(self, t: int, numbers: range) -> list[bytes]:
        return self.values.at(self.books.indices(t, numbers))

    def _recount(self, t: int, most: int) -> None:
        """Ask a bounded cache how many entries it has: no more than `most`, and than it may have."""
        most = min(most, int(self.books.items[t]))
        count = most if self.dry else len(self.tables[t])
        assert count <= most, (self.books.kind_of(t).name, count, most)
        self.books.recount(t, count)

    def remove(self, t: int, numbers: range) -> None:
        kind, table = self.books.kind_of(t), self.tables[t]
        for some in chunks(numbers):
            table.delete_many(keys_of(kind, some))
            if not kind.bounded:
                self.books.add(t, some, -1)
        if kind.bounded:
            # It knows how many of them were still there; dry, none was.
            self._recount(t, int(self.books.count[t]))

    # --- what happens to a table ---------------------------------------------------------------------------

    def grow(self, t: int) -> None:
        """More entries; where the table is as large as it is to be, other values, or another table."""
        if self.books.kind[t] == NONE:
            self.make(t)
        room = int(self.books.goal[t] - self.books.payload[t])
        count = int(room * self.rng.uniform(0.2, 1) / self.books.entry_bytes(t))
        if self.books.step[t] > 1 and self.rng.random() < 0.5:
            self.refill(t)
        elif count > 0:
            self.put(t, self.books.new(t, count))
        else:
            self.rng.choice([self.rewrite, self.drop, self.copy])(t)

    def shrink(self, t: int) -> None:
        if self.books.kind[t] != NONE:
            drain = self.drain_old if self.rng.random() < 0.7 else self.drain_new
            self.rng.choice([self.drop, self.drop, self.clear, self.thin, drain, drain, drain])(t)

    def drop(self, t: int) -> None:
        self.tables[t] = None
        self.books.forget(t)

    def clear(self, t: int) -> None:
        self.tables[t].clear()
        self.books.emptied(t)

    def drain_old(self, t: int) -> None:
        """Remove the first entries that came, or all."""
        numbers = self.books.there(t)
        count = self.rng.choice([len(numbers), self.rng.randint(0, len(numbers))])
        self.remove(t, numbers[:count])
        self.books.low[t] = numbers[count] if count < len(numbers) else self.books.high[t]

    def drain_new(self, t: int) -> None:
        """Remove the last entries that came."""
        if self.books.is_cache[self.books.kind[t]]:
            return self.drain_old(t)  # the books know the ages of those from the first on
        numbers = self.books.there(t)
        kept = self.rng.randint(0, len(numbers))
        self.remove(t, numbers[kept:])
        self.books.high[t] = numbers[kept - 1] + 1 if kept else self.books.low[t]
        return None

    def thin(self, t: int) -> None:
        """Remove every other entry."""
        if self.books.is_cache[self.books.kind[t]] or self.books.step[t] > 64:
            return self.drain_old(t)
        self.remove(t, every_other(self.books.there(t)))
        self.books.step[t] *= 2
        return None

    def refill(self, t: int) -> None:
        """Set again what was removed from between."""
        self.books.step[t] //= 2
        self.put(t, every_other(self.books.there(t)))

    def rewrite(self, t: int) -> None:
        """Set what is there, to values of other lengths."""
        if self.books.is_bounded[self.books.kind[t]]:
            return self.clear(t)
        numbers = self.books.there(t)
        for some in chunks(numbers):
            self.books.add(t, some, -1)
        self.books.shift[t] += self.rng.randrange(1, 100)
        self.books.marks[t] = self.books.low[t]
        self.put(t, numbers)
        return None

    def copy(self, t: int) -> None:
        """A table that is not there becomes a copy of this one."""
        to = self.rng.randrange(len(self.tables))
        if self.books.kind[to] == NONE and not self.books.is_cache[self.books.kind[t]]:
            self.tables[to] = self.tables[t].copy()
            self.books.copied(t, to)

    # --- what happens to all -------------------------------------------------------------------------------

    def advance(self, ticks: int = 1) -> None:
        """Let time pass, and caches remove what has expired."""
        lives = self.books.lives[self.books.kind].nonzero()[0].tolist()
        for _ in range(ticks):
            self.books.marks[lives, self.now % LIFE] = self.books.high[lives]
            self.now += 1
            for t in lives:
                self._expire(t)

    def _expire(self, t: int) -> None:
        """Of one cache, what was set `LIFE` ticks ago."""
        books = self.books
        old = books.there(t)
        old = range(old.start, max(old.start, int(books.marks[t, self.now % LIFE])))
        if not old:
            return
        books.low[t] = old.stop
        if books.kind_of(t).bounded:
            self._recount(t, min(int(books.count[t]), len(books.there(t))))
            return
        for some in chunks(old):
            books.add(t, some, -1)
        assert self.dry or len(self.tables[t]) == books.count[t]

    def to(self, goal: int) -> None:
        """Change random tables until the contents have grown or shrunk to `goal`."""
        is_less = self.books.total < goal
        for done in range(4 * len(self.tables)):
            grows = is_less == (self.rng.random() < 0.85)
            (self.grow if grows else self.shrink)(self.rng.randrange(len(self.tables)))
            if done >= len(self.tables) // 20 and (self.books.total < goal) != is_less:
                return

    def catastrophe(self) -> None:
        """The same happens to most tables at once."""
        what = self.rng.choice([self.drop, self.clear, self.thin, self.drain_old, None])
        if what is None:
            return self.advance(LIFE)
        part = self.rng.uniform(0.5, 0.98)
        for t in range(len(self.tables)):
            if self.books.kind[t] != NONE and self.rng.random() < part:
                what(t)
        return None

    def step(self) -> None:
        """From one checkpoint to the next."""
        if self.now and self.rng.random() < 0.15:
            self.catastrophe()
        else:
            self.to(int(self.budget * self.rng.random()))
        self.advance()

    def empty(self) -> None:
        """Empty every table, in one of the ways there are. The tables stay."""
        for t in range(len(self.tables)):
            if self.books.kind[t] == NONE or self.books.lives[self.books.kind[t]]:
                continue
            if self.rng.random() < 0.5:
                self.clear(t)
            else:
                self.remove(t, self.books.there(t))
                self.books.low[t] = self.books.high[t]
        self.advance(LIFE)

    def told(self) -> dict[str, int]:
        """What the tables say of themselves."""
        told = dict.fromkeys(("payload", "nbytes", "cached", "bounded", "idle"), 0)
        for t, table in enumerate(self.tables):
            if table is not None and not self.dry:
                stats, kind = table.stats(), self.books.kind_of(t)
                told["payload"] += stats["payload_bytes"]
                told["nbytes"] += stats["nbytes"]
                told["cached"] += stats["entries"] * kind.is_cache
                told["bounded"] += stats["entries"] * kind.bounded
                told["idle"] += stats["entries"] * kind.idle
        return {f"told_{name}": count for name, count in told.items()}


def warm_up(tables: int, dry: bool) -> None:
    """Touch the code of all, and what the program itself needs for so many tables."""
    for load in (Load(200, 2 * MIB, 0, dry), Load(tables, tables << 10, 0, dry=True)):
        for _ in range(5):
            load.step()
        load.empty()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--mib", type=int, default=24, help="the most contents")
    parser.add_argument("--checkpoints", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry", action="store_true")
    args = parser.parse_args()
    budget = args.mib * MIB
    return_large_objects()
    limit(min(4 * budget + 1024 * MIB, 6144 * MIB))
    warm_up(args.tables, args.dry)
    load = Load(args.tables, budget, args.seed, args.dry)
    meter = Meter()
    for number in range(args.checkpoints):
        load.step()
        tell(checkpoint=number, **meter.look(load.books.contents()), **load.told())
    load.to(budget)
    load.empty()
    tell(checkpoint="emptied", **meter.settled(load.books.contents()), **load.told())
    for t in range(args.tables):
        load.drop(t)
    tell(checkpoint="dropped", **meter.settled(load.books.contents()), **load.told())


if __name__ == "__main__":
    main()
