"""What a `Cache` is made with: durations, sizes, kinds, and what is wrong with the wrong ones."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from cache_helpers import AnyCache, Clock, Removals, cache_of
from map_helpers import KINDS, agrees, model_of, named

DURATIONS: list[tuple[Any, float]] = [
    (90, 90.0),
    (0.25, 0.25),
    (timedelta(minutes=1, milliseconds=500), 60.5),
    ("500ms", 0.5),
    ("90s", 90.0),
    ("10m", 600.0),
    ("1h", 3600.0),
    ("1.5h", 5400.0),
    ("7d", 604_800.0),
    (np.float64(2.5), 2.5),
    (np.int64(3), 3.0),
]
SIZES: list[tuple[Any, int]] = [
    (100_000, 100_000),
    ("100000B", 100_000),
    ("512KiB", 512 << 10),
    ("512MiB", 512 << 20),
    ("2GiB", 2 << 30),
    ("1.5GiB", 3 << 29),
    ("100KB", 100_000),
    ("3MB", 3_000_000),
    ("4GB", 4_000_000_000),
    (np.int64(1 << 20), 1 << 20),
]


@pytest.mark.parametrize(("given", "seconds"), DURATIONS)
def test_durations(given: Any, seconds: float) -> None:
    clock = Clock()
    c = AnyCache(ttl=given, idle=given, timer=clock)
    assert c.ttl == c.idle == seconds
    assert type(c.ttl) is type(c.idle) is float
    c[1] = 1
    assert c.expires_in(1) == seconds
    c.set(1, 1, ttl=given)
    assert c.touch(1, ttl=given) and c.expires_in(1) == seconds
    c.set_many([2], [2], ttl=given)
    clock.advance(seconds)
    assert 1 not in c and 2 not in c


@pytest.mark.parametrize(("given", "size"), SIZES)
def test_sizes(given: Any, size: int) -> None:
    c = AnyCache(max_bytes=given)
    assert c.max_bytes == size and type(c.max_bytes) is int
    c[1] = 1
    assert c.nbytes <= size


def test_infinity_is_never() -> None:
    clock = Clock()
    c = AnyCache(ttl=5, timer=clock)
    c.set(1, 1, ttl=math.inf)
    c.set(2, 2)
    assert c.expires_in(1) is None and c.expires_in(2) == 5
    clock.advance(1e12)
    assert list(c) == [1]


BAD_DURATIONS: list[tuple[Any, type[Exception]]] = [
    (0, ValueError),
    (-1, ValueError),
    (-0.5, ValueError),
    (math.nan, ValueError),
    (timedelta(0), ValueError),
    (timedelta(seconds=-1), ValueError),
    ("", ValueError),
    ("5", ValueError),
    ("s", ValueError),
    ("5 parsecs", ValueError),
    ("-5s", ValueError),
    ("0s", ValueError),
    ("nans", ValueError),
    (True, TypeError),
    (b"5s", TypeError),
    ([5], TypeError),
]


@pytest.mark.parametrize(("given", "error"), BAD_DURATIONS, ids=repr)
def test_bad_durations_say_what_was_given(given: Any, error: type[Exception]) -> None:
    c = cache_of({1: "old"}, ttl=7)
    calls: list[tuple[str, Any]] = [
        ("ttl", lambda: AnyCache(ttl=given)),
        ("idle", lambda: AnyCache(idle=given)),
        ("ttl", lambda: c.set(1, "new", ttl=given)),
        ("ttl", lambda: c.touch(1, ttl=given)),
        ("ttl", lambda: c.set_many([1], ["new"], ttl=given)),
    ]
    for name, call in calls:
        with pytest.raises(error, match=name) as caught:
            call()
        told = repr(given) if error is ValueError else type(given).__name__
        assert told in str(caught.value)
    assert c == {1: "old"} and c.stats()["sets"] == 1


BAD_BOUNDS: list[tuple[str, Any, type[Exception]]] = [
    ("max_items", 0, ValueError),
    ("max_items", -1, ValueError),
    ("max_items", 1.5, TypeError),
    ("max_items", "many", TypeError),
    ("max_items", True, TypeError),
    ("max_bytes", 0, ValueError),
    ("max_bytes", -1, ValueError),
    ("max_bytes", "lots", ValueError),
    ("max_bytes", "5 MiBs", ValueError),
    ("max_bytes", "MiB", ValueError),
    ("max_bytes", "-1MiB", ValueError),
    ("max_bytes", "nanMiB", ValueError),
    ("max_bytes", 1.5, TypeError),
    ("max_bytes", True, TypeError),
]


@pytest.mark.parametrize(("name", "given", "error"), BAD_BOUNDS)
def test_bad_bounds(name: str, given: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name) as caught:
        AnyCache(**{name: given})
    assert (repr(given) if error is ValueError else type(given).__name__) in str(caught.value)


@pytest.mark.parametrize("name", ["on_remove", "timer"])
def test_what_is_called_must_be_callable(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        AnyCache(**{name: 5})


def test_keywords_only_and_known_ones() -> None:
    with pytest.raises(TypeError):
        AnyCache(60)
    with pytest.raises(TypeError):
        AnyCache({1: 2})
    with pytest.raises(TypeError, match="maxsize"):
        AnyCache(maxsize=5)
    for key, value in [(list, object), (object, dict), (float, int), (5, int)]:
        with pytest.raises(TypeError):
            AnyCache(key=key, value=value)


def test_what_it_was_made_with_can_be_read() -> None:
    clock, log = Clock(), Removals()
    c = AnyCache(
        ttl="1h", idle="10m", max_items=5, max_bytes="1MiB", key=int, value=bytes, on_remove=log, timer=clock
    )
    assert (c.ttl, c.idle, c.max_items, c.max_bytes) == (3600.0, 600.0, 5, 1 << 20)
    assert c.kinds == (int, bytes) and c.on_remove is log and c.timer is clock
    plain = AnyCache()
    names = ("ttl", "idle", "max_items", "max_bytes", "on_remove")
    assert all(getattr(plain, name) is None for name in names) and plain.kinds == (object, object)
    for name in (*names, "kinds", "timer"):
        with pytest.raises(AttributeError):
            setattr(plain, name, None)


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_every_combination_of_kinds(kinds: tuple[type, type]) -> None:
    model, clock = model_of(kinds), Clock()
    c = cache_of(model, key=kinds[0], value=kinds[1], ttl=60, timer=clock)
    assert c.kinds == kinds
    agrees(c, model)
    clock.advance(60)
    agrees(c, {})


def test_values_of_a_dtype() -> None:
    record = np.dtype([("id", "i8"), ("name", "S8")])
    c = AnyCache(key=int, value=record, ttl=60)
    assert c.kinds == (int, record)
    c[1] = (7, b"seven")
    assert c[1]["id"] == 7 and c[1]["name"] == b"seven"
    numbers = AnyCache(key=int, value=np.dtype("f4"), ttl=60)
    numbers.set_many(np.arange(5), np.arange(5) / 2)
    found = numbers.get_many(np.arange(5))
    assert isinstance(found, np.ndarray) and (found == np.arange(5) / 2).all()


def test_wrong_kinds_change_nothing() -> None:
    c = cache_of({1: b"one"}, key=int, value=bytes)
    calls: list[tuple[type[Exception], Any]] = [
        (TypeError, lambda: c.set("a", b"x")),
        (TypeError, lambda: c.set(1, "x")),
        (OverflowError, lambda: c.set(2**70, b"x")),
        (TypeError, lambda: c.set_many([2, "a"], [b"x", b"y"])),
        (TypeError, lambda: c.setdefault(2, 5)),
        (ValueError, lambda: c.set_many([1, 2], [b"x"])),
    ]
    for error, call in calls:
        with pytest.raises(error):
            call()
    agrees(c, {1: b"one"})
    assert c.stats()["sets"] == 1
    unhashable = AnyCache()
    for call in (lambda: unhashable.set([], 1), lambda: unhashable.get([]), lambda: unhashable.touch([])):
        with pytest.raises(TypeError, match="unhashable"):
            call()
