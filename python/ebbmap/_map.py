"""`Map`: the mapping protocol around the native table."""

from __future__ import annotations

import sys
from collections.abc import ItemsView as _ItemsView
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from collections.abc import KeysView as _KeysView
from collections.abc import ValuesView as _ValuesView
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from ebbmap import _core

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

K = TypeVar("K")
V = TypeVar("V")

M = TypeVar("M", bound="Map[Any, Any]")

if TYPE_CHECKING:
    _Contents = SupportsKeysAndGetItem[K, V] | Iterable[tuple[K, V]]

_ABSENT: Any = object()
_BUILTIN_KINDS = {"object": object, "int": int, "float": float, "str": str, "bytes": bytes}


def _is_kind(given: object) -> bool:
    """Whether an argument of `Map(...)` names a kind rather than being the contents."""
    if isinstance(given, type | str):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(given, numpy.dtype)


class Map(_core.Map[K, V]):
    """A hash map whose memory follows its contents, up and down.

    `Map()` takes any hashable key and any object, like `dict`. `Map(key, value)` names kinds: a key of kind
    `object`, `int` (64 bits, signed), `str` or `bytes`, a value of kind `object`, `int`, `float`, `str`,
    `bytes` or a NumPy dtype. What is not `object` is kept in the table itself: no Python object stays, and
    nothing is left for the garbage collector to walk. After the kinds come the contents, as for `dict`: a
    mapping or pairs, and keywords.

    A full `MutableMapping`, unordered. Every call is atomic; getting, setting and deleting are O(1), and none
    does work that grows with the map.

    Raises `TypeError` for a key or value of another kind, `OverflowError` for an int beyond 64 bits,
    `MemoryError` (the map unchanged) when memory can't be had.
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _core._add_fast_lanes(cls)

    __hash__ = None  # type: ignore[assignment]  # mutable, as dict

    # What type checkers read: no kinds, one kind, two kinds, each with or without contents.
    @overload
    def __init__(self, /) -> None: ...
    @overload
    def __init__(self: Map[str, V], /, **kwargs: V) -> None: ...
    @overload
    def __init__(self: Map[K, Any], key: type[K], /) -> None: ...
    @overload
    def __init__(self, key: type[K], value: type[V], /) -> None: ...
    @overload
    def __init__(self, key: type[K], value: type[V], contents: _Contents[K, V], /) -> None: ...
    @overload
    def __init__(
        self: Map[str, V], key: type[str], value: type[V], contents: _Contents[str, V] = ..., /, **kwargs: V
    ) -> None: ...
    @overload
    def __init__(self, contents: _Contents[K, V], /) -> None: ...
    @overload
    def __init__(self: Map[str, V], contents: _Contents[str, V], /, **kwargs: V) -> None: ...
    @overload
    def __init__(self, key: type[K], contents: _Contents[K, V], /) -> None: ...
    @overload
    def __init__(
        self: Map[K, Any], key: type[K], dtype: object, contents: _Contents[K, Any] = ..., /
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
        self.update(*contents, **kwargs)

    # --- kinds ---------------------------------------------------------------------------------------------

    @property
    def kinds(self) -> tuple[Any, Any]:
        """What the map was made with: the key's type, and the value's type or dtype."""
        key, value, codec = self._kinds()
        return _BUILTIN_KINDS[key], _BUILTIN_KINDS[value] if codec is None else codec.dtype

    def _empty_like_self(self) -> Self:
        """No entries, but the same class, kinds and attributes."""
        empty = _rebuild(type(self), *self.kinds)
        _set_state(empty, self.__getstate__())
        return empty

    # --- contents ------------------------------------------------------------------------------------------

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        """Set every item of a mapping, or of an iterable of pairs, then the keywords. O(items)."""
        if isinstance(other, dict | Map):
            self._set_pairs(other.items())
        elif hasattr(other, "keys"):
            for key in other.keys():  # noqa: SIM118 -- as dict does: any object with keys() and []
                self[key] = other[key]
        else:
            self._set_pairs(other)
        if kwargs:
            self._set_pairs(kwargs.items())

    @classmethod
    def fromkeys(cls, iterable: Iterable[K], value: Any = None, /) -> Map[K, Any]:
        """A map with the keys of `iterable`, all with `value`. O(n)."""
        made: Map[K, Any] = cls()
        for key in iterable:
            made[key] = value
        return made

    def copy(self) -> Self:
        """A shallow copy, of the same kinds and class; `__init__` is not called. O(n)."""
        made = self._empty_like_self()
        self._copy_into(made)
        return made

    __copy__ = copy

    def keys(self) -> KeysView[K]:
        """A live view of the keys, with the operations of a set."""
        return KeysView(self)

    def values(self) -> ValuesView[V]:
        """A live view of the values."""
        return ValuesView(self)

    def items(self) -> ItemsView[K, V]:
        """A live view of the items, with the operations of a set."""
        return ItemsView(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        one, two = self, other
        if isinstance(other, Map) and self._kinds()[0] == "object":
            one, two = other, self  # only object keys can be looked up with anything: 1 with 1.0, say
        return len(one) == len(two) and all(_has_item(two, key, value) for key, value in _steady_items(one))

    def __or__(self, other: Any) -> Self:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: Any) -> Self:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self._empty_like_self()
        made.update(other)
        made.update(self)
        return made

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    @recursive_repr("{...}")
    def __repr__(self) -> str:
        contents = "{" + ", ".join(f"{key!r}: {value!r}" for key, value in self._snapshot()) + "}"
        key, value = self.kinds
        if (key, value) == (object, object):
            return contents
        named = value.__name__ if isinstance(value, type) else repr(value)
        return f"{type(self).__name__}({key.__name__}, {named}, {contents})"

    # --- copying -------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), *self.kinds), self.__getstate__(), None, iter(self.items())

    # --- bulk ----------------------------------------------------------------------------------------------

    def get_many(self, keys: Any, default: Any = _ABSENT, *, mask: bool = False) -> Any:
        """The values of many keys. O(keys); about eight times as fast on arrays as one by one.

        `keys` is an iterable, and the result a list with `default` (or None) for keys that are missing; or an
        int array, and for values of a fixed size the result an array too. An array has no None: there a
        missing key is `default` if given, and else raises `KeyError`. With `mask=True` the result is
        `(values, found)`, with True where a key was found; the other values are zero, or None in a list.
        """
        return _bulk_module().get_many(self, keys, default, mask, _ABSENT)

    def set_many(self, keys: Any, values: Any) -> None:
        """Set many keys, each to the value in the same place. O(keys).

        Both are iterables of the same length (else `ValueError`) or NumPy arrays. A key or value of the wrong
        kind raises before anything is set.
        """
        _bulk_module().set_many(self, keys, values)

    def delete_many(self, keys: Any) -> int:
        """Remove those of `keys` (an iterable or an array) that are there; returns how many. O(keys)."""
        removed: int = _bulk_module().delete_many(self, keys)
        return removed

    # --- memory --------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """What the map holds, in bytes, and what it has done.

        `entries`; `payload_bytes` of keys and values (an object counts as its pointer); `nbytes`, all that is
        held, is the sum of `page_bytes` (entries), `index_bytes`, `spare_bytes` (emptied pages kept for the
        next growth) and `directory_bytes`; `segments` of the index now; so far: `splits`, `merges`,
        `pages_got`, `pages_given_back`.
        """
        return self._stats()

    def __sizeof__(self) -> int:
        return self.nbytes


_core._add_fast_lanes(Map)
MutableMapping.register(Map)


def _bulk_module() -> Any:
    from ebbmap import _bulk  # here, as most programs never need it

    return _bulk


def _rebuild(cls: type[M], key: Any, value: Any) -> M:
    """An empty map of these kinds, without the class's own `__init__`: for copying and unpickling."""
    made = cls.__new__(cls)
    made._set_kinds(key, value)
    return made


