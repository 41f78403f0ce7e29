"""How an experiment goes, on standard error: bars in a terminal, else a line for each subject."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from ebbmap.lab.experiment import Watcher
from ebbmap.lab.model import Run, Skipped
from ebbmap.lab.report.words import duration, label
from ebbmap.lab.session import Launch
from ebbmap.lab.toolchains import Toolchain


@contextmanager
def watching(console: Console) -> Iterator[Watcher]:
    """The watcher that suits this console."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bars:
        yield Bars(bars)


class Bars:
    """One bar: how many subjects are through, and how far the present one is."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("looking around", total=None)
        self._through = 0
        self._name = ""

    def building(self, chain: Toolchain) -> None:
        self._say(f"building the Go program with {chain.version}")

    def expects(self, subjects: int) -> None:
        self._bars.update(self._task, total=subjects)

    def begins(self, launch: Launch) -> None:
        self._name = launch.subject
        self._say(f"{launch.subject} {launch.toolchain}".rstrip())

    def progress(self, step: str, done: float) -> None:
        self._say(f"{self._name}: {step} {done:.0%}")

    def ends(self, outcome: Run | Skipped) -> None:
        if outcome.subject == self._name:
            self._through += 1
        self._bars.update(self._task, completed=self._through)

    def _say(self, what: str) -> None:
        self._bars.update(self._task, description=f"{what:<34}")


class Lines:
    """Plain lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._through = 0
        self._subjects = 0

    def building(self, chain: Toolchain) -> None:
        self._say(f"building the Go program with {chain.version}")

    def expects(self, subjects: int) -> None:
        self._subjects = subjects

    def begins(self, launch: Launch) -> None:
        self._through += 1

    def progress(self, step: str, done: float) -> None:
        """Too much for lines."""

    def ends(self, outcome: Run | Skipped) -> None:
        count = f"[{self._through}/{self._subjects}] " if self._through else ""
        if isinstance(outcome, Skipped):
            self._say(f"{count}{outcome.subject} skipped: {outcome.why}")
        else:
            total = duration(1e9 * sum(step.seconds for step in outcome.steps))
            self._say(f"{count}{label(outcome)}: {total}")

    def _say(self, what: str) -> None:
        self._console.print(what, markup=False, highlight=False, soft_wrap=True)
