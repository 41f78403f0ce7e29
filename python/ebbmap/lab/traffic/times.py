"""Times as logs write them: each value on its own. What they mean together is for `judge` to say."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache

from ebbmap.lab.course import SECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FURTHEST = 1 << 63
"""Nanoseconds from 1970 that 64 bits do not hold: some 292 years either way."""
DAY = 86_400 * SECOND
YEAR = 366 * DAY
EXCEL_EPOCH = -25_569 * DAY
"""Day 0 of a spreadsheet's serial dates, 1899-12-30."""


class Form(IntEnum):
    """How a value was written."""

    NONE = 0
    """It is no time."""
    ISO = 1
    NAMED = 2
    MONTH_FIRST = 3
    DAY_FIRST = 4
    EITHER = 5
    """`8/1/1995`: kept as month/day until other rows decide."""
    EQUAL = 6
    """`8/8/1995`, whichever comes first."""
    TYPED = 7
    SECONDS = 8
    MILLISECONDS = 9
    MICROSECONDS = 10
    NANOSECONDS = 11
    COMPACT = 12
    EXCEL = 13
    """Could be a spreadsheet's serial date; kept as seconds until other rows decide."""
    BARE = 14
    """A number that is a plausible time in no unit; kept as seconds."""
    HUGE = 15
    """Such a number that 64 bits do not hold as seconds, but perhaps in a smaller unit."""
    ASKED = 16
    """As `--time-unit` or `--time-format` says."""
    BEYOND = 17
    """It is a time that 64 bits do not hold."""


SAID: Mapping[Form, str] = {
    Form.ISO: "ISO 8601",
    Form.NAMED: "dates with the month's name",
    Form.MONTH_FIRST: "month/day/year",
    Form.DAY_FIRST: "day/month/year",
    Form.TYPED: "timestamps",
    Form.SECONDS: "seconds since 1970",
    Form.MILLISECONDS: "milliseconds since 1970",
    Form.MICROSECONDS: "microseconds since 1970",
    Form.NANOSECONDS: "nanoseconds since 1970",
    Form.COMPACT: "numbers as yyyymmdd or yyyymmddHHMMSS",
    Form.EXCEL: "serial days of a spreadsheet",
    Form.BARE: "seconds from a start of their own",
}
TAKEN = (
    "ISO 8601 (2019-01-31 22:00:00 UTC), 1/31/2019 10:00 PM, 31/Jan/2019:22:00:00 -0400, "
    "Thu, 31 Jan 2019 22:00:00 GMT, 20190131, and numbers of seconds to nanoseconds since 1970"
)
"""What is taken as a time, in words."""

UNITS: Mapping[str, tuple[Form, int]] = {
    "seconds": (Form.SECONDS, SECOND),
    "milliseconds": (Form.MILLISECONDS, 10**6),
    "microseconds": (Form.MICROSECONDS, 1000),
    "nanoseconds": (Form.NANOSECONDS, 1),
}
"""What numbers may count since 1970, and how many nanoseconds each is."""
SHORT = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
EXCEL = "excel"

LONGEST = 200
"""No time is longer; what comes after is not looked at, and not kept."""

Moment = tuple[Form, int]
"""How a time was written, and nanoseconds since 1970; of `NONE`, `HUGE` and `BEYOND`, 0."""
NO_TIME: Moment = (Form.NONE, 0)


Number = int | float | Decimal


def _since(moment: datetime) -> int:
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


EARLIEST = _since(datetime(1971, 1, 1))
"""A date before it is a placeholder rather than a time, in a log of later ones."""
EARLIEST_NUMBER = _since(datetime(1990, 1, 1))
"""A number is taken for a time since 1970 from here on, so that no number fits two units."""


def latest() -> int:
    """A time after it is implausible: a year from now."""
    return time.time_ns() + YEAR


def write(seconds: float) -> str:
    """The moment so many seconds after 1970 began: `2010-12-01 08:26`."""
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M")


