"""Pickles of earlier versions load. `tests/former_pickles.json` has them, as text of base 85.

`write` adds those of the version at hand: in `tests`,
`python -c 'import test_former_pickles as t; t.write("VERSION")'`.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
import zlib
from base64 import b85decode, b85encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ebbmap import Cache, ItemsView, KeysView, Map, ValuesView
from ebbmap._core import CacheIterator, MapIterator

FILE = Path(__file__).with_name("former_pickles.json")

results: Cache[Any, Any] = Cache()


@results.memoize
def plain(n: int) -> int:
    return n + 1


@results.memoize
def by_keyword(n: int, *, by: int = 1) -> int:
    return n + by


@results.memoize
async def later(n: int) -> int:
    return n


class Shop:
    @results.memoize
    def price(self, n: int) -> int:
        return n + 2

    @results.memoize
    @classmethod
    def of(cls, n: int) -> int:
        return n


class Counted(Map[int, bytes]):
    note: str


def _counted() -> Counted:
    made = Counted(int, bytes, {1: b"one"})
    made.note = "kept"
    return made


def _cache(given: Any, **settings: Any) -> Cache[Any, Any]:
    made: Cache[Any, Any] = Cache(**settings)
    made.update(given)
    return made


def _results() -> Cache[Any, Any]:
    results.clear()
    plain(1), by_keyword(1, by=2), by_keyword(3)
    return results


SAMPLES: dict[str, Callable[[], Any]] = {
    "Map": lambda: Map({1: "one", "two": 2}),
    "Map of kinds": lambda: Map(str, int, {"a": 1}),
    "Map of a dtype": lambda: Map(int, "f4", {1: 0.5}),
    "subclass of Map": _counted,
    "Cache": lambda: _cache({1: "one", "two": 2}, ttl="7d"),
    "Cache of kinds": lambda: _cache({1: 0.5}, max_items=10, key=int, value="f4"),
    "Cache of results": _results,
    "KeysView": Map({1: 2}).keys,
    "ItemsView": Map({1: 2}).items,
    "ValuesView": Map({1: 2}).values,
    "iterator of a Map": lambda: iter(Map({1: 2}).items()),
    "iterator of a Cache": lambda: iter(_cache({1: 2})),
    "function": lambda: plain,
    "coroutine function": lambda: later,
    "method": lambda: Shop.price,
    "class method": lambda: Shop.of,
}
# A memoized function of `__main__` is sent by its `func`, whose name finds it there.
MAIN = """
    import pickle, sys
    from base64 import b85decode, b85encode
    from ebbmap import Cache

    @Cache().memoize
    def square(n): return n * n
"""
SENT = """
    import cloudpickle

    cache = Cache()
    @cache.memoize(ttl="7d", stale=5)
    def late(n): return -n
    @cache.memoize
    async def asynchronous(n): return n
    @Cache(key=int, value=int).memoize
    def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
    class Shop:
        @cache.memoize(key=lambda self, n: n)
        def price(self, n): return n + 2
        @cache.memoize
        @classmethod
        def of(cls, n): return n
    late(2)
"""
DUMP = "\nprint(b85encode(pickle.dumps(square, 4)).decode(), end='')"
DUMP_BY_VALUE = "\nprint(b85encode(cloudpickle.dumps((late, asynchronous, fib, Shop), 4)).decode(), end='')"


def _run(program: str, given: str = "") -> str:
    ran = [sys.executable, "-c", program]
    return subprocess.run(ran, input=given, check=True, capture_output=True, text=True, timeout=120).stdout


def write(version: str) -> None:
    """Enter pickles of all samples as those of `version`."""
    made = {name: pickle.dumps(make(), protocol=4) for name, make in SAMPLES.items()}
    found = {name: b85encode(text).decode() for name, text in made.items()}
    found["function of __main__"] = _run(textwrap.dedent(MAIN) + DUMP)
    by_value = b85decode(_run(textwrap.dedent(MAIN) + textwrap.dedent(SENT) + DUMP_BY_VALUE))
    found["by value"] = b85encode(zlib.compress(by_value, 9)).decode()
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps({**known, version: found}, indent=1) + "\n")


KEPT: dict[str, dict[str, str]] = json.loads(FILE.read_text()) if FILE.exists() else {}


def _shown(given: Any) -> Any:
    """What is to be the same after loading."""
    if isinstance(given, Cache):
        return type(given), given._settings(), dict(given.items())
    if isinstance(given, Map):
        return type(given), given.kinds, dict(given.items()), getattr(given, "__dict__", None)
    if isinstance(given, KeysView | ItemsView | ValuesView):
        return type(given), list(given)
    return list(given) if hasattr(given, "__next__") else given


@pytest.mark.parametrize("version", KEPT)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_pickle_loads(version: str, name: str) -> None:
    loaded = pickle.loads(b85decode(KEPT[version][name]))
    assert _shown(loaded) == _shown(SAMPLES[name]())


def test_there_is_a_sample_of_each_public_type() -> None:
    made = {type(make()) for make in SAMPLES.values()}
    assert made >= {Map, Cache, KeysView, ItemsView, ValuesView, MapIterator, CacheIterator, type(plain)}


@pytest.mark.parametrize("version", KEPT)
def test_a_function_of_main_is_found_by_its_name(version: str) -> None:
    program = textwrap.dedent(MAIN) + "\nprint(pickle.loads(b85decode(sys.stdin.read())) is square)"
    assert _run(program, KEPT[version]["function of __main__"]) == "True\n"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="code objects are those of Python 3.11")
@pytest.mark.parametrize("version", KEPT)
def test_functions_sent_by_value_arrive(version: str) -> None:
    program = """
        import asyncio, pickle, sys, zlib
        from base64 import b85decode
        late, asynchronous, fib, Shop = pickle.loads(zlib.decompress(b85decode(sys.stdin.read())))
        print(late.cache[2], late(3), asyncio.run(asynchronous(5)), fib(30), Shop().price(6), Shop.of(7))
    """
    assert _run(textwrap.dedent(program), KEPT[version]["by value"]) == "-2 -3 5 832040 8 7\n"


def test_what_did_not_move_is_missing_there() -> None:
    import ebbmap._map as former  # type: ignore[import-not-found]

    assert former._rebuild is sys.modules["ebbmap._internal.map"]._rebuild
    with pytest.raises(AttributeError, match="has no attribute 'merge'"):
        _ = former.merge
