"""Hit rates on a real trace, over those of LRU, FIFO and W-TinyLFU: `python benches/hit_rate.py`.

The trace `orm-busy.trace.xz` (big-endian int32 keys: five million accesses to the object cache of an
e-commerce site; Jens Wilke, headissue, CC BY 4.0) is played through each: a key that is asked for and
not there is set. It is looked for where EBBMAP_DATA says, or in ../shared/data.

LRU and FIFO are exact, and a few lines each, as cachetools' own take minutes; on the first `--check`
accesses they are compared with cachetools', miss by miss. W-TinyLFU is theine's.
"""

from __future__ import annotations

import lzma
import sys
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cachetools
from theine import Cache as Theine

from _common import Figures, arguments, progress, save, shared_data
from ebbmap import Cache

TRACE = "orm-busy.trace.xz"
Keys = Sequence[int]


def sieve(keys: Keys, size: int) -> int:
    """Hits of ours."""
    cache: Any = Cache(max_items=size, key=int)
    get = cache.get
    for key in keys:
        if get(key) is None:
            cache[key] = True
    hits: int = cache.stats()["hits"]
    return hits


def lru(keys: Iterable[int], size: int) -> int:
    hits = 0
    cache: OrderedDict[int, bool] = OrderedDict()
    for key in keys:
        if key in cache:
            hits += 1
            cache.move_to_end(key)
        else:
            if len(cache) == size:
                cache.popitem(last=False)
            cache[key] = True
    return hits


def fifo(keys: Iterable[int], size: int) -> int:
    hits = 0
    cache: OrderedDict[int, bool] = OrderedDict()
    for key in keys:
        if key in cache:
            hits += 1
        else:
            if len(cache) == size:
                cache.popitem(last=False)
            cache[key] = True
    return hits


def w_tinylfu(keys: Iterable[int], size: int) -> int:
    hits = 0
    cache: Any = Theine(size)
    for key in keys:
        if cache.get(key)[1]:
            hits += 1
        else:
            cache.set(key, True)
    cache.close()
    return hits


def by_cachetools(kind: Callable[[int], Any]) -> Callable[[Keys, int], int]:
    def play(keys: Keys, size: int) -> int:
        hits = 0
        cache = kind(size)
        for key in keys:
            if cache.get(key) is None:
                cache[key] = True
            else:
                hits += 1
        return hits

    return play


POLICIES: dict[str, Callable[[Keys, int], int]] = {
    "LRU": lru,
    "FIFO": fifo,
    "W-TinyLFU (theine)": w_tinylfu,
}
SAME = {"LRU": (lru, cachetools.LRUCache), "FIFO": (fifo, cachetools.FIFOCache)}
OURS = "SIEVE (Cache)"


def read_trace(accesses: int) -> array[int]:
    """The keys; where there is no trace, that is said, and nothing is measured."""
    path = shared_data(TRACE)
    if path is None:
        print(f"not measured: {TRACE} is not here (EBBMAP_DATA, or ../shared/data)")
        sys.exit()
    keys = array("i", lzma.decompress(path.read_bytes()))
    if sys.byteorder == "little":
        keys.byteswap()
    return keys[:accesses]


def check(keys: Keys, sizes: list[int]) -> None:
    """The simulations are what cachetools does."""
    for name, (simulated, kind) in SAME.items():
        for size in sizes:
            progress(f"{name} of {size:,}, and cachetools' on {len(keys):,} accesses")
            mine, theirs = simulated(keys, size), by_cachetools(kind)(keys, size)
            if mine != theirs:
                sys.exit(f"{name} of {size:,}: {mine} hits, but cachetools has {theirs}")


def report(figures: Figures, keys: Keys, size: int) -> None:
    progress(f"{OURS} of {size:,}")
    ours = 100 * sieve(keys, size) / len(keys)
    rates = {}
    for name, play in POLICIES.items():
        progress(f"{name} of {size:,}")
        rates[name] = 100 * play(keys, size) / len(keys)
    figures.add(f"{size:,} items: {OURS}", ours, "%", at_least=rates["LRU"])
    for name, rate in rates.items():
        figures.add(f"{size:,} items: {name}", rate, "%")
        figures.add(f"{size:,} items: {OURS} above {name}", ours - rate, "points")


def main() -> None:
    args = arguments(__doc__, size=[1_000, 5_000, 20_000], accesses=5_000_000, check=500_000)
    keys = read_trace(args.accesses)
    check(keys[: args.check], args.size)
    figures = Figures()
    for size in args.size:
        report(figures, keys, size)
    save(args, "hit_rate", figures.results)


if __name__ == "__main__":
    main()
