"""The decorator behind `Cache.memoize`: keys, memoized functions, and what binds as a method."""

from __future__ import annotations

import inspect
import operator
import sys
import weakref
from collections.abc import Callable, Hashable
from functools import partial, update_wrapper
from math import isfinite
from operator import attrgetter
from types import FrameType
from typing import Any, NamedTuple, Self, SupportsIndex, TypeAlias

from ebbmap import _core
from ebbmap._convert.imports import load
from ebbmap._convert.units import Duration, seconds
from ebbmap._internal.absent import ABSENT
from ebbmap._internal.flights import Flights
from ebbmap._internal.owners import Claim, Function, belongs_to, claim, is_bare, may_be_first

Results: TypeAlias = "_core.Cache[Any, Any]"  # the cache that keeps them: what is native of it is enough


def memoize(
    cache: Results,
    function: Callable[..., Any] | None = None,
    /,
    *,
    key: Callable[..., Hashable] | None = None,
    ttl: Duration | None = None,
    stale: Duration | None = None,
    on_error: Callable[[Exception], object] | None = None,
) -> Any:
    """`function` with its results kept in `cache`, or the decorator if there is no function yet.

    The rules are in `Cache.memoize`.
    """
    if key is not None and not callable(key):
        raise TypeError(f"key must be callable, not {type(key).__name__}")
    if on_error is not None and not callable(on_error):
        raise TypeError(f"on_error must be callable, not {type(on_error).__name__}")
    options = _Options(cache, key, *_lifetimes(cache, ttl, stale), on_error)
    return partial(_decorate, options) if function is None else _decorate(options, function)


class _Options(NamedTuple):
    """What `memoize` was given; `margin` is how many seconds of the lifetime an entry is stale."""

    cache: Results
    key: Callable[..., Hashable] | None
    lifetime: float | None
    margin: float
    on_error: Callable[[Exception], object] | None


def _lifetimes(cache: Results, ttl: Duration | None, stale: Duration | None) -> tuple[float | None, float]:
    """Seconds that an entry is kept (None: as the cache does), and how many of these it is stale."""
    lifetime = None if ttl is None else seconds(ttl, "ttl")
    if stale is None:
        return lifetime, 0.0
    margin, fresh = seconds(stale, "stale"), cache.ttl if lifetime is None else lifetime
    if fresh is None or not isfinite(fresh + margin):
        raise ValueError("stale needs a ttl, of memoize or of the cache: without one nothing ever gets stale")
    return fresh + margin, margin


def _decorate(options: _Options, function: Any) -> Any:
    if isinstance(function, staticmethod):
        return staticmethod(_decorate_function(_Memo, options, function.__func__, False))
    if isinstance(function, classmethod):
        return _decorate_function(_ClassMemo, options, function.__func__, True)
    is_method = _is_in_a_class(function) or _is_called_in_a_class()
    return _decorate_function(_Memo, options, function, is_method)


def _decorate_function(cls: type[_Memo], options: _Options, function: Any, is_method: bool) -> _Memo:
    _refuse_what_cannot_be_kept(function)
    cache, key, lifetime, margin, on_error = options
    keys = _keys_of(cache, function, key)
    look = partial(_fresh, cache, margin) if margin else _peek(cache)
    store, forget = partial(_store, cache, lifetime), partial(_forget, cache)
    flights = _flights(function)(function, look, store, forget, cache._count_coalesced, on_error)
    made = cls(_func(function, _Parts(cache, keys, margin, flights, is_method)))
    update_wrapper(made, function, updated=())  # `func` has its attributes, and shares them
    made._add_own_attributes()
    return made


def _refuse_what_cannot_be_kept(function: Any) -> None:
    if not callable(function):
        raise TypeError(f"memoize takes a function, not {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{_name(function)} is a generator: what it gives is used up by the first who reads it"
        )


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function))


def _is_in_a_class(function: Any) -> bool:
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(scope) and not scope.endswith("<locals>")


