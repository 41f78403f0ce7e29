"""What stands for nothing where `None` is a value."""

from __future__ import annotations

from typing import Any


class _Absent:
    """The class of `ABSENT`. Copies and pickles of it are it."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "ABSENT"

    def __repr__(self) -> str:
        return "<absent>"


ABSENT: Any = _Absent()
