"""Asks real Go: builds the program beside this file with a toolchain found, runs it, and reads what it says.

`python -m ebbmap.gomap.probe` compares the predictor with every toolchain found.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebbmap.gomap import toolchains
from ebbmap.gomap.heap import Outside
from ebbmap.gomap.predict import Footprint, predictor
from ebbmap.gomap.types import parse_map
from ebbmap.gomap.version import GoVersion

SOURCE = Path(__file__).parent
OUTSIDE = Outside(key=16, elem=16, pointee=72, box=8, entries=5)
"""The sizes of strings and so on that the program makes."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A `go` command and the release it is."""

    go: Path
    release: str

    @property
    def version(self) -> GoVersion:
        """The release, as the model knows it."""
        return GoVersion.parse(self.release)

    def build(self, target: Path) -> Path:
        """Build the program; returns its path, `target`.

        Raises:
            RuntimeError: with what the compiler said.
        """
        words = ("build", "-o", str(target), ".")
        result = toolchains.call(self.go, *words, folder=SOURCE, scratch=target.parent)
        if result.returncode:
            raise RuntimeError(f"{self.go} can't build the probe: {result.stderr.strip()}")
        return target


@dataclass(frozen=True, slots=True)
class Measurement:
    """One step of one run: bytes the heap has grown by, and what the map's header says (see main.go)."""

    type: str
    go: str
    n: int
    step: str
    entries: int
    uncollected: int
    alloc: int
    B: int
    noverflow: int
    overflow: int
    growing: bool
    tables: int
    depth: int
    slots: int
    turnovers: float = 0.0

    def predicted(self) -> Footprint:
        """What the predictor says of the same."""
        made = predictor(parse_map(self.type), GoVersion.parse(self.go), OUTSIDE)
        if self.step == "churned":
            return made.churned(self.n, self.turnovers)
        return made.drained(self.n, self.entries) if self.step == "drained" else made.filled(self.entries)


def find_toolchains() -> list[Toolchain]:
    """The toolchains found (see `toolchains`), one for each minor release that the model takes."""
    found: dict[GoVersion, Toolchain] = {}
    for chain in toolchains.found():
        with suppress(ValueError):
            toolchain = Toolchain(chain.go, chain.version)
            found.setdefault(toolchain.version, toolchain)
    return sorted(found.values(), key=lambda toolchain: toolchain.version.minor)


def measure(
    program: Path,
    kinds: Iterable[str],
    sizes: Sequence[int],
    *,
    turnovers: float | Sequence[float] = 0,
    left: int = 0,
    hint: bool = False,
    repeat: int = 1,
) -> list[Measurement]:
    """Run a built program over all `kinds` and `sizes`; several `turnovers`, ascending, are all reported."""
    stops = turnovers if isinstance(turnovers, Sequence) else [turnovers]
    words = ["-n", _listed(sizes), "-turnovers", _listed(stops), "-left", str(left)]
    words += ["-repeat", str(repeat), f"-hint={str(hint).lower()}"]
    result = subprocess.run([program, *words, *kinds], capture_output=True, text=True, check=True)
    return [Measurement(**_fields(line)) for line in result.stdout.splitlines()]


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(map(str, numbers))


def _fields(line: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(line)
    return fields


def kinds(program: Path) -> list[str]:
    """The map types the program was built for."""
    return subprocess.run([program, "-list"], capture_output=True, text=True, check=True).stdout.splitlines()
