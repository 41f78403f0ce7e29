"""A cache's get, set and delete in nanoseconds, and over its peers': `python benches/cache_operations.py`.

Large: `--n` int keys, in random order; each round makes every cache anew and fills it, in turn, in one
process, and the figure is the median over the rounds of a cache's time over the peer's in the same round.
Each value is its key's own object, which is the least work for those that keep objects. Nothing expires
meanwhile. A miss asks for keys that were never there. Deleting from cachebox's is O(n): a few keys have to
do.

Hot: `--hot` int keys, all in the processor's caches, over a dict of the same; every cache is asked in turn,
many times over.

The loop that asks is in all times; "the loop alone" is what it takes. `--clock cpu` takes the thread's
processor time: for a machine that is shared, though what others do to the processor's caches is in that too.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from statistics import median
from typing import Any

from _caches import PEERS, Maker, ours, plain_dict
from _common import CLOCKS, Figures, arguments, progress, save
from _work import Times, Work, delete, get, over, set_ints, timed

HOUR = 3600.0
SLOW_DELETES = 100  # of a cache that searches all of itself
CACHEBOX, CACHETOOLS = "cachebox.TTLCache", "cachetools.TTLCache"
OURS: dict[str, Maker] = {
    "Cache(ttl=, key=int)": ours(key=int),
    "Cache(ttl=)": ours(),
    "Cache(ttl=, key=int, value=int)": ours(key=int, value=int),
}
MAKERS: dict[str, Maker] = {
    **OURS,
    CACHEBOX: PEERS[CACHEBOX],
    CACHETOOLS: PEERS[CACHETOOLS],
    "dict": plain_dict,
}
LARGE = tuple(name for name in MAKERS if name != "dict")
GET, METHOD_GET, MISS = "c[key]", "c.get(key)", "c.get(key), a miss"
NEW, EXISTING, DELETE = "c[key] = value, new", "c[key] = value, existing", "del c[key]"
LOOP = "the loop alone"
# The most that a time may be over the peer's.
TARGETS = {
    CACHEBOX: {GET: 1.0, METHOD_GET: 1.0, MISS: 0.8, NEW: 1.0, EXISTING: 1.0, DELETE: 0.01},
    CACHETOOLS: dict.fromkeys((GET, METHOD_GET, MISS, NEW, EXISTING, DELETE), 0.25),
}
HOT_TARGET = 3.0
Clock = Callable[[], int]


def method_get(cache: Any, keys: list[int]) -> None:
    for key in keys:
        cache.get(key)


def only_loop(_: Any, keys: list[int]) -> None:
    for _key in keys:
        pass


HOT_STEPS: dict[str, Work] = {GET: get, METHOD_GET: method_get, LOOP: only_loop}


def large_round(name: str, n: int, seed: int, clock: Clock) -> Times:
    """One cache filled, asked, and emptied."""
    shuffled = random.Random(seed)
    keys = [key * 2 for key in range(n)]
    absent = [key * 2 + 1 for key in range(n)]
    shuffled.shuffle(absent)
    cache = MAKERS[name](2 * n, HOUR).cache
    times: Times = {}
    for step, work in ((NEW, set_ints), (GET, get), (METHOD_GET, method_get), (EXISTING, set_ints)):
        shuffled.shuffle(keys)
        times[step] = timed(work, cache, keys, clock)
    times[MISS] = timed(method_get, cache, absent, clock)
    times[LOOP] = timed(only_loop, cache, keys, clock)
    shuffled.shuffle(keys)
    some = keys[:SLOW_DELETES] if name == CACHEBOX else keys
    times[DELETE] = timed(delete, cache, some, clock)
    return times


def report_large(figures: Figures, n: int, rounds: int, clock: Clock) -> None:
    times: dict[str, list[Times]] = {name: [] for name in LARGE}
    for seed in range(rounds):
        for name in LARGE:
            progress(f"{name}: {n:,} entries, round {seed + 1} of {rounds}")
            gc.collect()
            times[name].append(large_round(name, n, seed, clock))
    add_times(figures, n, times)
    for name in OURS:
        for peer, targets in TARGETS.items():
            for step, target in targets.items():
                ratio = over(times[name], times[peer], step)
                figures.add(f"{n:,}: {name}: {step}, over {peer}", ratio, "x", at_most=target)


def add_times(figures: Figures, n: int, times: dict[str, list[Times]]) -> None:
    """Nanoseconds of each step of each, and once those of the loop."""
    loops = [each[LOOP] for found in times.values() for each in found]
    figures.add(f"{n:,}: {LOOP}", median(loops), "ns")
    for name, found in times.items():
        for step in found[0]:
            if step != LOOP:
                figures.add(f"{n:,}: {name}: {step}", median(each[step] for each in found), "ns")


def report_hot(figures: Figures, n: int, rounds: int, clock: Clock) -> None:
    progress(f"{n:,} entries, {rounds} rounds")
    caches = {name: maker(2 * n, HOUR).cache for name, maker in MAKERS.items()}
    keys = list(range(n))
    for cache in caches.values():
        set_ints(cache, keys)
    shuffled = random.Random(28)
    times: dict[str, list[Times]] = {name: [] for name in caches}
    for _ in range(rounds):
        shuffled.shuffle(keys)
        many = keys * 10
        for name, cache in caches.items():
            found = {step: timed(work, cache, many, clock) for step, work in HOT_STEPS.items()}
            times[name].append(found)
    add_times(figures, n, times)
    for name in caches:
        for step in (GET, METHOD_GET) if name != "dict" else ():
            ratio = over(times[name], times["dict"], step)
            target = HOT_TARGET if name in OURS else None
            figures.add(f"{n:,}: {name}: {step}, over dict", ratio, "x", at_most=target)


def main() -> None:
    args = arguments(__doc__, n=1_000_000, rounds=5, hot=1_000, hot_rounds=101, clock=tuple(CLOCKS))
    clock = CLOCKS[args.clock]
    figures = Figures()
    report_hot(figures, args.hot, args.hot_rounds, clock)
    report_large(figures, args.n, args.rounds, clock)
    save(args, "cache_operations", figures.results)


if __name__ == "__main__":
    main()
