"""The caches that the benchmarks set side by side: how to make each, and how to set and get."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple


class Made(NamedTuple):
    """A cache and its calls, bound."""

    cache: Any
    put: Callable[[int, Any], object]
    get: Callable[[int], Any]


Maker = Callable[[int, float], Made]
"""For up to so many entries, each to live for so many seconds. Libraries are imported when first made."""


def ours(**settings: Any) -> Maker:
    def make(_: int, ttl: float) -> Made:
        from ebbmap import Cache

        cache: Any = Cache(ttl=ttl, **settings)
        return Made(cache, cache.__setitem__, cache.get)

    return make


def cachetools(n: int, ttl: float) -> Made:
    from cachetools import TTLCache

    cache: Any = TTLCache(n, ttl)
    return Made(cache, cache.__setitem__, cache.get)


def cachebox(**settings: Any) -> Maker:
    def make(_: int, ttl: float) -> Made:
        from cachebox import TTLCache

        cache: Any = TTLCache(0, ttl, **settings)
        return Made(cache, cache.__setitem__, cache.get)

    return make


def moka(n: int, ttl: float) -> Made:
    from moka_py import Moka

    cache: Any = Moka(n, ttl=ttl)
    return Made(cache, cache.set, cache.get)


def theine(n: int, ttl: float) -> Made:
    from theine import Cache

    cache: Any = Cache(n)
    lifetime = timedelta(seconds=ttl)
    return Made(cache, lambda key, value: cache.set(key, value, lifetime), cache.get)


def plain_dict(_: int, __: float) -> Made:
    """No lifetimes at all: what a table by hand takes at the least."""
    cache: dict[int, Any] = {}
    return Made(cache, cache.__setitem__, cache.get)


PEERS: dict[str, Maker] = {
    "cachebox.TTLCache": cachebox(),
    "cachebox.TTLCache, sweep_interval=1": cachebox(sweep_interval=1),
    "cachetools.TTLCache": cachetools,
    "moka_py.Moka": moka,
    "theine.Cache": theine,
}
