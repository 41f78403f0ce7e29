"""One call per key at a time: who comes while it is under way waits, and gets what comes of it.

No lock is held while a user's code runs. What has to be atomic is one `dict.setdefault` each: who makes the
call (the first in `_calls`), and whether its result is stored or revoked (the first in `_fate`).
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any

from ebbmap import _core
from ebbmap._absent import ABSENT

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

    Whoever lists a call calls `finish` in a `finally`, directly: it is native, so no exception that a signal
    handler or another thread raises can come between.
    """

    __slots__ = (
        "_born",
        "_fate",
        "_traceback",
        "computed",
        "error",
        "loop",
        "owner",
        "revoked",
        "thread",
        "unwanted",
        "value",
    )

    def __init__(self, owner: object, loop: Any = None) -> None:
        self.owner = owner  # a thread's identity, a greenlet or a task
        self.thread = _thread.get_ident()
        self.loop = loop
        self.revoked = False  # the result is of before an `invalidate`: for those who were waiting then only
        self.unwanted = False  # who stores the result is to take it out again
        self.computed = False  # rather than found in the cache
        self.value = ABSENT
        self.error: Exception | None = None
        self._traceback: TracebackType | None = None
        self._fate: dict[None, object] = {}
        self._born = _core._forks()

    @property
    def dead(self) -> bool:
        """Whether nobody makes this call any more, though it is still listed.

        Its thread stayed behind in a parent process, its loop was closed, or a key's `__eq__` raised when it
        should have been taken off the list.
        """
        return self.done or self._born != _core._forks() or (self.loop is not None and self.loop.is_closed())

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

    def fail(self, error: Exception) -> None:
        self.error, self._traceback = error, error.__traceback__

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

    def answers(self, anew: bool) -> bool:
        """Whether it came to a value or an error, and to a new one if only that will do."""
        return self.error is not None or (self.value is not ABSENT and (self.computed or not anew))

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error.with_traceback(self._traceback)  # without those of others it was raised to
        return self.value


class Flights:
    """The calls of a function that are under way in the threads, by key.

    `look(key)` finds a value that needs no call, or `ABSENT`; `store(key, value)` puts one into the cache,
    `forget(key)` takes it out.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        look: Callable[[Any], Any],
        store: Callable[[Any, Any], None],
        forget: Callable[[Any], None],
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self._function = function
        self._name = getattr(function, "__qualname__", repr(function))
        self._look = look
        self._store = store
        self._forget = forget
        self._on_error = on_error
        self._calls: dict[Hashable, Call] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self._function,
            self._look,
            self._store,
            self._forget,
            self._on_error,
        )  # calls stay here

    def compute(self, key: Any, args: Any, kwargs: Any, anew: bool = False) -> Any:
        """The result of a call made here or meanwhile elsewhere; with `anew` never one found in the cache."""
        me = caller()
        while True:
            mine = call = Call(me)
            try:
                call = self._join(key, mine)
                if call is mine or self._is_of_another_greenlet(call, mine):
                    return self._lead(mine, key, args, kwargs, anew)
                late = call.revoked
                self._wait(call, me)
                if call.answers(anew) and not late:
                    return call.outcome()
            finally:
                try:
                    self._unlist(key, mine)
                finally:
                    mine.finish()
                del mine, call  # an error's traceback holds this frame, and they the error

    def refresh(self, key: Any, args: Any, kwargs: Any) -> Any:
        """The result of a call that began after this one."""
        call, me = self._under_way(key), caller()
        if call is not None and not self._is_of_another_greenlet(call, Call(me)):
            self._wait(call, me)
        del call
        return self.compute(key, args, kwargs, anew=True)

    def renew(self, key: Any, old: Any, args: Any, kwargs: Any) -> Any:
        """The new value for who comes first; `old` for who comes meanwhile, and if the call fails."""
        mine = Call(caller())
        try:
            if self._join(key, mine) is not mine:
                return old
            return self._lead(mine, key, args, kwargs, False)
        except Exception as error:
            self._report(error)
            return old
        finally:
            try:
                self._unlist(key, mine)
            finally:
                mine.finish()
            del mine

    def _report(self, error: Exception) -> None:
        """Tell of a failure in the background, which no caller can catch."""
        if self._on_error is None:
            _log(self._name, error)
            return
        try:
            self._on_error(error)
        except Exception as failure:
            _log(f"on_error of {self._name}", failure)

    def revoke(self, key: Any) -> None:
        """Keep the result of the call under way, if there is one, out of the cache and from later callers."""
        call = self._under_way(key)
        if call is not None and call.revoke() and not _outlast(call):
            call.unwanted = True

    def _under_way(self, key: Any) -> Call | None:
        call = self._calls.get(key)
        return None if call is None or call.dead else call

    def _join(self, key: Any, mine: Call) -> Call:
        """Whose call it is: `mine` from now on if there is no other."""
        call = self._calls.setdefault(key, mine)
        if call is mine or not call.dead:
            return call
        again = self._calls.setdefault(key, mine)
        if again is call:  # not just off the list, but left there
            again = self._calls[key] = mine
        return again

    def _unlist(self, key: Any, mine: Call) -> None:
        """Take a call off the list that is done; one that stays there is replaced by the next of its key."""
        if self._calls.get(key) is mine:
            del self._calls[key]

    def _is_of_another_greenlet(self, call: Call, mine: Call) -> bool:
        """Whether to wait for it would be to wait for ever: it goes on only when this thread does."""
        return call.loop is None and call.thread == mine.thread and call.owner != mine.owner

    def _lead(self, call: Call, key: Any, args: Any, kwargs: Any, anew: bool) -> Any:
        try:
            if anew or (value := self._look(key)) is ABSENT:
                value = self._function(*args, **kwargs)
                self._keep(call, key, value)
            call.value = value
            return value
        except Exception as error:
            call.fail(error)
            raise
        finally:
            del call

    def _keep(self, call: Call, key: Any, value: Any) -> None:
        if call.may_store():
            try:
                self._store(key, value)
            finally:
                if call.unwanted:
                    self._forget(key)
        call.computed = True

    def _wait(self, call: Call, me: object) -> None:
        _waiting[me] = call
        try:
            self._refuse_circle(call, me)
            call.wait()
        finally:
            _waiting.pop(me, None)

    def _refuse_circle(self, call: Call, me: object) -> None:
        """`RuntimeError` if `call` waits for `me`, which would never end."""
        if call.waits_for(me, _waiting):
            raise RuntimeError(
                f"{self._name} was called with the same key again to compute the value for that key"
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
    import logging  # here, as many programs never need it

    logging.getLogger("ebbmap").error(
        "%s failed; the old result is served until it expires", name, exc_info=error
    )


def _after_fork_in_child() -> None:
    _waiting.clear()
    _revoking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
