"""Durations and sizes: what is taken, and what the errors say."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest

from ebbmap._convert.units import byte_count, item_count, seconds


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


NO_NUMBERS: list[object] = [True, False, numpy.True_, numpy.array(True), None, [], b"90s", {}, 1j, float]


@pytest.mark.parametrize("given", NO_NUMBERS, ids=repr)
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
    "30m1h",
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


TOO_LONG = [
    10**400,
    10**5000,
    Decimal("1e400"),
    Fraction(10**400),
    Fraction(10**5000),
    "9" * 310 + "s",
    "9" * 400 + ".5h",
    "9" * 5000 + "d",
]


@pytest.mark.parametrize("given", TOO_LONG, ids=type)
def test_a_duration_is_a_float_of_seconds_at_most(given: object) -> None:
    says = r"^ttl must be at most 1.8e\+308 seconds, or math.inf, not .{1,100}$"
    with pytest.raises(OverflowError, match=says):
        seconds(given, "ttl")


@pytest.mark.parametrize("given", [-(10**400), -(10**5000), Decimal("-1e400")], ids=type)
def test_a_duration_far_below_zero(given: object) -> None:
    with pytest.raises(ValueError, match=r"^ttl must be above 0 seconds, not .{1,100}$"):
        seconds(given, "ttl")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (1, 1),
        (2**40, 2**40),
        (2**64 - 1, 2**64 - 1),
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


@pytest.mark.parametrize(
    "given", [True, numpy.True_, None, int, 1.0, numpy.float64(1), b"1B", timedelta(1)], ids=repr
)
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


TOO_MANY_BYTES = [
    2**64,
    10**5000,
    "18446744073709551616B",
    "9999999999999999999TiB",
    "9" * 400 + ".5MiB",
    "9" * 5000 + "B",
]


@pytest.mark.parametrize("given", TOO_MANY_BYTES, ids=type)
def test_a_size_is_a_word_at_most(given: object) -> None:
    with pytest.raises(
        OverflowError, match=r"^max_bytes must be at most 18446744073709551615 bytes, not .{1,100}$"
    ):
        byte_count(given, "max_bytes")


@pytest.mark.parametrize("given", [1, 2**64 - 1, numpy.int64(7), numpy.uint64(2**64 - 1)])
def test_item_count(given: int) -> None:
    counted = item_count(given, "max_items")
    assert counted == given
    assert type(counted) is int


@pytest.mark.parametrize("given", [True, numpy.True_, None, int, 1.0, "1", b"1"], ids=repr)
def test_what_is_no_count_is_a_type_error(given: object) -> None:
    with pytest.raises(TypeError, match=f"^max_items must be an int, not {type(given).__name__}$"):
        item_count(given, "max_items")


@pytest.mark.parametrize("given", [0, -1, -(10**5000)], ids=lambda given: f"{given.bit_length()} bits")
def test_a_count_is_at_least_one(given: int) -> None:
    with pytest.raises(ValueError, match=r"^max_items must be at least 1, not .{1,100}$"):
        item_count(given, "max_items")


@pytest.mark.parametrize("given", [2**64, 10**5000], ids=lambda given: f"{given.bit_length()} bits")
def test_a_count_is_a_word_at_most(given: int) -> None:
    with pytest.raises(
        OverflowError, match=r"^max_items must be at most 18446744073709551615, not .{1,100}$"
    ):
        item_count(given, "max_items")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("1h30m", 5400.0),
        ("2d3h", 183_600.0),
        (" 1m  30s ", 90.0),
        ("1s250ms", 1.25),
        ("1w1d1h1m1s1ms", 694_861.001),
    ],
)
def test_a_duration_of_several_units_is_their_sum(given: str, found: float) -> None:
    assert seconds(given, "ttl") == found


@pytest.mark.parametrize("convert", [byte_count, item_count])
def test_errors_show_what_was_given(convert: Callable[[object, str], int]) -> None:
    with pytest.raises(ValueError, match=r"^most must be at least 1( byte)?, not -7$"):
        convert(-7, "most")
    with pytest.raises(
        OverflowError, match=rf"^most must be at most {2 * sys.maxsize + 1}( bytes)?, not {1 << 70}$"
    ):
        convert(1 << 70, "most")
    with pytest.raises(OverflowError, match=r"not <int of thousands of digits>$"):
        convert(10**5000, "most")


def test_long_text_is_cut_in_errors() -> None:
    with pytest.raises(ValueError, match=rf"not '{'x' * 98}'$"):
        byte_count("x" * 98, "most")
    with pytest.raises(ValueError, match=rf"not '{'x' * 59}\.\.\. \(101 characters\)$"):
        byte_count("x" * 99, "most")
