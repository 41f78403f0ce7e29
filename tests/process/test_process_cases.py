"""The memory promise for a process: many tables that are filled, go in one way or another, and come again."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from process_helpers import (
    GIB,
    MOST_PARTED,
    Line,
    assert_few_mappings,
    assert_within,
    fails_today,
    linux,
    run,
    shown,
)

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

LOOKS = {
    "filled": ("filling", "filled"),
    "gone": ("left",),
    "again": ("refilling", "refilled", "dropped"),
}
CACHES = "the head of a cache is 1.3 KB, which come from malloc"
MALLOC = "malloc keeps 2 to 8 MiB of what the pool knew of its pages"
KNOWN = {
    **{
        (case, check): fails_today(CACHES, short=False)
        for case in CASES[5:7]
        for check in ("filled", "again")
    },
    **{("one in 32 stays", check): fails_today(MALLOC, short=False) for check in ("gone", "again")},
    ("small maps", "gone"): fails_today(MALLOC, short=False),
    **{(case, "again"): fails_today(MALLOC, short=False) for case in CASES[:3]},
    **{("middling maps", check): fails_today(MALLOC, short=False) for check in ("gone", "again")},
    **{("maps of ints", check): fails_today(MALLOC, short=False) for check in ("gone", "again")},
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
    assert line.keys() >= set(LOOKS[check]), line["no refill"]
    assert_within(*(line[look] for look in LOOKS[check]))


@pytest.mark.parametrize(("case", "check"), checks("mappings"))
def test_there_are_few(case: str, check: str) -> None:
    assert_few_mappings(*(look for look in found(case).values() if isinstance(look, dict)))


@pytest.mark.parametrize(("case", "check"), checks("threads", "tables"))
def test_more_of_them_can_be_made(case: str, check: str) -> None:
    assert found(case)["no " + {"threads": "threads", "tables": "refill"}[check]] == ""


@pytest.mark.parametrize("case", ["one in 32 stays", "blobs", "one large map"])
def test_the_system_has_back_what_is_not_resident(case: str) -> None:
    """A page of 2 MiB that is given back in part is no longer resident, and the system can't use it.

    Other programs change the figures too, so it is tried three times.
    """
    for attempt in ((), ("--again", "1"), ("--again", "2")):
        (line,) = run("cases", case, *FORM, *attempt)
        resident, system = (_given_back(line, measure) for measure in ("resident", "system"))
        parted = line["dropped"]["parted"]
        # In the short form, what other programs take or give back meanwhile is as much.
        if parted <= MOST_PARTED and (not GIB or system >= 0.7 * resident):
            return
    pytest.fail(f"{shown(line['filled'])}\n{shown(line['left'])}\n{parted} huge pages given back in part")


def _given_back(line: Line, measure: str) -> int:
    return int(line["filled"][measure] - line["left"][measure])
