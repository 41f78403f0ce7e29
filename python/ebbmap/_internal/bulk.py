"""Bulk calls of `Map` and `Cache`: iterables go to the native module as lists, arrays as buffers."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ebbmap import _core
from ebbmap._convert.imports import load, loaded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Table: TypeAlias = _core.Map[Any, Any] | _core.Cache[Any, Any]
    Array = npt.NDArray[Any]

# Array types of the values that are of a fixed size.
_DTYPES = {"int": "i8", "float": "f8"}
# Elements of an array that become Python objects in one step.
_CONVERTED = 4096

# The code of these kinds in a `memoryview`.
_CODES: dict[str, Literal["q", "d"]] = {"int": "q", "float": "d"}
# dtypes whose scalars are no views of the array that they come from.
_PLAIN = "biufcmMSU"
# Lists of so many plain numbers go the way of arrays, which makes no object of each.
_MANY = 64
# Keys of a list that are looked up before other threads may run.
_BLOCK = 1 << 16


def get_many(m: Table, keys: Any, default: Any, mask: bool, absent: Any) -> Any:
    """See `Map.get_many`; `absent` as `default` stands for none given."""
    keys = _as_array(keys)
    _refuse_masked(keys, "keys")
    dtype = _value_dtype(m) if _is_array(keys) else None
    if dtype is None:
        listed = _get_list(m, keys, absent)
        if mask:
            return _masked(listed, absent)
        return _filled(listed, None if default is absent else default, absent)
    if mask:
        return _get_array(m, keys, dtype)
    return _get_array_filled(m, keys, dtype, default, absent)


def _get_array_filled(m: Table, keys: Array, dtype: np.dtype[Any], default: Any, absent: Any) -> Array:
    if default is not absent:
        default = _dtypes().one(default, dtype, "default")
    values, found = _get_array(m, keys, dtype)
    if not found.all():
        if default is absent:
            first = int(found.argmin())
            raise KeyError(*_as_iterable(_flat(keys)[first : first + 1]))
        values[~found] = default
    return values


def _get_array(m: Table, keys: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    np = sys.modules["numpy"]
    if m._kinds()[0] == "int":
        values, found = np.empty(keys.shape, dtype), np.empty(keys.shape, bool)
        m._get_array(_int_array(keys), _bytes_of(values), _bytes_of(found))
        return values, found
    values, found = np.zeros(keys.shape, dtype), np.zeros(keys.shape, bool)
    absent = object()
    for i, value in enumerate(m._get_list(_as_iterable(keys), absent)):
        if value is not absent:
            values.flat[i], found.flat[i] = value, True
    return values, found


def set_many(m: Table, keys: Any, values: Any, *ttl: Any) -> None:
    """See `Map.set_many`, and `Cache.set_many`, which has a `ttl`."""
    keys, values = _as_array(keys), _as_array(values)
    _refuse_masked(keys, "keys")
    _refuse_masked(values, "values")
    values = _fitting(m, values)
    if not _are_arrays_for(m, keys, values):
        _set_lists(m, keys, values, *ttl)
        return
    if keys.shape != values.shape:
        raise ValueError(f"keys and values must be of one shape, not {keys.shape} and {values.shape}")
    m._set_array(_int_array(keys), _bytes_of(sys.modules["numpy"].ascontiguousarray(values)), *ttl)


def delete_many(m: Table, keys: Any) -> int:
    """See `Map.delete_many`."""
    keys = _as_array(keys)
    _refuse_masked(keys, "keys")
    if _is_array(keys) and m._kinds()[0] == "int" and m._kinds()[1] != "object":
        return m._delete_array(_int_array(keys))
    words = _words(m, keys)
    return m._delete_list(_as_iterable(keys)) if words is None else m._delete_array(words)


# --- lists of plain numbers, which go the way of arrays ---------------------------------------------------


def _get_list(m: Table, keys: Any, absent: Any) -> list[Any]:
    """The values of many keys, `absent` for those that are not there."""
    _, value, codec = m._kinds()
    is_plain = value in _CODES or (codec is not None and codec.dtype.kind in _PLAIN)
    if not is_plain or not _are_many(m, keys):
        return m._get_list(_as_iterable(keys), absent)
    values: list[Any] = []
    for start in range(0, len(keys), _BLOCK):  # other threads run between two blocks
        values += _get_block(m, keys[start : start + _BLOCK], absent)
    return values


def _get_block(m: Table, keys: Any, absent: Any) -> list[Any]:
    words = _words(m, keys)
    if words is None:
        return m._get_list(_as_iterable(keys), absent)
    found = bytearray(len(words))
    values = _plain_values(m, words, found)
    if 0 not in found:
        return values
    return [value if here else absent for value, here in zip(values, found, strict=True)]


def _plain_values(m: Table, words: Any, found: bytearray) -> list[Any]:
    """The values of keys, and in `found` which are there; those of other keys are of no meaning."""
    _, value, codec = m._kinds()
    if codec is None:
        data = bytearray(8 * len(words))
        m._get_array(words, data, found)
        values: list[Any] = memoryview(data).cast(_CODES[value]).tolist()
        return values
    array = sys.modules["numpy"].empty(len(words), codec.dtype)
    m._get_array(words, _bytes_of(array), found)
    return list(array)


def _set_lists(m: Table, keys: Any, values: Any, *ttl: Any) -> None:
    are_many = _are_many(m, keys) and (type(values) is list or _is_array(values))
    words = _words(m, keys) if are_many else None
    data = None if words is None else _data(m, values)
    if words is None or data is None or len(values) != len(words):
        m._set_lists(_as_iterable(keys), _values(m, values), *ttl)
    else:
        m._set_array(words, data, *ttl)


def _are_many(m: Table, keys: Any) -> bool:
    """Whether it is worth to see if keys can go the way of arrays."""
    key, value, _ = m._kinds()
    if key != "int" or value == "object":
        return False
    return (type(keys) is list and len(keys) >= _MANY) or (_is_array(keys) and keys.size >= _MANY)


def _words(m: Table, keys: Any) -> Any:
    """Keys as an array of int64, where they are many plain ints and the table keeps no objects; else None."""
    if not _are_many(m, keys):
        return None
    if _is_array(keys):
        return _int_array(keys) if keys.dtype.kind in "iu" else None
    words = _core._ints_as_bytes(keys)
    return None if words is None else memoryview(words).cast("q")


def _data(m: Table, values: Any) -> Any:
    """The bytes of values of a fixed size, where they are plain numbers; else None."""
    if _is_array(values):
        fits = values.ndim == 1 and values.dtype == _value_dtype(m)
        return _bytes_of(sys.modules["numpy"].ascontiguousarray(values)) if fits else None
    return _list_data(m, values)


def _list_data(m: Table, values: list[Any]) -> Any:
    _, value, codec = m._kinds()
    if value == "int":
        return _core._ints_as_bytes(values)
    if value == "float":
        return _core._floats_as_bytes(values)
    if codec is None:
        return None
    return _dtypes().numbers(values, codec.dtype)


def _fitting(m: Table, values: Any) -> Any:
    """An array of values as one of the map's dtype, where it has one; the rest as it is."""
    if not _is_array(values) or values.dtype.hasobject:
        return values  # objects are looked at one by one
    dtype = _value_dtype(m)
    if dtype is None:
        return values
    return _dtypes().fitting(values, dtype)


