"""Times as logs write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import lru_cache

from ebbmap.lab.course import SECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"seconds": SECOND, "milliseconds": 10**6, "microseconds": 1000, "nanoseconds": 1}
"""What numbers may count since 1970, and how many nanoseconds each is."""
FURTHEST = 1 << 63
"""Nanoseconds from 1970 that 64 bits do not hold: some 292 years either way."""


@lru_cache(maxsize=4096)  # rows of one moment follow each other
def parse(text: str, unit: int = SECOND) -> int | None:
    """Nanoseconds since 1970, of an ISO 8601 time (UTC unless it says otherwise) or of a number; else None.

    A number counts `unit` nanoseconds each. What 64 bits do not hold (1677 to 2262) is no time.
    """
    text = text.strip()
    try:
        return _counted(float(text), unit)
    except ValueError:
        pass
    try:
        return _moment(datetime.fromisoformat(text))
    except ValueError:
        return None


def convert(value: object, unit: int = SECOND) -> int | None:
    """The same for a value of a typed column."""
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return _moment(datetime.combine(value, time()))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _counted(value, unit)
    return parse(value, unit) if isinstance(value, str) else None


def write(seconds: float) -> str:
    """The moment so many seconds after 1970 began: `2010-12-01 08:26`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _counted(number: float, unit: int) -> int | None:
    return _in_range(number * unit)


def _moment(moment: datetime) -> int | None:
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    return _in_range(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000)


def _in_range(nanoseconds: float) -> int | None:
    return round(nanoseconds) if -FURTHEST < nanoseconds < FURTHEST else None  # NaN is in no range
