"""Nanoseconds of get, set and delete in random order, over dict's: `python benches/operations.py`.

Every map does the same work in turn, round after round, in one process; the figure is the median over the
rounds of each map's time over a dict's of the same keys and values in the same round. A value that is set is
an object of its own, made in the loop, as a program's is: `m[key] = bytes(128)` or `m[key] = key + 10**9`, an
int that CPython doesn't keep ready, as it does those up to 256, and of one digit, as the keys are (below
2**30). At 1,000 entries ("hot": all in the processor's caches) a map keeps between half of them and all.

The last rows, which have no targets, are of `m[key] = key`: a dict then neither makes a value nor reads one,
as it holds the key's own object, which the loop has at hand. `Map(int, int)` has to make an int of what it
holds all the same: this is the worst for it.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, MutableMapping
from statistics import median
from typing import Any

from _common import Figures, arguments, save
from _work import Times, Work, delete, get, over, set_ints, timed
from ebbmap import Map

Mapping = MutableMapping[int, Any]


def set_bytes(m: Mapping, keys: list[int]) -> None:
    for key in keys:
        m[key] = bytes(128)


def set_other_ints(m: Mapping, keys: list[int]) -> None:
    for key in keys:
        m[key] = key + 1_000_000_000


OWN = "each its key's own object"
# How to make one, how to set its values, and the dict it is compared with.
SUBJECTS: dict[str, tuple[Callable[[], Mapping], Work, str]] = {
    "dict of bytes": (dict, set_bytes, ""),
    "Map(int, bytes)": (lambda: Map(int, bytes), set_bytes, "dict of bytes"),
    "Map()": (Map, set_bytes, "dict of bytes"),
    "dict of ints": (dict, set_other_ints, ""),
    "Map(int, int)": (lambda: Map(int, int), set_other_ints, "dict of ints"),
    f"dict of ints, {OWN}": (dict, set_ints, ""),
    f"Map(int, int), {OWN}": (lambda: Map(int, int), set_ints, f"dict of ints, {OWN}"),
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


def round_of(name: str, n: int, seed: int) -> Times:
    """One map's times: filled anew for a large n, kept at its size for a small one."""
    make, set_, _ = SUBJECTS[name]
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
                set_(m, keys)
                delete(m, some)
            times.setdefault(step, []).append(timed(work, m, some))
    return {step: median(found) for step, found in times.items()}


def main() -> None:
    args = arguments(__doc__, n=[1_000, 1_000_000], rounds=5)
    figures = Figures()
    for n in args.n:
        rounds = args.rounds if n > 100_000 else 5 * args.rounds
        times: dict[str, list[Times]] = {name: [] for name in SUBJECTS}
        for seed in range(rounds):
            for name in SUBJECTS:
                gc.collect()
                times[name].append(round_of(name, n, seed))
        for name, found in times.items():
            for step in found[0]:
                what = f"{n:,}: {name}: {step}"
                figures.add(what, median(each[step] for each in found), "ns")
                if baseline := SUBJECTS[name][2]:
                    target = TARGETS.get((name, n), {}).get(step)
                    ratio = over(found, times[baseline], step)
                    figures.add(f"{what}, over dict", ratio, "x", at_most=target)
    save(args, "operations", figures.results)


if __name__ == "__main__":
    main()
