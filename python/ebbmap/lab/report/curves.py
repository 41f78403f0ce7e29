"""The curves of memory over a run, laid out along the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ebbmap.lab.model import Run

WORK, PAUSE = 1.0, 0.4
"""How wide a step is drawn that works through the entries, and one that does not."""


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


def curve(run: Run) -> list[tuple[float, int]]:
    """RSS over the start: `(place, bytes)`."""
    place = {span.step: span for span in spans(run)}
    return [(_at(place[point.step], point.done), point.rss_bytes) for point in run.curve]


def payload(run: Run) -> list[tuple[float, int]]:
    """What the entries alone take, at the ends of the steps."""
    ends = zip(spans(run), run.steps, strict=True)
    return [(0.0, 0), *((span.end, step.payload_bytes) for span, step in ends)]


LEADING = ("go:inline", "dict", "ebbmap:inline", "go:pointer", "cachebox.Cache", "ebbmap:object")


def leading(runs: Sequence[Run], most: int = 5) -> list[Run]:
    """The runs to draw where not all can be told apart: one for each subject, those the story is about."""
    single = list({run.subject: run for run in reversed(runs)}.values())[::-1]
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
