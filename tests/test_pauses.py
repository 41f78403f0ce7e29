"""Calls for many keys: others go on meanwhile, a signal ends them, and nothing that others do is lost."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from ebbmap import Cache, Map
from map_helpers import beside, run_to_done

np = pytest.importorskip("numpy")
N = 100_000

TABLES: dict[str, Callable[[], Any]] = {
    "Map(int, int)": lambda: Map(int, int),
    "Map()": Map,
    "Cache(int, int)": lambda: Cache(ttl=3600, key=int, value=int),
    "Cache(int, int), bounded": lambda: Cache(max_items=10 * N, key=int, value=int),
    "Cache()": Cache,
}


@pytest.fixture(autouse=True)
def _short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


def filled(make: Callable[[], Any], n: int = N) -> Any:
    m = make()
    m.set_many(range(n), range(n))
    return m


CALLS: dict[str, Callable[[Any], object]] = {
    "set_many": lambda m: m.set_many(range(N), range(N)),
    "set_many of arrays": lambda m: m.set_many(np.arange(N), np.arange(N)),
    "get_many": lambda m: m.get_many(range(N)),
    "get_many of an array": lambda m: m.get_many(np.arange(N)),
    "delete_many": lambda m: m.delete_many(range(N)),
    "delete_many of an array": lambda m: m.delete_many(np.arange(N)),
    "update": lambda m: m.update(zip(range(N), range(N), strict=True)),
    "copy": lambda m: m.copy(),
    "reduce": lambda m: m.__reduce__(),
    "list": list,
    "items": lambda m: list(m.items()),
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("gets", [True, False], ids=["that gets", "of Python"])
def test_another_thread_goes_on(make: Callable[[], Any], call: Callable[[Any], object], gets: bool) -> None:
    def steps() -> int:
        m = filled(make)
        taken = steps_beside((lambda: m.get(1)) if gets else (lambda: None), lambda: call(m))
        m._check()
        return taken

    assert in_some_try(steps)


def steps_beside(work: Callable[[], object], call: Callable[[], object]) -> int:
    """How often another thread does its work meanwhile."""
    with beside(work) as done:
        while not done():
            time.sleep(0.001)
        before = done()
        result = call()
        after = done()
        del result
    return after - before


def in_some_try(steps: Callable[[], int]) -> bool:
    """Whether another thread goes on; a busy machine may run it too late in one try."""
    return any(steps() > 3 for _ in range(10))


@pytest.mark.parametrize("make", [Map, Cache], ids=["Map", "Cache"])
@pytest.mark.parametrize("end", ["clear", "drop"])
def test_another_thread_goes_on_while_objects_are_dropped(make: Callable[[], Any], end: str) -> None:
    def steps() -> int:
        tables = [make()]
        tables[0].set_many(range(N), [{} for _ in range(N)])
        return steps_beside(lambda: None, tables[0].clear if end == "clear" else tables.clear)

    assert in_some_try(steps)


class AlarmError(Exception):
    pass


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def handle(*_: object) -> None:
        raise AlarmError

    # Hypothesis has a callback of the garbage collector's: what the handler raised in that would be lost.
    gc.disable()
    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("arrays", [True, False], ids=["arrays", "lists"])
def test_a_signal_ends_set_many_and_delete_many_at_a_key(make: Callable[[], Any], arrays: bool) -> None:
    """Those before it are done, and none behind it."""
    n = 4 * N
    keys: Any = np.arange(n) if arrays else list(range(n))
    m = make()
    for delay in (0.02 * 2**i for i in range(8)):
        m.clear()
        with suppress(AlarmError), alarm(delay):
            m.set_many(keys, keys)
        if 0 < len(m) < n:
            break
    done = len(m)
    assert 0 < done < n and sorted(m) == list(range(done))
    for delay in (0.02 * 2**i for i in range(8)):
        m.set_many(keys, keys)
        with suppress(AlarmError), alarm(delay):
            m.delete_many(keys)
        if 0 < len(m) < n:
            break
    assert 0 < len(m) < n and sorted(m) == list(range(n - len(m), n))
    m._check()


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_signal_ends_each_call(make: Callable[[], Any], call: Callable[[Any], object]) -> None:
    m = filled(make)
    start = time.perf_counter()
    with pytest.raises(AlarmError), alarm(0.01):
        for _ in range(1000):
            call(m)
    assert time.perf_counter() - start < 5
    m._check()


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_nothing_is_lost_beside_a_thread_that_writes(make: Callable[[], Any]) -> None:
    """One thread's keys are even, the other's odd; each knows what is to be there of its own."""
    m = make()
    n = 40_000
    even, odd = np.arange(0, n, 2), np.arange(1, n, 2)
    model: dict[int, int] = {}
    random = np.random.default_rng(1)

    def write() -> None:
        key = int(random.choice(odd))
        if key in model and key % 3 == 0:
            del m[key], model[key]
        else:
            m[key] = model[key] = int(random.integers(1000))

    with beside(write) as done:
        for turn in range(12):
            some: Any = even if turn % 2 else even.tolist()
            m.set_many(some, even + turn)
            assert m.get_many(some, default=-1)[7] == 14 + turn
            copied = m.copy()
            assert [copied[int(key)] for key in even] == (even + turn).tolist()
            copied._check()
            listed = dict(m._snapshot())
            assert [listed[int(key)] for key in even] == (even + turn).tolist()
            assert m.delete_many(some) == len(even)
            m.update(zip(even.tolist(), even.tolist(), strict=True))
            m.delete_many(even)
        assert done()
    m._check()
    assert dict(m.items()) == model


def test_an_order_of_coming_survives_changes_between_two_parts() -> None:
    """A copy of a bounded cache evicts in the order that the original would."""
    c = Cache(max_items=N, key=int, value=int)
    c.set_many(range(N), range(N))
    with beside(lambda: c.pop(-1, None)):
        copied = c.copy()
    for i in range(N, N + 1000):
        copied[i] = i
    assert 999 not in copied and 1000 in copied


def test_two_copies_of_a_bounded_cache_at_a_time() -> None:
    c = Cache(max_items=N, key=int, value=int)
    c.set_many(range(N), range(N))
    copies: list[Any] = []
    threads = [threading.Thread(target=lambda: copies.append(c.copy())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(copied) for copied in copies] == [N] * 3
    assert all(sorted(copied) == list(range(N)) for copied in copies)


@pytest.mark.parametrize("make", [dict, Map, Cache], ids=["dict", "Map", "Cache"])
def test_update_from_what_another_thread_changes(make: Callable[[], Any]) -> None:
    source = make()
    for i in range(N):
        source[i] = i
    new = iter(range(N, 100 * N))

    def change() -> None:
        source[next(new)] = 0
        time.sleep(0)

    with beside(change):
        for into in (Map(), Map(int, int)):
            into.update(source)
            assert into.get_many(range(N)) == list(range(N))


def test_objects_that_use_the_map_while_it_is_cleared() -> None:
    m: Map[Any, Any] = Map()
    deaths = [0]

    class Uses:
        def __del__(self) -> None:
            deaths[0] += 1
            if deaths[0] % 1000 == 0:
                m[deaths[0]] = Uses() if deaths[0] < N // 2 else 0
                m.update({-i: i for i in range(3)})
                m.delete_many([-1, -2])
            if deaths[0] % 20_000 == 0:
                m.clear()

    m.set_many(range(N // 2), [Uses() for _ in range(N // 2)])
    with beside(lambda: m.get(5)):
        m.clear()
    m._check()
    m.clear()
    m._check()
    gc.collect()


def test_keys_that_use_the_map_in_the_pauses() -> None:
    m: Map[Any, Any] = Map()

    class Key:
        def __init__(self, n: int) -> None:
            self.n = n

        def __hash__(self) -> int:
            return self.n // 2

        def __eq__(self, other: object) -> bool:
            m.pop("popped", None)
            m["popped"] = self.n
            return isinstance(other, Key) and self.n == other.n

    keys = [Key(i) for i in range(20_000)]
    with beside(lambda: m.set_many(range(100), range(100))):
        m.set_many(keys, keys)
        assert m.get_many(keys) == keys
        assert len(m.copy()) >= len(keys)
        assert m.delete_many(keys) == len(keys)
    m._check()


def test_a_fork_beside_a_bulk_call_waits_for_a_moment_only() -> None:
    run_to_done(
        """
        import os, threading, time
        import numpy as np
        from ebbmap import Map
        m, keys, done = Map(int, int), np.random.default_rng(1).permutation(3_000_000), threading.Event()
        def work():
            m.set_many(keys, keys)
            done.set()
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.05)
        forked = 0
        while not done.is_set():
            child = os.fork()
            if child == 0:
                m._check()
                m.set_many(keys[:10_000], keys[:10_000])
                os._exit(0 if int(m[int(keys[5])]) == keys[5] else 1)
            forked += not done.is_set()
            assert os.waitpid(child, 0)[1] == 0
        thread.join()
        m._check()
        assert len(m) == 3_000_000
        assert forked > 0
        print("done")
        """
    )
