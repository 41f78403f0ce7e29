"""`Cache` is a mapping over what is alive: CPython's own tests of one, views, walks, equality."""

from __future__ import annotations

import collections
import math
import operator
import threading
from collections.abc import Callable, Iterator, MutableMapping
from reprlib import recursive_repr
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from cache_helpers import AnyCache, Clock, adds_up, cache_of
from cpython_tests import PROTOCOL_TESTS, passes, subclasses
from ebbmap import Cache, Map
from map_helpers import agrees, together


class Expiring(Cache[Any, Any]):
    """Made with no arguments, as the tests make them, but with everything on."""

    def __init__(self) -> None:
        super().__init__(ttl=3600, idle=3600, max_items=100_000, max_bytes="1GiB")


class LikeDict(Cache[Any, Any]):
    """With what is dict's own, and not a cache's: contents to begin with, `fromkeys`, and its repr."""

    def __init__(self, **contents: Any) -> None:
        super().__init__()
        self.update(contents)

    @classmethod
    def fromkeys(cls, keys: Any, value: Any = None) -> LikeDict:
        made = cls()
        for key in keys:
            made[key] = value
        return made

    @recursive_repr("{...}")
    def __repr__(self) -> str:
        return repr(dict(self))


CLASSES: list[type[Cache[Any, Any]]] = [Cache, *subclasses(Cache), Expiring, LikeDict]
DICT_ONLY = {"test_constructor", "test_fromkeys", "test_repr"}
PROTOCOL = [
    (name, cls) for name in PROTOCOL_TESTS for cls in CLASSES if cls is LikeDict or name not in DICT_ONLY
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(("name", "cls"), PROTOCOL)
def test_cpython_mapping_protocol(cls: type[Cache[Any, Any]], name: str) -> None:
    passes(name, cls)


def test_it_is_a_mutable_mapping_as_dict_is() -> None:
    c: MutableMapping[str, int] = cache_of({"a": 1})
    assert isinstance(c, MutableMapping) and bool(c) and not AnyCache()
    assert list(MappingProxyType(c)) == ["a"]
    assert collections.ChainMap({}, c)["a"] == 1
    with pytest.raises(TypeError, match="unhashable type: 'Cache'"):
        hash(c)


def test_missing_keys_raise_key_error_with_the_key() -> None:
    for cls in CLASSES:
        c: Any = cls()
        c["a"] = 1
        calls: list[Any] = [
            lambda c=c: c[("x",)],
            lambda c=c: c.pop(("x",)),
            lambda c=c: c.__delitem__(("x",)),
            lambda c=c: c.expires_in(("x",)),
        ]
        for call in calls:
            with pytest.raises(KeyError) as caught:
                call()
            assert caught.value.args == (("x",),)
        with pytest.raises(KeyError, match="empty"):
            cls().popitem()


def test_missing_is_called_for_subclasses_and_only_by_getitem(clock: Clock) -> None:
    class Doubling(Cache[int, int]):
        def __missing__(self, key: int) -> int:
            self[key] = 2 * key
            return self[key]

    c: Any = Doubling(ttl=60, timer=clock)
    assert c.get(4) is None and 4 not in c and c.pop(4, None) is None and c.get_many([4]) == [None]
    assert c[4] == 8 and c == {4: 8}
    c[4] = 1
    assert c[4] == 1
    clock.advance(60)
    assert c[4] == 8, "missing again once it has expired"
    adds_up(c)


def test_defaults(clock: Clock) -> None:
    c = cache_of({1: "a", 3: None}, timer=clock)
    assert (c.get(1), c.get(2), c.get(2, "d"), c.get(3, "d")) == ("a", None, "d", None)
    assert (c.pop(1, "d"), c.pop(1, "d"), c.pop(1, None), c.pop(3, "d")) == ("a", "d", None, None)
    assert (c.setdefault(1), c.setdefault(1, "x"), c.setdefault(2, "y")) == (None, None, "y")


def test_update_takes_what_dict_takes(clock: Clock) -> None:
    class Keyed:
        def keys(self) -> Iterator[str]:
            return iter("ab")

        def __getitem__(self, key: str) -> str:
            return key.upper()

    c = AnyCache(timer=clock)
    c.update({"a": 1})
    c.update(c)
    c.update({"b": 2}, c=3)
    c.update([("d", 4)])
    c.update((k, v) for k, v in [("e", 5)])
    c.update(Map({"f": 6}))
    c.update(cache_of({"g": 7}))
    c.update()
    agrees(c, dict(zip("abcdefg", range(1, 8), strict=True)))
    c.update(Keyed())
    assert c["a"] == "A" and c["b"] == "B"
    for bad, error in [
        (5, TypeError),
        ([1], TypeError),
        ([("a", 1), ("b",)], ValueError),
        ([([], 1)], TypeError),
    ]:
        with pytest.raises(error):
            c.update(bad)
    adds_up(c)


def test_union_operators(clock: Clock) -> None:
    c = cache_of({1: 1, 2: 2}, key=int, value=int, ttl=60, timer=clock)
    clock.advance(20)
    merged = c | {2: 3}
    assert merged == {1: 1, 2: 3} and merged.kinds == (int, int) and merged.ttl == 60
    assert (merged.expires_in(1), merged.expires_in(2)) == (40, 60)
    assert {2: 3, 4: 4} | c == {1: 1, 2: 2, 4: 4}
    same = c
    same |= [(5, 5)]
    assert same is c and c == {1: 1, 2: 2, 5: 5}
    attempts: list[Callable[[], object]] = [lambda: c | [(1, 1)], lambda: [(1, 1)] | c, lambda: c | 1]
    for operate in attempts:
        with pytest.raises(TypeError, match="unsupported operand"):
            operate()
    with pytest.raises(TypeError):
        c | {1: "a"}
    adds_up(c)


def test_union_operators_call_neither_update_nor_copy_of_a_subclass(clock: Clock) -> None:
    calls: list[str] = []

    class Overriding(Cache[Any, Any]):
        def update(self, *args: Any, **kwargs: Any) -> None:
            calls.append("update")

        def copy(self) -> Any:
            calls.append("copy")

    c: Any = Overriding(ttl=60, timer=clock)
    same = c
    same |= {"a": 1}
    same |= [("b", 2)]
    assert same is c and c == {"a": 1, "b": 2}
    assert c | {"c": 3} == {"a": 1, "b": 2, "c": 3} and {"a": 0, "c": 3} | c == {"a": 1, "b": 2, "c": 3}
    assert type(c | {}) is type({} | c) is Overriding and calls == []
    adds_up(c)


def test_equality_with_any_mapping(clock: Clock) -> None:
    c = cache_of({"a": 1, "b": [2]}, ttl=60, timer=clock)
    same = {"b": [2], "a": 1}
    for other in (same, collections.OrderedDict(same), MappingProxyType(same), Map(same), cache_of(same)):
        assert c == other and other == c and not operator.ne(c, other)
    for other in ({"a": 1}, {"a": 1, "c": [2]}, {"a": 1, "b": [3]}, [("a", 1), ("b", [2])], 5, None):
        assert c != other and not operator.eq(c, other)
    with_default = collections.defaultdict(int, a=1)
    assert c != with_default and len(with_default) == 1
    clock.advance(60)
    assert c == {} and c != same


def test_equality_of_two_that_expire_apart(clock: Clock) -> None:
    one, two = cache_of({1: 1}, ttl=10, timer=clock), cache_of({1: 1}, ttl=20, timer=clock)
    assert one == two
    clock.advance(10)
    assert one != two and one == {}
    clock.advance(10)
    assert one == two == Map()


def test_views_are_live_and_sets(clock: Clock) -> None:
    c = cache_of({"a": 1}, ttl=60, timer=clock)
    keys, values, items = c.keys(), c.values(), c.items()
    c.set("b", 2, ttl=90)
    assert set(keys) == {"a", "b"} and sorted(values) == [1, 2] and set(items) == {("a", 1), ("b", 2)}
    assert len(keys) == len(values) == len(items) == 2
    for operate in (operator.and_, operator.or_, operator.sub, operator.xor):
        assert operate(keys, {"a", "x"}) == operate({"a", "b"}, {"a", "x"})
        assert operate(items, {("a", 1)}) == operate({("a", 1), ("b", 2)}, {("a", 1)})
    assert keys == {"a", "b"} and {"a", "b"} == keys and keys > {"a"} and keys.isdisjoint({"x"})
    assert "a" in keys and "x" not in keys and 2 in values and ("a", 1) in items and ("a", 2) not in items
    assert all(view.mapping is c for view in (keys, values, items))
    clock.advance(60)
    assert set(keys) == {"b"} and list(values) == [2] and list(items) == [("b", 2)]
    assert len(keys) == len(values) == len(items) == 1
    assert "a" not in keys and 1 not in values and ("a", 1) not in items
    clock.advance(30)
    assert not keys and not values and not items
    stats = adds_up(c)
    assert (stats["hits"], stats["misses"]) == (0, 0), "views are no use of an entry"


def test_views_of_inline_keys_answer_for_any_object() -> None:
    c = cache_of({1: 1}, key=int, value=int)
    keys = c.keys()
    assert "a" not in keys and 2**70 not in keys and ("a", 1) not in c.items()
    assert keys & {1, "a"} == {1} and keys != {"a"}


def test_repr(clock: Clock) -> None:
    c = cache_of({"a": 1}, ttl=60, timer=clock)
    assert "'a': 1" in repr(c)
    assert repr(c.keys()) == "KeysView(['a'])" and repr(c.items()) == "ItemsView([('a', 1)])"
    clock.advance(60)
    assert "'a'" not in repr(c)
    itself = AnyCache()
    itself[1] = itself
    assert "..." in repr(itself)


def test_sizeof_is_nbytes(clock: Clock) -> None:
    c = cache_of({i: i for i in range(1000)}, key=int, value=int, ttl=60, timer=clock)
    assert c.__sizeof__() == c.nbytes == c.stats()["nbytes"]


# --- statistics ----------------------------------------------------------------------------------------


def test_stats(clock: Clock) -> None:
    c = AnyCache(key=int, value=int, ttl=60, max_items=5, timer=clock)
    c.update({i: i for i in range(7)})  # 0 and 1 are evicted
    c.get(0), c.get(6), c[6], c.get_many([1, 2, 6]), c.setdefault(6, 1)
    with pytest.raises(KeyError):
        c[0]
    c.setdefault(7, 7)  # evicts 3, as 2 was used
    c[7] = 8
    c.pop(7), c.popitem()
    clock.advance(60)
    c[1] = 1
    c.clear()
    stats = adds_up(c)
    expected = {
        "hits": 5,
        "misses": 4,
        "sets": 10,
        "replaced": 1,
        "expired": 3,
        "evicted_by_count": 3,
        "evicted_by_bytes": 0,
        "deleted": 2,
        "cleared": 1,
        "removed": 3,
        "entries": 0,
        "payload_bytes": 0,
    }
    assert {name: stats[name] for name in expected} == expected
    assert stats["nbytes"] == c.nbytes
    assert stats.keys() >= Map().stats().keys()
    assert all(type(value) is int for value in stats.values())


def test_stats_of_many(clock: Clock) -> None:
    c = AnyCache(key=int, value=int, ttl=60, timer=clock)
    c.set_many(np.arange(1000), np.arange(1000))
    c.set_many([5, 5, 2000], [1, 2, 3])
    c.get_many(np.arange(500, 1500), mask=True)
    c.delete_many(np.arange(10))
    stats = adds_up(c)
    assert (stats["sets"], stats["replaced"], stats["deleted"]) == (1003, 2, 10)
    assert (stats["hits"], stats["misses"]) == (500, 500)


def test_lifetime_for_memoizing(clock: Clock) -> None:
    c = AnyCache(ttl=60, timer=clock)
    c[1] = None
    c.set(2, "two", ttl=float("inf"))
    assert c._get_with_lifetime(1) == (None, 60) and c._get_with_lifetime(2) == ("two", float("inf"))
    assert c._get_with_lifetime(3) is None
    clock.advance(60)
    assert c._get_with_lifetime(1) is None
    stats = adds_up(c)
    assert (stats["hits"], stats["misses"]) == (2, 2)


# --- bulk ----------------------------------------------------------------------------------------------


def test_get_many_as_for_a_map(clock: Clock) -> None:
    c = cache_of({1: 10, 2: 20}, key=int, value=int, ttl=60, timer=clock)
    assert c.get_many([1, 9, 2]) == [10, None, 20] and c.get_many([9], "d") == ["d"]
    assert c.get_many(iter([1, 9]), mask=True) == ([10, None], [True, False])
    arrays = c.get_many(np.array([1, 9]), mask=True)
    assert arrays[0].tolist() == [10, 0] and arrays[1].tolist() == [True, False]
    assert c.get_many(np.array([9, 2]), -1).tolist() == [-1, 20]
    with pytest.raises(KeyError):
        c.get_many(np.array([9]))
    clock.advance(60)
    assert c.get_many(np.array([1, 2]), -1).tolist() == [-1, -1]
    adds_up(c)


def test_delete_many_counts_only_what_was_alive(clock: Clock) -> None:
    c = cache_of({1: 1, 2: 2}, key=int, value=int, ttl=60, timer=clock)
    c.set(3, 3, ttl=90)
    clock.advance(60)
    assert c.delete_many([1, 3, 3, 9]) == 1 and c.delete_many(np.array([2])) == 0
    stats = adds_up(c)
    assert (stats["expired"], stats["deleted"]) == (2, 1)


def test_set_many_is_all_or_nothing_for_wrong_kinds(clock: Clock) -> None:
    c = cache_of({1: 1}, key=int, value=int, timer=clock)
    for keys, values in [([1, "a"], [5, 5]), ([1, 2], [5, "b"]), ([1, 2], [5]), ([1], [5, 6])]:
        with pytest.raises((TypeError, ValueError)):
            c.set_many(keys, values)
        agrees(c, {1: 1})
    assert adds_up(c)["sets"] == 1


# --- walks ---------------------------------------------------------------------------------------------


class RunningClock(Clock):
    """Time that moves on with every look at it, as it does for others while one call is under way."""

    def __call__(self) -> float:
        return self.advance(1)


@pytest.mark.parametrize("limit", ["ttl", "idle"])
@pytest.mark.parametrize("kinds", [(object, object), (int, bytes), (str, int)])
def test_a_dict_of_the_items_does_not_fail_while_entries_expire(kinds: tuple[type, type], limit: str) -> None:
    key_of, value_of = (int if kind is object else kind for kind in kinds)
    model = {key_of(i): value_of(i % 50) for i in range(200)}
    lasting = {key_of(-1 - i): value_of(i) for i in range(20)}

    def expiring() -> Any:
        c = AnyCache(key=kinds[0], value=kinds[1], timer=RunningClock(), **{limit: 300})
        for key, value in lasting.items():
            c.set(key, value, ttl=math.inf)
        c.update(model)
        return c

    if limit == "ttl":
        with pytest.raises(KeyError):
            dict(expiring())  # which reads each key by itself
    c = expiring()
    found = dict(c.items())
    assert found.items() <= (model | lasting).items()
    assert 0 < len(found) < len(model | lasting), "some expired meanwhile"
    if limit == "ttl":
        assert lasting.items() <= found.items()
    stats = adds_up(c)
    assert (stats["hits"], stats["misses"]) == (0, 0)


def test_a_dict_of_the_items_does_not_fail_beside_a_thread_that_removes(clock: Clock) -> None:
    c = AnyCache(key=int, value=int, ttl=2, timer=clock)
    lasting = {-i: i for i in range(1, 100)}
    for key, value in lasting.items():
        c.set(key, value, ttl=math.inf)
    done = threading.Event()

    def churn() -> None:
        for i in range(2000):
            c[i] = i
            if i % 10 == 0:
                clock.advance(1)
                c.expire()
        done.set()

    def read() -> None:
        while not done.is_set():
            found = dict(c.items())
            assert lasting.items() <= found.items()
            assert all(value == abs(key) for key, value in found.items())

    together(churn, read)
    assert adds_up(c)["hits"] == 0


def test_reading_the_items_is_no_use_of_them(clock: Clock) -> None:
    c = cache_of({1: 1, 2: 2}, idle=10, timer=clock)
    clock.advance(6)
    assert dict(c.items()) == {1: 1, 2: 2}
    clock.advance(4)
    assert dict(c.items()) == {}
    assert (adds_up(c)["hits"], adds_up(c)["misses"]) == (0, 0)


@pytest.mark.parametrize(
    "read",
    [
        list,
        sorted,
        lambda c: list(c.keys()),
        lambda c: tuple(c.values()),
        lambda c: list(c.items()),
        lambda c: dict(c.items()),
        lambda c: repr(c.items()),
        repr,
    ],
)
def test_reading_all_where_on_remove_sets_a_key_anew(read: Callable[[Any], Any], clock: Clock) -> None:
    """`list` asks for the length once it has the iterator, and `len` removes what has expired."""

    def renew(key: int, value: int, cause: str) -> None:
        if cause == "expired":
            c[key + 1000] = value

    c = AnyCache(ttl=10, timer=clock, on_remove=renew)
    c.update({i: i for i in range(10)})
    clock.advance(5)
    c[50] = 50
    clock.advance(5)
    assert "50" in str(read(c))
    c.expire()
    assert set(c) == {50, *range(1000, 1010)}
    adds_up(c)


VIEWS: list[Callable[[Any], Any]] = [iter, lambda c: iter(c.values()), lambda c: iter(c.items())]


@pytest.mark.parametrize("view", VIEWS)
def test_what_the_walker_inserts_ends_the_walk(view: Callable[[Any], Any], clock: Clock) -> None:
    inserts: list[Callable[[Any], object]] = [
        lambda c: c.set(100, 0),
        lambda c: c.setdefault(100, 0),
        lambda c: c.update({100: 0}),
        lambda c: c.set_many([100], [0]),
    ]
    for insert in inserts:
        c = cache_of({i: i for i in range(10)}, ttl=60, timer=clock)
        walk = view(c)
        next(walk)
        insert(c)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="during iteration"):
                next(walk)


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_else_does(view: Callable[[Any], Any], clock: Clock) -> None:
    changes: list[Callable[[Any], object]] = [
        lambda c: c.pop(5),
        lambda c: c.popitem(),
        lambda c: c.__delitem__(5),
        lambda c: c.delete_many([1, 2, 3]),
        lambda c: c.clear(),
        lambda c: c.set(5, "new"),
        lambda c: c.touch(5),
        lambda c: (clock.advance(5), c.expire()),
        lambda c: (clock.advance(5), len(c)),
        lambda c: (clock.advance(60), len(c)),
    ]
    for change in changes:
        c = cache_of({i: i for i in range(10)}, ttl=60, timer=clock)
        c.set_many([1, 3, 5], [1, 3, 5], ttl=5)
        walk = view(c)
        first = next(walk)
        change(c)
        rest = list(walk)
        assert first not in rest
        whole = list(view(c))
        assert len([item for item in whole if item in rest or item == first or "new" in str(item)]) == len(
            whole
        )
        assert list(walk) == []


