"""What the lock of the pool of memory costs threads: `python benches/pool_threads.py` (Linux).

`--workers` threads fill and drain a table each, by bulk calls on arrays, which hold no GIL. All tables take
their memory from one pool, whose lock a thread holds while it takes or gives up a page. The same work is done
by as many processes, which have a pool each and share only the machine. The figure is the threads' processor
time over that of the processes, the median over the rounds: 1 where no thread spins or waits for another.

A call sets or deletes `--step` entries, so a thread meets the GIL between calls. `get_many` on full tables
takes no memory: what it shows is the price of threads without the pool. Waits are voluntary switches of
context, for a million entries: a thread that finds a lock taken, and sleeps, makes one.
What else the machine does is not in them, and little of it in processor time. It is in the entries a second
of the threads over those of the processes.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from multiprocessing import get_context
from statistics import median
from time import perf_counter, thread_time
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from _common import Figures, arguments, progress, save
from ebbmap import Map

KINDS = {"Map(int, int)": "i8", "Map(int, 'V120')": "V120", "Map(int, 'V2000')": "V2000"}


class Barrier(Protocol):
    def wait(self) -> int: ...


class Load(NamedTuple):
    """What each worker does: `entries` of a dtype in and out, `times` over."""

    dtype: str
    entries: int
    step: int
    times: int
    reads: bool


class Done(NamedTuple):
    """When a worker began and ended, its processor time, and how often it waited meanwhile."""

    start: float
    end: float
    busy: float
    waits: int


def kind(dtype: str) -> Any:
    return int if dtype == "i8" else dtype


def batches(load: Load) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
    keys = np.random.default_rng(28).permutation(load.entries).astype(np.int64)
    values = np.zeros(load.step, load.dtype)
    return [(part, values[: len(part)]) for part in np.split(keys, range(load.step, load.entries, load.step))]


def fill(m: Any, parts: list[tuple[Any, Any]]) -> None:
    for keys, values in parts:
        m.set_many(keys, values)


def drain(m: Any, parts: list[tuple[Any, Any]]) -> None:
    for keys, _ in parts:
        m.delete_many(keys)


def read(m: Any, parts: list[tuple[Any, Any]]) -> None:
    for keys, _ in parts:
        m.get_many(keys, mask=True)


def work(load: Load, barrier: Barrier) -> Done:
    m, parts = Map(int, kind(load.dtype)), batches(load)
    if load.reads:
        fill(m, parts)
    barrier.wait()
    start, busy, waits = perf_counter(), thread_time(), switches()
    for _ in range(load.times):
        if load.reads:
            read(m, parts)
        else:
            fill(m, parts)
            drain(m, parts)
    return Done(start, perf_counter(), thread_time() - busy, switches() - waits)


def switches() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


# --- threads and processes -------------------------------------------------------------------------------


def by_threads(load: Load, workers: int) -> list[Done]:
    barrier, done = threading.Barrier(workers), list[Done]()
    threads = [threading.Thread(target=lambda: done.append(work(load, barrier))) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def by_processes(load: Load, workers: int) -> list[Done]:
    context = get_context("spawn")
    barrier, queue = context.Barrier(workers), context.SimpleQueue()
    children = [context.Process(target=work_and_tell, args=(load, barrier, queue)) for _ in range(workers)]
    for child in children:
        child.start()
    done = [queue.get() for _ in children]
    for child in children:
        child.join()
    return done


def work_and_tell(load: Load, barrier: Barrier, queue: Any) -> None:
    queue.put(work(load, barrier))


def rate(load: Load, done: list[Done]) -> float:
    """Entries a second, of all workers together."""
    seconds = max(each.end for each in done) - min(each.start for each in done)
    return len(done) * load.entries * load.times / seconds


def busy(load: Load, done: list[Done]) -> float:
    """Nanoseconds of processor time for an entry."""
    return sum(each.busy for each in done) / (len(done) * load.entries * load.times) * 1e9


def waits(load: Load, done: list[Done]) -> float:
    """How often a worker waited, for a million entries."""
    return sum(each.waits for each in done) / (len(done) * load.entries * load.times) * 1e6


# --- figures ---------------------------------------------------------------------------------------------


def report(figures: Figures, name: str, load: Load, workers: int, rounds: int) -> None:
    progress(name)
    ways: dict[str, Callable[[], list[Done]]] = {
        "one thread": lambda: by_threads(load, 1),
        f"{workers} threads": lambda: by_threads(load, workers),
        f"{workers} processes": lambda: by_processes(load, workers),
    }
    found = [{way: do() for way, do in ways.items()} for _ in range(rounds)]
    for way in ways:
        figures.add(f"{name}, {way}", median(busy(load, each[way]) for each in found), "ns")
        figures.add(f"{name}, {way}, waits", median(waits(load, each[way]) for each in found), "/M")
    _, threads, processes = ways

    def over(figure: Callable[[Load, list[Done]], float]) -> float:
        return median(figure(load, each[threads]) / figure(load, each[processes]) for each in found)

    figures.add(f"{name}, threads over processes", over(busy), "x", at_most=None if load.reads else 1.1)
    figures.add(f"{name}, threads' rate over processes'", over(rate), "x")


def main() -> None:
    args = arguments(__doc__, megabytes=64, step=2_000, workers=2, times=4, rounds=5)
    figures = Figures()
    for name, dtype in KINDS.items():
        entries = (args.megabytes << 20) // (8 + np.dtype(dtype).itemsize)
        for reads in (False, True):
            load = Load(dtype, entries, args.step, args.times, reads)
            what = "get_many" if reads else "filled and drained"
            report(figures, f"{name}, {what}", load, args.workers, args.rounds)
    save(args, "pool_threads", figures.results)


if __name__ == "__main__":
    main()
