"""The memory promise for a process: many tables that are filled, go in one way or another, and come again."""

from __future__ import annotations

from itertools import product

import pytest
from process_helpers import GIB, MIB, Line, assert_few_mappings, assert_within, linux, run

pytestmark = linux
CASES = [
    "small maps",
    "small maps, cleared",
    "small maps, drained",
    "middling maps",
    "maps of ints",
    "expired caches",
    "cleared caches",
    "tiny maps",
    "blobs",
    "one in 32 stays",
    "one large map",
]
FORM = ("--gib", str(GIB)) if GIB else ()
NOISE = 256 * MIB
"""What others on the machine may have taken meanwhile."""

LOOKS = {"filled": ("filling", "filled"), "left": ("left",), "refilled": ("refilling", "refilled")}
KNOWN: dict[tuple[str, str], list[pytest.MarkDecorator]] = {}
CHECKS = [pytest.param(*both, marks=KNOWN.get(both, [])) for both in product(CASES, [*LOOKS, "dropped"])]
MAPPINGS = [pytest.param(case, marks=KNOWN.get((case, "mappings"), [])) for case in CASES]
WORKS = [pytest.param(case, marks=KNOWN.get((case, "works"), [])) for case in CASES]


def found(case: str) -> Line:
    (line,) = run("cases", case, *FORM)
    return line


def test_every_case_is_here() -> None:
    (line,) = run("cases")
    assert line["names"] == CASES


@pytest.mark.parametrize(("case", "when"), CHECKS)
def test_resident_memory_follows(case: str, when: str) -> None:
    line = found(case)
    assert_within(*(line[look] for look in LOOKS.get(when, (when,))))


@pytest.mark.parametrize("case", MAPPINGS)
def test_there_are_few_mappings(case: str) -> None:
    assert_few_mappings(*(look for look in found(case).values() if isinstance(look, dict)))


@pytest.mark.parametrize("case", WORKS)
def test_threads_start_and_tables_can_be_filled_again(case: str) -> None:
    line = found(case)
    assert (line["no threads"], line["no refill"]) == ("", "")


@pytest.mark.skipif(not GIB, reason="other programs' memory is in the figure: too much for the short form")
@pytest.mark.parametrize("case", ["one in 32 stays", "blobs", "one large map"])
def test_the_system_has_back_what_is_not_resident(case: str) -> None:
    """A page of 2 MiB that is given back in part is no longer resident, and the system can't use it."""
    for attempt in ((), ("--again", "1"), ("--again", "2")):
        (line,) = run("cases", case, *FORM, *attempt)
        if line["left"]["system"] <= line["left"]["resident"] + NOISE:
            return
    pytest.fail(str(line["left"]))
