"""Interrupts in every operation of `Map` and `Cache`: nothing is torn, lost or kept alive.

An exception comes out of a signal's handler, or is set by another thread, wherever Python code runs: in
`__eq__` and `__hash__` of keys, in `__del__` and `on_remove`, in what gives pairs, in the package. Then
each key that the operation was to change has its old or its new value, and all others are as they were.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import os
import pickle
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ebbmap import Cache, Map

SECONDS = float(os.environ.get("EBBMAP_STORM_SECONDS", "0.3"))  # of interrupts in each test
KEYS = 300
GONE: Any = object()


class Interrupt(BaseException):
    """As `KeyboardInterrupt`: no `except Exception` takes it."""


class Key:
    """Hashes and compares in Python, and shares its hash with others."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number % 40

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.number == other.number

    def __reduce__(self) -> tuple[Any, ...]:
        return Key, (self.number,)


class Value:
    """Runs Python code as it dies."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self.number == other.number

    __hash__ = None  # type: ignore[assignment]

    def __del__(self) -> None:
        sum(range(5))

    def __reduce__(self) -> tuple[Any, ...]:
        return Value, (self.number,)


def _told(key: object, value: object, cause: str) -> None:
    sum(range(10))


# --- how interrupts come -------------------------------------------------------------------------------


class Storm:
    """Runs calls, some of which are interrupted."""

    def __init__(self) -> None:
        self.armed = False

    def interrupted(self, call: Callable[[], object]) -> bool:
        """Do `call`; whether an interrupt ended it."""
        try:
            self.arm()
            call()
            self.disarm()
        except Interrupt:
            self.disarm()
            return True
        return False

    def arm(self) -> None:
        self.armed = True

    def disarm(self) -> None:
        self.armed = False


class SignalStorm(Storm):
    def handle(self, signum: int, frame: Any) -> None:
        if self.armed:
            self.armed = False
            raise Interrupt

    def arm(self) -> None:
        super().arm()
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0002))


class ThreadStorm(Storm):
    """Another thread sets the exception. It comes a moment later, and is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.sending = self.done = False
        self.ident = ctypes.c_ulong(threading.get_ident())
        self.thread = threading.Thread(target=self.send)

    def send(self) -> None:
        while not self.done:
            time.sleep(random.uniform(0.00002, 0.0002))
            self.sending = True
            if self.armed:
                self.armed = False
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self.ident, ctypes.py_object(Interrupt))
            self.sending = False

    def disarm(self) -> None:
        while True:
            try:
                super().disarm()
                while self.sending:
                    time.sleep(0)
                for _ in range(10):
                    pass  # by now it has come
                return
            except Interrupt:
                pass


@pytest.fixture(params=["signal", "thread"])
def storm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storm]:
    # Interrupts in `__del__` and `on_remove` are nobody's to catch.
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    if request.param == "signal":
        by_signal = SignalStorm()
        before = signal.signal(signal.SIGALRM, by_signal.handle)
        yield by_signal
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    else:
        by_thread = ThreadStorm()
        by_thread.thread.start()
        yield by_thread
        by_thread.done = True
        by_thread.thread.join()
    sys.setswitchinterval(interval)


# --- what is interrupted -------------------------------------------------------------------------------

Model = dict[Any, Any]


