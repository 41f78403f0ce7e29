"""A real log: each row is a customer who comes. Any number of files and folders, in any order."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

from ebbmap.lab.course import SECOND, Course, Phase
from ebbmap.lab.errors import LabError
from ebbmap.lab.printable import printable, short
from ebbmap.lab.traffic import files, folders, judge, tables, times
from ebbmap.lab.traffic.times import NO_TIME, UNASKED, Asked, Form, Moment, Reader
from ebbmap.lab.traffic.visits import Visits

SAMPLES = 300
LONGEST = 200 * 365 * 86_400 * SECOND
"""A log spans no more, so that 64 bits hold every moment of its run (see `durations.LONGEST`)."""
MISSING = frozenset(
    [
        *("", "-", "--", "\\N", "NULL", "null", "(null)", "None", "none", "nil", "undefined"),
        *("NaN", "nan", "-NaN", "-nan", "NaT", "NA", "N/A", "n/a", "#N/A", "<NA>"),
    ]
)
"""What databases, NumPy and others write where there is no key."""
SETTLE = {
    "--time-unit": "say which by --time-unit",
    "--time-format": "say which by --time-format, such as '%d/%m/%Y %H:%M' or '%m/%d/%Y %I:%M %p'",
}
_WHOLE = re.compile(r"-?[0-9]+\.0+")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that say when and who; all of them, where the files do not name them."""

    time: str
    key: str
    all: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[str, str]:
        """Both."""
        return self.time, self.key


@dataclass(slots=True)
class Log:
    """What was read: moments in nanoseconds since 1970, customers by number, and the rows left out."""

    moments: array[int] = field(default_factory=lambda: array("q"))
    customers: array[int] = field(default_factory=lambda: array("q"))
    numbers: dict[str, int] = field(default_factory=dict)
    files: int = 0
    rows: int = 0
    without_key: Counter[str] = field(default_factory=Counter)
    """How many rows have no key, by what stands there."""
    bad_time: int = 0
    implausible: int = 0
    misfits: int = 0
    """Rows that do not fit the header."""
    first_misfit: str = ""
    refused: str = ""
    """The first value that is no time."""
    example: int | None = None
    """The first moment that is implausible."""
    whole: int = 0
    """Rows whose key is a whole number written with a fraction of 0."""
    read_as: dict[str, int] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)

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
            "passed_over": self.passed_over,
            "rows": self.rows,
            "misfits": self.misfits,
            "first_misfit": self.first_misfit or None,
            "without_key": self.without_key.total(),
            "missing_keys": dict(self.without_key),
            "whole_number_keys": self.whole,
            "keys_not_utf8": self._not_utf8(),
            "bad_time": self.bad_time,
            "implausible_time": self.implausible,
            "refused_time": self.refused or None,
            "read_as": self.read_as,
            "visits": len(self.moments),
            "customers": len(self.numbers),
            "first": times.write(min(self.moments) / SECOND),
            "last": times.write(max(self.moments) / SECOND),
        }

    def said(self) -> str:
        """The same in words."""
        facts = self.facts()
        read_as = ", ".join(f"{form} ({count:,})" for form, count in self.read_as.items())
        return (
            f"{facts['visits']:,} visits of {facts['customers']:,} customers, {facts['first']} to "
            f"{facts['last']}, in {self.rows:,} rows of {self.files:,} files. Times read as: {read_as}. "
            f"Left out: {self.left_out()}{self._remarks()}"
        )

    def left_out(self) -> str:
        """How many rows are not among the visits, and why."""
        refused = f" (such as {short(self.refused)})" if self.refused else ""
        parts = [self._keyless(), f"{self.bad_time:,} with a bad time{refused}"]
        if self.example is not None:
            example = times.write(self.example / SECOND)
            parts.append(f"{self.implausible:,} with an implausible time (such as {example})")
        if self.misfits:
            parts.append(f"{self.misfits:,} that do not fit the header (such as {self.first_misfit})")
        return ", ".join(parts)

    def _keyless(self) -> str:
        named = [f"{printable(text)}: {count:,}" for text, count in self.without_key.items() if text]
        which = f" ({', '.join(named)})" if named else ""
        return f"{self.without_key.total():,} rows without a key{which}"

    def _not_utf8(self) -> int:
        return sum(not files.is_utf8(name) for name in self.numbers)

    def _remarks(self) -> str:
        odd, over = self._not_utf8(), self.passed_over
        parts = [
            self.whole and f"keys such as 17.0 read as 17: {self.whole:,} rows",
            odd and f"keys not in UTF-8, told apart by their bytes: {odd:,}",
            over and f"files passed over ({len(over):,}): {printable(folders.listed(over))}",
        ]
        return "".join(f". {part[0].upper()}{part[1:]}" for part in parts if part)


def read(paths: Sequence[Path], columns: Columns, asked: Asked = UNASKED) -> Log:
    """Read the columns of all files, each of them once; what numbers and dates mean is judged by all of them.

    `LabError`: a file can't be read, the times can be read in two ways, nothing is left, or what is left
    spans more than `LONGEST`.
    """
    found = folders.find(paths, partial(_fits, columns))
    reading = _Reading(Reader(asked))
    for file in found.files:
        reading.read(file, columns)
    log = reading.settle()
    log.passed_over = found.passed_over
    if not log.moments:
        raise LabError(
            f"no row has both a time and a key: {log.rows:,} rows, {log.left_out()}; "
            f"{columns.time!r} takes {reading.taken()}"
        )
    if max(log.moments) - min(log.moments) > LONGEST:
        facts = log.facts()
        raise LabError(
            f"the log goes from {facts['first']} to {facts['last']}: a log of up to 200 years is taken"
        )
    return log


