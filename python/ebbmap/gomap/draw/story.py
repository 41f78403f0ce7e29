"""The frames of the page: a Go map and an `ebbmap.Map` through the same inserts and deletes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebbmap.gomap.draw import new_map
from ebbmap.gomap.draw.engine import Beside, Held
from ebbmap.gomap.draw.scene import AnyMap, scene
from ebbmap.gomap.draw.svg import to_svg
from ebbmap.gomap.hmap import HMap
from ebbmap.gomap.plan.report import human
from ebbmap.gomap.swiss import SwissMap
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion

FRAMES = 160  # at most: a longer story tells several writes in one


@dataclass(frozen=True)
class Frame:
    """One step of the story: what happened, the picture, and what both maps hold."""

    caption: str
    landmark: str
    picture: str
    entries: int
    live: float
    garbage: float
    held: Held


@dataclass(frozen=True)
class _Shape:
    """What captions are made of: compared before and after a step."""

    b: int
    overflow: int
    growing: bool
    tables: int
    groups: int
    depth: int
    tombstones: int

    @classmethod
    def of(cls, made: AnyMap) -> _Shape:
        if isinstance(made, HMap):
            return cls(made.B, made.overflow_buckets, made.growing, 0, 0, 0, 0)
        assert isinstance(made, SwissMap)
        shape = made.shape
        tombstones = sum(table.tombstones for table in made.tables())
        return cls(0, 0, False, int(shape.tables), int(shape.groups), shape.directory_depth, tombstones)


def story(
    kind: MapType, version: GoVersion, entries: int, deleted: int, seed: int = 0, beside: Beside | None = None
) -> Iterator[Frame]:
    """Fill, delete the oldest first, collect; a frame for each write, or for several if there are many."""
    made = new_map(kind, version, seed)
    beside = beside or Beside.of(kind)
    told: set[str] = set()
    yield _frame(made, beside, "An empty map.", "")
    for first, last, inserting in _spans(entries, deleted):
        before = _Shape.of(made)
        for key in range(first, last):
            _write(made, beside, key, inserting)
        events = list(_events(before, _Shape.of(made)))
        done = _done(first, last, inserting, len(made))
        landmark = next((event for event in events if event not in told), "")
        told.update(events)
        yield _frame(made, beside, " ".join([done, *events]), landmark, last - 1 if inserting else None)
    yield _collected(made, beside)


def _spans(entries: int, deleted: int) -> Iterator[tuple[int, int, bool]]:
    stride = max(1, -(-(entries + deleted) // FRAMES))
    for count, inserting in ((entries, True), (deleted, False)):
        for first in range(0, count, stride):
            yield first, min(first + stride, count), inserting


def _write(made: AnyMap, beside: Beside, key: int, inserting: bool) -> None:
    if inserting:
        made[key] = key
        beside.insert(key)
    else:
        del made[key]
        beside.delete(key)


def _done(first: int, last: int, inserting: bool, left: int) -> str:
    what = f"key {first}" if last == first + 1 else f"keys {first:,} to {last - 1:,}"
    return f"{'Inserted' if inserting else 'Deleted'} {what}." + ("" if left else " The map is empty again.")


def _events(before: _Shape, after: _Shape) -> Iterator[str]:
    yield from _classic_events(before, after)
    yield from _swiss_events(before, after)


def _classic_events(before: _Shape, after: _Shape) -> Iterator[str]:
    if after.b > before.b:
        yield f"Over load: B grows to {after.b}, twice the buckets."
    if before.growing and not after.growing:
        yield "All old buckets are evacuated: the old array is garbage."
    if after.b == before.b and after.overflow > before.overflow:
        yield "A bucket was full: an overflow bucket was chained to it."


def _swiss_events(before: _Shape, after: _Shape) -> Iterator[str]:
    if after.tables > before.tables:
        yield (
            "A full table was split in two." if before.tables else "More than eight entries: a table is made."
        )
    if after.tables == before.tables and after.groups > before.groups > 1:
        yield "The table was full: its entries moved to one of twice the size."
    if after.depth > before.depth:
        yield f"The directory doubled, to depth {after.depth}."
    if after.tombstones > before.tombstones:
        yield "A full group lost an entry: a tombstone stays."


def _collected(made: AnyMap, beside: Beside) -> Frame:
    made.collect()
    caption = (
        f"The collector has run: {len(made):,} entries, and {human(made.heap_bytes)} of the Go map stay. "
        f"The ebbmap.Map holds {human(beside.held().nbytes)}."
    )
    return _frame(made, beside, caption, "After the collection.")


def _frame(made: AnyMap, beside: Beside, caption: str, landmark: str, focus: int | None = None) -> Frame:
    drawn = to_svg(scene(made, focus), alone=False)
    return Frame(caption, landmark, drawn, len(made), made.heap_bytes, made.garbage_bytes, beside.held())
