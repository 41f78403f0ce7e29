"""What the lab's tests share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ebbmap.lab.model import Point, Report, Run, Settings, Skipped, Step
from ebbmap.lab.session import Launch
from ebbmap.lab.toolchains import Toolchain

MIB = 1 << 20


@dataclass
class Quiet:
    """A watcher that remembers."""

    outcomes: list[Run | Skipped] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)

    def building(self, chain: Toolchain) -> None:
        pass

    def expects(self, subjects: int) -> None:
        pass

    def begins(self, launch: Launch) -> None:
        pass

    def progress(self, step: str, done: float) -> None:
        self.steps.append((step, done))

    def ends(self, outcome: Run | Skipped) -> None:
        self.outcomes.append(outcome)


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
    return Report(Settings("fill-drain", 771_000, 128), machine, list(runs), list(skipped))


def fake_go(folder: Path, version: str, builds: str = "exit 1") -> Path:
    """A `go` command that says it is `version`; `builds` is the shell that answers `go build`."""
    go = folder / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.write_text(f"#!/bin/sh\nif [ $1 = env ]; then echo {version}; echo {folder}; exit; fi\n{builds}\n")
    go.chmod(0o755)
    return go
