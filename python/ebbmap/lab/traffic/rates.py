"""A curve from a file of two columns, `period,count`: the day around its busiest moment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ebbmap.lab.course import SECOND
from ebbmap.lab.errors import LabError
from ebbmap.lab.printable import short
from ebbmap.lab.traffic import judge, tables, times

DAY = 86_400 * SECOND
LEAST_PERIOD = SECOND // 100
"""Periods are taken to be at least so long: a day's curve has a number for each."""
MOST = 1e18
"""A count beyond this is none."""

Period = tuple[str, float]
Dated = tuple[int, float]


def read(file: Path) -> list[float]:
    """The day's curve, its top being 1. `LabError` if the file can't be read or holds none.

    Where periods are times, the day is the 24 hours around the busiest period; a file of less than a day, or
    one that only numbers its periods, is taken whole.
    """
    day = _day(list(_periods(file)), file)
    top = max(day, default=0.0)
    if top <= 0:
        raise LabError(f"{file} has no period with a count above 0")
    return [count / top for count in day]


def _periods(file: Path) -> Iterator[Period]:
    with tables.table(file, ("period", "count")) as table:
        when, count = (tables.place(table.columns, name, file) for name in ("period", "count"))
        for row in table:
            yield _cell(row, when, count, file, table.line)


def _cell(row: list[str] | None, when: int, count: int, file: Path, line: int) -> Period:
    if row is None:
        raise LabError(f"{file} has a row that does not fit its header: line {line:,}")
    try:
        period, number = row[when], float(row[count])
    except ValueError:
        period, number = "", math.nan
    if not 0 <= number <= MOST:
        raise LabError(f"{file} has a row that is not period,count: {short(','.join(row))}")
    return period, number


def _day(periods: list[Period], file: Path) -> list[float]:
    dated = sorted(_dated(periods, file))
    if not dated or _is_numbered(dated) or dated[-1][0] - dated[0][0] < DAY:
        return [count for _, count in periods]
    return _around(dated)


def _dated(periods: list[Period], file: Path) -> list[Dated]:
    """The periods as times; none if none is one."""
    read = judge.Times(times.Reader())
    for period, _ in periods:
        read.add(read.reader.text(period))
    try:
        judge.judge(read)
    except judge.UndecidedError as error:
        raise LabError(f"{file}: {error}; write periods as 2019-01-31 22:00") from None
    rows = zip(read.forms, read.moments, periods, strict=True)
    dated = [(at, count) for form, at, (_, count) in rows if form != times.Form.NONE]
    if dated and len(dated) < len(periods):
        bad = periods[read.forms.index(times.Form.NONE)][0]
        raise LabError(f"{file} has periods that are times, and one that is none: {short(bad)}")
    return dated


def _is_numbered(dated: list[Dated]) -> bool:
    """Whether periods are 0, 1, 2 ... rather than times."""
    return dated[-1][0] < 1_000_000 * SECOND


def _around(dated: list[Dated]) -> list[float]:
    busiest = max(dated, key=lambda period: period[1])[0]
    start = min(max(busiest - DAY // 2, dated[0][0]), dated[-1][0] - DAY)
    apart = (later[0] - earlier[0] for earlier, later in pairwise(dated))
    wide = min((gap for gap in apart if gap >= LEAST_PERIOD), default=DAY)
    day = [0.0] * math.ceil(DAY / wide)  # periods that are not there had nobody
    for at, count in dated:
        if start <= at < start + DAY:
            day[(at - start) // wide] += count
    return day
