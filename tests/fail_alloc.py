"""Refuse each allocation of each public operation in turn.

An abort ends the process; what is wrong otherwise raises. Run as `python tests/fail_alloc.py WHAT [ENTRIES
[TABLE ...]]`. WHAT is `native`, with `fail_alloc.c` preloaded: what the native module asks the C library for.
Or it is `python`: what anything asks CPython's allocators for; that takes CPython's own test module. Or it
is `pool`: what tables ask the process's pool for. A TABLE
is such as `map` or `map of text`; without one, all are taken.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_COROUTINE, CO_GENERATOR
from pathlib import Path
from pickle import PicklingError
from types import FrameType
from typing import Any, Protocol

from cache_helpers import REMOVALS, adds_up
from ebbmap import Cache, _core
from public_operations import (
    HALF_DONE,
    KINDS,
    OF_CACHES,
    OF_FUNCTIONS,
    OF_MAPS,
    OPERATIONS,
    TABLES,
    Call,
    Table,
)

# CPython's own: where it can't note where an exception came by, it loses the exception. So with a plain dict.
LOST = "error return without exception set", "returned NULL without setting an exception"
# CPython's too: `f_back` of a frame leaves an exception set.
LEFT = "returned a result with an exception set"
# NumPy's: the hash of a dtype leaves one set, and from CPython 3.14 on `lru_cache` notices.
HASHED = "_lru_cache_wrapper"
# CPython 3.12 and 3.13 crash where they can't make a generator, or the cell of an inner function's variable.
FRAGILE = """
import _testcapi
def closes(x):
    return all(x for _ in "a")
for nth in range(20):
    _testcapi.set_nomemory(nth, nth + 1)
    try:
        closes(object())
    except Exception:
        pass
    finally:
        _testcapi.remove_mem_hooks()
"""
GENERATORS = CO_GENERATOR | CO_COROUTINE
# Calls without a refusal after which none is thought to be left; some are made good for.
PATIENCE = 12


class Refuser(Protocol):
    """Refuses memory until it is stopped: the nth allocation, and those that follow if `after`."""

    def refuse(self, nth: int, after: bool) -> None: ...
    def stop(self) -> None: ...
    def is_past_the_end(self, nth: int) -> bool | None:
        """Whether the last call had fewer allocations; None where that can't be told."""

    def may_take(self, call: Call) -> bool:
        """Whether CPython survives that the call is refused memory. Makes the call."""


class Counted:
    """A refuser that counts what it is asked for. CPython survives all that it refuses."""

    def __init__(self) -> None:
        self._seen = 0

    def is_past_the_end(self, nth: int) -> bool | None:
        return self._seen < nth

    def may_take(self, call: Call) -> bool:
        return True


class Native(Counted):
    """What the module asks the C library for, in this thread; see `fail_alloc.c`."""

    def __init__(self) -> None:
        super().__init__()
        self._shim = ctypes.PyDLL(None)
        self._shim.fail_module.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        self._shim.fail_nth.argtypes = [ctypes.c_long, ctypes.c_int]
        self._shim.fail_seen.restype = ctypes.c_long
        lines = Path("/proc/self/maps").read_text().splitlines()
        spans = [line.split()[0].split("-") for line in lines if Path(_core.__file__).name in line]
        self._shim.fail_module(
            min(int(span[0], 16) for span in spans), max(int(span[1], 16) for span in spans)
        )

    def refuse(self, nth: int, after: bool) -> None:
        self._shim.fail_nth(nth, after)

    def stop(self) -> None:
        self._seen = self._shim.fail_seen()
        self._shim.fail_nth(0, 0)


class Pool(Counted):
    """What tables ask the pool for."""

    def refuse(self, nth: int, after: bool) -> None:
        _core._refuse_memory(nth, after)

    def stop(self) -> None:
        self._seen = _core._refuse_memory(0, False)


class Python:
    """What anything asks CPython's allocators for."""

    def __init__(self) -> None:
        import _testcapi  # type: ignore[import-not-found]  # CPython's own, without types

        self._refuse, self.stop = _testcapi.set_nomemory, _testcapi.remove_mem_hooks
        self._is_robust = subprocess.run([sys.executable, "-c", FRAGILE], check=False).returncode == 0

    def refuse(self, nth: int, after: bool) -> None:
        # Where all fail, CPython gives up: it makes 32 attempts at the error of an error, and aborts.
        self._refuse(nth, nth + 8 if after else nth + 1)

    def is_past_the_end(self, nth: int) -> bool | None:
        return None

    def may_take(self, call: Call) -> bool:
        return self._is_robust or not makes_fragile(call)


class Unraisable:
    """What was raised where nobody could catch it."""

    def __init__(self) -> None:
        self.kinds = set[type]()

    def __call__(self, args: Any) -> None:
        self.kinds.add(args.exc_type)


def outcome(call: Call) -> BaseException | None:
    try:
        call()
    except BaseException as error:
        return error
    return None


