"""Tables in text: which character separates their columns, where columns are, and the rows that fit."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ebbmap.lab.errors import LabError
from ebbmap.lab.printable import printable
from ebbmap.lab.traffic import files

SEPARATORS = (",", ";", "\t", "|")
LONGEST_ROW = 1000
"""A quoted field that goes on for more lines is taken for a lone quotation mark."""
MOST_NAMES = 20

Cells = list[str]
IsRow = Callable[[Cells], bool]


class Table:
    """Rows as long as the header; `None` for one that is not, or whose quotation marks don't pair up."""

    def __init__(self, lines: files.Lines, separator: str, columns: Sequence[str], is_row: IsRow) -> None:
        self.columns = list(columns)
        self.separator = separator
        self._lines = lines
        self._is_row = is_row
        self._width = len(columns)

    @property
    def line(self) -> int:
        """The number of the line read last."""
        return self._lines.number

    def __iter__(self) -> Iterator[Cells | None]:
        for line in self._lines:
            if line.isspace() and self.separator not in line:
                continue
            if '"' in line:
                yield self._quoted(line)
            else:
                yield self._fitted(line.rstrip("\r\n").split(self.separator))

    def _fitted(self, cells: Cells | None) -> Cells | None:
        """The row, without empty cells beyond the header's."""
        if cells is None or len(cells) == self._width:
            return cells
        beyond = cells[self._width :]
        return cells[: self._width] if beyond and not any(map(str.strip, beyond)) else None

    def _quoted(self, line: str) -> Cells | None:
        """The row that begins with this line, and may go on in the next ones."""
        alone = _parsed(line, self.separator)
        if alone is not None or line.count('"') % 2 == 0:
            return self._fitted(alone)
        more = self._rest()
        row = self._fitted(_parsed(line + "".join(more), self.separator)) if more else None
        if row is None or any(map(self._stands_alone, more)):
            self._lines.give_back(more)
            return None
        return row

    def _rest(self) -> list[str]:
        """The lines up to the one that closes the quotation; none if that is too far away."""
        more: list[str] = []
        size = 0
        for line in self._lines:
            more.append(line)
            size += len(line)
            if line.count('"') % 2:
                return more
            if len(more) == LONGEST_ROW or size > csv.field_size_limit():
                break
        self._lines.give_back(more)
        return []

    def _stands_alone(self, line: str) -> bool:
        """Whether the line is a row by itself, so that it can't be part of a quoted field."""
        row = self._fitted(line.rstrip("\r\n").split(self.separator))
        return row is not None and self._is_row(row)


@contextmanager
def table(
    file: Path, wanted: Sequence[str], columns: Sequence[str] = (), is_row: IsRow = lambda _: True
) -> Iterator[Table]:
    """The table in a file whose first line names its columns, or that has these and no such line.

    `is_row` says of cells whether they are a row, where it is in doubt. `LabError` if the file can't be read.
    """
    with files.lines(file) as lines:
        first = lines.first()
        if columns:
            lines.give_back([first] if first else [])
        yield _table(lines, first, wanted, columns, is_row)


def place(columns: Sequence[str], column: str, file: Path, hint: str = "") -> int:
    """Where the column is; `LabError` naming those there are, if there is none or more than one."""
    names = [name.strip() for name in columns]
    if column not in names:
        shown = [printable(name[:40]) for name in names[:MOST_NAMES]]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        raise LabError(f"{file} has no column {column!r}; it has: {', '.join(shown) or 'none'}{more}{hint}")
    if names.count(column) > 1:
        raise LabError(
            f"{file} has {names.count(column)} columns {column!r}: rename those that you do not mean"
        )
    return names.index(column)


def _table(
    lines: files.Lines, first: str, wanted: Sequence[str], columns: Sequence[str], is_row: IsRow
) -> Table:
    rows = {separator: _trimmed(_parsed(first, separator) or []) for separator in SEPARATORS}
    longest = max(SEPARATORS, key=lambda separator: len(rows[separator]))
    if columns:
        fits = [separator for separator in SEPARATORS if len(rows[separator]) == len(columns)]
        return Table(lines, fits[0] if fits else longest, columns, is_row)
    fits = [separator for separator in SEPARATORS if set(wanted) <= set(rows[separator])]
    separator = fits[0] if fits else longest
    return Table(lines, separator, rows[separator], is_row)


def _trimmed(names: Cells) -> Cells:
    """The names without white space, and without empty ones at the end."""
    found = [name.strip() for name in names]
    while found and not found[-1]:
        found.pop()
    return found


def _parsed(text: str, separator: str) -> Cells | None:
    """The one row in the text, or `None` if its quotation marks don't pair up."""
    try:
        rows = list(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
