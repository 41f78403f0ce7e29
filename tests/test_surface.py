"""What Python users expect of `Map` and `Cache` besides the mapping protocol."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import threading
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ebbmap
import ebbmap.metrics
from ebbmap import Cache, Map


def _public_callables(module: Any) -> Iterator[Any]:
    for name in module.__all__:
        given = getattr(module, name)
        if not isinstance(given, type):
            yield given
            continue
        for cls in given.__mro__:
            if cls.__module__.startswith("ebbmap"):
                for attribute in vars(cls).values():
                    yield getattr(attribute, "fget", None) or getattr(attribute, "__func__", attribute)


def test_every_hint_resolves_at_run_time() -> None:
    seen = 0
    for module in (ebbmap, ebbmap.metrics):
        for function in _public_callables(module):
            if inspect.isfunction(function):
                typing.get_type_hints(function)
                seen += 1
    assert seen > 20


def test_pydantic_validates_public_calls() -> None:
    pydantic = pytest.importorskip("pydantic")
    c: Any = Cache(key=int, value=int)
    pydantic.validate_call(c.set_many)([1, 2], [3, 4], ttl="1h")
    assert c[2] == 4


def test_the_version_needs_no_metadata() -> None:
    package = Path(ebbmap.__file__).parent.parent
    program = "import ebbmap, pydoc; pydoc.render_doc(ebbmap); print(ebbmap.__version__)"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(package)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == ebbmap.__version__


@pytest.mark.parametrize("contents", [(), ({1: 2},), ([(1, 2)],)])
def test_making_a_map_calls_no_overridden_update(contents: Any) -> None:
    class Mine(Map[Any, Any]):
        def update(self, *args: Any, **kwargs: Any) -> None:
            raise AssertionError("dict does not call it")

    assert len(Mine(*contents)) == len(contents)


@pytest.mark.parametrize(
    "table", [Map(), Cache(), Map(int, int), Cache(key=int, value=int, ttl=60)], ids=repr
)
def test_a_default_may_be_named(table: Any) -> None:
    assert table.get(1, default=7) == 7
    assert table.setdefault(1, default=8) == 8
    assert table.get(1, default=7) == 8
    with pytest.raises(TypeError):
        table.get(1, fallback=7)
    with pytest.raises(TypeError):
        table.get(1, 2, default=7)
    with pytest.raises(TypeError):
        table.get(key=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("1w", 604800), ("2d 12h", 216000), ("1m500ms", 60.5), ("1w1d1h1m1s", 694861)],
)
def test_durations_of_several_units(text: str, seconds: float) -> None:
    assert Cache(ttl=text).ttl == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "h", "1h30", "30m1h", "1h1h", "1.5h30m", "-1h", "1h-30m", "1 fortnight"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="ttl must be"):
        Cache(ttl=text)


@pytest.mark.parametrize("kinds", [{}, {"key": int}, {"value": bytes}], ids=str)
def test_a_bound_in_bytes_on_objects_warns(kinds: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="max_bytes bounds the cache's table") as warned:
        Cache(max_bytes="1MiB", **kinds)
    assert warned[0].filename == __file__


def test_a_bound_in_bytes_on_inline_kinds_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Cache(max_bytes="1MiB", key=int, value=bytes)
        Cache(max_items=3)


def test_a_map_is_copied_and_pickled_beside_a_writing_thread() -> None:
    m: Any = Map()
    m.update((i, [i]) for i in range(2000))
    done = threading.Event()

    def write() -> None:
        i = 2000
        while not done.is_set():
            i += 1
            m[i] = i
            del m[i]

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            for made in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
                assert made[7] == [7]
                assert 2000 <= len(made) <= 2001
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("table", [Map(), Cache()], ids=["map", "cache"])
def test_ipython_shows_as_much_as_of_a_dict(table: Any) -> None:
    pretty = pytest.importorskip("IPython.lib.pretty")
    same = {i: f"value {i}" for i in range(50_000)}
    table.update(same)
    shown = pretty.pretty(table)
    assert len(shown) < 2 * len(pretty.pretty(same))
    assert shown.endswith("...})")
    table.clear()
    assert pretty.pretty(table) == f"{type(table).__name__}({{}})"
    table[1] = table
    assert "{...}" in pretty.pretty(table)
    table.clear()


@pytest.mark.parametrize("table", [Map(int, "i8"), Cache(key=int, value="i8")], ids=["map", "cache"])
def test_series_are_arrays(table: Any) -> None:
    pandas = pytest.importorskip("pandas")
    keys = pandas.Series([3, 1, 2], index=[7, 8, 9])
    table.set_many(keys, pandas.Series([30, 10, 20]))
    for given in (keys, pandas.Index([3, 1, 2])):
        found = table.get_many(given)
        assert isinstance(found, np.ndarray)
        assert found.tolist() == [30, 10, 20]
    with pytest.raises(KeyError):
        table.get_many(pandas.Series([1, 99]))
    with pytest.raises(TypeError, match="key must be int"):
        table.get_many(pandas.array([1, None], dtype="Int64"))
    assert table.delete_many(keys) == 3


def test_arrays_need_not_be_aligned() -> None:
    record = np.zeros(5, [("flag", "u1"), ("key", "i8"), ("value", "i8")])
    record["key"], record["value"] = range(5), range(10, 15)
    odd = np.frombuffer(b"x" + np.arange(5).tobytes(), "i8", offset=1)
    for table in (Map(int, "i8"), Cache(key=int, value="i8")):
        table.set_many(record["key"], record["value"])
        for keys in (record["key"], odd):
            assert table.get_many(keys).tolist() == [10, 11, 12, 13, 14]
        assert table.delete_many(odd) == 5


@pytest.mark.parametrize("dtype", ["S4", "U4", [("a", "i4"), ("text", "S4")]], ids=str)
def test_no_trailing_nul_is_cut(dtype: Any) -> None:
    text: Any = "a\0" if dtype == "U4" else b"a\0"
    value = (1, text) if isinstance(dtype, list) else text
    for table in (Map(int, np.dtype(dtype)), Cache(key=int, value=dtype)):
        puts: list[tuple[Any, Any]] = [
            (table.update, ({1: value},)),
            (table.setdefault, (1, value)),
            (table.set_many, ([1], [value])),
            (table.__setitem__, (1, value)),
        ]
        for put, args in puts:
            with pytest.raises(ValueError, match="can't end in NUL, which NumPy cuts off"):
                put(*args)
        assert len(table) == 0
    digest = b"a" * 30 + b"\0\0"
    assert Map(int, bytes, {1: digest})[1] == digest
    assert bytes(Map(int, "V32", {1: digest})[1]) == digest
