"""`memoize` among tasks, of one event loop and of several: as among threads, and cancellation."""

from __future__ import annotations

import asyncio
import gc
import inspect
import multiprocessing
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from cache_helpers import Clock
from ebbmap import Cache
from ebbmap._internal import flights, flights_async
from memoize_helpers import AsyncGate, Threads, soon, until, waiters


@pytest.fixture
def threads() -> Threads:
    return Threads()


@pytest.fixture(autouse=True)
def nobody_waits() -> Iterator[None]:
    """No waiter is left behind."""
    yield
    assert not flights._waiting and not flights._revoking


def test_a_coroutine_function_stays_one() -> None:
    async def load(n: int) -> int:
        return n

    class Loader:
        async def __call__(self, n: int) -> int:
            return -n

    for function in (load, Loader(), partial(load), partial(load, 1)):
        assert inspect.iscoroutinefunction(Cache().memoize(function))
        assert inspect.iscoroutinefunction(Cache(ttl=1).memoize(stale=1)(function))
    assert asyncio.run(Cache().memoize(Loader())(1)) == -1
    assert not inspect.iscoroutinefunction(Cache().memoize(Loader))


def test_one_call_for_many_tasks() -> None:
    gate = AsyncGate("result")
    cache = Cache()
    load = cache.memoize(gate)

    async def run() -> None:
        tasks = [asyncio.create_task(load(1)) for _ in range(8)]
        await soon(waiters(7))
        gate.open.set()
        assert await asyncio.gather(*tasks) == ["result"] * 8
        assert await load(1) == "result"

    asyncio.run(run())
    assert gate.calls == 1
    assert cache[1] == "result"


def test_one_call_for_tasks_of_many_loops(threads: Threads) -> None:
    gate = AsyncGate("result")
    load = Cache().memoize(gate)

    async def both() -> list[Any]:
        return list(await asyncio.gather(load(1), load(1)))

    for n in range(4):
        threads.start(lambda: asyncio.run(both()))
        until(waiters(2 * n + 1))
    gate.open.set()
    assert threads.outcomes == [["result"] * 2] * 4
    assert gate.calls == 1


def test_an_error_goes_to_all_tasks_that_waited() -> None:
    error = KeyError("gone")
    gate = AsyncGate(error, "result")
    load = Cache().memoize(gate)

    async def run() -> None:
        tasks = [asyncio.create_task(load(1)) for _ in range(3)]
        await soon(waiters(2))
        gate.open.set()
        assert await asyncio.gather(*tasks, return_exceptions=True) == [error] * 3
        assert await load(1) == "result"

    asyncio.run(run())


def test_a_task_that_waited_takes_over_from_one_that_was_cancelled() -> None:
    gate = AsyncGate("first", "second")
    load = Cache().memoize(gate)

    async def run() -> None:
        tasks = [asyncio.create_task(load(1)) for _ in range(4)]
        await soon(waiters(3))
        tasks[0].cancel()
        await soon(lambda: gate.calls == 2 and waiters(2)())
        tasks[3].cancel()  # one that waits
        gate.open.set()
        first, *others, last = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert isinstance(last, asyncio.CancelledError)
        assert others == ["second"] * 2

    asyncio.run(run())
    assert gate.calls == 2


def test_a_loop_that_ends_hands_over_to_another(threads: Threads) -> None:
    gate = AsyncGate("first", "second")
    load = Cache().memoize(gate)

    async def leave() -> None:
        task = asyncio.create_task(load(1))
        await soon(lambda: gate.calls and waiters(1)())
        assert not task.done()

    leaver = threads.start(lambda: asyncio.run(leave()))
    until(lambda: gate.calls)
    threads.start(lambda: asyncio.run(load(1)))
    leaver.join(30)
    gate.open.set()
    assert threads.outcomes == [None, "second"]


