"""The `repr` of what may hold itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import get_ident
from typing import Any
from weakref import ref

_UNDER_WAY: dict[tuple[int, int], ref[Any]] = {}
"""What is being shown, by its address and the thread."""


def shown_once(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """Have a `__repr__` give `{...}` for an object that it is at already.

    As `reprlib.recursive_repr`, which knows an object by its address alone: an interrupt may come between its
    note and its `try`, and then it takes a later object at that address for the one that was interrupted.
    """

    @wraps(show)
    def shown(self: Any) -> str:
        key = id(self), get_ident()
        at = _UNDER_WAY.get(key)
        if at is not None and at() is self:
            return "{...}"
        _UNDER_WAY[key] = ref(self)
        try:
            return show(self)
        finally:
            _UNDER_WAY.pop(key, None)

    return shown
