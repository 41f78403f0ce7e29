"""Keys and values that use their map, raise, collect, or never end: no hang, no crash, no lost entry."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from ebbmap import Map
from hostile_objects import (
    ACTS,
    CALLS,
    Bad,
    Dying,
    Key,
    Node,
    Unraisable,
    acting_key,
    nodes_left,
    raising_keys_change_nothing,
    sound,
    without_recursion_left,
)
from map_helpers import agrees, changes_while_taken, run

AnyMap: Any = Map


@pytest.fixture(autouse=True)
def harmless() -> Iterator[None]:
    Key.arm(None)
    yield
    Key.arm(None)


# --- __eq__ --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("call", CALLS)
def test_eq_may_use_the_same_map(call: str, act: str) -> None:
    for wanted in (0, 2, 9):
        m: Map[Any, Any] = Map({Key(i): i for i in range(4)})
        Key.arm(partial(ACTS[act], m))
        CALLS[call](m, Key(wanted))
        Key.arm(None)
        sound(m)
        assert all(m[key] is value for key, value in m.items())


@pytest.mark.parametrize("call", CALLS)
def test_eq_may_raise(call: str) -> None:
    model: dict[Any, Any] = {Key(i): i for i in range(4)}
    raising_keys_change_nothing(Map(model), model, call, CALLS)


def test_a_lookup_settles_when_the_table_changes_at_each_comparison() -> None:
    m: Map[Any, Any] = Map()
    fresh = itertools.count()

    class Stirring:
        def __hash__(self) -> int:
            return 42

        def __eq__(self, other: object) -> bool:
            m[f"n{next(fresh)}"] = 1  # a change, but no further key of this hash
            return self is other

    for _ in range(30):
        m[Stirring()] = 1
    m._check()
    assert Stirring() not in m


def test_a_key_deleted_during_its_own_lookup_stays_deleted() -> None:
    m: Map[Any, Any] = Map({Key(1): "old"})
    Key.arm(m.clear)
    m[Key(1)] = "new"
    Key.arm(None)
    assert list(m.values()) == ["new"]


def test_eq_that_answers_no_bool() -> None:
    class Odd:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> Any:
            return Truth()

    class Truth:
        def __bool__(self) -> bool:
            raise Bad

    m: Map[Any, Any] = Map({Odd(): 1})
    with pytest.raises(Bad):
        m.get(Odd())
    m._check()


# --- __hash__ ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("call", CALLS)
def test_hash_may_use_the_same_map(call: str, act: str) -> None:
    m: Map[Any, Any] = Map({i: i for i in range(40)})
    CALLS[call](m, acting_key(partial(ACTS[act], m)))
    m._check()


@pytest.mark.parametrize("call", CALLS)
def test_hash_may_raise(call: str) -> None:
    class Acting:
        def __hash__(self) -> int:
            raise Bad

    m: Map[Any, Any] = Map({1: 1})
    with pytest.raises(Bad):
        CALLS[call](m, Acting())
    agrees(m, {1: 1})


def test_equal_hashes_do_not_evict_each_other() -> None:
    assert hash(-1) == hash(-2)
    for m in (AnyMap(), AnyMap(int, int)):
        m.update({-1: 1, -2: 2})
        assert m[-1] == 1 and m[-2] == 2 and len(m) == 2
        del m[-1]
        agrees(m, {-2: 2})


@pytest.mark.parametrize("count", [48, 49, 60, 150])
def test_many_equal_hashes(count: int) -> None:
    model: dict[Any, Any] = {Key(i): i for i in range(count)}
    m: Map[Any, Any] = Map(model)
    agrees(m, model)
    for i in range(0, count, 2):
        assert m.pop(Key(i)) == model.pop(Key(i))
    agrees(m, model)


def test_a_hash_that_changes_loses_only_its_own_key() -> None:
    class Fickle:
        value = 0

        def __hash__(self) -> int:
            return self.value

    key = Fickle()
    m: Map[Any, Any] = Map({key: 1, "other": 2})
    key.value = 1
    assert key not in m and m["other"] == 2 and len(m) == 2
    m._check()
    m.update((i, i) for i in range(5000))  # moved and split without asking again
    m._check()
    key.value = 0
    assert m[key] == 1


# --- __del__ -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("role", ["key", "value"])
def test_the_end_of_a_key_or_value_may_use_the_same_map(role: str, act: str) -> None:
    endings: dict[str, Callable[[Any], object]] = {
        "delete": lambda m: m.__delitem__(next(iter(m))),
        "replace": lambda m: [m.__setitem__(key, 0) for key in list(m)],
        "pop": lambda m: m.pop(next(iter(m))),
        "popitem": lambda m: m.popitem(),
        "clear": lambda m: m.clear(),
        "delete_many": lambda m: m.delete_many(list(m)),
        "set_many": lambda m: m.set_many(list(m), list(range(len(m)))),
        "update": lambda m: m.update(dict.fromkeys(m, 0)),
        "or": lambda m: m.__ior__(dict.fromkeys(m, 0)),
    }
    for ending in endings.values():
        deaths: list[int] = []
        m: Map[Any, Any] = Map()

        def dies(m: Map[Any, Any] = m, deaths: list[int] = deaths) -> None:
            deaths.append(1)
            if len(deaths) < 10:
                ACTS[act](m)

        for i in range(8):
            m[Dying(dies) if role == "key" else i] = Dying(dies) if role == "value" else i
        ending(m)
        m._check()
        m.clear()
        m._check()
        assert deaths and len(m) <= 1003


def test_an_end_that_raises_is_reported_and_harms_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def raises() -> None:
        raise Bad

    m: Map[Any, Any] = Map({i: Dying(raises) for i in range(5)})
    with Unraisable() as seen:
        del m[0]
        m[1] = None
        m.clear()
    assert len(seen) == 5 and not m
    m._check()


def test_a_map_that_dies_while_its_values_use_it() -> None:
    seen: list[object] = []
    m: Map[Any, Any] = Map()
    gone = weakref.ref(m)
    m[1] = Dying(lambda: seen.append(gone()))
    del m
    assert seen == [None]


# --- in itself, deep, and cyclic -----------------------------------------------------------------------


def test_a_map_in_itself() -> None:
    m: Map[Any, Any] = Map()
    m[1] = m
    assert repr(m) == "{1: {...}}" and m[1][1] is m and len(m) == 1
    assert m == m and m == m.copy()
    m["items"], m["values"], m["keys"] = m.items(), m.values(), m.keys()
    assert "..." in repr(m) and "..." in repr(m["items"]) and "..." in repr(m["values"])
    assert repr(m["keys"]) == f"KeysView({list(m)!r})"
    m._check()
    gone = weakref.ref(m)
    del m
    gc.collect()
    assert gone() is None


def test_maps_in_themselves_compare_as_dicts_do() -> None:
    for make in (dict, Map):
        a: Any = make()
        b: Any = make()
        a[1], b[1] = a, b
        with pytest.raises(RecursionError):
            assert a == b


def test_deep_repr_raises_recursion_error_and_no_more() -> None:
    m = deep()
    with pytest.raises(RecursionError):
        repr(m)
    with pytest.raises(RecursionError):
        m == copy.copy(m) and m == deep()


@pytest.mark.parametrize("key", ["a key", b"a key", 2**70], ids=type)
def test_keys_are_found_where_a_comparison_is_a_call_too_deep(key: Any) -> None:
    m = Map({key: 1})
    same = pickle.loads(pickle.dumps(key))
    assert same is not key
    assert without_recursion_left(m.__getitem__, same) == 1
    assert without_recursion_left(m.get, same) == 1
    without_recursion_left(m.__setitem__, same, 2)
    assert list(m.items()) == [(key, 2)]
    without_recursion_left(m.__delitem__, same)
    assert not m


def deep(levels: int = 20_000) -> Map[Any, Any]:
    """A map in a map in a map."""
    m: Map[Any, Any] = Map()
    for _ in range(levels):
        m, inner = Map(), m
        m[1] = inner
    return m


@pytest.mark.parametrize("wrap", ["value", "key", "tuple", "list", "mixed"])
def test_a_hundred_thousand_maps_deep(wrap: str) -> None:
    printed = run(
        """
        import sys
        from ebbmap import Map
        wrap = sys.argv[1]
        class Key:
            def __init__(self, inner): self.inner = inner
        m = Map()
        for i in range(100_000):
            outer = Map()
            if wrap == "value": outer[1] = m
            elif wrap == "key": outer[Key(m)] = 1
            elif wrap == "tuple": outer[1] = (m,)
            elif wrap == "list": outer[1] = [m]
            elif i % 2: outer[1] = {"a": m}
            else: outer[Key(m)] = [m]
            m = outer
        del m
        print("freed")
        """,
        wrap,
    )
    assert printed == "freed\n"


@pytest.mark.parametrize("how", ["clear", "del", "popitem", "replace", "delete_many"])
def test_a_deep_value_may_be_dropped_in_any_way(how: str) -> None:
    m: Map[Any, Any] = Map({1: deep()})
    drop: dict[str, Callable[[], object]] = {
        "clear": m.clear,
        "del": lambda: m.__delitem__(1),
        "popitem": m.popitem,
        "replace": lambda: m.__setitem__(1, 2),
        "delete_many": lambda: m.delete_many([1]),
    }
    drop[how]()
    m._check()


def cycles() -> dict[str, Callable[[], object]]:
    def by_value() -> object:
        m: Map[Any, Any] = Map()
        node = Node(m)
        m[1] = node
        return node

    def by_key() -> object:
        m: Map[Any, Any] = Map()
        node = Node(m)
        m[node] = 1
        return node

    def by_inline_key() -> object:
        m = AnyMap(str, object)
        node = Node(m)
        m["k"] = node
        return node

    def by_inline_value() -> object:
        m = AnyMap(object, bytes)
        node = Node(m)
        m[node] = b"v" * 1000
        return node

    def by_view() -> object:
        m: Map[Any, Any] = Map()
        node = Node(m.items(), m.keys(), iter(m.values()))
        m[1] = node
        return node

    def by_subclass() -> object:
        class Sub(Map[Any, Any]):
            pass

        m: Any = Sub()
        node = Node(m)
        m.attribute = node
        return node

    def by_class() -> object:
        class Sub(Map[Any, Any]):
            pass

        Sub.kept = Node(Sub({1: Sub}))  # type: ignore[attr-defined]
        return Sub.kept  # type: ignore[attr-defined]

    return dict(locals())


@pytest.mark.parametrize("name", cycles())
def test_cyclic_garbage_is_collected(name: str) -> None:
    assert nodes_left(cycles()[name]) == 0


def test_a_large_cycle_is_collected_while_others_stay() -> None:
    kept: Map[Any, Any] = Map({i: Node(i) for i in range(5000)})
    m: Map[Any, Any] = Map({i: Node() for i in range(5000)})
    m["me"] = m
    refs = [weakref.ref(value) for value in m.values()]
    del m
    gc.collect()
    assert not any(ref() for ref in refs)
    kept._check()
    assert all(kept[i].parts == (i,) for i in range(5000))


def test_collecting_at_every_allocation() -> None:
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        m: Map[Any, Any] = Map()
        for i in range(300):
            m[Node(i)] = [m, i]
            m[i] = (i,)
            if i % 3 == 0:
                m.popitem()
        list(m.items())
        m.copy()
        m._check()
    finally:
        gc.set_threshold(*before)


def test_the_collector_sees_what_a_map_refers_to() -> None:
    key, value = Node(), Node()
    m: Map[Any, Any] = Map({key: value})
    assert gc.is_tracked(m) and {id(key), id(value)} <= {id(o) for o in gc.get_referents(m)}
    inline = Map(int, bytes, {1: b"a"})
    assert not [o for o in gc.get_referents(inline) if not isinstance(o, type)]


# --- nothing is leaked ---------------------------------------------------------------------------------


def test_a_popped_pair_is_seen_by_the_collector() -> None:
    for value in (Node(), [1]):
        m: Map[Any, Any] = Map({("key",): value})
        pair = m.popitem()
        assert gc.is_tracked(pair) and gc.get_referents(pair) == [value, ("key",)]
        # CPython 3.14 lends a local variable to the call, where earlier ones give it a reference of its own.
        assert sys.getrefcount(pair) == (1 if sys.version_info >= (3, 14) else 2)
    pair[1].append(pair)
    pair[1].append(node := Node())
    gone = weakref.ref(node)
    del pair, value, node
    gc.collect()
    assert gone() is None


def test_values_that_change_while_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    changes_while_taken(AnyMap(int, "int32"), monkeypatch)


def test_references_are_counted_exactly() -> None:
    key, value, other = Node(), Node(), Node()
    m: Any
    counts = [sys.getrefcount(o) for o in (key, value, other)]
    for _ in range(20):
        m = Map()
        m[key] = value
        m[key] = other
        m[key] = value
        assert m[key] is value and m.get(key) is value and m.setdefault(key, other) is value
        list(m), list(m.items()), list(m.values()), repr(m), m.copy(), m | m, m == m.copy()
        m.get_many([key, other], value), m.set_many([key], [other]), m.delete_many([key, other])
        m.set_many([key, key], [value, other])
        assert m.pop(key) is other and m.pop(key, value) is value
        m[key] = value
        assert m.popitem() == (key, value)
        m.update({key: value})
        m.clear()
        m[key] = value
        del m[key]
        m.setdefault(key, value)
        copy.copy(m)
        with pytest.raises(TypeError):
            m.set_many([key, []], [value, value])
        with pytest.raises(KeyError):
            del m[other]
        del m
    assert [sys.getrefcount(o) for o in (key, value, other)] == counts


def test_an_equal_key_does_not_replace_the_one_there() -> None:
    first, second = Key(1), Key(1)
    m: Map[Any, Any] = Map({first: 1})
    count = sys.getrefcount(second)
    m[second] = 2
    m.set_many([second], [3])
    m.update({second: 4})
    assert next(iter(m)) is first and sys.getrefcount(second) == count and m[first] == 4


def test_tuples_of_plain_items_are_compared_without_a_call_and_others_are_asked() -> None:
    class Asked:
        def __init__(self, n: int) -> None:
            self.n, self.asked = n, 0

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            self.asked += 1
            return isinstance(other, Asked) and self.n == other.n

    m: Map[Any, Any] = Map()
    keys = [(1, "a"), (1, b"a"), (), ((),), (1, (2, ("x",))), (1, (2, ("x", (3, (4, (5,)))))), (True, 2.5)]
    for key in keys:
        m[key] = repr(key)
    assert [m[eval(repr(key))] for key in keys] == list(map(repr, keys))
    assert m[1.0, (2 + 0j, ("x",))] == repr(keys[4])
    assert len(m) == len(keys)
    asked = Asked(1)
    m[asked, 1] = "first"
    assert m[Asked(1), 1] == "first" and asked.asked == 1
    assert (Asked(2), 1) not in m and (Asked(1), 2) not in m
    assert m[asked, 1] == "first"
    nan = float("nan")
    m[nan, 1] = "nan"
    assert m[nan, 1] == "nan" and (float("nan"), 1) not in m
