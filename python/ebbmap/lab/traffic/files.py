"""Text files as they come: plain, or packed with gzip, xz or bzip2."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ebbmap.lab.errors import LabError

PACKED: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
ARCHIVES = (".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tgz", ".zip")
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error, csv.Error)


@contextmanager
def rows(file: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a CSV file; `LabError` if it can't be read.

    Bytes that are not UTF-8 become lone surrogates, so that what differs stays different.
    """
    if file.name.lower().endswith(ARCHIVES):
        raise LabError(f"{file} is an archive: unpack it and give the folder")
    unpack: Callable[..., IO[str]] = PACKED.get(file.suffix.lower(), open)
    try:
        with unpack(file, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            yield csv.reader(text)
    except BROKEN as error:
        raise LabError(f"can't read {file}: {_reason(error)}") from None


def place(columns: list[str], column: str, file: Path) -> int:
    """Where the column is; `LabError` naming those there are."""
    names = [name.strip() for name in columns]
    if column not in names:
        raise LabError(f"{file} has no column {column!r}; it has: {', '.join(names) or 'none'}")
    return names.index(column)


def is_utf8(text: str) -> bool:
    """Whether the text was UTF-8 in its file."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _reason(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
