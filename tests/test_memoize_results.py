"""Results that can't be kept, errors that can't be freed, and how deep memoized functions recurse."""

from __future__ import annotations

import asyncio
import functools
import gc
import io
import itertools
import sys
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ebbmap import Cache
from memoize_helpers import AsyncGate, Counted, Gate, Threads, soon, until, waiters


def depth_of(make: Callable[[Any], Any], as_method: bool) -> int:
    """How deep a function of one argument recurses before `RecursionError`."""
    if as_method:

        class Holder:
            @make
            def down(self, n: int) -> int:
                return 0 if n == 0 else 1 + self.down(n - 1)

        down: Any = Holder().down
    else:

        @make
        def down(n: int) -> int:
            return 0 if n == 0 else 1 + down(n - 1)

    low, high = 0, 2000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            down(middle)
            low = middle
        except RecursionError:
            high = middle - 1
    return low


@pytest.mark.parametrize("as_method", [False, True], ids=["function", "method"])
@pytest.mark.parametrize(
    "options",
    [{}, {"ttl": 60, "stale": 5}, {"key": lambda *args: args}],
    ids=",".join,
)
def test_a_memoized_function_recurses_as_deep_as_with_lru_cache(
    as_method: bool, options: dict[str, Any]
) -> None:
    def anew(function: Any) -> Any:
        """Memoize with a cache that keeps nothing, so that each try goes all the way down."""
        return Cache(ttl=1, timer=itertools.count(step=10).__next__).memoize(**{**options, "stale": None})(
            function
        )

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(600)
    try:
        ours, theirs = depth_of(anew, as_method), depth_of(functools.lru_cache(maxsize=0), as_method)
    finally:
        sys.setrecursionlimit(limit)
    assert ours >= theirs - 8  # what stores the last result goes a few frames deeper
    assert theirs > 150


class Things:
    """An iterator of its own."""

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        raise StopIteration


ITERATORS: list[Callable[[Any], Any]] = [
    lambda n: map(str, [n]),
    lambda n: zip([n], [n], strict=True),
    lambda n: (each for each in [n]),
    lambda n: iter([n]),
    lambda n: Things(),
    lambda n: itertools.count(),
]


@pytest.mark.parametrize("function", ITERATORS, ids=["map", "zip", "generator", "iter", "class", "count"])
@pytest.mark.parametrize("is_async", [False, True], ids=["function", "coroutine"])
def test_a_result_that_is_an_iterator_is_refused_at_the_first_call(
    function: Callable[[Any], Any], is_async: bool
) -> None:
    async def later(n: int) -> Any:
        return function(n)

    cache = Cache()
    load: Any = cache.memoize(later if is_async else function)
    for call in (load, load.refresh):
        with pytest.raises(TypeError, match=r"returned an iterator \(.*uses up: return tuple"):
            asyncio.run(call(1)) if is_async else call(1)
    assert len(cache) == 0


def test_a_result_that_is_an_asynchronous_iterator_is_refused() -> None:
    async def things() -> AsyncIterator[int]:
        yield 1

    load = Cache().memoize(lambda: things())  # noqa: PLW0108 -- else it would be refused at once
    with pytest.raises(TypeError, match=r"returned an asynchronous iterator \(async_generator\)"):
        load()


async def fetch(n: int) -> int:
    return n


def plainly(function: Callable[[int], Any]) -> Callable[[int], Any]:
    def wrapper(n: int) -> Any:
        return function(n)

    return wrapper


def test_a_result_that_is_a_coroutine_is_refused_and_closed() -> None:
    """Nothing warns that it was never awaited."""
    load = Cache().memoize(plainly(fetch))
    with pytest.raises(
        TypeError, match="returned a coroutine, which can be awaited only once: memoize a coroutine"
    ):
        load(1)


def test_what_can_be_used_again_is_kept(tmp_path: Path) -> None:
    async def run() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_result(3)
        load = Cache().memoize(lambda: future)
        assert await load() == await load() == 3

    asyncio.run(run())
    file = (tmp_path / "log").open("a")
    with file, io.BytesIO() as buffer, tempfile.TemporaryFile() as temporary:
        kept: Any
        for kept in (file, buffer, temporary, range(3), {}.keys(), Things, fetch, Counted()):
            load = Cache().memoize(lambda kept=kept: kept)
            assert load() is load() is kept


class Local:
    """A local variable of a function that fails."""


