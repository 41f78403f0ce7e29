"""What the lab knows of a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ebbmap.lab.bench import Bench
from ebbmap.lab.subjects.base import Subject

Drive = Callable[[Bench, Callable[[], Subject], int], None]
"""Takes a subject through the steps with `n` entries, in the measured process."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: its name, what happens in it, its steps in order, and those that a table tells."""

    name: str
    summary: str
    steps: tuple[str, ...]
    told: tuple[str, ...]
    drive: Drive