RANGE = " and ".join(
    (EPOCH + timedelta(seconds=end / SECOND)).strftime("%Y-%m-%d %H:%M:%S") for end in (-FURTHEST, FURTHEST)
)
"""Between which moments 64 bits hold a time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said about the log's times; what is empty was not."""

    unit: str = ""
    """Of `UNITS`, or `EXCEL`."""
    format: str = ""
    """As for `datetime.strptime`."""

    def said(self) -> str:
        """The flag, as it was typed."""
        return f"--time-format {self.format}" if self.format else f"--time-unit {self.unit}"


UNASKED = Asked()


def check_format(text: str) -> None:
    """`ValueError` if it is no format of `strptime`, or does not say which day."""
    moment = datetime(2023, 11, 25, 13, 14, 15, tzinfo=UTC)
    try:
        with warnings.catch_warnings(action="ignore"):  # a format without a year
            day = datetime.strptime(moment.strftime(text), text).date()
    except (ValueError, re.error):
        day = date.min
    if day != moment.date():
        raise ValueError(
            f"{text[:40]!r} is not a format of strptime with year, month and day, such as %d/%m/%Y %H:%M"
        )


class Reader:
    """Reads values one by one; keeps the first value of each form, to show it."""

    def __init__(self, asked: Asked = UNASKED, until: int | None = None) -> None:
        self._asked = asked
        self.until = latest() if until is None else until
        self.first: dict[Form, str] = {}
        self._cached = lru_cache(maxsize=4096)(self._text)  # rows of one moment follow each other

    @property
    def asked(self) -> Asked:
        """What was said about the times."""
        return self._asked

    def text(self, text: str) -> Moment:
        """A value as it is written."""
        return self._cached(text[:LONGEST])

    def value(self, value: object) -> Moment:
        """A value of a typed column."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value != value:
            return NO_TIME
        if self._asked.format:
            return self.text(str(value))
        return self._keep(self._number(value), str(value))

    def typed(self, nanoseconds: int) -> Moment:
        """A timestamp."""
        return self._keep(_held(Form.TYPED, nanoseconds), "")

    def _text(self, text: str) -> Moment:
        text = text.strip()
        return self._keep(self._formatted(text) if self._asked.format else self._read(text), text)

    def _keep(self, moment: Moment, text: str) -> Moment:
        self.first.setdefault(moment[0], text)
        return moment

    def _formatted(self, text: str) -> Moment:
        try:
            return _held(Form.ASKED, _since(datetime.strptime(text, self._asked.format)))
        except (ValueError, OverflowError):
            return NO_TIME

    def _read(self, text: str) -> Moment:
        if not _NUMBER.fullmatch(text):
            return _dated(text)
        return self._number(int(text) if text.isdigit() else float(text))

    def _number(self, number: Number) -> Moment:
        if not -FURTHEST < number < FURTHEST:
            return NO_TIME
        if self._asked.unit:
            return self._counted(number)
        for form, unit in UNITS.values():
            if EARLIEST_NUMBER <= number * unit <= self.until:
                return form, round(number * unit)
        compact = _compact(number)
        if compact is not None:
            return Form.COMPACT, compact
        serial = EARLIEST_NUMBER <= EXCEL_EPOCH + number * DAY <= self.until
        return _held(Form.EXCEL if serial else Form.BARE, number * SECOND, beyond=Form.HUGE)

    def _counted(self, number: Number) -> Moment:
        if self._asked.unit == EXCEL:
            return _held(Form.ASKED, EXCEL_EPOCH + number * DAY)
        return _held(Form.ASKED, number * UNITS[self._asked.unit][1])


def _held(form: Form, nanoseconds: Number, beyond: Form = Form.BEYOND) -> Moment:
    """The moment, if 64 bits hold it."""
    return (form, round(nanoseconds)) if -FURTHEST < nanoseconds < FURTHEST else (beyond, 0)


_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def _compact(number: Number) -> int | None:
    """The moment that the digits are the parts of."""
    digits = str(int(number))
    if number != int(number) or len(digits) not in COMPACT or not "1900" <= digits[:4] < "2100":
        return None
    try:
        return _since(datetime.strptime(digits, COMPACT[len(digits)]))
    except ValueError:
        return None


_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?:\s*(?P<half>[ap])\.?m\.?)?"
)
_ZONE = r"(?:\s*(?P<zone>z|[a-z]{2,4}|[+-]\d\d(?::?\d\d)?)(?:\s*\([a-z]+\))?)?"
_AFTER = rf"(?:(?:\s*t\s*|\s*,\s*|\s+|:){_TIME}{_ZONE})?"
_WEEKDAY = r"(?:[a-z]{3,9}\.?,?\s+)?"
_NAME = r"(?P<name>[a-z]{3,9})\.?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){_AFTER}",
        rf"(?P<one>\d{{1,2}})([-/.])(?P<other>\d{{1,2}})\2(?P<year>\d{{4}}){_AFTER}",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})([\s/-]){_NAME}\2(?P<year>\d{{4}}){_AFTER}",
        rf"{_WEEKDAY}{_NAME}\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}}){_AFTER}",
        rf"{_WEEKDAY}{_NAME}\s+(?P<day>\d{{1,2}})\s+{_TIME}{_ZONE}\s+(?P<year>\d{{4}})",
    )
)
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
ZONES = {"z": 0, "ut": 0, "utc": 0, "gmt": 0} | {
    f"{place}{kind}t": hours + (kind == "d")
    for place, hours in {"e": -5, "c": -6, "m": -7, "p": -8}.items()
    for kind in "sd"
}
"""Zones that have the same meaning everywhere in logs (RFC 2822), in hours east."""


def _dated(text: str) -> Moment:
    """A date, perhaps with a time of day; UTC unless it says otherwise."""
    try:
        return _held(Form.ISO, _since(datetime.fromisoformat(text)))
    except (ValueError, OverflowError):
        pass
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    for pattern in _DATES:
        found = pattern.fullmatch(bare)
        if found:
            return _moment(found.groupdict())
    return NO_TIME


def _moment(parts: Mapping[str, str | None]) -> Moment:
    try:
        form, month, day = _day(parts)
        midnight = datetime(int(parts["year"] or 0), month, day, tzinfo=UTC)
        return _held(form, _since(midnight) + _of_day(parts))
    except ValueError:
        return NO_TIME


def _day(parts: Mapping[str, str | None]) -> tuple[Form, int, int]:
    """How the day was written, its month, and its day of the month; `ValueError` if it is none."""
    if parts.get("one"):
        return _ordered(int(parts["one"] or 0), int(parts["other"] or 0))
    day = int(parts["day"] or 0)
    name = parts.get("name")
    return (Form.NAMED, _month(name.lower()), day) if name else (Form.ISO, int(parts["month"] or 0), day)


def _ordered(one: int, other: int) -> tuple[Form, int, int]:
    if one > 12:
        return Form.DAY_FIRST, other, one
    if other > 12:
        return Form.MONTH_FIRST, one, other
    return Form.EQUAL if one == other else Form.EITHER, one, other


def _month(name: str) -> int:
    for number, month in enumerate(MONTHS, 1):
        if name in (month, month[:3]) or (name, number) == ("sept", 9):
            return number
    raise ValueError(f"no month {name}")


def _of_day(parts: Mapping[str, str | None]) -> int:
    """Nanoseconds from midnight in UTC; `ValueError` if the time of day is none."""
    if parts.get("hour") is None:
        return 0
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    half = (parts["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError("no hour of half a day")
    if half:
        hour = hour % 12 + 12 * (half == "p")
    fraction = int((parts["fraction"] or "0")[:9].ljust(9, "0"))
    midnight = hour == 24 and not (minute or second or fraction)  # that ends the day
    if (hour > 23 and not midnight) or minute > 59 or second > 60:  # 60: a leap second, or the next one
        raise ValueError("no time of day")
    return (hour * 3600 + minute * 60 + second - _east(parts["zone"])) * SECOND + fraction


def _east(zone: str | None) -> int:
    """How many seconds the zone is ahead of UTC; `ValueError` if it is not known."""
    if zone is None:
        return 0
    if zone[0] not in "+-":
        if zone.lower() not in ZONES:
            raise ValueError(f"no zone {zone}")
        return ZONES[zone.lower()] * 3600
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError(f"no zone {zone}")
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def swapped(month_first: int) -> int:
    """The moment of which the month and the day change places."""
    of_day = month_first % DAY
    day = EPOCH + timedelta(days=month_first // DAY)
    return _since(day.replace(month=day.day, day=day.month)) + of_day
