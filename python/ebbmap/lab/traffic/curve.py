"""Made arrivals: a day's curve up to a peak and down again, a silence, and the customers that come back."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from ebbmap.lab.course import SECOND, Course, Phase
from ebbmap.lab.traffic.visits import Visits

DAY, SILENCE, BACK = 2.0, 1.2, 0.4
"""How many windows the day's curve takes, the silence after it, and the time in which customers come back."""
SLICES = 2000
"""In how many pieces a curve is cut; in each, customers come evenly."""
NEW = 4
"""After so many new customers one comes again who was there before, and renews what is known of him."""
BEATS, SAMPLES = 1000, 25
"""Looks at the clock, and samples, in a window."""
LEAST_MARGIN = SECOND // 20


@dataclass(frozen=True, slots=True)
class Rates:
    """New customers a window, at the top and when it is calm; `day` is the curve, its top being 1."""

    peak: int
    base: int
    day: Sequence[float]


def bell(peak: int, base: int) -> Rates:
    """The made curve: from `base` to `peak` and back, as a cosine goes."""
    floor = base / peak
    heights = (
        floor + (1 - floor) * (1 - math.cos(2 * math.pi * (piece + 0.5) / SLICES)) / 2
        for piece in range(SLICES)
    )
    return Rates(peak, base, list(heights))


def course(window: int) -> tuple[Phase, ...]:
    """The phases of a run whose window is that long."""
    day = round(DAY * window)
    silence = day + round(SILENCE * window)
    return (
        Phase("day", 0, day),
        Phase("silence", day, silence, touched=False),
        Phase("back", silence, silence + round(BACK * window)),
    )


def plan(window: int, file: str, visits: Visits) -> Course:
    """The course of a run on the wall clock."""
    return Course(
        window=window,
        beat=max(1, window // BEATS),
        sample=max(1, window // SAMPLES),
        margin=max(LEAST_MARGIN, window // 100),
        replayed=False,
        phases=course(window),
        file=file,
        visits=len(visits.times),
        customers=visits.distinct,
    )


def arrivals(window: int, rates: Rates) -> Visits:
    """Who comes when; the same each time."""
    day, _, back = course(window)
    made = _Arrivals(rates.peak // 2)
    wide = (day.end - day.start) / len(rates.day)
    for place, height in enumerate(rates.day):
        made.come(day.start + place * wide, wide, height * rates.peak * wide / window)
    wide = (back.end - back.start) / SLICES
    for place in range(SLICES):
        made.come(back.start + place * wide, wide, rates.base * wide / window)
    return Visits(made.times, made.customers, made.distinct)


class _Arrivals:
    def __init__(self, reach: int) -> None:
        self.times = array("q")
        self.customers = array("q")
        self.distinct = 0
        self._reach = max(1, reach)
        self._due = 0.0
        self._random = Random(28)

    def come(self, start: float, wide: float, new: float) -> None:
        """So many new customers (a part of one is kept for later) and those who come again, evenly."""
        self._due += new
        many = math.floor(self._due)
        self._due -= many
        coming = [customer for _ in range(many) for customer in self._next()]
        self.times.extend(round(start + wide * place / len(coming)) for place in range(len(coming)))
        self.customers.extend(coming)

    def _next(self) -> list[int]:
        newest = self.distinct
        self.distinct += 1
        if self.distinct % NEW:
            return [newest]
        return [newest, self._random.randrange(max(0, newest - self._reach), self.distinct)]
