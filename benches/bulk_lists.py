"""The bulk calls on lists of plain numbers, over the same calls on arrays: `python benches/bulk_lists.py`.

`--n` entries, keys in a random order. Lists and arrays take turns, round after round, on maps of their own;
the figure is the median over the rounds of the lists' time over the arrays'. The floor is the time that it
takes to read the ints of a list, in the order of the keys, and do nothing with them (`_core._ints_as_bytes`).
Times are of the processor (`--clock`), as what else runs on the machine is less in them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from _common import CLOCKS, Figures, arguments, save
from _work import Times, over
from ebbmap import Map, _core

AnyMap: Any = Map
KINDS: dict[str, tuple[Any, str]] = {
    "Map(int, int)": (int, "i8"),
    "Map(int, float)": (float, "f8"),
    "Map(int, 'i8')": ("i8", "i8"),
    "Map(int, 'f4')": ("f4", "f4"),
}


def timed(clock: str, n: int, work: Callable[..., object], *args: object) -> float:
    """Nanoseconds an entry; the result is let go of outside the time."""
    gc.collect()
    start = CLOCKS[clock]()
    result = work(*args)
    took = CLOCKS[clock]() - start
    del result
    return took / n


def steps(clock: str, m: Map[int, Any], keys: list[Any], values: Any) -> Times:
    """The times of a fill, a read, a change and a drain; `keys` has three orders of the same keys."""
    n = len(values)
    return {
        "set_many, new": timed(clock, n, m.set_many, keys[0], values),
        "get_many": timed(clock, n, m.get_many, keys[1]),
        "set_many, existing": timed(clock, n, m.set_many, keys[2], values),
        "delete_many": timed(clock, n, m.delete_many, keys[1]),
    }


def main() -> None:
    args = arguments(__doc__, n=1_000_000, rounds=5, clock=("cpu", "wall"))
    figures = Figures()
    for name, (kind, dtype) in KINDS.items():
        lists: list[Times] = []
        arrays: list[Times] = []
        floors: list[float] = []
        for seed in range(args.rounds):
            rng = np.random.default_rng(seed)
            keys = [rng.permutation(args.n).astype(np.int64) * 1_000_003 for _ in range(3)]
            values = rng.integers(1 << 62, size=args.n).astype(dtype)
            listed = [order.tolist() for order in keys]
            arrays.append(steps(args.clock, AnyMap(int, kind), keys, values))
            lists.append(steps(args.clock, AnyMap(int, kind), listed, values.tolist()))
            floors.append(timed(args.clock, args.n, _core._ints_as_bytes, listed[1]))
        for step in lists[0]:
            figures.add(f"{name}: {step}, lists over arrays", over(lists, arrays, step, step), "x")
            figures.add(f"{name}: {step}, lists", median(times[step] for times in lists), "ns")
            figures.add(f"{name}: {step}, arrays", median(times[step] for times in arrays), "ns")
        figures.add(f"{name}: reading a list of ints alone", median(floors), "ns")
    save(args, "bulk_lists", figures.results)


if __name__ == "__main__":
    main()