def _are_arrays_for(m: Table, keys: Any, values: Any) -> bool:
    """Whether keys and values, already of its dtype, can go to the native module as they are."""
    if not _is_array(keys) or not _is_array(values) or m._kinds()[0] != "int":
        return False
    dtype = _value_dtype(m)
    return dtype is not None and bool(values.dtype == dtype)


def _refuse_masked(given: Any, what: str) -> None:
    if _is_array(given):
        _dtypes().refuse_masked(given, what)


def _dtypes() -> ModuleType:
    return load("ebbmap._convert.dtypes")  # it imports NumPy


def _is_array(given: object) -> bool:
    numpy = loaded("numpy")
    return numpy is not None and isinstance(given, numpy.ndarray)


def _as_array(given: Any) -> Any:
    """What says that it is an array, such as a pandas Series, as NumPy's; the rest as it is."""
    numpy = loaded("numpy")
    if numpy is None or isinstance(given, numpy.ndarray | numpy.generic):
        return given
    is_one = hasattr(type(given), "__array__") or hasattr(type(given), "__array_interface__")
    return numpy.asarray(given) if is_one else given


def _value_dtype(m: Table) -> np.dtype[Any] | None:
    _, value, codec = m._kinds()
    if codec is not None:
        dtype: np.dtype[Any] = codec.dtype
        return dtype
    name = _DTYPES.get(value)
    return None if name is None else sys.modules["numpy"].dtype(name)


def _as_iterable(given: Any) -> Iterable[Any]:
    """What was given as an iterable of Python objects; dates stay NumPy's, as `tolist` makes ints of some.

    An array is converted some elements at a time, as `tolist` lets no other thread run.
    """
    if not _is_array(given):
        iterable: Iterable[Any] = given
        return iterable
    flat = _flat(given)
    if _has_dates(flat.dtype):
        return flat
    return chain.from_iterable(flat[i : i + _CONVERTED].tolist() for i in range(0, flat.size, _CONVERTED))


def _values(m: Table, values: Any) -> Iterable[Any]:
    """Values as an iterable; those for a dtype as elements, which need no second look."""
    if m._kinds()[2] is not None and _is_array(values):
        return _flat(values)
    return _as_iterable(values)


def _flat(array: Array) -> Array:
    flat: Array = sys.modules["numpy"].asarray(array).ravel()
    return flat


def _has_dates(dtype: np.dtype[Any]) -> bool:
    base = dtype.base
    return base.kind in "mM" or any(_has_dates(base[name]) for name in base.names or ())


def _int_array(keys: Array) -> Array:
    """Keys as contiguous int64; `TypeError` or `OverflowError` for what is none."""
    np = sys.modules["numpy"]
    if not keys.size:
        keys = np.empty(0, np.int64)  # an empty array may be at any address
    elif keys.dtype.hasobject and (words := _core._ints_as_bytes(_flat(keys).tolist())) is not None:
        keys = np.frombuffer(words, np.int64)
    if keys.size and keys.dtype.kind not in "iub":
        raise TypeError(f"key must be int, not {keys.dtype}")
    if keys.dtype.kind == "u" and keys.size and int(keys.max()) > np.iinfo(np.int64).max:
        raise OverflowError(f"key must fit in 64 bits, signed, -2**63 to 2**63 - 1, not {int(keys.max())}")
    flat: Array = np.require(keys, np.int64, ["C", "A"]).reshape(-1)  # aligned: files have others
    return flat


def _bytes_of(array: Array) -> Array:
    return array.reshape(-1).view("u1")


def _filled(values: list[Any], default: Any, absent: Any) -> list[Any]:
    return [default if value is absent else value for value in values]


def _masked(values: list[Any], absent: Any) -> tuple[list[Any], list[bool]]:
    return _filled(values, None, absent), [value is not absent for value in values]
