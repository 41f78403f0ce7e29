"""Caches of the last window of customers: libraries', ebbmap's, and a `dict` that is swept by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from ebbmap.lab.clock import Clock
from ebbmap.lab.course import SECOND, Course
from ebbmap.lab.heap import HeapMeter
from ebbmap.lab.model import Settings
from ebbmap.lab.subjects.base import Kind, Loader, Put, installed
from ebbmap.lab.subjects.dicts import VERSION

Get = Callable[[int], bytes | None]


class Cache(Protocol):
    """A cache of `int` to `bytes` under test, in which an entry lives for a window from when it was put."""

    @property
    def put(self) -> Put:
        """Its own call, or what a program writes around it."""

    @property
    def get(self) -> Get:
        """The value of a key that is there and alive, else `None`."""

    def start(self, clock: Clock) -> None:
        """Make it; a cache that takes a timer goes by `clock` when a log is replayed."""

    def held(self) -> int:
        """How many entries it holds, alive or not; asking must not make it tidy up."""

    def sweep(self) -> None:
        """What the program does every few minutes of the hour to get rid of what has expired."""

    def recreate(self) -> None:
        """What the program does every hour to get memory back."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        """The bytes it holds now."""


class Swept:
    """A `dict` whose values carry their deadline: readers look at it, a sweep removes what has expired."""

    def __init__(self, course: Course) -> None:
        self._window = course.window / SECOND
        self._entries: dict[int, tuple[float, bytes]] = {}

    def start(self, clock: Clock) -> None:
        self._timer = clock.seconds

    def put(self, key: int, value: bytes) -> None:
        self._entries[key] = (self._timer() + self._window, value)

    def get(self, key: int) -> bytes | None:
        entry = self._entries.get(key)
        return entry[1] if entry and self._timer() < entry[0] else None

    def held(self) -> int:
        return len(self._entries)

    def sweep(self) -> None:
        now = self._timer()
        for key in [key for key, (deadline, _) in self._entries.items() if deadline <= now]:
            del self._entries[key]

    def recreate(self) -> None:
        """Nothing: the dict is left to itself."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return heap()


class Recreated(Swept):
    """The same with the document's remedy: every hour a new `dict` takes over what is left."""

    def recreate(self) -> None:
        self._entries = dict(self._entries)


class Library:
    """A cache of a library, and its calls."""

    def __init__(self, make: Callable[[Clock], tuple[Any, Put, Get]]) -> None:
        self._make = make

    def start(self, clock: Clock) -> None:
        self._cache, self.put, self.get = self._make(clock)

    def held(self) -> int:
        return len(self._cache)

    def sweep(self) -> None:
        """Nothing: on the wall clock a library is left to itself."""

    def recreate(self) -> None:
        """Nothing: that is what a library is for."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return heap()


class Cachetools(Library):
    """Its `len()` tidies up, so that it is the base class which is asked."""

    def __init__(self, module: Any, course: Course) -> None:
        self._base = module.Cache
        self._replayed = course.replayed

        def make(clock: Clock) -> tuple[Any, Put, Get]:
            timer = {"timer": clock.seconds} if course.replayed else {}
            cache = module.TTLCache(course.customers + 1, course.window / SECOND, **timer)
            return cache, cache.__setitem__, cache.get

        super().__init__(make)

    def held(self) -> int:
        return int(self._base.__len__(self._cache))

    def sweep(self) -> None:
        if self._replayed:
            self._cache.expire()


class Moka(Library):
    """It has no `len`; its count may lag behind its pending work, which nothing here hurries along."""

    def held(self) -> int:
        return int(self._cache.count())


def _swept(kind: type[Swept]) -> Loader:
    return lambda: Kind(VERSION, lambda settings: kind(course(settings)))


def _cachetools() -> Kind:
    module, version = installed("cachetools", "cachetools")
    return Kind(version, lambda settings: Cachetools(module, course(settings)))


def _cachebox(**options: float) -> Loader:
    def load() -> Kind:
        module, version = installed("cachebox", "cachebox")

        def make(settings: Settings) -> Library:
            def build(clock: Clock) -> tuple[Any, Put, Get]:
                cache = module.TTLCache(0, course(settings).window / SECOND, **options)  # 0: without a bound
                return cache, cache.insert, cache.get

            return Library(build)

        return Kind(version, make)

    return load


def _theine() -> Kind:
    module, version = installed("theine", "theine")

    def make(settings: Settings) -> Library:
        window = timedelta(seconds=course(settings).window / SECOND)

        def build(clock: Clock) -> tuple[Any, Put, Get]:
            cache = module.Cache(course(settings).customers + 1)
            return cache, lambda key, value: cache.set(key, value, window), lambda key: cache.get(key)[0]

        return Library(build)

    return Kind(version, make)


def _moka() -> Kind:
    module, version = installed("moka_py", "moka-py")

    def make(settings: Settings) -> Library:
        def build(clock: Clock) -> tuple[Any, Put, Get]:
            cache = module.Moka(course(settings).customers + 1, ttl=course(settings).window / SECOND)
            return cache, cache.set, cache.get

        return Moka(build)

    note = "brings its own allocator, so heap counts its Python objects only; its count of entries lags"
    return Kind(version, make, note, partial=True)


def course(settings: Settings) -> Course:
    """The course that the settings of a run in time have."""
    assert settings.course is not None
    return settings.course


LOADERS: dict[str, Loader] = {
    "dict": _swept(Swept),
    "dict:recreate": _swept(Recreated),
    "cachetools.TTLCache": _cachetools,
    "cachebox.TTLCache": _cachebox(),
    "cachebox.TTLCache:sweep": _cachebox(sweep_interval=1),
    "theine.Cache": _theine,
    "moka_py.Moka": _moka,
}

TIMED = ("dict", "dict:recreate", "cachetools.TTLCache")
"""Those that take a timer, and so can replay a log at its own clock."""
