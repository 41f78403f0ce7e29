"""Bulk calls of `Map` and `Cache`: iterables go to the native module as lists, arrays as buffers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ebbmap._cache import Cache
    from ebbmap._map import Map

    Either: TypeAlias = Map[Any, Any] | Cache[Any, Any]
    Array = npt.NDArray[Any]

# Array types of the values that are of a fixed size.
_DTYPES = {"int": "i8", "float": "f8"}


def get_many(m: Either, keys: Any, default: Any, mask: bool, absent: Any) -> Any:
    """See `Map.get_many`; `absent` as `default` stands for none given."""
    dtype = _value_dtype(m) if _is_array(keys) else None
    if dtype is None:
        listed = m._get_list(_as_list(keys), absent)
        if mask:
            return _masked(listed, absent)
        return _filled(listed, None if default is absent else default, absent)
    values, found = _get_array(m, keys, dtype)
    if mask:
        return values, found
    if not found.all():
        if default is absent:
            raise KeyError(keys.flat[int(found.argmin())].item())
        values[~found] = default
    return values


def _get_array(m: Either, keys: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    np = sys.modules["numpy"]
    if m._kinds()[0] == "int":
        values, found = np.empty(keys.shape, dtype), np.empty(keys.shape, bool)
        m._get_array(_int_array(keys), _bytes_of(values), _bytes_of(found))
        return values, found
    values, found = np.zeros(keys.shape, dtype), np.zeros(keys.shape, bool)
    absent = object()
    for i, value in enumerate(m._get_list(_as_list(keys), absent)):
        if value is not absent:
            values.flat[i], found.flat[i] = value, True
    return values, found


def set_many(m: Either, keys: Any, values: Any, *ttl: Any) -> None:
    """See `Map.set_many`, and `Cache.set_many`, which has a `ttl`."""
    dtype = _value_dtype(m) if _is_array(keys) and _is_array(values) else None
    if dtype is None or m._kinds()[0] != "int":
        m._set_lists(_as_list(keys), _as_list(values), *ttl)
        return
    np = sys.modules["numpy"]
    if keys.shape != values.shape:
        raise ValueError(f"keys and values must be of one shape, not {keys.shape} and {values.shape}")
    if values.dtype != dtype and not np.can_cast(values.dtype, dtype, "same_kind"):
        raise TypeError(f"values must be of dtype {dtype}, not {values.dtype}")
    _check_range(values, dtype)
    m._set_array(_int_array(keys), _bytes_of(np.ascontiguousarray(values, dtype)), *ttl)


def delete_many(m: Either, keys: Any) -> int:
    """See `Map.delete_many`."""
    if _is_array(keys) and m._kinds()[0] == "int" and m._kinds()[1] != "object":
        return m._delete_array(_int_array(keys))
    return m._delete_list(_as_list(keys))


def _is_array(given: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(given, numpy.ndarray)


def _value_dtype(m: Either) -> np.dtype[Any] | None:
    _, value, codec = m._kinds()
    if codec is not None:
        dtype: np.dtype[Any] = codec.dtype
        return dtype
    name = _DTYPES.get(value)
    return None if name is None else sys.modules["numpy"].dtype(name)


def _as_list(given: Any) -> list[Any]:
    return given.ravel().tolist() if _is_array(given) else list(given)


def _int_array(keys: Array) -> Array:
    """Keys as contiguous int64; `TypeError` or `OverflowError` for what is none."""
    np = sys.modules["numpy"]
    if keys.dtype.kind not in "iub":
        raise TypeError(f"key must be int, not {keys.dtype}")
    if keys.dtype.kind == "u" and keys.size and int(keys.max()) > np.iinfo(np.int64).max:
        raise OverflowError(f"key must fit in 64 bits, signed, -2**63 to 2**63 - 1, not {int(keys.max())}")
    flat: Array = np.ascontiguousarray(keys, np.int64).reshape(-1)
    return flat


def _check_range(values: Array, dtype: np.dtype[Any]) -> None:
    """`OverflowError` for ints that a narrower dtype would wrap."""
    if values.dtype.kind not in "iu" or dtype.kind not in "iu" or values.dtype == dtype or not values.size:
        return
    range_ = sys.modules["numpy"].iinfo(dtype)
    for value in (int(values.min()), int(values.max())):
        if not range_.min <= value <= range_.max:
            raise OverflowError(f"value must fit in {dtype}, {range_.min} to {range_.max}, not {value}")


def _bytes_of(array: Array) -> Array:
    return array.reshape(-1).view("u1")


def _filled(values: list[Any], default: Any, absent: Any) -> list[Any]:
    return [default if value is absent else value for value in values]


def _masked(values: list[Any], absent: Any) -> tuple[list[Any], list[bool]]:
    return _filled(values, None, absent), [value is not absent for value in values]
