"""Durations and sizes: what is taken, and what the errors say."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest

from ebbmap._units import byte_count, seconds


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (1, 1.0),
        (0.25, 0.25),
        (math.inf, math.inf),
        (numpy.int64(3), 3.0),
        (numpy.float32(0.5), 0.5),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 4), 0.25),
        (timedelta(minutes=1, microseconds=1), 60.000001),
        ("500ms", 0.5),
        ("90s", 90.0),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        (" 90 s ", 90.0),
    ],
)
def test_seconds(given: object, found: float) -> None:
    assert seconds(given, "ttl") == found


@pytest.mark.parametrize("given", [True, False, None, [], b"90s", {}, 1j, float])
def test_what_is_no_duration_is_a_type_error(given: object) -> None:
    says = f"^ttl must be seconds, a timedelta or text such as '90s' or '1h', not {type(given).__name__}$"
    with pytest.raises(TypeError, match=says):
        seconds(given, "ttl")


NO_DURATION = [
    "",
    "s",
    ".s",
    "90",
    "90 minutes",
    "1H",
    "1h30m",
    "-5s",
    "1e3s",
    "1_0s",
    "infs",
    "\u0663s",
    "1..5s",
]


@pytest.mark.parametrize("given", NO_DURATION)
def test_text_that_is_no_duration_is_a_value_error(given: str) -> None:
    with pytest.raises(ValueError, match=r"^idle must be seconds, a timedelta or text .*, not ") as caught:
        seconds(given, "idle")
    assert str(caught.value).endswith(repr(given))


@pytest.mark.parametrize(
    "given", [0, -1, -0.0, math.nan, -math.inf, "0s", "0.0h", timedelta(0), timedelta(-1)]
)
def test_a_duration_is_above_zero(given: object) -> None:
    with pytest.raises(ValueError, match=r"^ttl must be above 0 seconds, not ") as caught:
        seconds(given, "ttl")
    assert str(caught.value).endswith(repr(given))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (1, 1),
        (2**40, 2**40),
        (numpy.int64(7), 7),
        ("100B", 100),
        ("512KiB", 512 * 1024),
        ("512MiB", 512 * 1024**2),
        ("2GiB", 2 * 1024**3),
        ("1TiB", 1024**4),
        ("2KB", 2000),
        ("2.3KB", 2300),
        ("512 MB", 512 * 10**6),
        ("2GB", 2 * 10**9),
        ("3TB", 3 * 10**12),
        ("1.5GiB", 3 * 2**29),
        ("9007199254740993B", 9007199254740993),
    ],
)
def test_byte_count(given: object, found: int) -> None:
    counted = byte_count(given, "max_bytes")
    assert counted == found
    assert type(counted) is int


@pytest.mark.parametrize("given", [True, None, int, 1.0, numpy.float64(1), b"1B", timedelta(1)])
def test_what_is_no_size_is_a_type_error(given: object) -> None:
    says = "^max_bytes must be bytes as an int or text such as '512MiB' or '2GB', not "
    with pytest.raises(TypeError, match=says + type(given).__name__):
        byte_count(given, "max_bytes")


@pytest.mark.parametrize("given", ["", "B", "1", "1M", "1Mb", "1mib", "-1B", "1e3B", "1 byte", "1KiBB"])
def test_text_that_is_no_size_is_a_value_error(given: str) -> None:
    with pytest.raises(ValueError, match=r"^max_bytes must be bytes .*, not ") as caught:
        byte_count(given, "max_bytes")
    assert str(caught.value).endswith(repr(given))


@pytest.mark.parametrize("given", [0, -1, "0B", "0.1B"])
def test_a_size_is_at_least_a_byte(given: object) -> None:
    with pytest.raises(ValueError, match=r"^max_bytes must be at least 1 byte, not ") as caught:
        byte_count(given, "max_bytes")
    assert str(caught.value).endswith(repr(given))
