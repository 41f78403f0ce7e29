"""What the lab's tests share."""

from __future__ import annotations

import json
import os
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ebbmap.cli import main
from ebbmap.lab.course import SECOND, Course
from ebbmap.lab.model import Answers, Outcome, Point, Report, Run, Sample, Settings, Skipped, Step, Traffic
from ebbmap.lab.session import Launch
from ebbmap.lab.toolchains import Toolchain
from ebbmap.lab.traffic import curve
from ebbmap.lab.traffic.visits import Visits
from ebbmap.lab.wire import Wire

MIB = 1 << 20


@dataclass
class Quiet:
    """A watcher that remembers."""

    outcomes: list[Run | Skipped] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)

    def building(self, chain: Toolchain) -> None:
        pass

    def expects(self, subjects: int, seconds: float | None) -> None:
        pass

    def begins(self, launch: Launch) -> None:
        pass

    def progress(self, launch: Launch, step: str, done: float) -> None:
        self.steps.append((step, done))

    def ends(self, launch: Launch | None, outcome: Run | Skipped) -> None:
        self.outcomes.append(outcome)


class Paper(Wire):
    """A wire that leads nowhere: what was sent is kept."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, event: str, **fields: Any) -> None:
        self.sent.append(json.loads(json.dumps({"event": event, **fields})))

    ask = send

    def of(self, event: str) -> list[dict[str, Any]]:
        return [sent for sent in self.sent if sent["event"] == event]


def made_run(subject: str, held: int, left: int, version: str = "1.0") -> Run:
    """A run of fill-drain with 100 MiB of payload that peaks at `held` MiB and keeps `left`."""
    figures = (("empty", 0, 0, 0), ("filled", 1, held, 7), ("collected", 1, held, 0), ("drained", 0, left, 9))
    steps = [
        Step(name, full * 771_000, full * 100 * MIB, size * MIB, size * MIB, size * MIB, 0.5, slowest * 1000)
        for name, full, size, slowest in figures
    ]
    curve = [Point(step.step, done, step.rss_bytes) for step in steps for done in (0.0, 1.0)]
    return Run(subject, version, steps=steps, curve=curve)


def made_report(*runs: Run, skipped: tuple[Skipped, ...] = ()) -> Report:
    """A report of fill-drain over those runs."""
    machine: dict[str, str | int] = {"cpu": "a <cpu> & more", "cores": 2, "os": "an OS", "python": "3.11.7"}
    settings = Settings("fill-drain", 771_000, 128)
    return Report(settings, machine, runs=list(runs), skipped=list(skipped))


def made_day(subject: str, held: int, left: int, wrong: int = 0, late: float = 0.01) -> Run:
    """A run of blackfriday with up to 100 MiB alive that peaks at `held` MiB and comes to keep `left`."""
    course = _course()
    samples = []
    for place in range(73):
        t = place * course.end / 72 / SECOND
        alive = max(0, round(771_000 * (1 - abs(t - 30) / 20)))
        size = held * alive // 771_000 if t < 30 else max(left, held * alive // 771_000)
        samples.append(Sample(t, alive, alive, size * MIB, size * MIB))
    ends = {phase.name: round(72 * phase.end / course.end) for phase in course.phases}
    outcome = Outcome(771_000, held * MIB, Answers(2000, wrong, 0), 2_500_000, late, samples, 12.3, ends)
    return Run(subject, "1.0", outcome=outcome)


def made_days(*runs: Run, skipped: tuple[Skipped, ...] = ()) -> Report:
    """A report of blackfriday over those runs."""
    machine: dict[str, str | int] = {"cpu": "a <cpu> & more", "cores": 2, "os": "an OS", "python": "3.11.7"}
    settings = Settings("blackfriday", 771_000, 128, _course())
    return Report(settings, machine, Traffic("Who came", {}), list(runs), list(skipped))


def _course() -> Course:
    return curve.plan(20 * SECOND, "", Visits(array("q"), array("q"), 0))


def fake_go(folder: Path, version: str, builds: str = "exit 1") -> Path:
    """A `go` command that says it is `version`; `builds` is the shell that answers `go build`."""
    go = folder / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.write_text(f"#!/bin/sh\nif [ $1 = env ]; then echo {version}; echo {folder}; exit; fi\n{builds}\n")
    go.chmod(0o755)
    return go


def shared_data(name: str) -> Path | None:
    """A file of the data kept beside the repository, or where EBBMAP_DATA says; None if it is not there."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    file = Path(os.environ.get("EBBMAP_DATA", beside)) / name
    return file if file.is_file() else None


def is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assert that this command line is a mistake: one line, exit code 2, and nothing is measured."""
    monkeypatch.setattr("ebbmap.lab.experiment.measure", _must_not_run)
    try:
        code = main(words)
    except SystemExit as stop:  # argparse
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    assert code == 2
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def _must_not_run(*args: object) -> None:
    raise AssertionError("found out only after the run began")
