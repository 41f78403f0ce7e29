"""Memory over the steps, drawn in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import plotext

from ebbmap.lab.model import Run
from ebbmap.lab.report.curves import curve, spans, ticks
from ebbmap.lab.report.words import Unit, label

LETTERS = "abcdefgh"
NO_BREAK = "\N{NO-BREAK SPACE}"


def chart(runs: Sequence[Run], size: Unit, width: int, height: int, colour: bool) -> str:
    """A line of letters for each run: they can be told apart without colour."""
    figure = plotext.figure
    figure.clear()
    figure.theme("simple")  # the terminal's own ground
    figure.plot_size(width, height)
    for letter, run in zip(LETTERS, runs, strict=False):
        figure.draw(_line(run, letter, size))
    _steps(runs[0])
    _scale(max(step.peak_rss_bytes for run in runs for step in run.steps) / size.size)
    return str(figure.build().string(colorless=not colour))


def key(runs: Sequence[Run]) -> str:
    """Which letter is whose."""
    return "   ".join(
        f"{letter} {label(run)}".replace(" ", NO_BREAK) for letter, run in zip(LETTERS, runs, strict=False)
    )


def _line(run: Run, letter: str, size: Unit) -> object:
    points = curve(run)
    signal = plotext.figure.signal(
        [at for at, _ in points], [held / size.size for _, held in points], marker=letter
    )
    signal.lines()
    return signal


def _scale(top: float) -> None:
    marks = ticks(top)
    ruler = plotext.figure.ruler("y")
    ruler.lim(0, marks[-1])
    ruler.ticks(marks, [f"{mark:,g}" for mark in marks])


def _steps(run: Run) -> None:
    places = spans(run)
    middles = [(span.start + span.end) / 2 for span in places]
    plotext.figure.ruler("x").ticks(middles, [span.step for span in places])
