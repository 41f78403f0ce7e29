"""Which files are read, and which are passed over in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ebbmap.lab.errors import LabError

PACKED = (".gz", ".xz", ".bz2", ".zst")
SUFFIXES = (".parquet", *(text + packed for text in (".csv", ".tsv") for packed in ("", *PACKED)))
"""What is read in a folder, and in folders in it; a file that is named may be called anything."""
DOUBTFUL = tuple(f".txt{packed}" for packed in ("", *PACKED))
"""What is read there if it has the columns: it may as well be a note beside the data."""
Fits = Callable[[Path], bool]
SAID = ".csv, .tsv, .txt (perhaps with .gz, .xz, .bz2 or .zst) or .parquet and has the columns"
HIDDEN = (".", "_")
"""Notebooks, Spark and systems put names that begin so beside the data: copies, markers, unfinished files."""


@dataclass(slots=True)
class Found:
    """The files to read, in order, and the names of those that are not."""

    files: list[Path] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def take(self, file: Path) -> None:
        """Read it, if it was not taken before: by another name, or by its folder's."""
        try:
            state = file.stat()
        except OSError:  # whoever opens it says why
            self.files.append(file)
            return
        if (state.st_dev, state.st_ino) in self._seen:
            self.passed_over.append(f"{file} (again)")
        else:
            self._seen.add((state.st_dev, state.st_ino))
            self.files.append(file)

    def look_into(self, folder: Path, fits: Fits) -> None:
        """Read what is named like a log in the folder and those in it; `LabError` if nothing is.

        What is no regular file is passed over. `fits` tells of a file whether it has the columns.
        """
        inside = sorted(each for each in folder.rglob("*") if not each.is_dir())
        odd = {each for each in inside if not each.is_file()}  # whoever opens a pipe may wait for ever
        seen = [each for each in inside if each not in odd and not _is_hidden(each.relative_to(folder))]
        chosen = {each for each in seen if each.name.lower().endswith(SUFFIXES)}
        chosen |= {each for each in seen if each not in chosen and _is_doubtful(each) and fits(each)}
        chosen -= {each for each in chosen if _is_packed(each) and each.with_suffix("") in chosen}
        if not chosen:
            others = f"; it holds: {listed([each.name for each in inside])}" if inside else ""
            raise LabError(f"{folder} holds no file that ends in {SAID}{others}")
        for each in inside:
            if each in chosen:
                self.take(each)
            else:
                self.passed_over.append(f"{each} (no regular file)" if each in odd else str(each))


def find(paths: Sequence[Path], fits: Fits) -> Found:
    """All files of these, which are files and folders; `fits` tells of a file whether it has the columns."""
    found = Found()
    for path in paths:
        if path.is_dir():
            found.look_into(path, fits)
        else:
            found.take(path)
    return found


def listed(names: Sequence[str], most: int = 5) -> str:
    """The names, or as many of them as can be read."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _is_packed(file: Path) -> bool:
    return file.suffix.lower() in PACKED


def _is_doubtful(file: Path) -> bool:
    """A text, or something packed that has no other suffix."""
    return file.name.lower().endswith(DOUBTFUL) or (_is_packed(file) and not file.with_suffix("").suffix)


def _is_hidden(inside: Path) -> bool:
    return any(part.startswith(HIDDEN) for part in inside.parts)