def test_a_call_of_a_loop_that_was_closed_wedges_nobody() -> None:
    gate = AsyncGate("first", "second")
    load = Cache().memoize(gate)
    loop = asyncio.new_event_loop()
    task = loop.create_task(load(1))
    loop.run_until_complete(soon(lambda: gate.calls))
    loop.close()
    gate.open.set()
    assert asyncio.run(load(1)) == "second"
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is left there on purpose


def step(loop: asyncio.AbstractEventLoop, until: Callable[[], object]) -> None:
    """Have a loop run for a while; its tasks stay where they are."""
    loop.run_until_complete(soon(until))


@pytest.fixture
def stopped() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs only now and then."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_a_call_of_a_loop_that_does_not_run_wedges_nobody(stopped: asyncio.AbstractEventLoop) -> None:
    gate = AsyncGate("first", "second")
    cache = Cache()
    load = cache.memoize(gate)
    task = stopped.create_task(load(1))
    step(stopped, lambda: gate.calls)
    gate.open.set()
    assert asyncio.run(load(1)) == "second"
    step(stopped, task.done)
    assert task.result() == "first"
    assert cache[1] == "second", "what began earlier does not replace it"


@pytest.mark.parametrize("is_closed", [False, True], ids=["stopped", "closed"])
def test_who_waits_for_a_loop_that_ends_takes_over(
    threads: Threads, monkeypatch: pytest.MonkeyPatch, stopped: asyncio.AbstractEventLoop, is_closed: bool
) -> None:
    monkeypatch.setattr(flights_async, "PATIENCE", 0.01)
    gate = AsyncGate("first", "second")
    load = Cache().memoize(gate)
    task = stopped.create_task(load(1))
    others: list[Any] = []

    def start() -> bool:
        if gate.calls and not others:
            others.append(threads.start(lambda: asyncio.run(load(1))))
        return waiters(1)()

    step(stopped, start)
    if is_closed:
        stopped.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is left there on purpose
    until(lambda: gate.calls == 2)
    gate.open.set()
    assert threads.outcomes == ["second"]
    if not is_closed:
        step(stopped, task.done)


def test_a_loop_that_stopped_does_not_store_what_was_invalidated(stopped: asyncio.AbstractEventLoop) -> None:
    gate = AsyncGate("first", "second")
    load = Cache().memoize(gate)
    task = stopped.create_task(load(1))
    step(stopped, lambda: gate.calls)
    assert load.invalidate(1) is False
    gate.open.set()
    step(stopped, task.done)
    assert task.result() == "first" and 1 not in load.cache


def test_nothing_is_left_of_a_loop_that_is_dropped_as_it_is() -> None:
    gate = AsyncGate("result")
    load = Cache().memoize(gate)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(load(1)) for _ in range(3)]
    step(loop, waiters(2))
    gone = [weakref.ref(task) for task in tasks]
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is left there on purpose
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del loop, task, tasks
        gate.open.set()
        assert asyncio.run(load(1)) == "result"
        gc.collect()
    assert [task() for task in gone] == [None] * 3


def test_a_task_that_calls_for_itself_is_an_error() -> None:
    @Cache().memoize
    async def load(n: int) -> Any:
        return await load(n)

    with pytest.raises(RuntimeError, match="same key"):
        asyncio.run(load(1))


def test_tasks_that_wait_for_each_other_are_an_error() -> None:
    started = []

    @Cache().memoize
    async def load(n: int) -> Any:
        started.append(n)
        await soon(lambda: len(started) > 1)
        return await load(1 - n)

    async def run() -> list[Any]:
        return list(await asyncio.gather(load(0), load(1), return_exceptions=True))

    assert [type(outcome) for outcome in asyncio.run(run())] == [RuntimeError] * 2


