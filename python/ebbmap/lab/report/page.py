"""What an experiment found, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from ebbmap.lab.model import Report, Run
from ebbmap.lab.printable import printable
from ebbmap.lab.report import words
from ebbmap.lab.report.conclusion import conclusion
from ebbmap.lab.report.curves import (
    axis,
    borders,
    curve,
    extent,
    hero,
    leading,
    payload,
    peak,
    rest,
    silence,
    ticks,
    what,
)
from ebbmap.lab.report.sheets import remarks, sheets
from ebbmap.lab.report.words import Unit
from ebbmap.lab.scenarios import SCENARIOS

SIDE = 1000
"""Curves are drawn in a square of this side and stretched to their place; text is not, it is outside them."""


@dataclass(frozen=True, slots=True)
class Line:
    """A run's curve: SVG points, those of its payload, and the same in words, long and short."""

    name: str
    points: str
    payload: str
    said: str
    ends: str
    style: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis, in percent, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves on one scale."""

    top: str
    heights: tuple[Mark, ...]
    steps: tuple[Mark, ...]
    borders: tuple[float, ...]
    silence: tuple[float, float] | None
    """Where nobody touches the caches: from where, and how wide."""
    lines: tuple[Line, ...]


def page(report: Report, command: str) -> str:
    """The page; `command` is what made it."""
    source = files("ebbmap.lab.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(source).render(
        heading=words.heading(report),
        machine=words.machine(report),
        summary=SCENARIOS[report.settings.scenario].summary,
        conclusion=conclusion(report),
        happens=words.story(report),
        command=printable(command),
        what=what(report.settings),
        along=words.along(report),
        sheets=sheets(report),
        remarks=remarks(report),
        story=_plot(report, leading(report.runs)) if report.runs else None,
        everyone=_plot(report, report.runs) if report.runs else None,
    )


def _plot(report: Report, runs: Sequence[Run]) -> Plot:
    size = words.unit(report.settings)
    marks = ticks(max(peak(run, report.settings) for run in runs) / size.size)
    top = marks[-1]
    wide = max(map(extent, runs))  # a run that fell behind ends later
    quiet = silence(report)
    return Plot(
        top=f"{top:,g} {size.name}",
        heights=tuple(Mark(100 - 100 * mark / top, f"{mark:,g}") for mark in marks),
        steps=tuple(Mark(100 * at / wide, text) for at, text in axis(runs[0], report)),
        borders=tuple(SIDE * at / wide for at in borders(runs[0], report)),
        silence=(SIDE * quiet[0] / wide, SIDE * (quiet[1] - quiet[0]) / wide) if quiet else None,
        lines=tuple(_line(report, run, place, size, wide, top) for place, run in enumerate(runs)),
    )


def _line(report: Report, run: Run, place: int, size: Unit, wide: float, top: float) -> Line:
    most, left = peak(run, report.settings), rest(run, report.settings)
    stands_out = run.subject == hero(report.runs)
    return Line(
        name=words.label(run),
        points=_points(curve(run, report.settings), wide, top * size.size),
        payload=_points(payload(run, report.settings), wide, top * size.size),
        said=f"{what(report.settings).replace(',', ' in')}: {_figures(report, run, size)}",
        ends=f"{size.write(left)} of {size.write(most)} {size.name} left at the end",
        style="hero" if stands_out else f"k{place}",
        ours=run.subject.startswith("ebbmap"),
    )


def _figures(report: Report, run: Run, size: Unit) -> str:
    if run.outcome:
        most, left = peak(run, report.settings), rest(run, report.settings)
        return f"peak {size.write(most)}, at rest {size.write(left)}"
    told = SCENARIOS[report.settings.scenario].told
    return ", ".join(f"{step} {size.write(run.at(step).rss_bytes)}" for step in told)


def _points(places: Sequence[tuple[float, int]], wide: float, high: float) -> str:
    return " ".join(f"{SIDE * x / wide:.1f},{SIDE - SIDE * y / high:.1f}" for x, y in places)
