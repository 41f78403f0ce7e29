"""Memoized functions around memoized functions, and what lies between."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from ebbmap import Cache
from map_helpers import run_to_done


def doubled(function: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(function)
    def wrapper(x: int) -> int:
        return 2 * function(x)

    return wrapper


@pytest.mark.parametrize("one", [True, False], ids=["one cache", "two caches"])
def test_what_lies_between_two_caches_is_called(one: bool) -> None:
    slow: Cache[Any, Any] = Cache()
    fast: Cache[Any, Any] = slow if one else Cache(ttl=1)
    calls = list[int]()

    def f(x: int) -> int:
        calls.append(x)
        return x

    inner = slow.memoize(f)
    outer: Any = fast.memoize(doubled(inner))
    assert [outer(3), outer(3), inner(3)] == [6, 6, 3]
    assert calls == [3]
    assert outer.cache is fast
    assert inner.cache is slow
    assert len(fast) + len(slow) == (4 if one else 2)
    assert outer.invalidate(3)
    assert outer(3) == 6
    assert calls == [3]


def test_each_of_two_layers_has_its_own_cache() -> None:
    fast, slow = Cache[Any, Any](ttl=1), Cache[Any, Any]()
    outer: Any = fast.memoize(slow.memoize(str))
    assert outer(1) == "1"
    assert (outer.cache is fast, len(fast), len(slow)) == (True, 1, 1)


def test_methods_that_take_over_the_texts_of_others() -> None:
    cache: Cache[Any, Any] = Cache()

    class Base:
        @cache.memoize
        def f(self, x: int) -> str:
            """The text."""
            return f"base {x}"

    class Derived(Base):
        @cache.memoize
        @functools.wraps(Base.f)
        def f(self, x: int) -> str:
            return f"derived {x}, {super().f(x)}"

    assert Derived().f(1) == "derived 1, base 1"
    assert Derived.f.__doc__ == "The text."


def test_a_function_that_wraps_a_coroutine_function_is_one_of_its_own() -> None:
    inner_cache, outer_cache = Cache[Any, Any](), Cache[Any, Any]()

    @inner_cache.memoize
    async def load(x: int) -> int:
        return x

    @outer_cache.memoize
    @functools.wraps(load)
    def run(x: int) -> int:
        return asyncio.run(load(x)) + 1

    @outer_cache.memoize
    @functools.wraps(load)
    async def more(x: int) -> int:
        return await load(x) + 2

    assert run(1) == 2
    assert asyncio.run(more(1)) == 3
    assert inspect.iscoroutinefunction(more)
    assert len(outer_cache) == 2


def test_single_dispatch_over_a_memoized_function() -> None:
    cache: Cache[Any, Any] = Cache()
    dispatching: Any = functools.singledispatch(cache.memoize(str))
    dispatching.register(int, lambda x: "int")
    memoized: Any = cache.memoize(dispatching)
    assert (memoized(1), memoized("x")) == ("int", "x")


def test_attributes_do_not_replace_what_a_memoized_function_has() -> None:
    def f(x: int) -> int:
        return x

    f.refresh = f._key = f._parts = f.cache = 5  # type: ignore[attr-defined]
    f.label = "kept"  # type: ignore[attr-defined]
    memoized: Any = Cache().memoize(f)
    assert (memoized(1), memoized.refresh(1), memoized.invalidate(1)) == (1, 1, True)
    assert memoized.label == "kept"
    assert f._parts == 5  # type: ignore[attr-defined]


def test_functions_of_main_are_pickled_by_their_name() -> None:
    run_to_done(
        """
        import asyncio, copy, pickle
        from ebbmap import Cache
        cache = Cache()

        @cache.memoize
        def f(x):
            return x

        @cache.memoize
        async def g(x):
            return x

        class A:
            @cache.memoize
            def m(self):
                return 1

            @staticmethod
            @cache.memoize
            def s():
                return 2

        for function in (f, g, A.m, A.s):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                assert pickle.loads(pickle.dumps(function, protocol)) is function, (function, protocol)
                assert pickle._loads(pickle._dumps(function, protocol)) is function
            assert copy.deepcopy(function) is function
        print("done")
        """
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_functions_of_modules_are_pickled_by_their_name(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(of_module, protocol)) is of_module
    assert copy.copy(of_module) is of_module


@Cache[Any, Any]().memoize
def of_module(x: int) -> int:
    return x


def test_a_value_that_another_call_found_before_it_was_invalidated_is_not_taken() -> None:
    """A call looks into the cache when it begins. What it finds may be out of date for those who wait."""
    cache: Cache[Any, Any] = Cache()
    load: Any = cache.memoize(abs)
    flights = load._parts.flights
    key = load._key(1)
    found = flights.begin()
    assert flights.board(key, found) is found
    found.value = "old"  # as it was in the cache, and was taken out meanwhile
    waiting = flights.begin()
    assert flights.board(key, waiting) is found
    flights.unlist(key, found)
    found.finish()
    assert not flights.follow(found, waiting)
    assert load(1) == 1
