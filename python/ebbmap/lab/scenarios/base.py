"""What the lab knows of a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ebbmap.lab.bench import Bench
from ebbmap.lab.model import Settings
from ebbmap.lab.subjects.base import Subject

Drive = Callable[[Bench, Callable[[], Subject], Settings], None]
"""Takes a subject through the steps, in the measured process."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: what happens in it, its steps, those that a table tells, who takes part unasked."""

    name: str
    summary: str
    steps: tuple[str, ...]
    told: tuple[str, ...]
    subjects: tuple[str, ...]
    drive: Drive
