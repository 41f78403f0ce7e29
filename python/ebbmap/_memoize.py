"""The decorator behind `Cache.memoize`: keys, the wrappers around a function, and what binds as a method."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Hashable
from functools import partial, update_wrapper
from math import isfinite
from operator import attrgetter
from types import FrameType, MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    NamedTuple,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    overload,
)

from ebbmap._absent import ABSENT
from ebbmap._flights import Flights
from ebbmap._owners import Function, belongs_to, claim, is_bare, may_be_first
from ebbmap._units import seconds

if TYPE_CHECKING:
    from ebbmap._cache import Cache, Duration

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


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


def memoize(
    cache: Cache[Any, Any],
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

    cache: Cache[Any, Any]
    key: Callable[..., Hashable] | None
    lifetime: float | None
    margin: float
    on_error: Callable[[Exception], object] | None


def _lifetimes(
    cache: Cache[Any, Any], ttl: Duration | None, stale: Duration | None
) -> tuple[float | None, float]:
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
        return staticmethod(_decorate(options, function.__func__))
    if isinstance(function, classmethod):
        return _ClassMethod(_decorate_function(options, function.__func__))
    wrapper = _decorate_function(options, function)
    return _Method(wrapper) if _is_in_a_class(function) or _is_called_in_a_class() else wrapper


def _decorate_function(options: _Options, function: Any) -> Any:
    _refuse_what_cannot_be_kept(function)
    cache, key, lifetime, margin, on_error = options
    keys = _keys_of(cache, function, key)
    look = partial(_fresh, cache, margin) if margin else _peek(cache)
    store, forget = partial(_store, cache, lifetime), partial(_forget, cache)
    flights = _flights(function)(function, look, store, forget, on_error)
    wrapper = _wrapper(cache, keys, margin, flights)
    update_wrapper(wrapper, function)
    wrapper.cache = cache
    wrapper.invalidate = partial(_invalidate, cache, keys.of, flights, None if key else _signature(function))
    wrapper.refresh = partial(_refresh, keys.of, flights)
    return wrapper


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
    while frame is not None and frame.f_globals.get("__name__") in _OURS:
        frame = frame.f_back
    return (
        frame is not None
        and not frame.f_code.co_flags & inspect.CO_OPTIMIZED
        and "__qualname__" in frame.f_locals
    )


_OURS = __name__, "ebbmap._cache"


def _is_async(function: Any) -> bool:
    call = None if isinstance(function, type) else getattr(function, "__call__", None)  # noqa: B004 -- an object's
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _flights(function: Any) -> type[Flights]:
    if not _is_async(function):
        return Flights
    from ebbmap._flights_async import AsyncFlights  # here, as asyncio is slow to import

    return AsyncFlights


# --- keys ------------------------------------------------------------------------------------------------


_Shape: TypeAlias = Literal["one", "several", "any"]


class _Keys(NamedTuple):
    """What makes a key of arguments, and what a wrapper may do by itself."""

    of: Callable[..., Any]
    owner: Function | None = None  # stands before the rest, unless the keys are bare
    given: Callable[..., Hashable] | None = None  # makes the rest
    shape: _Shape = "any"  # how many arguments there mostly are


class Keywords:
    """In a key: what follows are keywords. The class itself stands there, as it survives pickling."""


def _keys_of(cache: Cache[Any, Any], function: Any, key: Callable[..., Hashable] | None) -> _Keys:
    """The keys of `function`, which are no other's; those that it had before it was defined anew are gone."""
    kind, name = cache.kinds[0], _name(function)
    needs_bare = kind is not object and key is None
    claimed = (
        claim(cache, function, key is not None) if not needs_bare or may_be_first(cache, function) else None
    )
    if claimed is None or (needs_bare and not claimed.bare):
        raise TypeError(
            f"another function uses the {kind.__name__} keys of this cache: "
            f"give {name} a key= that returns keys no other function has"
        )
    owner, bare, again = claimed
    if again:
        _forget_all(cache, owner, bare)
    if key is not None:
        return _Keys(key) if bare or kind is not object else _Keys(partial(_own_key, owner, key), owner, key)
    return _default_keys(kind, function, None if bare else owner)


