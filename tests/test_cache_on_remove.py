"""`on_remove`: each removal told once, with its cause, where the cache can be used and nothing is locked."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cache_helpers import AnyCache, Clock, Removals, adds_up, cache_of, same_whatever_order, until
from ebbmap import Cache
from hostile_objects import Bad, Unraisable
from map_helpers import KINDS, model_of, named


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- causes --------------------------------------------------------------------------------------------

CAUSES: dict[str, tuple[Callable[[Any], object], list[Any]]] = {
    "del": (lambda c: c.__delitem__(1), [(1, "a", "deleted")]),
    "pop": (lambda c: c.pop(1), [(1, "a", "deleted")]),
    "pop default": (lambda c: (c.pop(1, None), c.pop(9, None)), [(1, "a", "deleted")]),
    "delete_many": (lambda c: c.delete_many([1, 1, 9]), [(1, "a", "deleted")]),
    "popitem": (
        lambda c: (c.popitem(), c.popitem()),
        [(1, "a", "deleted"), (2, "b", "deleted")],
    ),
    "clear": (lambda c: (c.clear(), c.clear()), [(1, "a", "cleared"), (2, "b", "cleared")]),
    "set": (lambda c: c.set(1, "new"), [(1, "a", "replaced")]),
    "[]": (lambda c: c.__setitem__(1, "new"), [(1, "a", "replaced")]),
    "update": (lambda c: c.update({1: "new", 3: "c"}), [(1, "a", "replaced")]),
    "|=": (lambda c: c.__ior__({1: "new"}), [(1, "a", "replaced")]),
    "set_many": (
        lambda c: c.set_many([1, 1], ["new", "newer"]),
        [(1, "a", "replaced"), (1, "new", "replaced")],
    ),
    "same value": (lambda c: c.set(1, "a"), [(1, "a", "replaced")]),
    "setdefault": (lambda c: (c.setdefault(1, "new"), c.setdefault(3, "c")), []),
    "touch": (lambda c: (c.touch(1), c.touch(9)), []),
    "get": (lambda c: (c[1], c.get(1), c.get(9), c.get_many([1, 9])), []),
    "copy": (lambda c: (c.copy(), c == c.copy()), []),
    "|": (lambda c: (c | {1: "new"}, {1: "old"} | c), []),
}


@pytest.mark.parametrize("how", CAUSES)
def test_each_cause_once(how: str, clock: Clock) -> None:
    act, expected = CAUSES[how]
    log = Removals()
    c = cache_of({1: "a", 2: "b"}, ttl=60, timer=clock, on_remove=log)
    act(c)
    assert same_whatever_order(log, expected)
    adds_up(c)


@pytest.mark.parametrize("merge", [lambda c: c | {3: "c"}, lambda c: {3: "c"} | c], ids=["|", "reflected |"])
def test_a_merged_cache_tells_what_leaves_it_later(merge: Callable[[AnyCache], AnyCache]) -> None:
    log = Removals()
    merged = merge(cache_of({1: "a"}, on_remove=log))
    del merged[1], merged[3]
    assert log == [(1, "a", "deleted"), (3, "c", "deleted")]


def test_expired_and_evicted(clock: Clock) -> None:
    log = Removals()
    c = cache_of({1: "a", 2: "b"}, ttl=60, max_items=2, timer=clock, on_remove=log)
    c[3] = "c"
    assert log == [(1, "a", "evicted")]
    clock.advance(60)
    assert len(c) == 0
    assert same_whatever_order(log[1:], [(2, "b", "expired"), (3, "c", "expired")])
    bytes_log = Removals()
    by_bytes = AnyCache(max_bytes=16_384, key=int, value=bytes, timer=clock, on_remove=bytes_log)
    for i in range(500):
        by_bytes[i] = b"x" * 50
    assert set(bytes_log.causes()) == {"evicted"} and len(bytes_log) == 500 - len(by_bytes)


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_keys_and_values_of_every_kind_are_told(kinds: tuple[type, type], clock: Clock) -> None:
    acts: dict[str, Callable[[Any], object]] = {
        "cleared": lambda c: c.clear(),
        "expired": lambda c: (clock.advance(60), len(c)),
        "deleted": lambda c: c.delete_many(list(c)),
        "replaced": lambda c: c.update(dict(c)),
    }
    for cause, act in acts.items():
        log, model = Removals(), model_of(kinds)
        c = cache_of(model, key=kinds[0], value=kinds[1], ttl=60, timer=clock, on_remove=log)
        act(c)
        assert same_whatever_order(log, [(*item, cause) for item in model.items()])


def test_the_very_objects_are_told(clock: Clock) -> None:
    key, value = ("key",), ["value"]
    log = Removals()
    c = cache_of({key: value}, timer=clock, on_remove=log)
    del c["key",]
    assert log[0][0] is key and log[0][1] is value


def test_a_dropped_cache_tells_nothing(clock: Clock) -> None:
    log = Removals()
    c = cache_of({i: i for i in range(100)}, ttl=60, timer=clock, on_remove=log)
    clock.advance(60)
    del c
    d = cache_of({i: i for i in range(100)}, ttl=60, on_remove=log)
    d["me"] = d
    del d
    gc.collect()
    assert not log


def test_a_failed_operation_tells_nothing(clock: Clock) -> None:
    log = Removals()
    c = cache_of({1: b"a"}, key=int, value=bytes, max_bytes=16 << 10, timer=clock, on_remove=log)
    calls: list[Callable[[], object]] = [
        lambda: c.set(1, "not bytes"),
        lambda: c.set(1, bytes(100_000)),
        lambda: c.pop(2),
        lambda: c.set(1, b"", ttl=-1),
        lambda: c.set_many([1, 2], [b"x"]),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError, KeyError)):
            call()
    assert not log and c[1] == b"a"


# --- what it raises ------------------------------------------------------------------------------------


def test_exceptions_are_reported_and_disturb_nothing(clock: Clock) -> None:
    calls = []

    def raises(key: Any, value: Any, cause: str) -> None:
        calls.append((key, value, cause))
        raise Bad(cause)

    c = cache_of({i: i for i in range(10)}, ttl=60, max_items=10, timer=clock, on_remove=raises)
    with Unraisable() as seen:
        c[0] = "new"
        assert c.pop(1) == 1
        c["more"] = 1
        c["evicts"] = 1
        assert c.delete_many([3, 4]) == 2
        clock.advance(60)
        assert len(c) == 0
        c[5] = 5
        c.clear()
    causes = [cause for _, _, cause in calls]
    assert [str(report.exc_value) for report in seen] == causes
    assert all(isinstance(report.exc_value, Bad) for report in seen)
    assert sorted(causes) == sorted(
        ["replaced", "deleted", "evicted", "deleted", "deleted", *["expired"] * 8, "cleared"]
    )
    adds_up(c)


def test_even_what_is_no_exception_of_programs(clock: Clock) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    c = cache_of({1: 1, 2: 2}, timer=clock, on_remove=interrupted)
    with Unraisable() as seen:
        c.clear()
    assert len(seen) == 2 and not c


# --- using the cache -----------------------------------------------------------------------------------

ENDS: dict[str, Callable[[Any, Clock], object]] = {
    "delete": lambda c, clock: c.pop(next(iter(c))),
    "popitem": lambda c, clock: c.popitem(),
    "replace": lambda c, clock: c.set(next(iter(c)), "new"),
    "clear": lambda c, clock: c.clear(),
    "delete_many": lambda c, clock: c.delete_many(list(c)),
    "set_many": lambda c, clock: c.set_many(list(c), ["new"] * len(c)),
    "update": lambda c, clock: c.update(dict.fromkeys(list(c), "new")),
    "expire": lambda c, clock: (clock.advance(60), c.expire()),
    "expire by len": lambda c, clock: (clock.advance(60), len(c)),
    "evict": lambda c, clock: c.set("one more", 1),
}
ACTS: dict[str, Callable[[Any, int], object]] = {
    "insert": lambda c, i: c.set(("inserted", i), i),
    "insert many": lambda c, i: c.update(((i, j), j) for j in range(50)),
    "delete": lambda c, i: c.pop(next(iter(c), None), None),
    "clear": lambda c, i: c.clear(),
    "look": lambda c, i: (len(c), list(c.items()), repr(c), c.stats(), c.copy(), c == c.copy()),
    "expire": lambda c, i: c.expire(),
    "collect": lambda c, i: gc.collect(1),
    "check": lambda c, i: c._check(),
    "from a thread": lambda c, i: in_a_thread(lambda: c.set("thread", i)),
}


def in_a_thread(work: Callable[[], object]) -> None:
    """Run something elsewhere, and wait: it would hang if a lock were held here."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("end", ENDS)
