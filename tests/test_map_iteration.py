"""Walking over a map: each entry once, and what ends a walk."""

from __future__ import annotations

import gc
import operator
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ebbmap import Map
from map_helpers import KINDS, model_of, named

AnyMap: Any = Map
VIEWS: list[Callable[[Any], Any]] = [iter, lambda m: iter(m.values()), lambda m: iter(m.items())]


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_each_entry_is_met_once(kinds: tuple[type, type]) -> None:
    model = model_of(kinds)
    m = AnyMap(*kinds, model)
    assert len(list(m)) == len(model) and set(m) == set(model)
    items = list(m.items())
    assert len(items) == len(model) and dict(items) == model
    assert list(m.values()) == [model[key] for key in m], "views walk in one order"
    assert list(m) == list(m.keys()) == [key for key, _ in items]


@pytest.mark.parametrize("n", [0, 1, 11, 12, 13, 500, 20_000])
def test_any_number_of_entries(n: int) -> None:
    m = Map(int, int, {i: -i for i in range(n)})
    assert sorted(m) == list(range(n)) and sorted(m.values()) == list(range(1 - n, 1))


@pytest.mark.parametrize("view", VIEWS)
def test_inserting_or_removing_ends_a_walk(view: Callable[[Any], Any]) -> None:
    changes: list[Callable[[Any], Any]] = [
        lambda m: m.__setitem__(100, 0),
        lambda m: m.__delitem__(1),
        lambda m: m.pop(1),
        lambda m: m.popitem(),
        lambda m: m.clear(),
        lambda m: m.setdefault(100, 0),
        lambda m: m.update({100: 0}),
        lambda m: m.set_many([100], [0]),
        lambda m: m.delete_many([1]),
        lambda m: m.set_many(np.array([100]), np.array([0])),
        lambda m: m.delete_many(np.array([1])),
        lambda m: (m.pop(1), m.__setitem__(1, 1)),  # the size is the same again
    ]
    for change in changes:
        m = Map(int, int, {i: i for i in range(10)})
        walk = view(m)
        next(walk)
        change(m)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="changed size during iteration"):
                next(walk)


@pytest.mark.parametrize("kinds", [(int, int), (int, bytes), (str, str), (object, object)], ids=named)
def test_values_may_be_replaced_during_a_walk(kinds: tuple[type, type]) -> None:
    key_of: Any = {int: int, str: str, object: int}[kinds[0]]
    value_of: Any = {int: int, bytes: lambda i: b"x" * i, str: lambda i: "y" * i, object: int}[kinds[1]]
    m = AnyMap(*kinds, {key_of(i): value_of(i) for i in range(2000)})
    seen = []
    for key in m:
        seen.append(key)
        m[key] = value_of(3000 - int(key))  # another length, another place
    assert sorted(seen, key=int) == [key_of(i) for i in range(2000)]
    assert all(value == value_of(3000 - int(key)) for key, value in m.items())
    m._check()


@pytest.mark.parametrize("view", VIEWS)
def test_an_exhausted_walk_stays_so(view: Callable[[Any], Any]) -> None:
    m = Map(int, int, {1: 1})
    walk = view(m)
    assert iter(walk) is walk and operator.length_hint(walk) == 1
    assert len(list(walk)) == 1 and operator.length_hint(walk) == 0
    m[2] = 2
    assert list(walk) == []


def test_a_failed_lookup_or_equal_set_is_no_change() -> None:
    m = Map(int, int, {1: 1, 2: 2})
    walk = iter(m)
    next(walk)
    m.get(9), m.pop(9, None), m.setdefault(1, 5), m.delete_many([9])
    m.update({1: 1})
    next(walk)


def test_a_walk_keeps_its_map_alive_until_its_end() -> None:
    m: Map[int, int] | None = Map(int, int, {1: 1})
    assert m is not None
    gone = weakref.ref(m)
    walk = iter(m)
    m = None
    assert list(walk) == [1]
    assert gone() is None


def test_a_cycle_through_a_walk_is_collected() -> None:
    m: Map[Any, Any] = Map()
    m["walk"] = iter(m.items())
    gone = weakref.ref(m)
    del m
    gc.collect()
    assert gone() is None


def test_two_walks_at_once() -> None:
    m = Map(int, int, {i: i for i in range(50)})
    assert sum(1 for _ in m for _ in m) == 2500


def test_reversed_is_not_offered_as_there_is_no_order() -> None:
    with pytest.raises(TypeError):
        reversed(AnyMap())


def test_popitem_while_there_is_one() -> None:
    model = {i: str(i) for i in range(3000)}
    m = Map(int, str, model)
    while m:
        key, value = m.popitem()
        assert model.pop(key) == value
        if len(m) % 100 == 0:
            m._check()
    assert not model and m.nbytes < 16 << 10
