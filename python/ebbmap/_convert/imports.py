"""Imports at first use, which forks wait for. The native module calls `load` too.

Python locks a module while a thread imports it. A child that is forked meanwhile inherits the lock, but not
the thread that would open it, and hangs when it imports the same module. So whoever imports a module during
an operation does it by `load`, and a fork by `os.fork` waits for those imports.
"""

from __future__ import annotations

import sys
from _thread import RLock
from contextlib import suppress
from functools import partial
from types import ModuleType

# Held by a thread that imports, and by one that forks.
_IMPORTING = RLock()
# Seconds that a fork waits for an import: it goes on in the end, if the import waits for the forking thread.
_PATIENCE = 10


def load(name: str) -> ModuleType:
    """A module, imported if it was not yet."""
    module = loaded(name)
    if module is not None:
        return module
    with _IMPORTING:
        __import__(name)
    return sys.modules[name]


def loaded(name: str) -> ModuleType | None:
    """A module, if it is imported; None while it is being imported, perhaps by another thread."""
    module = sys.modules.get(name)
    if module is None or getattr(module.__spec__, "_initializing", False):
        return None
    return module


# No Python code: an interrupt can't come between taking the lock and the fork that gives it back.
before_fork = partial(_IMPORTING.acquire, timeout=_PATIENCE)


def after_fork() -> None:
    """Let others import again, unless the fork did not get the lock."""
    with suppress(RuntimeError):
        _IMPORTING.release()


def after_fork_in_child() -> None:
    """Give the lock back; where a thread that did not come along has it, make it new."""
    try:
        _IMPORTING.release()
    except RuntimeError:
        _IMPORTING._at_fork_reinit()  # type: ignore[attr-defined]  # as `logging` does
