"""Which Go: the few facts about memory that changed between its releases."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(?:go)?1\.(\d+)(?:\.\d+|rc\d+|beta\d+)?(?:(?:-| X:)([a-z0-9,]+))?", re.ASCII)
_EXPERIMENT = "noswissmap"


@dataclass(frozen=True, slots=True)
class GoVersion:
    """A Go 1 release, by its minor number; `noswissmap` as in `GOEXPERIMENT=noswissmap` (1.24 and 1.25)."""

    minor: int
    noswissmap: bool = False

    @classmethod
    def parse(cls, text: str) -> GoVersion:
        """The release named by `text` (`1.23`, `go1.23.9`, `1.24-noswissmap`).

        Raises:
            ValueError: it names no Go 1 release, or an experiment that release doesn't have.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"not a Go version: {text!r}; taken are 1.18 and later, such as 1.23 or go1.24.11"
            )
        version = cls(int(match[1]), _EXPERIMENT in (match[2] or "").split(","))
        if version.minor < 18:
            raise ValueError(f"Go 1.{version.minor} is older than this model: 1.18 and later are taken")
        if version.noswissmap and version.minor not in (24, 25):
            raise ValueError(f"only Go 1.24 and 1.25 can be built with noswissmap, not 1.{version.minor}")
        return version

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
