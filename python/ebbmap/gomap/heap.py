"""What entries keep outside the map, and when Go's collector runs while a map is being filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ebbmap.gomap.sizeclasses import average_bytes, small_object_bytes
from ebbmap.gomap.types import GoType, MapType, most_entries
from ebbmap.gomap.version import GoVersion

SMALLEST_GOAL = 4 << 20  # of the collector, with GOGC=100
_PHASES = 4


@dataclass(frozen=True, slots=True)
class Outside:
    """Mean sizes of what keys and elements refer to, as far as their types don't tell.

    `key` and `elem`: bytes of each string or slice in a key and in an element; those in an inner map count to
    what holds that. `pointee`: bytes behind each
    pointer to a type that isn't known, each channel and each function. `box`: bytes of the value in each
    interface. `entries`: of each inner map. What is None or 0 is not counted.
    """

    key: float = 0.0
    elem: float = 0.0
    pointee: float | None = None
    box: float = 0.0
    entries: int | None = None

    def within(self, mean: float) -> Outside:
        """Those for an inner map that lies where strings and slices have `mean` bytes."""
        return replace(self, key=mean, elem=mean)

    def inner_entries(self, kind: MapType) -> int:
        """How many entries an inner map has: no more than its keys have values; 0 if it isn't counted."""
        return min(self.entries or 0, most_entries(kind))


ASSUMED = Outside(key=16, elem=16, box=8, entries=8)
"""What `ebbmap plan` and `ebbmap draw` count by default: an int in each box, a full group in each map."""


def outside_bytes(
    kind: MapType, version: GoVersion, outside: Outside, inner: Callable[[MapType, Outside], float]
) -> float:
    """Mean heap bytes that one entry keeps outside the map's own memory.

    `inner` tells those of one inner map, given the mean sizes within it.
    """

    def held(kind: GoType, mean: float) -> float:
        return (
            kind.held.strings * average_bytes(mean, version)
            + kind.held.boxes * average_bytes(outside.box, version)
            + sum(count for _, count in kind.held.unknown) * average_bytes(outside.pointee or 0, version)
            + sum(count * inner(map_, outside.within(mean)) for map_, count in kind.held.maps)
            + sum(
                count * (_object(pointee, version) + held(pointee, mean))
                for pointee, count in kind.held.pointees
            )
        )

    return held(kind.key, outside.key) + held(kind.elem, outside.elem) + copied_bytes(kind, version)


def copied_bytes(kind: MapType, version: GoVersion) -> float:
    """Mean heap bytes outside the map that copying an entry takes: its indirect key and element."""
    return _own(kind.key, kind.indirect_key, version) + _own(kind.elem, kind.indirect_elem, version)


def _own(kind: GoType, indirect: bool, version: GoVersion) -> float:
    return _object(kind, version) if indirect else 0.0


def _object(kind: GoType, version: GoVersion) -> float:
    return small_object_bytes(kind.size, kind.pointers, version)


def next_collection(marked: float) -> float:
    """The heap at which the next collection starts, after one that left `marked` bytes (`mgcpacer.go`)."""
    goal = max(SMALLEST_GOAL, 2 * marked)
    return max(marked + 0.95 * (goal - marked), goal - SMALLEST_GOAL)


def phases(entries: int) -> list[int]:
    """Points well before `entries`, a doubling apart at most: when the collector may happen to have run."""
    return [int(entries * 0.5 ** (1 + phase / _PHASES)) for phase in range(_PHASES)]


def uncollected_bytes(
    at: int, entries: int, live: Callable[[int], float], dropped: Callable[[int], float]
) -> float:
    """Heap bytes right after `entries` inserts, when the collector ran after `at` of them, then as paced.

    `live(n)` are the bytes reachable after n inserts and `dropped(n)` those that became garbage on the way;
    both may only grow. O(log entries) collections, each found by bisection.
    """

    def heap(n: int) -> float:
        return live(n) + dropped(n) - collected

    collected, trigger = dropped(at), next_collection(live(at))
    while heap(entries) > trigger:
        at = max(at + 1, _first(at, entries, lambda n: heap(n) > trigger))  # noqa: B023 (called at once)
        collected, trigger = dropped(at), next_collection(live(at))
    return heap(entries)


def _first(low: int, high: int, true: Callable[[int], bool]) -> int:
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle + 1, high)
    return low


class Heap:
    """Counts bytes as Go's heap holds them: reachable, and garbage until the next collection.

    With `paced` the collector runs when `GOGC=100` makes it (and takes no time); else only on `collect()`.
    """

    __slots__ = ("_paced", "_trigger", "collections", "garbage", "live")

    def __init__(self, paced: bool = True) -> None:
        self._paced = paced
        self._trigger = next_collection(0)
        self.live = 0.0
        self.garbage = 0.0
        self.collections = 0

    def allocate(self, size: float) -> None:
        """Take `size` bytes; may collect."""
        self.live += size
        if self._paced and self.live + self.garbage > self._trigger:
            self.collect()

    def drop(self, size: float) -> None:
        """Let `size` reachable bytes become garbage."""
        self.live -= size
        self.garbage += size

    def collect(self) -> None:
        """Run the collector, as `runtime.GC()` does."""
        self.garbage = 0.0
        self._trigger = next_collection(self.live)
        self.collections += 1
