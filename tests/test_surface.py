"""What Python users expect of `Map` and `Cache` besides the mapping protocol."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
