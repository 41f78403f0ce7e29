"""What hangs, crashes, leaks or forgets in caches elsewhere, and keys and values that turn against theirs."""

from __future__ import annotations

import asyncio
import copy
import gc
import itertools
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from cache_helpers import AnyCache, Clock, Removals, adds_up, cache_of, until
from ebbmap import Cache
from hostile_objects import (
    ACTS,
    CALLS,
    Bad,
    Dying,
    Key,
    Node,
    Unraisable,
    acting_key,
    nodes_left,
    raising_keys_change_nothing,
    sound,
    without_recursion_left,
)
from map_helpers import agrees, changes_while_taken, run, together

# A cache with everything on, of which nothing ends by itself.
EVERYTHING: dict[str, Any] = {"ttl": 3600, "idle": 3600, "max_items": 5000, "max_bytes": "64MiB"}


@pytest.fixture(autouse=True)
def harmless() -> Iterator[None]:
    Key.arm(None)
    yield
    Key.arm(None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- a key's __eq__ and __hash__ -----------------------------------------------------------------------

MORE_CALLS: dict[str, Callable[[Any, Any], object]] = {
    **CALLS,
    "touch": lambda c, key: c.touch(key),
    "expires_in": lambda c, key: c.expires_in(key) if key in c else None,
    "set with lifetime": lambda c, key: c.set(key, "new", ttl=5),
    "with lifetime": lambda c, key: c._get_with_lifetime(key),
}
MORE_ACTS: dict[str, Callable[[Any], object]] = {
    **ACTS,
    "let time pass": lambda c: c.timer.advance(10),
    "expire all": lambda c: (c.timer.advance(4000), c.expire()),
    "touch all": lambda c: [c.touch(key) for key in list(c)],
    "stats": lambda c: c.stats(),
}


@pytest.mark.parametrize("act", MORE_ACTS)
@pytest.mark.parametrize("call", MORE_CALLS)
def test_eq_may_use_the_same_cache(call: str, act: str, clock: Clock) -> None:
    for wanted, config in itertools.product((0, 2, 9), (EVERYTHING, {"ttl": 3600, "max_items": 5})):
        c = cache_of({Key(i): i for i in range(4)}, timer=clock, **config)
        Key.arm(partial(MORE_ACTS[act], c))
        try:
            MORE_CALLS[call](c, Key(wanted))
        except KeyError:
            assert call in ("expires_in", "getitem"), "it may go between the question and the call"
        Key.arm(None)
        adds_up(c)
        sound(c)


@pytest.mark.parametrize("call", MORE_CALLS)
def test_eq_may_raise(call: str, clock: Clock) -> None:
    """rpds: a key whose `__eq__` raises becomes a panic."""
    model: dict[Any, Any] = {Key(i): i for i in range(4)}
    c = cache_of(model, timer=clock, **EVERYTHING)
    before = adds_up(c)
    raising_keys_change_nothing(c, model, call, MORE_CALLS)
    after = adds_up(c)
    assert all(after[name] == before[name] for name in ("sets", "replaced", "deleted", "entries"))


@pytest.mark.parametrize("act", MORE_ACTS)
@pytest.mark.parametrize("call", MORE_CALLS)
def test_hash_may_use_the_same_cache(call: str, act: str, clock: Clock) -> None:
    c = cache_of({i: i for i in range(40)}, timer=clock, **EVERYTHING)
    try:
        MORE_CALLS[call](c, acting_key(partial(MORE_ACTS[act], c)))
    except KeyError:
        assert call in ("expires_in", "getitem")
    adds_up(c)


def test_hash_may_raise(clock: Clock) -> None:
    class Acting:
        def __hash__(self) -> int:
            raise Bad

    c = cache_of({1: 1}, timer=clock, **EVERYTHING)
    for call in MORE_CALLS.values():
        with pytest.raises(Bad):
            call(c, Acting())
        agrees(c, {1: 1})


def test_equal_hashes_do_not_evict_each_other(clock: Clock) -> None:
    """theine: keys of equal hash (-1, -2) evict each other."""
    assert hash(-1) == hash(-2)
    for config in ({}, {"key": int, "value": int}):
        c = cache_of({-1: 1, -2: 2}, timer=clock, **EVERYTHING, **config)
        assert c[-1] == 1 and c[-2] == 2 and len(c) == 2
        del c[-1]
        agrees(c, {-2: 2})
        assert adds_up(c)["evicted_by_count"] == 0


@pytest.mark.parametrize("count", [48, 60, 150])
def test_many_equal_hashes(count: int, clock: Clock) -> None:
    model: dict[Any, Any] = {Key(i): i for i in range(count)}
    c = cache_of(model, timer=clock, **EVERYTHING)
    agrees(c, model)
    for i in range(0, count, 2):
        assert c.pop(Key(i)) == model.pop(Key(i))
    agrees(c, model)
    clock.advance(3600)
    agrees(c, {})


def test_an_eviction_or_expiry_compares_no_keys(clock: Clock) -> None:
    """cachebox: a key's `__eq__` that touches the cache hangs an eviction, or an expiry."""
    c = cache_of({Key(i): i for i in range(20)}, ttl=60, max_items=20, timer=clock)
    compared: list[int] = []
    Key.arm(lambda: compared.append(1))
    c["of another hash"] = 1
    clock.advance(60)
    assert len(c) == 0 and c.expire() == []
    assert not compared
    adds_up(c)


# --- a value's end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("role", ["key", "value"])
def test_the_end_of_a_key_or_value_may_use_the_same_cache(role: str, act: str, clock: Clock) -> None:
    """cachebox: a value's `__del__` that touches the cache hangs the process: eviction, clear, expiry."""
    endings: dict[str, Callable[[Any], object]] = {
        "evict": lambda c: c.update((("new", i), i) for i in range(8)),
        "expire": lambda c: (clock.advance(60), c.expire()),
        "expire by len": lambda c: (clock.advance(60), len(c)),
        "expire by set": lambda c: (clock.advance(60), [c.set(("new", i), i) for i in range(8)]),
        "delete": lambda c: c.__delitem__(next(iter(c))),
        "replace": lambda c: [c.__setitem__(key, 0) for key in list(c)],
        "pop": lambda c: c.pop(next(iter(c))),
        "popitem": lambda c: c.popitem(),
        "clear": lambda c: c.clear(),
        "delete_many": lambda c: c.delete_many(list(c)),
        "set_many": lambda c: c.set_many(list(c), list(range(len(c)))),
    }
    for ending in endings.values():
        deaths: list[int] = []
        c = AnyCache(ttl=60, max_items=8, timer=clock)

        def dies(c: Any = c, deaths: list[int] = deaths) -> None:
            deaths.append(1)
            if len(deaths) < 10:
                ACTS[act](c)

        for i in range(8):
            c[Dying(dies) if role == "key" else i] = Dying(dies) if role == "value" else i
        ending(c)
        adds_up(c)
        c.clear()
        adds_up(c)
        assert deaths and len(c) <= 8


def test_an_end_that_raises_is_reported_and_harms_nothing(clock: Clock) -> None:
    def raises() -> None:
        raise Bad

    c = cache_of({i: Dying(raises) for i in range(6)}, ttl=60, max_items=6, timer=clock)
    with Unraisable() as seen:
        del c[0]
        c[1] = None
        c["one"] = c["two"] = None
        clock.advance(60)
        assert len(c) == 0
    assert len(seen) == 6
    adds_up(c)


def test_a_cache_that_dies_while_its_values_use_it() -> None:
    seen: list[object] = []
    for config in ({}, EVERYTHING):
        c = AnyCache(**config)
        gone = weakref.ref(c)
        c[1] = Dying(lambda gone=gone: seen.append(gone()))  # type: ignore[misc]
        del c
    assert seen == [None, None]


# --- in itself, deep, and cyclic -----------------------------------------------------------------------


def test_a_cache_in_itself(clock: Clock) -> None:
    """cachebox: `c[1] = c; repr(c)` hangs."""
    c = AnyCache(ttl=60, timer=clock)
    c[1] = c
    assert "{...}" in repr(c) and c[1][1] is c and len(c) == 1
    assert c == c and c == c.copy()
    c["items"], c["values"], c["keys"] = c.items(), c.values(), c.keys()
    assert "..." in repr(c) and "..." in repr(c["items"]) and "..." in repr(c["values"])
    c._check()
    gone = weakref.ref(c)
    del c
    gc.collect()
    assert gone() is None


def deep(levels: int = 20_000) -> Any:
    """A cache in a cache in a cache."""
    c = AnyCache()
    for _ in range(levels):
        c, inner = AnyCache(), c
        c[1] = inner
    return c


def test_deep_repr_raises_recursion_error_and_no_more() -> None:
    """cachebox: `test_repr_deep` of CPython's mapping tests crashes it."""
    c = deep()
    with pytest.raises(RecursionError):
        repr(c)
    with pytest.raises(RecursionError):
        c == copy.copy(c) and c == deep()


def test_keys_are_found_where_a_comparison_is_a_call_too_deep() -> None:
    key, same = int("9" * 30), int("9" * 30)
    c = cache_of({key: 1})
    assert without_recursion_left(c.__getitem__, same) == without_recursion_left(c.get, same) == 1
    without_recursion_left(c.__setitem__, same, 2)
    assert list(c.items()) == [(key, 2)]


@pytest.mark.parametrize("how", ["clear", "del", "popitem", "replace", "evict", "expire", "sweep"])
def test_a_deep_value_may_be_dropped_in_any_way(how: str, clock: Clock) -> None:
    c = cache_of({1: deep(8000)}, ttl=60, max_items=1, timer=clock)
    drop: dict[str, Callable[[], object]] = {
        "clear": c.clear,
        "del": lambda: c.__delitem__(1),
        "popitem": c.popitem,
        "replace": lambda: c.__setitem__(1, 2),
        "evict": lambda: c.__setitem__(2, 2),
        "expire": lambda: (clock.advance(60), c.expire()),
        "sweep": lambda: (clock.advance(60), c.get(2)),
    }
    drop[how]()
    adds_up(c)


def test_fifty_thousand_caches_deep() -> None:
    printed = run(
        """
        from ebbmap import Cache
        c = Cache(ttl=3600)
        for i in range(50_000):
            outer = Cache(ttl=3600) if i % 1000 == 0 else Cache()
            outer[1] = [c] if i % 2 else c
            c = outer
        del c
        print("freed")
        """
    )
    assert printed == "freed\n"


def cycles() -> dict[str, Callable[[], object]]:
    def by_value() -> object:
        c = AnyCache(ttl=60)
        node = c[1] = Node(c)
        return node

    def by_key() -> object:
        c = AnyCache(max_items=5)
        node = Node(c)
        c[node] = 1
        return node

    def by_on_remove() -> object:
        node = Node()
        c = AnyCache(on_remove=lambda *_: node, ttl=60)
        node.parts = (c,)
        return node

    def by_timer() -> object:
        node = Node()
        c = AnyCache(timer=lambda: float(len(node.parts)), ttl=60)
        node.parts = (c,)
        return node

    def by_expired_value() -> object:
        clock = Clock()
        c = AnyCache(ttl=60, timer=clock)
        node = c[1] = Node(c)
        clock.advance(60)  # and nobody looks
        return node

    def by_walk() -> object:
        c = AnyCache(ttl=60)
        node = c[1] = Node(c.items(), iter(c), c.keys())
        return node

    def by_inline_value() -> object:
        c = AnyCache(value=bytes, ttl=60)
        node = Node(c)
        c[node] = b"v" * 1000
        return node

    def by_subclass() -> object:
        class Sub(Cache[Any, Any]):
            pass

        c: Any = Sub(ttl=60)
        c.attribute = node = Node(c)
        return node

    return dict(locals())


@pytest.mark.parametrize("name", cycles())
def test_cyclic_garbage_is_collected(name: str) -> None:
    """moka-py: a cycle through the cache is never collected."""
    assert nodes_left(cycles()[name]) == 0


def test_the_collector_sees_what_a_cache_refers_to(clock: Clock) -> None:
    key, value, log = Node(), Node(), Removals()
    c = cache_of({key: value}, timer=clock, on_remove=log, ttl=60)
    assert gc.is_tracked(c)
    assert {id(key), id(value), id(clock), id(log)} <= {id(o) for o in gc.get_referents(c)}


def test_collecting_at_every_allocation(clock: Clock) -> None:
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        c = AnyCache(ttl=50, max_items=100, timer=clock, on_remove=lambda *_: Node())
        for i in range(300):
            c[Node(i)] = [c, i]
            c[i] = (i,)
            clock.advance(1)
        list(c.items()), c.copy(), c.stats()
        c._check()
    finally:
        gc.set_threshold(*before)


def test_values_that_change_while_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    changes_while_taken(AnyCache(ttl=3600, key=int, value="int32"), monkeypatch)


def test_references_are_counted_exactly(clock: Clock) -> None:
    key, value, other, log = Node(), Node(), Node(), Removals()
    counts = [sys.getrefcount(o) for o in (key, value, other, log)]
    for _ in range(20):
        c = AnyCache(ttl=60, max_items=3, timer=clock, on_remove=log)
        c[key] = value
        c[key] = other
        c.set(key, value, ttl=5)
        assert c[key] is value and c.get(key) is value and c.setdefault(key, other) is value
        list(c), list(c.items()), repr(c), c.copy(), c | {}, c == c.copy(), c.touch(key), c.expires_in(key)
        c.get_many([key, other], value), c.set_many([key], [other]), c.delete_many([key, other])
        c.set_many([key, other], [value, other])
        c.update(dict.fromkeys(range(4), value))
        c[key] = value
        assert c.pop(key) is value
        c[key] = value
        clock.advance(5), c.get(key), c._get_with_lifetime(key)
        clock.advance(60)
        assert c.expire() and not c
        c[key] = value
        c.popitem()
        c[key] = value
        c.clear()
        c[key] = value
        log.clear()
        del c
    assert [sys.getrefcount(o) for o in (key, value, other, log)] == counts


# --- forgetting, in time and in memory -----------------------------------------------------------------


def test_memory_after_the_peak_comes_back_untouched() -> None:
    """cachetools, moka, theine: the peak's memory stays until somebody writes, and then for the most part."""
    c = AnyCache(ttl=0.3, key=int, value=int)
    keys = range(50_000)
    c.set_many(keys, keys)
    peak = c.nbytes
    until(lambda: c.nbytes < peak / 20)  # `nbytes` removes nothing itself
    assert len(c) == 0


def test_deleting_costs_no_more_in_a_large_cache(clock: Clock) -> None:
    """cachebox: 25 us at 10 k, 2.1 ms at 400 k. A constant factor is for the processor's caches."""

    def median(n: int) -> float:
        c = AnyCache(ttl=3600, key=int, value=int, timer=clock)
        c.set_many(range(n), range(n))
        times = []
        for i in range(0, n, n // 1000):
            start = time.perf_counter_ns()
            del c[i]
            times.append(time.perf_counter_ns() - start)
        return statistics.median(times)

    assert median(200_000) < 12 * median(2000)


def test_a_dropped_cache_is_freed_though_the_sweeper_knows_it() -> None:
    """cachebox: the sweeper keeps a dropped cache alive forever. theine: an unclosed one is never freed."""
    refs = []
    for i in range(20):
        node = Node()
        c = cache_of({"node": node}, ttl=(0.01, 0.5, 3600)[i % 3])
        refs += [weakref.ref(c), weakref.ref(node)]
        if i % 3 == 0:
            time.sleep(0.005)
    del c, node
    assert not any(ref() for ref in refs), "at once: nothing else refers to it"


def test_expiry_goes_on_after_fork() -> None:
    """theine: no expiry after `fork`; cachebox: the sweeper dies."""
    printed = run(
        """
        import os, time, warnings
        from ebbmap import Cache
        warnings.simplefilter("ignore")
        c = Cache(ttl=0.15, key=int, value=int)
        c.set_many(range(20_000), range(20_000))
        full = c.nbytes
        child = os.fork()
        deadline = time.monotonic() + 10
        while c.nbytes > full / 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        fine = c.nbytes <= full / 20 and len(c) == 0
        if child == 0:
            os._exit(0 if fine else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), fine)
        """
    )
    assert printed.split() == ["0", "True"]


# --- memoized functions --------------------------------------------------------------------------------


def test_a_function_that_raises_wedges_nothing(clock: Clock) -> None:
    """theine: a memoized function that raises once hangs every later call with that key."""
    c = AnyCache(ttl=60, timer=clock)
    outcomes = iter([Bad, Bad, "fine"])

    @c.memoize  # type: ignore[untyped-decorator]  # of a cache whose type is not told
    def load(key: int) -> str:
        found = next(outcomes)
        if found is Bad:
            raise Bad
        return str(found)

    for _ in range(2):
        with pytest.raises(Bad):
            load(1)
    assert load(1) == "fine" == load(1)


def test_a_coroutine_that_raises_is_not_cached(clock: Clock) -> None:
    """moka-py: the async decorator caches exceptions."""
    c = AnyCache(ttl=60, timer=clock)
    outcomes = iter([Bad, "fine"])

    @c.memoize  # type: ignore[untyped-decorator]
    async def load(key: int) -> str:
        found = next(outcomes)
        if found is Bad:
            raise Bad
        return str(found)

    async def both() -> tuple[str, str]:
        with pytest.raises(Bad):
            await load(1)
        return await load(1), await load(1)

    assert asyncio.run(both()) == ("fine", "fine")


# --- several threads -----------------------------------------------------------------------------------


def test_no_permanent_key_errors() -> None:
    """cachetools: shared between threads without a lock it ends in permanent `KeyError`s."""
    c = AnyCache(ttl=0.001, max_items=50)

    def work(lane: int) -> None:
        for i in range(3000):
            key = i * 7 % 80
            try:
                c[key] = i
                c[key]
            except KeyError:
                pass  # it may be gone by then
            c.get(key), c.pop(key + 1, None), len(c)

    together(*(partial(work, lane) for lane in range(4)))
    until(lambda: not c)
    c.update({i: i for i in range(50)})
    adds_up(c)


# --- shrink bugs that others had -----------------------------------------------------------------------


def test_expiry_inside_a_walk_is_no_use_after_free(clock: Clock) -> None:
    """Valkey #2257: expiry shrank the table inside a scan."""
    for kinds in ({}, {"key": int, "value": bytes}):
        value: Any = b"x" * 100 if kinds else ["x"]
        c = AnyCache(timer=clock, **kinds)
        for i in range(5000):
            c.set(i, value, ttl=None if i % 100 == 0 else 10)
        walk = iter(c.items())
        seen = [next(walk) for _ in range(10)]
        clock.advance(10)
        assert len(c) == 50
        seen += walk
        keys = [key for key, _ in seen]
        assert len(set(keys)) == len(keys) and set(range(0, 5000, 100)) <= set(keys)
        assert all(found == value for _, found in seen)
        adds_up(c)


def test_a_comparison_in_a_walk_that_empties_the_cache(clock: Clock) -> None:
    class Emptying:
        def __eq__(self, other: object) -> bool:
            clock.advance(100)
            c.expire()
            return False

        def __hash__(self) -> int:
            return 1

    c = cache_of({i: Emptying() for i in range(3000)}, ttl=60, timer=clock)
    assert Emptying() not in c.values() and len(c) == 0
    c.update({i: Emptying() for i in range(3000)})
    assert c != dict.fromkeys(range(3000), 0) and len(c) == 0
    adds_up(c)


def test_refill_while_it_shrinks(clock: Clock) -> None:
    """Valkey #3175: refilled while the old table drained."""
    c = AnyCache(key=int, value=int, ttl=10, timer=clock)
    model: dict[int, float] = {}
    for round_ in range(12):
        for i in range(round_ * 1000, round_ * 1000 + 3000):
            c[i % 7000] = i
            model[i % 7000] = clock.now + 10
        clock.advance(3 + round_ % 5)
        model = {key: end for key, end in model.items() if end > clock.now}
        assert set(c) == set(model)
        adds_up(c)


def test_an_emptied_table_keeps_no_overflow(clock: Clock) -> None:
    """Valkey #2288: an empty table with child buckets leaked when it shrank."""
    c = AnyCache(ttl=10, timer=clock)
    empty = None
    for _ in range(4):
        c.update(dict.fromkeys(map(Key, range(150)), 0))
        clock.advance(10)
        assert len(c) == 0
        c._check()
        assert empty in (None, c.nbytes)
        empty = c.nbytes
        assert empty < 16 << 10


def test_a_sparse_cache_need_not_evict_to_shrink(clock: Clock) -> None:
    """Valkey #2095: shrinking first needed memory, so a sparse table evicted everything."""
    log = Removals()
    c = AnyCache(max_bytes=192 << 10, key=int, value=bytes, timer=clock, on_remove=log)
    for i in range(700):
        c.set(i, b"x" * 100, ttl=None if i % 50 == 0 else 10)
    full = c.nbytes
    log.clear()
    clock.advance(10)
    c._set_allowance(0)
    c.expire()
    c._set_allowance(None)
    assert set(log.causes()) == {"expired"} and len(c) == 14 and c.nbytes < full / 2
    for i in range(1000, 1400):
        c[i] = b"y" * 100
    assert set(log.causes()) == {"expired"} and all(i in c for i in range(0, 700, 50))
    adds_up(c)


def test_a_shrink_that_fails_after_pop_does_not_lose_the_value(clock: Clock) -> None:
    """CPython PR #5300."""
    c = cache_of({i: [i] for i in range(2000)}, timer=clock, **EVERYTHING)
    c._set_allowance(0)
    for i in range(1990):
        assert c.pop(i) == [i]
    agrees(c, {i: [i] for i in range(1990, 2000)})
    clock.advance(3600)
    assert len(c.expire()) == 10
    adds_up(c)
