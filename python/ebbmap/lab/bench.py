"""Inside the measured process: runs a scenario's operations, times every one, and reports each step."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns as clock
from typing import Protocol, TypeVar

from ebbmap.lab.heap import HeapMeter
from ebbmap.lab.subjects.base import Put, Remove, Subject
from ebbmap.lab.wire import Wire

T = TypeVar("T")

OFFSETS = 4095
"""A value is a slice of noise that starts at `key & OFFSETS`: a fresh object each, at little cost."""
TICKS = 50
"""How often a step reports its progress, between operations."""

Timing = tuple[int, int]
"""Nanoseconds in all, and those of the slowest operation."""


class Holder(Protocol):
    """What is sampled."""

    def held(self) -> int:
        """How many entries it holds."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        """The bytes it holds."""


class Bench:
    """What a scenario works with: steps, and in them operations."""

    def __init__(self, wire: Wire, meter: Callable[[], HeapMeter], value_bytes: int) -> None:
        self._wire = wire
        self._size = value_bytes
        self._noise = random.Random(28).randbytes(OFFSETS + value_bytes)
        gc.collect()
        self._heap = meter()  # from here on: the buffers are not the subject's

    def start(self, make: Callable[[], Subject]) -> Subject:
        """Step `empty`: the container is made."""
        self._begin("empty")
        step = Step(self._wire, self._noise, self._size)
        subject = step.spend(make)
        step.spend(subject.collect)
        self._end(step, subject)
        return subject

    @contextmanager
    def step(self, name: str, subject: Subject) -> Iterator[Step]:
        """A step of that name, measured when its block ends."""
        self._begin(name)
        step = Step(self._wire, self._noise, self._size)
        yield step
        self._end(step, subject)

    def value(self, key: int) -> bytes:
        """A fresh value for that key, always of the same bytes."""
        return self._noise[(at := key & OFFSETS) : at + self._size]

    def phase(self, name: str) -> None:
        """A phase of that name begins, of a scenario that is sampled rather than stepped through."""
        self._begin(name)

    def sample(self, holder: Holder, t: float, alive: int, done: float) -> None:
        """Let the lab take a sample; `alive` is the truth at `t`, `done` how much of the phase is over."""
        heap_bytes = holder.heap_bytes(self._heap)
        self._wire.ask("sample", t=t, alive=alive, held=holder.held(), heap_bytes=heap_bytes, done=done)

    def finish(self, **figures: int) -> None:
        """Report what a sampled scenario came to."""
        self._wire.ask("outcome", **figures)

    def _begin(self, name: str) -> None:
        self._wire.ask("begin", step=name)

    def _end(self, step: Step, subject: Subject) -> None:
        self._wire.ask(
            "end",
            entries=subject.entries(),
            heap_bytes=subject.heap_bytes(self._heap),
            seconds=step.spent / 1e9,
            slowest_op_ns=step.slowest,
        )


class Step:
    """One step under way: its operations add up in `spent` and `slowest` (ns)."""

    def __init__(self, wire: Wire, noise: bytes, size: int) -> None:
        self._wire = wire
        self._noise = noise
        self._size = size
        self.spent = 0
        self.slowest = 0

    def fill(self, subject: Subject, keys: range) -> None:
        """Put a fresh value under each key."""
        self._each(keys, lambda some: _fill(subject.put, some, self._noise, self._size))

    def drain(self, subject: Subject, keys: range) -> None:
        """Remove each key."""
        self._each(keys, lambda some: _drain(subject.remove, some))

    def renew(self, subject: Subject, keys: range, ahead: int) -> None:
        """Remove each key and put a fresh value under the one `ahead` of it."""
        self._each(keys, lambda some: _renew(subject, some, ahead, self._noise, self._size))

    def operate(self, act: Callable[[], object]) -> None:
        """One operation."""
        before = self.spent
        self.spend(act)
        self.slowest = max(self.slowest, self.spent - before)

    def spend(self, act: Callable[[], T]) -> T:
        """Something that takes the step's time but is no operation on the container: the collector."""
        start = clock()
        result = act()
        self.spent += clock() - start
        return result

    def _each(self, keys: range, work: Callable[[range], Timing]) -> None:
        part = -(-len(keys) // TICKS)
        for at in range(0, len(keys), part):
            spent, slowest = work(keys[at : at + part])
            self.spent += spent
            self.slowest = max(self.slowest, slowest)
            self._wire.send("progress", done=min(at + part, len(keys)) / len(keys))


# Written out so that between two looks at the clock there is the operation and nothing else.


def _fill(put: Put, keys: range, noise: bytes, size: int) -> Timing:
    slowest = 0
    begun = clock()
    for key in keys:
        value = noise[(at := key & OFFSETS) : at + size]
        start = clock()
        put(key, value)
        took = clock() - start
        if took > slowest:
            slowest = took
    return clock() - begun, slowest


def _drain(remove: Remove, keys: range) -> Timing:
    slowest = 0
    begun = clock()
    for key in keys:
        start = clock()
        remove(key)
        took = clock() - start
        if took > slowest:
            slowest = took
    return clock() - begun, slowest


def _renew(subject: Subject, keys: range, ahead: int, noise: bytes, size: int) -> Timing:
    slowest = 0
    put, remove = subject.put, subject.remove
    begun = clock()
    for oldest in keys:
        newest = oldest + ahead
        value = noise[(at := newest & OFFSETS) : at + size]
        start = clock()
        remove(oldest)
        between = clock()
        put(newest, value)
        took = max(between - start, clock() - between)
        if took > slowest:
            slowest = took
    return clock() - begun, slowest
