"""Hit rates over those of LRU, FIFO, SIEVE as it was published, S3-FIFO and W-TinyLFU, on a real trace and on
made loads: `python benches/hit_rate.py`.

The trace `orm-busy.trace.xz` (big-endian int32 keys: five million accesses to the object cache of an
e-commerce site; Jens Wilke, headissue, CC BY 4.0) is played through each: a key that is asked for and
not there is set. It is looked for where EBBMAP_DATA says, or in ../shared/data.

LRU, FIFO, SIEVE and S3-FIFO are exact, and a few lines each, as cachetools' own take minutes; on the first
`--check` accesses LRU and FIFO are compared with cachetools'. W-TinyLFU is theine's.

The made loads say where a policy is weak: keys by Zipf's law; the same, while which keys are frequent
moves on; interrupted by scans; and mixed with a loop that does not fit.
"""

from __future__ import annotations

import lzma
import random
import sys
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, count, islice
from typing import Any

import cachetools
from theine import Cache as Theine

from _common import Figures, arguments, progress, save, shared_data
from ebbmap import Cache

TRACE = "orm-busy.trace.xz"
Keys = Sequence[int]


def ours(keys: Keys, size: int) -> int:
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


def sieve(keys: Iterable[int], size: int) -> int:
    """As in the paper (Zhang et al., NSDI 2024). `newer` links the queue; the hand is next to `behind`."""
    hits = 0
    visited: dict[int, bool] = {}
    newer: dict[int, int] = {-1: -1}  # from before the oldest, back to there
    newest = behind = -1
    for key in keys:
        if key in visited:
            hits += 1
            visited[key] = True
            continue
        if len(visited) == size:
            while (at := newer[behind]) == -1 or visited[at]:
                visited.update({} if at == -1 else {at: False})
                behind = at
            newer[behind] = newer.pop(at)
            newest, behind = (behind, -1) if at == newest else (newest, behind)
            del visited[at]
        visited[key] = False
        newer[newest], newer[key], newest = key, -1, key
    return hits


def s3_fifo(keys: Iterable[int], size: int) -> int:
    """As in the paper (Yang et al., SOSP 2023): a tenth for newcomers, a ghost queue as long as the main."""
    hits = 0
    uses: dict[int, int] = {}
    small, main, ghost = deque[int](), deque[int](), OrderedDict[int, bool]()
    for_small = max(size // 10, 1)

    def evict_main() -> None:
        while uses[oldest := main.popleft()] > 0:
            uses[oldest] -= 1
            main.append(oldest)
        del uses[oldest]

    def evict_small() -> None:
        while small:
            oldest = small.popleft()
            if uses[oldest] <= 1:
                del uses[oldest]
                ghost[oldest] = True
                if len(ghost) > size - for_small:
                    ghost.popitem(last=False)
                return
            uses[oldest] = 0
            main.append(oldest)
            if len(main) > size - for_small:
                evict_main()
                return

    for key in keys:
        if key in uses:
            hits += 1
            uses[key] = min(uses[key] + 1, 3)
            continue
        while len(uses) >= size:
            evict_small() if len(small) >= for_small or not main else evict_main()
        (main if ghost.pop(key, False) else small).append(key)
        uses[key] = 0
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
    "SIEVE (published)": sieve,
    "S3-FIFO": s3_fifo,
    "W-TinyLFU (theine)": w_tinylfu,
}
SAME = {"LRU": (lru, cachetools.LRUCache), "FIFO": (fifo, cachetools.FIFOCache)}
OURS = "Cache"


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


# --- made loads ---

DISTINCT = 100_000


def zipf(exponent: float, chance: random.Random) -> Iterator[int]:
    """Keys from 0 on, the most frequent first."""
    weights = list(accumulate(rank**-exponent for rank in range(1, DISTINCT + 1)))
    while True:
        yield from chance.choices(range(DISTINCT), cum_weights=weights, k=1000)


def drifting(chance: random.Random, every: int) -> Iterator[int]:
    """One key less frequent, one key new, each so many accesses."""
    return (key + turn // every for turn, key in enumerate(zipf(1.0, chance)))


def scanned(chance: random.Random, every: int, length: int) -> Iterator[int]:
    """After so many accesses, so many keys that never come again."""
    keys, new = zipf(1.0, chance), DISTINCT
    while True:
        yield from islice(keys, every)
        yield from range(new, new + length)
        new += length


def looped(chance: random.Random, length: int) -> Iterator[int]:
    """Every second key is of a loop."""
    for turn, key in enumerate(zipf(1.0, chance)):
        yield key
        yield DISTINCT + turn % length


def loads(chance: random.Random, size: int) -> dict[str, Iterator[int]]:
    return {
        **{f"Zipf {exponent}": zipf(exponent, chance) for exponent in (0.6, 0.8, 1.0, 1.2)},
        "Zipf 1.0, drifting": drifting(chance, 10),
        "Zipf 1.0, drifting fast": drifting(chance, 2),
        "Zipf 1.0 with scans": scanned(chance, 2 * size, size),
        "Zipf 1.0 and a loop": looped(chance, size * 6 // 5),
        "a loop": (turn % (size * 11 // 10) for turn in count()),
    }


# --- reports ---


def report(figures: Figures, keys: Keys, size: int) -> None:
    progress(f"{OURS} of {size:,}")
    rate = 100 * ours(keys, size) / len(keys)
    rates = {}
    for name, play in POLICIES.items():
        progress(f"{name} of {size:,}")
        rates[name] = 100 * play(keys, size) / len(keys)
    figures.add(f"{size:,} items: {OURS}", rate, "%", at_least=rates["LRU"])
    for name, other in rates.items():
        figures.add(f"{size:,} items: {name}", other, "%")
        figures.add(f"{size:,} items: {OURS} above {name}", rate - other, "points")


def report_made(figures: Figures, name: str, keys: Keys, size: int) -> None:
    progress(name)
    for policy, play in {OURS: ours, **POLICIES}.items():
        figures.add(f"{name}, {size:,} items: {policy}", 100 * play(keys, size) / len(keys), "%")


def main() -> None:
    args = arguments(__doc__, size=[1_000, 5_000, 20_000], accesses=5_000_000, check=500_000, made=1_000_000)
    keys = read_trace(args.accesses)
    check(keys[: args.check], args.size)
    figures = Figures()
    for size in args.size:
        report(figures, keys, size)
    size = sorted(args.size)[len(args.size) // 2]
    for name, load in loads(random.Random(0), size).items():
        report_made(figures, name, list(islice(load, args.made)), size)
    save(args, "hit_rate", figures.results)


if __name__ == "__main__":
    main()
