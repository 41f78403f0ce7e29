"""`memoize` among threads: one call at a time, `invalidate` and `refresh` meanwhile, stale results, fork."""

from __future__ import annotations

import asyncio
import gc
import math
import multiprocessing
import os
import random
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from cache_helpers import Clock
from ebbmap import Cache
from ebbmap._internal import flights, memoize
from memoize_helpers import Counted, Gate, Threads, until, waiters


@pytest.fixture
def threads() -> Threads:
    return Threads()


@pytest.fixture(autouse=True)
def nobody_waits() -> Iterator[None]:
    """No waiter is left behind."""
    yield
    assert not flights._waiting and not flights._revoking


def test_invalidate_says_whether_there_was_a_result() -> None:
    load = Cache().memoize(Counted())
    assert not load.invalidate(1)
    load(1)
    assert load.invalidate(1) is True
    assert load.invalidate(1) is False
    assert load(1) == (1, 2)


def test_refresh_calls_anew() -> None:
    load = Cache().memoize(Counted())
    assert load.refresh(1) == (1, 1)
    assert load(1) == (1, 1)
    assert load.refresh(1) == (1, 2)
    assert load(1) == (1, 2)


def test_a_refresh_that_fails_leaves_the_old_result() -> None:
    results: Iterator[Any] = iter([1, ZeroDivisionError()])

    @Cache().memoize
    def load() -> Any:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    assert load() == 1
    with pytest.raises(ZeroDivisionError):
        load.refresh()
    assert load() == 1


def test_the_result_of_a_call_under_way_is_not_seen_after_invalidate(threads: Threads) -> None:
    cache, gate = Cache(), Gate("before", "after")
    load = cache.memoize(gate)
    threads.start(load, 1)
    gate.entered.acquire()
    assert load.invalidate(1) is False
    threads.start(load, 1)
    until(waiters(1))
    gate.let_through.release(2)
    assert threads.outcomes == ["before", "after"]
    assert gate.calls == 2
    assert cache[1] == "after"


def store_through(monkeypatch: pytest.MonkeyPatch, first: Callable[[], object]) -> None:
    """Have `first` called before each result is put into the cache."""
    store = memoize._store
    monkeypatch.setattr(memoize, "_store", lambda *args: (first(), store(*args)))


def test_invalidate_waits_for_a_result_that_is_being_stored(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "PATIENCE", 30.0)
    store_through(monkeypatch, gate := Gate(None))
    load: Any = Cache().memoize(lambda n: n)
    threads.start(load, 1)
    gate.entered.acquire()
    threads.start(load.invalidate, 1)
    until(lambda: flights._revoking)
    gate.let_through.release()
    assert sorted(threads.outcomes) == [1, True]
    assert 1 not in load.cache


def test_a_store_that_outlasts_the_patience_of_invalidate_leaves_nothing(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "PATIENCE", 0.001)
    store_through(monkeypatch, gate := Gate(None))
    results = iter(["before", "after"])
    load: Any = Cache().memoize(lambda n: next(results))
    threads.start(load, 1)
    gate.entered.acquire()
    assert load.invalidate(1) is False
    threads.start(load, 1)
    until(waiters(1))
    gate.let_through.release()
    gate.entered.acquire()
    assert 1 not in load.cache, "the store is over"
    gate.let_through.release()
    assert threads.outcomes == ["before", "after"]
    assert load.cache[1] == "after"


def test_a_store_that_fails_after_it_was_invalidated_leaves_nothing(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "PATIENCE", 0.001)
    gate, store = Gate(None), memoize._store
    monkeypatch.setattr(memoize, "_store", lambda *args: (gate(), store(*args), 1 / 0))
    load: Any = Cache().memoize(lambda n: n)
    threads.start(load, 1)
    gate.entered.acquire()
    assert load.invalidate(1) is False
    gate.let_through.release()
    assert [type(outcome) for outcome in threads.outcomes] == [ZeroDivisionError]
    assert 1 not in load.cache


