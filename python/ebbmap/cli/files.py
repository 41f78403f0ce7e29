"""Where a command's results go: files, and standard output."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TextIO

from ebbmap.cli.errors import UserError

STDOUT = "-"
"""The name of standard output where a file is asked for."""
_STANDARD = {"stdout": 1, "stderr": 2}
_OURS = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/([0-9]{1,9})")


class Target:
    """A file to be written when all is done, found to be writable at once.

    Use as a context manager. A regular file is replaced as a whole, by one written beside it: if that fails,
    the old one stays. A pipe or a device is opened at once and written to.

    Raises:
        UserError: it can't be written, or it is a pipe that nobody reads.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._real = Path(os.path.realpath(path))  # a link stays a link
        self._stream: int | None = None
        with self._explained():
            if (ours := _descriptor(path)) is not None:
                self._stream = os.dup(ours)
            elif not _is_file(path):
                self._stream = _opened(path)
            else:
                self._try()

    def write(self, text: str) -> None:
        """Write `text` and a line's end, as UTF-8, with `?` for what is none; `UserError` if it can't be."""
        data = (text + "\n").encode("utf-8", "replace")
        with self._explained():
            if self._stream is not None:
                _write_all(self._stream, data)
            elif (fresh := self._beside()) is None:
                self._real.write_bytes(data)
            else:
                self._replace(fresh, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            os.close(self._stream)

    def _mode(self) -> int | None:
        """Its kind and permissions; None if it isn't there."""
        try:
            return self._real.stat().st_mode
        except FileNotFoundError:
            return None

    def _try(self) -> None:
        """Leaves everything as it is."""
        if self._mode() is not None:
            os.close(os.open(self._real, os.O_WRONLY))
        elif (fresh := self._beside()) is not None:
            fresh.unlink()

    def _beside(self) -> Path | None:
        """A new, empty file in the same folder; None where the folder takes no more, but the file exists."""
        fresh = self._real.with_name(f".ebbmap-{secrets.token_hex(8)}")
        try:
            os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except PermissionError:
            if self._mode() is None:
                raise
            return None
        return fresh

    def _replace(self, fresh: Path, data: bytes) -> None:
        try:
            fresh.write_bytes(data)
            if (mode := self._mode()) is not None:
                fresh.chmod(stat.S_IMODE(mode))
            fresh.replace(self._real)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = "nobody reads from it" if error.errno == errno.ENXIO else error.strerror
            raise UserError(f"can't write {self._path}: {why}") from None


def _descriptor(path: str | Path) -> int | None:
    """The number of the open file that `/dev/stdout`, `/dev/fd/N` and the like stand for; None for others."""
    found = _OURS.fullmatch(str(path))
    return None if found is None else _STANDARD.get(found[1]) or int(found[2])


def _is_file(path: str | Path) -> bool:
    """Whether it is a regular file or will be one; `OSError` if that can't be told."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except FileNotFoundError:
        return True


def _opened(path: str | Path) -> int:
    """A pipe or a device, without waiting for somebody to read from it."""
    stream = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(stream, True)
    return stream


def _write_all(stream: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(stream, left) :]


def write(path: str | Path, text: str) -> None:
    """Write `text` and a line's end there at once; see `Target`."""
    with Target(path) as target:
        target.write(text)


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
