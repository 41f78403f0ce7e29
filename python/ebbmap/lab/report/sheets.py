"""The tables of an experiment, before they are drawn."""

from __future__ import annotations

from ebbmap.lab.model import Report, Run
from ebbmap.lab.printable import printable
from ebbmap.lab.report import sampled, words
from ebbmap.lab.report.cells import Cell, Sheet, held
from ebbmap.lab.report.words import Unit
from ebbmap.lab.scenarios import SCENARIOS


def sheets(report: Report) -> list[Sheet]:
    """Heap, RSS, time and slowest operation, for the steps that tell the story; none if nothing ran."""
    if not report.runs:
        return []
    told = SCENARIOS[report.settings.scenario].told
    size = words.unit(report.settings)
    runs = report.runs
    if not told:
        return sampled.sheets(report, size)
    return [_heap(runs, told, size), _rss(runs, told, size), _time(runs, told), _slowest(runs, told)]


def _heap(runs: list[Run], told: tuple[str, ...], size: Unit) -> Sheet:
    def row(run: Run) -> tuple[Cell, ...]:
        steps = map(run.at, told)
        sizes = (held(step.heap_bytes, step.payload_bytes, size, run.partial) for step in steps)
        return (Cell(run.subject), Cell(words.version(run)), *sizes)

    title = f"Heap, {size.name}: what the subject's own allocator says it holds"
    reference = _payload(runs[0], told, size, "payload alone", "")
    return Sheet(title, ("subject", "version", *told), 2, reference, tuple(map(row, runs)))


def _rss(runs: list[Run], told: tuple[str, ...], size: Unit) -> Sheet:
    def row(run: Run) -> tuple[Cell, ...]:
        sizes = (held(step.rss_bytes, step.payload_bytes, size) for step in map(run.at, told))
        peak = max(step.peak_rss_bytes for step in run.steps)
        return (Cell(words.label(run)), *sizes, Cell(size.write(peak)))

    title = f"RSS over the start, {size.name}: what the system sees"
    reference = (*_payload(runs[0], told, size, "payload alone"), Cell(""))
    return Sheet(title, ("subject", *told, "peak"), 1, reference, tuple(map(row, runs)))


def _time(runs: list[Run], told: tuple[str, ...]) -> Sheet:
    def row(run: Run) -> tuple[Cell, ...]:
        return (Cell(words.label(run)), *(Cell(words.duration(run.at(step).seconds * 1e9)) for step in told))

    return Sheet("Time of each step", ("subject", *told), 1, (), tuple(map(row, runs)))


def _slowest(runs: list[Run], told: tuple[str, ...]) -> Sheet:
    working = [step for step in told if any(run.at(step).slowest_op_ns for run in runs)]

    def row(run: Run) -> tuple[Cell, ...]:
        slowest = (run.at(step).slowest_op_ns for step in working)
        return (Cell(words.label(run)), *(Cell(words.duration(nanoseconds)) for nanoseconds in slowest))

    title = "Slowest single operation of each step"
    return Sheet(title, ("subject", *working), 1, (), tuple(map(row, runs)))


def _payload(run: Run, told: tuple[str, ...], size: Unit, *before: str) -> tuple[Cell, ...]:
    figures = (size.write(run.at(step).payload_bytes) for step in told)
    return tuple(map(Cell, (*before, *figures)))


def remarks(report: Report) -> list[str]:
    """What has to be said of subjects, and of those that did not run."""
    notes = [f"{run.subject}: {run.note}" for run in report.runs if run.note]
    notes += [late for run in report.runs if (late := sampled.late(run, report.settings))]
    skipped = [f"{skipped.subject} skipped: {skipped.why}" for skipped in report.skipped]
    return list(dict.fromkeys(map(printable, [*notes, *skipped])))
