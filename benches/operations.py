"""Nanoseconds of get, set and delete in random order, over dict's: `python benches/operations.py`.

Every map does the same work in turn, round after round, in one process; the figure is the median over the
rounds of each map's time over dict's time in the same round. Values are distinct objects, as a program's are.
At 1,000 entries ("hot": all in the processor's caches) a round repeats the same pass, so that deletes and
inserts are of a map that keeps its size.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, MutableMapping
from statistics import median
from time import perf_counter_ns
from typing import Any

from _common import Figures, arguments, save
from ebbmap import Map

Mapping = MutableMapping[int, Any]
SUBJECTS: dict[str, tuple[Callable[[], Mapping], Callable[[int], Any]]] = {
    "dict": (dict, lambda i: b"%0128d" % i),
    "Map(int, bytes)": (lambda: Map(int, bytes), lambda i: b"%0128d" % i),
    "Map()": (Map, lambda i: b"%0128d" % i),
    "Map(int, int)": (lambda: Map(int, int), lambda i: i),
}
STEPS = ("set new", "get", "set existing", "delete")
HOT = dict.fromkeys(STEPS, 2.0)
LARGE = {"get": 0.8, "set existing": 1.0, "set new": 1.1, "delete": 0.8}
# The most that a time may be over dict's, at that many entries.
TARGETS = {
    ("Map(int, bytes)", 1_000): HOT,
    ("Map(int, int)", 1_000): HOT,
    ("Map()", 1_000): dict.fromkeys(STEPS, 1.8),
    ("Map(int, bytes)", 1_000_000): LARGE,
    ("Map(int, int)", 1_000_000): LARGE,
    ("Map()", 1_000_000): dict.fromkeys(STEPS, 1.1),
}


def get(m: Mapping, keys: list[int], values: list[Any]) -> None:
    for key in keys:
        m[key]


def set_(m: Mapping, keys: list[int], values: list[Any]) -> None:
    for key, value in zip(keys, values, strict=True):
        m[key] = value


def delete(m: Mapping, keys: list[int], values: list[Any]) -> None:
    for key in keys:
        del m[key]


def timed(
    work: Callable[[Mapping, list[int], list[Any]], None], m: Mapping, keys: list[int], values: list[Any]
) -> float:
    start = perf_counter_ns()
    work(m, keys, values)
    return (perf_counter_ns() - start) / len(keys)


def round_of(name: str, n: int, seed: int) -> dict[str, float]:
    """One map's times: filled anew for a large n, kept at its size for a small one."""
    make, value = SUBJECTS[name]
    shuffled = random.Random(seed)
    keys = list(range(n))
    times: dict[str, list[float]] = {}
    m = make()
    passes = max(1, 20_000 // n)
    for _ in range(passes):
        for step, work in (("set new", set_), ("get", get), ("set existing", set_), ("delete", delete)):
            shuffled.shuffle(keys)
            some = keys if passes == 1 else keys[: n // 2]
            if step == "set new" and passes > 1:
                m.update({key: value(key) for key in keys})
                for key in some:
                    del m[key]
            values = [value(key) for key in some]
            times.setdefault(step, []).append(timed(work, m, some, values))
            del values
    return {step: median(found) for step, found in times.items()}


def main() -> None:
    args = arguments(__doc__, n=[1_000, 1_000_000], rounds=5)
    figures = Figures()
    for n in args.n:
        rounds = args.rounds if n > 100_000 else 5 * args.rounds
        times: dict[str, list[dict[str, float]]] = {name: [] for name in SUBJECTS}
        for seed in range(rounds):
            for name in SUBJECTS:
                gc.collect()
                times[name].append(round_of(name, n, seed))
        for name, found in times.items():
            for step in found[0]:
                what = f"{n:,}: {name}: {step}"
                figures.add(what, median(each[step] for each in found), "ns")
                if name != "dict":
                    ratio = median(a[step] / b[step] for a, b in zip(found, times["dict"], strict=True))
                    target = TARGETS.get((name, n), {}).get(step)
                    figures.add(f"{what}, over dict", ratio, "x", at_most=target)
    save(args, "operations", figures.results)


if __name__ == "__main__":
    main()
