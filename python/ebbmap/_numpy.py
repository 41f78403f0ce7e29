"""Values of a NumPy dtype as bytes. The only module that imports NumPy, and only when a dtype is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Codec:
    """Turns values into the bytes of one dtype, and back."""

    __slots__ = ("dtype", "itemsize")

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.itemsize = dtype.itemsize

    def encode(self, value: object) -> bytes:
        """The bytes of `value`, which is anything NumPy takes for one element of the dtype."""
        try:
            array = np.array(value, dtype=self.dtype)
        except (TypeError, ValueError) as error:
            given = type(value).__name__
            raise type(error)(f"value must fit dtype {self.dtype}, not {given}: {error}") from None
        if array.shape != ():
            shape = f"an array of shape {array.shape}"
            raise ValueError(f"value must be one element of dtype {self.dtype}, not {shape}")
        return array.tobytes()

    def decode(self, data: bytes) -> Any:
        """The scalar that the bytes are."""
        return np.frombuffer(data, dtype=self.dtype)[0]


def codec(given: object) -> Codec:
    """The codec of what a user gave as value kind: a dtype or what names one; else `TypeError`."""
    try:
        dtype: np.dtype[Any] = np.dtype(given)  # type: ignore[call-overload]  # whatever the user gave
    except TypeError:
        raise _no_kind(given) from None
    if _is_foreign_type(given) and (dtype.hasobject or dtype.itemsize == 0):
        raise _no_kind(given)  # NumPy has a dtype for any type: object, or for memoryview one of no bytes
    if dtype.hasobject:
        raise TypeError(f"a dtype with Python objects can't be kept inline: {given!r}")
    if dtype.subdtype is not None:
        # A bare sub-array dtype melts into the array's shape; as the one field of a record it stays a value.
        raise TypeError(f"a sub-array dtype needs to be a field of a record: [('name', {dtype})]")
    return Codec(dtype)


def _is_foreign_type(given: object) -> bool:
    return isinstance(given, type) and not issubclass(given, np.generic)


def _no_kind(given: object) -> TypeError:
    kinds = "object, int, float, str, bytes or a NumPy dtype"
    return TypeError(f"a value is of kind {kinds}, not {given!r}")
