"""One call per key at a time among tasks, of one event loop or of several in several threads."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from functools import partial
from typing import Any

from ebbmap._internal.absent import ABSENT
from ebbmap._internal.flights import Call, Flights, _waiting

PATIENCE = 1.0  # seconds between looks whether another loop, which is waited for, still runs


class AsyncFlights(Flights):
    """The calls of a coroutine function that are under way, by key.

    Tasks are known weakly, and no frame that an exception passes keeps a call, which may have the exception.
    So nothing is left of a task, with its exception and its frames, or of a loop that was left as it was.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._renewals: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly

    async def compute(self, key: Any, args: Any, kwargs: Any, anew: bool = False) -> Any:
        """The result of a call made here or meanwhile elsewhere; with `anew` never one found in the cache."""
        loop = self._running_loop()
        while True:
            mine = call = Call(_this_task(), loop)
            try:
                call = self.join(key, mine)
                if call is mine:
                    return await self._lead(mine, key, args, kwargs, anew)
                late = call.revoked
                await self._await(call, mine)
                if call.answers and not late:
                    self._coalesced()
                    if call.error is None:
                        return call.value
                    raise call.error.with_traceback(
                        call.traceback
                    )  # without those of others it was raised to
            finally:
                try:
                    self.unlist(key, mine)
                finally:
                    mine.finish()
                del mine, call

    async def refresh(self, key: Any, args: Any, kwargs: Any) -> Any:
        loop = self._running_loop()
        if (call := self._under_way(key)) is not None:
            await self._await(call, Call(_this_task(), loop))
        del call
        return await self.compute(key, args, kwargs, anew=True)

    def renew(self, key: Any, old: Any, args: Any, kwargs: Any) -> Any:
        """`old`; who comes first starts a task that makes the call."""
        loop = self._running_loop()
        mine = Call(None, loop)
        if self.join(key, mine) is mine:
            try:
                task = loop.create_task(self._renewal(mine, key, args, kwargs))
            except BaseException:
                try:
                    self.unlist(key, mine)
                finally:
                    mine.finish()
                raise
            self._renewals.add(task)
            task.add_done_callback(partial(self._renewed, key, mine))
        return old

    async def _renewal(self, call: Call, key: Any, args: Any, kwargs: Any) -> None:
        call.owner = _this_task()
        try:
            await self._lead(call, key, args, kwargs, False)
        finally:
            try:
                self.unlist(key, call)
            finally:
                call.finish()
            del call

    def _renewed(self, key: Any, call: Call, task: asyncio.Task[None]) -> None:
        self._renewals.discard(task)
        try:
            self.unlist(key, call)  # a task that is cancelled before it starts never gets there
        finally:
            call.finish()
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.report(error)

    async def _lead(self, call: Call, key: Any, args: Any, kwargs: Any, anew: bool) -> Any:
        try:
            if anew or (value := self.look(key)) is ABSENT:
                value = await self.function(*args, **kwargs)
                self.refuse_used_up(value)
                self.keep(call, key, value)
            call.value = value
            return value
        except Exception as error:
            call.error, call.traceback = error, error.__traceback__
            raise
        finally:
            del call

    async def _await(self, call: Call, mine: Call) -> None:
        loop = self._running_loop()
        future = loop.create_future()
        _waiting[mine.owner] = call
        try:
            if call.waits_for(mine.owner, _waiting):
                raise self._circle()
            if call.when_done(partial(_wake, weakref.ref(future))):
                return
            while call.loop is not loop and not (call.dead or call.stalled or future.done()):
                await asyncio.wait((future,), timeout=PATIENCE)
            if not (call.dead or call.stalled):
                await future
        finally:
            _waiting.pop(mine.owner, None)
            del call, mine

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                f"{self.name} is memoized, so it is awaited in an event loop of asyncio; "
                f"other event loops, such as trio's, are not supported"
            ) from None


def _this_task() -> object:
    """The task that runs, in the form in which it is compared. A coroutine outside tasks is like no other."""
    task = asyncio.current_task()
    return object() if task is None else weakref.ref(task)


def _wake(waiter: weakref.ref[asyncio.Future[None]]) -> None:
    if (future := waiter()) is not None:
        with suppress(RuntimeError):  # the waiter's loop was closed
            future.get_loop().call_soon_threadsafe(_set, future)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
