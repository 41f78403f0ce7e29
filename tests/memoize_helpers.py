"""What the tests of `memoize` share: threads whose outcomes are kept, functions that wait."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ebbmap import Cache
from ebbmap._internal import flights

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": Cache.copy,
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda cache: pickle.loads(pickle.dumps(cache)),
    "or": lambda cache: cache | {},
    "ror": lambda cache: {} | cache,
}
# Every way in which a cache is made of another one.
copied = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


class Counted:
    """A function that counts its calls and returns its arguments with the count."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        return (*args, len(self.calls))


class Threads:
    """Threads whose outcomes are kept; all must have ended when they are asked for."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._outcomes: list[Any] = []

    def start(self, work: Callable[..., Any], *args: Any) -> threading.Thread:
        def run() -> None:
            try:
                self._outcomes.append(work(*args))
            except BaseException as error:
                self._outcomes.append(error)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    @property
    def outcomes(self) -> list[Any]:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "wedged"
        return self._outcomes


def until(condition: Callable[[], object]) -> None:
    """Wait until something that is on its way has come true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()


async def soon(condition: Callable[[], object]) -> None:
    """Let other tasks run until something has come true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0)


def waiters(n: int) -> Callable[[], bool]:
    return lambda: len(flights._waiting) == n


class Gate:
    """A function that, when called, says so and waits until it is let through."""

    def __init__(self, *results: Any) -> None:
        self._results = list(results)
        self.entered, self.let_through = threading.Semaphore(0), threading.Semaphore(0)
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        self.entered.release()
        assert self.let_through.acquire(timeout=30)
        if isinstance(result, BaseException):
            raise result
        return result


class AsyncGate:
    """The same for tasks."""

    def __init__(self, *results: Any) -> None:
        self._results = list(results)
        self.open = threading.Event()
        self.calls = 0

    async def __call__(self, *args: Any) -> Any:
        self.calls += 1
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        await soon(self.open.is_set)
        if isinstance(result, BaseException):
            raise result
        return result
