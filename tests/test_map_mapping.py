"""`Map` is a mapping as `dict` is: CPython's own tests of one, and what `dict` users expect beyond them."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, MutableMapping
from threading import get_ident
from types import MappingProxyType
from typing import Any
from weakref import ref

import numpy as np
import pytest

from cpython_tests import PROTOCOL_TESTS, passes, subclasses
from ebbmap import ItemsView, KeysView, Map, ValuesView
from ebbmap._internal.recursion import _UNDER_WAY

Plain, *OTHERS = subclasses(Map)
CLASSES = [Map, Plain, *OTHERS]


def test_there_are_22_protocol_tests() -> None:
    assert len(PROTOCOL_TESTS) == 22


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", PROTOCOL_TESTS)
def test_cpython_mapping_protocol(cls: type[Map[Any, Any]], name: str) -> None:
    passes(name, cls)


def test_it_is_a_mutable_mapping_as_dict_is() -> None:
    m: MutableMapping[str, int] = Map(a=1)
    assert isinstance(m, MutableMapping)
    assert bool(m) and not Map()
    assert list(MappingProxyType(m)) == ["a"]
    assert collections.ChainMap({}, m)["a"] == 1
    with pytest.raises(TypeError, match="unhashable type: 'Map'"):
        hash(m)


def test_constructor_takes_what_dict_takes() -> None:
    make: Any = Map

    class Keyed:
        def keys(self) -> Iterator[str]:
            return iter("ab")

        def __getitem__(self, key: str) -> str:
            return key.upper()

    assert make() == {}
    assert make({"a": 1}, b=2) == {"a": 1, "b": 2}
    assert make([("a", 1), ["b", 2]]) == {"a": 1, "b": 2}
    assert make((k, v) for k, v in [("a", 1)]) == {"a": 1}
    assert make(Keyed()) == {"a": "A", "b": "B"}
    assert make(make(int, int, {1: 2})) == {1: 2}
    assert make(str, int, {"a": 1}, b=2) == {"a": 1, "b": 2}
    assert make(int, [(1, "x")]) == {1: "x"}
    assert make(self=1, key=2, other=3) == {"self": 1, "key": 2, "other": 3}


@pytest.mark.parametrize(
    ("contents", "error", "says"),
    [
        (5, TypeError, "not iterable"),
        ([1], TypeError, "element #0"),
        ([("a", 1), ("b",)], ValueError, "element #1 has length 1; 2 is required"),
        (["abc"], ValueError, "element #0 has length 3; 2 is required"),
        ([([], 1)], TypeError, "unhashable type: 'list'"),
    ],
)
def test_bad_contents_raise_as_for_dict(contents: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error):
        dict(contents)
    with pytest.raises(error, match=says):
        Map(contents)


def test_too_many_arguments_name_what_was_given() -> None:
    with pytest.raises(TypeError, match=r"at most two kinds and then the contents, not 4 arguments"):
        Map(int, int, {}, {})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"not 2 arguments: dict, dict"):
        Map({}, {})  # type: ignore[call-overload]


@pytest.mark.parametrize("cls", CLASSES)
def test_missing_keys_raise_key_error_with_the_key(cls: type[Map[Any, Any]]) -> None:
    m = cls({"a": 1})
    calls: list[Any] = [lambda: m[("x",)], lambda: m.pop(("x",)), lambda: m.__delitem__(("x",))]
    for call in calls:
        with pytest.raises(KeyError) as caught:
            call()
        assert caught.value.args == (("x",),)
    with pytest.raises(KeyError, match="empty"):
        cls().popitem()


def test_missing_is_called_for_subclasses_and_only_by_getitem() -> None:
    class Doubling(Map[int, int]):
        def __missing__(self, key: int) -> int:
            self[key] = 2 * key
            return self[key]

    m = Doubling(int, int)
    assert m.get(4) is None and 4 not in m and m.pop(4, None) is None
    assert m[4] == 8 and m == {4: 8}


def test_pop_get_setdefault_take_defaults_as_dict_does() -> None:
    for make in (dict, Map):
        m: Any = make({1: "a"})
        assert (m.get(1), m.get(2), m.get(2, "d")) == ("a", None, "d")
        assert (m.pop(1, "d"), m.pop(1, "d"), m.pop(1, None)) == ("a", "d", None)
        assert (m.setdefault(1), m.setdefault(1, "x"), m.setdefault(2, "y")) == (None, None, "y")
        for name, args, named in [
            ("pop", (), {}),
            ("pop", (1, 2, 3), {}),
            ("pop", (), {"key": 1}),
        ]:
            with pytest.raises(TypeError):
                getattr(m, name)(*args, **named)


def test_update_takes_itself_and_keywords() -> None:
    m: Map[Any, Any] = Map({"a": 1})
    m.update(m)
    m.update({"b": 2}, c=3)
    m.update([("d", 4)])
    m.update()
    m.update(other=5)
    assert m == {"a": 1, "b": 2, "c": 3, "d": 4, "other": 5}


def test_setitem_of_a_subclass_is_not_called_by_update_as_in_dict() -> None:
    for base in (dict, Map):

        class Upper(base):  # type: ignore[misc, valid-type]
            def __setitem__(self, key: str, value: int) -> None:
                super().__setitem__(key.upper(), value)

        for other in ({"a": 1}, [("a", 1)], collections.UserDict(a=1), MappingProxyType({"a": 1}), Map(a=1)):
            m: Any = Upper(other)
            assert dict(m) == {"a": 1}
            m.update(other)
            m |= other
            assert dict(m) == {"a": 1}
        assert dict(Upper.fromkeys(["a"])) == {"A": None}


def test_other_methods_of_a_subclass_are_not_called_where_dict_calls_none() -> None:
    """What a subclass's `update` needs may not be there while `Map.__init__` runs."""
    calls: list[str] = []

    def overriding(base: Any) -> Any:
        class Overriding(base):  # type: ignore[misc]
            def update(self, *args: Any, **kwargs: Any) -> None:
                calls.append("update")
                super().update(*args, **kwargs)

            def copy(self) -> Any:
                calls.append("copy")
                return super().copy()

        return Overriding

    operations: list[Callable[[Any], object]] = [
        lambda cls: cls(),
        lambda cls: cls({"a": 1}),
        lambda cls: cls([("a", 1)]),
        lambda cls: cls(a=1),
        lambda cls: cls({"a": 1}, update=2, copy=3),
        lambda cls: cls.fromkeys("ab"),
        lambda cls: cls(a=1) | {"b": 2},
        lambda cls: {"b": 2} | cls(a=1),
        lambda cls: cls(a=1).__ior__({"b": 2}),
        lambda cls: cls(a=1).__ior__([("b", 2)]),
        lambda cls: cls(a=1) == {"a": 1},
        lambda cls: cls(a=1) == cls(a=1),
        lambda cls: repr(cls(a=1)),
    ]
    for base in (dict, Map):
        for operate in operations:
            operate(overriding(base))
        assert calls == [], base


