"""The experiment: each subject in turn, alone on the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ebbmap.lab import machine
from ebbmap.lab.lineup import lineup
from ebbmap.lab.model import Report, Run, Settings, Skipped
from ebbmap.lab.session import Launch, measure
from ebbmap.lab.toolchains import Toolchain


class Watcher(Protocol):
    """Told how an experiment goes."""

    def building(self, chain: Toolchain) -> None:
        """The Go program is being built."""

    def expects(self, subjects: int) -> None:
        """So many subjects will run."""

    def begins(self, launch: Launch) -> None:
        """A subject's process starts."""

    def progress(self, step: str, done: float) -> None:
        """The subject is in this step, so much of it (0 to 1) done."""

    def ends(self, outcome: Run | Skipped) -> None:
        """The subject is through, or is skipped."""


def experiment(settings: Settings, names: Sequence[str], go: Sequence[str], watcher: Watcher) -> Report:
    """Run the scenario for the subjects `names` and the toolchains `go` (see `lineup`)."""
    report = Report(settings, machine.describe())
    with lineup(settings, names, go, watcher.building) as who:
        watcher.expects(len(who.launches))
        for skipped in who.skipped:
            _note(report, skipped, watcher)
        for launch in who.launches:
            watcher.begins(launch)
            _note(report, measure(launch, settings, watcher.progress), watcher)
    return report


def _note(report: Report, outcome: Run | Skipped, watcher: Watcher) -> None:
    if isinstance(outcome, Run):
        report.runs.append(outcome)
    else:
        report.skipped.append(outcome)
    watcher.ends(outcome)
