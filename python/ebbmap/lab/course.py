"""How a run in time goes: its phases, and when it is looked at. Times are nanoseconds from its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SECOND = 1_000_000_000
SWEEPS = 20
"""How often a program sweeps by hand in a window: every three minutes of the hour."""
PROBES = 32
"""How many entries that must be there, and how many that must not, are asked for at each sample."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run; when it is not `touched`, nobody asks the caches for anything."""

    name: str
    start: int
    end: int
    touched: bool = True


@dataclass(frozen=True, slots=True)
class Course:
    """What happens when.

    `beat` is the time between two looks at the clock, `sample` that between two samples; `margin` is how near
    to its deadline an entry is not asked for; `replayed` runs at the log's own clock instead of the wall's.
    `file` holds `visits` times and as many customers, numbers below `customers` (see `traffic.visits`).
    """

    window: int
    beat: int
    sample: int
    margin: int
    replayed: bool
    phases: tuple[Phase, ...]
    file: str
    visits: int
    customers: int

    @property
    def end(self) -> int:
        """When it is over."""
        return self.phases[-1].end

    @property
    def sweep(self) -> int:
        """The time between two sweeps by hand."""
        return max(1, self.window // SWEEPS)

    def to_json(self) -> dict[str, Any]:
        """All of it, for the measured process."""
        return asdict(self)

    @staticmethod
    def from_json(said: Mapping[str, Any]) -> Course:
        """What `to_json` wrote."""
        return Course(**{**said, "phases": tuple(Phase(**phase) for phase in said["phases"])})
