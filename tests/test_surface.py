"""What Python users expect of `Map` and `Cache` besides the mapping protocol."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import typing
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ebbmap
import ebbmap.metrics
from ebbmap import Cache, Map
from map_helpers import beside


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
    "table", [Map(), Cache(), Map(int, int), Cache(key=int, value=int, ttl=60)], ids=repr
)
def test_pop_takes_its_default_by_name(table: Any) -> None:
    table[1] = 5
    assert table.pop(1, default=7) == 5
    assert table.pop(1, default=7) == table.pop(1, 7) == 7
    assert table.pop(1, default=None) is None and table.pop(1, None) is None
    with pytest.raises(KeyError) as caught:
        table.pop(1)
    assert caught.value.args == (1,)
    calls: list[Any] = [
        table.pop,
        lambda: table.pop(1, 2, 3),
        lambda: table.pop(1, 2, default=3),
        lambda: table.pop(1, fallback=3),
        lambda: table.pop(key=1),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert str(inspect.signature(table.pop)) == "(key, /, default=Ellipsis)"


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
    with beside(_adding_and_removing(m)):
        for _ in range(20):
            for made in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
                assert made[7] == [7]
                assert 2000 <= len(made) <= 2001


def _adding_and_removing(m: Any) -> Callable[[], None]:
    """What adds a key to a map of 2,000, and removes it: another one each time."""
    new = count(2001)

    def write() -> None:
        key = next(new)
        m[key] = key
        del m[key]

    return write


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


# --- iterators -----------------------------------------------------------------------------------------


def _tables() -> list[Any]:
    model = {i: str(i) for i in range(300)}
    tables: list[Any] = [
        Map(),
        Map(int, str),
        Cache(),
        Cache(key=int, value=str, max_items=500, ttl=60, timer=lambda: 0.0),
    ]
    tables += [Map(str, str), Cache(key=str)]
    for table in tables[:4]:
        table.update(model)
    for table in tables[4:]:
        table.update({text: text for text in model.values()})
    return tables


_ITERATORS: list[Any] = [
    iter,
    lambda t: iter(t.keys()),
    lambda t: iter(t.values()),
    lambda t: iter(t.items()),
]


@pytest.mark.parametrize("table", _tables(), ids=lambda table: f"{type(table).__name__} {table.kinds}")
@pytest.mark.parametrize("made", _ITERATORS, ids=["iter", "keys", "values", "items"])
def test_iterators_are_copied_and_pickled_as_those_of_a_dict(made: Any, table: Any) -> None:
    copies: list[Any] = [copy.copy, copy.deepcopy]
    copies += [
        lambda it, p=protocol: pickle.loads(pickle.dumps(it, p))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ]
    everything = list(made(table))
    for taken in (0, 1, 150, 300):
        iterator = made(table)
        assert [next(iterator) for _ in range(taken)] == everything[:taken]
        for copied in copies:
            again = copied(iterator)
            assert type(again) is type(copy.copy(iter({})))
            assert list(again) == everything[taken:]
        assert list(iterator) == everything[taken:]  # it has stayed where it was
        assert [list(copied(iterator)) for copied in copies] == [[]] * len(copies)


def test_a_copy_of_an_iterator_notices_a_change_as_a_dicts_does() -> None:
    for table in (Map({1: 1, 2: 2}), {1: 1, 2: 2}):
        iterator = iter(table)
        next(iterator)
        table[3] = 3
        with pytest.raises(RuntimeError, match="changed size during iteration"):
            copy.copy(iterator)


# --- printing ------------------------------------------------------------------------------------------


def test_rich_shows_what_repr_shows() -> None:
    pretty = pytest.importorskip("rich.pretty").pretty_repr
    m: Any = Map(int, str, {1: "a"})
    assert pretty(m) == repr(m) == "Map(int, str, {1: 'a'})"
    assert pretty(Map({1: "a"})) == "Map({1: 'a'})"
    c: Any = Cache(ttl=5, key=int, value=np.dtype("f4"), max_items=3)
    c[1] = 0.5
    shown = "key=int value=dtype('float32') ttl=5.0 max_items=3 {1: np.float32(0.5)}"
    assert pretty(c, max_width=200) == f"<Cache {shown}>"
    m.update(dict.fromkeys(range(1000), "some text"))
    assert len(pretty(m).splitlines()) > 1000
    assert "+997" in pretty(m, max_length=3)
    itself: Any = Map()
    itself[1] = itself
    assert "..." in pretty(itself)


# --- a cache with other settings -----------------------------------------------------------------------


class _Named(Cache[Any, Any]):
    name: str


def test_a_cache_is_made_anew_with_other_settings() -> None:
    now = [0.0]
    told: list[Any] = []
    c = _Named(ttl=100, max_items=5, timer=lambda: now[0], on_remove=lambda *gone: told.append(gone))
    c.name = "sessions"
    c.update({i: i * 10 for i in range(5)})
    now[0] = 40
    same = c.__replace__()
    assert (
        type(same) is _Named and same == c and same.name == "sessions" and same._settings() == c._settings()
    )
    shorter = c.__replace__(ttl=10)
    assert (shorter.ttl, shorter.max_items, shorter.timer) == (10, 5, c.timer)
    assert shorter == c and {shorter.expires_in(key) for key in shorter} == {60}
    shorter[0] = 1
    assert shorter.expires_in(0) == 10
    smaller = c.__replace__(max_items=2)
    assert len(smaller) == 2 and smaller.items() <= c.items() and told == [(0, 0, "replaced")]
    told.clear()
    smaller[9] = 9
    assert [cause for *_, cause in told] == ["evicted"]
    typed = c.__replace__(key=int, value=float)
    assert typed.kinds == (int, float) and typed == c
    assert c.__replace__(timer=None, ttl=None).timer is None
    for wrong, error in ({"key": str}, TypeError), ({"ttl": "x"}, ValueError), ({"size": 1}, TypeError):
        with pytest.raises(error):
            c.__replace__(**wrong)
    assert len(c) == 5
    if sys.version_info >= (3, 13):
        assert copy.replace(c, max_items=2).max_items == 2


# --- who is told while caches are put together -----------------------------------------------------------


class _Connection:
    closed = False


def _close(key: object, connection: Any, cause: str) -> None:
    connection.closed = True


_TOGETHER: dict[str, Any] = {
    "cache | dict": lambda c: c | {1: _Connection(), 9: _Connection()},
    "cache | cache": lambda c: c | Cache_of({1: _Connection(), 9: _Connection()}),
    "dict | cache": lambda c: {1: _Connection(), 9: _Connection()} | c,
    "copy()": lambda c: c.copy(),
    "copy.copy": copy.copy,
    "replace": lambda c: c.__replace__(max_items=1),
}


def Cache_of(contents: dict[Any, Any]) -> Any:  # noqa: N802 -- makes one
    made: Any = Cache(on_remove=_close)
    made.update(contents)
    return made


@pytest.mark.parametrize("bounds", [{}, {"max_items": 3}], ids=str)
@pytest.mark.parametrize("made", _TOGETHER.values(), ids=_TOGETHER)
def test_making_a_cache_of_others_values_closes_none(made: Any, bounds: Any) -> None:
    c: Any = Cache(on_remove=_close, **bounds)
    c.update({i: _Connection() for i in range(3)})
    together = made(c)
    assert together.on_remove is _close
    values = [*c.values(), *together.values()]
    assert not any(connection.closed for connection in values)
    gone = together.pop(next(iter(together)))
    assert gone.closed, "what leaves it later is told"


@pytest.mark.parametrize(
    "changed", [lambda c, d: c.__ior__(d), lambda c, d: c.update(d)], ids=["|=", "update"]
)
def test_values_that_are_replaced_in_place_are_told(changed: Any) -> None:
    c: Any = Cache(on_remove=_close)
    c[1] = old = _Connection()
    changed(c, {1: _Connection()})
    assert old.closed and not c[1].closed


def test_copies_of_the_values_are_told_of_if_they_find_no_room() -> None:
    told: list[Any] = []
    c: Any = Cache(on_remove=lambda *gone: told.append(gone), key=int, value=bytes, max_items=100)
    c.update(dict.fromkeys(range(100), b"x"))
    again = copy.deepcopy(c)
    again[100] = b""
    assert told == [(told[0][0], b"x", "evicted")]


# --- subclasses, and threads that write ------------------------------------------------------------------


def _no_call(self: Any, *args: Any) -> Any:
    raise AssertionError("dict does not call it")


@pytest.mark.parametrize("base", [Map, Cache])
def test_comparisons_views_and_merges_go_past_what_a_subclass_overrides(base: Any) -> None:
    methods = "__len__", "__getitem__", "__contains__", "keys", "values", "items", "get", "update", "copy"
    own: Any = type("Own", (base,), dict.fromkeys(methods, _no_call))
    own_dict: Any = type("OwnDict", (dict,), dict.fromkeys(methods, _no_call))
    m, d = own(), own_dict({1: 2})
    m[1] = 2
    plain: Any = base()
    plain[1] = 2
    assert all([m == plain, plain == m, m == {1: 2}, m == d])
    for view, expected in (
        (base.keys(m), [1]),
        (base.values(m), [2]),
        (base.items(m), [(1, 2)]),
    ):
        assert len(view) == 1 and list(view) == expected and expected[0] in view
        assert repr(view).endswith(f"({expected})")
    plain.update(m)
    plain.update(d)
    plain |= m
    assert (plain | m) == m and base.copy(m) == m
    assert Map(m) == {1: 2} if base is Map else True


def test_an_iter_of_its_own_is_heard_as_that_of_a_dicts_subclass_is() -> None:
    class Upper(Map[str, int]):
        def keys(self) -> Any:
            return ["a"]

        def __iter__(self) -> Iterator[str]:
            return iter(["a"])

        def __getitem__(self, key: str) -> int:
            return 5

    class UpperDict(dict[str, int]):
        keys, __iter__, __getitem__ = Upper.keys, Upper.__iter__, Upper.__getitem__

    for given in (Upper({"b": 1}), UpperDict({"b": 1})):
        assert dict(given) == Map(given) == {"a": 5}


def test_whole_maps_are_read_beside_a_writing_thread() -> None:
    for table in (Map(), Map(int, int), Cache(), Cache(key=int, value=int)):
        _reads_beside_a_writer(table)


def _reads_beside_a_writer(m: Any) -> None:
    m.update((i, i) for i in range(2000))
    same = dict.fromkeys(range(2000))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with beside(_adding_and_removing(m)):
            for _ in range(30):
                for made in ({} | m, m | {}, Map(m), m.copy()):
                    assert 2000 <= len(made) <= 2001 and made[7] == 7
                into: Any = Map()
                into.update(m)
                into |= m
                assert into.keys() >= same.keys()
                assert m != same and m != Map()
    finally:
        sys.setswitchinterval(interval)


# --- how often, and in which order, keys are asked --------------------------------------------------------


class _Asked:
    """Counts how often it is hashed and compared."""

    def __init__(self) -> None:
        self.hashed = self.compared = 0

    def __hash__(self) -> int:
        self.hashed += 1
        return 42

    def __eq__(self, other: object) -> bool:
        self.compared += 1
        return self is other


@pytest.mark.parametrize("make", [Map, Cache, lambda: Cache(max_items=9)], ids=["map", "cache", "bounded"])
def test_setdefault_asks_as_often_as_that_of_a_dict(make: Any) -> None:
    table, there, absent = make(), _Asked(), _Asked()
    table[there] = 5
    assert (there.hashed, there.compared) == (1, 0)
    assert table.setdefault(absent, 6) == 6
    assert (absent.hashed, there.compared + absent.compared) == (1, 1)
    assert table.setdefault(absent, 7) == 6 and table.setdefault(there) == 5
    assert len(table) == 2 and table[there] == 5


def test_setdefault_counts_a_hit_or_a_miss() -> None:
    for c in (Cache(), Cache(value=int)):
        assert [c.setdefault(1, 5), c.setdefault(1, 6), c.setdefault(1, 7)] == [5, 5, 5]
        assert (c.stats()["hits"], c.stats()["misses"], c.stats()["sets"]) == (2, 1, 1)


@pytest.mark.parametrize("make", [dict, Map], ids=["dict", "map"])
def test_a_comparison_looks_in_the_other_map_as_dict_does(make: Any) -> None:
    class Clears:
        """Empties one of the two as it is compared."""

        def __eq__(self, other: object) -> bool:
            one.clear()
            return True

        def __hash__(self) -> int:
            return 13

    one: Any = make([(Clears(), 0)])
    two: Any = make([(Clears(), Clears())])
    assert one == two
    one.update([(1, 2)])
    two = make([(1.0, 2)])
    assert one == two and two == one
