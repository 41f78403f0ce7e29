"""Many keys in one call: lists and arrays in and out, defaults, masks, errors, all or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ebbmap import Cache, Map
from map_helpers import KEYS, KINDS, VALUES, agrees, model_of, named

AnyMap: Any = Map
RECORD = np.dtype([("id", "i4"), ("x", "f8")])
# Value kinds that arrays can be made of.
FIXED: list[Any] = [int, float, np.dtype("i1"), np.dtype("f4"), np.dtype("S5"), np.dtype("M8[s]"), RECORD]


def array_of(kind: Any, count: int) -> Any:
    """Different values of a kind."""
    if kind is RECORD:
        return np.array([(i, i / 2) for i in range(count)], RECORD)
    dtype = np.dtype({int: "i8", float: "f8"}.get(kind, kind))
    return (np.arange(count) % 100).astype(dtype)


# --- iterables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_lists_behave_as_one_by_one(kinds: tuple[type, type]) -> None:
    model = model_of(kinds)
    m = AnyMap(*kinds)
    m.set_many(model.keys(), model.values())
    agrees(m, model)
    keys = [*model, *model]
    assert m.get_many(keys) == [model[key] for key in keys]
    assert m.get_many(iter(keys), "absent") == [model[key] for key in keys]
    some = KEYS[kinds[0]][::2]
    assert m.delete_many(some) == len(some) and m.delete_many(some) == 0
    for key in some:
        del model[key]
    agrees(m, model)
    assert m.get_many(KEYS[kinds[0]], "absent") == [model.get(key, "absent") for key in KEYS[kinds[0]]]


# Many plain numbers go the way of arrays: these are more than many.
EDGES = [0, 1, -1, 2**30, -(2**30), 2**63 - 1, -(2**63), *range(1000, 1093)]
QUARTERS: list[Any] = [n / 4 for n in range(99)] + [7]
REALS = [0.0, -0.0, float("inf"), float("nan"), 5e-324, -1.5, 7, 2**53 + 1, *map(float, range(92))]
NUMBERS: list[tuple[Any, list[Any]]] = [
    (int, EDGES[::-1]),
    (float, REALS),
    ("i8", EDGES[::-1]),
    ("u8", [2**64 - 1, *range(99)]),
    (">i2", [-(2**15), 2**15 - 1, *range(98)]),
    ("f8", REALS),
    ("f4", REALS),
    ("c16", REALS),
    ("f8", QUARTERS),
    ("f4", QUARTERS),
    ("c8", QUARTERS),
    ("S5", [b"%d" % i for i in range(100)]),
    ("V3", [b"%3d" % i for i in range(100)]),
    ("M8[s]", [np.datetime64(i, "s") for i in range(100)]),
    (bytes, [b"%d" % i for i in range(100)]),
]


def tables(value: Any) -> list[Any]:
    return [AnyMap(int, value), Cache(key=int, value=np.dtype(value) if isinstance(value, str) else value)]


@pytest.mark.parametrize(("value", "values"), NUMBERS, ids=lambda given: str(given)[:8])
def test_many_numbers_behave_as_one_by_one(value: Any, values: list[Any]) -> None:
    for one, many in zip(tables(value), tables(value), strict=True):
        for keys in (EDGES, [*EDGES[:50], *EDGES[:50]], np.array(EDGES), (key for key in EDGES)):
            listed = list(EDGES) if not isinstance(keys, list) else keys
            many.set_many(keys, values)
            for key, given in zip(listed, values, strict=True):
                one[key] = given
            many._check()
            sought = [*EDGES, *range(-500, -450)]
            expected = [one.get(key, "none") for key in sought]
            found = many.get_many(sought, "none")
            assert repr(found) == repr(expected)  # nan, -0.0 and types too
            assert repr(many.get_many(sought, mask=True)[1]) == repr([key in one for key in sought])
            assert many.get_many(range(-600, -500), "none") == ["none"] * 100
            assert many.get_many(list(range(-600, -500)), "none") == ["none"] * 100
        assert many.delete_many([*EDGES[10:], *range(-500, -450)]) == len(EDGES) - 10
        many._check()
        assert sorted(many) == sorted(EDGES[:10])


@pytest.mark.parametrize(
    ("value", "values"), [("i8", EDGES), ("u2", list(range(100))), ("f4", QUARTERS), ("c16", QUARTERS)]
)
def test_many_plain_numbers_are_not_looked_at_one_by_one(
    value: str, values: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ebbmap._convert import dtypes

    m = AnyMap(int, value)
    monkeypatch.setattr(dtypes.Codec, "encode", None)
    monkeypatch.setattr(dtypes.Codec, "decode", None)
    m.set_many(EDGES, values)
    assert m.get_many(EDGES) == values
    m.set_many(EDGES, np.array(values[::-1], value))
    assert m.get_many(EDGES) == values[::-1]
    with pytest.raises(TypeError):
        m.set_many([1], [1])


@pytest.mark.parametrize("value", ["S5", "U5", "V3", "M8[s]", "?", RECORD])
def test_many_ints_are_no_values_of_other_dtypes(value: Any) -> None:
    for table in tables(value):
        try:
            table[1] = 5
        except (TypeError, ValueError) as error:
            with pytest.raises(type(error), match=re.escape(str(error))):
                table.set_many(list(range(100)), [5] * 100)
            assert len(table) == 0
        else:
            table.set_many(list(range(100)), [5] * 100)
            assert table.get_many(list(range(100))) == [table[1]] * 100


def test_many_keys_in_a_list_and_values_in_an_array() -> None:
    keys = list(range(100))
    for value, given in [
        (int, np.arange(200)[::2]),
        ("i2", np.arange(100, dtype="i2")),
        (float, np.ones(100)),
    ]:
        for table in tables(value):
            table.set_many(keys, given)
            assert table.get_many(keys) == given.tolist()
            with pytest.raises(ValueError, match="200 values for 100 keys"):
                table.set_many(keys, np.zeros((100, 2), given.dtype))
            table.set_many(keys, np.zeros((100, 1), given.dtype))
            assert table.get_many(keys) == [0] * 100


def test_defaults_of_many_keys_that_are_not_all_plain() -> None:
    m = AnyMap(int, int, {1: 10})
    assert m.get_many([*range(100), np.int64(1)], "none") == ["none", 10, *["none"] * 98, 10]


@pytest.mark.parametrize(
    ("value", "wrong", "error"),
    [
        (int, 1.0, TypeError),
        (int, 2**63, OverflowError),
        (float, "1", TypeError),
        (float, 2**2000, OverflowError),
        ("i1", 128, OverflowError),
        ("i1", 1.0, TypeError),
        ("u8", -1, OverflowError),
        ("f4", 1j, TypeError),
    ],
)
def test_a_wrong_one_among_many_numbers_leaves_all_as_it_was(value: Any, wrong: Any, error: Any) -> None:
    for table in tables(value):
        table[5] = 5
        with pytest.raises(error, match=r"value|int too large"):
            table.set_many(EDGES, [*range(99), wrong])
        for bad in (1.0, "1", None):
            for call in (
                table.get_many,
                table.delete_many,
                lambda keys, t=table: t.set_many(keys, range(101)),
            ):
                with pytest.raises(TypeError, match="key must be int, not"):
                    call([*EDGES, bad])
        with pytest.raises(OverflowError, match="key must fit in 64 bits"):
            table.get_many([*EDGES, 2**63])
        with pytest.raises(ValueError, match="100 values for 101 keys"):
            table.set_many([*EDGES, 5], range(100))
        assert table == {5: 5}


def test_numbers_of_other_types_among_many_are_converted() -> None:
    class Five:
        def __index__(self) -> int:
            return 5

    others = [True, np.int64(2), np.uint8(3), Five()]
    for table in tables(int):
        table.set_many([*EDGES, *others], [*EDGES, *others])
        assert table.get_many([1, 2, 3, 5]) == [1, 2, 3, 5]
        assert table.get_many([*EDGES, *others]) == [*EDGES, 1, 2, 3, 5]
        assert table.delete_many([*EDGES, *others]) == len(EDGES) + 3


def test_defaults_and_masks_of_lists() -> None:
    m = Map(int, str, {1: "a", 3: "c"})
    assert m.get_many([1, 2, 3]) == ["a", None, "c"]
    assert m.get_many([1, 2, 3], default="?") == ["a", "?", "c"]
    assert m.get_many([1, 2, 3], mask=True) == (["a", None, "c"], [True, False, True])
    assert m.get_many([]) == [] and m.get_many([], mask=True) == ([], [])
    objects: Map[int, Any] = Map({1: None})
    assert objects.get_many([1, 2], mask=True) == ([None, None], [True, False]), "None is a value"
    assert objects.get_many([1, 2], "x") == [None, "x"]


def test_the_last_of_equal_keys_wins() -> None:
    for kinds in ((int, int), (int, bytes), (object, object)):
        values: list[Any] = [b"1", b"2", b"3"] if kinds[1] is bytes else [1, 2, 3]
        m = AnyMap(*kinds)
        m.set_many([7, 8, 7], values)
        agrees(m, {7: values[2], 8: values[1]})
        m.set_many([7, 7, 9, 9], [*values, values[0]])
        agrees(m, {7: values[1], 8: values[1], 9: values[0]})
        assert m.delete_many([7, 7, 7]) == 1
    m = Map(int, int)
    m.set_many(np.array([7, 8, 7]), np.array([1, 2, 3]))
    agrees(m, {7: 3, 8: 2})
    assert m.delete_many(np.array([7, 7])) == 1


def test_lengths_must_match() -> None:
    for m in (AnyMap(int, int, {1: 1}), AnyMap({1: 1})):
        for keys, values in (([2, 3], [2]), ([], [1])):
            with pytest.raises(ValueError, match=f"{len(values)} values for {len(keys)} keys"):
                m.set_many(keys, values)
        agrees(m, {1: 1})
    with pytest.raises(ValueError, match=r"one shape, not \(2,\) and \(3,\)"):
        Map(int, int).set_many(np.arange(2), np.arange(3))


@pytest.mark.parametrize("kinds", [(int, int), (str, str), (object, int), (int, object), (str, object)])
def test_a_wrong_one_at_the_end_leaves_all_as_it_was(kinds: tuple[type, type]) -> None:
    model = model_of(kinds)
    m = AnyMap(*kinds, model)
    new: list[Any] = {int: [50, 51], str: ["p", "q"], object: ["p", "q"]}[kinds[0]]  # type: ignore[assignment]
    good = VALUES[kinds[1]][0]
    bad_key: Any = [] if kinds[0] is object else None
    with pytest.raises(TypeError):
        m.set_many([*new, bad_key], [good] * 3)
    if kinds[1] is not object:
        with pytest.raises(TypeError):
            m.set_many([*new, *model], [*[good] * (1 + len(model)), None])
    with pytest.raises(TypeError):
        m.delete_many([*model, bad_key])
    agrees(m, model)


def test_an_iterable_that_raises_changes_nothing() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    m = Map(int, int, {5: 5})
    calls: list[Any] = [
        lambda: m.set_many(broken(), [1, 2]),
        lambda: m.set_many([1, 2], broken()),
        lambda: m.delete_many(broken()),
        lambda: m.get_many(broken()),
    ]
    for call in calls:
        with pytest.raises(ZeroDivisionError):
            call()
    agrees(m, {5: 5})


# --- arrays --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FIXED, ids=str)
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 5000])
def test_arrays_in_and_out(kind: Any, count: int) -> None:
    m = AnyMap(int, kind)
    keys, values = np.random.default_rng(count).permutation(np.arange(-7, count - 7)), array_of(kind, count)
    m.set_many(keys, values)
    m._check()
    assert len(m) == count
    out = m.get_many(keys)
    assert isinstance(out, np.ndarray) and out.dtype == values.dtype and (out == values).all()
    assert all(m[int(key)] == value for key, value in zip(keys[:50], values[:50], strict=True))
    m.set_many(keys, values[::-1].copy())
    assert (m.get_many(keys) == values[::-1]).all()
    assert m.delete_many(keys[::2]) == (count + 1) // 2
    found = m.get_many(keys, mask=True)[1]
    assert found.dtype == bool and not found[::2].any() and found[1::2].all()
    m._check()


def test_missing_keys_of_arrays() -> None:
    m = Map(int, float, {1: 1.5, 3: 3.5})
    keys = np.array([1, 2, 3])
    with pytest.raises(KeyError) as caught:
        m.get_many(keys)
    assert caught.value.args == (2,) and type(caught.value.args[0]) is int
    assert m.get_many(keys, -1.0).tolist() == [1.5, -1.0, 3.5]
    values, found = m.get_many(keys, mask=True)
    assert values.tolist() == [1.5, 0.0, 3.5] and found.tolist() == [True, False, True]
    assert m.delete_many(keys) == 2 and not m


def test_values_of_missing_keys_are_zero_whatever_was_in_their_memory() -> None:
    m = Map(int, int, {7: 70})
    for _ in range(20):
        memory = np.full(500, -1)
        del memory
        values, found = m.get_many(np.arange(500), mask=True)
        assert values.sum() == values[7] == 70 and found.sum() == found[7] == 1


def test_shapes_are_kept() -> None:
    m = Map(int, int)
    keys = np.arange(24).reshape(2, 3, 4)
    m.set_many(keys, keys * 10)
    assert (m.get_many(keys) == keys * 10).all()
    values, found = m.get_many(keys[:, 1:] + 12, mask=True)
    assert values.shape == found.shape == (2, 2, 4)
    assert m.get_many(np.array(5)).shape == () and m.get_many(np.array(5)) == 50


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u1", "u2", "u4", "u8", "?", ">i8", ">i4"])
def test_keys_of_any_int_dtype(dtype: str) -> None:
    m = Map(int, int, {0: 5, 1: 6})
    assert m.get_many(np.array([1, 0, 1], dtype)).tolist() == [6, 5, 6]


def test_arrays_need_not_be_contiguous_or_writable() -> None:
    m = Map(int, int)
    keys = np.arange(20)[::-2]
    keys.flags.writeable = False
    values = np.arange(100).reshape(10, 10)[:, 3]
    m.set_many(keys, values)
    assert (m.get_many(keys) == values).all()
    byteorder = np.arange(10, dtype=">i8")
    m.set_many(keys, byteorder)
    assert m.get_many(keys).tolist() == list(range(10))


def test_keys_of_other_dtypes_are_turned_down() -> None:
    m = Map(int, int, {1: 1})
    for keys in (np.array([1.0]), np.array(["a"]), np.array([1], "M8[s]")):
        for call in (m.get_many, lambda k: m.set_many(k, np.array([1])), m.delete_many):
            with pytest.raises(TypeError, match=re.escape(f"key must be int, not {keys.dtype}")):
                call(keys)
    too_large = np.array([1, 2**63], np.uint64)
    for call in (m.get_many, lambda k: m.set_many(k, np.array([1, 1])), m.delete_many):
        with pytest.raises(OverflowError, match=f"not {2**63}"):
            call(too_large)
    agrees(m, {1: 1})


def test_values_are_cast_only_where_nothing_but_width_is_lost() -> None:
    ints, floats = Map(int, int), Map(int, float)
    keys = np.arange(3)
    ints.set_many(keys, np.array([1, 2, 3], "i2"))
    floats.set_many(keys, np.array([1, 2, 3], "i8"))
    assert ints == {0: 1, 1: 2, 2: 3} and floats == {0: 1.0, 1: 2.0, 2: 3.0}
    for values in (np.array([1.5, 2.5, 3.5]), np.array(["a", "b", "c"])):
        with pytest.raises(TypeError, match="values must be of dtype int64, not"):
            ints.set_many(keys, values)
    assert ints == {0: 1, 1: 2, 2: 3}


def test_unsigned_values_beyond_64_bits_do_not_wrap() -> None:
    m = Map(int, int)
    with pytest.raises(OverflowError, match=f"not {2**63}"):
        m.set_many(np.array([1]), np.array([2**63], np.uint64))
    assert not m
    m.set_many(np.array([1]), np.array([2**63 - 1], np.uint64))
    assert m == {1: 2**63 - 1}
    narrow = AnyMap(int, np.dtype("i1"))
    for value in (128, -129):
        with pytest.raises(OverflowError, match=f"values must fit in int8, -128 to 127, not {value}"):
            narrow.set_many(np.array([1]), np.array([value]))
    narrow.set_many(np.array([1]), np.array([-128]))
    assert narrow == {1: -128}


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_arrays_for_any_kinds(kinds: tuple[type, type]) -> None:
    model = model_of(kinds)
    m = AnyMap(*kinds, model)
    if kinds[0] is int:
        keys = np.array([*KEYS[int], 77])
        assert list(m.get_many(keys, VALUES[kinds[1]][0]))[:-1] == [model[key] for key in KEYS[int]]
        assert m.delete_many(keys) == len(model) and not m
    elif kinds[0] is str:
        keys = np.array([key for key in KEYS[str] if not key.endswith("\x00")])
        assert list(m.get_many(keys)) == [model[key] for key in keys.tolist()]
    m._check()


def test_arrays_of_str_keys_give_arrays_of_fixed_values() -> None:
    m = Map(str, float, {"a": 1.5, "é": 2.5})
    values, found = m.get_many(np.array(["é", "x", "a"]), mask=True)
    assert values.tolist() == [2.5, 0.0, 1.5] and found.tolist() == [True, False, True]
    m.set_many(np.array(["b", "c"]), np.array([3.5, 4.5]))
    assert m["b"] == 3.5 and m.delete_many(np.array(["b", "c"])) == 2


def test_a_list_of_keys_and_an_array_of_values_or_the_reverse() -> None:
    m = Map(int, int)
    m.set_many([1, 2], np.array([10, 20]))
    m.set_many(np.array([3, 4]), [30, 40])
    m.set_many({5: 0, 6: 0}, (50, 60))
    agrees(m, {1: 10, 2: 20, 3: 30, 4: 40, 5: 50, 6: 60})


def test_records_come_back_as_a_record_array() -> None:
    m = AnyMap(int, RECORD)
    m.set_many(np.arange(3), np.array([(1, 1.5), (2, 2.5), (3, 3.5)], RECORD))
    out = m.get_many(np.array([2, 0]))
    assert out["id"].tolist() == [3, 1] and out["x"].tolist() == [3.5, 1.5]
    out["id"] = 0
    assert m[2]["id"] == 3, "the array is a copy"


# --- hostile -------------------------------------------------------------------------------------------


def test_keys_that_change_the_map_during_a_bulk_call() -> None:
    m: Map[Any, Any] = Map()

    class Clearing:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            m.clear()
            return self is other

    keys = [Clearing() for _ in range(20)]
    m.set_many(keys, range(20))
    m._check()
    m.get_many(keys)
    m.delete_many(keys)
    m._check()


def test_index_that_changes_the_map_during_a_bulk_call() -> None:
    m = AnyMap(int, int, {1: 1, 2: 2})

    class Changing:
        def __index__(self) -> int:
            m.clear()
            m[9] = 9
            return 1

    m.set_many([5, Changing()], [5, Changing()])
    agrees(m, {9: 9, 5: 5, 1: 1})
    assert m.get_many([Changing(), 9], 0) == [0, 9]
    assert m.delete_many([Changing()]) == 0


@pytest.mark.parametrize("make", [lambda: Map(int, float), lambda: Cache(key=int, value=float)])
def test_empty_arrays_at_any_address(make: Callable[[], Any]) -> None:
    m = make()
    m[1] = 1.0
    records = np.zeros(4, dtype=[("flag", "u1"), ("id", "i8")])
    none = records[records["flag"] > 0]["id"]
    for keys in (none, np.frombuffer(bytearray(1), "i8", offset=1, count=0)):
        assert m.get_many(keys, default=0.0).shape == (0,)
        assert m.get_many(keys, mask=True)[1].shape == (0,)
        m.set_many(keys, np.empty(0))
        assert m.delete_many(keys) == 0
    assert dict(m.items()) == {1: 1.0}


@pytest.mark.parametrize("make", [lambda: Map(int, float), lambda: Cache(key=int, value=float)])
def test_arrays_of_objects_that_are_ints(make: Callable[[], Any]) -> None:
    m = make()
    keys = np.array([[1, 2], [3, 4]], dtype=object)
    m.set_many(keys.ravel(), [1.0, 2.0, 3.0, 4.0])
    m.set_many(keys, np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert m.get_many(keys).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert m.delete_many(keys) == 4
    for wrong in (np.array([1, "2"], dtype=object), np.array([1.5], dtype=object)):
        with pytest.raises(TypeError, match="key must be int"):
            m.get_many(wrong)
        with pytest.raises(TypeError, match="key must be int"):
            m.delete_many(wrong)