def makes_fragile(call: Call) -> bool:
    """Whether a call makes a generator, a coroutine, or a cell for a variable of an inner function."""
    found = False

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal found
        code = frame.f_code
        found = found or (event == "call" and bool(code.co_cellvars or code.co_flags & GENERATORS))

    sys.setprofile(note)
    try:
        outcome(call)
    finally:
        sys.setprofile(None)
    return found


def walks_over_frames(operation: str) -> bool:
    """Whether a call looks for a class body that it is called in."""
    return operation == "memoize"


def is_expected(error: BaseException | None, usual: BaseException | None, walks: bool) -> bool:
    """Whether a call may end in that whose allocation was refused."""
    # The pickler says that it can't import a function, whatever that has raised.
    if error is None or isinstance(error, MemoryError | PicklingError) or type(error) is type(usual):
        return True
    said, lost = str(error), (*LOST, LEFT) if walks else LOST
    of_numpy = "numpy" in said or (HASHED in said and LEFT in said)
    return type(error) is SystemError and (of_numpy or any(text in said for text in lost))


def effect_of(operation: str) -> str:
    """What an operation that fails may have done."""
    return "half" if operation in HALF_DONE else "results" if operation in OF_FUNCTIONS else "nothing or all"


def check(
    table: Table, old: dict[Any, Any], new: dict[Any, Any], error: BaseException | None, effect: str
) -> None:
    """Assert that a table is whole, and as it was, or as it should become."""
    table.it._check()
    held = table.contents()
    if effect == "results":
        pass  # its keys are of the functions of this table, which look at them
    elif effect == "half" or table.what in ("bounded", "heavy"):  # who had to make room has left
        either = [*old.items(), *new.items(), *table.comes()]
        assert all(item in either for item in held.items()), "it holds what nobody set"
    elif error is None:
        assert held == new, "what did not fail has not done it all"
    else:
        assert held in (old, new), "what failed has done a part"
    if isinstance(table.it, Cache):
        adds_up(table.it)
    table.it[table.key] = table.value  # it can be used again
    assert table.key in table.it


def fail(refuser: Refuser, name: str, entries: int, owner: str, operation: str, number: int) -> int:
    """Refuse each allocation of a call in turn; how many times it failed."""
    calls, effect = OPERATIONS[owner][operation], effect_of(operation)
    reference = Table(name, entries)
    usual_call = calls(reference)[number]
    old = reference.contents()
    usual = outcome(usual_call)
    new = reference.contents()
    walks = walks_over_frames(operation)
    failures = 0
    for after in (False, True):
        nth, quiet = 0, 0
        while quiet < PATIENCE:
            nth += 1
            table = Table(name, entries)
            call = calls(table)[number]
            refuser.refuse(nth, after)
            error = outcome(call)
            error = outcome(refuser.stop) or error
            assert is_expected(error, usual, walks), f"allocation {nth}, after={after}: {error!r}"
            is_refused = isinstance(error, MemoryError)
            failures += is_refused
            getattr(call, "check", lambda: None)()
            check(table, old, new, error, effect)
            past = refuser.is_past_the_end(nth)
            if past:
                break
            quiet = 0 if is_refused or past is not None else quiet + 1
    return failures


def fail_all(refuser: Refuser, name: str, entries: int) -> int:
    """As `fail`, for all operations of a table."""
    failures = 0
    for owner in OF_MAPS if name.startswith("map") else OF_CACHES:
        for operation, calls in OPERATIONS[owner].items():
            for number in range(len(calls(Table(name, entries)))):
                if not refuser.may_take(calls(Table(name, entries))[number]):
                    continue
                try:
                    failures += fail(refuser, name, entries, owner, operation, number)
                except BaseException:
                    print(f"{name}: call {number} of {owner}.{operation}", file=sys.stderr)
                    raise
                REMOVALS.clear()
                faulthandler.dump_traceback_later(60, exit=True)  # in case one hangs
    faulthandler.cancel_dump_traceback_later()
    return failures


@contextmanager
def unraisable() -> Iterator[Unraisable]:
    hook, sys.unraisablehook = sys.unraisablehook, Unraisable()
    try:
        yield sys.unraisablehook
    finally:
        sys.unraisablehook = hook


def main() -> None:
    warnings.simplefilter("ignore")
    gc.disable()  # a collection may come anywhere, and its allocations are not the operation's
    refusers: dict[str, type[Refuser]] = {"native": Native, "pool": Pool, "python": Python}
    refuser = refusers[sys.argv[1]]()
    entries = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    names = [f"{what} of {kinds}" for what in TABLES for kinds in KINDS]
    if isinstance(refuser, Python):
        names.remove(
            "heavy of objects"
        )  # `warnings.warn`, which it calls, is one of CPython's functions that crash
    wanted = sys.argv[3:] or list(TABLES)
    failures = 0
    with unraisable() as lost:
        for name in names:
            if name in wanted or name.partition(" ")[0] in wanted:
                failures += fail_all(refuser, name, entries)
                gc.collect()
    assert lost.kinds <= {MemoryError, ZeroDivisionError, SystemError}, lost.kinds
    print(f"{failures} calls failed")


if __name__ == "__main__":
    main()
