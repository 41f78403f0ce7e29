"""What is in each table of a load, in arrays that do not grow with the contents.

The keys of a table are made of numbers: those from `low` up to `high` that `step` divides. The value of a
number is found by arithmetic too. So the books say what is there, and how many bytes it has, and keep no key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from bound import SMALL_BELOW, Contents
from kinds import KINDS, LIFE, Kind
from values import Indices, Values

NONE = -1
NUMBER_BYTES = 8  # of an int or a float


class Books:
    """One row a table, in every array."""

    def __init__(self, tables: int, values: Values) -> None:
        self.values = values
        # `full`, as the memory of `zeros` is touched, and so resident, only later.
        self.kind = np.full(tables, NONE)
        self.first, self.spread, self.shift = (np.full(tables, 0) for _ in range(3))
        self.low, self.high, self.count = (np.full(tables, 0) for _ in range(3))
        self.payload, self.small, self.items = (np.full(tables, 0) for _ in range(3))
        self.goal, self.step = np.full(tables, 0), np.full(tables, 1)
        self.marks = np.full((tables, LIFE), 0)
        """`high` at the end of each of the last ticks: which numbers are how old."""
        self.total = 0
        self.is_cache, self.is_bounded, self.is_idle, self.lives = (
            np.array([getattr(kind, name) for kind in KINDS] + [False])
            for name in ("is_cache", "bounded", "idle", "lives")
        )

    def kind_of(self, t: int) -> Kind:
        return KINDS[int(self.kind[t])]

    def open(self, t: int, kind: int, goal: int, first: int, spread: int, items: int) -> None:
        """There is a new table, which is empty."""
        self.forget(t)
        self.low[t] = self.high[t] = self.shift[t] = self.marks[t] = 0
        self.kind[t], self.goal[t], self.items[t] = kind, goal, items
        self.first[t], self.spread[t] = first, spread

    def forget(self, t: int) -> None:
        """The table is dropped."""
        self.emptied(t)
        self.kind[t] = NONE

    def emptied(self, t: int) -> None:
        """The table has no entries; its next numbers are new ones."""
        self.total -= int(self.payload[t])
        self.payload[t] = self.small[t] = self.count[t] = 0
        self.low[t] = self.high[t]
        self.step[t] = 1

    def copied(self, t: int, to: int) -> None:
        self.forget(to)
        for column in (self.kind, self.first, self.spread, self.shift, self.low, self.high, self.count):
            column[to] = column[t]
        for column in (self.payload, self.small, self.items, self.step, self.goal):
            column[to] = column[t]
        self.total += int(self.payload[t])

    def there(self, t: int) -> range:
        """The numbers that a table has."""
        step = int(self.step[t])
        return range(-(-int(self.low[t]) // step) * step, int(self.high[t]), step)

    def new(self, t: int, count: int) -> range:
        """So many numbers that come next."""
        step = int(self.step[t])
        start = -(-int(self.high[t]) // step) * step
        return range(start, start + count * step, step)

    def indices(self, t: int, numbers: range) -> Indices:
        """Which of the values each number has."""
        spread = int(self.spread[t])
        numbered = np.arange(numbers.start, numbers.stop, numbers.step)
        return int(self.first[t]) + (numbered * 7919 + int(self.shift[t])) % spread

    def entry_bytes(self, t: int) -> float:
        """Of an entry of a table, on average."""
        kind, first = self.kind_of(t), int(self.first[t])
        if kind.value in ("int", "float"):
            return kind.key_bytes + NUMBER_BYTES
        lengths = self.values.lengths[first : first + int(self.spread[t])]
        return kind.key_bytes + float(lengths.mean())

    def _lengths(self, t: int, numbers: range) -> npt.NDArray[np.int64]:
        """Bytes of contents of each of these entries."""
        kind = self.kind_of(t)
        if kind.value in ("int", "float"):
            return np.full(len(numbers), kind.key_bytes + NUMBER_BYTES)
        return self.values.lengths[self.indices(t, numbers)] + kind.key_bytes

    def add(self, t: int, numbers: range, sign: int = 1) -> None:
        """These entries have come; with -1: they are gone."""
        lengths = self._lengths(t, numbers)
        payload = sign * int(lengths.sum())
        self.total += payload
        self.payload[t] += payload
        self.small[t] += sign * int((lengths < SMALL_BELOW).sum())
        self.count[t] += sign * len(numbers)

    def recount(self, t: int, count: int) -> None:
        """A bounded cache has so many entries, all of one size; the books don't know which were evicted."""
        entry = round(self.entry_bytes(t))
        self.total += count * entry - int(self.payload[t])
        self.payload[t], self.count[t] = count * entry, count
        self.small[t] = count if entry < SMALL_BELOW else 0

    def contents(self) -> Contents:
        """All tables together."""
        there, count = self.kind, self.count
        return Contents(
            payload=int(self.payload.sum()),
            tables=int((there != NONE).sum()),
            small=int(self.small.sum()),
            cached=int(count[self.is_cache[there]].sum()),
            bounded=int(count[self.is_bounded[there]].sum()),
            idle=int(count[self.is_idle[there]].sum()),
        )
