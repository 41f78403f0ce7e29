"""The slowest set or get while a million entries expire: `python benches/cache_expiry.py`.

A cache is filled with `--n` entries whose lifetimes all end at the same moment, in a fresh process of
its own. Two runs of each: one in which it is used all along, from before that moment until `--after`
seconds later, and one in which nobody calls until a second has passed. Used: other keys are set, and
those that expire are asked for in random order; each operation is timed by itself. The garbage collector
is off. A dict, in which nothing expires, shows what the machine does to the slowest operation. Figures
are medians over the rounds, each in a process of its own.

Entries get lifetimes of their own, where the cache has such (of cachebox's that is `VTTLCache`);
cachetools' `TTLCache` is filled with its clock standing still.

With `--rest` (seconds) the program rests after every 20,000 operations: enough of it that Linux does not
stop it by force where it runs with real-time priority, so as to be left alone on a machine that is shared
(`chrt -r 1 python benches/cache_expiry.py --rest 0.003`).
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median
from time import perf_counter_ns
from typing import Any, NamedTuple

from _common import Figures, arguments, fresh, progress, save

Put = Callable[[int, Any, float], object]
HOUR = 3600.0
BEFORE = 0.3  # seconds of use before all expire
TARGET_MS = 2.0
OTHER_KEYS = 10_000
MS = 1_000_000  # nanoseconds


class Made(NamedTuple):
    """A cache, and its calls: `put` takes the seconds that an entry is to live."""

    cache: Any
    put: Put
    get: Callable[[int], Any]


def ours(**settings: Any) -> Callable[[int, float], Made]:
    def make(_: int, __: float) -> Made:
        from ebbmap import Cache

        cache: Any = Cache(**settings)
        return Made(cache, cache.set, cache.get)

    return make


def cachebox(_: int, __: float) -> Made:
    from cachebox import VTTLCache

    cache: Any = VTTLCache(0)
    return Made(cache, cache.insert, cache.get)


def swept_cachebox(_: int, __: float) -> Made:
    from cachebox import VTTLCache

    cache: Any = VTTLCache(0, sweep_interval=1)
    return Made(cache, cache.insert, cache.get)


def cachetools(n: int, deadline: float) -> Made:
    """Its clock stands at a second before the deadline until there is anything but filling."""
    from cachetools import TTLCache

    def timer() -> float:
        return max(deadline - 1, time.monotonic())

    cache: Any = TTLCache(n, 1, timer=timer)

    def put(key: int, value: Any, _: float) -> None:
        cache[key] = value

    return Made(cache, put, cache.get)


def moka(n: int, _: float) -> Made:
    from moka_py import Moka

    cache: Any = Moka(n)
    return Made(cache, cache.set, cache.get)


def theine(n: int, _: float) -> Made:
    from theine import Cache

    cache: Any = Cache(n)

    def put(key: int, value: Any, seconds: float) -> None:
        cache.set(key, value, timedelta(seconds=seconds))

    return Made(cache, put, cache.get)


def plain_dict(_: int, __: float) -> Made:
    cache: dict[int, Any] = {}

    def put(key: int, value: Any, _: float) -> None:
        cache[key] = value

    return Made(cache, put, cache.get)


OURS: dict[str, Callable[[int, float], Made]] = {
    "Cache(key=int, value=int)": ours(key=int, value=int),
    "Cache(key=int)": ours(key=int),
    "Cache()": ours(),
}
MAKERS: dict[str, Callable[[int, float], Made]] = {
    "dict, nothing expires": plain_dict,
    **OURS,
    "cachebox.VTTLCache": cachebox,
    "cachebox.VTTLCache, sweep_interval=1": swept_cachebox,
    "cachetools.TTLCache": cachetools,
    "moka_py.Moka": moka,
    "theine.Cache": theine,
}
RUNS = {True: "used all along", False: "used after a pause"}


class Seen(NamedTuple):
    """Nanoseconds of the slowest, and operations."""

    slowest_put: int
    slowest_get: int
    over_1ms: int
    operations: int


def use(made: Made, keys: list[int], until: float, rest: float) -> Seen:
    """Set others and get these, again and again."""
    put, get = made.put, made.get
    slowest_put = slowest_get = slow = count = 0
    while time.monotonic() < until:
        first = count % len(keys)
        for i, key in enumerate(keys[first : first + OTHER_KEYS]):
            start = perf_counter_ns()
            put(-1 - i, i, HOUR)
            middle = perf_counter_ns()
            get(key)
            end = perf_counter_ns()
            slowest_put = max(slowest_put, middle - start)
            slowest_get = max(slowest_get, end - middle)
            slow += (middle - start > MS) + (end - middle > MS)
            count += 1
        if rest:
            time.sleep(rest)
    return Seen(slowest_put, slowest_get, slow, 2 * count)


def run(name: str, n: int, lifetime: float, after: float, rest: float, all_along: bool) -> Seen | None:
    """One cache, in a process of its own; None if it took too long to fill."""
    keys = list(range(n))
    random.Random(28).shuffle(keys)
    gc.disable()
    deadline = time.monotonic() + lifetime
    made = MAKERS[name](2 * n + OTHER_KEYS, deadline)
    for key in keys:
        if (left := deadline - time.monotonic()) <= 0:
            return None
        made.put(key, 28, left)
    random.Random(29).shuffle(keys)
    begin = deadline - BEFORE if all_along else deadline + 1
    if (pause := begin - time.monotonic()) < 0:
        return None
    time.sleep(pause)
    return use(made, keys, begin + BEFORE + after, rest)


def seen(name: str, n: int, lifetime: float, after: float, rest: float, all_along: bool) -> Seen:
    """One cache, with lifetimes long enough for it to be filled."""
    while (found := fresh(run, name, n, lifetime, after, rest, all_along)) is None:
        lifetime *= 2
    return found


def report(figures: Figures, name: str, target: float | None, found: list[Seen]) -> None:
    """The slowest of each round, of all rounds, and how many took over a millisecond."""
    slowest_put = median(each.slowest_put for each in found)
    slowest_get = median(each.slowest_get for each in found)
    over = median(each.over_1ms / each.operations for each in found)
    figures.add(f"{name}: slowest set", slowest_put / MS, "ms", at_most=target)
    figures.add(f"{name}: slowest get", slowest_get / MS, "ms", at_most=target)
    slowest = max(max(each.slowest_put, each.slowest_get) for each in found)
    figures.add(f"{name}: slowest of all rounds", slowest / MS, "ms")
    figures.add(f"{name}: over 1 ms, of a million", 1e6 * over)


def main() -> None:
    args = arguments(__doc__, n=1_000_000, lifetime=5.0, after=3.0, rest=0.0, rounds=3)
    figures = Figures()
    for all_along, how in RUNS.items():
        for name in MAKERS:
            progress(f"{name}: {args.n:,} entries, {how}")
            found = [
                seen(name, args.n, args.lifetime, args.after, args.rest, all_along)
                for _ in range(args.rounds)
            ]
            report(figures, f"{name}, {how}", TARGET_MS if name in OURS else None, found)
    save(args, "cache_expiry", figures.results)


if __name__ == "__main__":
    main()
