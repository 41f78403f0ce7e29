"""The loops that are timed, nothing but the operation once for each key, and how two times are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter_ns
from typing import Any

Work = Callable[[Any, list[int]], None]
Times = dict[str, float]
"""Nanoseconds, by what took them."""


def get(m: Any, keys: list[int]) -> None:
    for key in keys:
        m[key]


def set_ints(m: Any, keys: list[int]) -> None:
    """Each value is its key's own object: what keeps objects makes none, and later reads no other."""
    for key in keys:
        m[key] = key


def delete(m: Any, keys: list[int]) -> None:
    for key in keys:
        del m[key]


def timed(work: Work, m: Any, keys: list[int], clock: Callable[[], int] = perf_counter_ns) -> float:
    """Nanoseconds for a key, by `clock`."""
    start = clock()
    work(m, keys)
    return (clock() - start) / len(keys)


def over(mine: Sequence[Times], theirs: Sequence[Times], step: str, their_step: str = "") -> float:
    """The median over the rounds of a step's time over that of the other in the same round."""
    return median(a[step] / b[their_step or step] for a, b in zip(mine, theirs, strict=True))
