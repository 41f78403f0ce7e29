"""Every public operation of the package, as calls for which `fail_alloc.py` refuses memory.

Operations are listed by the attribute that they use; `test_no_memory.py` asserts that none is missing. Each
is a function that makes calls for a table. It prepares them while there is memory.
"""

from __future__ import annotations

import copy
import gc
import operator
import pickle
from asyncio import events
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from prometheus_client import CollectorRegistry

from cache_helpers import CLOCK, REMOVALS, AnyCache
from ebbmap import Map, _core, metrics

Call: TypeAlias = Callable[[], object]
AnyMap: Any = Map


class Kind(NamedTuple):
    """Kinds of key and value, what makes those, and what is refused for being of another kind."""

    key: Any
    value: Any
    key_of: Callable[[int], Any]
    value_of: Callable[[int], Any]
    bad_keys: tuple[Any, ...]
    bad_values: tuple[Any, ...] = ()


class Foreign:
    """Of no kind, in a module that errors name."""


KINDS = {
    "objects": Kind(object, object, lambda i: ("key", i), lambda i: [i], ([],)),
    "inline": Kind(int, int, lambda i: i * 1000, lambda i: i * 1000, (1.5, 10**30), ("text", 10**30)),
    "floats": Kind(int, float, lambda i: i * 1000, lambda i: i / 7, (Foreign(),), ("text",)),
    "records": Kind(int, "V40", lambda i: i * 1000, lambda i: bytes([i % 256]) * 40, ("k",), (b"x" * 41,)),
    "text": Kind(str, bytes, lambda i: f"key {i}", lambda i: b"x" * (i % 300), (5,), (Foreign(),)),
    "surrogates": Kind(str, str, "{}\ud800".format, "é{}\ud800".format, (b"k",), (5,)),
    "large": Kind(
        bytes, bytes, lambda i: b"%d" % i, lambda i: b"x" * (40_000 if i % 8 == 0 else 10), ("k",), ("v",)
    ),
}

# How a table is made, of the kinds of key and value, and how many entries it has.
TABLES: dict[str, Callable[[Any, Any, int], Any]] = {
    "map": lambda key, value, _: AnyMap(key, value),
    "bounded": lambda key, value, most: AnyCache(key=key, value=value, max_items=most, on_remove=REMOVALS),
    "heavy": lambda key, value, most: AnyCache(key=key, value=value, max_bytes=1 << 20),
    "expiring": lambda key, value, _: AnyCache(
        key=key, value=value, ttl=10, idle=5, timer=CLOCK, on_remove=REMOVALS
    ),
    "timed": lambda key, value, _: AnyCache(key=key, value=value, ttl=3600),
}


class Table:
    """A map or cache with entries, and keys and values to use it with."""

    def __init__(self, name: str, entries: int) -> None:
        self.what, _, kinds = name.partition(" of ")
        self.kind = KINDS[kinds]
        CLOCK.now = 1000.0
        self.it: Any = TABLES[self.what](self.kind.key, self.kind.value, entries)
        for i in range(entries):
            self.it[self.kind.key_of(i)] = self.kind.value_of(i)
        self.key, self.new_key = self.kind.key_of(1), self.kind.key_of(10**6)
        self.value, self.new_value = self.kind.value_of(1), self.kind.value_of(200)

    def pairs(self, *places: int) -> list[tuple[Any, Any]]:
        """New entries."""
        return [(self.kind.key_of(i), self.kind.value_of(i + 1)) for i in places]

    def bad_pairs(self) -> list[tuple[Any, Any]]:
        """Entries of which the key or the value is refused."""
        keys = [(key, self.value) for key in self.kind.bad_keys]
        return [*keys, *((self.key, value) for value in self.kind.bad_values)]

    def arrays(self) -> tuple[Any, Any] | None:
        """Keys, old and new, and values as arrays, if the table takes such."""
        if self.kind.key is not int:
            return None
        keys = np.array([self.kind.key_of(i) for i in (1, 2, 900, 901, 902)])
        dtype = {int: "i8", float: "f8"}.get(self.kind.value, self.kind.value)
        return keys, np.array([self.kind.value_of(i) for i in range(5)], dtype)

    def comes(self) -> list[tuple[Any, Any]]:
        """Entries that operations on many keys set."""
        keys, values = self.arrays() or ((), ())
        return [*self.pairs(1, *range(900, 930)), *zip(map(int, keys), map(_plain, values), strict=True)]

    def contents(self) -> dict[Any, Any]:
        return {key: _plain(value) for key, value in self.it.items()}


