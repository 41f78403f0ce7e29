"""The experiment: each subject in turn, alone on the machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from ebbmap.lab import machine
from ebbmap.lab.course import SECOND
from ebbmap.lab.lineup import lineup
from ebbmap.lab.model import Report, Run, Settings, Skipped, Traffic
from ebbmap.lab.session import Launch, measure
from ebbmap.lab.toolchains import Toolchain

MOST_ABREAST = 4
"""So that the memory of all fits into a small machine."""


class Watcher(Protocol):
    """Told how an experiment goes; from several threads where subjects run abreast."""

    def building(self, chain: Toolchain) -> None:
        """The Go program is being built."""

    def expects(self, subjects: int, seconds: float | None) -> None:
        """So many subjects will run, and take so long in all where that is known."""

    def begins(self, launch: Launch) -> None:
        """A subject's process starts."""

    def progress(self, launch: Launch, step: str, done: float) -> None:
        """The subject is in this step, so much of it (0 to 1) done."""

    def ends(self, launch: Launch | None, outcome: Run | Skipped) -> None:
        """The subject is through, or is skipped, perhaps without having been launched."""


def experiment(
    settings: Settings,
    names: Sequence[str],
    go: Sequence[str],
    watcher: Watcher,
    traffic: Traffic | None = None,
) -> Report:
    """Run the scenario for the subjects `names` and the toolchains `go` (see `lineup`).

    Where the wall clock sets the pace, as many subjects run at a time as there are processors.
    """
    report = Report(settings, machine.describe(), traffic)
    abreast = _abreast(settings)
    with lineup(settings, names, go, watcher.building) as who:
        watcher.expects(len(who.launches), _seconds(settings, len(who.launches), abreast))
        for skipped in who.skipped:
            _note(report, skipped)
            watcher.ends(None, skipped)
        for outcome in _each(_Runner(settings, watcher), who.launches, abreast):
            _note(report, outcome)
    return report


class _Runner:
    """Measures subjects until it is told to stop."""

    def __init__(self, settings: Settings, watcher: Watcher) -> None:
        self._settings = settings
        self._watcher = watcher
        self.stopped = False

    def __call__(self, launch: Launch) -> Run | Skipped:
        self._watcher.begins(launch)
        outcome = measure(launch, self._settings, partial(self._progress, launch))
        self._watcher.ends(launch, outcome)
        return outcome

    def _progress(self, launch: Launch, step: str, done: float) -> None:
        if self.stopped:
            raise RuntimeError("the experiment was stopped")
        self._watcher.progress(launch, step, done)


def _each(runner: _Runner, launches: Sequence[Launch], abreast: int) -> Iterator[Run | Skipped]:
    if abreast == 1:
        yield from map(runner, launches)
        return
    with ThreadPoolExecutor(abreast) as pool:
        try:
            yield from pool.map(runner, launches)
        finally:  # interrupted: those that run end at their next word, the others do not begin
            runner.stopped = True
            pool.shutdown(wait=False, cancel_futures=True)


def _abreast(settings: Settings) -> int:
    paced = settings.course is not None and not settings.course.replayed
    return min(MOST_ABREAST, machine.cores()) if paced else 1


def _seconds(settings: Settings, subjects: int, abreast: int) -> float | None:
    if settings.course is None or settings.course.replayed:
        return None
    return math.ceil(subjects / abreast) * settings.course.end / SECOND


def _note(report: Report, outcome: Run | Skipped) -> None:
    if isinstance(outcome, Run):
        report.runs.append(outcome)
    else:
        report.skipped.append(outcome)
