"""Which function a kept result belongs to: in copies of a cache, after a new definition, with `key=`."""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from ebbmap import Cache
from memoize_helpers import Counted, Threads, copied
from test_memoize_sent import run


def f(n: Any) -> str:
    return f"f{n}"


def g(n: Any) -> str:
    return f"g{n}"


def of_two(a: Any, b: Any = 0) -> str:
    return f"of_two{a}{b}"


@copied
def test_a_copy_knows_whose_results_it_holds(copied: Callable[[Any], Any]) -> None:
    cache = Cache()
    calls = Counted()
    assert [cache.memoize(each)(42) for each in (f, g)] == ["f42", "g42"]
    anew = copied(cache)
    assert len(anew) == 2
    assert anew.memoize(g)(42) == "g42"
    assert anew.memoize(f)(42) == "f42"
    assert anew.memoize(of_two)(42) == "of_two420"
    assert anew.memoize(calls)(42) == (42, 1)
    assert anew.stats()["hits"] == 2, "f's and g's results are found, and no other's"


@copied
def test_a_closure_finds_no_results_of_another_in_a_copy(copied: Callable[[Any], Any]) -> None:
    def factory(name: str) -> Any:
        def load(n: int) -> str:
            return f"{name}{n}"

        return load

    cache = Cache()
    one, two = cache.memoize(factory("one")), cache.memoize(factory("two"))
    assert (one(1), two(1)) == ("one1", "two1")
    anew = copied(cache)
    assert anew.memoize(factory("three"))(1) == "three1"
    assert cache.memoize(factory("four"))(1) == "four1"


RULE: list[tuple[tuple[Any, ...], tuple[Any, ...], bool]] = [
    ((1,), (True,), False),
    ((1,), (1.0,), False),
    ((1,), ((1,),), False),
    (((1, 2),), (1, 2), False),
    ((None,), (), False),
    (((),), (), False),
    ((1, 2), (True, 2.0), True),
    ((2.0,), (2.0 + 0j,), True),
]


@pytest.mark.parametrize("shape", [lambda *args: object(), lambda a, b=0: object(), lambda a, b: object()])
@pytest.mark.parametrize(("one", "other", "same"), RULE)
def test_one_rule_for_all_functions_of_a_cache(
    one: tuple[Any, ...], other: tuple[Any, ...], same: bool, shape: Any
) -> None:
    def load(*args: Any) -> object:
        return object()

    load.__signature__ = inspect.signature(shape)  # type: ignore[attr-defined]
    cache = Cache()
    for memoized in (cache.memoize(load), cache.memoize(load), cache.memoize(load)):
        assert memoized(*one) is memoized(*one)
        assert (memoized(*one) is memoized(*other)) is same


def test_two_functions_with_the_same_keys_of_their_own_share_nothing() -> None:
    cache = Cache()
    one = cache.memoize(key=lambda a: a)(f)
    two = cache.memoize(key=lambda a: a)(g)
    three = cache.memoize(key=lambda a: a)(Counted())
    assert (one(1), two(1), three(1), one(1), two(1)) == ("f1", "g1", (1, 1), "f1", "g1")
    assert two.invalidate(1) and not two.invalidate(1)
    assert one.cache[1] == "f1"
    assert three.refresh(1) == (1, 2)


def test_a_cache_with_a_kind_of_keys_says_what_a_second_function_needs() -> None:
    cache = Cache(key=int)
    cache.memoize(f)
    with pytest.raises(TypeError, match="give g a key= that returns keys no other function has"):
        cache.memoize(g)
    assert cache.memoize(key=lambda n: -n)(g)(1) == "g1"


def test_a_refused_function_leaves_no_trace(notebook: dict[str, Any]) -> None:
    cache = notebook["cache"] = Cache(key=int)
    load = cache.memoize(f)
    load(1)
    with pytest.raises(TypeError, match="another function uses the int keys"):
        exec(CELL.format(version=1), notebook)
    exec(CELL.format(version=1).replace("memoize", "memoize(key=lambda n: -n)"), notebook)
    assert list(cache) == [1], "what was never decorated has no old results"


CELL = """
@cache.memoize
def load(n):
    return {version}
"""


@pytest.fixture
def notebook() -> Iterator[dict[str, Any]]:
    """The names of a `__main__` in which cells are run."""
    before, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    yield vars(sys.modules["__main__"])
    sys.modules["__main__"] = before


@pytest.mark.parametrize("settings", [{}, {"key": int}])
def test_a_cell_that_is_run_again_forgets_the_old_results(
    settings: dict[str, Any], notebook: dict[str, Any]
) -> None:
    cache = notebook["cache"] = Cache(**settings)
    for version in (1, 2, 3):
        exec(CELL.format(version=version), notebook)
        assert notebook["load"](7) == version
        assert notebook["load"](7) == cache[7] == version
        assert len(cache) == 1


def test_a_cell_that_is_run_again_forgets_no_other_functions_results(notebook: dict[str, Any]) -> None:
    cache = notebook["cache"] = Cache()
    kept = Counted()
    first, other = cache.memoize(kept), cache.memoize(f)
    for version in (1, 2):
        exec(CELL.format(version=version), notebook)
        assert (notebook["load"](7), first(7), other(7)) == (version, (7, 1), "f7")
        assert len(cache) == 3