def _plain(value: Any) -> Any:
    """A value that can be compared with what it was made of."""
    return value.tobytes() if isinstance(value, np.void) else value


Operations: TypeAlias = dict[str, Callable[[Table], list[Call]]]


class Checked:
    """A call, and what has to hold after it, with memory, whether it failed or not."""

    def __init__(self, call: Call, check: Call) -> None:
        self._call, self.check = call, check

    def __call__(self) -> object:
        return self._call()


# --- both ------------------------------------------------------------------------------------------------


def _get(t: Table, get: Callable[[Any], Callable[[Any], object]]) -> list[Call]:
    """Calls of a function of a key: for one that is there, that is not, and that can't be."""
    return [partial(get(t.it), key) for key in (t.key, t.new_key, *t.kind.bad_keys)]


def _set(t: Table, set_: Callable[[Any], Callable[[Any, Any], object]]) -> list[Call]:
    """Calls of a function of a key and a value: for a new key, one that is there, and what is refused."""
    pairs = [(t.new_key, t.new_value), (t.key, t.new_value), (t.key, t.value), *t.bad_pairs()]
    return [partial(set_(t.it), *pair) for pair in pairs]


def _emptied(t: Table) -> Call:
    empty = t.it.copy()
    empty.clear()
    pop: Call = empty.popitem
    return pop


def _update(t: Table, update: Callable[[Any], Callable[[Any], object]]) -> list[Call]:
    good: list[Any] = [t.pairs(*range(900, 930)), dict(t.pairs(1, 900)), t.it.copy()]
    bad: list[Any] = [[5], [(1, 2, 3)], 5, *([pair] for pair in t.bad_pairs())]
    return [partial(update(t.it), given) for given in good + bad]


def _iterate_while_it_grows(t: Table) -> Call:
    walk = iter(t.it.items())
    next(walk)
    t.it[t.new_key] = t.new_value
    return lambda: next(walk)


def _many(t: Table, call: Callable[[Any, Any], object]) -> list[Call]:
    """Calls of a function of keys: a list of keys, an array, and keys of which one can't be."""
    arrays = t.arrays()
    keys: list[Any] = [[t.key, t.new_key, t.key], *([t.key, key] for key in t.kind.bad_keys)]
    if arrays is not None:
        keys += [arrays[0], arrays[0].astype("f8")]
    return [partial(call, t.it, given) for given in keys]