def test_it_may_use_the_cache(end: str, act: str, clock: Clock) -> None:
    told: list[tuple[Any, Any, str]] = []

    def on_remove(*removal: Any) -> None:
        told.append(removal)
        if len(told) <= 5:
            ACTS[act](c, len(told))

    c: Any = AnyCache(ttl=60, max_items=8, timer=clock, on_remove=on_remove)
    c.update({i: i for i in range(8)})
    with Unraisable() as seen:
        ENDS[end](c, clock)
    assert not seen and told
    assert len(c) <= 8
    stats = adds_up(c)
    gone = ("replaced", "expired", "evicted_by_count", "evicted_by_bytes", "removed")
    assert len(told) == sum(stats[name] for name in gone), "each once"


def test_it_is_called_after_the_effect(clock: Clock) -> None:
    seen: dict[str, Any] = {}

    def on_remove(key: Any, value: Any, cause: str) -> None:
        seen[cause] = c.get(key, "gone")

    c: Any = AnyCache(ttl=60, max_items=2, timer=clock, on_remove=on_remove)
    c[1] = "old"
    c[1] = "new"
    c[2] = 2
    c[3] = 3
    c.pop(3)
    clock.advance(60)
    c.expire()
    c[1] = 1
    c.clear()
    assert seen == {
        "replaced": "new",
        "evicted": "gone",
        "deleted": "gone",
        "expired": "gone",
        "cleared": "gone",
    }


