"""Durations as they are typed: `20s`, `10m`, `1h30m`, `1.5d`."""

from __future__ import annotations

import re

UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
LONGEST = 20_000 * UNITS["d"]
"""Below this all moments of a run fit into 64 bits: a log of up to 200 years, and the window after it."""
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def nanoseconds(text: str) -> int:
    """The duration in whole nanoseconds; a bare number is seconds.

    `ValueError` if it is none, is not above 0, or is `LONGEST` or longer.
    """
    found = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", found):
        found += "s"
    if not _WHOLE.fullmatch(found):
        raise ValueError(f"{_short(text)!r} is not a duration such as 20s, 10m, 24h or 1h30m")
    total = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(found))
    if total >= LONGEST:
        raise ValueError(f"{_short(text)!r} is not a duration below {LONGEST // UNITS['d']:,}d")
    if round(total) < 1:
        raise ValueError(f"{_short(text)!r} is not a duration above 0")
    return round(total)


def write(duration: int) -> str:
    """The duration as it would be typed: `1h30m`, `20s`, `2.5s`."""
    said, left = "", duration
    for unit in ("h", "m") if duration < 3 * UNITS["d"] else ("d", "h", "m"):
        count, left = divmod(left, UNITS[unit])
        said += f"{count}{unit}" if count else ""
    return said + f"{left / UNITS['s']:g}s" if left or not said else said


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
