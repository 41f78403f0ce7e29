"""Nanoseconds of a memoized call that hits, over `functools.lru_cache`'s: `python benches/memoize.py`.

Every decorator is put on a function of one int argument, on a method and on a coroutine function. All are
called in turn, round after round, in one process, with the same keys in random order, whose results all are
kept. The figure is the median over the rounds of each one's time over `lru_cache`'s in the same round. Ours
and the peers' caches have a ttl.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from statistics import median
from time import perf_counter_ns
from typing import Any

import cachebox
import cachetools
import moka_py
import theine

from _common import Figures, arguments, save
from ebbmap import Cache

HOUR = 3600
SIZE = 100_000  # of the bounded ones; never reached
Decorator = Callable[[Any], Any]

# What each makes of a function; a second one shows what ours costs otherwise.
FUNCTIONS: dict[str, Callable[[], Decorator]] = {
    "lru_cache": lambda: lru_cache(maxsize=None),
    "Cache(ttl)": lambda: Cache(ttl=HOUR).memoize,
    "Cache(ttl, key=int)": lambda: Cache(ttl=HOUR, key=int).memoize,
    "Cache(ttl, max_items)": lambda: Cache(ttl=HOUR, max_items=SIZE).memoize,
    "Cache(ttl), stale": lambda: Cache(ttl=HOUR).memoize(stale=60),
    "Cache(ttl), key of one's own": lambda: Cache(ttl=HOUR).memoize(key=lambda key: key),
    "cachebox.TTLCache": lambda: cachebox.cached(cachebox.TTLCache(SIZE, HOUR)),
    "cachetools.TTLCache": lambda: cachetools.cached(cachetools.TTLCache(SIZE, HOUR)),
    "moka_py": lambda: moka_py.cached(maxsize=SIZE, ttl=HOUR),
    "theine": lambda: theine.Memoize(SIZE, timedelta(hours=1)),
}
TARGETS = {"Cache(ttl)": 5.0, "Cache(ttl, key=int)": 5.0}
METHODS = ("lru_cache", "Cache(ttl)", "cachebox.TTLCache", "theine")
COROUTINES = ("Cache(ttl)", "cachebox.TTLCache", "theine")


def function(make: Decorator) -> Any:
    @make
    def load(key: int) -> int:
        return key

    return load


def method(make: Decorator) -> Any:
    class Shop:
        @make
        def load(self, key: int) -> int:
            return key

    return Shop()


def coroutine(make: Decorator) -> Any:
    @make
    async def load(key: int) -> int:
        return key

    return load


def call(load: Any, keys: list[int]) -> None:
    for key in keys:
        load(key)


def call_method(shop: Any, keys: list[int]) -> None:
    for key in keys:
        shop.load(key)


def call_coroutine(load: Any, keys: list[int]) -> None:
    async def run() -> None:
        for key in keys:
            await load(key)

    asyncio.run(run())


Call = Callable[[Any, list[int]], None]
KINDS: dict[str, tuple[Callable[[Decorator], Any], Call, tuple[str, ...], str]] = {
    "function": (function, call, tuple(FUNCTIONS), "lru_cache"),
    "method": (method, call_method, METHODS, "lru_cache"),
    "coroutine": (coroutine, call_coroutine, COROUTINES, ""),
}


def timed(work: Call, load: Any, keys: list[int]) -> float:
    """The median over passes: each is too short to be interrupted often."""
    passes = []
    for _ in range(20):
        start = perf_counter_ns()
        work(load, keys)
        passes.append(perf_counter_ns() - start)
    return median(passes) / len(keys)


def measure(kind: str, n: int, rounds: int) -> dict[str, list[float]]:
    """Each decorator's times, one a round."""
    make, work, names, _ = KINDS[kind]
    loads = {name: make(FUNCTIONS[name]()) for name in names}
    shuffled, keys = random.Random(n), list(range(n))
    for load in loads.values():
        work(load, keys)  # from here on they hit
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        shuffled.shuffle(keys)
        for name, load in loads.items():
            times[name].append(timed(work, load, keys))
    return times


def main() -> None:
    args = arguments(__doc__, n=1_000, rounds=25)
    figures = Figures()
    for kind, (*_, baseline) in KINDS.items():
        times = measure(kind, args.n, args.rounds)
        for name, found in times.items():
            figures.add(f"{kind}: {name}: hit", median(found), "ns")
            if baseline and name != baseline:
                ratio = median(a / b for a, b in zip(found, times[baseline], strict=True))
                target = TARGETS.get(name) if kind == "function" else None
                figures.add(f"{kind}: {name}: hit, over lru_cache", ratio, "x", at_most=target)
    save(args, "memoize", figures.results)


if __name__ == "__main__":
    main()
