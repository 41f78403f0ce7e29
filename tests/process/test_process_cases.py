"""The memory promise for a process: many tables that are filled, go in one way or another, and come again."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from process_helpers import GIB, MIB, Line, assert_few_mappings, assert_within, fails_today, linux, run

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

LOOKS = {
    "filled": ("filling", "filled"),
    "gone": ("left",),
    "again": ("refilling", "refilled", "dropped"),
}
POOL = "each table has its own mappings and pieces of malloc"
KEPT = "malloc keeps what small tables gave back"
PAGES = "a value of 33,000 bytes has nine pages of 4 KiB"
HEADS = "the heads of a table's parts take kilobytes"
KNOWN = {
    **{(case, check): fails_today(HEADS) for case in CASES[:3] for check in LOOKS},
    ("middling maps", "filled"): fails_today(POOL),
    ("middling maps", "gone"): fails_today(KEPT),
    ("middling maps", "again"): fails_today(KEPT),
    ("maps of ints", "gone"): fails_today(KEPT),
    ("maps of ints", "again"): fails_today(KEPT),
    **{(case, check): fails_today(HEADS) for case in CASES[5:8] for check in LOOKS},
    ("blobs", "filled"): fails_today(PAGES),
    ("blobs", "gone"): fails_today(PAGES),
    ("blobs", "again"): fails_today(PAGES),
    ("blobs", "mappings"): fails_today(POOL),
    ("one in 32 stays", "gone"): fails_today(KEPT),
    ("one in 32 stays", "again"): fails_today(KEPT),
}


def checks(*names: str) -> list[Any]:
    """Every case with each of these checks, and the mark that it has."""
    return [pytest.param(*both, marks=KNOWN.get(both, [])) for both in product(CASES, names)]


def found(case: str) -> Line:
    (line,) = run("cases", case, *FORM)
    return line


def test_every_case_is_here() -> None:
    (line,) = run("cases")
    assert line["names"] == CASES


@pytest.mark.parametrize(("case", "check"), checks(*LOOKS))
def test_resident_memory_follows(case: str, check: str) -> None:
    line = found(case)
    assert_within(*(line[look] for look in LOOKS[check] if look in line))


@pytest.mark.parametrize(("case", "check"), checks("mappings"))
def test_there_are_few(case: str, check: str) -> None:
    assert_few_mappings(*(look for look in found(case).values() if isinstance(look, dict)))


@pytest.mark.parametrize(("case", "check"), checks("threads", "tables"))
def test_more_of_them_can_be_made(case: str, check: str) -> None:
    assert found(case)["no " + {"threads": "threads", "tables": "refill"}[check]] == ""


@pytest.mark.skipif(not GIB, reason="other programs' memory is in the figure: too much for the short form")
@pytest.mark.parametrize("case", ["one in 32 stays", "blobs", "one large map"])
def test_the_system_has_back_what_is_not_resident(case: str) -> None:
    """A page of 2 MiB that is given back in part is no longer resident, and the system can't use it."""
    for attempt in ((), ("--again", "1"), ("--again", "2")):
        (line,) = run("cases", case, *FORM, *attempt)
        if line["left"]["system"] <= line["left"]["resident"] + NOISE:
            return
    pytest.fail(str(line["left"]))
