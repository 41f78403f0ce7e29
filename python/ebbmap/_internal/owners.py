"""Which function's results a key of a cache belongs to, also in copies of the cache."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from ebbmap import _core
from ebbmap._convert.imports import load


class Function:
    """In a key: the function whose arguments follow. Equal only to itself, which copies and pickles keep."""

    __slots__ = ("__weakref__", "_name", "_nonce")

    def __init__(self, name: str, nonce: str) -> None:
        self._name, self._nonce = name, nonce

    def __reduce__(self) -> tuple[Any, ...]:
        return function, (self._name, self._nonce)

    def __repr__(self) -> str:
        return f"<{self._name}>"


_named: dict[str, Function] = {}  # never more than there are functions in modules
_unnamed: WeakValueDictionary[tuple[str, str], Function] = WeakValueDictionary()


def function(name: str, nonce: str) -> Function:
    """The one object for this name and nonce; importable functions have no nonce."""
    if not nonce:
        return _named.setdefault(name, Function(name, nonce))
    return _unnamed.setdefault((name, nonce), Function(name, nonce))


class _Decorated(NamedTuple):
    """What was decorated last under a name."""

    function: Callable[[], Any]
    has_key: bool


class _Owners:
    """The functions of one cache."""

    __slots__ = ("decorated", "first")

    def __init__(self) -> None:
        self.first: dict[None, Function] = {}  # whose keys are bare; `setdefault` is atomic
        self.decorated: dict[Function, _Decorated] = {}


_owners: dict[int, _Owners] = {}


def _owners_of(cache: Any) -> _Owners:
    if id(cache) not in _owners:
        weakref.finalize(cache, _owners.pop, id(cache), None).atexit = False
    return _owners.setdefault(id(cache), _Owners())


def first_owner(cache: Any) -> Function | None:
    """The function whose keys have no mark in `cache`, which a copy has to know too."""
    found = _owners.get(id(cache))
    return None if found is None else found.first.get(None)


def set_first_owner(cache: Any, owner: Function | None) -> None:
    if owner is not None:
        _owners_of(cache).first[None] = owner


def may_be_first(cache: Any, what: Any) -> bool:
    """Whether no other function has the bare keys of `cache`."""
    first, name = first_owner(cache), _importable_name(what)
    return first is None or (name is not None and first is function(name, ""))


class Claim(NamedTuple):
    """Who a function is in a cache, whether its keys are bare, and whether an older definition goes."""

    owner: Function
    bare: bool
    again: bool


def claim(cache: Any, what: Any, has_key: bool) -> Claim:
    """Enter a function that is being decorated."""
    owners = _owners_of(cache)
    entered = _entered(owners, what, has_key)
    owner, again = entered or (function(_name(what), os.urandom(8).hex()), False)
    return Claim(owner, owners.first.setdefault(None, owner) is owner, again)


def _entered(owners: _Owners, what: Any, has_key: bool) -> tuple[Function, bool] | None:
    """Who a function is by its name, and whether an older definition goes; None if no name is its own."""
    name = _importable_name(what)
    if name is None:
        return None
    owner = function(name, "")
    before = owners.decorated.get(owner)
    if before is not None and _is_beside(before, what, has_key):
        return None
    owners.decorated[owner] = _Decorated(weakref.ref(what), has_key)
    return owner, before is not None


def _is_beside(before: _Decorated, what: Any, has_key: bool) -> bool:
    """Whether both are in use: the same function with another wrapper or other keys, not a new definition."""
    if (old := before.function()) is None or _innermost(old) is not _innermost(what):
        return False
    return old is not what or before.has_key or has_key


def _innermost(what: Any) -> Any:
    unwrap = load("inspect").unwrap  # here, as it is slow to import
    try:
        return unwrap(what)
    except ValueError:  # it wraps itself
        return what


def _importable_name(what: Any) -> str | None:
    """Module and qualified name, if these name one function; `_` names any."""
    if not issubclass(type(what), (FunctionType, type, _core.Memo)) and not (
        isinstance(what, BuiltinFunctionType) and isinstance(what.__self__, ModuleType)
    ):
        return None
    module, name = what.__module__, what.__qualname__
    if not module or "<locals>" in name or "<lambda>" in name or name.rpartition(".")[2] == "_":
        return None
    return f"{'__main__' if module == '__mp_main__' else module}.{name}"  # as a spawned process calls it


def _name(what: Any) -> str:
    return f"{getattr(what, '__module__', '')}.{getattr(what, '__qualname__', None) or repr(what)}"


def belongs_to(owner: Function, key: Any) -> bool:
    """Whether a key of a cache with object keys is marked as that of `owner`."""
    return type(key) is tuple and len(key) > 0 and key[0] is owner


def is_bare(key: Any) -> bool:
    """Whether a key has no function's mark."""
    return not (type(key) is tuple and len(key) > 0 and type(key[0]) is Function)
