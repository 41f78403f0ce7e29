"""The bulk calls on arrays, over dict doing the same one by one: `python benches/bulk.py`.

`--n` entries. The map is given an int64 array of keys and an array of values; dict a list of the same keys,
in the same random order (other objects than those it was filled with, as in a program that computes them), in
a comprehension `{key: d[key] for key in keys}` or `[d[key] for key in keys]`, or a loop. Map and dict take
turns, round after round, in one process; the figure is the median over the rounds of dict's time over the
map's: how many times as fast.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import Figures, arguments, save
from _work import Times, delete, over
from ebbmap import Map

Keys = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def blobs(n: int, seed: int) -> Array:
    return np.frombuffer(np.random.default_rng(seed).bytes(128 * n), "V128")


def wholes(n: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(1 << 62, size=n)


# The map, and n values as an array.
SUBJECTS: dict[str, tuple[Callable[[], Map[int, Any]], Callable[[int, int], Array]]] = {
    "Map(int, 'V128')": (lambda: Map(int, "V128"), blobs),
    "Map(int, int)": (lambda: Map(int, int), wholes),
}
TARGETS = {
    ("Map(int, 'V128')", "get_many over {}"): 8.0,
    ("Map(int, 'V128')", "get_many over []"): 8.0,
}


def objects(values: Array) -> list[Any]:
    """The same values as a program without arrays has them."""
    found: list[Any] = values.tolist()
    return found


def set_each(d: dict[int, Any], keys: list[int], values: list[Any]) -> None:
    for key, value in zip(keys, values, strict=True):
        d[key] = value  # noqa: PERF403 -- the dict is there already


def get_dict(d: dict[int, Any], keys: list[int]) -> dict[int, Any]:
    return {key: d[key] for key in keys}


def get_list(d: dict[int, Any], keys: list[int]) -> list[Any]:
    return [d[key] for key in keys]


def timed(n: int, work: Callable[..., object], *args: object) -> float:
    """Nanoseconds an entry; the arguments are made, and the result is let go of, outside the time."""
    gc.collect()
    start = perf_counter_ns()
    result = work(*args)
    took = perf_counter_ns() - start
    del result
    return took / n


def of_map(m: Map[int, Any], orders: list[Keys], values: Callable[[int, int], Array]) -> Times:
    """`orders` has the keys in a random order for each of the steps."""
    n = len(orders[0])
    return {
        "set_many, new": timed(n, m.set_many, orders[0], values(n, 1)),
        "get_many": timed(n, m.get_many, orders[1]),
        "set_many, existing": timed(n, m.set_many, orders[2], values(n, 2)),
        "delete_many": timed(n, m.delete_many, orders[3]),
    }


def of_dict(orders: list[Keys], values: Callable[[int, int], Array]) -> Times:
    """The same, one by one."""
    n = len(orders[0])
    d: dict[int, Any] = {}
    return {
        "set_many, new": timed(n, set_each, d, orders[0].tolist(), objects(values(n, 1))),
        "get_many over {}": timed(n, get_dict, d, orders[1].tolist()),
        "get_many over []": timed(n, get_list, d, orders[1].tolist()),
        "set_many, existing": timed(n, set_each, d, orders[2].tolist(), objects(values(n, 2))),
        "delete_many": timed(n, delete, d, orders[3].tolist()),
    }


def orders(n: int, seed: int) -> list[Keys]:
    rng = np.random.default_rng(seed)
    keys = rng.permutation(n).astype(np.int64) * 1_000_003
    return [keys, *(rng.permutation(keys) for _ in range(3))]


def report(figures: Figures, name: str, mine: list[Times], theirs: list[Times]) -> None:
    for step in theirs[0]:
        call = step.split(" over ")[0]
        ratio = over(theirs, mine, step, call)
        figures.add(f"{name}: {step}, times as fast as dict", ratio, "x", at_least=TARGETS.get((name, step)))
        figures.add(f"{name}: {step}, dict", median(b[step] for b in theirs), "ns")
        figures.add(f"{name}: {step}, map", median(a[call] for a in mine), "ns")


def main() -> None:
    args = arguments(__doc__, n=1_000_000, rounds=5)
    figures = Figures()
    for name, (make, values) in SUBJECTS.items():
        mine: list[Times] = []
        theirs: list[Times] = []
        for seed in range(args.rounds):
            some = orders(args.n, seed)
            theirs.append(of_dict(some, values))
            mine.append(of_map(make(), some, values))
        report(figures, name, mine, theirs)
    save(args, "bulk", figures.results)


if __name__ == "__main__":
    main()
