"""The kinds of tables without objects that a load mixes, and how a load writes to each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ebbmap import Cache, Map

AnyMap: Any = Map
AnyCache: Any = Cache
LIFE = 8
"""Ticks that an entry of a cache lives."""


class Settings(NamedTuple):
    """What a table is made with besides its kinds."""

    length: int
    """Of its values, where they are of a fixed one."""
    items: int
    """The most entries, where they are bounded."""
    timer: Callable[[], float]


class Kind(NamedTuple):
    """Tables of one kind."""

    name: str
    make: Callable[[Settings], Any]
    key: str = "int"
    value: str = "bytes"
    lives: bool = False
    bounded: bool = False
    idle: bool = False

    @property
    def is_cache(self) -> bool:
        return self.lives or self.bounded

    @property
    def key_bytes(self) -> int:
        return {"int": 8, "str": 12, "bytes": 6}[self.key]


def _cache(value: Any, settings: Settings, *, lives: bool = False, bounded: bool = False) -> Any:
    # Half a tick short: what was set at tick s is there at s + LIFE - 1, and gone at s + LIFE.
    ttl = LIFE - 0.5 if lives else None
    items = settings.items if bounded else None
    return AnyCache(ttl=ttl, max_items=items, key=int, value=value, timer=settings.timer)


def _idle(settings: Settings) -> Any:
    return AnyCache(idle=LIFE - 0.5, key=int, value=_fixed(settings.length), timer=settings.timer)


def _fixed(length: int) -> np.dtype[Any]:
    return np.dtype(("V", length))


KINDS = [
    Kind("Map(int, int)", lambda _: AnyMap(int, int), value="int"),
    Kind("Map(int, float)", lambda _: AnyMap(int, float), value="float"),
    Kind("Map(int, bytes)", lambda _: AnyMap(int, bytes)),
    Kind("Map(str, bytes)", lambda _: AnyMap(str, bytes), key="str"),
    Kind("Map(bytes, bytes)", lambda _: AnyMap(bytes, bytes), key="bytes"),
    Kind("Map(int, dtype)", lambda settings: AnyMap(int, _fixed(settings.length)), value="fixed"),
    Kind("Cache(ttl=, bytes)", partial(_cache, bytes, lives=True), lives=True),
    Kind("Cache(idle=, dtype)", _idle, value="fixed", lives=True, idle=True),
    Kind("Cache(max_items=, int)", partial(_cache, int, bounded=True), value="int", bounded=True),
    Kind(
        "Cache(ttl=, max_items=, dtype)",
        lambda settings: _cache(_fixed(settings.length), settings, lives=True, bounded=True),
        value="fixed",
        lives=True,
        bounded=True,
    ),
]


class Nothing:
    """Takes every operation and keeps nothing: what the program itself needs shows."""

    def set_many(self, keys: Any, values: Any) -> None:
        pass

    def delete_many(self, keys: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def clear(self) -> None:
        pass

    def copy(self) -> Nothing:
        return self

    def __len__(self) -> int:
        return 0


NOTHING = Nothing()


def keys_of(kind: Kind, numbers: range) -> Any:
    """The keys of these numbers, for a bulk call."""
    if kind.key == "str":
        return [f"{number:012d}" for number in numbers]
    if kind.key == "bytes":
        return [number.to_bytes(6, "big") for number in numbers]
    return np.arange(numbers.start, numbers.stop, numbers.step)


def write(kind: Kind, table: Any, numbers: range, blobs: Callable[[], list[bytes]]) -> None:
    """Set the keys of these numbers; `blobs()` are their values, where those are bytes."""
    if kind.value == "fixed":
        for number, blob in zip(numbers, blobs(), strict=True):
            table[number] = blob  # one by one: no array of them all has to be made
        return
    keys = keys_of(kind, numbers)
    values: Any = blobs() if kind.value == "bytes" else _numbers(kind, keys)
    table.set_many(keys, values)


def _numbers(kind: Kind, keys: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    return keys if kind.value == "int" else keys.astype(np.float64)
