"""The mark for "no value", which is itself in every process and in every copy."""

from __future__ import annotations

from typing import Any


class _Absent:
    """Pickled and copied by name: a function that is sent by value takes the marks that it uses along."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "ABSENT"

    def __repr__(self) -> str:
        return "<absent>"


ABSENT: Any = _Absent()
