"""Durations in whole nanoseconds, as the lab counts them. `ebbmap._convert.units` reads what is typed."""

from __future__ import annotations

from ebbmap._convert.units import typed_seconds

MILLISECOND, SECOND = 10**6, 10**9
UNITS = {"h": 3600 * SECOND, "m": 60 * SECOND}
DAY = 86_400 * SECOND
LONGEST = 20_000 * DAY
"""Below this all moments of a run fit into 64 bits: a log of up to 200 years, and the window after it."""


def nanoseconds(text: str, name: str) -> int:
    """The duration in whole nanoseconds; a bare number is seconds. `name` is the option's, for the errors.

    `ValueError` if it is none, is below 1 ns, or is `LONGEST` or longer.
    """
    try:
        found = typed_seconds(text, name)
    except OverflowError:
        found = float("inf")
    if found * SECOND >= LONGEST:
        raise ValueError(f"{name} must be below {LONGEST // DAY:,}d, not {_short(text)!r}")
    whole = int(found)
    total = whole * SECOND + round((found - whole) * SECOND)
    if total < 1:
        raise ValueError(f"{name} must be at least a nanosecond, not {_short(text)!r}")
    return total


def write(duration: int) -> str:
    """The duration as it would be typed: `1h30m`, `20s`, `2.5s`, `1m500ms`."""
    said, left = "", duration
    for unit, size in UNITS.items() if duration < 3 * DAY else (("d", DAY), *UNITS.items()):
        count, left = divmod(left, size)
        said += f"{count}{unit}" if count else ""
    if not left and said:
        return said
    return said + _seconds(left, said) if left % MILLISECOND == 0 else _decimal(duration)


def _seconds(left: int, before: str) -> str:
    """What is left behind the larger units, in which no unit may have a fraction."""
    if not before:
        return _decimal(left)
    seconds, rest = divmod(left, SECOND)
    return (f"{seconds}s" if seconds else "") + (f"{rest // MILLISECOND}ms" if rest else "")


def _decimal(duration: int) -> str:
    seconds, rest = divmod(duration, SECOND)
    return f"{seconds}.{rest:09d}".rstrip("0").rstrip(".") + "s"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
