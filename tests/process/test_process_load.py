"""The memory promise for a process: a random load over many tables, of any sizes, lifetimes and kinds.

The long form has 10,000 tables and 200 checkpoints; `EBBMAP_MEMORY_SEED` chooses another load.
"""

from __future__ import annotations

import os

import pytest
from bound import Contents, most_mappings, most_of_one, most_resident
from process_helpers import (
    GIB,
    MIB,
    MOST_PARTED,
    Line,
    assert_few_mappings,
    assert_within,
    fails_today,
    linux,
    run,
)

SEED = os.environ.get("EBBMAP_MEMORY_SEED", "1")
LONG = ("--tables", "10000", "--checkpoints", "200", "--mib", str(int(min(GIB, 0.25) * 1024)))
SIZE = LONG if GIB else ("--tables", "1000", "--checkpoints", "30", "--mib", "12")
OWN = 5 * MIB // 4
"""What the program itself may need: it is in each figure, and so makes each a bit harder to reach."""

pytestmark = linux


def load() -> list[Line]:
    return run("load", "--seed", SEED, *SIZE)


def test_the_program_itself_needs_little() -> None:
    lines = run("load", "--dry", "--seed", SEED, *SIZE)
    assert max(line["payload"] for line in lines) > 6 * MIB, "the same is done, on nothing"
    assert max(line["resident"] for line in lines) <= OWN


def test_the_books_of_the_program_are_right() -> None:
    lines = load()
    assert len(lines) == 32 + 170 * bool(GIB)
    for line in lines:
        told = {name: line[f"told_{name}"] for name in ("payload", "cached", "bounded", "idle")}
        assert told == {name: line[name] for name in told}
    tops = [line for line in lines if line["payload"] > 6 * MIB]
    assert len(tops) > 3 and max(line["tables"] for line in lines) > 600, "there is something to see"
    assert lines[-2]["payload"] == 0 and lines[-2]["tables"] > 100
    assert lines[-1]["payload"] == lines[-1]["tables"] == 0


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(
            "resident", marks=fails_today("the parts of a table leave more free than it may", short=False)
        ),
        "mappings",
    ],
)
def test_at_each_checkpoint(check: str) -> None:
    assert_all = {"resident": assert_within, "mappings": assert_few_mappings}[check]
    assert_all(*load()[:-2])


@pytest.mark.parametrize("when", ["emptied", "dropped"])
def test_a_second_after_everything_was(when: str) -> None:
    (line,) = [line for line in load() if line["checkpoint"] == when]
    assert_within(line)


def test_no_huge_page_is_given_back_in_part() -> None:
    """The system could not use the rest of it. A few are those of other programs."""
    assert load()[-1]["parted"] <= MOST_PARTED


def test_the_bound_is_the_sum_of_its_terms() -> None:
    assert most_resident(Contents()) == 4 * MIB
    assert most_resident(Contents(tables=10)) == 4 * MIB + 20_480
    assert most_resident(Contents(1_000_000, 1, 0)) == 1_100_000 + 2048 + 4 * MIB
    assert most_resident(Contents(1600, 1, small=100)) == 1760 + 1200 + 2048 + 4 * MIB
    assert most_resident(Contents(1600, 1, 100, cached=100)) == 1760 + 2500 + 2048 + 4 * MIB
    assert most_resident(Contents(1600, 1, 100, 100, bounded=100, idle=10)) == 1760 + 3450 + 2048 + 4 * MIB
    assert most_of_one(6400, 100) == 7040 + 262_144
    assert most_of_one(6399, 100) == 6399 + 1200 + 262_144
    assert most_of_one(6400, 100, of_a_cache=True) == 7040 + 1300 + 262_144
    assert [most_mappings(size) for size in (0, 64 * MIB - 1, 64 * MIB, 10 << 30)] == [100, 100, 101, 260]
