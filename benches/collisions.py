"""Inserting int keys made to collide, over inserting random ones: `python benches/collisions.py`.

Three sets of `--n` keys, each poison for a table that hashes without a key: multiples of 2**32 and of 2**40
(all alike for a table that takes the low bits of the int), and keys whose hash by foldhash with its fixed
seed, which is the function `Map` uses but keyed, has the same low eight bits. They are inserted in random
order into `Map(int, int)` and, for comparison, dict. Every round is a fresh process, as the key is a
process's own; each set takes its turn with random keys there. The figure is the median over the rounds of the
set's time over the random keys'.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, MutableMapping
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import Figures, arguments, fresh, save
from ebbmap import Map

Mapping = MutableMapping[int, Any]
Words = npt.NDArray[np.uint64]
SUBJECTS: dict[str, Callable[[], Mapping]] = {"Map(int, int)": lambda: Map(int, int), "dict": dict}
SAME_BITS = 8
HALF = np.uint64(32)
LOW = np.uint64(0xFFFF_FFFF)


def folded_multiply(x: Words, y: int) -> Words:
    """The two halves of the 128-bit product, one XOR the other."""
    low, high = np.uint64(y & 0xFFFF_FFFF), np.uint64(y >> 32)
    x_low, x_high = x & LOW, x >> HALF
    middle = x_high * low + ((x_low * low) >> HALF)
    carried = x_low * high + (middle & LOW)
    upper: Words = x_high * high + (middle >> HALF) + (carried >> HALF)
    return upper ^ (x * np.uint64(y))


def unkeyed(keys: Words) -> Words:
    """What `foldhash::quality::FixedState` makes of 64-bit integers."""
    inner = folded_multiply(keys ^ np.uint64(0x082E_FA98_EC4E_6C89), 0xC0AC_29B7_C97C_50DD)
    return folded_multiply(inner, 0x243F_6A88_85A3_08D3)


def colliding(n: int) -> list[int]:
    """n keys whose unkeyed hashes all end in eight zero bits."""
    found: list[int] = []
    start, step, mask = 0, 1 << 18, np.uint64((1 << SAME_BITS) - 1)
    while len(found) < n:
        keys = np.arange(start, start + step, dtype=np.uint64)
        found += keys[unkeyed(keys) & mask == 0].tolist()
        start += step
    return found[:n]


def sets(n: int) -> dict[str, list[int]]:
    return {
        "multiples of 2**32": [i << 32 for i in range(n)],
        "multiples of 2**40": [i << 40 for i in range(n)],
        "alike for the unkeyed hash": colliding(n),
    }


def insert(m: Mapping, keys: list[int], values: list[int]) -> float:
    """Nanoseconds an entry."""
    start = perf_counter_ns()
    for key, value in zip(keys, values, strict=True):
        m[key] = value
    return (perf_counter_ns() - start) / len(keys)


def timed(name: str, keys: npt.NDArray[np.int64]) -> float:
    gc.collect()
    return insert(SUBJECTS[name](), keys.tolist(), list(range(len(keys))))


def run(name: str, crafted: npt.NDArray[np.int64], seed: int) -> tuple[float, float]:
    """Times of crafted and of random keys; in a process of its own."""
    rng = np.random.default_rng(seed)
    made = rng.permutation(crafted)
    random = rng.integers(-(1 << 63), (1 << 63) - 1, size=len(crafted))
    if seed % 2:
        theirs = timed(name, random)
        return timed(name, made), theirs
    return timed(name, made), timed(name, random)


def main() -> None:
    args = arguments(__doc__, n=1_000_000, rounds=5)
    figures = Figures()
    for what, keys in sets(args.n).items():
        crafted = np.array(keys, np.int64)
        for name in SUBJECTS:
            times = [fresh(run, name, crafted, seed) for seed in range(args.rounds)]
            ratio = median(mine / theirs for mine, theirs in times)
            target = 1.5 if name != "dict" else None
            figures.add(f"{name}: {what}, over random keys", ratio, "x", at_most=target)
            figures.add(f"{name}: {what}", median(mine for mine, _ in times), "ns")
    save(args, "collisions", figures.results)


if __name__ == "__main__":
    main()