def _is_called_in_a_class() -> bool:
    """Whether a class body decorates: what it decorates may have the name of another decorator's wrapper."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return (
        frame is not None
        and not frame.f_code.co_flags & inspect.CO_OPTIMIZED
        and "__qualname__" in frame.f_locals
    )


def _is_async(function: Any) -> bool:
    call = None if isinstance(function, type) else getattr(function, "__call__", None)  # noqa: B004 -- an object's
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _flights(function: Any) -> type[Flights]:
    if not _is_async(function):
        return Flights
    flights: type[Flights] = load("ebbmap._internal.flights_async").AsyncFlights  # asyncio is slow to import
    return flights


# --- keys ------------------------------------------------------------------------------------------------


class _Keys(NamedTuple):
    """What makes a key of arguments."""

    arrange: Callable[[tuple[Any, ...], dict[str, Any]], Any]  # arguments in order, or the key of a kind
    owner: Function | None = None  # stands before the rest, unless the keys are bare
    given: Callable[..., Hashable] | None = None  # makes the rest


class Keywords:
    """In a key: what follows are keywords. The class itself stands there, as it survives pickling."""


def _keys_of(cache: Results, function: Any, key: Callable[..., Hashable] | None) -> _Keys:
    """The keys of `function`, which are no other's; those that it had before it was defined anew are gone."""
    kind = cache._kinds()[0]
    owner, bare, again = _claimed(cache, function, key is not None)
    if again:
        _forget_all(cache, owner, bare)
    marked = None if bare or kind != "object" else owner
    return _Keys(_arrange(kind, function), marked, key)


def _claimed(cache: Results, function: Any, has_key: bool) -> Claim:
    """What `function` is in the cache; `TypeError` if it needs bare keys, and these are another's."""
    kind = cache._kinds()[0]
    needs_bare = kind != "object" and not has_key
    if not needs_bare or may_be_first(cache, function):
        claimed = claim(cache, function, has_key)
        if claimed.bare or not needs_bare:
            return claimed
    raise TypeError(
        f"another function uses the {kind} keys of this cache: "
        f"give {_name(function)} a key= that returns keys no other function has"
    )


def _forget_all(cache: Results, owner: Function, bare: bool) -> None:
    if cache._kinds()[0] != "object":  # nothing tells whose an entry is
        cache.clear()
        return
    for key in list(cache):
        if belongs_to(owner, key) or (bare and is_bare(key)):
            cache.pop(key, None)


