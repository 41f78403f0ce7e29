"""A real log: each row is a customer who comes. Any number of files and folders, in any order."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from ebbmap.lab.course import SECOND, Course, Phase
from ebbmap.lab.errors import LabError
from ebbmap.lab.traffic import files, times
from ebbmap.lab.traffic.visits import Visits

SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.bz2", ".parquet")
"""What is read in a folder, and in folders in it; a file that is named may be called anything."""
SAMPLES = 300
FEW = 0.1
LONGEST = 200 * 365 * 86_400 * SECOND
"""A log spans no more, so that 64 bits hold every moment of its run (see `durations.LONGEST`)."""


@dataclass(slots=True)
class Log:
    """What was read: moments in nanoseconds since 1970, customers by number, and the rows left out.

    `unit` is what numbers in the column of times count, of `times.UNITS`.
    """

    unit: str = "seconds"
    moments: array[int] = field(default_factory=lambda: array("q"))
    customers: array[int] = field(default_factory=lambda: array("q"))
    numbers: dict[str, int] = field(default_factory=dict)
    files: int = 0
    rows: int = 0
    without_key: int = 0
    bad_time: int = 0

    def add(self, moment: int | None, key: str) -> None:
        """Take one row, or count why not."""
        self.rows += 1
        if not key:
            self.without_key += 1
        elif moment is None:
            self.bad_time += 1
        else:
            self.moments.append(moment)
            self.customers.append(self.numbers.setdefault(key, len(self.numbers)))

    def fits(self) -> bool:
        """Whether more than a few of the times are such, as they were read."""
        return len(self.moments) > FEW * self.bad_time

    def visits(self) -> Visits:
        """The rows in order of time, those of one moment in the order of the files."""
        order = sorted(range(len(self.moments)), key=self.moments.__getitem__)
        start = self.moments[order[0]]
        return Visits(
            array("q", (self.moments[place] - start for place in order)),
            array("q", (self.customers[place] for place in order)),
            len(self.numbers),
        )

    def facts(self) -> dict[str, Any]:
        """What the JSON format has of it."""
        return {
            "files": self.files,
            "rows": self.rows,
            "without_key": self.without_key,
            "bad_time": self.bad_time,
            "visits": len(self.moments),
            "customers": len(self.numbers),
            "first": times.write(min(self.moments) / SECOND),
            "last": times.write(max(self.moments) / SECOND),
        }

    def said(self) -> str:
        """The same in words."""
        facts = self.facts()
        return (
            f"{facts['visits']:,} visits of {facts['customers']:,} customers, {facts['first']} to "
            f"{facts['last']}, in {self.rows:,} rows of {self.files:,} files; left out: {self.without_key:,} "
            f"rows without a key, {self.bad_time:,} with a bad time" + self._remarks()
        )

    def _remarks(self) -> str:
        odd = sum(not files.is_utf8(name) for name in self.numbers)
        counted = f"; its times are numbers of {self.unit}" if self.unit != "seconds" else ""
        return counted + (f"; keys not in UTF-8, told apart by their bytes: {odd:,}" if odd else "")


def read(paths: Sequence[Path], time: str, key: str) -> Log:
    """Read the columns `time` and `key` of all files.

    Numbers in `time` are seconds; where hardly a time would then be one, of the next unit that fits.
    `LabError`: a file can't be read, nothing is left, or what is left spans more than `LONGEST`.
    """
    logs = (_read(paths, time, key, unit) for unit in times.UNITS)
    first = next(logs)
    log = next((found for found in chain([first], logs) if found.fits()), first)
    if not log.moments:
        raise LabError(
            f"no row has both a time and a key: {log.rows} rows, {log.without_key} without {key}, "
            f"{log.bad_time} with a bad {time}"
        )
    if max(log.moments) - min(log.moments) > LONGEST:
        facts = log.facts()
        raise LabError(
            f"the log goes from {facts['first']} to {facts['last']}: a log of up to 200 years is taken"
        )
    return log


def _read(paths: Sequence[Path], time: str, key: str, unit: str) -> Log:
    log = Log(unit)
    for file in _files(paths):
        log.files += 1
        rows = _parquet if _is_parquet(file) else _csv
        for moment, customer in rows(file, time, key, times.UNITS[unit]):
            log.add(moment, customer)
    return log


def plan(window: int, file: str, visits: Visits) -> Course:
    """The course of a run at the log's own clock: the log, and after it the window in which all expires."""
    last = visits.times[-1]
    over = last + 1  # a phase ends before its end
    return Course(
        window=window,
        beat=max(1, (last + window) // SAMPLES),
        sample=max(1, (last + window) // SAMPLES),
        margin=1000,
        replayed=True,
        phases=(Phase("log", 0, over), Phase("after", over, last + window)),
        file=file,
        visits=len(visits.times),
        customers=visits.distinct,
    )


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.name.lower().endswith(SUFFIXES))
        if not inside:
            raise LabError(f"{path} holds no file that ends in {', '.join(SUFFIXES)}")
        yield from inside


def _csv(file: Path, time: str, key: str, unit: int) -> Iterator[tuple[int | None, str]]:
    with files.rows(file) as rows:
        columns = next(rows, [])
        when, who = files.place(columns, time, file), files.place(columns, key, file)
        for row in rows:
            if row:
                moment = times.parse(row[when], unit) if when < len(row) else None
                yield moment, row[who].strip() if who < len(row) else ""


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() == ".parquet"


def _parquet(file: Path, time: str, key: str, unit: int) -> Iterator[tuple[int | None, str]]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise LabError(f"{file} needs pyarrow: pip install 'ebbmap[parquet]'") from None
    try:
        with parquet.ParquetFile(file) as source:
            names = source.schema_arrow.names
            when, who = (names[files.place(names, column, file)] for column in (time, key))
            for batch in source.iter_batches(columns=[when, who]):
                at, whose = (batch.column(batch.schema.names.index(name)) for name in (when, who))
                values, counted = _values(at, arrow, unit)
                moments = (times.convert(value, counted) for value in values)
                yield from zip(moments, map(_name, whose.to_pylist()), strict=True)
    except (OSError, arrow.ArrowException) as error:
        raise LabError(f"can't read {file}: {str(error).splitlines()[0]}") from None


TYPED = {"s": SECOND, "ms": 10**6, "us": 1000, "ns": 1}


def _values(column: Any, arrow: Any, unit: int) -> tuple[list[object], int]:
    """The column's values, and what numbers count; typed times become numbers, as Python's end with 9999."""
    if arrow.types.is_date(column.type):
        column = column.cast(arrow.timestamp("ms"))
    if arrow.types.is_timestamp(column.type):
        column, unit = column.cast(arrow.int64()), TYPED[column.type.unit]
    values: list[object] = column.to_pylist()
    return values, unit


def _name(value: object) -> str:
    """The key as text; a missing one, which a column of floats says by NaN, is empty."""
    return "" if value is None or value != value else str(value).strip()
