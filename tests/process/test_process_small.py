"""Small tables are small: in resident memory, 10,000 of them together, and by what each says of itself."""

from __future__ import annotations

from itertools import product

import pytest
from process_helpers import Line, fails_today, linux, run

pytestmark = linux
MOST = {"10 ints": 700, "cache of one": 2048, "cache of one int": 2048, "60 blobs": 1.35 * 60 * 108}
"""Bytes that a table of each kind may take."""
ALLOCATOR = "what slabs and pages of the pool leave free is 3 % here"


def found(name: str) -> Line:
    (line,) = [line for line in run("small") if line["name"] == name]
    return line


KNOWN = {("60 blobs", "resident"): fails_today(ALLOCATOR)}
LOOKS = [
    pytest.param(*both, marks=KNOWN.get(both, []))
    for both in product(MOST, ["resident", "nbytes", "getsizeof"])
]


@pytest.mark.parametrize(("name", "measure"), LOOKS)
def test_a_small_table_is_small(name: str, measure: str) -> None:
    assert found(name)[measure] <= MOST[name]


@pytest.mark.parametrize("name", [*MOST, "no entry", "cache of none"])
def test_a_small_table_says_what_it_takes(name: str) -> None:
    """What it says is most of what is resident; the rest is the allocator's, which a table can't know."""
    line = found(name)
    assert line["contents"] < line["nbytes"] <= line["getsizeof"]
    assert line["resident"] <= 2 * line["nbytes"]
