"""What type checkers see of `Cache.memoize`: mypy and pyright check this file, nothing runs it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, assert_type

from ebbmap import Cache

cache = Cache(ttl=60)


@cache.memoize
def load(customer: int, *, deep: bool = False) -> str:
    return str(customer)


@cache.memoize(ttl="1h", stale=timedelta(seconds=30))
def load_for_an_hour(customer: int) -> str:
    return str(customer)


@cache.memoize(key=lambda url: url.lower())
async def fetch(url: str) -> bytes:
    return url.encode()


class Shop:
    @cache.memoize
    def load(self, customer: int) -> str:
        return str(customer)

    @cache.memoize(ttl=5)
    async def fetch(self, url: str) -> bytes:
        return url.encode()

    @cache.memoize
    @classmethod
    def of(cls, customer: int) -> str:
        return str(customer)

    @cache.memoize
    @staticmethod
    def name(customer: int) -> str:
        return str(customer)


class Loader:
    def load(self, customer: int) -> str:
        return str(customer)


class KeepingLoader(Loader):
    """pyright takes only functions in place of a method; it reports `functools.lru_cache` too."""

    @cache.memoize
    def load(self, customer: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return str(customer)


def an_override(loader: KeepingLoader) -> None:
    assert_type(loader.load(1), str)
    assert_type(loader.load.invalidate(1), bool)
    assert_type(KeepingLoader.load(loader, 1), str)


async def types(shop: Shop) -> None:
    assert_type(load(1), str)
    assert_type(load(1, deep=True), str)
    assert_type(load.invalidate(1, deep=True), bool)
    assert_type(load.refresh(customer=1), str)
    assert_type(load.__name__, str)
    assert_type(load.__qualname__, str)
    assert_type(load.cache, Cache[Any, Any])
    assert_type(load_for_an_hour(1), str)
    assert_type(await fetch("a"), bytes)
    assert_type(await fetch.refresh("a"), bytes)
    assert_type(fetch.invalidate("a"), bool)
    assert_type(shop.load(1), str)
    assert_type(shop.load.invalidate(1), bool)
    assert_type(shop.load.refresh(1), str)
    assert_type(Shop.load(shop, 1), str)
    assert_type(await shop.fetch("a"), bytes)
    assert_type(await shop.fetch.refresh("a"), bytes)


def what_mypy_cannot_follow(shop: Shop) -> None:
    """It drops `@classmethod` and `@staticmethod` first, and then takes both for methods."""
    assert_type(Shop.name(1), str)
    assert_type(shop.of(1), str)  # pyright: ignore[reportAssertTypeFailure, reportAttributeAccessIssue]
    shop.name(1)  # type: ignore[call-arg]
    Shop.of(1)  # type: ignore[call-arg, arg-type]


def is_a_coroutine_function() -> Coroutine[Any, Any, bytes]:
    return fetch("a")


def is_a_callable(shop: Shop) -> list[Callable[[int], str]]:
    return [load, load_for_an_hour, shop.load]


def what_is_refused(shop: Shop) -> None:
    load("1")  # type: ignore[arg-type]
    load(1, True)  # type: ignore[call-arg]
    load.invalidate()  # type: ignore[call-arg]
    load_for_an_hour.refresh("1")  # type: ignore[arg-type]
    shop.load("1")  # type: ignore[arg-type]
    shop.load.invalidate(shop, 1)  # type: ignore[call-arg, arg-type]
    cache.memoize(ttl=[])  # type: ignore[call-overload]