def _fits(columns: Columns, file: Path) -> bool:
    """Whether the text has the columns."""
    if not file.is_file():
        return False
    try:
        with tables.table(file, columns.wanted, columns.all) as table:
            row = next(iter(table), None) if columns.all else table.columns
            return row is not None and all(table.columns.count(name) == 1 for name in columns.wanted)
    except LabError:
        return False


class _Reading:
    """A log that is being read."""

    def __init__(self, reader: Reader) -> None:
        self._log = Log()
        self._reader = reader
        self._times = judge.Times(reader)

    def read(self, file: Path, columns: Columns) -> None:
        """Take all rows of a file."""
        self._log.files += 1
        (self._parquet if file.suffix.lower() == ".parquet" else self._text)(file, columns)

    def settle(self) -> Log:
        """The log, when all files were read."""
        log, read = self._log, self._times
        if not read.forms:
            return log
        try:
            verdict = judge.judge(read)
        except judge.UndecidedError as error:
            raise LabError(f"{error}: {SETTLE[error.flag]}") from None
        log.read_as, log.implausible, log.example = verdict.read_as, verdict.implausible, verdict.example
        log.bad_time = read.forms.count(Form.NONE) - verdict.implausible
        log.moments = array("q", compress(read.moments, read.forms))  # `Form.NONE` is 0
        log.customers = array("q", compress(log.customers, read.forms))
        _renumber(log)
        return log

    def taken(self) -> str:
        """What is taken as a time; which are too early or late, if there were such."""
        reader = self._reader
        forms = (
            f"what --time-format says, {reader.asked.format}"
            if reader.asked.format
            else f"{times.TAKEN}; --time-format takes others"
        )
        return f"times between {times.RANGE}: {forms}" if Form.BEYOND in reader.first else forms

    def _text(self, file: Path, columns: Columns) -> None:
        with tables.table(file, columns.wanted, columns.all, self._is_row) as table:
            hint = "" if columns.all else "; if its first line names no columns, give --columns"
            when, who = (tables.place(table.columns, name, file, hint) for name in columns.wanted)
            self._when = when
            for row in table:
                if row is None:
                    self._misfit(f"line {table.line:,} of {printable(str(file))}")
                else:
                    self._add(self._reader.text(row[when]), row[who].strip(), row[when])

    def _is_row(self, cells: list[str]) -> bool:
        return self._reader.text(cells[self._when])[0] != Form.NONE

    def _parquet(self, file: Path, columns: Columns) -> None:
        for moment, value, key in _parquet(file, columns, self._reader):
            self._add(moment, _name(key), str(value))

    def _misfit(self, where: str) -> None:
        self._log.rows += 1
        self._log.misfits += 1
        self._log.first_misfit = self._log.first_misfit or where

    def _add(self, moment: Moment, key: str, value: str) -> None:
        """Take one row, or count why not."""
        log = self._log
        log.rows += 1
        if key in MISSING:
            log.without_key[key] += 1
            return
        if key.endswith("0") and _WHOLE.fullmatch(key):
            key = key.partition(".")[0]
            log.whole += 1
        if moment[0] in (Form.NONE, Form.BEYOND) and not log.refused:
            log.refused = value[: times.LONGEST].strip()
        self._times.add(moment)
        log.customers.append(log.numbers.setdefault(key, len(log.numbers)))


def _renumber(log: Log) -> None:
    """Number the customers anew who are left, in order of their first rows."""
    left = dict.fromkeys(log.customers)
    if len(left) == len(log.numbers):
        return
    names = list(log.numbers)
    log.numbers = {names[old]: new for new, old in enumerate(left)}
    place = {old: new for new, old in enumerate(left)}
    log.customers = array("q", (place[old] for old in log.customers))


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


def _parquet(file: Path, columns: Columns, reader: Reader) -> Iterator[tuple[Moment, object, object]]:
    """Each row's moment, the value it was read from, and its key."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise LabError(f"{file} needs pyarrow: pip install 'ebbmap[parquet]'") from None
    try:
        with parquet.ParquetFile(file) as source:
            names = source.schema_arrow.names
            when, who = (names[tables.place(names, column, file)] for column in columns.wanted)
            for batch in source.iter_batches(columns=[when, who]):
                at, whose = (batch.column(batch.schema.names.index(name)) for name in (when, who))
                yield from zip(*_moments(at, arrow, reader), whose.to_pylist(), strict=True)
    except (OSError, arrow.ArrowException) as error:
        raise LabError(f"can't read {file}: {str(error).splitlines()[0]}") from None


TYPED = {"s": SECOND, "ms": 10**6, "us": 1000, "ns": 1}


def _moments(column: Any, arrow: Any, reader: Reader) -> tuple[Iterator[Moment], list[object]]:
    """The column's moments and values; typed times become numbers, as Python's end with 9999."""
    if arrow.types.is_date(column.type):
        column = column.cast(arrow.timestamp("ms"))
    if not arrow.types.is_timestamp(column.type):
        values: list[object] = column.to_pylist()
        return map(reader.value, values), values
    unit = TYPED[column.type.unit]
    counts: list[int | None] = column.cast(arrow.int64()).to_pylist()
    moments = (NO_TIME if count is None else reader.typed(count * unit) for count in counts)
    return moments, list(counts)


def _name(value: object) -> str:
    """The key as text; a missing one, which a column of floats says by NaN, is empty."""
    if value is None or value != value:
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
