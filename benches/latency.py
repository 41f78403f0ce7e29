"""The slowest single operations, over dict's: `python benches/latency.py`.

Every map is filled and drained in a fresh process of its own, in turn, round after round, with the garbage
collector off. Each operation is timed by itself, into a buffer that is there beforehand; keys and values are
made outside the time. The figure is the median over the rounds of a map's time over that of dict, with values
of the same type, in the same round.

Two fills: `--n` entries in random order, then drained in random order, for the 99.99th percentile of each;
and `--large` entries for the slowest insert.

On a machine that is shared, the slowest of ten thousand is the one that lost its processor: `--clock cpu`
times by the thread's processor time, which leaves that out (and costs more to read, so that the medians are
no good).
"""

from __future__ import annotations

import gc
import random
from array import array
from collections.abc import Callable, MutableMapping
from statistics import median
from typing import Any

import numpy as np

from _common import CLOCKS, Figures, arguments, fresh, save
from _work import Times, over
from ebbmap import Map

Mapping = MutableMapping[int, Any]
Clock = Callable[[], int]


def blob(i: int) -> bytes:
    return b"%0128d" % i


def whole(i: int) -> int:
    return 1_000_000_000 + i  # a new object each time


# The map, its values, and the dict it is set against.
SUBJECTS: dict[str, tuple[Callable[[], Mapping], Callable[[int], Any], str]] = {
    "dict of int": (dict, whole, ""),
    "dict of bytes": (dict, blob, ""),
    "Map(int, int)": (lambda: Map(int, int), whole, "dict of int"),
    "Map(int, bytes)": (lambda: Map(int, bytes), blob, "dict of bytes"),
    "Map()": (Map, blob, "dict of bytes"),
}
LARGE = ("dict of int", "Map(int, int)")


def fill(m: Mapping, keys: list[int], value: Callable[[int], Any], times: array[int], clock: Clock) -> None:
    for i, key in enumerate(keys):
        new = value(key)
        start = clock()
        m[key] = new
        times[i] = clock() - start


def drain(m: Mapping, keys: list[int], times: array[int], clock: Clock) -> None:
    for i, key in enumerate(keys):
        start = clock()
        del m[key]
        times[i] = clock() - start


def summary(times: array[int], step: str) -> Times:
    """Nanoseconds, of all operations of one step."""
    found = np.frombuffer(times, np.int64)
    return {
        f"{step}, median": float(np.median(found)),
        f"{step}, 99.9th": float(np.percentile(found, 99.9, method="higher")),
        f"{step}, 99.99th": float(np.percentile(found, 99.99, method="higher")),
        f"{step}, slowest": float(found.max()),
    }


def run(name: str, n: int, seed: int, drained: bool, clock: str) -> Times:
    """One subject, filled and perhaps drained; in a process of its own."""
    make, value, _ = SUBJECTS[name]
    shuffled = random.Random(seed)
    keys = list(range(n))
    shuffled.shuffle(keys)
    times = array("q", bytes(8 * n))
    gc.disable()
    m = make()
    fill(m, keys, value, times, CLOCKS[clock])
    found = summary(times, "insert")
    if drained:
        shuffled.shuffle(keys)
        drain(m, keys, times, CLOCKS[clock])
        found |= summary(times, "delete")
    return found


def rounds(names: tuple[str, ...], n: int, count: int, drained: bool, clock: str) -> dict[str, list[Times]]:
    """All subjects in turn, so many times."""
    times: dict[str, list[Times]] = {name: [] for name in names}
    for seed in range(count):
        for name in names:
            times[name].append(fresh(run, name, n, seed, drained, clock))
    return times


def report(figures: Figures, times: dict[str, list[Times]], targets: dict[str, float]) -> None:
    """Each subject's times, and those over dict's that have a target."""
    for name, found in times.items():
        base = SUBJECTS[name][2]
        for what in found[0]:
            figures.add(f"{name}: {what}", median(each[what] for each in found), "ns")
            if base and what in targets:
                figures.add(
                    f"{name}: {what}, over dict", over(found, times[base], what), "x", at_most=targets[what]
                )


def main() -> None:
    args = arguments(__doc__, n=2_000_000, large=10_000_000, rounds=5, clock=tuple(CLOCKS))
    middle, large = Figures(), Figures()
    print(f"filling and draining {args.n:,}")
    times = rounds(tuple(SUBJECTS), args.n, args.rounds, drained=True, clock=args.clock)
    report(middle, times, {"insert, 99.99th": 1.5, "delete, 99.99th": 1.5})
    print(f"filling {args.large:,}")
    times = rounds(LARGE, args.large, max(3, args.rounds // 2), drained=False, clock=args.clock)
    report(large, times, {"insert, slowest": 1 / 30})
    found = {args.n: middle.results, args.large: large.results}
    results = {f"{n:,}: {name}": figure for n, of_n in found.items() for name, figure in of_n.items()}
    save(args, "latency", results)


if __name__ == "__main__":
    main()
