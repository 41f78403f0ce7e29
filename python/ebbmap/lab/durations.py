"""Durations as they are typed: `20s`, `10m`, `1h30m`, `1.5d`."""

from __future__ import annotations

import math
import re

UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def nanoseconds(text: str) -> int:
    """The duration in whole nanoseconds; a bare number is seconds. `ValueError` if it is none or not > 0."""
    found = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", found):
        found += "s"
    if not _WHOLE.fullmatch(found):
        raise ValueError(f"{text!r} is not a duration such as 20s, 10m, 24h or 1h30m")
    total = round(math.fsum(float(number) * UNITS[unit] for number, unit in _PART.findall(found)))
    if total < 1:
        raise ValueError(f"{text!r} is not a duration above 0")
    return total


def write(duration: int) -> str:
    """The duration as it would be typed: `1h30m`, `20s`, `2.5s`."""
    said, left = "", duration
    for unit in ("h", "m") if duration < 3 * UNITS["d"] else ("d", "h", "m"):
        count, left = divmod(left, UNITS[unit])
        said += f"{count}{unit}" if count else ""
    return said + f"{left / UNITS['s']:g}s" if left or not said else said
