"""Values of a NumPy dtype as bytes. The only module that imports NumPy, and only when a dtype is used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy import char  # NumPy imports it at its first use else

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class Codec:
    """Turns values into the bytes of one dtype, and back."""

    __slots__ = ("_raw", "_text", "dtype", "itemsize")

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype
        self.itemsize = dtype.itemsize
        self._raw = dtype.kind == "V" and dtype.names is None
        self._text = dtype.kind in "SU"

    def encode(self, value: object) -> bytes:
        """The bytes of `value`, if it fits the dtype; for errors see `one`."""
        if isinstance(value, np.generic) and value.dtype == self.dtype:
            if self._text:
                _refuse_trailing_nul(value, self.dtype, "value")
            return np.generic.tobytes(value)  # not what a subclass makes of it
        if self._raw and type(value) is bytes and len(value) == self.itemsize:
            return value
        return one(value, self.dtype).tobytes()

    def decode(self, data: bytes) -> Any:
        """The scalar that the bytes are."""
        return np.frombuffer(data, dtype=self.dtype)[0]


def codec(given: object) -> Codec:
    """The codec of what a user gave as value kind: a dtype or what names one; else `TypeError`."""
    dtype = _dtype(given)
    if dtype.hasobject:
        raise TypeError(f"a dtype with Python objects can't be kept inline: {given!r}")
    if dtype.subdtype is not None:
        # A bare sub-array dtype melts into the array's shape; as the one field of a record it stays a value.
        raise TypeError(f"a sub-array dtype needs to be a field of a record: [('name', {dtype})]")
    return Codec(dtype)


def _dtype(given: object) -> DType:
    """The dtype that a user gave or named; `TypeError` where NumPy knows none, or makes one of anything."""
    if given is None:
        raise _no_kind(given)  # for NumPy it is float64
    try:
        dtype: DType = np.dtype(given)  # type: ignore[call-overload]  # whatever the user gave
    except TypeError:
        raise _no_kind(given) from None
    if _is_foreign_type(given) and (dtype.hasobject or dtype.itemsize == 0):
        raise _no_kind(given)  # NumPy has a dtype for any type: object, or for memoryview one of no bytes
    return dtype


def _is_foreign_type(given: object) -> bool:
    return isinstance(given, type) and not issubclass(given, np.generic)


def _no_kind(given: object) -> TypeError:
    kinds = "object, int, float, str, bytes or a NumPy dtype"
    return TypeError(f"a value is of kind {kinds}, not {given!r}")


# --- what fits a dtype -----------------------------------------------------------------------------------
#
# What NumPy calls a cast of the same kind, and besides: ints that are in range, text and bytes that are not
# too long, text for dates. All else raises: nothing is cut, wrapped or guessed.


def fitting(array: Array, dtype: DType, what: str = "values") -> Array:
    """The array as one of `dtype`, itself if it is. O(n).

    Raises `TypeError` for a type that does not fit, `OverflowError` for an int out of range, `ValueError` for
    text or bytes that are too long, or no date.
    """
    if array.dtype == dtype:
        return array
    if not array.size:
        return np.empty(array.shape, dtype)
    if dtype.names is not None and array.dtype.names is None:
        raise _wrong(array, dtype, what)
    _check_array(array, dtype, what, array)
    return array.astype(dtype)


def numbers(values: list[Any], dtype: DType) -> Array | None:
    """The bytes of a list of plain numbers, where all fit `dtype`; else None. O(n)."""
    plain: set[type] = {int} if dtype.kind in "iu" else {int, float} if dtype.kind in "fc" else set()
    if not plain.issuperset(map(type, values)):
        return None
    try:
        array = fitting(np.array(values, np.int64), dtype) if dtype.kind in "iu" else np.array(values, dtype)
    except OverflowError:
        return None
    return array.view("u1")


def one(value: object, dtype: DType, what: str = "value") -> Array:
    """`value` as an array of `dtype` without dimensions; errors as of `fitting`, O(size of the value)."""
    _check(value, dtype, what)
    try:
        array = np.array(value, dtype)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{what} must fit dtype {dtype}, not {_type_name(value)}: {error}") from None
    if array.shape != ():
        raise ValueError(f"{what} must be one element of dtype {dtype}, not an array of shape {array.shape}")
    return array


def refuse_masked(given: object, what: str) -> None:
    """`TypeError` for a masked array, whose mask would be lost."""
    if isinstance(given, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())):
        raise TypeError(
            f"{what} must have no mask, not be a MaskedArray: give its compressed() or filled(value)"
        )


@lru_cache(maxsize=256)
def _sure(dtype: DType) -> Callable[[Any], bool]:
    """Tells quickly of most values that fit, by their Python type."""
    match dtype.kind:
        case "i" | "u":
            range_ = _range(dtype)
            return lambda value: type(value) is int and value in range_
        case "f" | "c":
            return lambda value: type(value) is float or type(value) is int
        case "S" | "U":
            kind, room = (bytes if dtype.kind == "S" else str), _characters(dtype)
            nul: Any = b"\0" if dtype.kind == "S" else "\0"
            return lambda value: type(value) is kind and len(value) <= room and not value.endswith(nul)
    return lambda value: False


@lru_cache(maxsize=256)
def _fields(dtype: DType) -> list[tuple[str, DType, tuple[int, ...], Callable[[Any], bool]]]:
    """Name, base, shape and `_sure` of a record's fields."""
    fields = ((name, dtype[name]) for name in dtype.names or ())
    return [(name, field.base, field.shape, _sure(field.base)) for name, field in fields]