def _forget_all(cache: Cache[Any, Any], owner: Function, bare: bool) -> None:
    if cache.kinds[0] is not object:  # nothing tells whose an entry is
        cache.clear()
        return
    for key in list(cache):
        if belongs_to(owner, key) or (bare and is_bare(key)):
            cache.pop(key, None)


def _default_keys(kind: type, function: Any, owner: Function | None) -> _Keys:
    positional = _positional(function)
    required = [each for each in positional if each.default is each.empty]
    # None is a name that no keyword has
    names = [None if each.kind is each.POSITIONAL_ONLY else each.name for each in positional]
    if kind is not object:
        return _Keys(partial(_typed_key, names, _name(function), kind.__name__), shape="one")
    shape: _Shape = "several" if len(required) > 1 else "one"
    if owner is None:
        return _Keys(partial(_object_key, names), shape=shape)
    if shape == "one" and len(positional) != 1:
        shape = "any"
    return _Keys(partial(_marked_key, owner, names), owner, shape=shape)


def _positional(function: Any) -> list[inspect.Parameter]:
    signature = _signature(function)
    parameters = signature.parameters.values() if signature is not None else ()
    return [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # of a builtin
        return None


def _typed_key(names: list[str | None], name: str, kind: str, /, *args: Any, **kwargs: Any) -> Any:
    args = _in_place(names, args, kwargs)
    if kwargs or len(args) != 1:
        raise TypeError(f"{name} needs key= to make one {kind} of its arguments, as the cache's keys are")
    return args[0]


def _object_key(names: list[str | None], /, *args: Any, **kwargs: Any) -> Hashable:
    if kwargs:
        args = _in_place(names, args, kwargs)
        if kwargs:
            return (*args, Keywords, *sorted(kwargs.items()))
    if len(args) == 1 and type(args[0]) in (int, str, bytes):
        return args[0]  # type: ignore[no-any-return]  # one of the three
    return args


def _marked_key(owner: Function, names: list[str | None], /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    key = _object_key(names, *args, **kwargs)
    return (owner, *key) if type(key) is tuple and len(key) != 1 else (owner, key)


def _own_key(owner: Function, key: Callable[..., Hashable], /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    return owner, key(*args, **kwargs)


def _in_place(names: list[str | None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """`args` and those of `kwargs` that are the next positions by name, which are taken from there."""
    for name in names[len(args) :]:
        if name not in kwargs:
            break
        args += (kwargs.pop(name),)
    return args


# --- the cache -------------------------------------------------------------------------------------------


def _peek(cache: Cache[Any, Any]) -> Callable[[Any], Any]:
    """What looks into the cache once more, uncounted: the caller's first look was."""
    return lambda key: cache._peek(key, ABSENT)


def _fresh(cache: Cache[Any, Any], margin: float, key: Any) -> Any:
    """The value that is there and not stale, uncounted."""
    found = cache._get_with_lifetime(key, peeking=True)
    return found[0] if found is not None and found[1] > margin else ABSENT


def _store(cache: Cache[Any, Any], lifetime: float | None, key: Any, value: Any) -> None:
    try:
        cache.set(key, value, ttl=lifetime)
    except (ValueError, OverflowError):
        if not cache._is_too_large(key, value):
            raise
        cache.pop(key, None)  # larger than the cache: a caller gets it all the same, and none an older one


def _forget(cache: Cache[Any, Any], key: Any) -> None:
    cache.pop(key, None)


def _invalidate(
    cache: Cache[Any, Any],
    key_of: Callable[..., Any],
    flights: Flights,
    signature: inspect.Signature | None,
    /,
    *args: Any,
    **kwargs: Any,
) -> bool:
    key = key_of(*args, **kwargs)
    flights.revoke(key)
    if cache.pop(key, ABSENT) is not ABSENT:
        return True
    if signature is not None:
        signature.bind(*args, **kwargs)  # raises for arguments that no call has
    return False


def _refresh(key_of: Callable[..., Any], flights: Flights, /, *args: Any, **kwargs: Any) -> Any:
    return flights.refresh(key_of(*args, **kwargs), args, kwargs)


# --- wrappers: one frame on a hit ------------------------------------------------------------------------


def _wrapper(cache: Cache[Any, Any], keys: _Keys, margin: float, flights: Flights) -> Any:
    is_async = type(flights) is not Flights
    if margin:
        make = _async_stale if is_async else _stale
        return make(cache._get_with_lifetime, keys.of, margin, flights)
    if is_async:
        return _async_any(cache.get, keys.of, flights.compute)
    return (
        _plain(cache.get, keys, flights.compute)
        if keys.owner is None
        else _marked(cache.get, keys, flights.compute)
    )


def _plain(get: Any, keys: _Keys, compute: Any) -> Any:
    make = {"one": _one, "several": _several, "any": _any}[keys.shape]
    return make(get, keys.of, compute)


def _marked(get: Any, keys: _Keys, compute: Any) -> Any:
    if keys.given is not None:
        return _marked_given(get, keys.given, keys.owner, compute)
    make = {"one": _marked_one, "several": _marked_several, "any": _marked_any}[keys.shape]
    return make(get, keys.of, keys.owner, compute)


def _one(get: Any, key_of: Any, compute: Any) -> Any:
    def wrapper(first: Any = ABSENT, /, *rest: Any, **kwargs: Any) -> Any:
        kind = type(first)
        if (kind is int or kind is str or kind is bytes) and not rest and not kwargs:
            found = get(first, ABSENT)
            return found if found is not ABSENT else compute(first, (first,), kwargs)
        args = () if first is ABSENT else (first, *rest)
        key = key_of(*args, **kwargs)
        found = get(key, ABSENT)
        return found if found is not ABSENT else compute(key, args, kwargs)

    return wrapper


def _several(get: Any, key_of: Any, compute: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = args if not kwargs and len(args) > 1 else key_of(*args, **kwargs)
        found = get(key, ABSENT)
        return found if found is not ABSENT else compute(key, args, kwargs)

    return wrapper


def _marked_one(get: Any, key_of: Any, owner: Any, compute: Any) -> Any:
    def wrapper(first: Any = ABSENT, /, *rest: Any, **kwargs: Any) -> Any:
        kind = type(first)
        if (kind is int or kind is str or kind is bytes) and not rest and not kwargs:
            key = (owner, first)
            found = get(key, ABSENT)
            return found if found is not ABSENT else compute(key, (first,), kwargs)
        if rest or kwargs or first is ABSENT:
            args = () if first is ABSENT else (first, *rest)
            key = key_of(*args, **kwargs)
        else:
            args = (first,)
            key = (owner, args)
        found = get(key, ABSENT)
        return found if found is not ABSENT else compute(key, args, kwargs)

    return wrapper


def _marked_several(get: Any, key_of: Any, owner: Any, compute: Any) -> Any:
    prefix = (owner,)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = prefix + args if not kwargs and len(args) > 1 else key_of(*args, **kwargs)
        found = get(key, ABSENT)
        return found if found is not ABSENT else compute(key, args, kwargs)

    return wrapper


def _marked_any(get: Any, key_of: Any, owner: Any, compute: Any) -> Any:
    prefix = (owner,)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            key = key_of(*args, **kwargs)
        elif len(args) == 1:
            first = args[0]
            kind = type(first)
            key = (owner, first if kind is int or kind is str or kind is bytes else args)
        else:
            key = prefix + args
        found = get(key, ABSENT)
        return found if found is not ABSENT else compute(key, args, kwargs)

    return wrapper


def _marked_given(get: Any, given: Any, owner: Any, compute: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = (owner, given(*args, **kwargs))
        found = get(key, ABSENT)
        return found if found is not ABSENT else compute(key, args, kwargs)

    return wrapper


def _any(get: Any, key_of: Any, compute: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(*args, **kwargs)
        found = get(key, ABSENT)
        return found if found is not ABSENT else compute(key, args, kwargs)

    return wrapper


def _async_any(get: Any, key_of: Any, compute: Any) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(*args, **kwargs)
        found = get(key, ABSENT)
        return found if found is not ABSENT else await compute(key, args, kwargs)

    return wrapper


def _stale(look: Any, key_of: Any, margin: float, flights: Flights) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(*args, **kwargs)
        found = look(key)
        if found is None:
            return flights.compute(key, args, kwargs)
        return found[0] if found[1] > margin else flights.renew(key, found[0], args, kwargs)

    return wrapper


def _async_stale(look: Any, key_of: Any, margin: float, flights: Flights) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(*args, **kwargs)
        found = look(key)
        if found is None:
            return await flights.compute(key, args, kwargs)
        return found[0] if found[1] > margin else flights.renew(key, found[0], args, kwargs)

    return wrapper


# --- methods ---------------------------------------------------------------------------------------------


_FUNC = ".func"  # where a method has its wrapper
_OF_FUNCTIONS = "__doc__", "__name__", "__module__"  # not in their `__dict__`


class _Method(partial[Any]):
    """A memoized function in a class: binds like one, and so do its `invalidate` and `refresh`.

    A `partial`, as that is called at C's speed and looked through by `inspect`.
    """

    def __init__(self, wrapper: Any) -> None:
        self.__dict__ = wrapper.__dict__  # an attribute that is set on one is seen on both, and by instances
        update_wrapper(self, wrapper.__wrapped__)
        super().__setattr__("__qualname__", wrapper.__qualname__)
        wrapper.__qualname__ += _FUNC  # where it is found, for pickle

    @property  # type: ignore[misc]  # as mocks have one
    def __class__(self) -> type:  # a class of functools is no field to pydantic
        return partial

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else _Bound(self.func, instance)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OF_FUNCTIONS:
            setattr(self.func, name, value)
        super().__setattr__(name, value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Its name, as functions; where that does not find it, and in `__main__`, with its wrapper.

        cloudpickle sends the wrapper by value, and pickle by the name that `__init__` gives it.
        """
        module, name = self.__module__, str(self.__dict__["__qualname__"])
        if module != "__main__" and _found(module, name) is self:
            return name
        return _method, (type(self), self.func)


def _found(module: str, name: str) -> Any:
    try:
        return attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        return None


def _method(cls: type[_Method], wrapper: Any) -> _Method:
    """A method around a wrapper that was one's before, and has all attributes."""
    made = cls.__new__(cls, wrapper)
    made.__dict__ = wrapper.__dict__
    return made


class _ClassMethod(_Method):
    """A memoized `classmethod`."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return _Bound(self.func, type(instance) if owner is None else owner)


class _Bound(partial[Any]):
    """A memoized method of an instance."""

    __slots__ = ()

    __doc__ = property(lambda self: self.func.__doc__)  # not this class's
    __func__ = property(lambda self: self.func)
    __self__ = property(lambda self: self.args[0])

    def __getattr__(self, name: str) -> Any:
        if name == "__qualname__":
            return self.func.__dict__[name]
        return getattr(self.func, name)

    def __eq__(self, other: object) -> bool:
        if type(other) is not _Bound:
            return NotImplemented
        return self.func is other.func and self.args[0] is other.args[0]

    def __hash__(self) -> int:
        return hash((self.func, id(self.args[0])))  # the instance may have no hash

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (*self.args, self.__name__)

    @property
    def __wrapped__(self) -> Any:
        return MethodType(self.func.__wrapped__, *self.args)  # type: ignore[attr-defined]  # a wrapper

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self.func.invalidate(*self.args, *args, **kwargs))  # type: ignore[attr-defined]  # a wrapper

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        return self.func.refresh(*self.args, *args, **kwargs)  # type: ignore[attr-defined]  # a wrapper
