"""`Cache`: the mapping protocol, and what is told in Python, around the native cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, MutableMapping
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeAlias, TypeVar, overload

from ebbmap import _core
from ebbmap._units import byte_count, item_count, seconds
from ebbmap._views import ABSENT, Shared, bulk, contents_repr, kind_name, set_state

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import TypedDict, Unpack

    from ebbmap._memoize import Decorator, Memoized

    Duration: TypeAlias = float | str | timedelta

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
R = TypeVar("R")
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


class Cache(Shared[K, V], _core.Cache[K, V]):
    """A cache whose memory follows its contents: what has expired is gone, and so is its memory, whether or
    not anybody touches the cache again.

    `ttl` is how long an entry lives after it was set, `idle` how long after it was last used: seconds, a
    `timedelta`, or text such as "90s", "10m", "1h", "7d". At most `max_items` entries are kept, in at most
    `max_bytes` (an int, or "512MiB", "2GiB") of real memory, index and all, at every moment; who has to go
    for others is chosen by SIEVE, expired ones first. `key` and `value` are kinds, as for `Map`.

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

    # What type checkers read: no kinds, or either, or both; what is no type is a dtype.
    @overload
    def __init__(self: Cache[Any, Any], **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self: Cache[K, Any], *, key: type[K], **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self: Cache[Any, V], *, value: type[V], **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self, *, key: type[K], value: type[V], **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(self: Cache[Any, Any], *, value: object, **settings: Unpack[_Settings]) -> None: ...
    @overload
    def __init__(
        self: Cache[K, Any], *, key: type[K], value: object, **settings: Unpack[_Settings]
    ) -> None: ...
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
        return empty

    def _settings(self) -> dict[str, Any]:
        key, value = self.kinds
        names = "ttl", "idle", "max_items", "max_bytes", "on_remove", "timer"
        return {"key": key, "value": value, **{name: getattr(self, name) for name in names}}

    def copy(self) -> Self:
        """A shallow copy with the same settings, class and lifetimes; `__init__` is not called. O(n).

        Counts begin anew, and `on_remove` is the same.
        """
        return self._copied()

    __copy__ = copy

    def _copied(self) -> Self:
        made = self._empty_like_self()
        made._copy_from(self)
        return made

    @recursive_repr("{...}")
    def __repr__(self) -> str:
        settings = self._settings()
        shown = [
            f"{name}={given!r}" for name, given in settings.items() if name in _SHOWN and given is not None
        ]
        kinds = [
            f"{name}={kind_name(settings[name])}" for name in ("key", "value") if settings[name] is not object
        ]
        return f"<{' '.join([type(self).__name__, *shown, *kinds])}: {contents_repr(self._snapshot())}>"

    # --- copying -------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        # The entries are state, as they may hold the cache itself, which has to be there by then.
        state = self.__getstate__(), self._entries()
        return _rebuild, (type(self), self._settings()), state, None, None, _refill

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        from copy import deepcopy

        made = _rebuild(type(self), self._settings())
        memo[id(self)] = made
        made._copy_from(self, lambda given: deepcopy(given, memo))
        set_state(made, deepcopy(self.__getstate__(), memo))
        return made

    # --- bulk ----------------------------------------------------------------------------------------------

    def get_many(self, keys: Iterable[K], default: Any = ABSENT, *, mask: bool = False) -> Any:
        """The values of many keys, as `Map.get_many` gives them; a use of each. O(keys)."""
        return bulk().get_many(self, keys, default, mask, ABSENT)

    def set_many(self, keys: Iterable[K], values: Iterable[V], ttl: Duration | None = None) -> None:
        """Set many keys, each to the value in the same place, to live for `ttl` (None: the cache's). O(keys).

        Both are iterables of the same length (else `ValueError`) or NumPy arrays. A key or value of the wrong
        kind raises before anything is set; one that is refused for its size, or for want of memory, ends it:
        those before it are set.
        """
        bulk().set_many(self, keys, values, ttl)

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
    ) -> Decorator: ...
    def memoize(self, function: Any = None, /, *, key: Any = None, ttl: Any = None, stale: Any = None) -> Any:
        """A decorator that keeps a function's results here: `@cache.memoize`, `@cache.memoize(ttl="10m")`.

        For functions, methods and coroutine functions. One call per key is made at a time, among all threads
        and tasks: who comes meanwhile waits for its result or exception. Exceptions are not kept; if a caller
        is cancelled or interrupted, one of those who wait calls. A call that calls or awaits itself raises
        `RuntimeError`, and so does a circle of threads or tasks that all wait in memoized calls. Waiting for
        itself through a task (`gather`, `create_task`) or a thread of its own is not seen, and never ends.

        The key is a single int, str or bytes itself, other arguments as a tuple, or `key(*args, **kwargs)`. A
        cache with kinds of keys takes one function of one argument, or any with `key`; else `TypeError`.

        `ttl` is the results' lifetime (None: the cache's). They are kept for `stale` more than that: then one
        caller, or for a coroutine function a task in the background, renews the result, while all others get
        the old one; also when that fails, which `sys.unraisablehook` or the event loop's exception handler is
        told. `stale` needs a ttl, else `ValueError`.

        What it returns has `cache`, `invalidate(*args)` (forget the result for these arguments, and that of a
        call under way; whether it was there) and `refresh(*args)` (call anew, keep the result, return it). A
        result that alone is larger than `max_bytes` is returned and not kept; one of another kind than the
        cache's raises its `TypeError`. A hit costs about a call of a function more than `get`.
        """
        from ebbmap._memoize import memoize  # here, as many programs never need it

        return memoize(self, function, key=key, ttl=ttl, stale=stale)

    # --- counts --------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """What has happened, and what the cache holds, at one moment.

        So far: `hits` and `misses` of `get`, `[]`, `get_many`, `setdefault` and `memoize`; `sets`, of which
        `replaced` found the key there; entries that `expired`, or were `evicted_by_count` or
        `evicted_by_bytes`; `removed`, which is `deleted` (by `del`, `pop`, `popitem`, `delete_many`) and
        `cleared`. Always, `sets == entries + replaced + expired + evicted_by_count + evicted_by_bytes +
        removed`. Now: `entries` alive, and `payload_bytes`, `nbytes` and their parts as in `Map.stats`.
        """
        return self._stats()


MutableMapping.register(Cache)

_SHOWN = "ttl", "idle", "max_items", "max_bytes"
_KINDS = "key", "value"


def _rebuild(cls: type[C], settings: dict[str, Any]) -> C:
    """An empty cache with these settings, without the class's own `__init__`: for copying and unpickling."""
    made = cls.__new__(cls)
    Cache.__init__(made, **settings)
    return made


def _refill(made: Cache[Any, Any], state: tuple[Any, Iterable[tuple[Any, ...]]]) -> None:
    made._restore(state[1])
    set_state(made, state[0])