def test_update_keeps_what_came_before_an_error_as_dict_does() -> None:
    class Broken(collections.UserDict[str, int]):
        def __getitem__(self, key: str) -> int:
            return 1 // (key != "b")

    for make in (dict, Map):
        m: Any = make()
        with pytest.raises(ZeroDivisionError):
            m.update(Broken(a=1, b=2, c=3))
        assert m == {"a": 1}


def test_union_operators() -> None:
    m: Any = Map(int, int, {1: 1, 2: 2})
    assert m | {2: 3} == {1: 1, 2: 3} and (m | {}).kinds == (int, int)
    assert {2: 3, 4: 4} | m == {1: 1, 2: 2, 4: 4}
    same = m
    same |= [(5, 5)]
    assert same is m and m == {1: 1, 2: 2, 5: 5}
    attempts: list[Any] = [lambda: m | [(1, 1)], lambda: [(1, 1)] | m, lambda: m | 1]
    for operate in attempts:
        with pytest.raises(TypeError, match="unsupported operand"):
            operate()
    with pytest.raises(TypeError, match="value must be int, not str"):
        m | {1: "a"}


def test_equality_with_any_mapping() -> None:
    m: Map[Any, Any] = Map({"a": 1, "b": [2]})
    assert m == {"b": [2], "a": 1} and m == {"b": [2], "a": 1}
    assert m == collections.OrderedDict(m) and m == MappingProxyType(dict(m))
    assert m != {"a": 1} and m != {"a": 1, "c": [2]} and m != {"a": 1, "b": [3]}
    assert m != [("a", 1), ("b", [2])] and m != 5
    with_default = collections.defaultdict(int, a=1)
    assert m != with_default and len(with_default) == 1, "looking does not add keys"


def test_equality_does_not_depend_on_the_side() -> None:
    inline, objects = Map(int, int, {1: 1, 2: 2}), Map({1.0: 1, 2: 2.0})
    assert inline == objects and objects == inline
    assert Map(str, int) == Map(bytes, int)
    assert Map(str, int, {"a": 1}) != Map(bytes, int, {b"a": 1})
    assert Map({2**70: 1}) != Map(int, int, {1: 1}) and Map(int, int, {1: 1}) != Map({2**70: 1})


def test_identical_values_are_equal_as_in_dict() -> None:
    nan = float("nan")
    assert Map({1: nan}) == {1: nan}
    assert Map({nan: 1})[nan] == 1
    inline = Map(int, float, {1: nan})
    assert inline == inline and inline != inline.copy() and inline != {1: nan}