def test_a_victim_that_comes_back_evicts_another_and_ends(clock: Clock) -> None:
    """A cache whose victims are put back at once: bounded all the same, by the callback's own limit."""
    back = 0

    def again(key: Any, value: Any, cause: str) -> None:
        nonlocal back
        if cause == "evicted" and back < 200:
            back += 1
            c[key] = value

    c: Any = AnyCache(max_items=4, timer=clock, on_remove=again)
    for i in range(8):
        c[i] = i
    assert len(c) == 4 and back == 200
    adds_up(c)


def test_two_caches_one_behind_the_other(clock: Clock) -> None:
    """What leaves the small one goes to the large one: a use that callbacks are made for."""
    large: Cache[Any, Any] = AnyCache(timer=clock)
    small = AnyCache(max_items=10, timer=clock, on_remove=lambda k, v, cause: large.set(k, (v, cause)))
    for i in range(100):
        small[i] = i
    assert large == {i: (i, "evicted") for i in range(90)} and set(small) == set(range(90, 100))


def test_it_is_told_in_the_thread_that_removed(clock: Clock) -> None:
    threads: list[int] = []
    c = cache_of({1: 1}, timer=clock, on_remove=lambda *_: threads.append(threading.get_ident()))
    c.pop(1)
    assert threads == [threading.get_ident()]


def test_the_sweeper_tells_too() -> None:
    told, done = list[Any](), threading.Event()

    def on_remove(*removal: Any) -> None:
        told.append((*removal, threading.get_ident()))
        len(c), c.get(1), c.stats()
        done.set()

    c: Any = AnyCache(ttl=0.02, on_remove=on_remove)
    c[1] = "one"
    assert done.wait(10)
    assert told == [(1, "one", "expired", told[0][3])] and told[0][3] != threading.get_ident()


def test_what_it_raises_in_the_sweeper_is_reported_and_the_sweeper_goes_on() -> None:
    done = threading.Event()

    def on_remove(key: Any, value: Any, cause: str) -> None:
        if key == "last":
            done.set()
        raise Bad

    c: Any = AnyCache(ttl=0.02, on_remove=on_remove)
    with Unraisable() as seen:
        c.update({i: i for i in range(5)})
        until(lambda: not c)
        c["last"] = 1
        assert done.wait(10)
        until(lambda: len(seen) == 6)
    assert all(isinstance(report.exc_value, Bad) for report in seen) and len(c) == 0


def test_a_cycle_through_it_is_collected(clock: Clock) -> None:
    class Owner:
        def __init__(self, **config: Any) -> None:
            self.cache = cache_of({1: 1}, ttl=60, on_remove=self.removed, **config)

        def removed(self, *_: object) -> None:
            pass

    for config in ({}, {"timer": clock}):
        Owner(**config)
        gc.collect()
        assert not [o for o in gc.get_objects() if type(o) is Owner]
