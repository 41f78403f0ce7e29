"""Memoized methods and their instances: what keeps which alive, and what goes when an instance dies."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cache_helpers import Clock
from ebbmap import Cache, _core
from map_helpers import run_to_done
from memoize_helpers import Gate, Threads, copied


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """What has to go goes without the garbage collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def shop_class(cache: Cache[Any, Any], **options: Any) -> Any:
    """A class with a memoized method; its instances compare by identity."""

    class Shop:
        @cache.memoize(**options)
        def load(self, n: int = 0, *, deep: bool = False) -> tuple[int, bool]:
            return n, deep

    return Shop


OPTIONS: list[dict[str, Any]] = [
    {},
    {"ttl": 60, "stale": 5},
    {"key": lambda self, *args, **kwargs: self},
    {"key": lambda self, *args, **kwargs: (self, *args)},
    {"key": lambda self, *args, **kwargs: ("tag", args, self)},
]


@pytest.mark.parametrize("second", [False, True], ids=["bare", "marked"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_nothing_keeps_an_instance_and_its_entries_go_with_it(options: dict[str, Any], second: bool) -> None:
    cache = Cache()
    if second:
        cache.memoize(lambda n: n)(1)
    shop_of = shop_class(cache, **options)
    one, other = shop_of(), shop_of()
    calls: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((1,), {}),
        ((), {}),
        ((2,), {"deep": True}),
        ((), {"n": 3}),
    ]
    for args, kwargs in calls:
        one.load(*args, **kwargs)
        other.load(*args, **kwargs)
    others = (len(cache) - second) // 2
    gone = weakref.ref(one)
    del one
    assert gone() is None
    assert len(cache) == others + second
    assert other.load(1) == (1, False) and other.load.invalidate(1) is True
    del other
    assert len(cache) == second
    cache._check()


def test_instances_share_no_results() -> None:
    cache = Cache()
    shop_of = shop_class(cache)
    shops = [shop_of() for _ in range(100)]
    for n, shop in enumerate(shops):
        shop.load(n)
    for n, shop in enumerate(shops):
        assert [shop.load.invalidate(m) for m in (n, n + 1)] == [True, False]


def test_an_instance_at_the_address_of_a_dead_one_finds_nothing() -> None:
    cache: Cache[Any, Any] = Cache()
    calls = 0

    class Shop:
        @cache.memoize
        def load(self) -> int:
            nonlocal calls
            calls += 1
            return calls

    assert [Shop().load() for _ in range(50)] == list(range(1, 51))
    assert len(cache) == 0


def test_unbound_calls_are_the_same_calls() -> None:
    shop_of = shop_class(Cache())
    shop = shop_of()
    shop_of.load(shop, 1)
    assert shop.load.invalidate(1) is True
    shop.load(1)
    assert shop_of.load.invalidate(shop, 1) is True
    shop_of.load(self=shop, n=1)
    assert shop.load.invalidate(1) is True


def test_a_function_that_comes_into_a_class_later_keeps_no_instance() -> None:
    cache: Cache[Any, Any] = Cache()
    cls: Any = type("Later", (), {})
    cls.load = cache.memoize(lambda self, n: n)
    later = cls()
    gone = weakref.ref(later)
    assert later.load(1) == later.load(1) == 1
    del later
    assert gone() is None and not cache


@pytest.mark.parametrize("is_async", [False, True])
def test_a_result_that_refers_to_the_instance_keeps_it(is_async: bool) -> None:
    cache: Cache[Any, Any] = Cache()

    class Shop:
        @cache.memoize
        def load(self) -> Any:
            return self

        @cache.memoize
        async def aload(self) -> Any:
            return self

    shop = Shop()
    gone = weakref.ref(shop)
    asyncio.run(shop.aload()) if is_async else shop.load()
    del shop
    assert gone() is not None and len(cache) == 1
    cache.clear()
    assert gone() is None


def test_a_cache_that_refers_to_an_instance_through_a_result_is_collected() -> None:
    def make() -> tuple[weakref.ref[Any], weakref.ref[Any]]:
        cache: Cache[Any, Any] = Cache()

        class Shop:
            def __init__(self) -> None:
                self.cache = cache

            @cache.memoize
            def load(self) -> Any:
                return self

        return weakref.ref(Shop().load()), weakref.ref(cache)

    shop, cache = make()
    gc.collect()
    assert shop() is cache() is None


def test_async_methods_and_renewals_keep_no_instance() -> None:
    clock = Clock()
    cache: Cache[Any, Any] = Cache(timer=clock)

    class Shop:
        @cache.memoize(ttl=60, stale=30)
        async def load(self, n: int) -> int:
            return n

    async def run() -> None:
        shop = Shop()
        gone = weakref.ref(shop)
        assert await shop.load(1) == 1
        clock.now += 70
        assert await shop.load(1) == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await shop.load.refresh(2) == 2
        assert len(cache) == 2
        assert shop.load.invalidate(2) is True
        del shop
        assert gone() is None
        assert len(cache) == 0

    asyncio.run(run())


def test_a_class_method_keeps_no_class() -> None:
    cache: Cache[Any, Any] = Cache()

    def make() -> Any:
        class Shop:
            @cache.memoize
            @classmethod
            def of(cls, n: int) -> int:
                return n

            @classmethod
            @cache.memoize
            def also_of(cls, n: int) -> int:
                return n

        return Shop

    shop_of = make()
    assert (shop_of.of(1), shop_of.also_of(1)) == (1, 1)
    assert len(cache) == 2
    gone = weakref.ref(shop_of)
    del shop_of
    gc.collect()
    assert gone() is None and len(cache) == 0


class ByValue:
    __slots__ = ("n",)

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByValue) and self.n == other.n

    def __hash__(self) -> int:
        return hash(self.n)