def test_views_are_live_and_sets() -> None:
    m: Map[Any, Any] = Map({"a": 1})
    keys: Any
    items: Any
    keys, values, items = m.keys(), m.values(), m.items()
    assert (type(keys), type(values), type(items)) == (KeysView, ValuesView, ItemsView)
    m["b"] = 2
    assert set(keys) == {"a", "b"} and sorted(values) == [1, 2] and set(items) == {("a", 1), ("b", 2)}
    assert len(keys) == len(values) == len(items) == 2
    assert keys & {"a", "x"} == {"a"} and keys | {"x"} == {"a", "b", "x"} and keys - {"a"} == {"b"}
    assert keys ^ {"a", "x"} == {"b", "x"} and {"a", "b"} == keys and keys >= {"a"} and keys > {"a"}
    assert items & {("a", 1), ("a", 2)} == {("a", 1)} and items == {"a": 1, "b": 2}.items()
    assert keys.isdisjoint({"x"}) and not keys.isdisjoint({"a"})
    assert "a" in keys and "x" not in keys and 2 in values and 3 not in values
    assert ("a", 1) in items and ("a", 2) not in items and "a" not in items and ("x", 1) not in items
    assert all(view.mapping is m for view in (keys, values, items))
    assert isinstance(keys | {1}, set) and isinstance(items - set(), set)


def test_values_are_found_by_identity_and_by_equality() -> None:
    nan = float("nan")
    for make in (dict, Map):
        values = make({1: nan, 2: 1.0}).values()
        assert nan in values and 1 in values and 2 not in values


def test_views_of_inline_keys_answer_for_any_object() -> None:
    m: Any = Map(int, int, {1: 1})
    keys = m.keys()
    assert "a" not in keys and 2**70 not in keys and ("a", 1) not in m.items()
    assert keys & {1, "a"} == {1} and keys != {"a"}
    one = np.int64(1)
    assert one in keys and (one, 1) in m.items() and keys & {one} == {1} and keys >= {one} and keys == {one}
    assert np.float64(1) not in keys and (np.float64(1), 1) not in m.items()


def test_views_compare_like_dicts() -> None:
    for make in (dict, Map):
        m: Any = make({1: "a", 2: "b"})
        assert m.keys() == {1, 2} and m.keys() <= {1, 2, 3} and not m.keys() <= {1}
        assert m.items() == {(1, "a"), (2, "b")} and m.values() != m.values()
        with pytest.raises(TypeError):
            make({1: []}).items() | set()


@pytest.mark.parametrize(
    "kinds", [(), (int, int), (str, bytes), (bytes, float), (object, str), (str, object)]
)
def test_repr_can_be_evaluated(kinds: tuple[type, ...]) -> None:
    samples: dict[Any, Any] = {object: 1, int: 2, str: "it's", bytes: b"b", float: -0.0}
    anything: Any = Map
    key, value = (*kinds, object, object)[:2]
    m = anything(*kinds, {samples[key]: samples[value]})
    again = eval(repr(m))
    assert again == m
    if kinds:
        assert again.kinds == m.kinds and repr(m).startswith(f"Map({kinds[0].__name__}, ")
    else:
        assert repr(m) == repr({1: 1})


def test_repr_of_a_dtype_can_be_evaluated() -> None:
    record = np.dtype([("a", "<i4"), ("b", "S3")])
    for m in (Map(int, "S4", {1: b"four"}), Map(str, np.dtype(np.int16)), Map(object, record)):
        again = eval(repr(m), {"Map": Map, "dtype": np.dtype, "np": np})
        assert again == m and again.kinds == m.kinds


def test_repr_names_the_subclass_and_shows_recursion() -> None:
    assert repr(Plain(int, int)) == "Plain(int, int, {})"
    m: Map[Any, Any] = Map()
    m[1] = m
    assert repr(m) == "{1: {...}}"
    assert repr(m.values()) == "ValuesView([{1: {...}}])"
    assert repr(Map({1: 2}).items()) == "ItemsView([(1, 2)])"
    assert repr(Map({1: 2}).keys()) == "KeysView([1])"


def test_fromkeys_of_subclasses() -> None:
    assert Map.fromkeys("ab") == {"a": None, "b": None}
    made = Plain.fromkeys([1, 1], "x")
    assert type(made) is Plain and made == {1: "x"}


def test_kinds_are_told_and_stay() -> None:
    assert Map().kinds == (object, object) and Map(int).kinds == (int, object)
    m = Map(str, float, {"a": 1})
    assert m.kinds == (str, float)
    m.__init__(b=2)  # type: ignore[misc]  # as dict: adds
    assert m == {"a": 1.0, "b": 2.0}
    with pytest.raises(TypeError, match="kinds of a map can't be changed"):
        m.__init__(int, int)  # type: ignore[misc]
    assert m == {"a": 1.0, "b": 2.0}


def test_sizeof_is_nbytes() -> None:
    m = Map(int, int, {i: i for i in range(1000)})
    assert m.__sizeof__() == m.nbytes == m.stats()["nbytes"]


def test_an_object_at_the_address_of_one_whose_repr_was_interrupted_is_shown() -> None:
    """The interrupt came before what it had noted was to be taken back."""
    table = Map({1: 2})
    gone = Map()
    _UNDER_WAY[id(table), get_ident()] = ref(gone)
    del gone
    assert repr(table) == "{1: 2}"
    assert not _UNDER_WAY
