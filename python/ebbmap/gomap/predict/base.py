"""What a predictor is asked, and what it answers; how, is in `classic` and `swiss`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

from ebbmap.gomap.heap import Outside, outside_bytes, uncollected_bytes
from ebbmap.gomap.types import MapType, most_entries
from ebbmap.gomap.version import GoVersion

MAX_ENTRIES = 10**10
HEADER = 48  # hmap, and maps.Map
SLOTS = 8  # of a bucket, and of a group


@dataclass(frozen=True, slots=True)
class ClassicShape:
    """The classic map: 2^B buckets, expected overflow buckets, and whether old ones are still being moved."""

    B: int
    buckets: int
    bucket_bytes: int
    overflow_buckets: float
    growing: bool


@dataclass(frozen=True, slots=True)
class SwissShape:
    """Tables of the Swiss map (0: a single group), expected; the directory has 2^directory_depth entries."""

    tables: float
    directory_depth: int
    groups: float
    group_bytes: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Live heap bytes: of the map itself, and of what its entries keep outside it."""

    entries: int
    table_bytes: float
    outside_bytes: float
    shape: ClassicShape | SwissShape

    @property
    def bytes(self) -> float:
        """All of it: what `MemStats.Alloc` grows by, after a collection."""
        return self.table_bytes + self.outside_bytes


class Predictor(ABC):
    """Predicts one map type under one Go release; made by `predictor()`.

    Sizes are expected bytes of Go's heap. Each answer takes well below a millisecond, whatever the number of
    entries; the first of `churned` some, and that of `uncollected`, which follows the collector, up to 100.

    Raises:
        ValueError: for a number of entries, or a hint, below 0 or above 10^10; for more entries than the key
            has values.
    """

    def __init__(self, kind: MapType, version: GoVersion, outside: Outside = Outside()) -> None:  # noqa: B008 (frozen)
        self.kind = kind
        self.version = version
        self.outside = outside
        self._known: dict[tuple[int, int], float] = {}

    @cached_property
    def entry_outside(self) -> float:
        """Mean bytes an entry keeps outside the map."""
        return outside_bytes(self.kind, self.version, self.outside, self._inner_bytes)

    def _inner_bytes(self, kind: MapType, outside: Outside) -> float:
        if outside.entries is None:
            return 0.0
        return type(self)(kind, self.version, outside).filled(outside.inner_entries(kind)).bytes

    def filled(self, entries: int, hint: int = 0) -> Footprint:
        """After `entries` inserts into `make(m, hint)`, collected."""
        return self._footprint(entries, self._filled(self._entries(entries), _checked(hint), 0))

    def drained(self, peak: int, left: int, hint: int = 0) -> Footprint:
        """After `peak` inserts and deletes down to `left`, collected.

        Raises:
            ValueError: more would be left than there were.
        """
        if left > peak:
            raise ValueError(f"{left} entries can't be left of {peak}")
        return self._footprint(left, self._filled(self._entries(peak), _checked(hint), peak - _checked(left)))

    def churned(self, entries: int, turnovers: float, hint: int = 0) -> Footprint:
        """After `turnovers` times `entries` steps of "delete the oldest, insert a new one", collected."""
        return self._footprint(
            entries, self._churned(self._entries(entries), turnovers, _checked(hint), False)
        )

    def most_churned(self, entries: int, turnovers: float, hint: int = 0) -> Footprint:
        """A bound that 99 maps in 100 keep during those steps; of a classic map, see also `compacting`.

        A classic map never has more overflow buckets than buckets, and a Swiss map that prunes stops growing.
        One that doesn't has no such limit, but each doubling takes many times as long as the one before.
        """
        return self._footprint(
            entries, self._churned(self._entries(entries), turnovers, _checked(hint), True)
        )

    def compacting(self, entries: int, turnovers: float, hint: int = 0) -> float | None:
        """Bytes while a growth of the same size makes a classic map compact: both arrays are live.

        None for Swiss maps, and if no such growth happens within that many turnovers.
        """
        return None

    def uncollected(self, entries: int, hint: int = 0) -> float:
        """Heap bytes right after `entries` inserts, with the garbage that growth has left (`GOGC=100`)."""
        known = self._known.get((entries, hint))
        if known is None:
            starts = self._collections(self._entries(entries))
            known = sum(self._uncollected(start, entries, hint) for start in starts) / len(starts)
            self._known[entries, hint] = known
        return known

    def _uncollected(self, start: int, entries: int, hint: int) -> float:
        live, dropped = lambda n: self.filled(n, hint).bytes, lambda n: self._dropped(n, hint)
        return uncollected_bytes(start, entries, live, dropped)

    def _collections(self, entries: int) -> list[int]:
        """When an early collection may have run; the mean over them is taken."""
        return [0]

    def _entries(self, count: int) -> int:
        if _checked(count) > most_entries(self.kind):
            raise ValueError(f"{count} entries are more than {self.kind} can have: {most_entries(self.kind)}")
        return count

    def _footprint(self, entries: int, table: tuple[float, ClassicShape | SwissShape]) -> Footprint:
        return Footprint(entries, table[0], entries * self.entry_outside, table[1])

    @abstractmethod
    def _filled(self, entries: int, hint: int, deletes: int) -> tuple[float, ClassicShape | SwissShape]: ...

    @abstractmethod
    def _churned(
        self, entries: int, turnovers: float, hint: int, most: bool
    ) -> tuple[float, ClassicShape | SwissShape]: ...

    @abstractmethod
    def _dropped(self, entries: int, hint: int) -> float:
        """Bytes of the map's own that became garbage during `entries` inserts."""


def _checked(count: int) -> int:
    if not 0 <= count <= MAX_ENTRIES:
        raise ValueError(f"{count} is no number of entries: 0 to {MAX_ENTRIES} are taken")
    return count
