"""Every allocation of a cache fails in turn: `MemoryError` or a skipped shrink, and the books balance."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

from cache_helpers import AnyCache, Clock, Removals, adds_up, cache_of
from map_helpers import agrees, python_allocations_failing

Kinds = tuple[type, type]
KINDS: list[Kinds] = [(int, int), (int, bytes), (str, str), (object, object), (object, bytes)]
EVERYTHING: dict[str, Any] = {"ttl": 60, "idle": 30, "max_items": 3000, "max_bytes": "1GiB"}
CONFIGS: list[dict[str, Any]] = [{"ttl": 60}, {"max_items": 3000}, EVERYTHING]
MAKE: dict[type, Callable[[int], Any]] = {
    int: int,
    bytes: lambda i: b"v%d" % i * (i % 40),
    str: lambda i: f"text {i}" * (1 + i % 7),
    object: lambda i: ("object", i),
}
named = pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: f"{kinds[0].__name__}-{kinds[1].__name__}")
configured = pytest.mark.parametrize("config", CONFIGS, ids="-".join)


def filled(kinds: Kinds, n: int, **config: Any) -> tuple[Any, dict[Any, Any]]:
    """A cache with its model."""
    key, value = MAKE[kinds[0]], MAKE[kinds[1]]
    model = {key(i): value(i) for i in range(n)}
    return cache_of(model, key=kinds[0], value=kinds[1], timer=Clock(), **config), model


def lifetimes(c: Any, items: dict[Any, Any]) -> None:
    """Lifetimes of many lengths, so that the order of ends grows too."""
    for n, (key, value) in enumerate(items.items()):
        c.set(key, value, ttl=1.5 ** (n % 40))


# What grows: how it is done to a cache.
GROWING: dict[str, Callable[[Any, dict[Any, Any]], object]] = {
    "set": lambda c, items: [c.set(key, value) for key, value in items.items()],
    "lifetimes": lifetimes,
    "update": lambda c, items: c.update(items),
    "set_many": lambda c, items: c.set_many(items.keys(), items.values()),
    "setdefault": lambda c, items: [c.setdefault(key, value) for key, value in items.items()],
}


@named
@pytest.mark.parametrize("name", GROWING)
def test_growing_with_each_allocation_failing(name: str, kinds: Kinds) -> None:
    work = GROWING[name]
    new = {MAKE[kinds[0]](i): MAKE[kinds[1]](i + 3) for i in range(250, 800)}
    allowance, failed = 0, True
    while failed:
        c, model = filled(kinds, 300, **EVERYTHING)
        replaced = {key: value for key, value in new.items() if name != "setdefault" or key not in model}
        after = {**model, **replaced}
        c._set_allowance(allowance)
        try:
            work(c, new)
            failed = False
        except MemoryError:
            adds_up(c)
            assert all(c[key] in (model.get(key, after[key]), after[key]) for key in c)
            assert model.keys() <= set(c)
        c._set_allowance(None)
        work(c, new)
        agrees(c, after)
        adds_up(c)
        allowance += 1 if allowance < 10 else 41  # there are hundreds; the first are of every sort
    assert allowance > 1, "some allocation failed"


@configured
@named
def test_one_set_is_whole_or_not_at_all(kinds: Kinds, config: dict[str, Any]) -> None:
    """The old value with the old lifetime, or the new one with the new."""
    log = Removals()
    c, model = filled(kinds, 300, on_remove=log, **config)
    failures = 0
    for i in range(250, 700):
        key, value = MAKE[kinds[0]](i), MAKE[kinds[1]](i + 40)
        left, told = c.expires_in(key) if key in c else None, len(log)
        for allowance in range(6):
            c._set_allowance(allowance)
            try:
                c.set(key, value, ttl=2000.0)
            except MemoryError:
                failures += 1
                assert (key in c) == (key in model) and len(log) == told
                if key in model:
                    assert c.get(key) == model[key] and c.expires_in(key) == left
            else:
                model[key] = value
                break
            finally:
                c._set_allowance(None)
        else:
            c.set(key, value, ttl=2000.0)
            model[key] = value
    agrees(c, model)
    adds_up(c)
    assert failures > 0


@configured
@named
def test_touching_and_reading_with_no_memory(kinds: Kinds, config: dict[str, Any]) -> None:
    c, model = filled(kinds, 1500, **config)
    c._set_allowance(0)
    for n, key in enumerate(model):
        assert c[key] == model[key]
        with contextlib.suppress(MemoryError):
            c.touch(key, ttl=1.3 ** (n % 70))
    c._check()
    agrees(c, model)
    c._set_allowance(None)
    for key in model:
        assert c.touch(key, ttl=5)
    adds_up(c)
    c.timer.advance(5)
    assert len(c) == 0


@configured
@named
def test_leaving_never_fails(kinds: Kinds, config: dict[str, Any]) -> None:
    for allowance in (0, 1, 2, 5, 20):
        c, model = filled(kinds, 2000, **config)
        full = c.nbytes
        c._set_allowance(allowance)
        keys = list(model)
        for i, key in enumerate(keys[:1900]):
            if i % 3 == 0:
                assert c.pop(key) == model.pop(key)
            elif i % 3 == 1:
                del c[key], model[key]
            else:
                assert c.delete_many([key]) == 1
                del model[key]
        agrees(c, model)
        assert c.nbytes < full * 2 // 3
        if "ttl" in config:
            c.timer.advance(60)
            assert len(c) == 0
        else:
            c.clear()
        adds_up(c)
        c._set_allowance(None)  # what was put off is made up for
        c.clear()
        assert c.nbytes < 64 << 10


@named
def test_expiry_needs_no_memory(kinds: Kinds) -> None:
    c, model = filled(kinds, 2000, ttl=60)
    full = c.nbytes
    kept = list(model)[:20]
    for key in kept:
        c.touch(key, ttl=100)
    c._set_allowance(0)
    c.timer.advance(60)
    assert len(c) == 20 and c.nbytes < full / 2
    agrees(c, {key: model[key] for key in kept})
    c.timer.advance(40)
    for i in range(100):
        c.get(MAKE[kinds[0]](-1 - i))
    assert len(c) == 0
    adds_up(c)


@named
def test_eviction_with_memory_failing(kinds: Kinds) -> None:
    for allowance in range(8):
        log = Removals()
        c, _ = filled(kinds, 500, max_items=500, on_remove=log)
        c._set_allowance(allowance)
        for i in range(1000, 1200):
            key = MAKE[kinds[0]](i)
            with contextlib.suppress(MemoryError):
                c[key] = MAKE[kinds[1]](i)
                assert c.get(key) == MAKE[kinds[1]](i)
        assert len(c) <= 500
        stats = adds_up(c)
        assert stats["evicted_by_count"] == log.causes().count("evicted")
        c._set_allowance(None)
        for i in range(1000, 1200):
            c[MAKE[kinds[0]](i)] = MAKE[kinds[1]](i)
        assert len(c) == 500
        adds_up(c)


def test_references_survive_failures_exactly() -> None:
    keys, values = [("k", i) for i in range(600)], [["v", i] for i in range(600)]
    counted = [*keys, *values]
    before = [sys.getrefcount(o) for o in counted]
    calls: list[Callable[[Any], object]] = [
        lambda c: c.update(zip(keys, values, strict=True)),
        lambda c: c.set_many(keys, values),
        lambda c: c.copy(),
        lambda c: c.setdefault(keys[-1], values[0]),
        lambda c: c.set(keys[-2], values[1], ttl=3),
        lambda c: c.touch(keys[-3], ttl=3),
        lambda c: c | dict(zip(keys, values, strict=True)),
    ]
    for allowance in (*range(12), 20, 30, 50):
        clock = Clock()
        c = AnyCache(ttl=60, max_items=400, timer=clock)
        c._set_allowance(allowance)
        for call in calls:
            with contextlib.suppress(MemoryError):
                call(c)
            c._check()
        c.delete_many(keys[::2])
        adds_up(c)
        clock.advance(60)
        assert len(c) == 0
        del c
    assert [sys.getrefcount(o) for o in counted] == before


def test_a_large_value_that_finds_no_room_leaves_the_old_one() -> None:
    log = Removals()
    c = cache_of({1: b"old", 2: b"x" * 100_000}, key=int, value=bytes, ttl=60, timer=Clock(), on_remove=log)
    c._set_allowance(0)
    for key in (1, 2, 3):
        with pytest.raises(MemoryError):
            c.set(key, b"y" * 200_000, ttl=1)
    agrees(c, {1: b"old", 2: b"x" * 100_000})
    assert c.expires_in(1) == 60 and not log
    adds_up(c)


@pytest.mark.parametrize(
    "config", ["", "ttl=60, max_items=5", "ttl=60, on_remove=lambda *_: 0, timer=lambda: 0.0"]
)
def test_python_allocations_failing_in_turn(config: str) -> None:
    python_allocations_failing(f"Cache(key=kinds[0], value=kinds[1], {config})")
