"""Values of a dtype: what fits it and what does not is one rule, by whichever way a value comes."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ebbmap import Cache, Map

AnyMap: Any = Map
I1 = np.dtype([("a", "i1")])
NESTED = np.dtype([("name", "S3"), ("at", [("x", "i2"), ("y", "f4")], (2,)), ("raw", "V2")])
PAIR = np.dtype([("at", "i4", (2,))])
SQUARE = np.dtype([("at", "i4", (2, 2))])
NAMED = np.dtype([("names", "S3", (2,))])
DATE = np.datetime64("2020-01-01T00:00:01", "ns")
ONE = np.array([1])


def setitem(dtype: Any, value: Any) -> Any:
    m = AnyMap(int, dtype)
    m[1] = value
    return m[1]


def cached(dtype: Any, value: Any) -> Any:
    cache: Any = Cache(key=int, value=np.dtype(dtype))
    cache[1] = value
    return cache[1]


def default(dtype: Any, value: Any) -> Any:
    return AnyMap(int, dtype).get_many(ONE, value)[0]


def set_many(keys: Any, in_array: bool) -> Callable[[Any, Any], Any]:
    """Sets one value by `set_many`, as a list or as an array of NumPy's choice."""

    def way(dtype: Any, value: Any) -> Any:
        m = AnyMap(str if "a" in keys else int, dtype)
        m.set_many(keys, as_array(value) if in_array else [value])
        m._check()
        return next(iter(m.values()))

    return way


def as_array(value: Any) -> Any:
    """An array of one element: of a tuple, an object array, whose elements are looked at one by one."""
    if isinstance(value, np.generic | np.ndarray):
        return np.array([value])
    if not isinstance(value, tuple):
        return np.array([value])
    objects = np.empty(1, object)
    objects[0] = value
    return objects


WAYS = {
    "setitem": setitem,
    "cache": cached,
    "default": default,
    "list-list": set_many([1], False),
    "array-list": set_many(ONE, False),
    "list-array": set_many([1], True),
    "array-array": set_many(ONE, True),
    "str-list": set_many(["a"], False),
    "str-array": set_many(np.array(["a"]), True),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)

FITS: list[tuple[Any, Any, Any]] = [
    ("i1", -128, -128),
    ("i1", np.int64(127), 127),
    ("u1", np.int64(255), 255),
    ("u8", 2**64 - 1, 2**64 - 1),
    (">i4", 5, 5),
    ("i8", True, 1),
    ("u1", np.True_, 1),
    ("f4", 1, 1.0),
    ("f4", np.float64(0.1), np.float32(0.1)),
    ("f4", None, None),
    ("f8", Decimal("1.5"), 1.5),
    ("f8", Fraction(1, 4), 0.25),
    ("f8", 2**70, 2.0**70),
    ("c8", 1.5, 1.5 + 0j),
    ("?", True, True),
    ("S3", b"abc", b"abc"),
    ("S3", b"", b""),
    ("S3", np.bytes_(b"ab"), b"ab"),
    ("S3", "abc", b"abc"),
    ("U3", "žlu", "žlu"),
    ("U3", b"abc", "abc"),
    ("V3", b"a\0c", b"a\0c"),
    ("V3", b"a", b"a\0\0"),
    ("M8[s]", DATE, np.datetime64("2020-01-01T00:00:01")),
    ("M8[s]", "2020-01-01T00:00:01", np.datetime64("2020-01-01T00:00:01")),
    ("M8[s]", dt.datetime(2020, 1, 1), np.datetime64("2020-01-01")),
    ("M8[s]", None, None),
    ("m8[s]", dt.timedelta(hours=1), np.timedelta64(3600, "s")),
    ("m8[s]", 5, np.timedelta64(5, "s")),
    (I1, (-128,), (-128,)),
    (I1, np.array((5,), [("b", "i8")])[()], (5,)),
    (NESTED, (b"abc", [(1, 0.5), (2, 1)], b"xy"), None),
    (NESTED, (b"abc", (1, 0.5), b"xy"), None),
    (NAMED, ([b"a", b"b"],), None),
    (NAMED, (b"a",), None),
]


