"""Other libraries' caches, used as plain maps: no expiry, and a bound they never reach."""

from __future__ import annotations

import math
from typing import Any

from ebbmap.lab.model import Settings
from ebbmap.lab.subjects.base import Kind, Loader, MapSubject, Subject, installed, like_dict


def _class(package: str, name: str, *bounds: float) -> Loader:
    """A class of a library whose module bears its name and which is used as a `dict` is."""

    def load() -> Kind:
        module, version = installed(package, package)
        return Kind(version, lambda _: like_dict(getattr(module, name)(*bounds)))

    return load


def _lru() -> Kind:
    module, version = installed("lru", "lru-dict")
    return Kind(version, lambda settings: like_dict(module.LRU(settings.n)))


def _theine() -> Kind:
    module, version = installed("theine", "theine")

    def make(settings: Settings) -> Subject:
        cache = module.Cache(settings.n)
        return MapSubject(cache, cache.set, cache.delete)

    return Kind(version, make)


class Moka(MapSubject):
    """moka has no `len`; its count may lag behind its pending work, which nothing here hurries along."""

    def __init__(self, cache: Any) -> None:
        super().__init__((), cache.set, cache.remove)
        self._cache = cache

    def entries(self) -> int:
        return int(self._cache.count())


def _moka() -> Kind:
    module, version = installed("moka_py", "moka-py")
    note = "brings its own allocator, so heap counts its Python objects only; its count of entries lags"
    return Kind(version, lambda settings: Moka(module.Moka(settings.n)), note, partial=True)


MAPS = ("cachetools.Cache", "cachebox.Cache", "theine.Cache", "moka_py.Moka", "lru.LRU")

LOADERS: dict[str, Loader] = {
    "cachetools.Cache": _class("cachetools", "Cache", math.inf),
    "cachetools.LRUCache": _class("cachetools", "LRUCache", math.inf),
    "cachetools.TTLCache": _class("cachetools", "TTLCache", math.inf, math.inf),
    "cachebox.Cache": _class("cachebox", "Cache", 0),  # 0: without a bound
    "cachebox.LRUCache": _class("cachebox", "LRUCache", 0),
    "cachebox.TTLCache": _class("cachebox", "TTLCache", 0, 365 * 86400),
    "theine.Cache": _theine,
    "moka_py.Moka": _moka,
    "lru.LRU": _lru,
}
