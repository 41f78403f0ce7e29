"""What `Map` and `Cache` share: the rest of the mapping protocol, and live views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import ItemsView as _ItemsView
from collections.abc import KeysView as _KeysView
from collections.abc import ValuesView as _ValuesView
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, overload

from ebbmap import _core
from ebbmap._internal import bulk
from ebbmap._internal.absent import ABSENT

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from _typeshed import SupportsKeysAndGetItem
    from typing_extensions import TypeVar as TypeVarWithDefault

    K = TypeVarWithDefault("K", default=Any)
    V = TypeVarWithDefault("V", default=Any)

    class ArrayLike(Protocol):
        """A NumPy array, or what says that it is one, as a pandas Series does."""

        def __array__(self) -> Any: ...

else:  # `default` came with Python 3.13
    K = TypeVar("K")
    V = TypeVar("V")

T = TypeVar("T")

_BUILTIN_KINDS = {"object": object, "int": int, "float": float, "str": str, "bytes": bytes}


class Shared(Generic[K, V]):
    """The part of `Map` and `Cache` that asks only for what the native classes have in common."""

    __slots__ = ()

    __hash__ = None  # type: ignore[assignment]  # mutable, as dict

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _core._add_fast_lanes(cls)  # type: ignore[arg-type]  # `Map`, `Cache`, or a subclass

    if TYPE_CHECKING:  # of the native classes

        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator[K]: ...
        def __getitem__(self, key: K) -> V: ...
        def __setitem__(self, key: K, value: V) -> None: ...
        def _kinds(self) -> Any: ...
        def _peek(self, key: object, default: Any) -> Any: ...
        def _snapshot(self) -> list[tuple[K, V]]: ...
        def _iter_items(self) -> Any: ...
        def _iter_values(self) -> Any: ...
        def _set_pairs(
            self, pairs: Iterable[Iterable[Any]], again: Callable[[], Iterable[Any]] | None = None
        ) -> None: ...
        def _copied(self) -> Self: ...
        def _empty_like_self(self) -> Self: ...
        @property
        def nbytes(self) -> int: ...

    # --- kinds ---------------------------------------------------------------------------------------------

    @property
    def kinds(self) -> tuple[Any, Any]:
        """What it was made with: the key's type, and the value's type or dtype."""
        key, value, codec = self._kinds()
        return _BUILTIN_KINDS[key], _BUILTIN_KINDS[value] if codec is None else codec.dtype

    # --- contents ------------------------------------------------------------------------------------------

    @overload
    def update(self, other: SupportsKeysAndGetItem[K, V], /) -> None: ...
    @overload
    def update(self: Shared[str, V], other: SupportsKeysAndGetItem[str, V], /, **kwargs: V) -> None: ...
    @overload
    def update(self, other: Iterable[tuple[K, V]], /) -> None: ...
    @overload
    def update(self: Shared[str, V], other: Iterable[tuple[str, V]], /, **kwargs: V) -> None: ...
    @overload
    def update(self: Shared[str, V], /, **kwargs: V) -> None: ...
    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        """Set every item of a mapping, or of an iterable of pairs, then the keywords. O(items).

        As for `dict`, a subclass's own `__setitem__` is not called. The operators `|` and `|=` call neither
        its `update` nor its `copy`.
        """
        merge(self, other, **kwargs)

    def keys(self) -> KeysView[K]:
        """A live view of the keys, with the operations of a set."""
        return KeysView(self)

    def values(self) -> ValuesView[V]:
        """A live view of the values."""
        return ValuesView(self)

    def items(self) -> ItemsView[K, V]:
        """A live view of the items, with the operations of a set.

        Iterating over it reads each item in one step, and for a cache is no use of the entries.
        """
        return ItemsView(self)

    # What type checkers read: arrays, where the values are numbers; all other keys give a list.
    @overload
    def get_many(
        self: _WithNumbers[K], keys: ArrayLike, default: object = ..., *, mask: Literal[False] = ...
    ) -> npt.NDArray[Any]: ...
    @overload
    def get_many(
        self: _WithNumbers[K], keys: ArrayLike, default: object = ..., *, mask: Literal[True]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]: ...
    @overload
    def get_many(
        self, keys: Iterable[K], default: None = None, *, mask: Literal[False] = ...
    ) -> list[V | None]: ...
    @overload
    def get_many(self, keys: Iterable[K], default: V, *, mask: Literal[False] = ...) -> list[V]: ...
    @overload
    def get_many(self, keys: Iterable[K], default: T, *, mask: Literal[False] = ...) -> list[V | T]: ...
    @overload
    def get_many(
        self, keys: Iterable[K], default: object = ..., *, mask: Literal[True]
    ) -> tuple[list[V | None], list[bool]]: ...
    @overload
    def get_many(self, keys: Iterable[K], default: object = ..., *, mask: bool) -> Any: ...
    def get_many(self, keys: Any, default: Any = ABSENT, *, mask: bool = False) -> Any:
        """The values of many keys; in a cache, a use of each. O(keys), and several times as fast on arrays.

        `keys` is an iterable, and the result a list with `default` (or None) for keys that are missing; or an
        int array, and for values of a fixed size the result an array too. An array has no None: there a
        missing key is `default` if given, one value that fits, and else raises `KeyError`. With `mask=True`
        the result is `(values, found)`, with True where a key was found; other values are zero, or None in a
        list.
        """
        return bulk.get_many(self, keys, default, mask, ABSENT)  # type: ignore[arg-type]  # a Map or Cache

    def delete_many(self, keys: Iterable[K]) -> int:
        """Remove those of `keys` (an iterable or an array) that are there; returns how many. O(keys)."""
        removed: int = bulk.delete_many(self, keys)  # type: ignore[arg-type]  # a Map or Cache
        return removed

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython, which shows as much of it as of a dict."""
        if cycle:
            printer.text("{...}")
            return
        with printer.group(len(type(self).__name__) + 2, f"{type(self).__name__}({{", "})"):
            _print_pairs(printer, self._snapshot())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        one: Any = self
        two: Any = other
        if one is two:
            return True  # inline floats are made anew at each read, so nan would not be found identical
        if isinstance(other, Shared) and self._kinds()[0] == "object" != other._kinds()[0]:
            one, two = other, self  # only object keys can be looked up with anything: 1 with 1.0, say
        return _size(one) == _size(two) and all(
            has_item(two, key, value) for key, value in _steady_items(one)
        )

    def __or__(self, other: Mapping[K, V]) -> Self:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self._copied()
        made._tell(False)
        merge(made, other)
        made._tell(True)
        return made

    def _tell(self, tells: bool) -> None:
        """Whether a callback is told of what leaves: not while another's values are put together here."""

    def __ror__(self, other: Mapping[K, V]) -> Self:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self._empty_like_self()
        made._tell(False)
        merge(made, other)
        merge(made, self._to_merge())
        made._tell(True)
        return made

    def _to_merge(self) -> Self:
        """What another may have of this."""
        return self

    @overload  # type: ignore[misc]  # it takes more than `__or__`, as for dict
    def __ior__(self, other: SupportsKeysAndGetItem[K, V]) -> Self: ...
    @overload
    def __ior__(self, other: Iterable[tuple[K, V]]) -> Self: ...
    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]  # as above
        merge(self, other)
        return self

    def __sizeof__(self) -> int:
        return self.nbytes