def _check(value: Any, dtype: DType, what: str) -> None:
    if _sure(dtype)(value):
        return
    _refuse_trailing_nul(value, dtype, what)
    refuse_masked(value, what)
    if isinstance(value, tuple) and dtype.names is not None:
        _check_record(value, dtype, what)
        return
    try:
        array = np.asarray(value)
    except ValueError:
        return  # lists of different lengths: NumPy says so when it has to convert them
    if dtype.names is not None and array.ndim == 0 and array.dtype.kind not in "OV":
        _check_record((value,) * len(dtype.names), dtype, what)  # it fills every field
    elif array.dtype.kind == "O" and array.ndim == 0 and array[()] is value:
        _check_object(value, dtype, what)
    else:
        _check_array(array, dtype, what, value)


def _refuse_trailing_nul(value: Any, dtype: DType, what: str) -> None:
    """NumPy takes NULs at the end of a text for padding, and cuts them off."""
    if dtype.kind in "SU" and isinstance(value, bytes | str) and value[-1:] in (b"\0", "\0"):
        better = f"bytes or V{dtype.itemsize}" if dtype.kind == "S" else "str"
        raise ValueError(f"{what} of dtype {dtype} can't end in NUL, which NumPy cuts off: use {better}")


def _check_record(value: tuple[Any, ...], dtype: DType, what: str) -> None:
    # One of another length is left to NumPy, which says so.
    for (name, base, shape, sure), field in zip(_fields(dtype), value, strict=False):
        if not sure(field):
            _check_field(field, base, shape, f"{what}[{name!r}]")


def _check_field(value: Any, dtype: DType, shape: tuple[int, ...], what: str) -> None:
    """Check a field, which may be a sub-array: NumPy would repeat what has too few elements."""
    is_element = not shape or (isinstance(value, tuple) and dtype.names is not None)
    if is_element or isinstance(value, str | bytes):
        _check(value, dtype, what)
    elif isinstance(value, list | tuple):
        _check_nested(value, dtype, shape, what)
    else:
        _check_sub_array(value, dtype, shape, what)


def _check_nested(
    value: list[Any] | tuple[Any, ...], dtype: DType, shape: tuple[int, ...], what: str
) -> None:
    """Check lists in lists. Not by way of an array of them, which would cut off NULs."""
    if len(value) != shape[0]:
        raise _wrong_length(what, shape[0], len(value))
    for i, item in enumerate(value):
        if len(shape) > 1 and np.ndim(item) == 0:
            raise _wrong_length(f"{what}[{i}]", shape[1], f"be one {_type_name(item)}")
        _check_field(item, dtype, shape[1:], f"{what}[{i}]")


