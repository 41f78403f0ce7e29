"""What an experiment is asked and what it found; the JSON format is `Report.to_json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ebbmap.lab.course import SECOND, Course

KEY_BYTES = 8
"""What a key counts in `payload_bytes`: a 64-bit integer, in every language."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every subject of one experiment is asked to do."""

    scenario: str
    n: int
    value_bytes: int
    course: Course | None = None
    """When what happens, in a scenario that goes by a clock."""

    def payload_bytes(self, entries: int) -> int:
        """The bytes of keys and values alone."""
        return entries * (KEY_BYTES + self.value_bytes)

    def to_json(self) -> dict[str, Any]:
        """All of it, for the measured process."""
        return {**asdict(self), "course": self.course and self.course.to_json()}

    @staticmethod
    def from_json(said: Mapping[str, Any]) -> Settings:
        """What `to_json` wrote."""
        return Settings(**{**said, "course": said["course"] and Course.from_json(said["course"])})


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


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at a cache at `t`: entries alive by the truth, entries held, heap, and RSS over the start.

    `t` is in seconds from the start, on the clock that the run goes by; in `last-n`, in turns: 1.0 when `n`
    entries have come, 2.0 when each was replaced once, and so on.
    """

    t: float
    alive: int
    held: int
    heap_bytes: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of the entries asked for: how many were, expired ones returned, live ones lost."""

    asked: int
    expired_returned: int
    live_lost: int

    @property
    def wrong(self) -> int:
        """All that was wrong."""
        return self.expired_returned + self.live_lost


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run that was sampled came to."""

    peak_alive: int
    peak_bytes: int
    answers: Answers
    slowest_op_ns: int
    late_seconds: float
    """How far it fell behind the clock, at most: an operation took so long, or others had the processor."""
    samples: Sequence[Sample]
    settle_seconds: float | None
    ends: Mapping[str, int]
    """Which sample is the last of each phase."""

    @property
    def rest_bytes(self) -> int:
        """RSS over the start, in the end."""
        return self.samples[-1].rss_bytes

    def at(self, t: float) -> Sample:
        """The last sample up to `t`."""
        return next(sample for sample in reversed(self.samples) if sample.t <= t or sample is self.samples[0])

    def to_json(self) -> dict[str, Any]:
        """What the JSON format has in place of steps."""
        return {
            "peak_alive": self.peak_alive,
            "peak_bytes": self.peak_bytes,
            "rest_bytes": self.rest_bytes,
            "wrong_answers": self.answers.wrong,
            "answers": asdict(self.answers),
            "slowest_op_ns": self.slowest_op_ns,
            "settle_seconds": self.settle_seconds,
            "late_seconds": self.late_seconds,
            "samples": [asdict(sample) for sample in self.samples],
        }


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
    outcome: Outcome | None = None
    """In place of steps, where a run was sampled."""

    def at(self, step: str) -> Step:
        """The step of that name; `KeyError` if there is none."""
        for found in self.steps:
            if found.step == step:
                return found
        raise KeyError(step)

    def to_json(self) -> dict[str, Any]:
        """The run as the JSON format has it."""
        found = self.outcome.to_json() if self.outcome else {"steps": [asdict(step) for step in self.steps]}
        return {"subject": self.subject, "version": self.version, **found}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A subject that could not run, and why."""

    subject: str
    why: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who came: in words, and as the JSON format has it."""

    said: str
    facts: Mapping[str, Any]
    origin: float | None = None
    """The time of the first visit, in seconds since 1970, where a log was replayed."""

    def to_json(self) -> dict[str, Any]:
        """What the JSON format has."""
        return {"traffic": dict(self.facts)}


@dataclass(slots=True)
class Report:
    """All that an experiment found."""

    settings: Settings
    machine: dict[str, str | int]
    traffic: Traffic | None = None
    runs: list[Run] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as the JSON format has it."""
        settings = self.settings
        return {
            "scenario": settings.scenario,
            "n": settings.n,
            "value_bytes": settings.value_bytes,
            **(_timing(settings.course) if settings.course else {}),
            **(self.traffic.to_json() if self.traffic else {}),
            "machine": self.machine,
            "runs": [run.to_json() for run in self.runs],
            "skipped": [asdict(skipped) for skipped in self.skipped],
        }


def _timing(course: Course) -> dict[str, Any]:
    phases = [
        {
            "phase": phase.name,
            "start": phase.start / SECOND,
            "end": phase.end / SECOND,
            "touched": phase.touched,
        }
        for phase in course.phases
    ]
    return {"window": course.window / SECOND, "phases": phases}
