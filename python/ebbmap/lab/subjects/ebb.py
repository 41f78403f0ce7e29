"""ebbmap's own maps and caches."""

from __future__ import annotations

from collections.abc import Callable
from operator import length_hint
from typing import Any

import ebbmap
from ebbmap.lab.clock import Clock
from ebbmap.lab.course import SECOND
from ebbmap.lab.heap import HeapMeter
from ebbmap.lab.model import Settings
from ebbmap.lab.subjects import bounded, caches
from ebbmap.lab.subjects.base import Kind, Loader, MapSubject, Put


class Inline(MapSubject):
    """Keys and values are in the table: what it holds is what it says it holds."""

    def __init__(self, container: Any) -> None:
        super().__init__(container, container.__setitem__, container.__delitem__)
        self._table = container

    def heap_bytes(self, heap: HeapMeter) -> int:
        return int(self._table.nbytes)


class Objects(Inline):
    """The table holds references: its own bytes, which no allocator of Python's sees, and the objects'."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return super().heap_bytes(heap) + heap()


class Timed(caches.Library):
    """A cache with a lifetime; when a log is replayed it goes by the log's clock, and `expire` is called."""

    def __init__(self, settings: Settings, **kinds: Any) -> None:
        course = caches.course(settings)
        self._replayed = course.replayed

        def make(clock: Clock) -> tuple[Any, Put, caches.Get]:
            timer = clock.seconds if course.replayed else None
            cache = ebbmap.Cache(ttl=course.window / SECOND, timer=timer, **kinds)
            return cache, cache.__setitem__, cache.get

        super().__init__(make)

    def held(self) -> int:
        return length_hint(iter(self._cache))  # `len` would first remove what has expired

    def sweep(self) -> None:
        if self._replayed:
            self._cache.expire()


class TimedInline(Timed):
    """Keys and values are in the table."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return int(self._cache.nbytes)


class TimedObjects(Timed):
    """The table holds references."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return int(self._cache.nbytes) + heap()


class Newest(bounded.Evicting):
    """A cache with a bound, or a map whose oldest entry is deleted by hand, of inline kinds."""

    def __init__(self, container: Any, put: Put) -> None:
        super().__init__(container, put, container.__contains__)
        self._table = container

    def heap_bytes(self, heap: HeapMeter) -> int:
        return int(self._table.nbytes)


class NewestObjects(Newest):
    """The same of objects."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return super().heap_bytes(heap) + heap()


class NewestByHand(bounded.ByHand):
    """`Map(int, bytes)`."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return int(self._mapping.nbytes)


def _kind(make: Callable[[Settings], Any]) -> Loader:
    return lambda: Kind(ebbmap.__version__, make)


def _newest(settings: Settings) -> Newest:
    cache = ebbmap.Cache(max_items=settings.n, key=int, value=bytes)
    return Newest(cache, cache.__setitem__)


def _newest_objects(settings: Settings) -> NewestObjects:
    cache = ebbmap.Cache(max_items=settings.n)
    return NewestObjects(cache, cache.__setitem__)


MAPS = ("ebbmap:object", "ebbmap:inline")

LOADERS: dict[str, Loader] = {
    "ebbmap:object": _kind(lambda _: Objects(ebbmap.Map())),
    "ebbmap:inline": _kind(lambda _: Inline(ebbmap.Map(int, bytes))),
    "ebbmap:cache": _kind(lambda _: Inline(ebbmap.Cache(key=int, value=bytes))),
    "ebbmap:cache:object": _kind(lambda _: Objects(ebbmap.Cache())),
}

CACHES: dict[str, Loader] = {
    "ebbmap:cache": _kind(lambda settings: TimedInline(settings, key=int, value=bytes)),
    "ebbmap:cache:object": _kind(TimedObjects),
}

BOUNDED: dict[str, Loader] = {
    "ebbmap:inline": _kind(lambda settings: NewestByHand(ebbmap.Map(int, bytes), settings.n)),
    "ebbmap:cache": _kind(_newest),
    "ebbmap:cache:object": _kind(_newest_objects),
}