def test_invalidate_and_refresh_with_tasks() -> None:
    gate = AsyncGate("first", "second", "third")
    cache = Cache()
    load = cache.memoize(gate)

    async def run() -> None:
        first = asyncio.create_task(load(1))
        await soon(lambda: gate.calls == 1)
        assert load.invalidate(1) is False
        second = asyncio.create_task(load(1))
        await soon(waiters(1))
        gate.open.set()
        assert list(await asyncio.gather(first, second)) == ["first", "second"]
        assert cache[1] == "second"
        gate.open.clear()
        refreshed = asyncio.create_task(load.refresh(1))
        await soon(lambda: gate.calls == 3)
        assert await load(1) == "second"
        gate.open.set()
        assert await refreshed == await load(1) == "third"

    asyncio.run(run())


def test_a_refresh_that_waits_for_itself_is_an_error() -> None:
    @Cache().memoize
    async def load(n: int) -> Any:
        return await load.refresh(n)

    async def run() -> None:
        with pytest.raises(RuntimeError, match="load was called with the same key again"):
            await asyncio.wait_for(load(1), 10)

    asyncio.run(run())


def test_refresh_of_a_task_does_not_take_the_result_of_a_call_from_before() -> None:
    gate = AsyncGate("before", "after")
    load = Cache().memoize(gate)

    async def run() -> None:
        first = asyncio.create_task(load(1))
        await soon(lambda: gate.calls)
        refreshed = asyncio.create_task(load.refresh(1))
        late = asyncio.create_task(load(1))
        await soon(waiters(2))
        gate.open.set()
        assert list(await asyncio.gather(first, refreshed, late)) == ["before", "after", "before"]
        assert await load(1) == "after"

    asyncio.run(run())


def test_a_stale_result_is_renewed_in_the_background() -> None:
    clock, gate = Clock(), AsyncGate("old", "new")
    load = Cache(timer=clock).memoize(ttl=60, stale=30)(gate)

    async def run() -> None:
        gate.open.set()
        assert await load(1) == "old"
        clock.now += 59
        assert await load(1) == "old"
        assert len(asyncio.all_tasks()) == 1, "it is fresh: no task renews it"
        gate.open.clear()
        clock.now += 1
        assert await asyncio.gather(*(load(1) for _ in range(5))) == ["old"] * 5
        await soon(lambda: gate.calls == 2)
        gc.collect()
        assert await load(1) == "old"
        clock.now += 30
        waiting = asyncio.create_task(load(1))
        await soon(waiters(1))
        gate.open.set()
        assert await waiting == await load(1) == "new"

    asyncio.run(run())
    assert gate.calls == 2


def test_a_background_renewal_is_kept_until_it_is_done_and_no_longer() -> None:
    """Loops hold tasks weakly, and what this one waits for is only in its own frame."""
    clock, tasks = Clock(), list[weakref.ref[Any]]()
    futures: list[weakref.ref[asyncio.Future[str]]] = []

    @Cache(timer=clock).memoize(ttl=60, stale=30)
    async def load(n: int) -> str:
        if clock.now < 60:
            return "old"
        tasks.append(weakref.ref(asyncio.current_task()))
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        return await future

    async def run() -> None:
        clock.now = 0
        assert await load(1) == "old"
        clock.now = 60
        assert await load(1) == "old"
        await soon(lambda: futures)
        gc.collect()
        future = futures[0]()
        assert future is not None, "the renewal goes on"
        future.set_result("new")
        del future
        await soon(lambda: load.cache[1] == "new")
        await asyncio.sleep(0)
        gc.collect()
        assert tasks[0]() is None

    asyncio.run(run())


def test_a_background_renewal_makes_no_call_for_what_was_stored_meanwhile() -> None:
    clock, gate = Clock(), AsyncGate("old", "never")
    gate.open.set()
    cache: Any = Cache(timer=clock)
    load = cache.memoize(ttl=60, stale=30)(gate)

    async def run() -> None:
        assert await load(1) == "old"
        clock.now += 60
        assert await load(1) == "old"
        cache.set(1, "stored", ttl=90)
        await soon(lambda: len(asyncio.all_tasks()) == 1)
        assert await load(1) == "stored"

    asyncio.run(run())
    assert gate.calls == 1
    assert cache.stats()["misses"] == 1, "it looked without a count"


