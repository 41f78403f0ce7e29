"""The allocator's sizes, checked against known facts of each release."""

from __future__ import annotations

import pytest

from ebbmap.gomap import sizeclasses
from ebbmap.gomap.sizeclasses import (
    appended_capacity,
    average_bytes,
    object_bytes,
    round_up,
    small_object_bytes,
)
from ebbmap.gomap.version import GoVersion

OLD, HEADERS = GoVersion(21), GoVersion(22)


@pytest.mark.parametrize(
    ("size", "pointers", "version", "expected"),
    [
        (0, True, OLD, 0),
        (1, False, OLD, 8),
        (33, False, OLD, 48),
        (1104, False, OLD, 1152),
        (32768, False, OLD, 32768),
        (32769, False, OLD, 40960),
        (512, True, HEADERS, 512),
        (513, True, OLD, 576),
        (576, True, OLD, 576),
        (576, True, HEADERS, 640),
        (576, False, HEADERS, 576),
        (32760, True, HEADERS, 32768),
        (32768, True, HEADERS, 32768),  # of its own pages, which need no header
        (278528 * 1104, False, OLD, 307494912),
    ],
)
def test_object_bytes(size: int, pointers: bool, version: GoVersion, expected: int) -> None:
    assert object_bytes(size, pointers, version) == expected


def test_round_up_leaves_the_header_out() -> None:
    assert round_up(600, True, HEADERS) == 632
    assert round_up(600, True, OLD) == 640


def test_every_size_gets_the_least_class_that_holds_it() -> None:
    for size in range(1, 32769):
        taken = object_bytes(size, False, OLD)
        smaller = [known for known in sizeclasses.SIZE_CLASSES if known < taken]
        assert taken >= size
        assert not smaller or smaller[-1] < size


@pytest.mark.parametrize(
    ("size", "mean"), [(1, 1), (2, 2), (3, 16 / 5), (8, 8), (12, 16), (15, 16), (16, 16)]
)
def test_tiny_objects_share_a_block(size: int, mean: float) -> None:
    assert small_object_bytes(size, False, OLD) == mean


def test_an_average_between_two_sizes() -> None:
    assert average_bytes(16, OLD) == 16
    assert average_bytes(16.5, OLD) == pytest.approx(20)
    assert average_bytes(0, OLD) == 0


def test_append_grows_by_doubling_and_then_by_a_quarter() -> None:
    assert [appended_capacity(n, OLD) for n in (0, 1, 2, 3, 5, 256, 257, 513)] == [
        0,
        1,
        2,
        4,
        8,
        256,
        512,
        848,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.23", GoVersion(23)),
        ("go1.23.9", GoVersion(23)),
        ("1.24-noswissmap", GoVersion(24, True)),
        ("go1.25.1 X:noswissmap", GoVersion(25, True)),
    ],
)
def test_versions(text: str, expected: GoVersion) -> None:
    assert GoVersion.parse(text) == expected


@pytest.mark.parametrize("text", ["", "2.0", "1.x", "1.17", "1.26-noswissmap", "1.23 beta"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="Go"):
        GoVersion.parse(text)


def test_what_changed_when() -> None:
    facts = {minor: GoVersion(minor) for minor in (21, 22, 23, 24, 25)}
    assert [v.swiss for v in facts.values()] == [False, False, False, True, True]
    assert [v.malloc_header for v in facts.values()] == [False, True, True, True, True]
    assert not GoVersion(24, noswissmap=True).swiss
