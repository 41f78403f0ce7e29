"""`Cache`: the mapping protocol, and what is told in Python, around the native cache."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, MutableMapping
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    overload,
)

from ebbmap import _core
from ebbmap._convert.imports import load
from ebbmap._convert.units import Duration, byte_count, item_count, seconds
from ebbmap._internal import bulk
from ebbmap._internal.owners import first_owner, set_first_owner
from ebbmap._internal.recursion import shown_once
from ebbmap._internal.views import K, KindName, Shared, V, contents_repr, kind_name, set_state

if TYPE_CHECKING:
    from typing import TypedDict, Unpack

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
C = TypeVar("C", bound="Cache[Any, Any]")

Cause: TypeAlias = Literal["expired", "evicted", "replaced", "deleted", "cleared"]

if TYPE_CHECKING:

    class _Settings(TypedDict, total=False):
        """What `Cache` takes besides kinds."""

        ttl: Duration | None
        idle: Duration | None
        max_items: int | None
        max_bytes: int | str | None
        on_remove: Callable[[Any, Any, Cause], object] | None
        timer: Callable[[], float] | None


class Memoized(Protocol[P, R_co]):
    """A function whose results are kept in a cache: what `Cache.memoize` makes of one, for type checkers."""

    __qualname__: str  # no class body may have a property of this name

    @property
    def cache(self) -> Cache[Any, Any]:
        """Where the results are."""

    @property
    def __name__(self) -> str: ...
    @property
    def __wrapped__(self) -> Callable[P, R_co]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result for these arguments, and that of a call under way; True if there was one."""

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function anew, keep the result and return it."""

    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Self: ...
    @overload
    def __get__(
        self: Memoized[Concatenate[S, Q], R], instance: S, owner: Any = None, /
    ) -> Memoized[Q, R]: ...


class Decorator(Protocol):
    """`Cache.memoize` with its options given."""

    def __call__(self, function: Callable[P, R], /) -> Memoized[P, R]: ...


class Cache(Shared[K, V], _core.Cache[K, V]):
    """A cache whose memory follows its contents: what has expired is gone, and so is its memory, whether or
    not anybody touches the cache again.

    `ttl` is how long an entry lives after it was set, `idle` how long after it was last used: seconds, a
    `timedelta`, or text such as "90s", "10m", "1h30m", "7d", "1w". At most `max_items` entries are kept, in
    at most `max_bytes` (an int, or "512MiB", "2GiB") of memory, index and all, at every moment; who has to
    go for others is chosen by SIEVE, expired ones first. The bound is of the cache's table. Objects that it
    refers to are Python's and are not counted (a bound of 16 MiB held 103 MiB of small dicts): with
    `max_bytes`, a key or value of kind `object` gives a `UserWarning`. `key` and `value` are kinds, as for
    `Map`.

    `on_remove(key, value, cause)` is called once for each entry that leaves, after it has, with cause
    "expired", "evicted", "replaced", "deleted" or "cleared"; what it raises goes to `sys.unraisablehook`.
    `timer()` gives the time in seconds: then time only moves when it does. By default it is the system's
    monotonic clock, in ticks of a millisecond, and a thread of the process removes what has expired when
    nobody else does.

    A full `MutableMapping` over what is alive, unordered. Every call for one key is atomic. Getting, setting
    and deleting are O(1); none does work that grows with the cache. `len`, `stats`, `clear` and `popitem`
    first remove all that has expired: O(1) for each.

    To get a dict, write `dict(cache.items())`: it does not fail when entries expire, counts no hits and does
    not renew `idle`. `dict(cache)` and `{**cache}` list the keys and then call `cache[key]` for each. An
    entry that expires in between raises `KeyError`, and each read counts as a hit and renews `idle`.

    Raises `TypeError` and `ValueError` for settings that are none, `OverflowError` for those far too large,
    and what `Map` does for keys and values.
    """

    __slots__ = ()
    __module__ = "ebbmap"  # the public one, which pickles name

    # What type checkers read: no kinds, or either, or both; what is no type is a dtype. What no argument
    # tells is what the class is subscripted with, or the variable declared as; else Any.
    @overload
    def __init__(self, **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self, *, key: type[K], **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self, *, value: type[V], **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self, *, key: type[K], value: type[V], **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self, *, value: object, **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self, *, key: type[K], value: object, **settings: Unpack[_Settings]) -> None: ...
    def __init__(
        self,
        *,
        ttl: Any = None,
        idle: Any = None,
        max_items: int | None = None,
        max_bytes: int | str | None = None,
        key: Any = object,
        value: Any = object,
        on_remove: Any = None,
        timer: Any = None,
    ) -> None:
        self._set_up(ttl, idle, max_items, max_bytes, key, value, on_remove, timer)
        if max_bytes is not None and object in (key, value):
            _warn_of_objects()

    def _set_up(
        self,
        ttl: Any,
        idle: Any,
        max_items: int | None,
        max_bytes: int | str | None,
        key: Any,
        value: Any,
        on_remove: Any,
        timer: Any,
    ) -> None:
        for name, given in (("on_remove", on_remove), ("timer", timer)):
            if given is not None and not callable(given):
                raise TypeError(f"{name} must be callable, not {type(given).__name__}")
        self._configure(
            key,
            value,
            None if ttl is None else seconds(ttl, "ttl"),
            None if idle is None else seconds(idle, "idle"),
            None if max_items is None else item_count(max_items, "max_items"),
            None if max_bytes is None else byte_count(max_bytes, "max_bytes"),
            on_remove,
            timer,
        )

    # --- contents ------------------------------------------------------------------------------------------

    def _empty_like_self(self) -> Self:
        """No entries, but the same class, settings and attributes."""
        empty = _rebuild(type(self), self._settings())
        set_state(empty, self.__getstate__())
        set_first_owner(empty, first_owner(self))
        return empty

    def _settings(self) -> dict[str, Any]:
        key, value = self.kinds
        names = "ttl", "idle", "max_items", "max_bytes", "on_remove", "timer"
        return {"key": key, "value": value, **{name: getattr(self, name) for name in names}}

    def copy(self) -> Self:
        """A shallow copy with the same settings, class and lifetimes; `__init__` is not called. O(n).

        Counts begin anew, and `on_remove` is the same. It is not called while the copy is made, as the values
        are still those of this cache. It is called for what leaves the copy later.
        """
        return self._copied()

    __copy__ = copy

    def _copied(self) -> Self:
        made = self._empty_like_self()
        made._set_telling(False)
        made._copy_from(self)
        made._set_telling(True)
        return made

    def __replace__(self, /, **settings: Any) -> Self:
        """A copy with other settings, as `copy.replace(cache, max_items=10)` makes it. O(n).

        Takes what `Cache` takes. The copy has the entries that fit. It evicts some beyond new bounds, without
        calling `on_remove`, and raises `TypeError` for one of another kind than a new `key` or `value`.
        Entries keep what is left of their lives; a new `ttl` or `idle` holds for what is set from then on.
        """
        made = _rebuild(type(self), {**self._settings(), **settings})
        made._set_telling(False)
        made._restore(self._entries())
        made._set_telling(True)
        set_state(made, self.__getstate__())
        set_first_owner(made, first_owner(self))
        return made

    def _tell(self, tells: bool) -> None:
        self._set_telling(tells)

    def _to_merge(self) -> Self:
        return self._copied()  # without what copies leave out

    _repr_pretty_ = Shared._repr_pretty_  # IPython looks for it in the class that has `__repr__`

    @shown_once
    def __repr__(self) -> str:
        settings = self._settings()
        shown = [
            f"{name}={given!r}" for name, given in settings.items() if name in _SHOWN and given is not None
        ]
        kinds = [
            f"{name}={kind_name(settings[name])}" for name in ("key", "value") if settings[name] is not object
        ]
        return f"<{' '.join([type(self).__name__, *shown, *kinds])}: {contents_repr(self._snapshot())}>"

    def __rich_repr__(self) -> Iterable[Any]:
        """For rich: what `repr` shows."""
        for name, given in self._settings().items():
            if name in _SHOWN and given is not None:
                yield name, given
            elif name in _KINDS and given is not object:
                yield name, KindName(given)
        yield dict(self._snapshot())

    __rich_repr__.angular = True  # type: ignore[attr-defined]  # so rich calls it

    # --- copying -------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        # The entries are state, as they may hold the cache itself, which has to be there by then.
        state = self.__getstate__(), self._entries(), first_owner(self)
        return _rebuild, (type(self), self._settings()), state, None, None, _refill

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        deepcopy = load("copy").deepcopy
        made = _rebuild(type(self), self._settings())
        memo[id(self)] = made
        made._copy_from(self, lambda given: deepcopy(given, memo))
        set_state(made, deepcopy(self.__getstate__(), memo))
        set_first_owner(made, first_owner(self))
        return made

    # --- bulk ----------------------------------------------------------------------------------------------

    def set_many(self, keys: Iterable[K], values: Iterable[V], ttl: Duration | None = None) -> None:
        """Set many keys, each to the value in the same place, to live for `ttl` (None: the cache's). O(keys).

        Both are iterables of the same length (else `ValueError`) or NumPy arrays. A key or value of the wrong
        kind raises before anything is set; one that is refused for its size, or for want of memory, ends it:
        those before it are set.
        """
        bulk.set_many(self, keys, values, ttl)

    # --- functions -----------------------------------------------------------------------------------------

    @overload
    def memoize(self, function: Callable[P, R], /) -> Memoized[P, R]: ...
    @overload
    def memoize(
        self,
        /,
        *,
        key: Callable[..., Hashable] | None = None,
        ttl: Duration | None = None,
        stale: Duration | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> Decorator: ...
    def memoize(
        self,
        function: Any = None,
        /,
        *,
        key: Any = None,
        ttl: Any = None,
        stale: Any = None,
        on_error: Any = None,
    ) -> Any:
        """A decorator that keeps a function's results here: `@cache.memoize`, `@cache.memoize(ttl="10m")`.

        For functions, methods and coroutine functions. One call per key is made at a time, among all threads
        and tasks: who comes meanwhile waits for its result or exception. Exceptions are not kept; if a caller
        is cancelled or interrupted, one of those who wait calls. A call that calls or awaits itself raises
        `RuntimeError`, and so does a circle of threads or tasks that all wait in memoized calls. Waiting for
        itself through a task (`gather`, `create_task`) or a thread of its own is not seen, and never ends.

        The key is a single int, str or bytes itself, other arguments as a tuple, or `key(*args, **kwargs)`.
        Defaults are not filled in. Each function after the first has keys marked as its own, those of `key`
        too. Where the cache's keys have a kind they cannot be marked: the first function may have one
        argument, all others need a `key` that returns keys no other function has; else `TypeError`.

        An importable function is identified by its module and qualified name, in copies and pickles of the
        cache too. Decorating a new definition of it removes the old results: O(entries). Where keys have a
        kind, this removes all entries. Other functions (lambdas, closures, callable objects) are new at each
        decoration. A method's instance is not kept alive, and its entries go when it dies, if it compares by
        identity and can be referred to weakly; else it lives as long as its entries.

        `ttl` is the results' lifetime (None: the cache's). They are kept for `stale` more than that: then one
        caller, or for a coroutine function a task in the background, renews the result, while all others get
        the old one. So they do when that fails; a failed renewal calls `on_error(exception)`,
        or is logged to the logger "ebbmap" with the function's name. `stale` needs a ttl, else `ValueError`.

        What it returns has `cache`, `invalidate(*args)` (forget the result for these arguments, and that of a
        call under way; whether it was there; `TypeError` for arguments that no call takes) and
        `refresh(*args)` (call anew, keep the result, return it). A result that alone is larger than
        `max_bytes` is returned and not kept; one of another kind than the cache's raises its `TypeError`, and
        so does an iterator or a coroutine, which the first caller would use up. A hit costs about as much as
        `get`.
        """
        memoize = load("ebbmap._internal.memoize").memoize  # here, as many programs never need it
        return memoize(self, function, key=key, ttl=ttl, stale=stale, on_error=on_error)

    # --- counts --------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """What has happened, and what the cache holds, at one moment.

        So far: `hits` and `misses` of `get`, `[]`, `get_many`, `setdefault` and `memoize`; `sets`, of which
        `replaced` found the key there; entries that `expired`, or were `evicted_by_count` or
        `evicted_by_bytes`; `removed`, which is `deleted` (by `del`, `pop`, `popitem`, `delete_many`, or with
        the instance of a memoized method) and `cleared`; `coalesced` calls of memoized functions, which are
        misses that waited for another caller's call and took its outcome. Always, `sets == entries +
        replaced + expired + evicted_by_count + evicted_by_bytes + removed`. Now: `entries` alive, and
        `payload_bytes`, `nbytes` and their parts as in `Map.stats`.
        """
        return self._stats()


MutableMapping.register(Cache)

_SHOWN = "ttl", "idle", "max_items", "max_bytes"
_KINDS = "key", "value"


def _warn_of_objects() -> None:
    warnings.warn(
        "max_bytes bounds the cache's table, not the Python objects that it refers to: "
        "name inline kinds (key=int, value=bytes) or bound the cache by max_items",
        UserWarning,
        stacklevel=3,
    )


def _rebuild(cls: type[C], settings: dict[str, Any]) -> C:
    """An empty cache with these settings, without `__init__` and its warning: for copying and unpickling."""
    made = cls.__new__(cls)
    made._set_up(**settings)
    return made


def _refill(made: Cache[Any, Any], state: tuple[Any, Iterable[tuple[Any, ...]], Any]) -> None:
    attributes, entries, owner = state
    made._restore(entries)
    set_state(made, attributes)
    set_first_owner(made, owner)
