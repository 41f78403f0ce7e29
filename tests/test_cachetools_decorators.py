"""`cachetools.cached` and `cachedmethod` with a `Cache`."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cache_helpers import Clock
from ebbmap import Cache

cachetools: Any = pytest.importorskip("cachetools")


def test_cached() -> None:
    clock, calls = Clock(), list[int]()

    @cachetools.cached(cache=Cache(ttl=60, timer=clock))  # type: ignore[untyped-decorator]
    def load(n: int) -> int:
        calls.append(n)
        return -n

    assert load(1) == load(1) == -1
    assert calls == [1]
    clock.now += 60
    assert load(1) == -1
    assert calls == [1, 1]


@pytest.mark.parametrize("guard", [{"lock": threading.Lock()}, {"condition": threading.Condition()}])
def test_cached_with_a_lock(guard: dict[str, Any]) -> None:
    calls: list[int] = []

    @cachetools.cached(cache=Cache(), **guard)  # type: ignore[untyped-decorator]
    def load(n: int) -> int | None:
        calls.append(n)
        return None

    assert load(1) is load(1) is None
    assert calls == [1]


def test_cached_with_a_typed_cache_and_a_key() -> None:
    cache = Cache(key=int, value=bytes, max_items=2)

    @cachetools.cached(cache=cache, key=lambda n: n)  # type: ignore[untyped-decorator]
    def load(n: int) -> bytes:
        return b"%d" % n

    assert [load(n) for n in (1, 2, 3, 3)] == [b"1", b"2", b"3", b"3"]
    assert len(cache) == 2


def test_a_result_larger_than_the_cache_is_returned() -> None:
    cache = Cache(value=bytes, max_bytes=1 << 20)

    @cachetools.cached(cache=cache)  # type: ignore[untyped-decorator]
    def load(n: int) -> bytes:
        return bytes(n)

    assert len(load(2 << 20)) == 2 << 20
    assert len(cache) == 0


def test_cachedmethod() -> None:
    class Shop:
        def __init__(self) -> None:
            self.cache: Cache[Any, int] = Cache(ttl=60)
            self.calls = 0

        @cachetools.cachedmethod(lambda self: self.cache)  # type: ignore[untyped-decorator]
        def load(self, n: int) -> int:
            self.calls += 1
            return -n

    one, two = Shop(), Shop()
    assert one.load(1) == one.load(1) == two.load(1) == -1
    assert (one.calls, two.calls) == (1, 1)
    assert len(one.cache) == 1