@each_way
@pytest.mark.parametrize(("dtype", "value", "kept"), FITS, ids=str)
def test_what_fits(way: Callable[[Any, Any], Any], dtype: Any, value: Any, kept: Any) -> None:
    found = way(dtype, value)
    assert isinstance(found, np.generic) and found.dtype.kind == np.dtype(dtype).kind
    if np.dtype(dtype).kind == "V" and isinstance(kept, bytes):
        assert found.tobytes() == kept
    elif kept is None:
        assert found != found or found == np.array(value, dtype)
    else:
        assert found.item() == kept if isinstance(kept, tuple) else found == kept


DOES_NOT: list[tuple[Any, Any, type[Exception], str]] = [
    ("i4", 1.9, TypeError, "must be of dtype int32, not float"),
    ("i4", np.float32(1), TypeError, "must be of dtype int32, not float32"),
    ("i2", "7", TypeError, "must be of dtype int16, not (str|<U1)"),
    ("i1", 300, OverflowError, "must fit in int8, -128 to 127, not 300"),
    ("i1", np.int64(300), OverflowError, "must fit in int8, -128 to 127, not 300"),
    ("u1", -1, OverflowError, "must fit in uint8, 0 to 255, not -1"),
    ("u4", np.int8(-1), OverflowError, "must fit in uint32, 0 to 4294967295, not -1"),
    ("i8", np.uint64(2**63), OverflowError, f"not {2**63}"),
    ("i8", 2**70, OverflowError, "too large"),
    ("f4", 1j, TypeError, "must be of dtype float32, not complex"),
    ("f4", "1.5", TypeError, "must be of dtype float32, not"),
    ("?", 5, TypeError, "must be of dtype bool, not int"),
    ("?", "no", TypeError, "must be of dtype bool, not"),
    ("?", Decimal(5), TypeError, "must be of dtype bool, not decimal.Decimal"),
    ("S3", b"abcdef", ValueError, r"must be at most 3 bytes for dtype \|S3, not 6"),
    ("S3", "abcdef", ValueError, "must be at most 3 bytes"),
    ("S3", "é", ValueError, "ascii"),
    ("U3", "abcdef", ValueError, "must be at most 3 characters for dtype <U3, not 6"),
    ("S5", 12345678, TypeError, r"must be of dtype \|S5, not int"),
    ("S5", 2**70, TypeError, r"must be of dtype \|S5, not int"),
    ("U5", None, TypeError, "must be of dtype <U5, not NoneType"),
    ("V3", b"abcd", ValueError, r"must be at most 3 bytes for dtype \|V3, not 4"),
    ("V3", 5, TypeError, r"must be of dtype \|V3, not int"),
    ("V3", "abc", TypeError, r"must be of dtype \|V3, not"),
    ("M8[s]", 5, TypeError, r"must be of dtype datetime64\[s\], not int"),
    ("M8[s]", "yesterday", ValueError, "yesterday"),
    ("i8", DATE, TypeError, r"must be of dtype int64, not datetime64\[ns\]"),
    ("M8", np.datetime64("2020-01-01"), TypeError, r"must be of dtype datetime64, not datetime64\[D\]"),
    (I1, (300,), OverflowError, r"\['a'\] must fit in int8, -128 to 127, not 300"),
    (I1, (1.5,), TypeError, r"\['a'\] must be of dtype int8, not float"),
    (I1, (1, 2), ValueError, "must fit dtype.*not tuple: could not assign"),
    (I1, np.array((300,), [("a", "i8")])[()], OverflowError, r"\['a'\] must fit in int8"),
    (I1, np.array((1, 2), [("a", "i1"), ("b", "i1")])[()], TypeError, "must be of dtype"),
    (I1, np.array((300,), [("a", "O")])[()], OverflowError, r"\['a'\] must fit in int8"),
    (NESTED, (b"abcd", [(1, 0.5), (2, 1)], b"xy"), ValueError, r"\['name'\] must be at most 3 bytes"),
    (
        NESTED,
        (b"abc", [(1, 0.5), (1 << 20, 1)], b"xy"),
        OverflowError,
        r"\['at'\]\[1\]\['x'\] must fit in int16",
    ),
    (NESTED, (b"abc", [(1, 0.5), (2, 1)], b"xyz"), ValueError, r"\['raw'\] must be at most 2 bytes"),
    (np.dtype([("at", "i4", (2,))]), ([1, 2.5],), TypeError, r"\['at'\]\[1\] must be of dtype int32"),
    *[
        (PAIR, (value,), ValueError, r"\['at'\] must have 2 elements, not ")
        for value in ([], [1], (1, 2, 3), [[1, 2]])
    ],
    *[
        (PAIR, (value,), ValueError, r"\['at'\] must have shape \(2,\), not ")
        for value in (ONE, range(3), ONE[None])
    ],
    (SQUARE, ([1, 2],), ValueError, r"\['at'\]\[0\] must have 2 elements, not be one int"),
    (SQUARE, ([[1], [2]],), ValueError, r"\['at'\]\[0\] must have 2 elements, not 1"),
    (SQUARE, ([[1, 2], [3]],), ValueError, r"\['at'\]\[1\] must have 2 elements, not 1"),
    (NESTED, (b"abc", [(1, 0.5)], b"xy"), ValueError, r"\['at'\] must have 2 elements, not 1"),
]


