"""ebbmap's own maps."""

from __future__ import annotations

from typing import Any

from ebbmap.lab.heap import HeapMeter
from ebbmap.lab.subjects.base import Kind, Loader, MapSubject, UnavailableError, installed


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


def _inline() -> Kind:
    container, version = _load("Map")
    return Kind(version, lambda _: Inline(container(int, bytes)))


def _object() -> Kind:
    container, version = _load("Map")
    return Kind(version, lambda _: Objects(container()))


def _load(name: str) -> tuple[Any, str]:
    package, version = installed("ebbmap", "ebbmap")
    if not hasattr(package, name):
        raise UnavailableError(f"this build of ebbmap has no {name}")
    return getattr(package, name), version


MAPS = ("ebbmap:object", "ebbmap:inline")

LOADERS: dict[str, Loader] = {"ebbmap:object": _object, "ebbmap:inline": _inline}
