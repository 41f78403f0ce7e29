"""Every allocation fails in turn: `MemoryError` or a skipped shrink, contents as before, nothing leaked."""

from __future__ import annotations

import contextlib
import copy
import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ebbmap import Cache, Map
from map_helpers import LIMIT, agrees, linux, python_allocations_failing, run

AnyMap: Any = Map
Kinds = tuple[type, type]
KINDS: list[Kinds] = [(int, int), (int, bytes), (str, str), (str, int), (object, object), (object, bytes)]
MAKE: dict[type, Callable[[int], Any]] = {
    int: lambda i: i,
    bytes: lambda i: b"v%d" % i * (i % 40),
    str: lambda i: f"text {i}" * (1 + i % 7),
    object: lambda i: ("object", i),
}


def filled(kinds: Kinds, n: int) -> tuple[Any, dict[Any, Any]]:
    """A map with its model."""
    key, value = MAKE[kinds[0]], MAKE[kinds[1]]
    model = {key(i): value(i) for i in range(n)}
    return AnyMap(*kinds, model), model


def grow(m: Any, kinds: Kinds) -> None:
    for i in range(2000, 4500):
        m[MAKE[kinds[0]](i)] = MAKE[kinds[1]](i)


def update(m: Any, kinds: Kinds) -> None:
    m.update((MAKE[kinds[0]](i), MAKE[kinds[1]](i + 1)) for i in range(3000))


def set_many(m: Any, kinds: Kinds) -> None:
    places = range(1500, 4000)
    m.set_many(map(MAKE[kinds[0]], places), map(MAKE[kinds[1]], places))


def replace(m: Any, kinds: Kinds) -> None:
    for i in range(0, 2000, 3):
        m[MAKE[kinds[0]](i)] = MAKE[kinds[1]](i + 17)


def setdefault(m: Any, kinds: Kinds) -> None:
    for i in range(1990, 4000):
        m.setdefault(MAKE[kinds[0]](i), MAKE[kinds[1]](i))


# What grows: how it is done to a map, and whether it is all or nothing.
GROWING: dict[str, tuple[Callable[[Any, Kinds], None], bool]] = {
    "grow": (grow, False),
    "update": (update, False),
    "set_many": (set_many, True),
    "replace": (replace, False),
    "setdefault": (setdefault, False),
}


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: f"{kinds[0].__name__}-{kinds[1].__name__}")
@pytest.mark.parametrize("name", GROWING)
def test_growing_with_each_allocation_failing(name: str, kinds: Kinds) -> None:
    work, whole = GROWING[name]
    allowance, failed, step = 0, True, 1
    while failed:
        m, model = filled(kinds, 2000)
        after = dict(model)
        work(after, kinds) if name != "set_many" else after.update(_many(kinds))
        m._set_allowance(allowance)
        try:
            work(m, kinds)
            failed = False
        except MemoryError:
            m._check()
            inline = object not in kinds
            if whole and inline:
                _agrees_with_one_of(m, model, after)
            assert all(m[key] in (model.get(key, after[key]), after[key]) for key in m)
            assert len(m) >= len(model) and model.keys() <= m.keys()
        m._set_allowance(None)
        work(m, kinds)
        agrees(m, after)
        allowance += step
        step = 1 if allowance < 12 else 23  # there are hundreds; the first are of every sort
    if name != "replace" or kinds[1] in (str, bytes):
        assert allowance > 1, "some allocation failed"


def _many(kinds: Kinds) -> dict[Any, Any]:
    return {MAKE[kinds[0]](i): MAKE[kinds[1]](i) for i in range(1500, 4000)}


def _agrees_with_one_of(m: Any, before: dict[Any, Any], after: dict[Any, Any]) -> None:
    """New keys are all there or none; values of varying length may have been replaced in part."""
    assert len(m) == len(before)
    assert all(value in (before[key], after[key]) for key, value in m.items())


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: f"{kinds[0].__name__}-{kinds[1].__name__}")
def test_shrinking_never_fails(kinds: Kinds) -> None:
    for allowance in (0, 1, 2, 5, 20):
        m, model = filled(kinds, 3000)
        full = m.nbytes
        m._set_allowance(allowance)
        keys = list(model)
        for i, key in enumerate(keys[:2900]):
            if i % 3 == 0:
                assert m.pop(key) == model.pop(key)
            elif i % 3 == 1:
                del m[key], model[key]
            else:
                assert m.delete_many([key]) == 1
                del model[key]
            if i % 300 == 0:
                m._check()
        agrees(m, model)
        assert m.nbytes < full * 2 // 3
        m._set_allowance(None)  # what was put off is made up for
        for key in model:
            del m[key]
        m._check()
        assert m.nbytes < 16 << 10
        m.clear()
        assert m.nbytes < 1024


def test_bulk_calls_on_arrays_are_all_or_nothing() -> None:
    keys = np.arange(1000, 5000)
    failed, allowance = True, 0
    while failed:
        m = Map(int, int)
        m.set_many(np.arange(2000), np.arange(2000))
        m._set_allowance(allowance)
        try:
            m.set_many(keys, keys * 2)
            failed = False
        except MemoryError:
            m._set_allowance(None)
            agrees(m, {i: i for i in range(2000)})
            m.set_many(keys, keys * 2)
        agrees(m, {i: i if i < 1000 else 2 * i for i in range(5000)})
        allowance += 1
    assert allowance > 3


