"""Which Go: the few facts about memory that changed between its releases."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(?:go)?1\.(\d{1,9})(?:\.\d+|rc\d+|beta\d+)?(?:(?:-| X:)([a-z0-9,]+))?", re.ASCII)
_EXPERIMENT = "noswissmap"
OLDEST, NEWEST = 18, 27  # that are modelled
_MODELLED = f"Go 1.{OLDEST} to 1.{NEWEST} are modelled"


@dataclass(frozen=True, slots=True)
class GoVersion:
    """A Go 1 release, by its minor number; `noswissmap` as in `GOEXPERIMENT=noswissmap` (1.24 and 1.25).

    Raises:
        ValueError: the release isn't modelled, or doesn't have that experiment.
    """

    minor: int
    noswissmap: bool = False

    def __post_init__(self) -> None:
        if not OLDEST <= self.minor <= NEWEST:
            age = "older" if self.minor < OLDEST else "newer"
            raise ValueError(f"Go 1.{self.minor} is {age} than this model: {_MODELLED}")
        if self.noswissmap and self.minor not in (24, 25):
            raise ValueError(f"only Go 1.24 and 1.25 can be built with noswissmap, not 1.{self.minor}")

    @classmethod
    def parse(cls, text: str) -> GoVersion:
        """The release named by `text` (`1.23`, `go1.23.9`, `1.24-noswissmap`).

        Raises:
            ValueError: it names no Go 1 release, or one that isn't modelled.
        """
        if (match := _TEXT.fullmatch(text.strip())) is None:
            raise ValueError(f"not a Go version: {text!r}; {_MODELLED}, written as 1.23 or go1.24.11")
        return cls(int(match[1]), _EXPERIMENT in (match[2] or "").split(","))

    @property
    def swiss(self) -> bool:
        """Swiss tables (1.24 and later) rather than buckets with overflow chains."""
        return self.minor >= 24 and not self.noswissmap

    @property
    def pair_load(self) -> int:
        """Entries that two classic buckets take before a map grows: 13; in Go 1.21 a rounding made it 12."""
        return 12 if self.minor == 21 else 13

    @property
    def malloc_header(self) -> bool:
        """Objects of more than 512 bytes that hold pointers carry an 8-byte header (1.22 and later)."""
        return self.minor >= 22

    def __str__(self) -> str:
        return f"1.{self.minor}" + ("-noswissmap" if self.noswissmap else "")
