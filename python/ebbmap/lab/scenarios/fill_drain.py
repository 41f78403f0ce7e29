"""The document's experiment: a million entries in, the collector, all entries out, the collector."""

from __future__ import annotations

from collections.abc import Callable

from ebbmap.lab.bench import Bench
from ebbmap.lab.model import Settings
from ebbmap.lab.scenarios.base import Drive, Scenario
from ebbmap.lab.subjects import GO, MAPS, PYTHON, Subject


def prepare(settings: Settings) -> Drive:
    """Nothing to prepare."""
    return lambda bench, make: drive(bench, make, settings.n)


def drive(bench: Bench, make: Callable[[], Subject], n: int) -> None:
    """Steps `empty`, `filled`, `collected` (nothing but the collector), `drained` (and collected)."""
    subject = bench.start(make)
    with bench.step("filled", subject) as step:
        step.fill(subject, range(n))
    with bench.step("collected", subject) as step:
        step.spend(subject.collect)
    with bench.step("drained", subject) as step:
        step.drain(subject, range(n))
        step.operate(subject.maintain)
        step.spend(subject.collect)


STEPS = ("empty", "filled", "collected", "drained")
SCENARIO = Scenario(
    "fill-drain",
    "fill, run the collector, remove every entry, run the collector",
    prepare,
    PYTHON,
    GO,
    MAPS,
    STEPS,
    STEPS,
)