@pytest.mark.parametrize("settings", [{}, {"value": int}])
def test_each_of_two_functions_defined_anew_forgets_its_own_results(
    settings: dict[str, Any], notebook: dict[str, Any]
) -> None:
    """The keys of the first have no mark, those of no arguments are empty but for it."""
    cache = notebook["cache"] = Cache(**settings)

    def run_cell(name: str, version: int) -> None:
        exec(f"@cache.memoize\ndef {name}(*args): return {version}", notebook)

    def results(name: str) -> list[int]:
        return [notebook[name](), notebook[name](7), notebook[name](7, 7)]

    run_cell("first", 1)
    run_cell("second", 2)
    assert results("first") + results("second") == [1, 1, 1, 2, 2, 2]
    run_cell("first", 3)
    assert len(cache) == 3
    run_cell("second", 4)
    assert len(cache) == 0
    assert results("first") + results("second") == [3, 3, 3, 4, 4, 4]
    run_cell("second", 5)
    assert len(cache) == 3
    assert results("first") + results("second") == [3, 3, 3, 5, 5, 5]


@pytest.mark.parametrize("keyed_first", [False, True])
def test_one_function_with_keys_of_its_own_and_without_is_two(keyed_first: bool) -> None:
    cache: Any = Cache()
    keys = [{"key": lambda n: n}, {}] if keyed_first else [{}, {"key": lambda n: n}]
    one = cache.memoize(**keys[0])(f)
    assert one(1) == "f1"
    two = cache.memoize(**keys[1])(f)
    assert len(cache) == 1, "it forgot no results"
    assert (one(1), two(1), one(1)) == ("f1", "f1", "f1")
    assert (cache.stats()["misses"], len(cache)) == (2, 2)


def test_a_cell_may_only_decorate(notebook: dict[str, Any]) -> None:
    notebook["cache"] = Cache(key=int)
    exec("def load(n): return n", notebook)
    for _ in range(2):
        exec("memoized = cache.memoize(load)", notebook)
        assert notebook["memoized"](1) == 1


def test_a_module_that_is_reloaded_forgets_its_old_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    holder = types.ModuleType("ebbmap_test_holder")
    holder.cache = Cache()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ebbmap_test_holder", holder)
    source = tmp_path / "ebbmap_test_reloaded.py"
    text = """
from ebbmap_test_holder import cache
class Shop:
    def __eq__(self, other): return True
    def __hash__(self): return 1
    @cache.memoize
    def price(self): return {0}
@cache.memoize
def load(n): return {0}
"""
    source.write_text(text.format(1))
    module: Any = importlib.import_module("ebbmap_test_reloaded")
    assert (module.load(1), module.Shop().price()) == (1, 1)
    source.write_text(text.format(22))
    importlib.reload(module)
    assert (module.load(1), module.Shop().price()) == (22, 22)
    assert len(holder.cache) == 2
    del sys.modules["ebbmap_test_reloaded"]


def with_suffix(suffix: str, function: Callable[[Any], str]) -> Callable[[Any], str]:
    @wraps(function)
    def wrapper(n: Any) -> str:
        return function(n) + suffix

    return wrapper


def test_wrappers_of_one_function_are_different_functions() -> None:
    cache = Cache()
    one, two = cache.memoize(with_suffix("!", f)), cache.memoize(with_suffix("?", f))
    assert (one(1), two(1), one(1)) == ("f1!", "f1?", "f1!")


def test_a_function_that_wraps_itself_is_one(notebook: dict[str, Any]) -> None:
    cache = notebook["cache"] = Cache()
    for version in (1, 2):
        exec(
            f"def load(n): return {version}\nload.__wrapped__ = load\nmemoized = cache.memoize(load)",
            notebook,
        )
        assert notebook["memoized"](7) == version
        assert len(cache) == 1


def test_functions_without_a_name_that_finds_them_are_different_functions() -> None:
    cache = Cache()
    a, b = cache.memoize("abc".index), cache.memoize("cba".index)
    assert (a("a"), b("a")) == (0, 2)
    names: dict[str, Any] = {"__name__": "dispatched", "cache": cache}
    exec("@cache.memoize\ndef _(n): return 1\none = _\n@cache.memoize\ndef _(n): return 2", names)
    assert (names["one"](5), names["_"](5), names["one"](5)) == (1, 2, 1)


def test_a_saved_cache_serves_the_next_process(tmp_path: Path) -> None:
    (tmp_path / "loaders.py").write_text(
        """
import pickle, pathlib
from ebbmap import Cache
saved = pathlib.Path("saved")
cache = pickle.loads(saved.read_bytes()) if saved.exists() else Cache()
calls = []
def f(n): calls.append(n); return f"f{n}"
def g(n): calls.append(n); return f"g{n}"
"""
    )
    program = """
        import sys
        sys.path.insert(0, "")
        from loaders import *
        for function in ((f, g), (g, f))[saved.exists()]:
            print(cache.memoize(function)(42), end=" ")
        print(calls)
        saved.write_bytes(pickle.dumps(cache))
    """
    assert run(program, folder=tmp_path) == "f42 g42 [42, 42]"
    assert run(program, folder=tmp_path) == "g42 f42 []"


def test_a_spawned_process_finds_its_own_functions(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        """
import multiprocessing
from ebbmap import Cache

def f(n): return f"f{n}"
def g(n): return f"g{n}"

def work(cache):
    return cache.memoize(g)(42), cache.memoize(f)(42), cache.stats()["hits"]

if __name__ == "__main__":
    cache = Cache()
    cache.memoize(f)(42)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(work, (cache,)))
"""
    )
    program = (
        "import runpy, sys; sys.argv[0] = 'program.py'; runpy.run_path('program.py', run_name='__main__')"
    )
    assert run(program, folder=tmp_path) == "('g42', 'f42', 1)"


def test_one_of_many_threads_gets_the_bare_keys() -> None:
    def right(cache: Cache[Any, Any], n: int) -> bool:
        return cache.memoize(lambda a: n)(1) == n

    for _ in range(20):
        cache, threads = Cache(), Threads()
        for n in range(4):
            threads.start(right, cache, n)
        assert threads.outcomes == [True] * 4
        assert len(cache) == 4
        assert 1 in cache