if TYPE_CHECKING:
    # A bound type variable would do, if mypy looked at the bounds of `self`.
    _WithNumbers: TypeAlias = (
        Shared[K, bool]
        | Shared[K, int]
        | Shared[K, float]
        | Shared[K, complex]
        | Shared[K, np.bool_]
        | Shared[K, np.int8]
        | Shared[K, np.int16]
        | Shared[K, np.int32]
        | Shared[K, np.int64]
        | Shared[K, np.uint8]
        | Shared[K, np.uint16]
        | Shared[K, np.uint32]
        | Shared[K, np.uint64]
        | Shared[K, np.float16]
        | Shared[K, np.float32]
        | Shared[K, np.float64]
        | Shared[K, np.complex64]
        | Shared[K, np.complex128]
    )


def _native(table: Shared[Any, Any]) -> Any:
    """The native class of a table: as those of dict, its methods go past what a subclass overrides."""
    return _core.Map if isinstance(table, _core.Map) else _core.Cache


def _size(mapping: Mapping[Any, Any] | Shared[Any, Any]) -> int:
    """How many entries there are; as in a comparison of dicts, by the mapping's own count."""
    if isinstance(mapping, Shared):
        size: int = _native(mapping).__len__(mapping)
        return size
    return dict.__len__(mapping) if isinstance(mapping, dict) else len(mapping)


