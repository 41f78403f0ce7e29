"""The curves of memory over a run, laid out along the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ebbmap.lab.model import Run

WORK, PAUSE, REST = 1.0, 0.4, 0.15
"""How wide a step is drawn that works through the entries, one that does not, and what stays at the end."""


@dataclass(frozen=True, slots=True)
class Span:
    """A step's place along the curve."""

    step: str
    start: float
    end: float


def spans(run: Run) -> list[Span]:
    """The steps of a run, side by side."""
    places: list[Span] = []
    at = 0.0
    for step in run.steps:
        wide = WORK if step.slowest_op_ns else PAUSE
        places.append(Span(step.step, at, at + wide))
        at += wide
    return places


def extent(run: Run) -> float:
    """Where the curve ends."""
    return spans(run)[-1].end + REST


def curve(run: Run) -> list[tuple[float, int]]:
    """RSS over the start: `(place, bytes)`."""
    place = {span.step: span for span in spans(run)}
    points = [(_at(place[point.step], point.done), point.rss_bytes) for point in run.curve]
    return [*points, (extent(run), run.steps[-1].rss_bytes)]


def payload(run: Run) -> list[tuple[float, int]]:
    """What the entries alone take, at the ends of the steps."""
    ends = zip(spans(run), run.steps, strict=True)
    points = [(span.end, step.payload_bytes) for span, step in ends]
    return [(0.0, 0), *points, (extent(run), run.steps[-1].payload_bytes)]


LEADING = ("go:inline", "dict", "ebbmap:inline", "go:pointer", "cachebox.Cache", "ebbmap:object")


def leading(runs: Sequence[Run], most: int = 5) -> list[Run]:
    """The runs to draw where not all can be told apart: one for each subject, those the story is about."""
    firsts: dict[str, Run] = {}
    for run in runs:
        firsts.setdefault(run.subject, run)
    single = list(firsts.values())
    order = {subject: place for place, subject in enumerate(LEADING)}
    first = sorted(single, key=lambda run: order.get(run.subject, len(order)))[:most]
    return [run for run in single if run in first]


def ticks(top: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to at least `top`, at most `most` steps of 1, 2 or 5 times a power of ten."""
    rough = max(top, 1e-9) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [step * count for count in range(math.ceil(top / step - 1e-9) + 1)]


def _at(span: Span, done: float) -> float:
    return span.start + (span.end - span.start) * done
