"""What an experiment found, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from ebbmap.lab.model import Report, Run
from ebbmap.lab.report import words
from ebbmap.lab.report.curves import curve, extent, leading, payload, spans, ticks
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
    lines: tuple[Line, ...]


def page(report: Report, command: str) -> str:
    """The page; `command` is what made it."""
    source = files("ebbmap.lab.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(source).render(
        heading=words.heading(report),
        machine=words.machine(report),
        summary=SCENARIOS[report.settings.scenario].summary,
        command=command,
        unit=words.unit(report.settings).name,
        sheets=sheets(report),
        remarks=remarks(report),
        story=_plot(report, leading(report.runs)) if report.runs else None,
        everyone=_plot(report, report.runs) if report.runs else None,
    )


def _plot(report: Report, runs: Sequence[Run]) -> Plot:
    size = words.unit(report.settings)
    marks = ticks(max(map(_peak, runs)) / size.size)
    top = marks[-1]
    places, wide = spans(runs[0]), extent(runs[0])
    told = SCENARIOS[report.settings.scenario].told
    return Plot(
        top=f"{top:,g} {size.name}",
        heights=tuple(Mark(100 - 100 * mark / top, f"{mark:,g}") for mark in marks),
        steps=tuple(Mark(100 * (span.start + span.end) / 2 / wide, span.step) for span in places),
        borders=tuple(SIDE * span.end / wide for span in places),
        lines=tuple(_line(run, place, size, top, told) for place, run in enumerate(runs)),
    )


def _line(run: Run, place: int, size: Unit, top: float, told: Sequence[str]) -> Line:
    figures = ", ".join(f"{step} {size.write(run.at(step).rss_bytes)}" for step in told)
    hero = run.subject == "ebbmap:inline"
    return Line(
        name=words.label(run),
        points=_points(curve(run), extent(run), top * size.size),
        payload=_points(payload(run), extent(run), top * size.size),
        said=f"RSS over the start in {size.name}: {figures}",
        ends=f"{size.write(run.steps[-1].rss_bytes)} of {size.write(_peak(run))} {size.name} left at the end",
        style="hero" if hero else f"k{place}",
        ours=run.subject.startswith("ebbmap"),
    )


def _peak(run: Run) -> int:
    return max(step.peak_rss_bytes for step in run.steps)


def _points(places: Sequence[tuple[float, int]], wide: float, high: float) -> str:
    return " ".join(f"{SIDE * x / wide:.1f},{SIDE - SIDE * y / high:.1f}" for x, y in places)
