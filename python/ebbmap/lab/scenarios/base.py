"""What the lab knows of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ebbmap.lab.bench import Bench
from ebbmap.lab.model import Settings
from ebbmap.lab.subjects.base import Loader

Drive = Callable[[Bench, Callable[[], Any]], None]
"""Takes a subject, made by the second argument, through the scenario, in the measured process."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: what happens in it, who can take part, and who does unasked.

    `prepare` runs in the measured process before it is measured. A scenario has `steps`, and of these some
    that tables tell (`told`), or none: then it is sampled.
    """

    name: str
    summary: str
    prepare: Callable[[Settings], Drive]
    loaders: Mapping[str, Loader]
    go: tuple[str, ...]
    subjects: tuple[str, ...]
    steps: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    n: int = 1_000_000
    timed: frozenset[str] = field(default_factory=frozenset)
    """Subjects that can go by another clock than the wall's."""

    @property
    def known(self) -> tuple[str, ...]:
        """Every subject that can take part."""
        return (*self.go, *self.loaders)
