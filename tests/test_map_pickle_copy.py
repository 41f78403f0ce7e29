"""Copies: `copy`, `copy.copy`, `deepcopy`, and pickle in every protocol."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from ebbmap import Map
from map_helpers import KINDS, agrees, model_of, named

AnyMap: Any = Map
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
COPIES: list[Any] = [copy.copy, copy.deepcopy, lambda m: m.copy()]
COPIES += [lambda m, p=p: pickle.loads(pickle.dumps(m, p)) for p in PROTOCOLS]
IDS = ["copy.copy", "deepcopy", "copy()", *(f"pickle {p}" for p in PROTOCOLS)]


class WithState(Map[Any, Any]):
    """Has attributes, and an `__init__` that a copy can not call."""

    def __init__(self, name: str, *args: Any) -> None:
        super().__init__(*args)
        self.name = name


class WithSlots(Map[Any, Any]):
    __slots__ = ("extra", "unset")

    extra: Any


class WithBoth(WithSlots):
    pass


class Frozen(Map[Any, Any]):
    """Has attributes that can not be set."""

    name: str

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        object.__setattr__(self, "name", "mine")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is frozen")


class WithOwnState(Map[Any, Any]):
    """Leaves out of a pickle what should not be in it."""

    connection: Any = None

    def __getstate__(self) -> Any:
        return {"dropped": True}


class WithSetState(WithOwnState):
    restored: Any = None

    def __setstate__(self, state: Any) -> None:
        self.restored = state


@pytest.mark.parametrize("copied", [*COPIES, lambda m: m | {}], ids=[*IDS, "|"])
def test_own_state_is_set_as_the_class_does(copied: Any) -> None:
    again = copied(WithSetState({1: 2}))
    assert again == {1: 2} and again.restored == {"dropped": True}
    assert vars(again) == {"restored": {"dropped": True}}


@pytest.mark.parametrize("copied", COPIES, ids=IDS)
@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_every_combination_of_kinds(copied: Any, kinds: tuple[type, type]) -> None:
    model = model_of(kinds)
    m = AnyMap(*kinds, model)
    again = copied(m)
    assert type(again) is Map and again is not m and again.kinds == m.kinds
    agrees(again, model)
    again.clear()
    agrees(m, model)


@pytest.mark.parametrize("copied", COPIES, ids=IDS)
def test_dtypes(copied: Any) -> None:
    m = AnyMap(str, np.dtype([("a", "i4"), ("b", "S3")]), {"k": (1, b"xy")})
    again = copied(m)
    assert again.kinds == m.kinds and again == m


@pytest.mark.parametrize("copied", COPIES, ids=IDS)
def test_subclasses_keep_class_and_attributes(copied: Any) -> None:
    m = WithState("mine", int, str, {1: "a"})
    again: Any = copied(m)
    assert (type(again), again.name, again.kinds) == (WithState, "mine", (int, str)) and again == {1: "a"}
    slotted: Any = WithSlots({1: 2})
    slotted.extra = [1]
    again = copied(slotted)
    assert type(again) is WithSlots and again.extra == [1] and again == {1: 2} and not hasattr(again, "unset")
    both: Any = WithBoth({1: 2})
    both.extra, both.other = 1, 2
    again = copied(both)
    assert (again.extra, again.other) == (1, 2) and again == {1: 2}


@pytest.mark.parametrize("copied", [*COPIES, lambda m: m | {}, lambda m: {} | m])
def test_attributes_that_can_not_be_set_are_copied_too(copied: Any) -> None:
    again = copied(Frozen({1: 2}))
    assert type(again) is Frozen and again.name == "mine" and again == {1: 2}


def test_a_class_may_say_what_its_state_is() -> None:
    m = WithOwnState({1: 2})
    m.connection = open  # any object
    again: Any = pickle.loads(pickle.dumps(m))
    assert again == {1: 2} and again.connection is None and again.dropped is True
    shallow: Any = m.copy()
    assert shallow == {1: 2}


@pytest.mark.parametrize("copied", COPIES, ids=IDS)
def test_maps_in_themselves(copied: Any) -> None:
    m: Map[Any, Any] = Map()
    m["me"] = m
    again = copied(m)
    inner = again["me"]
    assert inner is (m if copied in (COPIES[0], COPIES[2]) else again)


def test_depth_of_copies() -> None:
    m: Map[str, list[int]] = Map({"a": [1]})
    assert m.copy()["a"] is m["a"] and copy.copy(m)["a"] is m["a"]
    deep = copy.deepcopy(m)
    assert deep["a"] == [1] and deep["a"] is not m["a"]
    key = (1, "key")
    assert next(iter(copy.deepcopy(AnyMap({key: 1})))) == key


def test_unions_keep_the_class_too() -> None:
    m = WithState("mine", {1: 2})
    for made in (m | {3: 4}, {3: 4} | m):
        assert type(made) is WithState and made.name == "mine" and made == {1: 2, 3: 4}


def test_shared_values_stay_shared() -> None:
    shared = [1]
    again = pickle.loads(pickle.dumps(Map({1: shared, 2: shared})))
    assert again[1] is again[2]


def test_a_pickle_of_many_entries() -> None:
    m = Map(int, bytes, {i: b"x" * (i % 100) for i in range(20_000)})
    again = pickle.loads(pickle.dumps(m))
    again._check()
    assert again == m


def test_setitem_of_a_subclass_is_used_when_unpickling() -> None:
    again = pickle.loads(pickle.dumps(Upper({"a": 1})))
    assert type(again) is Upper and dict(again) == {"A": 1}


class Upper(Map[str, int]):
    """Changes keys on the way in."""

    def __setitem__(self, key: str, value: int) -> None:
        super().__setitem__(key.upper(), value)
