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
from ebbmap.lab.printable import printable
from ebbmap.lab.report import words
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
    """One bar: how many subjects are through, and how far the present ones are."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("looking around", total=None)
        self._through = 0.0
        self._said: dict[Launch, str] = {}

    def building(self, chain: Toolchain) -> None:
        self._say(f"building the Go program with {chain.version}")

    def expects(self, subjects: int, seconds: float | None) -> None:
        self._bars.update(self._task, total=subjects)
        if seconds is not None:
            self._bars.console.print(expected(subjects, seconds), highlight=False)

    def begins(self, launch: Launch) -> None:
        self._tell(launch, f"{launch.subject} {launch.toolchain}".rstrip())

    def progress(self, launch: Launch, step: str, done: float) -> None:
        self._tell(launch, f"{launch.subject}: {step} {done:.0%}")

    def ends(self, launch: Launch | None, outcome: Run | Skipped) -> None:
        if launch is not None:
            self._said.pop(launch, None)
            self._through += 1
        self._bars.update(self._task, completed=self._through)

    def _tell(self, launch: Launch, what: str) -> None:
        self._said[launch] = what
        self._say(" · ".join(list(self._said.values())))

    def _say(self, what: str) -> None:
        self._bars.update(self._task, description=f"{printable(what):<34}")


class Lines:
    """Plain lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._through = 0
        self._subjects = 0

    def building(self, chain: Toolchain) -> None:
        self._say(f"building the Go program with {chain.version}")

    def expects(self, subjects: int, seconds: float | None) -> None:
        self._subjects = subjects
        if seconds is not None:
            self._say(expected(subjects, seconds))

    def begins(self, launch: Launch) -> None:
        """Said when it ends."""

    def progress(self, launch: Launch, step: str, done: float) -> None:
        """Too much for lines."""

    def ends(self, launch: Launch | None, outcome: Run | Skipped) -> None:
        if launch is not None:
            self._through += 1
        count = f"[{self._through}/{self._subjects}] " if launch is not None else ""
        if isinstance(outcome, Skipped):
            self._say(f"{count}{outcome.subject} skipped: {outcome.why}")
        else:
            self._say(f"{count}{label(outcome)}: {result(outcome)}")

    def _say(self, what: str) -> None:
        self._console.print(printable(what), markup=False, highlight=False, soft_wrap=True)


def expected(subjects: int, seconds: float) -> str:
    """What is ahead."""
    return (
        f"{subjects} subjects, about {f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.0f} minutes'}"
    )


def result(run: Run) -> str:
    """A run in a few words."""
    if run.outcome is None:
        return duration(1e9 * sum(step.seconds for step in run.steps))
    peak, rest, size = run.outcome.peak_bytes, run.outcome.rest_bytes, words.unit_of(run.outcome.peak_bytes)
    return f"{size.write(peak)} {size.name} at most, {size.write(rest)} at rest"