def test_a_thread_may_invalidate_what_it_is_about_to_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a key's `__eq__` may."""
    store_through(monkeypatch, lambda: load.invalidate(1))
    load: Any = Cache().memoize(lambda n: n)
    assert load(1) == 1
    assert 1 not in load.cache


@pytest.mark.parametrize("is_async", [False, True])
def test_on_remove_may_invalidate_what_another_thread_is_storing(
    threads: Threads, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    """Each of two threads stores what the other one's `on_remove` invalidates."""
    monkeypatch.setattr(flights, "PATIENCE", 60.0)
    both, mine = threading.Barrier(2), threading.local()
    load: Any

    def on_remove(key: int, value: int, cause: str) -> None:
        if cause == "evicted":
            both.wait(30)
            load.invalidate(1 - mine.key)

    cache: Any = Cache(max_items=2, on_remove=on_remove)
    cache[-1] = cache[-2] = 0

    async def same(n: int) -> int:
        return n

    load = cache.memoize(same if is_async else lambda n: n)

    def work(n: int) -> Any:
        mine.key = n
        return asyncio.run(load(n)) if is_async else load(n)

    for n in (0, 1):
        threads.start(work, n)
    assert sorted(threads.outcomes) == [0, 1]
    assert not cache


def test_on_remove_may_take_a_lock_that_is_held_around_invalidate(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "PATIENCE", 0.01)
    lock, storing = threading.Lock(), threading.Event()

    def on_remove(key: int, value: int, cause: str) -> None:
        if cause == "evicted":
            storing.set()
            with lock:
                pass

    cache: Any = Cache(max_items=1, on_remove=on_remove)
    cache[0] = 0
    load: Any = cache.memoize(lambda n: n)

    def invalidate() -> Any:
        with lock:
            threads.start(load, 1)
            assert storing.wait(30)
            return load.invalidate(1)

    threads.start(invalidate)
    assert sorted(threads.outcomes) == [1, True]
    assert 1 not in cache


def test_invalidate_where_a_result_is_being_stored() -> None:
    """In the same thread, which must not wait for itself."""
    load: Any
    cache: Any = Cache(on_remove=lambda key, value, cause: cause == "replaced" and load.invalidate(key))
    load = cache.memoize(Counted())
    load(1)
    assert load.refresh(1) == (1, 2)
    assert 1 not in cache


def test_those_who_waited_before_invalidate_get_the_result(threads: Threads) -> None:
    cache, gate = Cache(), Gate("before")
    load = cache.memoize(gate)
    for n in range(3):
        threads.start(load, 1)
        until(waiters(n))
    gate.entered.acquire()
    load.invalidate(1)
    gate.let_through.release()
    assert threads.outcomes == ["before"] * 3
    assert 1 not in cache


def test_refresh_does_not_take_the_result_of_a_call_from_before(threads: Threads) -> None:
    cache, gate = Cache(), Gate("before", "after")
    load = cache.memoize(gate)
    threads.start(load, 1)
    gate.entered.acquire()
    threads.start(load.refresh, 1)
    until(waiters(1))
    gate.let_through.release(2)
    assert threads.outcomes == ["before", "after"]
    assert cache[1] == "after"


def test_one_call_for_many_threads(threads: Threads) -> None:
    gate = Gate("result")
    load = Cache().memoize(gate)
    for n in range(8):
        threads.start(load, 1)
        until(waiters(n))
    gate.let_through.release()
    assert threads.outcomes == ["result"] * 8
    assert gate.calls == 1


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns far more often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("restless")
def test_one_call_for_threads_that_start_together(threads: Threads) -> None:
    """Whoever comes just as the call ends must not make another."""
    load = Cache().memoize(counted := Counted())
    barrier = threading.Barrier(4)

    def run() -> list[Any]:
        found = []
        for key in range(300):
            barrier.wait(30)
            found.append(load(key))
        return found

    for _ in range(4):
        threads.start(run)
    assert threads.outcomes == [[(key, key + 1) for key in range(300)]] * 4
    assert len(counted.calls) == 300


def test_a_value_found_in_the_cache_is_no_answer() -> None:
    call = flights.Call(owner=1)
    assert not call.answers
    call.value = "found"
    assert not call.answers
    call.computed = True
    assert call.answers


def test_who_missed_just_before_the_result_was_there_makes_no_other_call(threads: Threads) -> None:
    missed, is_there = threading.Event(), threading.Event()

    class Key:
        """Is hashed for the lookup, and then, in the thread that is late, only when the result is there."""

        late = False

        def __hash__(self) -> int:
            if self.late:
                missed.set()
                assert is_there.wait(30)
            self.late = threading.current_thread() is thread
            return 1

    thread: threading.Thread | None = None
    key, counted = Key(), Counted()
    # Not in a tuple, which keeps its hash from Python 3.14 on.
    load = Cache().memoize(key=lambda key: key)(counted)
    begin = threading.Event()
    thread = threads.start(lambda: begin.wait(30) and load(key))
    begin.set()
    assert missed.wait(30)
    key.late = False
    assert load(key) == (key, 1)
    is_there.set()
    assert threads.outcomes == [(key, 1)]
    assert len(counted.calls) == 1


def test_other_keys_do_not_wait(threads: Threads) -> None:
    gate = Gate("result")
    load = Cache().memoize(lambda n: n and gate())
    threads.start(load, 1)
    gate.entered.acquire()
    assert load(0) == 0
    gate.let_through.release()
    assert threads.outcomes == ["result"]


@pytest.mark.usefixtures("restless")
def test_nothing_from_before_an_invalidate_or_refresh_is_seen_after_it(threads: Threads) -> None:
    """Versions rise; what is loaded after a reading and an `invalidate`, or by `refresh`, is no older."""
    versions, calling = [0] * 3, [0] * 3
    writing = threading.Lock()

    @Cache(key=int, value=int).memoize
    def load(key: int) -> int:
        calling[key] += 1
        assert calling[key] == 1, "two calls at a time"
        version = versions[key]
        os.sched_yield()
        calling[key] -= 1
        return version

    def run(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(1500):
            key, way = choose.randrange(3), choose.randrange(4)
            with writing:
                versions[key] += way == 0
            least = versions[key] if way < 3 else 0
            if way < 2:
                load.invalidate(key)
            assert (load.refresh if way == 2 else load)(key) >= least

    for seed in range(4):
        threads.start(run, seed)
    assert threads.outcomes == [None] * 4


def test_an_error_is_not_kept_and_goes_to_all_who_waited(threads: Threads) -> None:
    error = KeyError("gone")
    gate = Gate(error, "result")
    load = Cache().memoize(gate)
    for n in range(3):
        threads.start(load, 1)
        until(waiters(n))
    gate.let_through.release(2)
    assert threads.outcomes == [error] * 3
    assert load(1) == "result"


def test_a_traceback_does_not_grow_with_those_who_get_it(threads: Threads) -> None:
    error = KeyError("gone")
    gate = Gate(error)
    load = Cache().memoize(gate)
    for n in range(16):
        threads.start(load, 1)
        until(waiters(n))
    gate.let_through.release()
    assert threads.outcomes == [error] * 16
    assert len(traceback.extract_tb(error.__traceback__)) < 30


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_goes_to_the_caller_alone(
    threads: Threads, interruption: type[BaseException]
) -> None:
    gate = Gate(interruption(), "result")
    load = Cache().memoize(gate)
    for n in range(3):
        threads.start(load, 1)
        until(waiters(n))
    gate.let_through.release(2)
    first, *others = threads.outcomes
    assert isinstance(first, interruption)
    assert others == ["result"] * 2
    assert gate.calls == 2


def test_a_call_for_itself_is_an_error_and_no_deadlock() -> None:
    @Cache().memoize
    def load(n: int) -> int:
        return load(n)

    with pytest.raises(RuntimeError, match="load was called with the same key again to compute the value"):
        load(1)
    assert load.__wrapped__ is not load


@pytest.mark.parametrize("way", ["refresh", "invalidate"])
def test_refresh_and_invalidate_within_the_call(way: str) -> None:
    @Cache().memoize
    def load(n: int) -> Any:
        return getattr(load, way)(n)

    if way == "refresh":
        with pytest.raises(RuntimeError, match="same key"):
            load(1)
    else:
        assert load(1) is False
        assert 1 not in load.cache


def test_recursion_over_other_keys() -> None:
    @Cache().memoize
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(90) == 2880067194370816120
    assert len(fib.cache) == 91


def test_calls_that_wait_for_each_other_are_an_error_and_no_deadlock(threads: Threads) -> None:
    barrier = threading.Barrier(2)
    load: Any

    def work(n: int) -> int:
        barrier.wait(30)
        result: int = load(1 - n)
        return result

    load = Cache().memoize(work)
    threads.start(load, 0)
    threads.start(load, 1)
    assert [type(outcome) for outcome in threads.outcomes] == [RuntimeError] * 2
    assert all("same key" in str(outcome) for outcome in threads.outcomes)


def test_nothing_is_left_of_a_call_that_failed() -> None:
    class Thing:
        pass

    @Cache().memoize
    def load(thing: Thing) -> None:
        raise ValueError

    gc.disable()
    try:
        thing = Thing()
        gone = weakref.ref(thing)
        with suppress(ValueError):
            load(thing)
        del thing
        assert gone() is None, "a reference cycle keeps the error, and its frames, until a collection"
    finally:
        gc.enable()


class Hostile:
    """A key whose hash, from the `n`th time on, raises."""

    def __init__(self) -> None:
        self.left = math.inf

    def __hash__(self) -> int:
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError
        return 1


def test_a_key_whose_hash_fails_wedges_nobody(threads: Threads) -> None:
    for left in range(12):
        key = Hostile()
        load = Cache().memoize(Counted())
        key.left = left
        with suppress(ZeroDivisionError):
            load(key)
        key.left = math.inf
        threads.start(load, key)
        assert threads.outcomes.pop()[0] is key


def test_stale_needs_a_ttl() -> None:
    for cache, ttl in ((Cache(), None), (Cache(ttl=5), math.inf), (Cache(), math.inf)):
        with pytest.raises(ValueError, match="stale needs a ttl"):
            cache.memoize(stale=1, ttl=ttl)


@pytest.mark.parametrize("options", [{"ttl": 60}, {}])
def test_a_stale_result_is_renewed_by_the_next_caller(options: dict[str, Any]) -> None:
    clock = Clock()
    load = Cache(ttl=60, timer=clock).memoize(stale="30s", **options)(Counted())
    assert load(1) == (1, 1)
    clock.now += 59
    assert load(1) == (1, 1)
    clock.now += 1
    assert load(1) == (1, 2)
    clock.now += 59
    assert load(1) == (1, 2)
    clock.now += 31
    assert load(1) == (1, 3), "it is gone at ttl + stale"
    assert load.refresh(1) == (1, 4)


def test_others_get_the_stale_result_meanwhile(threads: Threads) -> None:
    clock, gate = Clock(), Gate("old", "new")
    cache = Cache(timer=clock)
    load = cache.memoize(ttl=60, stale=30)(gate)
    gate.let_through.release()
    assert load(1) == "old"
    clock.now += 60
    gate.entered.acquire()
    threads.start(load, 1)
    gate.entered.acquire()
    assert load(1) == load(1) == "old"
    clock.now += 30  # now it is gone, and the call still under way
    threads.start(load, 1)
    until(waiters(1))
    gate.let_through.release()
    assert threads.outcomes == ["new"] * 2
    assert gate.calls == 2


@pytest.mark.parametrize("given", [False, True], ids=["logged", "on_error"])
def test_a_renewal_that_fails_is_reported_and_the_old_result_lasts(
    given: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    clock = Clock()
    errors = [ZeroDivisionError("first"), ZeroDivisionError("second"), ZeroDivisionError("third")]
    results: Iterator[Any] = iter(["old", *errors, "new"])

    @Cache(timer=clock).memoize(ttl=60, stale=30, on_error=told.append if given else None)
    def load(n: int) -> Any:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    def logged() -> list[Any]:
        return [record.exc_info and record.exc_info[1] for record in caplog.records]

    assert load(1) == "old"
    clock.now += 60
    assert load(1) == "old"
    assert load(1) == "old"
    assert (told if given else logged()) == errors[:2]
    clock.now += 30
    with pytest.raises(ZeroDivisionError, match="third"):
        load(1)
    assert load(1) == "new"
    assert (told, logged()) == ((errors[:2], []) if given else ([], errors[:2]))
    if not given:
        assert caplog.records[0].name == "ebbmap"
        assert "load failed" in caplog.records[0].getMessage()


def test_what_on_error_raises_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    clock, results = Clock(), iter(["old"])
    failure = ValueError("of on_error")

    def on_error(error: Exception) -> None:
        assert type(error) is StopIteration
        raise failure

    @Cache(timer=clock).memoize(ttl=60, stale=30, on_error=on_error)
    def load(n: int) -> str:
        return next(results)

    assert load(1) == "old"
    clock.now += 60
    assert load(1) == "old"
    [record] = caplog.records
    assert record.exc_info and record.exc_info[1] is failure
    assert (
        record.getMessage()
        == f"on_error of {load.__qualname__} failed; the old result is served until it expires"
    )


def test_stale_is_of_the_ttl_alone() -> None:
    clock = Clock()
    load = Cache(ttl=60, idle=20, timer=clock).memoize(stale=30)(Counted())
    for _ in range(6):
        assert load(1) == (1, 1)
        clock.now += 10
    assert load(1) == (1, 2)
    clock.now += 20
    assert load(1) == (1, 3), "nobody used it for that long"


def test_an_interrupted_renewal_is_interrupted() -> None:
    clock, results = Clock(), iter(["old"])

    @Cache(timer=clock).memoize(ttl=60, stale=30)
    def load(n: int) -> str:
        for result in results:
            return result
        raise KeyboardInterrupt

    assert load(1) == "old"
    clock.now += 60
    with pytest.raises(KeyboardInterrupt):
        load(1)


def test_invalidate_during_a_renewal(threads: Threads) -> None:
    clock, gate = Clock(), Gate("old", "stale", "new")
    cache = Cache(timer=clock)
    load = cache.memoize(ttl=60, stale=30)(gate)
    gate.let_through.release()
    load(1)
    clock.now += 60
    gate.entered.acquire()
    threads.start(load, 1)
    gate.entered.acquire()
    assert load.invalidate(1)
    threads.start(load, 1)
    until(waiters(1))
    gate.let_through.release(2)
    assert threads.outcomes == ["stale", "new"]
    assert cache[1] == "new"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_call_of_another_thread_does_not_wedge_a_child(threads: Threads) -> None:
    gate = Gate("result")
    parent = os.getpid()
    load: Any = Cache().memoize(lambda n: gate() if os.getpid() == parent else "child's")
    threads.start(load, 1)
    gate.entered.acquire()
    threads.start(load, 1)
    until(waiters(1))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put((load(1), load.invalidate(1), load.refresh(1))))
    child.start()
    child.join(30)
    assert child.exitcode == 0, "wedged"
    assert queue.get() == ("child's", True, "child's")
    gate.let_through.release()
    assert threads.outcomes == ["result"] * 2
