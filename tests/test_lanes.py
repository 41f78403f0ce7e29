"""What the lanes of `Map` and `Cache` pass on to the general way: the key as it was given, and only once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ebbmap import Cache, Map

MAKERS: dict[str, Callable[..., Any]] = {
    "Map": Map,
    "Cache": lambda key, value: Cache(key=key, value=value),
    "Cache with a timer": lambda key, value: Cache(key=key, value=value, timer=lambda: 0.0),
    "Cache with on_remove": lambda key, value: Cache(key=key, value=value, on_remove=lambda *_: None),
}
KEYS: dict[str, tuple[Any, Any]] = {
    "int": (int, 10**6),
    "str": (str, "a key"),
    "str, not ASCII": (str, "ключ"),
    "bytes": (bytes, b"a key"),
    "object": (object, "a key"),
    "tuple": (object, ("a", "key")),
}

makers = pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
keys = pytest.mark.parametrize(("kind", "key"), KEYS.values(), ids=list(KEYS))


class Counted:
    """A key that counts how often it was hashed."""

    def __init__(self) -> None:
        self.hashed = 0

    def __hash__(self) -> int:
        self.hashed += 1
        return 28


class Number:
    """A value that only Python code makes a number of."""

    def __float__(self) -> float:
        return 0.5


class Broken:
    def __float__(self) -> float:
        raise ZeroDivisionError


class Value:
    """An object that can be weakly referenced."""


@makers
@keys
def test_an_absent_key_is_named_by_the_very_object(make: Callable[..., Any], kind: Any, key: object) -> None:
    m = make(kind, object)
    for operation in (m.__getitem__, m.__delitem__):
        with pytest.raises(KeyError) as caught:
            operation(key)
        assert caught.value.args[0] is key
    assert key not in m
    assert m.get(key) is None
    assert m.get(key, m) is m


@keys
@pytest.mark.parametrize("cls", [Map, Cache])
def test_missing_is_given_the_very_object(cls: Any, kind: Any, key: object) -> None:
    class WithMissing(cls):  # type: ignore[misc]
        def __missing__(self, key: object) -> list[object]:
            return [key]

    m = WithMissing(kind, object) if cls is Map else WithMissing(key=kind)
    assert m[key][0] is key


@makers
@keys
def test_a_value_that_takes_python_code_is_set(make: Callable[..., Any], kind: Any, key: object) -> None:
    m = make(kind, float)
    for value in (Number(), 1.5, Number()):
        m[key] = value
    with pytest.raises(ZeroDivisionError):
        m[key] = Broken()
    assert m[key] == 0.5 and m.get(key) == 0.5 and key in m
    del m[key]
    assert len(m) == 0


@makers
@keys
def test_what_is_replaced_or_removed_dies_at_once(make: Callable[..., Any], kind: Any, key: object) -> None:
    m, value = make(kind, object), Value()
    m[key], dead = value, weakref.ref(value)
    del value
    m[key] = None
    assert dead() is None
    m[key] = value = Value()
    dead = weakref.ref(value)
    del value, m[key]
    assert dead() is None


@makers
def test_a_key_is_hashed_once_an_operation(make: Callable[..., Any]) -> None:
    m, key = make(object, object), Counted()
    operations: list[Callable[[], object]] = [
        lambda: m.__setitem__(key, 1),
        lambda: m.__setitem__(key, 2),
        lambda: m[key],
        lambda: m.get(key),
        lambda: key in m,
        lambda: m.__delitem__(key),
        lambda: m.get(key),
    ]
    for number, operation in enumerate(operations, 1):
        operation()
        assert key.hashed == number