def merge(into: Shared[Any, Any], other: Any = (), /, **kwargs: Any) -> None:
    """What `update` does. A function, as a subclass may override `update`."""
    if isinstance(other, Shared) and type(other).__iter__ is _native(other).__iter__:
        into._set_pairs(other._snapshot())
    elif isinstance(other, dict) and type(other).__iter__ is dict.__iter__:
        into._set_pairs(dict.items(other), lambda: dict.copy(other).items())
    elif hasattr(other, "keys"):  # as dict does: any object with keys() and []
        into._set_pairs((key, other[key]) for key in other.keys())  # noqa: SIM118
    else:
        into._set_pairs(other)
    if kwargs:
        into._set_pairs(kwargs.items())


def _print_pairs(printer: Any, pairs: Iterable[tuple[object, object]]) -> None:
    for i, (key, value) in enumerate(pairs):
        if i:
            printer.text(",")
            printer.breakable()
        if printer.max_seq_length and i >= printer.max_seq_length:
            printer.text("...")
            return
        printer.pretty(key)
        printer.text(": ")
        printer.pretty(value)


def contents_repr(pairs: Iterable[tuple[object, object]]) -> str:
    """The pairs as a dict shows them."""
    return "{" + ", ".join(f"{key!r}: {value!r}" for key, value in pairs) + "}"


def kind_name(kind: Any) -> str:
    """A kind as one would type it."""
    return kind.__name__ if isinstance(kind, type) else repr(kind)


class KindName:
    """What has a kind's name as its `repr`."""

    __slots__ = ("_name",)

    def __init__(self, kind: Any) -> None:
        self._name = kind_name(kind)

    def __repr__(self) -> str:
        return self._name


def set_state(made: Any, state: Any) -> None:
    """Give `made` the attributes of its like, as `copy.copy` does: only slots are set by `__setattr__`."""
    if state is None:
        return
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        vars(made).update(attributes)
    for name, value in (slots or {}).items():
        setattr(made, name, value)


def _steady_items(m: Shared[K, V]) -> Iterator[tuple[K, V]]:
    """The items, and once more as a list has them where another thread, or an `==`, changes the map."""
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


def has_item(mapping: Mapping[Any, Any] | Shared[Any, Any], key: object, value: object) -> bool:
    """Whether `key` is there, with `value`."""
    # `get`, as [] of a defaultdict would add the key; `_peek`, as `get` of a cache is a use.
    if isinstance(mapping, Shared):
        theirs = mapping._peek(key, ABSENT)
    elif isinstance(mapping, dict):
        theirs = dict.get(mapping, key, ABSENT)
    else:
        theirs = mapping.get(key, ABSENT)
    return theirs is value or (theirs is not ABSENT and bool(theirs == value))


class _View:
    """What the three have in common, ahead of what `collections.abc` says."""

    __slots__ = ()
    _mapping: Any

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int:
        return _size(self._mapping)

    @recursive_repr()
    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    @property
    def mapping(self) -> Any:
        """What this is a view of."""
        return self._mapping


class KeysView(_View, _KeysView[K]):
    """The keys of a map or a cache: live, and a set."""

    __slots__ = ()
    __module__ = "ebbmap"  # the public one, which pickles name

    def __iter__(self) -> Iterator[K]:
        keys: Iterator[K] = _native(self._mapping).__iter__(self._mapping)
        return keys

    def __contains__(self, key: object) -> bool:
        return self._mapping._peek(key, ABSENT) is not ABSENT

    @classmethod
    def _from_iterable(cls, keys: Iterable[Any]) -> set[Any]:
        return set(keys)


class ItemsView(_View, _ItemsView[K, V]):
    """The items of a map or a cache: live, and a set."""

    __slots__ = ()
    __module__ = "ebbmap"  # the public one, which pickles name

    def __iter__(self) -> Iterator[tuple[K, V]]:
        items: Iterator[tuple[K, V]] = self._mapping._iter_items()
        return items

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and has_item(self._mapping, *item)

    @classmethod
    def _from_iterable(cls, items: Iterable[Any]) -> set[Any]:
        return set(items)


class ValuesView(_View, _ValuesView[V]):
    """The values of a map or a cache: live."""

    __slots__ = ()
    __module__ = "ebbmap"  # the public one, which pickles name

    def __iter__(self) -> Iterator[V]:
        values: Iterator[V] = self._mapping._iter_values()
        return values

    def __contains__(self, value: object) -> bool:
        return any(theirs is value or theirs == value for theirs in self)
