"""Copies of a `Cache`: with what is left of each lifetime, the same configuration, and none of the books."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cache_helpers import CLOCK, REMOVALS, AnyCache, adds_up, cache_of
from ebbmap import Cache
from map_helpers import KINDS, agrees, model_of, named

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
COPIES: list[Any] = [copy.copy, copy.deepcopy, lambda c: c.copy()]
COPIES += [lambda c, p=p: pickle.loads(pickle.dumps(c, p)) for p in PROTOCOLS]
IDS = ["copy.copy", "deepcopy", "copy()", *(f"pickle {p}" for p in PROTOCOLS)]
copies = pytest.mark.parametrize("copied", COPIES, ids=IDS)


class WithState(Cache[Any, Any]):
    """Has attributes, and an `__init__` that a copy can not call."""

    def __init__(self, name: str, **config: Any) -> None:
        super().__init__(**config)
        self.name = name


class WithSlots(Cache[Any, Any]):
    __slots__ = ("extra", "unset")

    extra: Any


class WithBoth(WithSlots):
    pass


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    CLOCK.now = 1000.0
    REMOVALS.clear()
    yield


@copies
@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_every_combination_of_kinds(copied: Any, kinds: tuple[type, type]) -> None:
    model = model_of(kinds)
    c = cache_of(model, key=kinds[0], value=kinds[1], ttl=60, timer=CLOCK)
    again = copied(c)
    assert type(again) is Cache and again is not c and again.kinds == c.kinds
    agrees(again, model)
    again.clear()
    agrees(c, model)
    CLOCK.advance(60)
    agrees(copied(c), {})


@copies
def test_dtypes(copied: Any) -> None:
    record = np.dtype([("a", "i4"), ("b", "S3")])
    c = cache_of({"k": (1, b"xy")}, key=str, value=record, ttl=60, timer=CLOCK)
    again = copied(c)
    assert again.kinds == (str, record) and again == c


@copies
def test_the_configuration(copied: Any) -> None:
    c = AnyCache(ttl=60, idle=30, max_items=5, max_bytes="1MiB", timer=CLOCK, on_remove=REMOVALS)
    again = copied(c)
    for name in ("ttl", "idle", "max_items", "max_bytes", "timer", "on_remove", "kinds"):
        assert getattr(again, name) == getattr(c, name)
    again.update({i: i for i in range(7)})
    assert len(again) == 5 and REMOVALS.causes() == ["evicted"] * 2
    CLOCK.advance(30)
    assert not again


@copies
def test_what_is_left_of_lifetimes(copied: Any) -> None:
    c = cache_of({1: 1}, ttl=60, timer=CLOCK)
    c.set(2, 2, ttl=1000)
    c.set(3, 3, ttl=float("inf"))
    CLOCK.advance(40)
    c.set(4, 4, ttl=1)
    CLOCK.advance(1)
    again = copied(c)
    assert [again.expires_in(key) for key in (1, 2, 3)] == [19, 959, None] and 4 not in again
    again[5] = 5
    assert again.expires_in(5) == 60, "new ones have the cache's"
    CLOCK.advance(19)
    assert set(again) == {2, 3, 5} and set(c) == {2, 3}


@copies
def test_what_is_left_of_idleness(copied: Any) -> None:
    c = cache_of({1: 1, 2: 2}, idle=10, timer=CLOCK)
    CLOCK.advance(7)
    c[2]
    again = copied(c)
    assert (again.expires_in(1), again.expires_in(2)) == (3, 10)
    CLOCK.advance(3)
    assert set(again) == {2} and again[2] == 2
    CLOCK.advance(9)
    assert set(again) == {2} and not c


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_keeps_what_is_left_not_the_moment(protocol: int) -> None:
    """It may be read in another process, whose clock began at another time."""
    c = cache_of({1: 1}, ttl=60, timer=CLOCK)
    CLOCK.advance(20)
    kept = pickle.dumps(c, protocol)
    CLOCK.now = 77.0
    again = pickle.loads(kept)
    assert again.expires_in(1) == 40
    CLOCK.advance(40)
    assert not again


@copies
def test_on_the_default_clock(copied: Any) -> None:
    c = cache_of({1: 1}, ttl=3600)
    again = copied(c)
    assert again.timer is None or callable(again.timer)
    assert 3590 < again.expires_in(1) <= 3600 and again == {1: 1}
    short = cache_of({1: 1}, ttl=0.05)
    again = copied(short)
    time.sleep(0.06)
    assert not again and not short


@copies
def test_the_books_begin_anew_and_balance(copied: Any) -> None:
    c = cache_of({i: i for i in range(100)}, ttl=60, max_items=50, timer=CLOCK)
    c.get(99), c.get(0), c.pop(98)
    again = copied(c)
    stats = adds_up(again)
    assert stats["entries"] == 49 and (stats["hits"], stats["misses"]) == (0, 0)
    before = adds_up(c)
    again.clear()
    adds_up(again)
    assert adds_up(c) == before


@copies
def test_nothing_is_told_by_copying(copied: Any) -> None:
    c = cache_of({i: i for i in range(20)}, ttl=60, max_items=20, timer=CLOCK, on_remove=REMOVALS)
    again = copied(c)
    del again
    assert not REMOVALS


@copies
def test_the_order_of_the_queue(copied: Any) -> None:
    """The oldest go first from a copy too."""
    c = AnyCache(max_items=20, key=int, value=int, timer=CLOCK)
    for i in range(35):
        c[i * 7 % 35] = i
    again = copied(c)
    for i in range(100, 115):
        again[i] = c[i] = i
        assert set(again) == set(c)


@copies
def test_bounds_hold_in_the_copy(copied: Any) -> None:
    c = AnyCache(max_bytes=64 << 10, key=int, value=bytes, timer=CLOCK)
    for i in range(2000):
        c[i] = bytes(i % 300)
    again = copied(c)
    assert again.nbytes <= 64 << 10 and again.items() <= c.items() and len(again) > len(c) * 0.8
    for i in range(2000):
        again[-i] = bytes(i % 300)
        assert again.nbytes <= 64 << 10
    adds_up(again)


@copies
def test_subclasses_keep_class_and_attributes(copied: Any) -> None:
    c: Any = WithState("mine", key=int, value=str, ttl=60, timer=CLOCK)
    c[1] = "a"
    again = copied(c)
    assert (type(again), again.name, again.kinds) == (WithState, "mine", (int, str))
    assert again == {1: "a"} and again.ttl == 60
    for cls in (WithSlots, WithBoth):
        slotted: Any = cls(ttl=60, timer=CLOCK)
        slotted[1] = 2
        slotted.extra = [1]
        again = copied(slotted)
        assert type(again) is cls and again.extra == [1] and again == {1: 2} and not hasattr(again, "unset")


@copies
def test_caches_in_themselves(copied: Any) -> None:
    c = AnyCache(ttl=60, timer=CLOCK)
    c["me"] = c
    again = copied(c)
    assert again["me"] is (c if copied in (COPIES[0], COPIES[2]) else again)


def test_depth_of_copies() -> None:
    c = cache_of({"a": [1]}, ttl=60, timer=CLOCK)
    assert c.copy()["a"] is c["a"] and copy.copy(c)["a"] is c["a"]
    deep = copy.deepcopy(c)
    assert deep["a"] == [1] and deep["a"] is not c["a"]


def test_a_deep_copy_keeps_what_entries_and_attributes_share() -> None:
    shared = [1]
    c = WithSlots(timer=CLOCK)
    c["a"], c.extra = shared, (shared, c)
    deep = copy.deepcopy(c)
    assert deep["a"] == [1] and deep["a"] is not shared
    assert deep.extra[0] is deep["a"] and deep.extra[1] is deep


def test_what_can_not_be_pickled_says_so() -> None:
    c = cache_of({1: 1}, timer=lambda: 0.0)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(c)
    assert c.copy() == {1: 1}


def test_a_pickle_of_many_entries() -> None:
    c = AnyCache(key=int, value=bytes, timer=CLOCK)
    for i in range(10_000):
        c.set(i, b"x" * (i % 100), ttl=1 + i)
    again = pickle.loads(pickle.dumps(c))
    again._check()
    assert again == c
    CLOCK.advance(5000)
    assert set(again) == set(range(5000, 10_000))


class Ticking:
    """Time that goes on by a step whenever it is read."""

    now, step = 1000.0, 0.5

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def __reduce__(self) -> str:
        return "TICKING"


TICKING = Ticking()


def lifetimes(c: Any) -> dict[Any, Any]:
    """What is left of each, at one moment."""
    step, c.timer.step = c.timer.step, 0.0
    left = {key: c.expires_in(key) for key in c}
    c.timer.step = step
    return left


@pytest.mark.parametrize("copied", COPIES[:3], ids=IDS[:3])
@pytest.mark.parametrize("config", [{}, {"max_items": 100}, {"idle": 70}], ids=str)
def test_a_copy_expires_when_its_original_does(copied: Any, config: dict[str, Any]) -> None:
    """However long the copying takes."""
    c = cache_of({i: i for i in range(100)}, ttl=60, timer=Ticking(), **config)
    again = copied(c)
    assert lifetimes(again) == lifetimes(c)
    assert 0 < len(lifetimes(c)) < 100


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_unpickled_lives_on_from_one_moment(protocol: int) -> None:
    """However long the reading takes."""
    c = cache_of({i: i for i in range(100)}, ttl=60, timer=TICKING)
    left = lifetimes(c)
    again = pickle.loads(pickle.dumps(c, protocol))
    now = lifetimes(again)
    assert 0 < len(now) < 100
    assert len({left[key] - now[key] for key in now}) == 1


@copies
def test_ttl_and_idle_are_kept_apart(copied: Any) -> None:
    c = cache_of({1: 1, 2: 2}, ttl=60, idle=10, timer=CLOCK)
    CLOCK.advance(7)
    again = copied(c)
    for _ in range(6):
        CLOCK.advance(2)
        again[1]
        assert again.expires_in(1) == 10
    assert set(again) == {1}
    while CLOCK.now < 1058:
        CLOCK.advance(3)
        again[1]
    assert again.expires_in(1) == 1060 - CLOCK.now, "no use is beyond the ttl"
