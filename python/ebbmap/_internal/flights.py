"""One call per key at a time: who comes while it is under way waits, and gets what comes of it.

No lock is held while a user's code runs. What has to be atomic is one `dict.setdefault` each: who makes the
call (the first in `_calls`), and whether its result is stored or revoked (the first in `_fate`).
"""

from __future__ import annotations

import _thread
import os
import sys
import weakref
from collections.abc import Callable, Coroutine, Hashable
from io import IOBase
from types import TracebackType
from typing import Any

from ebbmap import _core
from ebbmap._convert.imports import load
from ebbmap._internal.absent import ABSENT

PATIENCE = 1.0  # seconds that `revoke` waits for a store, which may run code that waits for it unseen
_REVOKED = 0  # no thread's identity
_waiting: dict[object, Call] = {}  # by who waits, the call it waits for
_revoking: dict[object, Call] = {}  # by thread, the call whose store it waits for, if not for ever


def caller() -> object:
    """Who calls: the thread, or the greenlet of it that runs."""
    greenlet = sys.modules.get("greenlet")
    current = None if greenlet is None else greenlet.getcurrent()
    return _thread.get_ident() if current is None or current.parent is None else current


class Call(_core.Flight):
    """A call under way: who makes it, who waits for it, and what came of it.

    Native code lists a call and ends it, so no exception that a signal handler or another thread raises can
    come between. Tasks call `finish` in a `finally`, directly.
    """

    __slots__ = (
        "_born",
        "_fate",
        "_loop",
        "computed",
        "error",
        "owner",
        "revoked",
        "thread",
        "traceback",
        "unwanted",
        "value",
    )

    def __init__(self, owner: object, loop: Any = None) -> None:
        self.owner = owner  # a thread's identity, a greenlet, or a weak reference to a task
        self.thread = _thread.get_ident()
        self._loop = None if loop is None else weakref.ref(loop)
        self.revoked = False  # the result is of before an `invalidate`: for those who were waiting then only
        self.unwanted = False  # who stores the result is to take it out again
        self.computed = False  # rather than found in the cache
        self.value = ABSENT
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None
        self._fate: dict[None, object] = {}
        self._born = _core._forks()

    @property
    def loop(self) -> Any:
        """The event loop that the call belongs to; None for a thread's, or if the loop is gone."""
        return None if self._loop is None else self._loop()

    @property
    def dead(self) -> bool:
        """Whether nobody makes this call any more, though it is still listed.

        Its thread stayed behind in a parent process, its loop was closed, or a key's `__eq__` raised when it
        should have been taken off the list.
        """
        if self.done or self._born != _core._forks():
            return True
        return self._loop is not None and ((loop := self._loop()) is None or loop.is_closed())

    @property
    def stalled(self) -> bool:
        """Whether it may never go on: its event loop does not run.

        One that an interrupt ended may still say that it does; where another runs in its thread, it does not.
        """
        if self._loop is None:
            return False
        loop = self._loop()
        if loop is None or not loop.is_running():
            return True
        return self.thread == _thread.get_ident() and sys.modules["asyncio"]._get_running_loop() is not loop

    @property
    def driver(self) -> object:
        """Who has to go on for this to end: its owner, or the thread that is storing the result."""
        return self._fate.get(None) or self.owner

    def may_store(self) -> bool:
        """Whether the result may go into the cache; from now on `revoke` finds it being stored."""
        return self._fate.setdefault(None, caller()) != _REVOKED

    def revoke(self) -> bool:
        """Have the result not stored; True if it is just being stored."""
        self.revoked = True
        return self._fate.setdefault(None, _REVOKED) != _REVOKED

    def wait(self, timeout: float = -1) -> None:
        """Block this thread until the call is done, or for `timeout` seconds."""
        lock = _thread.allocate_lock()
        lock.acquire()
        if not self.when_done(lock.release):
            lock.acquire(timeout=timeout)

    def waits_for(self, me: object, *waits: dict[object, Call]) -> bool:
        """Whether this waits for `me`, perhaps through other calls that somebody waits for by `waits`."""
        call: Call | None = self
        for _ in range(sum(map(len, waits)) + 1):
            if call is None or call.dead:
                return False  # who waits for it goes on
            driver = call.driver
            if driver == me:
                return True
            call = next(filter(None, (waiting.get(driver) for waiting in waits)), None)
        return False

    @property
    def answers(self) -> bool:
        """Whether the function was called, for a value or an error. One from the cache may be out of date."""
        return self.error is not None or (self.value is not ABSENT and self.computed)


