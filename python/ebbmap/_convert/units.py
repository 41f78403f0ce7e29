"""Durations, sizes and counts as people write them."""

from __future__ import annotations

import sys
from datetime import timedelta
from math import inf
from operator import index
from typing import Any, TypeAlias

Duration: TypeAlias = float | str | timedelta

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_BYTES |= {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}  # "B" last: the others end in it
_MOST = 2 * sys.maxsize + 1  # what a word of the machine holds
_DIGITS = len(str(_MOST))  # more are as good as a float; `int` refuses text of thousands


def seconds(given: Any, name: str) -> float:
    """A duration as seconds: a number of them, a `timedelta`, or text: a number and ms, s, m, h, d
    or w, or several of them from the largest unit down ("1h30m").

    Infinity is a duration too. `name` is the argument's, for the errors: `TypeError` for what is no duration
    (a bool is none), `ValueError` for other text and for what is not above 0, `OverflowError` for what is
    beyond all floats.
    """
    try:
        found = _as_seconds(given)
    except OverflowError:  # of a number; text and timedeltas have none
        found = inf if given > 0 else -inf
    if found is None:
        what = f"{name} must be seconds, a timedelta or text such as '90s' or '1h'"
        raise _wrong(what, given)
    return _above_zero(found, given, name)


def typed_seconds(text: str, name: str) -> float:
    """The same of what is typed in a command line, where a bare number is seconds.

    `ValueError` for other text and for what is not above 0, `OverflowError` for what is beyond all floats.
    """
    found = _sum_of_units(text)
    if found is None:
        found = _with_unit(f"{text.strip()}s", _SECONDS)
    if found is None:
        raise _wrong(f"{name} must be seconds or text such as '90s' or '1h'", text)
    return _above_zero(found, text, name)


def _above_zero(found: float, given: Any, name: str) -> float:
    if not found > 0:  # nan neither
        raise ValueError(f"{name} must be above 0 seconds, not {_shown(given)}")
    if found == inf and given != inf:
        most = f"{sys.float_info.max:.2g} seconds, or math.inf"
        raise OverflowError(f"{name} must be at most {most}, not {_shown(given)}")
    return found


def byte_count(given: object, name: str) -> int:
    """A size in bytes: an int, or text: a number and B, KiB to TiB (powers of 1024) or KB to TB (of 1000).

    `name` is the argument's, for the errors: `TypeError` for what is no size (a bool or a float is none),
    `ValueError` for other text and for what is below 1, `OverflowError` for what no machine has.
    """
    try:
        found = _as_bytes(given)
    except OverflowError:  # of an infinite float
        found = _MOST + 1
    if found is None:
        raise _wrong(f"{name} must be bytes as an int or text such as '512MiB' or '2GB'", given)
    if found < 1:
        raise ValueError(f"{name} must be at least 1 byte, not {_shown(given)}")
    return _no_more_than_a_word(found, given, name, " bytes")


def item_count(given: object, name: str) -> int:
    """A number of items: an int.

    `name` is the argument's, for the errors: `TypeError` for what is no int (a bool is none), `ValueError`
    for what is below 1, `OverflowError` for what no machine counts.
    """
    found = _as_int(given)
    if found is None:
        raise TypeError(f"{name} must be an int, not {type(given).__name__}")
    if found < 1:
        raise ValueError(f"{name} must be at least 1, not {_shown(given)}")
    return _no_more_than_a_word(found, given, name)


def _as_seconds(given: Any) -> float | None:
    if isinstance(given, str):
        return _sum_of_units(given)
    if isinstance(given, timedelta):
        return float(given.total_seconds())
    if _is_bool(given) or not hasattr(type(given), "__float__"):
        return None
    return float(given)  # NumPy's numbers, Decimal and Fraction too


def _as_bytes(given: Any) -> int | None:
    if isinstance(given, str):
        found = _with_unit(given, _BYTES)
        return None if found is None else round(found)
    return _as_int(given)


def _as_int(given: Any) -> int | None:
    return None if _is_bool(given) or not hasattr(type(given), "__index__") else index(given)


def _is_bool(given: Any) -> bool:
    """NumPy's too, and arrays of them."""
    return isinstance(given, bool) or getattr(getattr(given, "dtype", None), "kind", None) == "b"


def _sum_of_units(text: str) -> float | None:
    """`text` as a number with a unit, or several from the largest unit down; None if it is neither."""
    one = _with_unit(text, _SECONDS)
    if one is not None or not text.strip():
        return one
    total, rest = 0.0, text.strip()
    for unit in reversed(_SECONDS):
        number, found, after = rest.partition(unit)
        if found and number.isascii() and number.isdecimal():
            total, rest = total + float(number[: 2 * _DIGITS]) * _SECONDS[unit], after.lstrip()
        if not rest:
            return total
    return None


def _with_unit(text: str, units: dict[str, float] | dict[str, int]) -> float | None:
    """`text` as a plain decimal number times its unit; None for anything else."""
    text = text.strip()
    for unit, scale in units.items():
        if text.endswith(unit):
            number = text.removesuffix(unit).rstrip()
            if not number.isascii() or not number.replace(".", "", 1).isdecimal():
                return None
            exact = number.isdecimal() and len(number) <= _DIGITS
            return (int(number) if exact else float(number)) * scale
    return None


def _no_more_than_a_word(found: int, given: object, name: str, unit: str = "") -> int:
    if found > _MOST:
        raise OverflowError(f"{name} must be at most {_MOST}{unit}, not {_shown(given)}")
    return found


def _wrong(what: str, given: object) -> Exception:
    """An error that ends in what was given: a text by itself, anything else by its type."""
    if isinstance(given, str):
        return ValueError(f"{what}, not {_shown(given)}")
    return TypeError(f"{what}, not {type(given).__name__}")


def _shown(given: object) -> str:
    try:
        text = repr(given)
    except ValueError:  # Python writes out no ints of thousands of digits
        return f"<{type(given).__name__} of thousands of digits>"
    return text if len(text) <= 100 else f"{text[:60]}... ({len(text)} characters)"