@pytest.mark.parametrize("kinds", [(int, bytes), (object, object), (str, str)])
def test_what_is_there_all_along_comes_exactly_once(kinds: tuple[type, type], clock: Clock) -> None:
    """While others leave, end and change: entries move in the table, and none is met twice or missed."""
    key_of: Any = {int: int, object: int, str: str}[kinds[0]]
    value_of: Any = {bytes: lambda i: b"v" * (i % 50), object: int, str: lambda i: "v" * (i % 50)}[kinds[1]]
    n = 3000
    c = AnyCache(key=kinds[0], value=kinds[1], timer=clock)
    for i in range(n):
        c.set(key_of(i), value_of(i), ttl=None if i % 3 == 0 else 10 + i % 100)
    seen = []
    for at, key in enumerate(c):
        seen.append(int(key))
        if at % 10 == 0:
            clock.advance(0.5)
            c.pop(key_of((at * 7) % n // 3 * 3 + 1), None)
            c.touch(key, ttl=10)
        if int(key) % 3 == 0:
            c.set(key, value_of(at * 3))  # another length, another place
    assert len(set(seen)) == len(seen)
    assert set(range(0, n, 3)) <= set(seen)
    adds_up(c)


def test_a_walk_over_all_that_ends_meanwhile(clock: Clock) -> None:
    c = cache_of({i: i for i in range(1000)}, ttl=60, timer=clock, key=int, value=int)
    walk = iter(c.items())
    next(walk)
    clock.advance(60)
    assert list(walk) == [] and len(c) == 0
    c.update({i: i for i in range(1000)})
    walk = iter(c)
    next(walk)
    c.clear()
    c._check()
    assert list(walk) == []


def test_popitem_while_there_is_one(clock: Clock) -> None:
    model = {i: str(i) for i in range(1000)}
    c = cache_of(model, ttl=60, timer=clock, key=int, value=str)
    c.set(-1, "gone", ttl=1)
    clock.advance(1)
    while c:
        key, value = c.popitem()
        assert model.pop(key) == value
    assert not model
    adds_up(c)