FILLS_NOT: list[tuple[Any, Any, type[Exception], str]] = [
    (I1, 300, OverflowError, r"\['a'\] must fit in int8"),
    (I1, 1.5, TypeError, r"\['a'\] must be of dtype int8, not float"),
    (NAMED, b"abcd", ValueError, r"\['names'\] must be at most 3 bytes"),
]


@each_way
@pytest.mark.parametrize(("dtype", "value", "error", "says"), DOES_NOT, ids=str)
def test_what_does_not(
    way: Callable[[Any, Any], Any], dtype: Any, value: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        way(dtype, value)


#: Text that ends in NULs, by the dtype that would cut them off, in every place of a value.
CUT: list[tuple[Any, Any]] = [
    *[("S4", text) for text in (b"ab\0", b"ab\0\0", np.bytes_(b"ab\0"), np.bytes_(b"ab\0\0"), "ab\0")],
    *[("U4", text) for text in ("ab\0", "ab\0\0", np.str_("ab\0"), np.str_("ab\0\0"), b"ab\0")],
    *[(NAMED, (names,)) for names in (b"a\0", [b"a", b"b\0"], (b"a\0", b"b"), deque([b"a", b"b\0"]))],
    (NAMED, ([np.bytes_(b"a"), np.bytes_(b"b\0")],)),
    (NAMED, (np.array([b"a", b"b\0"], object),)),
    (np.dtype([("at", NAMED)]), (([b"a", b"b\0"],),)),
    (np.dtype([("at", NAMED, (2,))]), ([([b"a", b"b"],), ([b"a", b"b\0"],)],)),
    (np.dtype([("at", "S3")]), b"b\0"),
    (np.dtype([("at", [("name", "S3")])]), (b"b\0",)),
]


@pytest.mark.parametrize("way", [setitem, cached, default, WAYS["list-list"], WAYS["str-list"]])
@pytest.mark.parametrize(("dtype", "value"), CUT, ids=str)
def test_nuls_at_the_end_are_never_cut(way: Callable[[Any, Any], Any], dtype: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"can't end in NUL, which NumPy cuts off: use (bytes|str)"):
        way(dtype, value)


def test_elements_of_an_object_array_are_looked_at_one_by_one() -> None:
    objects = np.array([np.bytes_(b"ab\0\0")], object)
    for keys in ([1], ONE):
        with pytest.raises(ValueError, match="can't end in NUL"):
            AnyMap(int, "S4").set_many(keys, objects)


@pytest.mark.parametrize("dtype", ["i4", "f8", "S9", "M8[s]", np.dtype([("a", "i4"), ("b", "i4")])])
def test_lists_of_different_lengths_are_no_value(dtype: Any) -> None:
    m: Any = Map(int, dtype)
    with pytest.raises((TypeError, ValueError), match=r"value must .*, not list"):
        m[1] = [[1, 2], [3]]
    assert len(m) == 0


def test_nuls_at_the_end_are_kept_by_raw_bytes() -> None:
    digest = b"12\0\0"
    for dtype in ("V4", np.dtype([("digest", "V4")])):
        assert setitem(dtype, digest if dtype == "V4" else (digest,)).tobytes() == digest
    assert setitem(bytes, np.bytes_(digest)) == digest
    padded = np.array([digest], "S4")  # what is not there any more cannot be refused
    m = AnyMap(int, "S4")
    m.set_many(ONE, padded)
    assert m[1] == padded[0] == b"12"


def test_a_scalar_fills_a_record_but_an_array_of_scalars_is_none_of_records() -> None:
    m = AnyMap(int, np.dtype([("a", "i4"), ("b", "f8")]))
    m[1] = 5
    m.set_many([2], [5])
    assert m[1].item() == m[2].item() == (5, 5.0)
    for keys in (ONE, [1]):
        with pytest.raises(TypeError, match=r"values must be of dtype .*'a'.*, not int64"):
            m.set_many(keys, np.array([6]))


@pytest.mark.parametrize(("dtype", "value", "error", "says"), FILLS_NOT, ids=str)
def test_a_scalar_that_fills_a_record_fits_each_field(
    dtype: Any, value: Any, error: type[Exception], says: str
) -> None:
    for way in (setitem, cached, default, WAYS["list-list"]):
        with pytest.raises(error, match=says):
            way(dtype, value)


def test_sub_arrays_of_another_shape_are_turned_down() -> None:
    m = AnyMap(int, np.dtype([("at", "i4", (2,))]))
    longer = np.zeros(1, [("at", "i4", (3,))])
    for keys, values in ((ONE, longer), ([1], longer), ([1], [longer[0]])):
        with pytest.raises(TypeError, match="must be of dtype"):
            m.set_many(keys, values)
    assert not m


def test_a_wrong_value_names_the_array_or_the_value_or_the_default() -> None:
    m = AnyMap(int, "i1")
    says = "must fit in int8, -128 to 127, not 300"
    calls: dict[str, Any] = {
        "value": lambda: m.update({1: 300}),
        "values": lambda: m.set_many(ONE, np.array([300])),
        "default": lambda: m.get_many(ONE, 300),
    }
    for what in calls:
        with pytest.raises(OverflowError) as caught:
            calls[what]()
        assert str(caught.value) == f"{what} {says}"


def test_a_default_is_one_element() -> None:
    for m in (AnyMap(int, int), AnyMap(str, "i4")):
        with pytest.raises(ValueError, match=r"default must be one element of dtype int\d+, not an array of"):
            m.get_many(np.array([1] if m.kinds[0] is int else ["a"]), [5, 6])
    record = AnyMap(int, I1, {1: (1,)})
    assert record.get_many(np.arange(3), (7,))["a"].tolist() == [7, 1, 7]
    for wrong in (1.5, float("nan"), "x", None):
        with pytest.raises(TypeError, match="default must"):
            AnyMap(int, int).get_many(ONE, wrong)


def test_dates_are_not_taken_for_ints() -> None:
    dates = np.array([DATE])
    with pytest.raises(TypeError):
        AnyMap(int, int).set_many([1], dates)
    with pytest.raises(TypeError):
        AnyMap(int, float).set_many([1], dates)
    for call in (AnyMap(int, object).delete_many, AnyMap(int, object).get_many):
        with pytest.raises(TypeError, match=r"key must be int, not numpy\.datetime64"):
            call(dates)


def test_objects_get_dates_as_numpy_has_them() -> None:
    records = np.array([(1, DATE)], [("id", "i4"), ("at", "M8[ns]")])
    for keys in ([1], ONE):
        m = AnyMap(int, object)
        m.set_many(keys, np.array([DATE]))
        assert m[1] == DATE and m[1].dtype == DATE.dtype
        m.set_many(keys, records)
        assert m[1]["at"] == DATE
    dated: Any = Map()
    dated.set_many(np.array([DATE]), [1])
    assert dated == {DATE: 1} and dated.get_many(np.array([DATE])) == [1]
    fixed = AnyMap(object, int, {DATE: 5})
    assert fixed.get_many(np.array([DATE])).tolist() == [5]
    next_date = DATE + np.timedelta64(1, "ns")
    with pytest.raises(KeyError) as caught:
        fixed.get_many(np.array([DATE, next_date]))
    assert caught.value.args == (next_date,)


def test_masked_arrays_are_turned_down() -> None:
    for m in (
        AnyMap(int, int, {1: 1}),
        AnyMap(int, "f4", {1: 1}),
        AnyMap({1: 1}),
        AnyMap(int, str, {1: "a"}),
    ):
        before, masked = dict(m), np.ma.array([1, 2], mask=[False, True])
        calls: dict[str, list[Any]] = {
            "keys": [
                lambda m=m, keys=masked: m.get_many(keys),
                lambda m=m, keys=masked: m.set_many(keys, [1, 2]),
                lambda m=m, keys=masked: m.delete_many(keys),
            ],
            "values": [
                lambda m=m, values=masked: m.set_many([1, 2], values),
                lambda m=m, values=masked: m.set_many(np.array([1, 2]), values),
            ],
        }
        for what in calls:
            for call in calls[what]:
                with pytest.raises(TypeError, match=rf"{what} must have no mask.*compressed\(\) or filled"):
                    call()
        assert m == before
    with pytest.raises(TypeError, match="value must have no mask"):
        AnyMap(int, "f4")[1] = np.ma.masked


@pytest.mark.parametrize(
    "keys", [np.array([]), np.array([], "U3"), np.empty((0, 2), "M8[s]"), np.array([], object)]
)
@pytest.mark.parametrize("value", [int, float, "i1", "S3", str, object])
def test_empty_arrays_are_no_keys(keys: Any, value: Any) -> None:
    for key in (int, str, object):
        m = AnyMap(key, value)
        assert len(m.get_many(keys)) == 0 and m.delete_many(keys) == 0
        m.set_many(keys, keys)
        m.set_many(keys, [])
        assert not m


def test_a_matrix_is_an_array() -> None:
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([1, 2])
    for m in (AnyMap(int, int), AnyMap(int, object)):
        m.set_many(matrix, matrix)
        assert m == {1: 1, 2: 2}


#: Thresholds of the engine, in bytes of an entry. A map's entry is a key of 8 bytes and a value.
#: A cache's entry has up to 22 bytes more.
THRESHOLDS = [24, 64, 80, 256, 4096, 32 << 10]
SIZES = sorted(
    {threshold + by for threshold in THRESHOLDS for by in (-31, -9, -8, -7, 0, 1) if threshold + by > 0}
)
#: Values of which a table is filled until it takes huge pages.
LARGE_SIZES = [(64 << 10) - 7, (512 << 10) - 8, 1_500_000, (2 << 20) - 8, (2 << 20) - 7, 3_000_000]
#: A table of this size or more takes huge pages.
HUGE_PAGES_FROM = 64 << 20


def marked(size: int, key: int) -> np.void:
    """A value that has its key at both ends, as far as there is room."""
    value = bytearray(size)
    end = key.to_bytes(min(size, 4), "little")
    value[: len(end)] = end
    value[-len(end) :] = end
    return np.void(bytes(value))


@pytest.mark.parametrize("kind", ["map", "cache"])
@pytest.mark.parametrize("size", [*SIZES, *LARGE_SIZES])
def test_values_of_every_size_come_and_go(size: int, kind: str) -> None:
    dtype = np.dtype(f"V{size}")
    table: Any = AnyMap(int, dtype) if kind == "map" else Cache(key=int, value=dtype, max_items=10_000)
    count = HUGE_PAGES_FROM // size + 4 if size in LARGE_SIZES else 300
    for key in range(count):
        table[key] = marked(size, key)
    table._check()
    assert len(table) == count
    for key in [*range(0, count, 2), *range(1, count, 2)]:
        value, end = table.pop(key).tobytes(), key.to_bytes(min(size, 4), "little")
        assert (len(value), value[: len(end)], value[-len(end) :]) == (size, end, end)
        if len(table) == count // 2:
            table._check()
    table._check()
    assert not table
    assert table.nbytes < 256 << 10


def test_a_value_is_what_its_dtype_has_whatever_its_class_says() -> None:
    class Odd(np.bytes_):  # type: ignore[misc]  # final for type checkers only
        def tobytes(self, order: Any = "C") -> bytes:
            return b"x"

    for table in (Map(int, "S64"), Cache(key=int, value="S64")):
        table[1] = Odd(b"a" * 64)
        assert table[1] == b"a" * 64
        table._check()
