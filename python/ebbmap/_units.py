"""Durations and sizes as people write them: `seconds` and `byte_count`."""

from __future__ import annotations

import sys
from operator import index
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_BYTES |= {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}  # "B" last: the others end in it


def seconds(given: object, name: str) -> float:
    """A duration as seconds: a number of them, a `timedelta`, or text: a number and ms, s, m, h or d.

    Infinity is a duration too. `name` is the argument's, for the errors: `TypeError` for what is no duration
    (a bool is none), `ValueError` for other text and for what is not above 0.
    """
    found = _as_seconds(given)
    if found is None:
        what = f"{name} must be seconds, a timedelta or text such as '90s' or '1h'"
        raise _wrong(what, given)
    if not found > 0:  # nan neither
        raise ValueError(f"{name} must be above 0 seconds, not {given!r}")
    return found


def byte_count(given: object, name: str) -> int:
    """A size in bytes: an int, or text: a number and B, KiB to TiB (powers of 1024) or KB to TB (of 1000).

    `name` is the argument's, for the errors: `TypeError` for what is no size (a bool or a float is none),
    `ValueError` for other text and for what is below 1.
    """
    found = _as_bytes(given)
    if found is None:
        raise _wrong(f"{name} must be bytes as an int or text such as '512MiB' or '2GB'", given)
    if found < 1:
        raise ValueError(f"{name} must be at least 1 byte, not {given!r}")
    return found


def _as_seconds(given: Any) -> float | None:
    if isinstance(given, str):
        return _with_unit(given, _SECONDS)
    datetime = sys.modules.get("datetime")  # who has a timedelta has imported it
    if datetime is not None and isinstance(given, datetime.timedelta):
        return float(given.total_seconds())
    if isinstance(given, bool) or not hasattr(type(given), "__float__"):
        return None
    return float(given)  # NumPy's numbers, Decimal and Fraction too


def _as_bytes(given: Any) -> int | None:
    if isinstance(given, str):
        found = _with_unit(given, _BYTES)
        return None if found is None else round(found)
    if isinstance(given, bool) or not hasattr(type(given), "__index__"):
        return None
    return index(given)


def _with_unit(text: str, units: dict[str, float] | dict[str, int]) -> float | None:
    """`text` as a plain decimal number times its unit; None for anything else."""
    text = text.strip()
    for unit, scale in units.items():
        if text.endswith(unit):
            number = text.removesuffix(unit).rstrip()
            if number.isascii() and number.isdecimal():
                return int(number) * scale
            if number.isascii() and number.replace(".", "", 1).isdecimal():
                return float(number) * scale
            return None
    return None


def _wrong(what: str, given: object) -> Exception:
    """An error that ends in what was given: a text by itself, anything else by its type."""
    if isinstance(given, str):
        return ValueError(f"{what}, not {given!r}")
    return TypeError(f"{what}, not {type(given).__name__}")
