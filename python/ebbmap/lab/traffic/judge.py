"""What the times of a log mean together: the unit of numbers, the order of day and month, what is no time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress

from ebbmap.lab.course import SECOND
from ebbmap.lab.printable import short
from ebbmap.lab.traffic import times
from ebbmap.lab.traffic.times import Form, Reader

SURE, FEW = 0.9, 0.1
"""Numbers mean what this part of them can mean; what fewer could mean is chance."""
SINCE_1970 = (Form.SECONDS, Form.MILLISECONDS, Form.MICROSECONDS, Form.NANOSECONDS, Form.COMPACT)
NUMBERS = (*SINCE_1970, Form.EXCEL, Form.BARE, Form.HUGE)
PLACEHOLDERS = frozenset(
    {0, -SECOND}
    | {
        (datetime(*day) - datetime(1970, 1, 1)).days * times.DAY
        for day in ((1753, 1, 1), (1899, 12, 30), (1899, 12, 31), (1900, 1, 1))
    }
)
"""Moments that systems write where they know none."""


class UndecidedError(Exception):
    """The times can be read in two ways, which the text says; `flag` settles it."""

    def __init__(self, text: str, flag: str) -> None:
        super().__init__(text)
        self.flag = flag


@dataclass(slots=True)
class Times:
    """Values as they were read, side by side: forms and moments; `judge` settles both."""

    reader: Reader
    forms: bytearray = field(default_factory=bytearray)
    moments: array[int] = field(default_factory=lambda: array("q"))

    def add(self, moment: times.Moment) -> None:
        """Take one value."""
        self.forms.append(moment[0])
        self.moments.append(moment[1])


@dataclass(frozen=True, slots=True)
class Verdict:
    """How times were read, and how many were implausible: those have become `Form.NONE`."""

    read_as: dict[str, int]
    implausible: int
    example: int | None
    """The first of them."""


def judge(read: Times) -> Verdict:
    """Settle what the times mean; changes `read`. `UndecidedError` if that would be a guess."""
    _replace(read, Form.BEYOND, Form.NONE)
    implausible = _drop(read, _numbers(read))
    _order(read)
    implausible += _drop(read, _outside(read))
    counts = Counter(read.forms)
    said = Counter[str]()
    for form in Form:
        if counts[form] and form is not Form.NONE:
            said[times.SAID.get(form) or read.reader.asked.said()] += counts[form]
    return Verdict(dict(said), len(implausible), read.moments[implausible[0]] if implausible else None)


def _drop(read: Times, places: Iterable[int]) -> list[int]:
    dropped = list(places)
    for place in dropped:
        read.forms[place] = Form.NONE
    return dropped


def _numbers(read: Times) -> Iterator[int]:
    """Settle what numbers count; returns the places of those that do not go with the others."""
    counts = Counter(read.forms)
    known, serial, huge = sum(counts[form] for form in SINCE_1970), counts[Form.EXCEL], counts[Form.HUGE]
    bare = sum(read.moments[place] not in PLACEHOLDERS for place in _places(read, Form.BARE))
    total = known + serial + huge + bare
    _replace(read, Form.HUGE, Form.NONE)
    others = sum(counts.values()) - counts[Form.NONE] - sum(counts[form] for form in NUMBERS)
    if (known and known >= SURE * total) or total < FEW * others:
        return _places(read, Form.EXCEL, Form.BARE)
    if serial and serial >= SURE * total:
        for place in _places(read, Form.EXCEL):
            read.moments[place] = times.EXCEL_EPOCH + _days(read.moments[place])
        return _places(read, *SINCE_1970, Form.BARE)
    if known + huge > FEW * total:
        raise UndecidedError(_mixed(read), "--time-unit")
    _replace(read, Form.EXCEL, Form.BARE)
    _replace(read, Form.SECONDS, Form.BARE)
    return _places(read, *SINCE_1970)


def _days(seconds: int) -> int:
    """Nanoseconds of so many days that were read as seconds; to the millisecond, as a double has them."""
    return round(seconds * 86_400, -6)


def _mixed(read: Times) -> str:
    shown = [short(read.reader.first[form]) for form in NUMBERS if form in read.reader.first]
    return f"the times are numbers that fit no unit together, such as {' and '.join(shown[:3])}"


def _order(read: Times) -> None:
    """Settle which of day and month is first."""
    counts = Counter(read.forms)
    first = read.reader.first
    if counts[Form.DAY_FIRST] and counts[Form.MONTH_FIRST]:
        raise UndecidedError(
            f"the times are dates of both orders, {short(first[Form.DAY_FIRST])} and "
            f"{short(first[Form.MONTH_FIRST])}",
            "--time-format",
        )
    if counts[Form.DAY_FIRST]:
        for place in _places(read, Form.EITHER):
            read.moments[place] = times.swapped(read.moments[place])
    elif counts[Form.EITHER] and not counts[Form.MONTH_FIRST]:
        raise UndecidedError(
            f"the times are dates such as {short(first[Form.EITHER])}, and none tells whether the day or the "
            "month is first",
            "--time-format",
        )
    settled = Form.DAY_FIRST if counts[Form.DAY_FIRST] else Form.MONTH_FIRST
    _replace(read, Form.EITHER, settled)
    _replace(read, Form.EQUAL, settled)


def _outside(read: Times) -> list[int]:
    """Places of moments that are placeholders or in the future, where most of the log's are neither."""
    least, most = times.EARLIEST, read.reader.until
    counted = array("q", compress(read.moments, read.forms))  # `Form.NONE` is 0
    if not counted or (least <= min(counted) and max(counted) <= most):
        return []
    inside = sum(least <= moment <= most for moment in counted)
    possible = sum(moment not in PLACEHOLDERS for moment in counted)
    if not inside or inside < possible / 2:
        return []
    rows = enumerate(zip(read.forms, read.moments, strict=True))
    return [place for place, (form, moment) in rows if form and not least <= moment <= most]


def _places(read: Times, *forms: Form) -> Iterator[int]:
    for form in forms:
        place = read.forms.find(form)
        while place >= 0:
            yield place
            place = read.forms.find(form, place + 1)


def _replace(read: Times, old: Form, new: Form) -> None:
    read.forms = read.forms.replace(bytes([old]), bytes([new]))