@dataclasses.dataclass(frozen=True)
class Frozen:
    n: int


@dataclasses.dataclass(eq=False)
class Plain:
    n: int


class Slots:
    __slots__ = ("n",)

    def __init__(self, n: int) -> None:
        self.n = n


class Ordered:
    def __init__(self, n: int) -> None:
        self.n = n

    def __lt__(self, other: Any) -> bool:
        return bool(self.n < other.n)


class BySlots(Slots):
    __slots__ = ("__weakref__",)


@pytest.mark.parametrize(
    ("base", "is_kept"),
    [(ByValue, True), (Frozen, True), (Slots, True), (Plain, False), (Ordered, False), (BySlots, False)],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_what_compares_by_value_or_has_no_weak_references_is_kept(base: Any, is_kept: bool) -> None:
    cache: Cache[Any, Any] = Cache()
    slots = {"__slots__": ()} if hasattr(base, "__slots__") else {}
    cls = type("Sub", (base,), {"load": cache.memoize(lambda self: self.n), **slots})
    one = cls(1)
    assert one.load() == one.load() == 1
    assert cls(1).load() == 1
    assert len(cache) == (1 if base in (ByValue, Frozen) else 2 if is_kept else 1)
    del one
    assert bool(cache) is is_kept


def test_an_unhashable_instance_is_a_type_error_as_ever() -> None:
    @dataclasses.dataclass
    class Shop:
        n: int

        @Cache().memoize
        def load(self) -> int:
            return self.n

    with pytest.raises(TypeError, match="unhashable type"):
        Shop(1).load()


@copied
def test_copies_leave_out_the_entries_of_instances(copied: Callable[[Any], Any]) -> None:
    cache = Cache()
    cache.memoize(len)("four")
    shop_of = shop_class(cache)
    shop = shop_of()
    shop.load(1)
    cache["own"] = 1
    anew = copied(cache)
    assert len(cache) == 3
    assert {key for key in anew if isinstance(key, str)} == {"four", "own"}
    assert len(anew) == 2
    del shop
    assert len(cache) == len(anew) == 2


def test_the_mark_of_an_instance_says_so_and_is_copied_as_itself() -> None:
    cache = Cache()
    shop = shop_class(cache)()
    shop.load(1)
    ((mark, n),) = cache
    assert repr(mark) == "<an instance of Shop>" and n == 1
    assert copy.copy(mark) is copy.deepcopy(mark) is mark
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(mark)


@pytest.mark.parametrize("leave", ["evict", "expire", "delete", "replace"])
def test_what_has_left_is_forgotten_while_the_instance_lives(leave: str) -> None:
    clock = Clock()
    bounds: dict[str, Any] = {"evict": {"max_items": 40}, "expire": {"ttl": 40}}.get(leave, {})
    cache: Cache[Any, Any] = Cache(timer=clock, **bounds)
    shop = shop_class(cache)()
    most, known = 0, 0
    for n in range(2000):
        shop.load.refresh(n % 40 if leave == "replace" else n)
        clock.now += 1
        if leave == "delete" and n >= 40:
            assert shop.load.invalidate(n - 40)
        (mark, *_) = next(iter(cache))
        assert isinstance(mark, _core.InstanceMark)
        most, known = max(most, len(cache)), max(known, mark._known())
    assert 30 <= most <= 41
    assert known <= 2 * most + 4
    del shop
    assert len(cache) == 0


def test_an_instance_with_many_entries_takes_them_all_along() -> None:
    cache = Cache()
    shop_of = shop_class(cache)
    shop, other = shop_of(), shop_of()
    for n in range(5000):
        shop.load(n)
    other.load(1)
    shop.load.invalidate(7)
    del shop
    assert len(cache) == 1
    assert cache.stats()["deleted"] == 5000
    cache._check()


def test_on_remove_is_told_and_may_use_the_cache() -> None:
    told: list[tuple[int, str]] = []

    def on_remove(key: Any, value: Any, cause: str) -> None:
        if cause == "deleted":
            told.append((value[0], cause))
            cache[value] = len(cache)

    cache: Cache[Any, Any] = Cache(on_remove=on_remove)
    shop = shop_class(cache)()
    shop.load(1)
    shop.load(2)
    del shop
    assert sorted(told) == [(1, "deleted"), (2, "deleted")]
    assert sorted(cache) == [(1, False), (2, False)]


def test_a_method_may_be_called_as_its_instance_dies() -> None:
    cache: Cache[Any, Any] = Cache()
    seen: list[Any] = []

    class Shop:
        @cache.memoize
        def load(self, n: int) -> int:
            return n

        def __del__(self) -> None:
            seen.append((self.load(1), self.load(2), len(cache)))

    shop = Shop()
    shop.load(1)
    del shop
    assert seen == [(1, 2, 2)] and len(cache) == 0
    in_a_cycle: Any = Shop()
    in_a_cycle.itself = in_a_cycle
    in_a_cycle.load(1)
    del in_a_cycle
    gc.collect()
    assert seen[1:] and seen[1][:2] == (1, 2)
    # CPython 3.14 calls no weak reference that a finalizer made to an object of a cycle: such entries stay
    # until they expire or are evicted.
    assert len(cache) == (2 if sys.version_info >= (3, 14) else 0)


def test_an_instance_that_comes_back_finds_a_mark() -> None:
    cache: Cache[Any, Any] = Cache()
    back: list[Any] = []

    class Phoenix:
        @cache.memoize
        def load(self, n: int) -> int:
            return n

        def __del__(self) -> None:
            if not back:
                back.append(self)

    phoenix: Any = Phoenix()
    phoenix.itself = phoenix
    phoenix.load(1)
    del phoenix
    gc.collect()
    assert back[0].load(1) == back[0].load(2) - 1 == 1
    assert len(cache) == 2
    back[0].itself = None
    back.append(None)
    del back[0]
    assert len(cache) == 0


def test_a_call_under_way_keeps_its_instance() -> None:
    threads, gate = Threads(), Gate("result")
    cache: Cache[Any, Any] = Cache()

    class Shop:
        @cache.memoize
        def load(self) -> Any:
            return gate()

    shop = Shop()
    gone = weakref.ref(shop)
    threads.start(shop.load)
    gate.entered.acquire()
    del shop
    assert gone() is not None
    gate.let_through.release()
    assert threads.outcomes == ["result"]
    threads._threads.clear()
    assert gone() is None and len(cache) == 0


def test_instances_die_in_other_threads_while_the_cache_is_used() -> None:
    cache: Cache[Any, Any] = Cache(max_items=500)
    shop_of = shop_class(cache)
    threads = Threads()
    shops = [shop_of() for _ in range(8)]
    done = threading.Event()

    def use(seed: int) -> None:
        for n in range(3000):
            shop = shops[(n * 7 + seed) % len(shops)]
            assert shop.load(n % 50) == (n % 50, False)
            if n % 5 == 0:
                shops[(n + seed) % len(shops)] = shop_of()
            if n % 97 == 0:
                shop.load.invalidate(n % 50)

    def collect() -> None:
        while not done.wait(0.001):
            gc.collect(0)

    threads.start(collect)
    workers = [threads.start(use, seed) for seed in range(4)]
    for worker in workers:
        worker.join(60)
    done.set()
    assert threads.outcomes == [None] * 5
    cache._check()
    del shops[:]
    gc.collect()
    assert len(cache) == 0


def test_a_cache_dies_before_its_instances() -> None:
    shop_of = shop_class(Cache())
    shop = shop_of()
    shop.load(1)
    gone = weakref.ref(shop.load.cache)
    cls: Any = type(shop)
    del cls.load
    del shop_of
    assert gone() is None
    gc.collect()
    del shop, cls


class Hostile:
    """Equal to everything, and tells when it is asked."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("asked")

    def __hash__(self) -> int:
        raise AssertionError("asked")

    @Cache().memoize(key=lambda self, n: n)
    def by_key(self, n: int) -> int:
        return n


def test_a_hostile_instance_is_asked_only_where_it_is_in_the_key() -> None:
    hostile: Any = Hostile()
    assert hostile.by_key(1) == hostile.by_key(1) == 1
    cls: Any = type("Sub", (Hostile,), {"load": Cache().memoize(lambda self: 1)})
    with pytest.raises(AssertionError, match="asked"):
        cls().load()


def test_arguments_with_code_of_their_own_are_not_asked_when_an_instance_dies() -> None:
    class Argument:
        asked = 0

        def __eq__(self, other: object) -> bool:
            Argument.asked += 1
            return self is other

        def __hash__(self) -> int:
            Argument.asked += 1
            return 1

    cache: Cache[Any, Any] = Cache()
    shop_of = shop_class(cache)
    shop, other = shop_of(), shop_of()
    for _ in range(5):
        shop.load(Argument())
        other.load(Argument())
    asked = Argument.asked
    del shop
    assert len(cache) == 5
    assert Argument.asked == asked


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_fork_forgets_too_and_the_end_is_quiet() -> None:
    run_to_done("""
        import os
        from ebbmap import Cache
        cache = Cache(ttl=60)
        class Shop:
            @cache.memoize
            def load(self, n): return n
        shop, kept = Shop(), Shop()
        kept.itself = kept
        for n in range(100):
            shop.load(n)
            kept.load(n)
        child = os.fork()
        del shop
        assert len(cache) == 100, len(cache)
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print("done")
    """)