def test_bulk_calls_that_fail_at_a_longer_value_set_no_new_keys() -> None:
    m = Map(int, bytes, dict.fromkeys(range(40), b"a"))
    m._set_allowance(0)
    with pytest.raises(MemoryError):
        m.set_many([100, 1], [b"b", b"x" * 1_000_000])
    m._set_allowance(None)
    agrees(m, dict.fromkeys(range(40), b"a"))


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: f"{kinds[0].__name__}-{kinds[1].__name__}")
def test_a_copy_that_finds_no_memory(kinds: Kinds) -> None:
    m, model = filled(kinds, 2000)
    failed, allowance = True, 0
    while failed:
        m._set_allowance(allowance)
        try:
            again = m.copy()
            failed = False
        except MemoryError:
            pass
        agrees(m, model)
        allowance += 1 + allowance // 8
    agrees(again, model)
    m._set_allowance(0)
    calls: list[Callable[[], object]] = [m.copy, lambda: copy.copy(m), lambda: m | model]
    for call in calls:
        with pytest.raises(MemoryError):
            call()
    agrees(m, model)


def test_references_survive_failures_exactly() -> None:
    keys, values = [("k", i) for i in range(900)], [["v", i] for i in range(900)]
    counted = [*keys, *values]
    before = [sys.getrefcount(o) for o in counted]
    for allowance in (*range(12), 20, 30, 50):
        m: Map[Any, Any] = Map()
        m._set_allowance(allowance)
        for name, args in (
            ("update", (zip(keys, values, strict=True),)),
            ("set_many", (keys, values)),
            ("copy", ()),
            ("setdefault", (keys[-1], values[0])),
            ("__setitem__", (keys[-2], values[1])),
            ("__or__", (dict(zip(keys, values, strict=True)),)),
        ):
            with contextlib.suppress(MemoryError):
                getattr(m, name)(*args)
            m._check()
        m.delete_many(keys[::2])
        m._check()
        m.clear()
        assert m.nbytes < 1024
        del m, args
    gc.collect()
    assert [sys.getrefcount(o) for o in counted] == before


@linux
def test_pairs_without_an_end_run_out_of_memory_and_no_more() -> None:
    said = run(
        LIMIT
        + """
    import itertools
    m = Map({1: 2})
    limit(200 << 20)
    try: m.update([itertools.repeat(0)])
    except MemoryError: print(m)
    """
    )
    assert said.strip() == "{1: 2}"


def test_a_large_value_that_finds_no_room_leaves_the_old_one() -> None:
    m = Map(int, bytes, {1: b"old", 2: b"x" * 100_000})
    m._set_allowance(0)
    for key in (1, 2, 3):
        with pytest.raises(MemoryError):
            m[key] = b"y" * 200_000
    agrees(m, {1: b"old", 2: b"x" * 100_000})


def test_python_allocations_failing_in_turn() -> None:
    python_allocations_failing("Map(*kinds)")


@pytest.fixture(scope="module")
def zeros() -> Callable[[], bytes]:
    """Gives 4 GiB of zeros, never touched. As a value of the fixture pytest would print them."""
    try:
        made = bytes(2**32)
    except MemoryError:
        pytest.skip("no address space for 4 GiB")
    return lambda: made


TOO_LONG = r"an entry takes at most 4294967231 bytes, its key and value, not 4294967\d\d\d"


def refuses(table: Any, here: Any, there: Any, zeros: Callable[[], bytes]) -> None:
    """Assert that a table of one entry, b"x" for `here`, refuses 4 GiB by every way in, unchanged."""
    calls: list[Callable[[], object]] = [
        lambda: table.__setitem__(here, zeros()),
        lambda: table.__setitem__(there, zeros()),
        lambda: table.setdefault(there, zeros()),
        lambda: table.update({there: zeros()}),
        lambda: table.set_many([there], [zeros()]),
    ]
    for call in calls:
        with pytest.raises(OverflowError, match=TOO_LONG):
            call()
        table._check()
        assert table == {here: b"x"}


@pytest.mark.parametrize("kinds", [(int, bytes), (object, bytes), (bytes, bytes)], ids=str)
def test_a_value_beyond_the_limit_of_an_entry_is_named(kinds: Kinds, zeros: Callable[[], bytes]) -> None:
    here, there = (b"a", b"b") if kinds[0] is bytes else (1, 2)
    refuses(AnyMap(*kinds, {here: b"x"}), here, there, zeros)


@pytest.mark.parametrize("bounds", [{}, {"max_items": 3}, {"max_bytes": "8GiB"}], ids=str)
def test_a_cached_value_beyond_the_limit_of_an_entry_is_named(
    bounds: Any, zeros: Callable[[], bytes]
) -> None:
    c: Any = Cache(key=int, value=bytes, **bounds)
    c[1] = b"x"
    refuses(c, 1, 2, zeros)
    assert c._is_too_large(1, zeros())  # so a memoized function returns it, and keeps none


def test_a_cached_value_beyond_max_bytes_and_the_limit_is_beyond_max_bytes(
    zeros: Callable[[], bytes],
) -> None:
    c: Any = Cache(key=int, value=bytes, max_bytes="1MiB")
    with pytest.raises(ValueError, match=r"must fit into max_bytes \(1048576\), not take 4294967304 bytes"):
        c[1] = zeros()
