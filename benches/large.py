"""A map of a hundred million entries: `python benches/large.py` (needs some 3 GB; `--n` for fewer).

`Map(int, int)` is filled with `set_many`, a million entries at a time; keys are spread over all 64 bits. Then
`--small` entries are put in a second map, and both are asked for random keys, in turn, round after round in
one process, one by one (`m[key]`) and in bulk; the figure is the median over the rounds of the large map's
time over the small one's. Last, the large map is drained again.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns

import numpy as np
import numpy.typing as npt
import psutil

from _common import Figures, arguments, save
from ebbmap import Map

CHUNK = 1_000_000
GETS = 1_000_000
Keys = npt.NDArray[np.int64]


def keys_of(indices: npt.NDArray[np.uint64]) -> Keys:
    """A different key for each index: multiplying by an odd number loses nothing."""
    return (indices * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)


def chunks(n: int) -> list[tuple[int, int]]:
    return [(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]


def fill(m: Map[int, int], n: int) -> list[float]:
    """Put in the keys of 0 to n - 1, each with its index; returns each chunk's nanoseconds an entry."""
    times = []
    for start, stop in chunks(n):
        indices = np.arange(start, stop, dtype=np.uint64)
        keys, values = keys_of(indices), indices.view(np.int64)
        begun = perf_counter_ns()
        m.set_many(keys, values)
        times.append((perf_counter_ns() - begun) / (stop - start))
    return times


def drain(m: Map[int, int], n: int) -> float:
    """Remove them all, in the order they came; returns seconds."""
    spent = 0
    for start, stop in chunks(n):
        keys = keys_of(np.arange(start, stop, dtype=np.uint64))
        begun = perf_counter_ns()
        m.delete_many(keys)
        spent += perf_counter_ns() - begun
    return spent / 1e9


def get_each(m: Map[int, int], keys: list[int]) -> None:
    for key in keys:
        m[key]


def get(m: Map[int, int], seed: int) -> dict[str, float]:
    """Nanoseconds of getting random keys that are there."""
    indices = np.random.default_rng(seed).integers(len(m), size=GETS, dtype=np.uint64)
    keys = keys_of(indices)
    some: list[int] = keys.tolist()
    start = perf_counter_ns()
    get_each(m, some)
    between = perf_counter_ns()
    values = m.get_many(keys)
    end = perf_counter_ns()
    assert (values.view(np.uint64) == indices).all()
    return {"get": (between - start) / GETS, "get_many": (end - between) / GETS}


def report_gets(figures: Figures, large: Map[int, int], small: Map[int, int], rounds: int) -> None:
    times = [(get(large, seed), get(small, seed)) for seed in range(rounds)]
    for what, target in (("get", 2.0), ("get_many", None)):
        figures.add(f"{what} at {len(small):,}", median(b[what] for _, b in times), "ns")
        figures.add(f"{what} at {len(large):,}", median(a[what] for a, _ in times), "ns")
        ratio = median(a[what] / b[what] for a, b in times)
        figures.add(f"{what} at {len(large):,}, over that at {len(small):,}", ratio, "x", at_most=target)


def main() -> None:
    args = arguments(__doc__, n=100_000_000, small=1_000_000, rounds=5)
    figures, process = Figures(), psutil.Process()
    large: Map[int, int] = Map(int, int)
    small: Map[int, int] = Map(int, int)
    before = process.memory_info().rss
    times = fill(large, args.n)
    figures.add(f"filling {args.n:,}", sum(times) / len(times) * args.n / 1e9, "s")
    figures.add("set_many, the slowest million", max(times), "ns")
    figures.add(f"bytes an entry at {args.n:,}", large.nbytes / args.n, "B", at_most=26)
    figures.add("RSS over the start, an entry", (process.memory_info().rss - before) / args.n, "B")
    fill(small, args.small)
    report_gets(figures, large, small, args.rounds)
    figures.add(f"draining {args.n:,}", drain(large, args.n), "s")
    figures.add("nbytes when drained", large.nbytes, "B")
    save(args, "large", figures.results)


if __name__ == "__main__":
    main()
