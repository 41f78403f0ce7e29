"""A window of constant size: the oldest entry goes out, the newest comes in."""

from __future__ import annotations

from collections.abc import Callable

from ebbmap.lab.bench import Bench
from ebbmap.lab.model import Settings
from ebbmap.lab.scenarios.base import Drive, Scenario
from ebbmap.lab.subjects import GO, MAPS, PYTHON, Subject

TURNS = 3
"""How many times every entry is replaced."""


def prepare(settings: Settings) -> Drive:
    """Nothing to prepare."""
    return lambda bench, make: drive(bench, make, settings.n)


def drive(bench: Bench, make: Callable[[], Subject], n: int) -> None:
    """Steps `empty`, `filled`, `collected`, then a `turned-K` each time that all `n` entries were replaced.

    Each turn ends with the collector, and before it with whatever a program does to get memory back.
    """
    subject = bench.start(make)
    with bench.step("filled", subject) as step:
        step.fill(subject, range(n))
    with bench.step("collected", subject) as step:
        step.spend(subject.collect)
    for turn in range(TURNS):
        with bench.step(f"turned-{turn + 1}", subject) as step:
            step.renew(subject, range(turn * n, (turn + 1) * n), ahead=n)
            step.operate(subject.maintain)
            step.spend(subject.collect)


TURNED = tuple(f"turned-{turn + 1}" for turn in range(TURNS))
SCENARIO = Scenario(
    "churn",
    f"fill, then remove the oldest entry and put in a new one, until all were replaced {TURNS} times",
    prepare,
    PYTHON,
    GO,
    MAPS,
    ("empty", "filled", "collected", *TURNED),
    ("filled", "collected", TURNED[0], TURNED[-1]),
)
