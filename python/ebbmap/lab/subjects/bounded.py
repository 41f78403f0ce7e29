"""What holds the newest customers, so many of them: bounded caches, and dicts that are kept small by hand."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any, Protocol

from ebbmap.lab.heap import HeapMeter
from ebbmap.lab.model import Settings
from ebbmap.lab.subjects.base import Kind, Loader, Put, installed
from ebbmap.lab.subjects.dicts import VERSION

Has = Callable[[int], object]


class Bounded(Protocol):
    """A container of `int` to `bytes` under test that is to hold the newest `n` entries."""

    @property
    def put(self) -> Put:
        """Put an entry in, and so the oldest out."""

    @property
    def has(self) -> Has:
        """Whether a key is there, if possible without it counting as a use."""

    def held(self) -> int:
        """How many entries it holds, by its own account."""

    def maintain(self) -> None:
        """What a program does from time to time to get memory back; most do nothing."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        """The bytes it holds now."""


class Evicting:
    """A cache that knows its bound."""

    def __init__(self, cache: Any, put: Put, has: Has) -> None:
        self.put = put
        self.has = has
        self._cache: Sized = cache

    def held(self) -> int:
        return len(self._cache)

    def maintain(self) -> None:
        """Nothing: the cache is left to itself."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        return heap()


class ByHand(Evicting):
    """A mapping from which the program deletes the oldest entry for each new one; keys count upwards."""

    def __init__(self, mapping: Any, n: int) -> None:
        self._mapping = mapping
        self._n = n
        super().__init__(mapping, self._put, mapping.__contains__)

    def _put(self, key: int, value: bytes) -> None:
        self._mapping[key] = value
        if key >= self._n:
            del self._mapping[key - self._n]


class Recreated(ByHand):
    """A `dict` with the document's remedy: a new one takes over what is left."""

    def maintain(self) -> None:
        super().__init__(dict(self._mapping), self._n)


class Moka(Evicting):
    """moka has no `len`; its count may lag behind its pending work, which nothing here hurries along."""

    def __init__(self, cache: Any) -> None:
        super().__init__((), cache.set, lambda key: cache.get(key) is not None)
        self._count = cache.count

    def held(self) -> int:
        return int(self._count())


def like_dict(cache: Any) -> Evicting:
    """A subject for a cache that is written and asked as a `dict` is."""
    return Evicting(cache, cache.__setitem__, cache.__contains__)


def _class(package: str, name: str, distribution: str = "") -> Loader:
    def load() -> Kind:
        module, version = installed(package, distribution or package)
        return Kind(version, lambda settings: like_dict(getattr(module, name)(settings.n)))

    return load


def _theine() -> Kind:
    module, version = installed("theine", "theine")

    def make(settings: Settings) -> Evicting:
        cache = module.Cache(settings.n)
        return Evicting(cache, cache.set, lambda key: cache.get(key)[1])

    note = "keeps what is used often (W-TinyLFU) rather than the newest: what it lost of them counts as wrong"
    return Kind(version, make, note)


def _moka() -> Kind:
    module, version = installed("moka_py", "moka-py")
    note = (
        "made with policy='lru'; brings its own allocator, so heap counts its Python objects only; evicts a "
        "little later than asked, which counts as wrong"
    )
    return Kind(version, lambda settings: Moka(module.Moka(settings.n, policy="lru")), note, partial=True)


LOADERS: dict[str, Loader] = {
    "dict": lambda: Kind(VERSION, lambda settings: ByHand({}, settings.n)),
    "dict:recreate": lambda: Kind(VERSION, lambda settings: Recreated({}, settings.n)),
    "cachetools.FIFOCache": _class("cachetools", "FIFOCache"),
    "cachetools.LRUCache": _class("cachetools", "LRUCache"),
    "cachebox.FIFOCache": _class("cachebox", "FIFOCache"),
    "cachebox.LRUCache": _class("cachebox", "LRUCache"),
    "theine.Cache": _theine,
    "moka_py.Moka": _moka,
    "lru.LRU": _class("lru", "LRU", "lru-dict"),
}
