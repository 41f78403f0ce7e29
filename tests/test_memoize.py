"""`Cache.memoize`: keys, what is kept and what is not, functions and methods of all sorts."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import math
import pickle
import weakref
from collections.abc import Iterator
from datetime import timedelta
from functools import partial, wraps
from typing import Any

import numpy as np
import pytest

from cache_helpers import Clock
from ebbmap import Cache
from ebbmap._internal import flights, owners
from memoize_helpers import Counted


def test_a_result_is_kept() -> None:
    cache, counted = Cache(), Counted()
    load = cache.memoize(counted)
    assert load(1) == load(1) == (1, 1)
    assert load(2) == (2, 2)
    assert len(counted.calls) == 2


def test_a_single_int_str_or_bytes_is_its_own_key() -> None:
    cache = Cache()
    load = cache.memoize(Counted())
    for arg in (1, "a", b"a"):
        load(arg)
    assert sorted(cache, key=repr) == sorted([1, "a", b"a"], key=repr)
    assert cache[1] == (1, 1)


OTHERS: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
    (((1, 2),), (1, 2)),
    ((1,), (True,)),
    ((1,), (1.0,)),
    ((1,), ((1,),)),
    ((), ((),)),
    ((None,), ()),
    (("a",), (b"a",)),
]


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_other_arguments_are_another_key(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    load = Cache().memoize(Counted())
    assert load(*one) != load(*other)


def test_keywords_are_part_of_the_key() -> None:
    load = Cache().memoize(Counted())
    assert load(1, b=2, a=3) == load(1, a=3, b=2) == (1, 1)
    assert load(1, a=3) == (1, 2)
    assert load(1, ("a", 3)) == (1, ("a", 3), 3)


def test_a_keyword_that_names_the_next_position_is_the_same_argument() -> None:
    calls: list[int] = []

    def load(customer: int, /, region: str, year: int = 2026, *, deep: bool = False) -> int:
        calls.append(customer)
        return len(calls)

    cache = Cache()
    memoized = cache.memoize(load)
    assert memoized(1, "eu") == memoized(1, region="eu") == 1
    assert memoized(1, "eu", 2025) == memoized(1, year=2025, region="eu") == 2
    assert memoized(1, "eu", deep=True) == 3
    assert memoized.invalidate(1, region="eu")
    assert len(cache) == 2


def test_a_positional_only_name_may_be_a_keyword_too() -> None:
    @Cache().memoize
    def load(customer: int = 0, /, **kwargs: int) -> tuple[int, dict[str, int]]:
        return customer, kwargs

    assert load(1) == (1, {})
    assert load(customer=1) == (0, {"customer": 1})
    assert load(**{"": 1}) == (0, {"": 1})


def test_keywords_may_have_any_name() -> None:
    load = Cache().memoize(Counted())
    for name in ("self", "first", "key", "cache", "names", "prefix", "function", "args", "kwargs", "key_of"):
        load(**{name: 1})
        assert load.invalidate(**{name: 1})
        load.refresh(**{name: 1})


def test_an_argument_that_cannot_be_hashed_is_a_type_error() -> None:
    load = Cache().memoize(Counted())
    for call in (load, load.invalidate, load.refresh):
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            call([])


def test_any_result_is_kept() -> None:
    for result in (None, False, 0, NotImplemented, ..., flights):
        calls: list[int] = []
        load = Cache().memoize(lambda key, result=result, calls=calls: calls.append(key) or result)
        assert load(1) is result
        assert load(1) is result
        assert calls == [1]


def test_two_functions_share_a_cache_and_no_entry() -> None:
    cache = Cache()
    one = cache.memoize(lambda *args: ("one", args))
    two = cache.memoize(lambda *args: ("two", args))
    three = cache.memoize(lambda *args: ("three", args))
    for args in ((1,), ("a",), (), (1, 2)):
        for name, load in (("one", one), ("two", two), ("three", three), ("one", one)):
            assert load(*args) == (name, args)
    assert len(cache) == 12
    assert two.invalidate(1)
    assert len(cache) == 11
    assert one.cache is two.cache is cache


def test_nothing_is_left_of_a_function_that_is_gone_with_its_entries() -> None:
    gc.collect()
    cache, left = Cache(), len(owners._unnamed)
    for n in range(10):
        cache.memoize(Counted())(n)
    assert len(owners._unnamed) == left + 10
    cache.clear()
    gc.collect()
    assert len(owners._unnamed) == left + 1, "the bare keys stay those of the first function"
    del cache
    gc.collect()
    assert len(owners._unnamed) == left


def test_keys_of_a_second_function_survive_pickling_and_copying() -> None:
    cache = Cache()
    cache.memoize(Counted())
    two = cache.memoize(lambda *args, **kwargs: 1)
    two(1, a=2)
    (key,) = cache
    assert pickle.loads(pickle.dumps(key)) == copy.deepcopy(key) == key
    assert hash(pickle.loads(pickle.dumps(key))) == hash(key)
    assert "lambda" in repr(key)


def test_a_typed_cache_takes_a_single_argument_as_the_key() -> None:
    cache = Cache(key=int, value=bytes)
    calls: list[int] = []

    @cache.memoize
    def load(customer: int) -> bytes:
        calls.append(customer)
        return b"%d" % customer

    assert load(1) == load(1) == load(customer=1) == b"1"
    assert list(cache) == [1]
    assert calls == [1]
    assert load.invalidate(customer=1)
    with pytest.raises(TypeError):
        load("a")  # type: ignore[arg-type]  # what is tested


def test_a_typed_cache_needs_a_key_for_more_arguments() -> None:
    load = Cache(key=int).memoize(Counted())
    for args, kwargs in (((), {}), ((1, 2), {}), ((1,), {"a": 2})):
        with pytest.raises(TypeError, match="needs key= to make one int of its arguments"):
            load(*args, **kwargs)


def test_a_typed_cache_needs_a_key_for_a_second_function() -> None:
    cache = Cache(key=int)
    cache.memoize(Counted())
    with pytest.raises(TypeError, match="another function uses the int keys of this cache"):
        cache.memoize(Counted())
    load = cache.memoize(key=lambda n: -n)(Counted())
    load(5)
    assert list(cache) == [-5]


def test_a_key_function_gets_the_arguments() -> None:
    cache, counted = Cache(key=str), Counted()
    load = cache.memoize(key=lambda path, *, lang="en": f"{lang}:{path}")(counted)
    assert load("a") == load("a", lang="en") == ("a", 1)
    assert load("a", lang="de") == ("a", 2)
    assert set(cache) == {"en:a", "de:a"}
    assert load.invalidate("a")
    assert load.refresh("a", lang="de") == ("a", 3)


def test_a_result_of_another_kind_is_a_type_error() -> None:
    load = Cache(key=int, value=bytes).memoize(lambda n: "text")
    for _ in range(2):
        with pytest.raises(TypeError):
            load(1)


def test_a_result_larger_than_the_cache_is_returned_and_not_kept() -> None:
    cache = Cache(key=int, value=bytes, max_bytes=1 << 20)
    size = 10
    load = cache.memoize(lambda n: bytes(size))
    assert load(1) == bytes(10)
    size = 4 << 20
    assert len(load.refresh(1)) == size
    assert 1 not in cache, "the older result is not the result any more"
    assert len(load(1)) == size


def test_another_value_error_is_raised() -> None:
    cache = Cache(max_bytes=1 << 20)

    @cache.memoize
    def load(n: int) -> int:
        raise ValueError("n")

    with pytest.raises(ValueError, match=r"^n$"):
        load(1)


def test_a_result_that_can_not_be_kept_is_a_value_error_whatever_its_text() -> None:
    cache = Cache(max_bytes=1 << 20, value=np.dtype([("max_bytes", "S3")]))
    load = cache.memoize(lambda n: (b"too long",))
    for call in (load, load.refresh):
        with pytest.raises(ValueError, match=r"max_bytes.*at most 3 bytes"):
            call(1)


def test_the_ttl_is_the_memoizes_or_the_caches() -> None:
    clock = Clock()
    cache = Cache(ttl=100, timer=clock)
    for ttl, lasts in ((None, 100.0), (5, 5.0), ("1m", 60.0), (timedelta(hours=1), 3600.0)):
        load = cache.memoize(ttl=ttl)(Counted())
        assert load(1) == (1, 1)
        clock.now = math.nextafter(clock.now + lasts, -math.inf)
        assert load(1) == (1, 1)
        clock.now += 1
        assert load(1) == (1, 2)


@pytest.mark.parametrize(
    "options", [{"ttl": 0}, {"ttl": "soon"}, {"stale": -1, "ttl": 1}, {"stale": "30 s."}]
)
def test_a_bad_duration_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} must be"):
        Cache().memoize(**options)


def test_repr_names_the_function() -> None:
    assert repr(Cache().memoize(len)) == "<memoized len>"
    assert repr(Cache().memoize(Counted())) == "<memoized Counted>"


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="memoize takes a function, not int"):
        Cache().memoize(5)  # type: ignore[call-overload]  # what is tested

    with pytest.raises(TypeError, match=r"^key must be callable, not int$"):
        Cache().memoize(key=3)  # type: ignore[call-overload]  # what is tested

    with pytest.raises(TypeError, match=r"^on_error must be callable, not int$"):
        Cache().memoize(on_error=3)  # type: ignore[call-overload]  # what is tested

    def generator(n: int) -> Iterator[int]:
        yield n

    with pytest.raises(TypeError, match="is a generator"):
        Cache().memoize(generator)


def test_a_function_that_is_dropped_is_gone_and_its_cache_with_it() -> None:
    async def load(n: int) -> int:
        return n

    functions: list[Any] = [Counted(), load]
    gc.disable()
    try:
        for function in functions:
            cache = Cache(ttl=60)
            memoized = cache.memoize(stale=1)(function)
            gone = weakref.ref(cache)
            del memoized, cache
            assert gone() is None
    finally:
        gc.enable()


def test_each_call_counts_once() -> None:
    cache = Cache()
    load = cache.memoize(Counted())
    load(1)
    load(1)
    load(1)
    assert (cache.stats()["hits"], cache.stats()["misses"]) == (2, 1)


METHODS = Cache()
CLASS_METHODS = Cache()


class Shop:
    """Has methods that are memoized."""

    calls = 0

    def __init__(self, name: str) -> None:
        self.name = name

    @METHODS.memoize
    def load(self, customer: int = 0) -> tuple[str, int]:
        """Load a customer."""
        type(self).calls += 1
        return self.name, customer

    @METHODS.memoize(ttl=60)
    async def aload(self, customer: int) -> tuple[str, int]:
        return self.name, customer

    @CLASS_METHODS.memoize
    @classmethod
    def of(cls, name: str) -> tuple[str, str]:
        return cls.__name__, name

    @classmethod
    @CLASS_METHODS.memoize
    def inner(cls, name: str) -> tuple[str, str]:
        return cls.__name__, name

    @CLASS_METHODS.memoize
    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b

    @staticmethod
    @CLASS_METHODS.memoize
    def sub(a: int, b: int) -> int:
        return a - b


class Subshop(Shop):
    pass


AnyShop: Any = Shop  # mypy doesn't know what these are through a decorator
AnySubshop: Any = Subshop


def test_a_method_belongs_to_its_instance() -> None:
    one, two = Shop("one"), Shop("two")
    before = Shop.calls
    assert one.load(1) == one.load(1) == one.load(customer=1) == Shop.load(one, 1) == ("one", 1)
    assert two.load(1) == ("two", 1)
    assert Shop.calls == before + 2
    assert one.load.invalidate(1) is True
    assert one.load.invalidate(1) is False
    assert Shop.load.invalidate(two, 1) is True
    assert two.load.refresh(2) == ("two", 2)
    assert one.load.cache is Shop.load.cache is METHODS
    assert one.load.invalidate() is False
    assert one.load() == ("one", 0)
    assert one.load.invalidate() is True


def test_a_method_looks_like_one() -> None:
    shop = Shop("one")
    assert shop.load.__name__ == Shop.load.__name__ == "load"
    assert shop.load.__qualname__ == Shop.load.__qualname__ == "Shop.load"
    assert shop.load.__doc__ == Shop.load.__doc__ == "Load a customer."
    assert str(inspect.signature(shop.load)) == "(customer: 'int' = 0) -> 'tuple[str, int]'"
    assert str(inspect.signature(Shop.load)) == "(self, customer: 'int' = 0) -> 'tuple[str, int]'"
    assert shop.load.__wrapped__(5) == Shop.load.__wrapped__(shop, 5) == ("one", 5)
    assert inspect.iscoroutinefunction(shop.aload)
    assert inspect.iscoroutinefunction(Shop.aload)
    assert not inspect.iscoroutinefunction(shop.load)
    with pytest.raises(AttributeError, match="nothing"):
        shop.load.nothing  # type: ignore[attr-defined]  # noqa: B018 -- what is tested


def test_a_method_is_compared_as_methods_are() -> None:
    class Equal:
        __hash__ = None  # type: ignore[assignment]  # as lists have

        def __eq__(self, other: object) -> bool:
            return True

        @METHODS.memoize(key=id)
        def one(self) -> None: ...

        @METHODS.memoize(key=id)
        def two(self) -> None: ...

    a: Any = Equal()
    b: Any = Equal()
    assert a.one == a.one and hash(a.one) == hash(a.one)
    assert a.one != b.one and a.one != a.two and a.one != 1
    assert {AnyShop.of, AnyShop("x").of} == {AnyShop.of} != {AnySubshop.of}


def test_a_method_tells_its_instance_and_function() -> None:
    shop: Any = Shop("one")
    assert shop.load.__self__ is shop and AnySubshop.of.__self__ is AnySubshop
    assert shop.load.__func__(shop, 1) == ("one", 1)
    assert shop.load.__func__ is AnyShop("two").load.__func__ is not shop.aload.__func__
    assert shop.load.__wrapped__.__func__ is shop.load.__func__.__wrapped__


def test_a_method_may_be_held_weakly() -> None:
    shop: Any = Shop("one")
    method: Any = weakref.WeakMethod(shop.load)
    assert method() == shop.load and method()(1) == ("one", 1)
    assert method == weakref.WeakMethod(shop.load)
    shop.load.invalidate(1)  # whose key holds the shop
    del shop
    gc.collect()
    assert method() is None


def test_a_method_may_be_pickled() -> None:
    method = pickle.loads(pickle.dumps(Shop("one").load))
    assert method(1) == ("one", 1)


def test_a_class_method_belongs_to_its_class() -> None:
    assert AnyShop.of("a") == AnyShop("x").of("a") == AnyShop.inner("a") == ("Shop", "a")
    assert AnySubshop.of("a") == AnySubshop.inner("a") == ("Subshop", "a")
    assert AnySubshop.of.invalidate("a") is True
    assert AnyShop("x").of.invalidate("a") is True
    assert AnyShop.of.invalidate("a") is False


def test_a_static_method_belongs_to_nobody() -> None:
    assert AnyShop.add(1, 2) == AnyShop("x").add(1, 2) == 3
    assert AnyShop.sub(1, 2) == AnyShop("x").sub(1, 2) == -1
    assert AnyShop("x").add.invalidate(1, 2) is True
    assert AnyShop.sub.invalidate(1, 2) is True


def test_an_async_method() -> None:
    shop = Shop("one")

    async def run() -> None:
        assert await shop.aload(1) == await shop.aload(1) == ("one", 1)
        assert await shop.aload.refresh(1) == ("one", 1)
        assert shop.aload.invalidate(1) is True

    asyncio.run(run())


def test_a_function_looks_like_itself() -> None:
    def load(customer: int, deep: bool = False) -> int:
        """Load a customer."""
        return customer

    load.mark = "kept"  # type: ignore[attr-defined]  # any function takes attributes
    memoized: Any = Cache().memoize(load)
    assert memoized.__wrapped__ is load
    assert memoized.__name__ == "load"
    assert memoized.__doc__ == "Load a customer."
    assert memoized.mark == "kept"
    assert inspect.signature(memoized) == inspect.signature(load)
    assert not inspect.iscoroutinefunction(memoized)


def test_any_callable_will_do() -> None:
    class Loader:
        def __call__(self, n: int) -> int:
            return -n

    cache = Cache()
    assert cache.memoize(Loader())(1) == -1
    assert cache.memoize(partial(max, 2))(1) == 2
    assert cache.memoize(abs)(-1) == 1
    assert cache.memoize(complex)(1, 2) == 1 + 2j
    assert cache.memoize("abc".index)("b") == 1


def test_a_decorated_function_keeps_its_own_arguments() -> None:
    """Names are those of what is called, not of what it wraps."""

    def load(connection: str, n: int) -> tuple[str, int]:
        return connection, n

    @wraps(load)
    def connected(*args: Any, **kwargs: Any) -> Any:
        return load("connection", *args, **kwargs)

    memoized = Cache().memoize(connected)
    assert memoized(1) == memoized(n=1) == ("connection", 1)
