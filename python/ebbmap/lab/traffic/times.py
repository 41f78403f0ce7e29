"""Times as logs write them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from functools import lru_cache

from ebbmap.lab.course import SECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)  # rows of one moment follow each other
def parse(text: str) -> int | None:
    """Nanoseconds since 1970, of an ISO 8601 time (UTC unless it says otherwise) or of seconds; else None."""
    text = text.strip()
    try:
        return _seconds(float(text))
    except ValueError:
        pass
    try:
        return _moment(datetime.fromisoformat(text))
    except ValueError:
        return None


def convert(value: object) -> int | None:
    """The same for a value of a typed column."""
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return _moment(datetime.combine(value, time()))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _seconds(value)
    return parse(value) if isinstance(value, str) else None


def write(seconds: float) -> str:
    """The moment so many seconds after 1970 began: `2010-12-01 08:26`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _seconds(number: float) -> int | None:
    return round(number * SECOND) if math.isfinite(number) else None


def _moment(moment: datetime) -> int:
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