class Flights:
    """The calls of a function that are under way in the threads, by key.

    `look(key)` finds a value that needs no call, or `ABSENT`; `store(key, value)` puts one into the cache,
    `forget(key)` takes it out, and `coalesced()` counts a call that took the result of another. The native
    `_compute` makes calls by the methods that have no docstring of their own elsewhere: `begin`, `board`,
    `follow`, `keep` and `unlist`.
    """

    absent = ABSENT

    def __init__(
        self,
        function: Callable[..., Any],
        look: Callable[[Any], Any],
        store: Callable[[Any, Any], None],
        forget: Callable[[Any], None],
        coalesced: Callable[[], None],
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self.function = function
        self.look = look
        self.name = str(getattr(function, "__qualname__", None) or repr(function))
        self._store = store
        self._forget = forget
        self._coalesced = coalesced
        self._on_error = on_error
        self._calls: dict[Hashable, Call] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (  # calls stay here
            self.function,
            self.look,
            self._store,
            self._forget,
            self._coalesced,
            self._on_error,
        )

    def refresh(self, key: Any, args: Any, kwargs: Any) -> Any:
        """The result of a call that began after this one."""
        call = self._under_way(key)
        if call is not None:
            mine = self.begin()
            if not self._is_of_another_greenlet(call, mine):
                self._wait(call, mine)
            del mine
        del call
        return _core._compute(self, key, args, kwargs, True)

    def begin(self) -> Call:
        """A call that the caller may make."""
        return Call(caller())

    def board(self, key: Any, mine: Call) -> Call:
        """`mine` if this caller has to make the call, else the call to wait for."""
        call = self.join(key, mine)
        return mine if call is not mine and self._is_of_another_greenlet(call, mine) else call

    def follow(self, call: Call, mine: Call) -> bool:
        """Wait for another's call; whether its outcome will do."""
        try:
            late = call.revoked
            self._wait(call, mine)
            answers = call.answers and not late
            if answers:
                self._coalesced()
            return answers
        finally:
            del call, mine  # an error's traceback holds this frame, and they may come to hold the error

    def report(self, error: Exception) -> None:
        """Tell of a failure in the background, which no caller can catch."""
        if self._on_error is None:
            _log(self.name, error)
            return
        try:
            self._on_error(error)
        except Exception as failure:
            _log(f"on_error of {self.name}", failure)

    def revoke(self, key: Any) -> None:
        """Keep the result of the call under way, if there is one, out of the cache and from later callers."""
        call = self._under_way(key)
        if call is not None and call.revoke() and not _outlast(call):
            call.unwanted = True

    def _under_way(self, key: Any) -> Call | None:
        call = self._calls.get(key)
        return None if call is None or call.dead else call

    def join(self, key: Any, mine: Call) -> Call:
        """Whose call it is: `mine` from now on if there is no other."""
        call = self._calls.setdefault(key, mine)
        if call is mine or not (call.dead or call.stalled):
            return call
        call.revoke()  # should its loop run again, its result is an old one
        call.finish()
        again = self._calls.setdefault(key, mine)
        if again is call:  # not just off the list, but left there
            again = self._calls[key] = mine
        return again

    def unlist(self, key: Any, mine: Call) -> None:
        """Take a call off the list that is done; one that stays there is replaced by the next of its key."""
        if self._calls.get(key) is mine:
            del self._calls[key]

    def _is_of_another_greenlet(self, call: Call, mine: Call) -> bool:
        """Whether to wait for it would be to wait for ever: it goes on only when this thread does."""
        return call._loop is None and call.thread == mine.thread and call.owner != mine.owner

    def keep(self, call: Call, key: Any, value: Any) -> None:
        """Put a result into the cache, unless it is revoked."""
        if call.may_store():
            try:
                self._store(key, value)
            finally:
                if call.unwanted:
                    self._forget(key)
        call.computed = True

    def refuse_used_up(self, value: Any) -> None:
        """`TypeError` for a result that the first caller uses up."""
        if isinstance(value, Coroutine):
            value.close()
            raise TypeError(
                f"{self.name} returned a coroutine, which can be awaited only once: "
                f"memoize a coroutine function (async def) instead"
            )
        kind = type(value)
        if hasattr(kind, "__next__") and not isinstance(value, IOBase) and iter(value) is value:
            raise TypeError(
                f"{self.name} returned an iterator ({kind.__name__}), which the first caller uses up: "
                f"return tuple(...) of it"
            )
        if hasattr(kind, "__anext__") and value.__aiter__() is value:
            raise TypeError(
                f"{self.name} returned an asynchronous iterator ({kind.__name__}), which the first caller "
                f"uses up: return its items as a tuple"
            )

    def _wait(self, call: Call, mine: Call) -> None:
        me = mine.owner
        _waiting[me] = call
        try:
            if call.waits_for(me, _waiting):
                raise self._circle()
            call.wait()
        finally:
            _waiting.pop(me, None)
            del call, mine, me  # as in `follow`

    def _circle(self) -> RuntimeError:
        """What is raised where to wait would be to wait for oneself."""
        return RuntimeError(
            f"{self.name} was called with the same key again to compute the value for that key"
        )


def _outlast(call: Call) -> bool:
    """Wait until a store is over, but not where it waits for this thread, and not for ever; True if it is."""
    me = caller()
    _revoking[me] = call
    try:
        if not call.waits_for(me, _waiting, _revoking):
            call.wait(PATIENCE)
    finally:
        _revoking.pop(me, None)
    return call.done


def _log(name: str, error: Exception) -> None:
    """Log that `name` failed while a result was renewed."""
    load("logging").getLogger("ebbmap").error(
        "%s failed; the old result is served until it expires", name, exc_info=error
    )


def _after_fork_in_child() -> None:
    _waiting.clear()
    _revoking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
