"""What an experiment is asked and what it found; the JSON format is `Report.to_json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

KEY_BYTES = 8
"""What a key counts in `payload_bytes`: a 64-bit integer, in every language."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every subject of one experiment is asked to do."""

    scenario: str
    n: int
    value_bytes: int

    def payload_bytes(self, entries: int) -> int:
        """The bytes of keys and values alone."""
        return entries * (KEY_BYTES + self.value_bytes)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a scenario, as measured when it ended; RSS is over the process's before the first step."""

    step: str
    entries: int
    payload_bytes: int
    heap_bytes: int
    rss_bytes: int
    peak_rss_bytes: int
    seconds: float
    slowest_op_ns: int


@dataclass(frozen=True, slots=True)
class Point:
    """RSS over the start, within a step, `done` of it (0 to 1) being done: what the curves are drawn from."""

    step: str
    done: float
    rss_bytes: int


@dataclass(slots=True)
class Run:
    """One subject's way through the scenario."""

    subject: str
    version: str
    note: str = ""
    partial: bool = False
    """Whether `heap_bytes` is known to miss some of what the subject holds."""
    steps: list[Step] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)

    def at(self, step: str) -> Step:
        """The step of that name; `KeyError` if there is none."""
        for found in self.steps:
            if found.step == step:
                return found
        raise KeyError(step)

    def to_json(self) -> dict[str, Any]:
        """The run as the JSON format has it."""
        return {
            "subject": self.subject,
            "version": self.version,
            "steps": [asdict(step) for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A subject that could not run, and why."""

    subject: str
    why: str


@dataclass(slots=True)
class Report:
    """All that an experiment found."""

    settings: Settings
    machine: dict[str, str | int]
    runs: list[Run] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON format has it."""
        return {
            **asdict(self.settings),
            "machine": self.machine,
            "runs": [run.to_json() for run in self.runs],
            "skipped": [asdict(skipped) for skipped in self.skipped],
        }
