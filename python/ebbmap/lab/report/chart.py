"""Memory over the steps, drawn in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import plotext

from ebbmap.lab.model import Report, Run
from ebbmap.lab.report.curves import axis, curve, payload, peak, ticks
from ebbmap.lab.report.words import Unit, label

LETTERS = "abcdefgh"
DOT = "\N{MIDDLE DOT}"
NO_BREAK = "\N{NO-BREAK SPACE}"


def chart(report: Report, runs: Sequence[Run], size: Unit, width: int, height: int, colour: bool) -> str:
    """A line of letters for each run: they can be told apart without colour.

    Where the truth changes all the time, what is alive is a line of dots.
    """
    figure = plotext.figure
    figure.clear()
    figure.theme("simple")  # the terminal's own ground
    figure.plot_size(width, height)
    for letter, run in zip(LETTERS, runs, strict=False):
        figure.draw(_line(curve(run, report.settings), letter, size))
    if runs[0].outcome:
        figure.draw(_line(payload(runs[0], report.settings), DOT, size))
    _below(runs[0], report)
    _scale(max(peak(run, report.settings) for run in runs) / size.size)
    return str(figure.build().string(colorless=not colour))


def key(runs: Sequence[Run]) -> str:
    """Which letter is whose."""
    names = [f"{letter} {label(run)}" for letter, run in zip(LETTERS, runs, strict=False)]
    if runs[0].outcome:
        names.append(f"{DOT} payload of what is alive")
    return "   ".join(name.replace(" ", NO_BREAK) for name in names)


def _line(points: Sequence[tuple[float, int]], letter: str, size: Unit) -> object:
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


def _below(run: Run, report: Report) -> None:
    marks = axis(run, report)
    plotext.figure.ruler("x").ticks([at for at, _ in marks], [text for _, text in marks])
