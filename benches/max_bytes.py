"""Real bytes against `max_bytes`, over ten million operations: `python benches/max_bytes.py`.

Keys come from a skewed distribution (Zipf, exponent `--skew`), values are `bytes` of 0 to 4 KiB, a size for
each setting. A key that is asked for and not there is set; one in 20 operations sets a key anew, with another
size, and one in 50 deletes one. After every operation that changes anything `nbytes` is read, and must not be
above the bound; RSS, beyond what the process had before, every 10,000 operations. Each subject has a fresh
process, and the same operations.

The second of ours has lifetimes too, of 0.1 to 2 s. cachetools and moka are bounded as well as they can be,
by the length of values: of them only RSS can be told.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from _common import Figures, arguments, fresh, progress, resident, save

MIB = 1 << 20
LARGEST = 4 << 10
CHUNK = 10_000
SET_ANEW, DELETE = 20, 50  # one operation in so many
KEYS = 1_000_000


class Made(NamedTuple):
    cache: Any
    get: Callable[[int], Any]
    put: Callable[[int, bytes], object]
    remove: Callable[[int], object]


def ours(bound: int) -> Made:
    from ebbmap import Cache

    cache: Any = Cache(max_bytes=bound, key=int, value=bytes)
    return Made(cache, cache.get, cache.__setitem__, lambda key: cache.pop(key, None))


def with_lifetimes(bound: int) -> Made:
    from ebbmap import Cache

    cache: Any = Cache(max_bytes=bound, key=int, value=bytes)
    lifetimes = random.Random(28)

    def put(key: int, value: bytes) -> None:
        cache.set(key, value, lifetimes.uniform(0.1, 2))

    return Made(cache, cache.get, put, lambda key: cache.pop(key, None))


def cachetools(bound: int) -> Made:
    from cachetools import LRUCache

    cache: Any = LRUCache(bound, getsizeof=len)
    return Made(cache, cache.get, cache.__setitem__, lambda key: cache.pop(key, None))


def moka(bound: int) -> Made:
    from moka_py import Moka

    cache: Any = Moka(bound, weigher=lambda _, value: len(value))
    return Made(cache, cache.get, cache.set, cache.remove)


OURS: dict[str, Callable[[int], Made]] = {
    "Cache(max_bytes=)": ours,
    "Cache(max_bytes=), with lifetimes": with_lifetimes,
}
MAKERS: dict[str, Callable[[int], Made]] = {
    **OURS,
    "cachetools.LRUCache(getsizeof=len)": cachetools,
    "moka_py.Moka(weigher=len)": moka,
}


class Seen(NamedTuple):
    """What was sampled: `over` is how often above the bound, `payload` the mean over the second half."""

    samples: int
    over: int
    most: int
    payload: float
    rss: int
    hits: int
    gets: int


def zipf(n: int, skew: float, seed: int) -> Iterator[list[int]]:
    """So many keys, a chunk at a time."""
    rng = np.random.default_rng(seed)
    ranks = np.cumsum(np.arange(1, KEYS + 1, dtype=float) ** -skew)
    for _ in range(n // CHUNK):
        yield np.searchsorted(ranks, rng.random(CHUNK) * ranks[-1]).tolist()


class Watch:
    """Plays the operations, and looks at the bytes."""

    def __init__(self, made: Made, bound: int) -> None:
        self.made, self.bound = made, bound
        self.counted = hasattr(made.cache, "nbytes")
        self.samples = self.over = self.most = self.hits = self.gets = 0
        self.sizes = random.Random(29)

    def look(self) -> None:
        if self.counted:
            held = self.made.cache.nbytes
            self.samples += 1
            self.over += held > self.bound
            self.most = max(self.most, held)

    def put(self, key: int) -> None:
        self.made.put(key, bytes(int(self.sizes.random() * (LARGEST + 1))))
        self.look()

    def ask(self, key: int) -> None:
        self.gets += 1
        if self.made.get(key) is None:
            self.put(key)
        else:
            self.hits += 1

    def play(self, keys: list[int]) -> None:
        for i, key in enumerate(keys):
            if i % SET_ANEW == 1:
                self.put(key)
            elif i % DELETE == 2:
                self.made.remove(key)
                self.look()
            else:
                self.ask(key)


def run(name: str, n: int, bound: int, skew: float) -> Seen:
    """One cache, in a process of its own."""
    chunks = zipf(n, skew, 28)
    next(chunks)
    MAKERS[name](bound).put(1, b"")
    gc.collect()
    start = resident()
    watch = Watch(MAKERS[name](bound), bound)
    rss, fullness = 0, []
    for done, keys in enumerate(chunks):
        watch.play(keys)
        rss = max(rss, resident() - start)
        if watch.counted and 2 * done * CHUNK > n:
            fullness.append(watch.made.cache.stats()["payload_bytes"])
    payload = sum(fullness) / len(fullness) if fullness else 0.0
    return Seen(watch.samples, watch.over, watch.most, payload, rss, watch.hits, watch.gets)


def report(figures: Figures, name: str, bound: int, found: Seen) -> None:
    if name in OURS:
        figures.add(f"{name}: samples of nbytes", found.samples)
        figures.add(f"{name}: of them above the bound", found.over, at_most=0)
        figures.add(f"{name}: most nbytes, over the bound", found.most / bound, "x", at_most=1)
        figures.add(f"{name}: payload, over the bound", found.payload / bound, "x")
    figures.add(f"{name}: most RSS, over the bound", found.rss / bound, "x")
    figures.add(f"{name}: hit rate", 100 * found.hits / found.gets, "%")


def main() -> None:
    args = arguments(__doc__, n=10_000_000, mib=64, skew=0.9)
    figures = Figures()
    bound = args.mib * MIB
    for name in MAKERS:
        progress(f"{name}: {args.n:,} operations within {args.mib} MiB")
        report(figures, name, bound, fresh(run, name, args.n, bound, args.skew))
    save(args, "max_bytes", figures.results)


if __name__ == "__main__":
    main()
