"""What leaves a map or a cache is let go of at once: weak references to it die, and memory stays flat."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cache_helpers import Clock
from ebbmap import Cache, Map
from map_helpers import run_to_done


class Value:
    """An object that can be weakly referenced, and compares by identity."""


def _wait_until(done: Callable[[], bool]) -> None:
    """For what the sweeper does by itself."""
    pause = threading.Event()
    for _ in range(300):
        if done():
            return
        pause.wait(0.01)


KEYS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "object": (object, lambda i: ("key", i)),
    "int": (int, lambda i: i),
    "str": (str, str),
    "bytes": (bytes, lambda i: str(i).encode()),
}


def _replace(c: Any, key: Any) -> None:
    c[key] = None


def _read_and_replace(c: Any, key: Any) -> None:
    c.get(key)
    c[key] = None


def _clear(c: Any, key: Any) -> None:
    c.clear()


def _popitem(c: Any, key: Any) -> None:
    while c:
        c.popitem()


def _pop(c: Any, key: Any) -> None:
    c.pop(key)


def _delete(c: Any, key: Any) -> None:
    del c[key]


def _delete_many(c: Any, key: Any) -> None:
    c.delete_many([key])


def _set_many(c: Any, key: Any) -> None:
    c.set_many([key], [None])


def _update(c: Any, key: Any) -> None:
    c.update([(key, None)])


BY_HAND = [
    _replace, _read_and_replace, _clear, _popitem, _pop, _delete, _delete_many, _set_many, _update,
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Nothing here may need the garbage collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("tells", [False, True], ids=["silent", "on_remove"])
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("leave", BY_HAND, ids=lambda leave: leave.__name__.strip("_"))
def test_a_value_dies_when_it_leaves_a_cache(leave: Any, kind: str, tells: bool) -> None:
    told: list[str] = []
    key_kind, key_of = KEYS[kind]
    c: Any = Cache(
        key=key_kind, ttl=3600, on_remove=(lambda *told_of: told.append(told_of[2])) if tells else None
    )
    key, value = key_of(7), Value()
    c[key] = value
    gone = weakref.ref(value)
    del value
    assert gone() is not None
    leave(c, key)
    assert gone() is None
    assert len(told) == tells


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("leave", BY_HAND, ids=lambda leave: leave.__name__.strip("_"))
def test_a_value_dies_when_it_leaves_a_map(leave: Any, kind: str) -> None:
    key_kind, key_of = KEYS[kind]
    m: Any = Map(key_kind, object)
    key, value = key_of(7), Value()
    m[key] = value
    gone = weakref.ref(value)
    del value
    leave(m, key)
    assert gone() is None


@pytest.mark.parametrize("tells", [False, True], ids=["silent", "on_remove"])
@pytest.mark.parametrize(
    "settings",
    [
        {"max_items": 5},
        {"max_items": 5, "ttl": 3600},
        {"max_bytes": 40_000, "value": object},
        {"max_items": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KEYS)
def test_what_is_evicted_dies(settings: dict[str, Any], kind: str, tells: bool) -> None:
    key_kind, key_of = KEYS[kind]
    c: Any = Cache(key=key_kind, on_remove=(lambda *_: None) if tells else None, **settings)
    alive: list[weakref.ref[Value]] = []
    for i in range(3000):
        value = Value()
        alive.append(weakref.ref(value))
        if i % 3:
            c.get(key_of(i))
        c[key_of(i)] = value
        del value
    assert sum(ref() is not None for ref in alive) == len(c)


@pytest.mark.parametrize("tells", [False, True], ids=["silent", "on_remove"])
@pytest.mark.parametrize("how", ["operation", "expire", "len", "set_of_the_key"])
def test_what_expires_dies(how: str, tells: bool) -> None:
    clock = Clock()
    c: Any = Cache(ttl=10, timer=clock, on_remove=(lambda *_: None) if tells else None)
    c[1] = value = Value()
    gone = weakref.ref(value)
    del value
    clock.advance(11)
    if how == "operation":
        c[2] = None
        for i in range(10):
            c[i + 3] = None
    elif how == "expire":
        c.expire()
    elif how == "len":
        len(c)
    else:
        c[1] = None
    assert gone() is None


@pytest.mark.parametrize("tells", [False, True], ids=["silent", "on_remove"])
def test_what_the_sweeper_finds_dies(tells: bool) -> None:
    c: Any = Cache(ttl=0.05, on_remove=(lambda *_: None) if tells else None)
    c[1] = value = Value()
    gone = weakref.ref(value)
    del value
    _wait_until(lambda: gone() is None)
    assert gone() is None


def test_keys_die_when_they_leave() -> None:
    for c in (Cache(max_items=1), Cache(max_items=1, on_remove=lambda *_: None)):
        key = Value()
        c[key] = 1
        gone = weakref.ref(key)
        del key
        c[Value()] = 2
        assert gone() is None
    m: Any = Map()
    key = Value()
    m[key] = 1
    gone = weakref.ref(key)
    del m[key]
    del key
    assert gone() is None


def test_a_callback_gains_no_reference() -> None:
    def on_remove(key: Any, value: Any, cause: str) -> None:
        pass

    c: Any = Cache(max_items=10, ttl=3600, on_remove=on_remove)
    before = sys.getrefcount(on_remove)
    for i in range(1000):
        c[i] = i
    assert sys.getrefcount(on_remove) == before
    del c
    assert sys.getrefcount(on_remove) < before


def test_a_value_that_sets_in_another_cache_as_it_dies_does_not_hang() -> None:
    run_to_done("""
        from ebbmap import Cache
        other = Cache(ttl=3600)
        class Dying:
            def __del__(self):
                other[2] = 0
        c = Cache(max_items=1, on_remove=lambda *_: None)
        for i in range(1000):
            c[i] = Dying()
        d = Cache(max_items=1, ttl=0.001, on_remove=lambda *_: None)
        for i in range(1000):
            d[i] = Dying()
        print("done")
    """)


def test_threads_whose_values_set_as_they_die_do_not_hang() -> None:
    run_to_done("""
        import threading
        from ebbmap import Cache
        for _ in range(8):
            c = Cache(ttl=0.002, max_items=50, on_remove=lambda *_: other.set(1, 1, ttl=0.001))
            other = Cache(ttl=0.001, max_items=3)
            class Dying:
                def __del__(self):
                    other[id(self)] = 0
                    c.get(1)
            def work(n):
                for i in range(1500):
                    c[i * n % 97] = Dying()
            threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 7)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        print("done")
    """)


@pytest.mark.parametrize(
    "cache",
    [
        "Cache(max_items=100, on_remove=f)",
        "Cache(max_items=100, ttl=3600, on_remove=f)",
        "Cache(max_items=100, key=int, on_remove=f)",
        "Cache(max_bytes=100_000, key=int, on_remove=f)",
        "Cache(max_items=100)",
        "Cache(ttl=0.001, on_remove=f)",
    ],
)
def test_resident_memory_stays_flat(cache: str) -> None:
    pytest.importorskip("psutil")
    run_to_done(f"""
        import psutil, warnings
        warnings.simplefilter("ignore")
        from ebbmap import Cache
        def f(key, value, cause): pass
        c = {cache}
        def resident(): return psutil.Process().memory_info().rss
        for i in range(2000): c[i] = bytearray(1000)
        before = resident()
        for i in range(60_000):
            c.get(i)
            c[i] = bytearray(1000)
        grown = (resident() - before) >> 20
        assert grown < 16, f"{{grown}} MiB more"  # 58 if they were all kept
        print("done")
    """)
