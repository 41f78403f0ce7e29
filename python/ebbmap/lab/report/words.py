"""How figures are written, in the terminal and on the page alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ebbmap.lab import durations
from ebbmap.lab.course import SECOND
from ebbmap.lab.model import Report, Run, Settings
from ebbmap.lab.printable import printable

KIB, MIB = 1024, 1024 * 1024
Verdict = Literal["follows", "between", "keeps"]


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit that suits an experiment's size: MiB, or KiB for a small one."""

    name: str
    size: int

    def write(self, size: int) -> str:
        """The bare number, with one decimal below ten."""
        number = size / self.size
        return f"{number:,.1f}" if number < 9.95 else f"{number:,.0f}"


def unit(settings: Settings) -> Unit:
    """KiB up to 4 MiB of payload, then MiB."""
    return unit_of(settings.payload_bytes(settings.n))


def unit_of(size: int) -> Unit:
    """KiB up to 4 MiB, then MiB."""
    return Unit("KiB", KIB) if size < 4 * MIB else Unit("MiB", MIB)


def label(run: Run) -> str:
    """The subject, and for Go, which may run in several versions, which one."""
    if run.subject.startswith("go:"):
        return f"{run.subject} {version(run)}"
    return run.subject


def version(run: Run) -> str:
    """The version, without the subject's own name."""
    return printable(run.version.removeprefix("go"))


def duration(nanoseconds: float) -> str:
    """Three figures and a unit: `1.43 s`, `66.4 ms`, `870 µs`."""
    for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= size:
            number = nanoseconds / size
            return f"{number:.3g} {name}" if number < 999.5 else f"{number:,.0f} {name}"
    return f"{nanoseconds:.0f} ns"


def verdict(held: int, payload: int) -> Verdict:
    """Whether memory follows the contents: by the promise's own measure, or far from it."""
    if held <= 1.10 * payload + 2 * MIB:
        return "follows"
    return "keeps" if held > 1.5 * payload + 2 * MIB else "between"


def heading(report: Report) -> str:
    """What was done, in a line."""
    settings, size = report.settings, unit(report.settings)
    payload = size.write(settings.payload_bytes(settings.n))
    values = f"{settings.value_bytes:,} bytes"
    if settings.course:
        window = durations.write(settings.course.window)
        return f"{settings.scenario}: the customers of the last {window}, each with {values}"
    what = "newest customers" if settings.scenario == "last-n" else "integers"
    return f"{settings.scenario}: {settings.n:,} {what}, each with {values}: {payload} {size.name} of payload"


def story(report: Report) -> str:
    """What happens when, where that is a matter of the clock; else nothing."""
    course = report.settings.course
    if course is None or report.traffic is None:
        return ""
    outcomes = [run.outcome for run in report.runs if run.outcome]
    punctual = min(outcomes, key=lambda outcome: outcome.late_seconds, default=None)
    most = f"Up to {punctual.peak_alive:,} are alive at a time. " if punctual else ""
    if course.replayed:
        return f"{printable(report.traffic.said)}. {most}Replayed at the log's own clock."
    day, silence, back = (f"{each.start / SECOND:g} to {each.end / SECOND:g} s" for each in course.phases)
    return (
        f"{printable(report.traffic.said)}. {most}{day}: the day. {silence}: silence, nobody asks the caches "
        "for anything; all that happens is what they do by themselves, the sweeps by hand, and the "
        f"collector. {back}: a few customers come again."
    )


def along(report: Report) -> str:
    """What curves go along."""
    known = {"last-n": "turns of n customers", "blackfriday": "time"}
    return known.get(report.settings.scenario, "the steps")


def machine(report: Report) -> str:
    """Where it ran, in a line."""
    about = report.machine
    return printable(f"{about['cpu']}, {about['cores']} cores, {about['os']}, Python {about['python']}")