class Operations:
    """Draws operations on a table, with what they do to a model of it."""

    def __init__(self, table: Any, keys: list[Any], values: list[Any]) -> None:
        self.table, self.keys, self.values = table, keys, values
        self.random = random.Random(5)
        self.model: Model = {}

    def some(self) -> list[Any]:
        return self.random.sample(self.keys, self.random.choice([1, 10, 100]))

    def pairs(self) -> list[tuple[Any, Any]]:
        return [(key, self.random.choice(self.values)) for key in self.some()]

    def drawn(self) -> tuple[Callable[[], object], Model]:
        """A call, and the values that it gives to keys."""
        return self.random.choice([self.changing, self.changing_many, self.removing, self.reading])()

    def changing(self) -> tuple[Callable[[], object], Model]:
        table, (key, value) = self.table, self.pairs()[0]
        calls: list[tuple[Callable[[], object], Any]] = [
            (lambda: table.__setitem__(key, value), value),
            (lambda: table.setdefault(key, value), self.model.get(key, value)),
        ]
        if isinstance(table, Cache):
            calls.append((lambda: table.set(key, value, ttl=1000), value))
            calls.append((lambda: table.touch(key), self.model.get(key, GONE)))
        call, after = self.random.choice(calls)
        return call, {key: after}

    def changing_many(self) -> tuple[Callable[[], object], Model]:
        table, pairs = self.table, self.pairs()
        new = dict(pairs)
        calls: list[Callable[[], object]] = [
            lambda: table.update(pairs),
            lambda: table.update(pair for pair in pairs),
            lambda: table.update(new),
            lambda: table.update(Map(new)),
            lambda: table.__ior__(new),
            lambda: table.set_many([key for key, _ in pairs], [value for _, value in pairs]),
            lambda: table.set_many(new.keys(), iter(new.values())),
        ]
        return self.random.choice(calls), new

    def removing(self) -> tuple[Callable[[], object], Model]:
        table, some = self.table, self.some()
        key = some[0]
        calls: list[tuple[Callable[[], object], list[Any]]] = [
            (lambda: table.pop(key, None), [key]),
            (lambda: table.delete_many(some), some),
            (lambda: table.delete_many(key for key in some), some),
        ]
        if key in self.model:
            calls.append((lambda: table.__delitem__(key), [key]))
        if self.random.random() < 0.02:
            calls = [(table.clear, self.keys)]
        call, gone = self.random.choice(calls)
        return call, dict.fromkeys(gone, GONE)

    def reading(self) -> tuple[Callable[[], object], Model]:
        table, model, some = self.table, dict(self.model), self.some()
        key = some[0]

        def same(made: Any) -> None:
            assert dict(made.items()) == model

        def agree(found: Any, expected: Any) -> None:
            assert found == expected

        calls: list[Callable[[], object]] = [
            lambda: agree(table.get(key), model.get(key)),
            lambda: agree(key in table, key in model),
            lambda: agree(table.get_many(some), [model.get(key) for key in some]),
            lambda: agree(table.get_many(some, mask=True)[1], [key in model for key in some]),
            lambda: agree(len(list(table)), len(model)),
            lambda: agree(dict(table.items()), model),
            lambda: agree(table.keys() & set(some), model.keys() & set(some)),
            lambda: agree(table, model),
            lambda: agree(dict(copy.copy(iter(table.items()))), model),
            lambda: agree(len(table.values()), len(model)),
            lambda: same(table.copy()),
            lambda: same(copy.copy(table)),
            lambda: same(copy.deepcopy(table)),
            lambda: same(pickle.loads(pickle.dumps(table))),
            lambda: agree((table | {key: 1})[key], 1) if self.values[0] == 0 else same(table | {}),
            lambda: same({} | table),
            lambda: repr(table),
            table.stats,
        ]
        if isinstance(table, Cache):
            calls += [lambda: same(table.__replace__(ttl=2000)), table.expire]
        return self.random.choice(calls), {}

    def settle(self, interrupted: bool, after: Model) -> None:
        """Compare the keys that were to change, and take what they have."""
        for key, value in after.items():
            found = self.table._peek(key, GONE)
            before = self.model.get(key, GONE)
            assert found is value or found == value or (interrupted and (found is before or found == before))
            if found is GONE:
                self.model.pop(key, None)
            else:
                self.model[key] = found

    def pop_any(self, storm: Storm) -> None:
        """Interrupted, it may have taken one out that nobody got."""
        popped: list[Any] = []
        interrupted = storm.interrupted(lambda: popped.append(self.table.popitem()))
        left = self.model.keys() - set(self.table)
        assert len(left) == 1 or (interrupted and not left)
        for key in left:
            value = self.model.pop(key)
            assert not popped or popped == [(key, value)]


OBJECTS = [Key(i) for i in range(KEYS)], [Value(i) for i in range(5)]
NUMBERS = list(range(KEYS)), list(range(5))
TEXTS = [f"key {i}" for i in range(KEYS)], [f"value {i}" * i for i in range(5)]
TABLES: dict[str, tuple[Callable[[], Any], tuple[list[Any], list[Any]]]] = {
    "Map()": (Map, OBJECTS),
    "Map(int, int)": (lambda: Map(int, int), NUMBERS),
    "Map(int, 'i8')": (lambda: Map(int, "i8"), NUMBERS),
    "Map(str, str)": (lambda: Map(str, str), TEXTS),
    "Cache()": (lambda: Cache(on_remove=_told, ttl=1000), OBJECTS),
    "Cache(key=int, value=int)": (lambda: Cache(on_remove=_told, key=int, value=int, idle=1000), NUMBERS),
}


@pytest.mark.parametrize("name", TABLES)
def test_interrupts_leave_each_key_old_or_new(name: str, storm: Storm) -> None:
    make, (keys, values) = TABLES[name]
    table = make()
    operations = Operations(table, keys, values)
    objects = [*keys, *values] if type(keys[0]) is Key else []  # other ones are shared with all the world
    before = [sys.getrefcount(one) for one in objects]
    end, count, ended = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end:
        call, after = operations.drawn()
        interrupted = storm.interrupted(call)
        operations.settle(interrupted, after)
        count, ended = count + 1, ended + interrupted
        del call, after
        if operations.model and count % 20 == 0:
            operations.pop_any(storm)
        if count % 50 == 0:
            table._check()
            assert dict(table.items()) == operations.model
    table._check()
    assert dict(table.items()) == operations.model
    assert 0 < ended < count
    table.clear()
    del operations
    gc.collect()
    assert [sys.getrefcount(one) for one in objects] == before, "nothing is kept alive"


@pytest.mark.parametrize("bounds", [{"max_items": 100}, {"max_bytes": 20_000}], ids=str)
def test_interrupts_leave_a_bounded_cache_within_its_bounds(bounds: Any, storm: Storm) -> None:
    keys, values = NUMBERS
    cache: Any = Cache(on_remove=_told, key=int, value=int, **bounds)
    operations = Operations(cache, keys, values)
    end, ended = time.monotonic() + SECONDS, 0
    latest: dict[int, set[Any]] = {key: set() for key in keys}
    while time.monotonic() < end:
        call, after = operations.changing_many()
        interrupted = storm.interrupted(call)
        for key, value in after.items():
            latest[key] = {value, *latest[key]} if interrupted else {value}
        ended += interrupted
        assert all(value in latest[key] for key, value in cache.items())
        assert len(cache) <= bounds.get("max_items", KEYS)
        assert cache.nbytes <= bounds.get("max_bytes", 1 << 20)
    cache._check()
    assert ended
    stats = cache.stats()
    left = ("entries", "replaced", "expired", "evicted_by_count", "evicted_by_bytes", "removed")
    assert stats["sets"] == sum(stats[name] for name in left)
