"""Where a command's results go: files, and standard output."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ebbmap.cli.errors import UserError

STDOUT = "-"
"""The name of standard output where a file is asked for."""


def write(target: str | Path, text: str) -> None:
    """Write `text` and a line's end, as UTF-8, with `?` for what is none; `UserError` if it can't be."""
    try:
        Path(target).write_text(text + "\n", encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"can't write {target}: {error.strerror}") from None


def stdout() -> TextIO:
    """Standard output, which writes `?` for what its encoding does not have; `UserError` if it is closed."""
    out = sys.stdout
    if out is None:
        raise UserError("can't write to standard output: it is closed")
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")
    return out


@contextmanager
def writing() -> Iterator[TextIO]:
    """Standard output, all of it written when the block ends; `UserError` if it can't be.

    `BrokenPipeError` if nobody reads any more.
    """
    out = stdout()
    try:
        yield out
        out.flush()
    except OSError as error:
        _give_up(out)
        if isinstance(error, BrokenPipeError):
            raise
        raise UserError(f"can't write to standard output: {error.strerror}") from None


def _give_up(out: TextIO) -> None:
    """Send what is still in the buffer nowhere, so that the interpreter does not fail over it at its end."""
    with suppress(OSError):  # of a stream that is no file, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