def _arrange(kind: str, function: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    # None is a name that no keyword has
    names = [None if each.kind is each.POSITIONAL_ONLY else each.name for each in _positional(function)]
    if kind == "object":
        return partial(_in_order, names)
    return partial(_typed_key, names, _name(function), kind)


def _positional(function: Any) -> list[inspect.Parameter]:
    signature = _signature(function)
    parameters = signature.parameters.values() if signature is not None else ()
    return [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # of a builtin
        return None


def _typed_key(
    names: list[str | None], name: str, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    args = _in_order(names, args, kwargs)
    if len(args) != 1:
        raise TypeError(f"{name} needs key= to make one {kind} of its arguments, as the cache's keys are")
    return args[0]


def _in_order(names: list[str | None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """`args` and those of `kwargs` that are the next positions by name, then the other keywords."""
    kwargs = dict(kwargs)
    for name in names[len(args) :]:
        if name not in kwargs:
            break
        args += (kwargs.pop(name),)
    return (*args, Keywords, *sorted(kwargs.items())) if kwargs else args


# --- the cache -------------------------------------------------------------------------------------------


def _peek(cache: Results) -> Callable[[Any], Any]:
    """What looks into the cache once more, uncounted: the caller's first look was."""
    return lambda key: cache._peek(key, ABSENT)


def _fresh(cache: Results, margin: float, key: Any) -> Any:
    """The value that is there and not stale, uncounted."""
    found = cache._get_with_lifetime(key, peeking=True)
    return found[0] if found is not None and found[1] > margin else ABSENT


def _store(cache: Results, lifetime: float | None, key: Any, value: Any) -> None:
    try:
        _core._set_result(cache, key, value, lifetime)
    except (ValueError, OverflowError):
        if not cache._is_too_large(key, value):
            raise
        cache.pop(key, None)  # larger than the cache: a caller gets it all the same, and none an older one


def _forget(cache: Results, key: Any) -> None:
    cache.pop(key, None)


# --- what is called --------------------------------------------------------------------------------------


class _Parts(NamedTuple):
    """What a memoized function is made of, and sent by."""

    cache: Results
    keys: _Keys
    margin: float
    flights: Flights
    is_method: bool


def _func(function: Any, parts: _Parts) -> Any:
    """A Python function for what knows no other: pickle finds it by its name, cloudpickle sends it by value.

    It has the parts, and all attributes of the memoized function.
    """
    func: Any = _async_caller(function) if type(parts.flights) is not Flights else _caller(function)
    update_wrapper(func, function)
    for name in _own_names() & func.__dict__.keys():
        del func.__dict__[name]  # of another memoized function, if `function` wraps one
    func._parts = parts
    func.__qualname__ = f"{getattr(function, '__qualname__', func.__name__)}.func"
    return func


def _caller(function: Any) -> Any:
    def func(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return func


def _async_caller(function: Any) -> Any:
    async def func(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return func


def _runner(parts: _Parts) -> Any:
    """What a call of a coroutine function gives, from its key and arguments."""
    flights: Any = parts.flights
    if parts.margin:
        run = _async_stale(parts.cache._get_with_lifetime, parts.margin, flights)
    else:
        run = _async_any(parts.cache.get, flights.compute)
    return update_wrapper(run, flights.function, updated=())


def _async_any(get: Any, compute: Any) -> Any:
    async def run(key: Any, args: Any, kwargs: Any) -> Any:
        found = get(key, ABSENT)
        return found if found is not ABSENT else await compute(key, args, kwargs)

    return run


def _async_stale(look: Any, margin: float, flights: Any) -> Any:
    async def run(key: Any, args: Any, kwargs: Any) -> Any:
        found = look(key)
        if found is None:
            return await flights.compute(key, args, kwargs)
        return found[0] if found[1] > margin else flights.renew(key, found[0], args, kwargs)

    return run


def _own_get(cache: Results) -> Any:
    """The `get` of a subclass that has its own."""
    inherited = type(cache).get is _core.Cache.get and "get" not in getattr(cache, "__dict__", ())
    return None if inherited else cache.get


_OF_FUNCTIONS = "__doc__", "__name__", "__module__"  # not in their `__dict__`


class _Memo(_core.Memo):
    """A memoized function. In a class it binds as functions do, and so do its `invalidate` and `refresh`."""

    _parts: _Parts

    def __init__(self, func: Any) -> None:
        self.__dict__ = func.__dict__
        _made[func] = weakref.ref(self)

    def _complete(self) -> None:
        """Take the parts of `func`, which has them by now."""
        parts = self._parts
        is_async = type(parts.flights) is not Flights
        self._configure(
            cache=parts.cache,
            get=_own_get(parts.cache),
            owner=parts.keys.owner,
            given=parts.keys.given,
            arrange=parts.keys.arrange,
            flights=parts.flights,
            margin=parts.margin,
            run=_runner(parts) if is_async else None,
        )
        if parts.is_method:
            self._set_method()

    def _add_own_attributes(self) -> None:
        """What no wrapped function's attributes may replace."""
        parts = self._parts
        self.cache = parts.cache
        self.__dict__.setdefault("__name__", type(parts.flights.function).__name__)
        self.__dict__.setdefault("__qualname__", self.__dict__["__name__"])

    def invalidate(self, /, *args: Any, **kwargs: Any) -> bool:
        cache, keys, _, flights, _ = self._parts
        key = self._key(*args, **kwargs)
        flights.revoke(key)
        if cache.pop(key, ABSENT) is not ABSENT:
            return True
        if keys.given is None and (signature := _signature(flights.function)) is not None:
            signature.bind(*args, **kwargs)  # raises for arguments that no call has
        return False

    def refresh(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._parts.flights.refresh(self._key(*args, **kwargs), args, kwargs)

    # As a `partial`: pydantic takes it for no field, and `inspect` looks at `func`.

    @property  # type: ignore[misc]  # as mocks have one
    def __class__(self) -> type:
        return partial

    args = ()
    keywords = property(lambda self: {})

    def __repr__(self) -> str:
        return f"<memoized {self.__dict__['__qualname__']}>"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OF_FUNCTIONS:
            setattr(self.func, name, value)
        super().__setattr__(name, value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Its name, as functions; where that does not find it, and in `__main__`, by its `func`.

        Old protocols know `func` only as an attribute of this, so there it is always the name.
        """
        module, name = self.__module__, str(self.__dict__["__qualname__"])
        if (module != "__main__" or operator.index(protocol) < 4) and _found(module, name) is self:
            return name
        return _unpickled, (type(self), self.func)


_made: weakref.WeakKeyDictionary[Any, weakref.ref[_Memo]] = weakref.WeakKeyDictionary()
"""By its `func`: the memoized function that has it."""


def _unpickled(cls: type[_Memo], func: Any) -> _Memo:
    """The memoized function whose `func` it is: the one that is here already, if `func` came by its name."""
    known = _made.get(func)
    return (known and known()) or cls(func)


def _own_names() -> set[str]:
    """Attributes of memoized functions that those of a wrapped function never replace."""
    names = {"_parts", "cache", *vars(_Memo), *vars(_core.Memo)}
    return {name for name in names if not name.startswith("__")}


def _found(module: str, name: str) -> Any:
    try:
        return attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        return None


class _ClassMemo(_Memo):
    """A memoized `classmethod`."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return super().__get__(type(instance) if owner is None else owner)