def _set_state(made: Any, state: Any) -> None:
    """Give `made` the attributes of its like, as `copy.copy` does."""
    if state is None:
        return
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
        return
    for attributes in state if isinstance(state, tuple) else (state,):
        for name, value in (attributes or {}).items():
            setattr(made, name, value)


def _steady_items(m: Map[K, V]) -> Iterator[tuple[K, V]]:
    """The items, and once more those of one moment where another thread, or an `==`, changes the map."""
    walk = m._iter_items()
    while True:
        try:
            item = next(walk, None)
        except RuntimeError:
            yield from m._snapshot()
            return
        if item is None:
            return
        yield item


def _has_item(mapping: Mapping[Any, Any], key: object, value: object) -> bool:
    # `get`, as [] of a defaultdict would add the key.
    peek = mapping._peek if isinstance(mapping, Map) else mapping.get
    theirs = peek(key, _ABSENT)
    return theirs is value or (theirs is not _ABSENT and bool(theirs == value))


class KeysView(_KeysView[K]):
    """The keys of a map: live, and a set."""

    __slots__ = ()
    _mapping: Map[K, Any]

    def __iter__(self) -> Iterator[K]:
        return iter(self._mapping)

    def __contains__(self, key: object) -> bool:
        return self._mapping._peek(key, _ABSENT) is not _ABSENT

    @recursive_repr()
    def __repr__(self) -> str:
        return f"KeysView({list(self)!r})"

    @property
    def mapping(self) -> Map[K, Any]:
        """The map that this is a view of."""
        return self._mapping

    @classmethod
    def _from_iterable(cls, keys: Iterable[Any]) -> set[Any]:
        return set(keys)


class ItemsView(_ItemsView[K, V]):
    """The items of a map: live, and a set."""

    __slots__ = ()
    _mapping: Map[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._iter_items()

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and _has_item(self._mapping, *item)

    @recursive_repr()
    def __repr__(self) -> str:
        return f"ItemsView({list(self)!r})"

    @property
    def mapping(self) -> Map[K, V]:
        """The map that this is a view of."""
        return self._mapping

    @classmethod
    def _from_iterable(cls, items: Iterable[Any]) -> set[Any]:
        return set(items)


class ValuesView(_ValuesView[V]):
    """The values of a map: live."""

    __slots__ = ()
    _mapping: Map[Any, V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping._iter_values()

    def __contains__(self, value: object) -> bool:
        return any(theirs is value or theirs == value for theirs in self)

    @recursive_repr()
    def __repr__(self) -> str:
        return f"ValuesView({list(self)!r})"

    @property
    def mapping(self) -> Map[Any, V]:
        """The map that this is a view of."""
        return self._mapping
