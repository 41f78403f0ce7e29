"""How figures are written, in the terminal and on the page alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ebbmap.lab.model import Report, Run, Settings

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
    small = settings.payload_bytes(settings.n) < 4 * MIB
    return Unit("KiB", KIB) if small else Unit("MiB", MIB)


def label(run: Run) -> str:
    """The subject, and for Go, which may run in several versions, which one."""
    if run.subject.startswith("go:"):
        return f"{run.subject} {run.version.removeprefix('go')}"
    return run.subject


def version(run: Run) -> str:
    """The version, without the subject's own name."""
    return run.version.removeprefix("go")


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
    return (
        f"{settings.scenario}: {settings.n:,} integers, each with {values}: {payload} {size.name} of payload"
    )


def machine(report: Report) -> str:
    """Where it ran, in a line."""
    about = report.machine
    return f"{about['cpu']}, {about['cores']} cores, {about['os']}, Python {about['python']}"
