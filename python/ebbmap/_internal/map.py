"""`Map`: the mapping protocol around the native table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from ebbmap import _core
from ebbmap._internal import bulk
from ebbmap._internal.recursion import shown_once
from ebbmap._internal.views import K, KindName, Shared, V, contents_repr, kind_name, merge, set_state

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

T = TypeVar("T")
S = TypeVar("S")

M = TypeVar("M", bound="Map[Any, Any]")

if TYPE_CHECKING:
    _Contents = SupportsKeysAndGetItem[K, V] | Iterable[tuple[K, V]]


def _is_kind(given: object) -> bool:
    """Whether an argument of `Map(...)` names a kind rather than being the contents."""
    if isinstance(given, type | str):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(given, numpy.dtype)


class Map(Shared[K, V], _core.Map[K, V]):
    """A hash map whose memory follows its contents, up and down.

    `Map()` takes any hashable key and any object, like `dict`. `Map(key, value)` names kinds: a key of kind
    `object`, `int` (64 bits, signed), `str` or `bytes`, a value of kind `object`, `int`, `float`, `str`,
    `bytes` or a NumPy dtype. What is not `object` is kept in the table itself: no Python object stays, and
    nothing is left for the garbage collector to walk. After the kinds come the contents, as for `dict`: a
    mapping or pairs, and keywords.

    A full `MutableMapping`, unordered. Every call for one key is atomic; those for many let other threads go
    on between two keys, and a copy has each key that is there all along. Getting, setting and deleting are
    O(1), and none does work that grows with the map.

    Raises `TypeError` for a key or value of another kind, `OverflowError` for an int beyond 64 bits or its
    dtype or an entry of 4 GiB, `ValueError` for text or bytes longer than their dtype, `MemoryError` (the map
    unchanged) when memory can't be had.
    """

    __slots__ = ()
    __module__ = "ebbmap"  # the public one, which pickles name

    # What type checkers read: no kinds, one kind, two kinds, each with or without contents. A kind of key has
    # an overload of its own, as else `type[object]`, for keys of any type, would take it too. What no
    # argument tells is what the class is subscripted with, or the variable declared as; else Any.
    @overload
    def __init__(self, /) -> None: ...
    @overload
    def __init__(self: Map[str, V], /, **kwargs: V) -> None: ...
    @overload
    def __init__(self, key: type[K], /) -> None: ...
    @overload
    def __init__(
        self: Map[int, V], key: type[int], value: type[V], contents: _Contents[int, V] = ..., /
    ) -> None: ...
    @overload
    def __init__(
        self: Map[str, V], key: type[str], value: type[V], contents: _Contents[str, V] = ..., /, **kwargs: V
    ) -> None: ...
    @overload
    def __init__(
        self: Map[bytes, V], key: type[bytes], value: type[V], contents: _Contents[bytes, V] = ..., /
    ) -> None: ...
    @overload
    def __init__(self, key: type[K], value: type[V], contents: _Contents[K, V] = ..., /) -> None: ...
    @overload
    def __init__(self, key: type[object], value: type[V], contents: _Contents[K, V] = ..., /) -> None: ...
    @overload
    def __init__(self, contents: _Contents[K, V], /) -> None: ...
    @overload
    def __init__(self: Map[str, V], contents: _Contents[str, V], /, **kwargs: V) -> None: ...
    @overload
    def __init__(self, key: type[K], contents: _Contents[K, V], /) -> None: ...
    @overload
    def __init__(self, key: type[K], dtype: object, contents: _Contents[K, V] = ..., /) -> None: ...
    @overload
    def __init__(
        self, key: type[object], dtype: object = ..., contents: _Contents[K, V] = ..., /
    ) -> None: ...
    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        kinds = [arg for arg in args[:2] if _is_kind(arg)]
        if kinds and not _is_kind(args[0]):
            kinds = []  # the contents come first: what follows is one argument too many
        contents = args[len(kinds) :]
        if len(contents) > 1 or any(isinstance(arg, type) for arg in contents):
            raise TypeError(
                f"Map takes at most two kinds and then the contents, not {len(args)} arguments: "
                f"{', '.join(type(arg).__name__ for arg in args)}"
            )
        if kinds:
            self._set_kinds(*kinds, *([object] if len(kinds) == 1 else []))
        if contents or kwargs:
            merge(self, *contents, **kwargs)

    def _empty_like_self(self) -> Self:
        """No entries, but the same class, kinds and attributes."""
        empty = _rebuild(type(self), *self.kinds)
        set_state(empty, self.__getstate__())
        return empty

    # --- contents ------------------------------------------------------------------------------------------

    @overload
    @classmethod
    def fromkeys(cls, iterable: Iterable[T], value: None = None, /) -> Map[T, Any | None]: ...
    @overload
    @classmethod
    def fromkeys(cls, iterable: Iterable[T], value: S, /) -> Map[T, S]: ...
    @classmethod
    def fromkeys(cls, iterable: Iterable[Any], value: Any = None, /) -> Map[Any, Any]:
        """A map with the keys of `iterable`, all with `value`. O(n)."""
        made: Map[Any, Any] = cls()
        for key in iterable:
            made[key] = value
        return made

    def copy(self) -> Self:
        """A shallow copy, of the same kinds and class; `__init__` is not called. O(n)."""
        return self._copied()

    __copy__ = copy

    def _copied(self) -> Self:
        made = self._empty_like_self()
        self._copy_into(made)
        return made

    _repr_pretty_ = Shared._repr_pretty_  # IPython looks for it in the class that has `__repr__`

    @shown_once
    def __repr__(self) -> str:
        contents = contents_repr(self._snapshot())
        key, value = self.kinds
        if (key, value) == (object, object):
            return contents
        return f"{type(self).__name__}({kind_name(key)}, {kind_name(value)}, {contents})"

    def __rich_repr__(self) -> Iterable[Any]:
        """For rich: what `repr` shows."""
        if self.kinds != (object, object):
            yield from map(KindName, self.kinds)
        yield dict(self._snapshot())

    # --- copying -------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), *self.kinds), self.__getstate__(), None, iter(self._snapshot())

    # --- bulk ----------------------------------------------------------------------------------------------

    def set_many(self, keys: Iterable[K], values: Iterable[V]) -> None:
        """Set many keys, each to the value in the same place. O(keys).

        Both are iterables of the same length (else `ValueError`) or NumPy arrays; masked arrays raise
        `TypeError`. A key or value of the wrong kind raises before anything is set; where memory or a
        signal's handler ends the call, the keys before are set.
        """
        bulk.set_many(self, keys, values)

    # --- memory --------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """What the map holds, in bytes, and what it has done.

        `entries`; `payload_bytes` of keys and values (an object counts as its pointer); `nbytes`, all that is
        held, is the sum of `page_bytes` (entries), `index_bytes` and `directory_bytes`; `segments` of the
        index now; so far: `splits`, `merges`, `pages_got`, `pages_given_back`.
        """
        return self._stats()


MutableMapping.register(Map)


def _rebuild(cls: type[M], key: Any, value: Any) -> M:
    """An empty map of these kinds, without the class's own `__init__`: for copying and unpickling."""
    made = cls.__new__(cls)
    made._set_kinds(key, value)
    return made
