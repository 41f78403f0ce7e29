"""The longest wait of another thread during one call for many keys: `python benches/fairness.py`.

Each operation is done once in a fresh process, on a table of `--n` entries (`--objects`, where they are
objects), beside one other thread. That thread runs a loop of nothing but Python, or of `m.get` of the table
that the operation works on. The figure is the longest time that one round of its loop took: the least over
the rounds, as a busy machine adds what its scheduler takes. It would be about a microsecond if the thread
never had to wait. Beside any thread that runs Python it waits for the interpreter's switch interval, 5 ms:
"a loop" shows this. How long the operation takes alone is measured as well.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from _common import Figures, arguments, fresh, progress, save
from ebbmap import Cache, Map


class Holder:
    """Has the only reference to a table."""

    def __init__(self, table: Any) -> None:
        self.table = table


Operation = Callable[[Holder, Any, Any], object]


def loop(holder: Holder, keys: Any, values: Any) -> None:
    for _ in range(3_000_000):
        pass


def drop(holder: Holder, keys: Any, values: Any) -> None:
    del holder.table


INTS: dict[str, Callable[[], Any]] = {
    "Map(int, int)": lambda: Map(int, int),
    "Cache(key=int, value=int)": lambda: Cache(ttl=3600, key=int, value=int),
}
OBJECTS: dict[str, Callable[[], Any]] = {"Map()": Map, "Cache()": lambda: Cache(ttl=3600)}
OF_ARRAYS: dict[str, Operation] = {
    "set_many(array)": lambda h, keys, values: h.table.set_many(keys, values),
    "get_many(array)": lambda h, keys, values: h.table.get_many(keys),
    "delete_many(array)": lambda h, keys, values: h.table.delete_many(keys),
}
OF_LISTS: dict[str, Operation] = {
    "set_many(list)": lambda h, keys, values: h.table.set_many(keys, values),
    "get_many(list)": lambda h, keys, values: h.table.get_many(keys),
    "delete_many(list)": lambda h, keys, values: h.table.delete_many(keys),
    "update(pairs)": lambda h, keys, values: h.table.update(zip(keys, values, strict=True)),
    "copy()": lambda h, keys, values: h.table.copy(),
    "clear()": lambda h, keys, values: h.table.clear(),
    "drop": drop,
    "reduce": lambda h, keys, values: (
        h.table.__reduce__()
    ),  # what pickle asks for; the writing is pickle's own
    "list(m)": lambda h, keys, values: list(h.table),
    "list(m.items())": lambda h, keys, values: list(h.table.items()),
}
OPERATIONS: dict[str, Operation] = {"a loop": loop, **OF_ARRAYS, **OF_LISTS}
BESIDE = ("python", "get", "alone")


class Watch(threading.Thread):
    """Runs a loop and keeps the longest time of a round, in nanoseconds."""

    def __init__(self, round_: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.round, self.longest, self.ended = round_, 0, False
        self.begun = threading.Event()

    def run(self) -> None:
        self.begun.set()
        last, round_ = perf_counter_ns(), self.round
        while not self.ended:
            round_()
            now = perf_counter_ns()
            self.longest = max(self.longest, now - last)
            last = now


def filled(make: Callable[[], Any], keys: Any, values: Any) -> Any:
    m = make()
    m.set_many(keys, values)
    return m


def run(name: str, operation: str, beside: str, n: int) -> tuple[float, float]:
    """The longest wait of the other thread, and the seconds of the operation, both in ms."""
    rng = np.random.default_rng(1)
    keys: Any = rng.permutation(n) * 1_000_003
    values: Any = rng.integers(1 << 62, size=n)
    if name in OBJECTS:
        keys, values = keys.tolist(), [{} for _ in range(n)]
    elif operation in OF_LISTS:
        keys, values = keys.tolist(), values.tolist()
    make = (INTS | OBJECTS)[name]
    holder = Holder(make() if operation.startswith("set_many") else filled(make, keys, values))
    if operation in ("drop", "clear()"):
        keys = values = ()  # so that the table has the only references
    gc.collect()
    gc.disable()  # a collection of many objects holds all threads, as it does without a table
    return measured(operation, beside, holder, keys, values)


def measured(operation: str, beside: str, holder: Holder, keys: Any, values: Any) -> tuple[float, float]:
    get = {}.get if operation == "drop" else holder.table.get
    thread = Watch((lambda: get(1)) if beside == "get" else (lambda: None))
    work = OPERATIONS[operation]
    if beside != "alone":
        thread.start()
        thread.begun.wait()
    start = perf_counter_ns()
    result = work(holder, keys, values)
    took = perf_counter_ns() - start
    thread.ended = True
    if beside != "alone":
        thread.join()
    del result  # outside the time: whoever drops many objects at once holds all threads
    return thread.longest / 1e6, took / 1e6


def main() -> None:
    args = arguments(__doc__, n=4_000_000, objects=2_000_000, rounds=3)
    figures = Figures()
    subjects = [("Map(int, int)", "a loop", args.n)]
    subjects += [(name, operation, args.n) for name in INTS for operation in {**OF_ARRAYS, **OF_LISTS}]
    subjects += [(name, operation, args.objects) for name in OBJECTS for operation in OF_LISTS]
    for name, operation, n in subjects:
        for beside in BESIDE:
            if operation in ("drop", "a loop") and beside == "get":
                continue
            progress(f"{name}: {operation}, {beside}")
            found = [fresh(run, name, operation, beside, n) for _ in range(args.rounds)]
            label = f"{name}: {operation}"
            if beside == "alone":
                figures.add(f"{label}: takes, alone", median(took for _, took in found), "ms")
            else:
                longest = min(wait for wait, _ in found)
                figures.add(f"{label}: longest wait, {beside}", longest, "ms")
    save(args, "fairness", figures.results)


if __name__ == "__main__":
    main()
