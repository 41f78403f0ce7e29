"""Kinds of key and value: all combinations and sizes, and what is taken, refused or changed on the way."""

from __future__ import annotations

import enum
import math
import re
import struct
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ebbmap import Cache, Map
from map_helpers import KEYS, KINDS, MIB, VALUES, agrees, model_of, named, run

AnyMap: Any = Map


class Key(str):
    """A str that thinks it is something else."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 7


class Number(enum.IntEnum):
    ONE = 1


class Indexable:
    def __index__(self) -> int:
        return 5


# --- every combination -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_every_combination_holds_its_samples(kinds: tuple[type, type]) -> None:
    model = model_of(kinds)
    m = AnyMap(*kinds, model)
    agrees(m, model)
    for value in VALUES[kinds[1]]:  # of every length over every other
        for key in KEYS[kinds[0]]:
            m[key] = model[key] = value
        agrees(m, model)
    for key in KEYS[kinds[0]]:
        assert m.pop(key) == model.pop(key)
        agrees(m, model)


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_what_comes_out_has_the_type_that_went_in(kinds: tuple[type, type]) -> None:
    m = AnyMap(*kinds, model_of(kinds))
    if kinds[0] is not object:
        assert {type(key) for key in m} == {kinds[0]}
    if kinds[1] is not object:
        assert {type(value) for value in m.values()} == {kinds[1]}


@pytest.mark.parametrize("key", ["i1", "u8", "f4", "S5", "U3", "M8[ns]", "?", "c16", "V7"])
def test_dtypes_give_back_numpy_scalars(key: str) -> None:
    dtype = np.dtype(key)
    values = np.frombuffer(bytes(range(1, dtype.itemsize + 1)) * 2, np.uint8)[: 2 * dtype.itemsize]
    if dtype.kind == "U":
        given = np.array(["abc", "é"], dtype)
    elif dtype.kind == "b":
        given = np.array([True, False])
    else:
        given = values.view(dtype)
    m = AnyMap(int, dtype)
    m[1], m[2] = given
    assert m.kinds == (int, dtype)
    assert [m[1], m[2]] == list(given) and type(m[1]) is type(given[0])
    assert m.stats()["payload_bytes"] == 2 * (8 + dtype.itemsize)


def test_records_and_subarrays_in_records() -> None:
    dtype = np.dtype([("id", "i4"), ("at", "f8", (2,)), ("name", "S3")])
    for key in (int, str, object):
        m = AnyMap(key, dtype)
        name = {int: 1, str: "é", object: (1,)}[key]
        m[name] = (7, [1.5, 2.5], b"ab")
        assert m[name]["id"] == 7 and m[name]["at"].tolist() == [1.5, 2.5] and m[name]["name"] == b"ab"
        m[name] = m[name]
        m._check()


@pytest.mark.parametrize(
    ("dtype", "error", "says"),
    [
        ("object", TypeError, "dtype with Python objects can't be kept inline"),
        ([("a", "O")], TypeError, "dtype with Python objects"),
        (np.dtype(("i4", (2,))), TypeError, "field of a record"),
        ("V0", ValueError, "at least one byte"),
        ("O", TypeError, "with Python objects can't be kept inline: 'O'"),
        ("nonsense", TypeError, "a value is of kind object, int, float, str, bytes or a NumPy dtype, not"),
        (Map, TypeError, "a value is of kind .* not <class 'ebbmap.Map'>"),
        (list, TypeError, "a value is of kind .* not <class 'list'>"),
        (memoryview, TypeError, "a value is of kind .* not <class 'memoryview'>"),
    ],
)
def test_values_that_can_not_be_a_kind(dtype: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        AnyMap(int, np.dtype(dtype) if isinstance(dtype, list) else dtype)


def test_kinds_without_numpy() -> None:
    kinds = "a value is of kind object, int, float, str, bytes or a NumPy dtype, not"
    printed = run("""
        import sys
        sys.modules["numpy"] = None
        from ebbmap import Cache, Map
        for given in (list, dict, bool, "i8"):
            for make in (lambda given: Map(int, given), lambda given: Cache(value=given)):
                try: make(given)
                except TypeError as error: print(error)
    """)
    missing = "; a dtype needs NumPy, which can't be imported"
    expected = ["<class 'list'>", "<class 'dict'>", f"<class 'bool'>{missing}", f"'i8'{missing}"]
    assert printed.splitlines() == [f"{kinds} {given}" for given in expected for _ in range(2)]


def test_none_is_no_kind() -> None:
    with pytest.raises(TypeError, match=r"a value is of kind .*, not None"):
        Cache(value=None)


@pytest.mark.parametrize("key", [float, tuple, "i8", np.int64, bool, list])
def test_keys_that_can_not_be_a_kind(key: Any) -> None:
    with pytest.raises(
        TypeError, match=re.escape(f"a key is of kind object, int, str or bytes, not {key!r}")
    ):
        AnyMap(key, int)


# --- sizes -----------------------------------------------------------------------------------------------

LENGTHS = [
    0,
    1,
    63,
    64,
    65,
    127,
    128,
    1000,
    4095,
    4096,
    32767,
    32768,
    32769,
    65536,
    MIB,
    3 * MIB + 7,
    64 * MIB,
]


@pytest.mark.parametrize("length", LENGTHS)
def test_values_of_every_size(length: int) -> None:
    data = (b"0123456789abcde" * (length // 15 + 1))[:length]
    m = Map(int, bytes, {1: b"before", 2: b"other"})
    m[1] = data
    assert m[1] == data and m[2] == b"other"
    assert m.stats()["payload_bytes"] == 8 + length + 8 + 5
    m[1] = b"after"
    assert m[1] == b"after" and m.nbytes < 16 << 10
    m._check()


@pytest.mark.parametrize("length", LENGTHS)
def test_keys_of_every_size(length: int) -> None:
    key = "é" * (length // 2) + "x" * (length % 2)
    m = Map(str, str, {"other": "1"})
    m[key] = "2"
    assert m[key] == "2" and m["other"] == "1" and set(m) == {key, "other"}
    assert m.pop(key) == "2" and key not in m and m.nbytes < 16 << 10
    m._check()


def test_every_length_around_the_size_classes() -> None:
    model = {n: bytes([n % 256]) * n for n in (*range(300), *range(500, 40_000, 517))}
    m = Map(int, bytes, model)
    agrees(m, model)
    for n in model:  # up by one, as a log does
        m[n] += b"+"
        model[n] += b"+"
    agrees(m, model)


def test_fixed_values_take_exactly_their_size() -> None:
    for kind, size in ((int, 8), (float, 8), (object, 8), (np.dtype("i2"), 2), (np.dtype("S100"), 100)):
        m = AnyMap(int, kind)
        for key in range(100):
            m[key] = b"" if kind == "S100" else 0
        assert m.stats()["payload_bytes"] == 100 * (8 + size)


# --- wrong kinds -----------------------------------------------------------------------------------------

WRONG_KEYS = [
    (int, "a", "str"),
    (int, 1.0, "float"),
    (int, None, "NoneType"),
    (int, Decimal(1), "decimal.Decimal"),
    (int, Fraction(1), "fractions.Fraction"),
    (int, np.True_, "numpy.bool"),
    (str, 1, "int"),
    (str, b"a", "bytes"),
    (str, None, "NoneType"),
    (bytes, "a", "str"),
    (bytes, bytearray(b"a"), "bytearray"),
    (bytes, memoryview(b"a"), "memoryview"),
]
WRONG_VALUES = [
    (int, "a", "str"),
    (int, 1.5, "float"),
    (int, None, "NoneType"),
    (float, "1.5", "str"),
    (float, None, "NoneType"),
    (float, 1j, "complex"),
    (str, b"a", "bytes"),
    (str, 1, "int"),
    (bytes, "a", "str"),
    (bytes, bytearray(b"a"), "bytearray"),
    (bytes, 5, "int"),
]


@pytest.mark.parametrize(("kind", "key", "given"), WRONG_KEYS)
def test_wrong_keys_raise_type_error_everywhere(kind: type, key: Any, given: str) -> None:
    m = AnyMap(kind, int, {KEYS[kind][0]: 1})
    calls: list[Any] = [
        lambda: m[key],
        lambda: m.__setitem__(key, 1),
        lambda: m.__delitem__(key),
        lambda: key in m,
        lambda: m.get(key),
        lambda: m.pop(key, None),
        lambda: m.setdefault(key, 1),
        lambda: m.update({key: 1} if not isinstance(key, bytearray) else [(key, 1)]),
        lambda: m.get_many([key]),
        lambda: m.set_many([key], [1]),
        lambda: m.delete_many([key]),
    ]
    for call in calls:
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == f"key must be {kind.__name__}, not {given}"
    assert len(m) == 1 and key not in m.keys()  # noqa: SIM118 -- a view answers for any object


@pytest.mark.parametrize(("kind", "value", "given"), WRONG_VALUES)
def test_wrong_values_raise_type_error_everywhere(kind: type, value: Any, given: str) -> None:
    m = AnyMap(str, kind, {"a": VALUES[kind][0]})
    before = dict(m)
    calls: list[Any] = [
        lambda: m.__setitem__("a", value),
        lambda: m.__setitem__("b", value),
        lambda: m.setdefault("b", value),
        lambda: m.update(b=value),
        lambda: m.set_many(["b"], [value]),
        lambda: m | {"b": value},
    ]
    for call in calls:
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == f"value must be {kind.__name__}, not {given}"
    agrees(m, before)
    assert m.setdefault("a", value) == before["a"], "a default that is not used may be of any type"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**100])
def test_ints_beyond_64_bits_raise_overflow_error(number: int) -> None:
    m = Map(int, int, {1: 1})
    says = re.escape(f"must fit in 64 bits, signed, -2**63 to 2**63 - 1, not {number}")
    calls: list[Any] = [
        lambda: m.__setitem__(number, 1),
        lambda: m[number],
        lambda: number in m,
        lambda: m.get(number),
        lambda: m.pop(number, None),
        lambda: m.__delitem__(number),
    ]
    for call in calls:
        with pytest.raises(OverflowError, match="key " + says):
            call()
    for key in (1, 2):
        with pytest.raises(OverflowError, match="value " + says):
            m[key] = number
    assert m == {1: 1} and number not in m.keys()  # noqa: SIM118


def test_ints_of_very_many_digits_raise_overflow_error_too() -> None:
    with pytest.raises(OverflowError, match="not an int of very many digits"):
        Map(int, int)[10**5000] = 1
    with pytest.raises(OverflowError):
        Map(int, float)[1] = 10**400


def test_unhashable_keys_raise_as_for_dict() -> None:
    calls: list[Any] = [lambda m: m[[]], lambda m: [] in m, lambda m: m.get([]), lambda m: m.pop([], 1)]
    for make in (dict, Map):
        for call in calls:
            with pytest.raises(TypeError, match="unhashable type: 'list'"):
                call(make({1: 2}))


def test_values_that_do_not_fit_their_dtype() -> None:
    m = AnyMap(int, np.dtype("i2"), {1: 5})
    for value, error in (("a", TypeError), (2**40, OverflowError), (None, TypeError), ([1, 2], ValueError)):
        with pytest.raises(error):
            m[1] = value
    agrees(m, {1: 5})


# --- decisions -------------------------------------------------------------------------------------------


def test_nan_keys_are_found_by_identity_as_in_dict() -> None:
    nan, other = float("nan"), float("nan")
    for make in (dict, Map):
        m: Any = make({nan: 1})
        assert m[nan] == 1 and other not in m
        m[other] = 2
        assert len(m) == 2 and m.pop(nan) == 1 and m == {other: 2}


def test_zero_and_minus_zero_are_one_key_as_in_dict() -> None:
    for make in (dict, Map):
        m: Any = make({0.0: "a"})
        m[-0.0] = "b"
        m[0] = "c"
        m[False] = "d"
        assert list(m.items()) == [(0.0, "d")] and math.copysign(1, next(iter(m))) == 1


def test_float_values_keep_every_bit() -> None:
    payload = struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0]
    m = AnyMap(int, float, {1: -0.0, 2: payload, 3: float("-inf"), 4: 5e-324})
    assert struct.pack("<d", m[1]) == struct.pack("<d", -0.0)
    assert struct.pack("<d", m[2]).hex() == "010000000000f87f"
    assert math.isnan(m[2]) and m[3] == float("-inf") and m[4] == 5e-324


def test_true_is_one_as_in_dict_and_comes_out_as_int() -> None:
    model: dict[Any, Any] = {1: "int"}
    model[True] = "bool"
    objects: Any = Map({1: "int"})
    objects[True] = "bool"
    assert list(objects.items()) == list(model.items()) == [(1, "bool")]
    m = AnyMap(int, int, {True: True})
    assert m == {1: 1} and type(next(iter(m))) is int
    assert type(m[1]) is int and m[True] == 1


def test_int_enums_and_numpy_ints_are_ints() -> None:
    keys: Any = [Number.ONE, np.int8(2), np.uint64(3), Indexable()]
    m = AnyMap(int, int)
    for key in keys:
        m[key] = key
        assert m[key] == int(key.__index__()) and key in m
    assert m == {1: 1, 2: 2, 3: 3, 5: 5} and {type(key) for key in m} == {int}
    for key in keys[:3]:
        assert key in {1: 0, 2: 0, 3: 0}, "dict, too, takes it for an int"
    with pytest.raises(OverflowError):
        m[np.uint64(2**63)] = 1


def test_int_and_float_values_convert_as_int_and_float_do() -> None:
    m = AnyMap(int, float)
    for given in (1, True, np.float32(0.1), Decimal("2.5"), Fraction(1, 4), Indexable()):
        m[1] = given
        assert m[1] == float(given) and type(m[1]) is float


def test_str_and_bytes_subclasses_are_their_text() -> None:
    m = AnyMap(str, str, {Key("a"): Key("b")})
    assert m == {"a": "b"} and type(next(iter(m))) is str and m[Key("a")] == "b"
    objects = Map({Key("a"): 1})  # by its own hash and ==, as in dict
    assert "a" not in objects and Key("a") not in objects and "a" not in {Key("a"): 1}


def test_lone_surrogates_are_kept_as_in_dict() -> None:
    texts = ["\ud800", "a\udfffb", "\udcff", "\ud83d\ude00", "😀", "é\ud800"]
    for kinds in ((object, object), (str, str), (str, int)):
        model = {text: text if kinds[1] is not int else 1 for text in texts}
        assert len(model) == 6, "a pair of lone surrogates is not the character they would be in UTF-16"
        m = AnyMap(*kinds, model)
        agrees(m, model)
        assert {len(key) for key in m} == {len(key) for key in model}


def test_strings_that_differ_by_normal_form_differ() -> None:
    m = Map(str, int, {"é": 1, "e\u0301": 2})
    assert len(m) == 2


def test_int_subclass_methods_are_not_run_by_int_kinds() -> None:
    class Loud(int):
        def __eq__(self, other: object) -> bool:
            raise AssertionError

        def __hash__(self) -> int:
            raise AssertionError

        def __index__(self) -> int:
            raise AssertionError

    m = AnyMap(int, int, [(Loud(1), Loud(2))])
    m.set_many([Loud(3)], [Loud(4)])
    assert m == {1: 2, 3: 4} and m[Loud(1)] == 2


def test_errors_of_index_and_float_come_through() -> None:
    class Bad:
        def __index__(self) -> int:
            raise ZeroDivisionError

        def __float__(self) -> float:
            raise ZeroDivisionError

    class Odd:
        def __index__(self) -> int:
            return "text"  # type: ignore[return-value]  # noqa: PLE0305

    for m in (AnyMap(int, int), AnyMap(int, float)):
        with pytest.raises(ZeroDivisionError):
            m[1] = Bad()
        with pytest.raises(ZeroDivisionError):
            m[Bad()] = 1
        with pytest.raises(TypeError):
            m[Odd()] = 1
        assert not m


def test_a_third_kind_is_named_as_such() -> None:
    with pytest.raises(TypeError, match="at most two kinds and then the contents, not 3 arguments"):
        Map(int, int, int)  # type: ignore[call-overload]
