"""Text files as they come: plain, or packed with gzip, xz, bzip2 or Zstandard; a line has an end."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from ebbmap.lab.errors import LabError
from ebbmap.lab.printable import printable

ARCHIVES = (".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tgz", ".zip")
LONGEST_LINE = 1 << 20
"""A line of more characters is an error, so that no file fills the memory with one."""
BOMS = ("\udcff\udcfe", "\udcfe\udcff")
"""How UTF-16 begins."""


class Lines:
    """The lines of a text, counted; one that was taken may be given back."""

    def __init__(self, text: TextIO, file: Path) -> None:
        self._text = text
        self._file = file
        self._back: deque[str] = deque()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else self._text.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > LONGEST_LINE:
            raise LabError(
                f"can't read {self._file}: line {self.number:,} has more than {LONGEST_LINE:,} characters"
            )
        return line

    def give_back(self, lines: list[str]) -> None:
        """Have these come next."""
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)

    def first(self) -> str:
        """The first line, which must be text; empty if the file is."""
        line = next(self, "")
        if line.startswith(BOMS):
            raise LabError(f"{self._file} is in UTF-16: save it as UTF-8")
        odd = next((letter for letter in line if letter < " " and letter not in "\t\r\n"), None)
        if odd is not None:
            raise LabError(f"{self._file} is not a text file: its first line holds {printable(odd)}")
        return line


@contextmanager
def lines(file: Path) -> Iterator[Lines]:
    """The lines of a file, which is opened once and read forwards; `LabError` if it can't be read.

    Bytes that are not UTF-8 become lone surrogates, so that what differs stays different.
    """
    if file.name.lower().endswith(ARCHIVES):
        raise LabError(f"{file} is an archive: unpack it and give the folder")
    unpack = PACKED.get(file.suffix.lower(), open)
    try:
        with unpack(file, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            yield Lines(text, file)
    except BROKEN as error:
        raise LabError(f"can't read {file}: {_reason(error)}") from None


def is_utf8(text: str) -> bool:
    """Whether the text was UTF-8 in its file."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _reason(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _zstandard(file: Path, mode: str, **how: Any) -> IO[str]:
    try:
        own = importlib.import_module("compression.zstd")  # Python 3.14
        return io.TextIOWrapper(io.BufferedReader(_Frames(file, own.ZstdDecompressor, own.ZstdError)), **how)
    except ModuleNotFoundError:
        pass
    try:
        import zstandard
    except ModuleNotFoundError:
        raise LabError(f"{file} needs zstandard: pip install 'ebbmap[zstd]'") from None
    frame = zstandard.ZstdDecompressor().decompressobj
    return io.TextIOWrapper(io.BufferedReader(_Frames(file, frame, zstandard.ZstdError)), **how)


class _Frames(io.RawIOBase):
    """A file of Zstandard frames; `EOFError` if the last is cut off, which zstandard's own reader ignores."""

    PIECE = 512
    """Bytes unpacked at a time: to 16 MiB at most, as a block of 4 bytes may stand for 128 KiB."""

    def __init__(self, file: Path, frame: Callable[[], Any], error: type[Exception]) -> None:
        self._new_frame = frame
        self._error = error
        self._source = file.open("rb")
        self._frame: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._ready:
            piece = self._packed or self._source.read(self.PIECE)
            if not piece:
                return self._end()
            self._ready = memoryview(self._unpacked(piece))
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._source.close()
        super().close()

    def _unpacked(self, piece: bytes) -> bytes:
        if self._frame is None:
            self._frame = self._new_frame()
        try:
            data: bytes = self._frame.decompress(piece)
        except self._error as error:
            raise OSError(str(error)) from None
        self._packed = b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None
        return data

    def _end(self) -> int:
        if self._frame is not None:
            raise EOFError("the file ends before its last frame does")
        return 0


PACKED: dict[str, Callable[..., IO[str]]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".zst": _zstandard,
}
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)