def _set_many(t: Table) -> list[Call]:
    given: list[tuple[Any, Any]] = [
        ([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        for pairs in (t.pairs(1, *range(900, 930)), *([pair] for pair in t.bad_pairs()))
    ]
    given.append(([t.key], []))
    arrays = t.arrays()
    if arrays is not None:
        given += [arrays, (arrays[0][:2], arrays[1])]
    return [partial(t.it.set_many, *pair) for pair in given]


BOTH: Operations = {
    "__class_getitem__": lambda t: [lambda: type(t.it)[int, bytes]],
    "__contains__": lambda t: _get(t, lambda it: lambda key: key in it),
    "__copy__": lambda t: [lambda: copy.copy(t.it)],
    "__delitem__": lambda t: _get(t, lambda it: it.__delitem__),
    "__eq__": lambda t: [
        partial(operator.eq, t.it, other)
        for other in (t.it.copy(), t.contents(), {Foreign(): t.value for _ in t.it}, 5)
    ],
    "__getitem__": lambda t: _get(t, lambda it: it.__getitem__),
    "__ior__": lambda t: _update(t, lambda it: it.__ior__),
    "__iter__": lambda t: [lambda: list(t.it), lambda: list(map(type, t.it))],
    "__len__": lambda t: [lambda: len(t.it)],
    "__or__": lambda t: [partial(operator.or_, t.it, dict(t.pairs(3, 900))), lambda: t.it | 5],
    "__reduce__": lambda t: [lambda: pickle.dumps(t.it), partial(pickle.loads, pickle.dumps(t.it))],
    "__repr__": lambda t: [lambda: repr(t.it)],
    "__rich_repr__": lambda t: [lambda: list(t.it.__rich_repr__())],
    "__ror__": lambda t: [partial(operator.or_, dict(t.pairs(3, 900)), t.it)],
    "__setitem__": lambda t: _set(t, lambda it: it.__setitem__),
    "__sizeof__": lambda t: [t.it.__sizeof__],
    "clear": lambda t: [t.it.clear],
    "copy": lambda t: [t.it.copy],
    "delete_many": lambda t: _many(t, lambda it, keys: it.delete_many(keys)),
    "get": lambda t: [*_get(t, lambda it: it.get), lambda: t.it.get(t.new_key, t.value)],
    "get_many": lambda t: [
        *_many(t, lambda it, keys: it.get_many(keys)),
        *_many(t, lambda it, keys: it.get_many(keys, mask=True)),
        *_many(t, lambda it, keys: it.get_many(keys, t.value)),
    ],
    "items": lambda t: [lambda: list(t.it.items()), _iterate_while_it_grows(t)],
    "keys": lambda t: [lambda: list(t.it.keys())],
    "kinds": lambda t: [lambda: t.it.kinds],
    "nbytes": lambda t: [lambda: t.it.nbytes],
    "pop": lambda t: [*_get(t, lambda it: it.pop), lambda: t.it.pop(t.new_key, None)],
    "popitem": lambda t: [t.it.popitem, _emptied(t)],
    "set_many": _set_many,
    "setdefault": lambda t: _set(t, lambda it: it.setdefault),
    "stats": lambda t: [t.it.stats],
    "update": lambda t: [*_update(t, lambda it: it.update), lambda: t.it.update(a=t.value, b=t.new_value)],
    "values": lambda t: [lambda: list(t.it.values()), lambda: t.value in t.it.values()],
}

# --- maps ------------------------------------------------------------------------------------------------

MAP: Operations = {
    "__init__": lambda t: [
        AnyMap,
        lambda: AnyMap({1: 2}, a=3),
        lambda: AnyMap(t.kind.key, t.kind.value, t.pairs(900, 901)),
        lambda: AnyMap(float, int),
        lambda: AnyMap(int, "V0"),
        lambda: AnyMap(int, "no dtype"),
        lambda: AnyMap(int, int, 5),
        lambda: AnyMap(int, int, {}, {}),
        lambda: t.it.__init__(bytes, float),
    ],
    "fromkeys": lambda t: [
        lambda: AnyMap.fromkeys([t.key, t.new_key], t.value),
        lambda: AnyMap.fromkeys([[]]),
    ],
}

# --- caches ----------------------------------------------------------------------------------------------


def _expired(t: Table) -> list[Call]:
    """Calls that find all expired, in a cache whose clock can be moved."""

    def expire_by(call: Call) -> Call:
        def expired() -> object:
            CLOCK.now = 1100.0
            return call()

        return expired

    calls: list[Call] = [t.it.expire, lambda: len(t.it), t.it.clear, lambda: t.it.get(t.key), t.it.popitem]
    return [t.it.expire, *map(expire_by, calls)]


def _put(t: Table) -> list[Call]:
    pairs = [(t.new_key, t.new_value), (t.key, t.new_value), *t.bad_pairs()]
    calls: list[Call] = [partial(t.it.set, *pair, ttl=5.5) for pair in pairs]
    too_large = b"x" * (2 << 20)
    ttls: list[Any] = ["1m", -1, "long", 10**400, []]
    return [
        *calls,
        lambda: t.it.set(t.key, too_large),
        *(partial(t.it.set, t.key, t.value, ttl=ttl) for ttl in ttls),
    ]


def _settings(t: Table) -> list[Call]:
    bad: list[dict[str, Any]] = [
        {"ttl": -1},
        {"ttl": "long"},
        {"idle": 10**400},
        {"max_items": 0},
        {"max_bytes": "many"},
        {"max_bytes": 100, "key": int, "value": int},
        {"key": float},
        {"value": "V0"},
        {"timer": lambda: float("nan")},
        {"timer": lambda: "noon"},
        {"timer": lambda: 10**400},
        {"timer": 5},
    ]
    good: list[dict[str, Any]] = [{}, {"ttl": 1, "idle": "1m"}, {"max_items": 3, "on_remove": REMOVALS}]
    calls: list[Call] = [partial(AnyCache, **given) for given in good + bad]
    return [*calls, lambda: t.it.__init__(ttl=5)]


def _drive(coroutine: Coroutine[Any, Any, object]) -> object:
    """What a coroutine returns that awaits nothing."""
    events._set_running_loop(LOOP)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    finally:
        events._set_running_loop(None)
        coroutine.close()
    raise AssertionError("it waits")


# An event loop that runs nothing.
LOOP: Any = type("Loop", (events.AbstractEventLoop,), {"is_closed": lambda loop: False})()


def _memoized(t: Table, **options: Any) -> Any:
    return t.it.memoize(key=t.kind.key_of, **options)(t.kind.value_of)


def _gives(t: Table, load: Any, i: int) -> None:
    """Assert that a key is not stuck, and has its value."""
    assert _plain(load(i)) == t.kind.value_of(i)


def _load(t: Table, load: Any, *places: int) -> list[Call]:
    """Calls of a memoized function."""
    return [Checked(partial(load, i), partial(_gives, t, load, i)) for i in places]


def _load_async(t: Table) -> list[Call]:
    async def value_of(i: int) -> Any:
        return t.kind.value_of(i)

    load = t.it.memoize(key=t.kind.key_of)(value_of)

    def check() -> None:
        for i in (1, 10**6):
            _gives(t, lambda i: _drive(load(i)), i)

    calls: list[Call] = [lambda: _drive(load(1)), lambda: _drive(load(10**6))]
    calls += [lambda: _drive(load.refresh(1)), lambda: load.invalidate(1)]
    return [Checked(call, check) for call in calls]


def _always(value: object, _: int) -> object:
    return value


def _load_in_vain(t: Table) -> list[Call]:
    """Calls of functions that raise, or give what the cache does not take."""

    def fail(i: int) -> Any:
        raise ZeroDivisionError

    functions = [fail, *(partial(_always, bad) for bad in t.kind.bad_values)]
    loads = [t.it.memoize(key=t.kind.key_of)(function) for function in functions]
    return [Checked(partial(load, 10**6), partial(t.it.get, t.key)) for load in loads]


def _load_stale(t: Table) -> list[Call]:
    load = _memoized(t, ttl=1, stale=1000, on_error=id)
    load(10**6)
    CLOCK.now += 2  # of caches that go by it
    return _load(t, load, 10**6)


def _memoize(t: Table) -> list[Call]:
    function = t.kind.value_of
    return [
        lambda: t.it.memoize(function),
        lambda: t.it.memoize(key=t.kind.key_of, ttl="1m", stale="5s")(function),
        lambda: t.it.memoize(5),
        lambda: t.it.memoize(function, ttl="long"),
        lambda: t.it.memoize(function, key=5),
        *_load(t, _memoized(t), 3, 10**6),
        *(_load(t, t.it.memoize(function), 10**6) if t.kind.key is object else ()),
        *_load_stale(t),
        *_load_in_vain(t),
        *_load_async(t),
    ]


CACHE: Operations = {
    "__deepcopy__": lambda t: [lambda: copy.deepcopy(t.it)],
    "__init__": _settings,
    "__replace__": lambda t: [partial(t.it.__replace__, max_items=5), lambda: t.it.__replace__(ttl="long")],
    "expire": _expired,
    "expires_in": lambda t: _get(t, lambda it: it.expires_in),
    "idle": lambda t: [lambda: t.it.idle],
    "max_bytes": lambda t: [lambda: t.it.max_bytes],
    "max_items": lambda t: [lambda: t.it.max_items],
    "memoize": _memoize,
    "on_remove": lambda t: [lambda: t.it.on_remove],
    "set": _put,
    "timer": lambda t: [lambda: t.it.timer],
    "touch": lambda t: [
        *_get(t, lambda it: it.touch),
        lambda: t.it.touch(t.key, "1m"),
        lambda: t.it.touch(t.key, -1),
    ],
    "ttl": lambda t: [lambda: t.it.ttl],
}


def _revoke(t: Table) -> list[Call]:
    load = _memoized(t)
    return [Checked(partial(load.invalidate, i), partial(_gives, t, load, i)) for i in (1, 10**6)]


def _refresh(t: Table) -> list[Call]:
    load = _memoized(t)
    return [Checked(partial(load.refresh, i), partial(_gives, t, load, i)) for i in (1, 10**6)]


def _attribute(name: str) -> Callable[[Table], list[Call]]:
    return lambda t: [partial(getattr, _memoized(t), name)]


MEMOIZED: Operations = {
    **{name: _attribute(name) for name in ("args", "cache", "func", "keywords")},
    "invalidate": _revoke,
    "refresh": _refresh,
}


def _flight(use: Callable[[Any], object]) -> Callable[[Table], list[Call]]:
    def calls(t: Table) -> list[Call]:
        flight, woken = _core.Flight(), list[int]()
        flight.when_done(lambda: woken.append(1))
        flight.when_done(lambda: 1 // 0)

        def done() -> None:
            flight.finish()
            assert flight.done

        return [Checked(lambda: use(flight), done)]

    return calls


FLIGHT: Operations = {
    "__new__": lambda t: [_core.Flight, lambda: _core.Flight(1, a=2)],
    "done": _flight(lambda flight: flight.done),
    "finish": _flight(lambda flight: flight.finish()),
    "when_done": _flight(lambda flight: flight.when_done(gc.isenabled)),
}


def _metrics(t: Table) -> tuple[CollectorRegistry, metrics.Registration]:
    registry = CollectorRegistry()
    return registry, metrics.register(t.it, "name", registry)


def _register(t: Table) -> list[Call]:
    registry, registration = _metrics(t)
    other = CollectorRegistry()  # making one has locks made, which fail with RuntimeError
    return [
        lambda: metrics.register(t.it, "name", other),
        lambda: metrics.register(t.it, "name", registry),
        lambda: list(registry.collect()),
        Checked(registration.unregister, lambda: metrics.register(t.it, "another", registry)),
    ]


METRICS: Operations = {"__init__": _register, "unregister": _register}

# --- views and iterators ---------------------------------------------------------------------------------


def _set_operation(use: Callable[[Any, Any], object]) -> Callable[[Table], list[Call]]:
    """Calls of an operation of the keys or items with a set of some of them."""

    def calls(t: Table) -> list[Call]:
        some = {t.key, t.new_key}
        return [
            lambda: use(t.it.keys(), some),
            lambda: use(t.it.keys(), t.it.keys()),
            lambda: use(t.it.items(), {(t.key, 5)}),
        ]

    return calls


KEYS_OR_ITEMS: Operations = {
    "__and__": _set_operation(operator.and_),
    "__eq__": _set_operation(operator.eq),
    "__ge__": _set_operation(operator.ge),
    "__gt__": _set_operation(operator.gt),
    "__le__": _set_operation(operator.le),
    "__lt__": _set_operation(operator.lt),
    "__or__": _set_operation(operator.or_),
    "__rand__": _set_operation(lambda view, other: other & view),
    "__ror__": _set_operation(lambda view, other: other | view),
    "__rsub__": _set_operation(lambda view, other: other - view),
    "__rxor__": _set_operation(lambda view, other: other ^ view),
    "__sub__": _set_operation(operator.sub),
    "__xor__": _set_operation(operator.xor),
    "isdisjoint": _set_operation(lambda view, other: view.isdisjoint(other)),
}


def _views(use: Callable[[Any], object]) -> Callable[[Table], list[Call]]:
    """Calls of an operation of each view."""
    return lambda t: [partial(use, view) for view in (t.it.keys(), t.it.values(), t.it.items())]


VIEW: Operations = {
    "__class_getitem__": _views(lambda view: type(view)[int]),
    "__contains__": lambda t: [
        partial(operator.contains, view, given)
        for view in (t.it.keys(), t.it.values(), t.it.items())
        for given in (t.key, t.new_key, t.value, (t.key, t.value), *t.kind.bad_keys)
    ],
    "__init__": _views(lambda view: type(view)(view.mapping)),
    "__iter__": _views(list),
    "__len__": _views(len),
    "__repr__": _views(repr),
    "mapping": _views(lambda view: view.mapping),
}


def _iterators(use: Callable[[Iterator[Any]], object]) -> Callable[[Table], list[Call]]:
    def calls(t: Table) -> list[Call]:
        walks = iter(t.it), iter(t.it.values()), iter(t.it.items())
        return [partial(use, walk) for walk in walks]

    return calls


ITERATOR: Operations = {
    "__iter__": _iterators(iter),
    "__length_hint__": _iterators(operator.length_hint),
    "__next__": _iterators(next),
    "__reduce__": _iterators(lambda it: it.__reduce__()),
}

OPERATIONS: dict[str, Operations] = {
    "Map": {**BOTH, **MAP},
    "Cache": {**BOTH, **CACHE},
    "memoized": MEMOIZED,
    "Registration": METRICS,
    "Flight": FLIGHT,
    "KeysView": {**VIEW, **KEYS_OR_ITEMS},
    "ItemsView": {**VIEW, **KEYS_OR_ITEMS},
    "ValuesView": VIEW,
    "MapIterator": ITERATOR,
    "CacheIterator": ITERATOR,
}
# Those of a table.
OF_MAPS = ("Map", "KeysView", "MapIterator")
OF_CACHES = ("Cache", "memoized", "Registration", "Flight", "KeysView", "CacheIterator")
# What does many things, one after the other, may be half done when it fails.
HALF_DONE = {"__ior__", "delete_many", "expire", "set_many", "update"}
# What keeps the results of a function in the table.
OF_FUNCTIONS = {"args", "cache", "func", "invalidate", "keywords", "memoize", "refresh"}
