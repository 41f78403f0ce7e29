"""Run with `fail_alloc.c` preloaded: each native allocation of each public operation fails in turn.

`python tests/fail_alloc.py [ENTRIES]`. An abort ends the process; what is wrong otherwise raises.
"""

from __future__ import annotations

import copy
import ctypes
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from cache_helpers import Clock
from ebbmap import Cache, Map, _core

shim = ctypes.PyDLL(None)
shim.fail_module.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
shim.fail_nth.argtypes = [ctypes.c_long, ctypes.c_int]
shim.fail_seen.restype = ctypes.c_long

KINDS: dict[str, tuple[Any, Any, Callable[[int], Any], Callable[[int], Any]]] = {
    "objects": (object, object, lambda i: ("key", i), lambda i: [i]),
    "inline": (int, int, lambda i: i, lambda i: i),
    "records": (int, "V40", lambda i: i, lambda i: bytes([i % 256]) * 40),
    "text": (str, bytes, str, lambda i: b"x" * (i % 300)),
    "large": (bytes, bytes, lambda i: str(i).encode(), lambda i: b"x" * (40_000 if i % 8 == 0 else 10)),
}


def made(name: str, entries: int) -> tuple[Any, Any, Any]:
    """A table, and what makes its keys and values."""
    what, _, kinds = name.partition(" of ")
    key, value, key_of, value_of = KINDS[kinds]
    table: Any
    if what == "map":
        table = Map(key, value)
    elif what == "bounded":
        table = Cache(key=key, value=value, max_items=entries, on_remove=lambda *_: None)
    else:
        table = Cache(key=key, value=value, ttl=10, idle=5, timer=Clock(), on_remove=lambda *_: None)
    for i in range(entries):
        table[key_of(i)] = value_of(i)
    return table, key_of, value_of


def get_missing(t: Any, k: Any, v: Any) -> None:
    try:
        t[k(-1 if k(0) != 0 else 10**9)]
    except KeyError:
        return
    raise AssertionError("it was found")


def delete_missing(t: Any, k: Any, v: Any) -> None:
    try:
        del t[k(10**9)]
    except KeyError:
        return
    raise AssertionError("it was found")


def expire(t: Any, k: Any, v: Any) -> None:
    if isinstance(t, Cache):
        if isinstance(t.timer, Clock):
            t.timer.advance(100)
        t.expire()


def memoized(t: Any, k: Any, v: Any) -> None:
    if isinstance(t, Cache):
        load = t.memoize(key=k)(v)
        load(3), load(10**6), load.refresh(3), load.invalidate(3)


Operation: TypeAlias = Callable[[Any, Any, Any], Any]

# What changes nothing when it fails.
SINGLE: dict[str, Operation] = {
    "get": lambda t, k, v: t.get(k(1)),
    "get missing": lambda t, k, v: t.get(k(10**9)),
    "[]": lambda t, k, v: t[k(1)],
    "[] missing": get_missing,
    "in": lambda t, k, v: k(1) in t,
    "set new": lambda t, k, v: t.__setitem__(k(10**6), v(7)),
    "replace": lambda t, k, v: t.__setitem__(k(1), v(200)),
    "del": lambda t, k, v: t.__delitem__(k(1)),
    "del missing": delete_missing,
    "pop": lambda t, k, v: t.pop(k(1)),
    "pop missing": lambda t, k, v: t.pop(k(10**9), None),
    "popitem": lambda t, k, v: t.popitem(),
    "setdefault": lambda t, k, v: t.setdefault(k(10**6), v(7)),
    "len": lambda t, k, v: len(t),
    "iterate": lambda t, k, v: [list(t), list(t.items()), list(t.values())],
    "repr": lambda t, k, v: repr(t),
    "==": lambda t, k, v: t == t,
    "stats": lambda t, k, v: (t.stats(), t.nbytes, t.kinds),
    "copy": lambda t, k, v: t.copy(),
    "deepcopy": lambda t, k, v: copy.deepcopy(t),
    "|": lambda t, k, v: t | {k(3): v(3)},
    "get_many": lambda t, k, v: t.get_many([k(1), k(2), k(10**9)]),
}
# What may be half done.
MANY: dict[str, Operation] = {
    "set_many": lambda t, k, v: t.set_many([k(i) for i in range(900, 930)], [v(i) for i in range(30)]),
    "delete_many": lambda t, k, v: t.delete_many([k(i) for i in range(0, 60, 2)]),
    "update": lambda t, k, v: t.update((k(i), v(i)) for i in range(900, 930)),
    "clear": lambda t, k, v: t.clear(),
    "expire": expire,
    "memoize": memoized,
    "make": lambda t, k, v: (Map(), Cache(ttl=1), Cache(max_items=3), Map(int, bytes, {1: b"x"})),
    "drain": lambda t, k, v: [t.popitem() for _ in range(len(t))],
}


def fail(name: str, entries: int, operation: Operation, after: bool, single: bool) -> int:
    """Fail each allocation of an operation in turn; how many there are."""
    n = 0
    while True:
        n += 1
        table, key_of, value_of = made(name, entries)
        before = None if isinstance(table, Cache) else dict(table.items())
        failed = False
        shim.fail_nth(n, after)
        try:
            operation(table, key_of, value_of)
        except MemoryError:
            failed = True
        finally:
            seen = shim.fail_seen()
            shim.fail_nth(0, 0)
        table._check()
        if failed and single and before is not None:
            assert dict(table.items()) == before, "what failed has changed it"
        table[key_of(5)] = value_of(5)  # it can be used again
        assert table[key_of(5)] == table[key_of(5)]
        if seen < n:
            return n - 1


def main() -> None:
    warnings.simplefilter("ignore")
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    path = Path(_core.__file__).name
    spans = [
        line.split()[0].split("-")
        for line in Path("/proc/self/maps").read_text().splitlines()
        if path in line
    ]
    shim.fail_module(min(int(start, 16) for start, _ in spans), max(int(end, 16) for _, end in spans))
    allocations = 0
    for what in ("map", "bounded", "cache"):
        for kinds in KINDS:
            for operations, single in ((SINGLE, True), (MANY, False)):
                for label, operation in operations.items():
                    for after in (False, True):
                        try:
                            allocations += fail(f"{what} of {kinds}", entries, operation, after, single)
                        except BaseException:
                            print(f"{what} of {kinds}: {label}, after={after}", file=sys.stderr)
                            raise
    pickle.dumps(Map())
    print(f"{allocations} allocations failed")


if __name__ == "__main__":
    main()
