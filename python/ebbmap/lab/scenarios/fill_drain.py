"""The document's experiment: a million entries in, the collector, all entries out, the collector."""

from __future__ import annotations

from collections.abc import Callable

from ebbmap.lab.bench import Bench
from ebbmap.lab.model import Settings
from ebbmap.lab.scenarios.base import Scenario
from ebbmap.lab.subjects import MAPS, Subject


def drive(bench: Bench, make: Callable[[], Subject], settings: Settings) -> None:
    """Steps `empty`, `filled`, `collected` (nothing but the collector), `drained` (and collected)."""
    n, subject = settings.n, bench.start(make)
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
    STEPS,
    STEPS,
    MAPS,
    drive,
)
