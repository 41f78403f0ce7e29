"""A curve from a file of two columns, `period,count`: the day around its busiest moment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ebbmap.lab.course import SECOND
from ebbmap.lab.errors import LabError
from ebbmap.lab.traffic import files, times

DAY = 86_400 * SECOND


def read(file: Path) -> list[float]:
    """The day's curve, its top being 1. `LabError` if the file can't be read or holds none.

    Where periods are times, the day is the 24 hours around the busiest period; a file of less than a day, or
    one that only numbers its periods, is taken whole.
    """
    periods = list(_periods(file))
    top = max((count for _, count in periods), default=0.0)
    if top <= 0:
        raise LabError(f"{file} has no period with a count above 0")
    return [count / top for count in _day(periods)]


def _periods(file: Path) -> Iterator[tuple[int | None, float]]:
    with files.rows(file) as rows:
        columns = next(rows, [])
        when, count = (files.place(columns, name, file) for name in ("period", "count"))
        for row in rows:
            if row:
                yield _cell(row, when, count, file)


def _cell(row: list[str], when: int, count: int, file: Path) -> tuple[int | None, float]:
    try:
        number = float(row[count])
        at = times.parse(row[when])
    except (ValueError, IndexError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise LabError(f"{file} has a row that is not period,count: {','.join(row)[:60]!r}")
    return at, number


def _day(periods: list[tuple[int | None, float]]) -> list[float]:
    dated = sorted((at, count) for at, count in periods if at is not None)
    if len(dated) < len(periods) or _is_numbered(dated) or dated[-1][0] - dated[0][0] < DAY:
        return [count for _, count in periods]
    return _around(dated)


def _is_numbered(dated: list[tuple[int, float]]) -> bool:
    """Whether periods are 0, 1, 2 ... rather than times."""
    return dated[-1][0] < 1_000_000 * SECOND


def _around(dated: list[tuple[int, float]]) -> list[float]:
    busiest = max(dated, key=lambda period: period[1])[0]
    start = min(max(busiest - DAY // 2, dated[0][0]), dated[-1][0] - DAY)
    wide = max(1, min(later[0] - earlier[0] for earlier, later in pairwise(dated)))
    day = [0.0] * math.ceil(DAY / wide)  # periods that are not there had nobody
    for at, count in dated:
        if start <= at < start + DAY:
            day[(at - start) // wide] += count
    return day
