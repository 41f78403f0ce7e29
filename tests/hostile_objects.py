"""Objects that turn against the map or cache they are in, and what is done to it meanwhile."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from map_helpers import agrees


class Bad(Exception):  # noqa: N818
    """Raised on purpose."""


class Key:
    """Equal by name, of a hash that all share; runs `act` the first few times that it is compared.

    Only the first: a lookup that finds fresh keys after each comparison has no end, in dict neither.
    """

    act: Callable[[], object] | None = None
    acts_left = 0

    def __init__(self, name: object) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 42

    def __eq__(self, other: object) -> bool:
        act, Key.act = Key.act, None  # not while the action compares
        if act is not None:
            try:
                act()
            finally:
                Key.acts_left -= 1
                Key.act = act if Key.acts_left > 0 else None
        return isinstance(other, Key) and self.name == other.name

    def __repr__(self) -> str:
        return f"Key({self.name})"

    @classmethod
    def arm(cls, act: Callable[[], object] | None) -> None:
        cls.act, cls.acts_left = act, 4


def without_recursion_left(work: Callable[..., object], *args: object) -> object:
    """What `work`, which is no Python function, gives where any call but its own is one too deep."""
    try:
        return without_recursion_left(work, *args)
    except RecursionError:
        return work(*args)


class Dying:
    """A value, or key, whose end is `act`."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __del__(self) -> None:
        self.act()


class Node:
    """Something that can be weakly referred to."""

    def __init__(self, *parts: object) -> None:
        self.parts = parts


def nodes_left(make: Callable[[], object]) -> int:
    """How many nodes the collector leaves of what `make` makes, which nobody else refers to.

    Weak references would not tell: those to cyclic garbage are cleared first, whether it can be freed or not.
    """
    gc.collect()
    before = sum(isinstance(o, Node) for o in gc.get_objects())
    make()
    gc.collect()
    return sum(isinstance(o, Node) for o in gc.get_objects()) - before


class Unraisable:
    """Collects what was raised where nobody could catch it."""

    def __enter__(self) -> list[Any]:
        self._before = sys.unraisablehook
        seen: list[Any] = []
        sys.unraisablehook = seen.append
        return seen

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._before


# What is done with a map while a key of it is compared. Each returns nothing of interest.
CALLS: dict[str, Callable[[Any, Any], object]] = {
    "get": lambda m, key: m.get(key),
    "contains": lambda m, key: key in m,
    "getitem": lambda m, key: m.get(key) if key not in m else m[key],
    "set": lambda m, key: m.__setitem__(key, "new"),
    "delete": lambda m, key: m.pop(key, None),
    "setdefault": lambda m, key: m.setdefault(key, "default"),
    "update": lambda m, key: m.update([(key, "updated")]),
    "set_many": lambda m, key: m.set_many([key, Key("more")], ["bulk", "bulk"]),
    "get_many": lambda m, key: m.get_many([key, Key("x")]),
    "delete_many": lambda m, key: m.delete_many([key, Key("x")]),
    "equals": lambda m, key: m == {key: 1},
    "union": lambda m, key: m | {key: 1},
}


def popitem(m: Any) -> None:
    """Take one out; what ends while it is looked for may have taken the last."""
    with contextlib.suppress(KeyError):
        m.popitem()


# What a key's `__eq__` does to the map meanwhile.
ACTS: dict[str, Callable[[Any], object]] = {
    "clear": lambda m: m.clear(),
    "popitem": popitem,
    "insert": lambda m: m.__setitem__(Key(len(m)), "inserted"),
    "insert many": lambda m: m.update((i, i) for i in range(1000)),
    "delete": lambda m: m.pop(Key(1), None),
    "replace": lambda m: [m.__setitem__(key, "replaced") for key in list(m)],
    "clear and refill": lambda m: (m.clear(), m.update((Key(i), i) for i in range(3))),
    "collect": lambda m: gc.collect(1),
    "walk": lambda m: list(m.items()),
    "repr": repr,
    "copy": lambda m: m.copy(),
    "check": lambda m: m._check(),
}


def sound(m: Any) -> None:
    """Assert that a map or cache is whole after its keys have turned against it."""
    m._check()
    names = {f"Key({key.name})" if isinstance(key, Key) else str(key) for key in m}
    assert len(names) == len(m), "no key is in it twice"
    agrees(m, dict(m.items()))


def raising_keys_change_nothing(m: Any, model: dict[Any, Any], call: str, calls: dict[str, Any]) -> None:
    """Assert that what a key's `__eq__` raises comes out, and leaves what there was."""

    def raises() -> None:
        raise Bad

    for wanted in (0, 3, 9):
        Key.arm(raises)
        if call != "equals":  # compares lengths first
            with pytest.raises(Bad):
                calls[call](m, Key(wanted))
        Key.arm(None)
        agrees(m, model)


def acting_key(act: Callable[[], object]) -> Any:
    """A key that does something whenever it is hashed."""

    class Acting:
        def __hash__(self) -> int:
            act()
            return 7

        def __eq__(self, other: object) -> bool:
            return self is other

    return Acting()