def _check_sub_array(value: Any, dtype: DType, shape: tuple[int, ...], what: str) -> None:
    try:
        array = np.asarray(value)
    except ValueError:
        return  # as in `_check`
    if array.ndim == 0:
        _check(value, dtype, what)  # it fills the sub-array
        return
    if array.shape != shape:
        raise ValueError(f"{what} must have shape {shape}, not {array.shape}")
    refuse_masked(value, what)
    if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
        array = np.array(value, object)  # as its elements were: with their NULs
    _check_array(array, dtype, what, value)


def _check_object(value: object, dtype: DType, what: str) -> None:
    """Check what NumPy has no type for: it knows best, but takes any object for a text and for a bool."""
    if dtype.kind in "SUb":
        raise _wrong(value, dtype, what)


def _check_array(array: Array, dtype: DType, what: str, given: object) -> None:
    if array.dtype == dtype:
        return
    if array.dtype.kind == "O":
        for item in array.flat:
            _check(item, dtype, what)
    elif dtype.names is None:
        _check_plain(array, dtype, what, given)
    elif array.dtype.names is not None:
        _check_fields(array, dtype, what, given)


def _check_fields(array: Array, dtype: DType, what: str, given: object) -> None:
    theirs, ours = array.dtype.names or (), dtype.names or ()
    if len(theirs) != len(ours):
        raise _wrong(given, dtype, what)
    for their, our in zip(theirs, ours, strict=True):
        field, wanted = array[their], dtype[our]
        if array.dtype[their].shape not in ((), wanted.shape):
            raise _wrong(given, dtype, what)
        _check_array(field, wanted.base, f"{what}[{our!r}]", field)


def _check_plain(array: Array, dtype: DType, what: str, given: object) -> None:
    kinds = array.dtype.kind, dtype.kind
    match kinds:
        case ("b" | "i" | "u", "i" | "u"):
            _check_range(array, dtype, what)
        case ("S" | "U", "S" | "U"):
            _check_length(array, dtype, what)
        case ("S" | "V", "V") if array.dtype.names is None:
            _check_room(array.dtype.itemsize, dtype, what)
        case ("S" | "U", "m" | "M"):
            pass  # NumPy parses it
        case (_, "S" | "U" | "V"):
            raise _wrong(given, dtype, what)  # for NumPy some of these are safe: it cuts an int's text
        case _:
            if not np.can_cast(array.dtype, dtype, "same_kind"):
                raise _wrong(given, dtype, what)


def _check_range(array: Array, dtype: DType, what: str) -> None:
    if not array.size or np.can_cast(array.dtype, dtype, "safe"):
        return
    range_ = _range(dtype)
    for value in (int(array.min()), int(array.max())):
        if value not in range_:
            raise OverflowError(f"{what} must fit in {dtype}, {range_[0]} to {range_[-1]}, not {value}")


def _check_length(array: Array, dtype: DType, what: str) -> None:
    if array.size and _characters(array.dtype) > _characters(dtype):
        _check_room(int(char.str_len(array).max()), dtype, what)


def _check_room(length: int, dtype: DType, what: str) -> None:
    room, unit = _characters(dtype), "characters" if dtype.kind == "U" else "bytes"
    if length > room:
        raise ValueError(f"{what} must be at most {room} {unit} for dtype {dtype}, not {length}")


def _range(dtype: DType) -> range:
    info = np.iinfo(dtype)
    return range(int(info.min), int(info.max) + 1)


def _characters(dtype: DType) -> int:
    return dtype.itemsize // 4 if dtype.kind == "U" else dtype.itemsize


def _wrong(given: object, dtype: DType, what: str) -> TypeError:
    name = given.dtype if isinstance(given, np.ndarray | np.generic) else _type_name(given)
    return TypeError(f"{what} must be of dtype {dtype}, not {name}")


def _wrong_length(what: str, wanted: int, given: object) -> ValueError:
    return ValueError(f"{what} must have {wanted} {'element' if wanted == 1 else 'elements'}, not {given}")


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
