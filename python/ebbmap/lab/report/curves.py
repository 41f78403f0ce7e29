"""The curves of memory over a run, laid out along the steps."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ebbmap.lab.course import SECOND, Course, Phase
from ebbmap.lab.model import Report, Run, Sample, Settings
from ebbmap.lab.report.words import KIB, unit
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.traffic import times

NARROW = 0.2
"""Less of the width than this has no room for a sentence."""
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
    return run.outcome.samples[-1].t if run.outcome else spans(run)[-1].end + REST


def curve(run: Run, settings: Settings) -> list[tuple[float, int]]:
    """What it holds: `(place, bytes)`."""
    if run.outcome:
        return [(sample.t, held(sample, settings)) for sample in run.outcome.samples]
    place = {span.step: span for span in spans(run)}
    points = [(_at(place[point.step], point.done), point.rss_bytes) for point in run.curve]
    return [*points, (extent(run), run.steps[-1].rss_bytes)]


def payload(run: Run, settings: Settings) -> list[tuple[float, int]]:
    """What the entries alone take: those that are alive, by the truth."""
    if run.outcome:
        return [(sample.t, settings.payload_bytes(sample.alive)) for sample in run.outcome.samples]
    ends = zip(spans(run), run.steps, strict=True)
    points = [(span.end, step.payload_bytes) for span, step in ends]
    return [(0.0, 0), *points, (extent(run), run.steps[-1].payload_bytes)]


def shows_heap(settings: Settings) -> bool:
    """Whether curves are of the heap: where a few KiB are at stake, RSS tells of the runtime alone."""
    return not SCENARIOS[settings.scenario].steps and unit(settings).size == KIB


def what(settings: Settings) -> str:
    """What curves are of, in words."""
    kind = "Heap" if shows_heap(settings) else "RSS over the start"
    return f"{kind}, {unit(settings).name}"


def held(sample: Sample, settings: Settings) -> int:
    """What is drawn of a sample."""
    return sample.heap_bytes if shows_heap(settings) else sample.rss_bytes


def peak(run: Run, settings: Settings) -> int:
    """The high-water mark of all that is drawn."""
    if run.outcome is None:
        return max(step.peak_rss_bytes for step in run.steps)
    if shows_heap(settings):
        return max(sample.heap_bytes for sample in run.outcome.samples)
    return run.outcome.peak_bytes


def rest(run: Run, settings: Settings) -> int:
    """What is held in the end."""
    return held(run.outcome.samples[-1], settings) if run.outcome else run.steps[-1].rss_bytes


def borders(run: Run, report: Report) -> list[float]:
    """Where one step or phase ends and the next begins."""
    course = report.settings.course
    if not run.outcome:
        return [span.end for span in spans(run)]
    return [phase.end / SECOND for phase in course.phases[:-1]] if course else []


def silence(report: Report) -> tuple[float, float] | None:
    """The time in which nobody touches the caches."""
    phases = report.settings.course.phases if report.settings.course else ()
    return next(((each.start / SECOND, each.end / SECOND) for each in phases if not each.touched), None)


def axis(run: Run, report: Report) -> list[tuple[float, str]]:
    """What is said below the curve, and where."""
    course, traffic = report.settings.course, report.traffic
    if not run.outcome:
        return [((span.start + span.end) / 2, span.step) for span in spans(run)]
    if course is None:
        return [(mark, f"{mark:,g}") for mark in ticks(extent(run)) if mark <= extent(run)]
    if traffic and traffic.origin is not None:
        days = [extent(run) * part / 8 for part in (1, 3, 5, 7)]
        return [(day, times.write(traffic.origin + day)[:10]) for day in days]
    return [((phase.start + phase.end) / 2 / SECOND, _named(phase, course)) for phase in course.phases]


def _named(phase: Phase, course: Course) -> str:
    """A phase and when it ends, if that fits below it."""
    wide = (phase.end - phase.start) / course.end
    return phase.name if wide < NARROW else f"{phase.name} to {phase.end / SECOND:g} s"


LEADING = (
    "go:inline",
    "dict",
    "ebbmap:inline",
    "ebbmap:cache",
    "cachetools.TTLCache",
    "cachebox.TTLCache",
    "cachetools.LRUCache",
    "go:pointer",
    "cachebox.Cache",
    "ebbmap:object",
)
HEROES = ("ebbmap:cache", "ebbmap:inline")


def hero(runs: Sequence[Run]) -> str:
    """The subject whose curve stands out."""
    there = {run.subject for run in runs}
    return next((subject for subject in HEROES if subject in there), "")


def leading(runs: Sequence[Run], most: int = 5) -> list[Run]:
    """The runs to draw where not all can be told apart: one for each subject, those the story is about.

    Of a subject that was run in several versions, it is the newest.
    """
    newest: dict[str, Run] = {}
    for run in runs:
        other = newest.get(run.subject)
        if other is None or _numbers(run.version) > _numbers(other.version):
            newest[run.subject] = run
    single = [run for run in runs if run is newest[run.subject]]
    order = {subject: place for place, subject in enumerate(LEADING)}
    first = sorted(single, key=lambda run: order.get(run.subject, len(order)))[:most]
    return [run for run in single if run in first]


def _numbers(version: str) -> list[int]:
    """Those in a version, such as 1, 27 and 3 in "go1.27.3"."""
    return [int(number) for number in re.findall(r"\d+", version)]


def ticks(top: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to at least `top`, at most `most` steps of 1, 2 or 5 times a power of ten."""
    top = top if top > 0 else 1.0
    rough = top / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [step * count for count in range(math.ceil(top / step - 1e-9) + 1)]


def _at(span: Span, done: float) -> float:
    return span.start + (span.end - span.start) * done
