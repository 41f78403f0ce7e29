"""The tables of scenarios that are sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ebbmap.lab.course import SECOND
from ebbmap.lab.model import Outcome, Report, Run, Sample, Settings
from ebbmap.lab.report import words
from ebbmap.lab.report.cells import Cell, Sheet, held
from ebbmap.lab.report.words import Unit

Look = Callable[[Outcome], Sample]


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment that the tables tell: what it is called, and which sample it is."""

    name: str
    look: Look


def sheets(report: Report, size: Unit) -> list[Sheet]:
    """RSS, heap, entries and answers, at the moments that tell the story."""
    moments = list(_moments(report.settings))
    sampled = [(run, run.outcome) for run in report.runs if run.outcome]
    return [
        _rss(report, sampled, moments, size),
        _heap(report, sampled, moments, size),
        _entries(sampled, moments),
        _answers(sampled),
    ]


Sampled = Sequence[tuple[Run, Outcome]]


def _moments(settings: Settings) -> Iterator[Moment]:
    if settings.course is None:
        yield Moment("full", lambda outcome: outcome.at(1.0))
        yield Moment("in the end", lambda outcome: outcome.samples[-1])
        return
    # Not "most alive": between two samples there may have been more.
    yield Moment("top sample", lambda outcome: max(outcome.samples, key=lambda sample: sample.alive))
    for phase in settings.course.phases:
        if not phase.touched:
            yield Moment("after silence", _at_end(phase.name))
    yield Moment("at rest", lambda outcome: outcome.samples[-1])


def _at_end(phase: str) -> Look:
    return lambda outcome: outcome.samples[outcome.ends[phase]]


def _rss(report: Report, sampled: Sampled, moments: list[Moment], size: Unit) -> Sheet:
    timed = report.settings.course is not None and not report.settings.course.replayed
    payload = report.settings.payload_bytes

    def row(run: Run, outcome: Outcome) -> tuple[Cell, ...]:
        looks = [moment.look(outcome) for moment in moments]
        sizes = [held(look.rss_bytes, payload(look.alive), size) for look in looks]
        settled = [Cell(_settled(outcome))] if timed else []
        return (Cell(words.label(run)), *sizes, Cell(size.write(outcome.peak_bytes)), *settled)

    names = ("subject", *(moment.name for moment in moments), "peak", *(("settled",) if timed else ()))
    reference = (*_payload(report, sampled, moments, size), Cell(""), *((Cell(""),) if timed else ()))
    title = f"RSS over the start, {size.name}: what the system sees"
    return Sheet(title, names, 1, reference, tuple(row(run, outcome) for run, outcome in sampled))


def _settled(outcome: Outcome) -> str:
    return "never" if outcome.settle_seconds is None else f"{outcome.settle_seconds:,.1f} s"


def _heap(report: Report, sampled: Sampled, moments: list[Moment], size: Unit) -> Sheet:
    grows = report.settings.course is None
    payload = report.settings.payload_bytes

    def row(run: Run, outcome: Outcome) -> tuple[Cell, ...]:
        looks = [moment.look(outcome) for moment in moments]
        sizes = [held(look.heap_bytes, payload(look.alive), size, run.partial) for look in looks]
        growth = [_growth(looks, run.partial)] if grows else []
        return (Cell(run.subject), Cell(words.version(run)), *sizes, *growth)

    names = ("subject", "version", *(moment.name for moment in moments), *(("grown",) if grows else ()))
    first, *others = _payload(report, sampled, moments, size)
    reference = (first, Cell(""), *others, *((Cell(""),) if grows else ()))
    title = f"Heap, {size.name}: what the subject's own allocator says it holds"
    return Sheet(title, names, 2, reference, tuple(row(run, outcome) for run, outcome in sampled))


def _growth(looks: Sequence[Sample], partial: bool) -> Cell:
    """How much more is held for as many entries, in the end."""
    if partial:
        return Cell("?")
    times = looks[-1].heap_bytes / max(1, looks[0].heap_bytes)
    return Cell(f"{times:.2f} x", "keeps" if times > 1.25 else "follows" if times < 1.05 else "between")


def _entries(sampled: Sampled, moments: list[Moment]) -> Sheet:
    def row(run: Run, outcome: Outcome) -> tuple[Cell, ...]:
        looks = [moment.look(outcome) for moment in moments]
        return (Cell(words.label(run)), *(Cell(f"{look.held:,}", _hoards(look)) for look in looks))

    names = ("subject", *(moment.name for moment in moments))
    alive = (Cell(f"{moment.look(_punctual(sampled)).alive:,}") for moment in moments)
    rows = tuple(row(run, outcome) for run, outcome in sampled)
    return Sheet(
        "Entries held, by the subject's own account", names, 1, (Cell("alive in truth"), *alive), rows
    )


def _answers(sampled: Sampled) -> Sheet:
    def row(run: Run, outcome: Outcome) -> tuple[Cell, ...]:
        said = outcome.answers
        wrong = (said.expired_returned, said.live_lost)
        return (
            Cell(words.label(run)),
            Cell(f"{said.asked:,}"),
            *(Cell(f"{each:,}", "keeps" if each else "follows") for each in wrong),
            Cell(words.duration(outcome.slowest_op_ns)),
        )

    names = ("subject", "asked for", "stale", "lost", "slowest")
    rows = tuple(row(run, outcome) for run, outcome in sampled)
    title = "Answers: expired ones returned, live ones lost; the slowest operation"
    return Sheet(title, names, 1, (), rows)


def _hoards(look: Sample) -> words.Verdict:
    return "keeps" if look.held > 2 * look.alive + 1000 else "follows"


def _payload(report: Report, sampled: Sampled, moments: list[Moment], size: Unit) -> tuple[Cell, ...]:
    looks = [moment.look(_punctual(sampled)) for moment in moments]
    figures = (size.write(report.settings.payload_bytes(look.alive)) for look in looks)
    return tuple(map(Cell, ("payload alone", *figures)))


def _punctual(sampled: Sampled) -> Outcome:
    """The run whose customers came at the times they were to come: what is alive is then as planned."""
    return min((outcome for _, outcome in sampled), key=lambda outcome: outcome.late_seconds)


def late(run: Run, settings: Settings) -> str:
    """What has to be said of a run that did not keep up with the clock; else nothing."""
    if run.outcome is None or settings.course is None:
        return ""
    late = run.outcome.late_seconds
    if late * SECOND < settings.course.window / 20:
        return ""
    lasted = words.duration(late * SECOND)
    return f"{words.label(run)}: customers came up to {lasted} late (a slow operation, or a busy machine)"
