"""Small maps made, filled and gone, in nanoseconds an entry, over dict's: `python benches/small_maps.py`.

Many: `--maps` maps are made, each is filled with `--n` entries, one by one, and all are dropped: what a
service does that has a map for each user. Fresh: one map after the other is made, filled with 10, 100 or
1,000 entries, and drained again, one `del` an entry, in another order. Map and dict take turns; the figure is
the median over the rounds.

The keys are ints below the number of entries and made before, as are the values; a dict keeps references.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median
from typing import Any, NamedTuple

from _common import CLOCKS, Figures, arguments, progress, save
from _work import Times, Work, delete, over, set_ints
from ebbmap import Map

BLOB = b"v" * 100


def set_blobs(m: Any, keys: list[int]) -> None:
    for key in keys:
        m[key] = BLOB


KINDS: dict[str, tuple[Callable[[], Any], Work]] = {
    "Map(int, int)": (lambda: Map(int, int), set_ints),
    "Map(int, bytes)": (lambda: Map(int, bytes), set_blobs),
}


class Subject(NamedTuple):
    """What makes a map, and what fills it."""

    make: Callable[[], Any]
    fill: Work
    clock: Callable[[], int]


def many(subject: Subject, maps: int, keys: list[int]) -> Times:
    """So many maps, made and filled, and then dropped: nanoseconds an entry."""
    held: list[Any] = [None] * maps
    start = subject.clock()
    for i in range(maps):
        held[i] = subject.make()
        subject.fill(held[i], keys)
    filled = subject.clock()
    for i in range(maps):
        held[i] = None
    end = subject.clock()
    spent = {"made and filled": filled - start, "dropped": end - filled, "all": end - start}
    return {step: time / (maps * len(keys)) for step, time in spent.items()}


def fresh_one(subject: Subject, repeats: int, keys: list[int]) -> Times:
    """One map at a time, filled and drained: nanoseconds an entry, with making and dropping the map."""
    others = random.Random(1).sample(keys, len(keys))
    spent = dict.fromkeys(("filled", "drained"), 0)
    for _ in range(repeats):
        start = subject.clock()
        m = subject.make()
        subject.fill(m, keys)
        between = subject.clock()
        delete(m, others)
        del m
        spent["filled"] += between - start
        spent["drained"] += subject.clock() - between
    spent["both"] = sum(spent.values())
    return {step: time / (repeats * len(keys)) for step, time in spent.items()}


def report(
    figures: Figures, name: str, rounds: int, mine: Callable[[], Times], theirs: Callable[[], Times]
) -> None:
    """The median of each step, and its median over dict's in the same round. The first round warms up."""
    progress(name)
    found = [(mine(), theirs()) for _ in range(rounds + 1)][1:]
    ours, of_dict = [a for a, _ in found], [b for _, b in found]
    for step in ours[0]:
        figures.add(f"{name}, {step}", median(times[step] for times in ours), "ns")
        figures.add(f"{name}, {step}, dict", median(times[step] for times in of_dict), "ns")
        target = 2.0 if step == "all" else None
        figures.add(f"{name}, {step}, over dict's", over(ours, of_dict, step), "x", at_most=target)


def report_many(figures: Figures, args: Any) -> None:
    keys = random.Random(28).sample(range(args.n), args.n)
    for name, (make, fill) in KINDS.items():
        subjects = [Subject(each, fill, CLOCKS[args.clock]) for each in (make, dict)]
        both = [partial(many, subject, args.maps, keys) for subject in subjects]
        report(figures, f"{args.maps:,} {name} of {args.n:,}", args.rounds, *both)


def report_fresh(figures: Figures, args: Any) -> None:
    for n, (name, (make, fill)) in product((10, 100, 1_000), KINDS.items()):
        keys = random.Random(n).sample(range(n), n)
        repeats = max(1, args.maps * args.n // n // 10)
        subjects = [Subject(each, fill, CLOCKS[args.clock]) for each in (make, dict)]
        both = [partial(fresh_one, subject, repeats, keys) for subject in subjects]
        report(figures, f"a fresh {name} of {n:,}", args.rounds, *both)


def main() -> None:
    args = arguments(__doc__, maps=10_000, n=100, rounds=7, clock=tuple(CLOCKS))
    figures = Figures()
    report_many(figures, args)
    report_fresh(figures, args)
    save(args, "small_maps", figures.results)


if __name__ == "__main__":
    main()