def test_a_background_renewal_that_waits_for_itself_is_reported() -> None:
    clock, reported = Clock(), list[Exception]()

    @Cache(timer=clock).memoize(ttl=60, stale=30, on_error=reported.append)
    async def load(n: int) -> Any:
        return n if clock.now < 60 else await load.refresh(n)

    async def run() -> None:
        clock.now = 0
        assert await load(1) == 1
        clock.now = 60
        assert await load(1) == 1
        await soon(lambda: reported)

    asyncio.run(asyncio.wait_for(run(), 10))
    assert isinstance(reported[0], RuntimeError)


def test_a_renewal_that_gets_no_task_leaves_the_next_one_free() -> None:
    clock, gate = Clock(), AsyncGate("old", "new")
    gate.open.set()
    load = Cache(timer=clock).memoize(ttl=60, stale=30)(gate)

    def refuse(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
        coroutine.close()
        raise ZeroDivisionError

    async def run() -> None:
        assert await load(1) == "old"
        clock.now += 60
        loop = asyncio.get_running_loop()
        loop.set_task_factory(refuse)
        with pytest.raises(ZeroDivisionError):
            await load(1)
        loop.set_task_factory(None)
        assert await load(1) == "old"
        await soon(lambda: load.cache[1] == "new")

    asyncio.run(run())


def test_a_background_renewal_that_fails_is_reported_and_the_old_result_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, error = Clock(), ZeroDivisionError()
    gate = AsyncGate("old", error)
    gate.open.set()
    load = Cache(timer=clock).memoize(ttl=60, stale=30)(gate)
    reported = caplog.records

    async def run() -> None:
        assert await load(1) == "old"
        clock.now += 60
        assert await load(1) == "old"
        await soon(lambda: reported)
        assert await load(1) == "old"
        await soon(lambda: len(reported) == 2)
        clock.now += 30
        with pytest.raises(ZeroDivisionError):
            await load(1)

    asyncio.run(run())
    assert [record.exc_info and record.exc_info[1] for record in reported] == [error] * 2
    assert reported[0].name == "ebbmap"
    assert "failed; the old result is served" in reported[0].getMessage()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought eager tasks")
def test_a_background_renewal_in_an_eager_task() -> None:
    clock, gate = Clock(), AsyncGate("old", "new", "newer")
    gate.open.set()
    load = Cache(timer=clock).memoize(ttl=60, stale=30)(gate)

    async def run() -> None:
        factory: Any = asyncio.eager_task_factory  # type: ignore[attr-defined, unused-ignore]  # by the version
        asyncio.get_running_loop().set_task_factory(factory)
        assert await load(1) == "old"
        for old, calls in (("old", 2), ("new", 3)):
            clock.now += 60
            assert await load(1) == old
            assert gate.calls == calls
        await soon(lambda: load.cache[1] == "newer")

    asyncio.run(run())


def test_a_renewal_that_never_starts_wedges_nobody() -> None:
    clock, gate = Clock(), AsyncGate("old", "new")
    gate.open.set()
    load = Cache(timer=clock).memoize(ttl=60, stale=30)(gate)
    asyncio.run(load(1))
    clock.now += 60
    assert asyncio.run(load(1)) == "old"  # the loop ends, and with it the task that was to renew it
    clock.now += 30
    assert asyncio.run(load(1)) == "new"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_task_of_a_parent_does_not_wedge_a_child(threads: Threads) -> None:
    gate = AsyncGate("first", "second")
    load = Cache().memoize(gate)
    threads.start(lambda: asyncio.run(load(1)))
    until(lambda: gate.calls)

    def in_child() -> None:
        gate.open.set()
        assert asyncio.run(load(1)) == "second"

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join(30)
    assert child.exitcode == 0, "wedged"
    gate.open.set()
    assert threads.outcomes == ["first"]