async def failing(kept: list[weakref.ref[Local]]) -> None:
    local = Local()
    kept.append(weakref.ref(local))
    await asyncio.sleep(0)
    raise ValueError


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("options", [{}, {"ttl": 60, "stale": 5}], ids=["plain", "stale"])
@pytest.mark.parametrize("way", ["call", "refresh", "waiters"])
def test_the_error_of_a_coroutine_in_a_task_dies_with_the_task(way: str, options: dict[str, Any]) -> None:
    kept: list[weakref.ref[Local]] = []
    load: Any = Cache().memoize(key=lambda kept: 1, **options)(failing)

    async def run() -> None:
        calls = 3 if way == "waiters" else 1
        tasks = [
            asyncio.create_task((load.refresh if way == "refresh" else load)(kept)) for _ in range(calls)
        ]
        await asyncio.wait(tasks)
        assert all(isinstance(task.exception(), ValueError) for task in tasks)
        assert kept[0]() is not None
        del tasks
        await asyncio.sleep(0)
        assert kept[0]() is None, "a reference cycle keeps the error, and its frames, until a collection"

    asyncio.run(run())


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("is_async", [False, True], ids=["function", "coroutine"])
def test_the_error_of_a_call_for_itself_dies(is_async: bool) -> None:
    gone: list[weakref.ref[Local]] = []

    def watched() -> Local:
        local = Local()
        gone.append(weakref.ref(local))
        return local

    @Cache().memoize
    def load(n: int) -> Any:
        local = watched()
        return load(n), local

    @Cache().memoize
    async def aload(n: int) -> Any:
        local = watched()
        return await aload(n), local

    async def run() -> None:
        await asyncio.wait([task := asyncio.create_task(aload(1))])
        assert isinstance(task.exception(), RuntimeError)

    if is_async:
        asyncio.run(run())
    else:
        with suppress(RuntimeError):
            load(1)
    assert gone[0]() is None


@pytest.mark.usefixtures("uncollected")
def test_the_error_that_threads_waited_for_dies() -> None:
    class LoadError(ValueError):
        """Can be referred to weakly."""

    entered, let_through = threading.Event(), threading.Event()
    gone: list[weakref.ref[LoadError]] = []

    @Cache().memoize
    def load(n: int) -> None:
        entered.set()
        assert let_through.wait(30)
        raise LoadError

    def work() -> None:
        try:
            load(1)
        except LoadError as error:
            gone.append(weakref.ref(error))

    threads = Threads()
    for n in range(3):
        threads.start(work)
        until(entered.is_set)
        until(waiters(n))
    let_through.set()
    assert threads.outcomes == [None] * 3
    assert [each() for each in gone] == [None] * 3


def test_a_call_under_another_event_loop_names_the_one_that_is_supported() -> None:
    trio = pytest.importorskip("trio")
    load = Cache().memoize(fetch)
    for call in (load, load.refresh):
        with pytest.raises(
            RuntimeError, match="fetch is memoized, so it is awaited in an event loop of asyncio"
        ):
            trio.run(call, 1)
    assert asyncio.run(load(1)) == 1


def test_a_stale_result_under_another_event_loop_is_an_error_too() -> None:
    trio = pytest.importorskip("trio")
    now = [0.0]
    load = Cache(timer=lambda: now[0]).memoize(ttl=60, stale=30)(fetch)
    asyncio.run(load(1))
    now[0] = 70
    with pytest.raises(RuntimeError, match="event loop of asyncio"):
        trio.run(load, 1)


def test_calls_that_took_the_result_of_another_are_counted() -> None:
    cache, gate, threads = Cache(), Gate("result"), Threads()
    load = cache.memoize(gate)
    for n in range(30):
        threads.start(load, 1)
        until(waiters(n))
    gate.let_through.release()
    assert threads.outcomes == ["result"] * 30
    load(1)
    stats = cache.stats()
    assert (stats["hits"], stats["misses"], stats["coalesced"]) == (1, 30, 29)
    assert Cache().stats()["coalesced"] == 0


def test_tasks_that_took_the_result_of_another_are_counted() -> None:
    cache, gate = Cache(), AsyncGate(KeyError("gone"))
    load = cache.memoize(gate)

    async def run() -> None:
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(as_coroutine(load(1))) for _ in range(5)]
        await soon(waiters(4))
        gate.open.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert cache.stats()["coalesced"] == 4


async def as_coroutine(call: Coroutine[Any, Any, Any]) -> Any:
    return await call
