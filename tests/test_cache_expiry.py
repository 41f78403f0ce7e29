"""When entries end: to the tick, each by its own lifetime, and no other held up. Time moves by hand."""

from __future__ import annotations

import contextlib
import math
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cache_helpers import AnyCache, Clock, Removals, adds_up, cache_of, same_whatever_order
from map_helpers import agrees

DAY = 86_400.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


def just_before(c: Any, clock: Clock, key: Any, end: float) -> None:
    """Assert that a key is there until the last float before `end`, and not from `end` on."""
    clock.now = math.nextafter(end, 0)
    assert key in c and key in list(c) and c.expires_in(key) > 0
    clock.now = end
    assert key not in c and key not in list(c) and len(c) == 0 and not c


# --- to the tick ---------------------------------------------------------------------------------------

WAYS_TO_LOOK: dict[str, Callable[[Any], bool]] = {
    "get": lambda c: c.get(1) is not None,
    "default": lambda c: c.get(1, "none") != "none",
    "in": lambda c: 1 in c,
    "len": lambda c: len(c) == 1,
    "bool": bool,
    "iter": lambda c: list(c) == [1],
    "items": lambda c: list(c.items()) == [(1, "one")],
    "values": lambda c: list(c.values()) == ["one"],
    "keys": lambda c: 1 in c.keys(),  # noqa: SIM118
    "==": lambda c: c == {1: "one"},
    "repr": lambda c: "one" in repr(c),
    "copy": lambda c: c.copy() == {1: "one"},
    "|": lambda c: (c | {2: 2}) == {1: "one", 2: 2},
    "reversed |": lambda c: ({2: 2} | c) == {1: "one", 2: 2},
    "dict": lambda c: dict(c) == {1: "one"},
    "get_many": lambda c: c.get_many([1]) == ["one"],
    "mask": lambda c: bool(c.get_many([1], mask=True)[1][0]),
    "touch": lambda c: bool(c.touch(1)),
    "pop": lambda c: c.pop(1, None) == "one",
    "delete_many": lambda c: c.delete_many([1]) == 1,
    "setdefault": lambda c: c.setdefault(1, "new") == "one",
    "stats": lambda c: c.stats()["entries"] == 1,
    "_get_with_lifetime": lambda c: c._get_with_lifetime(1) is not None,
}


@pytest.mark.parametrize("how", WAYS_TO_LOOK)
@pytest.mark.parametrize("ttl", [2.0**-10, 0.1, 1 / 3, 60.0, 30 * DAY])
def test_alive_until_the_last_moment_however_it_is_looked_at(how: str, ttl: float, clock: Clock) -> None:
    look = WAYS_TO_LOOK[how]
    for now, alive in [(math.nextafter(1000 + ttl, 0), True), (1000 + ttl, False), (1e12, False)]:
        clock.now = 1000
        c = cache_of({1: "one"}, ttl=ttl, timer=clock)
        clock.now = now
        assert look(c) is alive


def test_what_raises_for_an_expired_key(clock: Clock) -> None:
    calls: list[Callable[[Any], object]] = [
        lambda c: c[1],
        lambda c: c.pop(1),
        lambda c: c.__delitem__(1),
        lambda c: c.expires_in(1),
        lambda c: c.popitem(),
    ]
    for call in calls:
        c = cache_of({1: "one"}, ttl=5, timer=clock)
        clock.advance(5)
        with pytest.raises(KeyError):
            call(c)
        stats = adds_up(c)
        assert (stats["expired"], stats["deleted"]) == (1, 0)


def test_float_arithmetic_decides_exactly(clock: Clock) -> None:
    rng = random.Random(11)
    for _ in range(300):
        clock.now, ttl = rng.uniform(0, 1e6), rng.uniform(1e-3, 1e5)
        c = cache_of({1: 1}, ttl=ttl, timer=clock)
        just_before(c, clock, 1, clock.now + ttl)


def test_the_clock_may_count_in_ints(clock: Clock) -> None:
    now = 0
    c = cache_of({1: 1}, ttl=5, timer=lambda: now)
    now = 4
    assert c[1] == 1 and c.expires_in(1) == 1.0
    now = 5
    assert 1 not in c


@pytest.mark.parametrize("start", [-1e6, 0.0, 1e-3, 1e9, 9e11])
def test_the_clock_may_begin_anywhere(start: float, clock: Clock) -> None:
    clock.now = start
    c = cache_of({1: 1}, ttl=10, timer=clock)
    c.set(2, 2, ttl=40 * DAY)
    clock.advance(9.5)
    assert set(c) == {1, 2}
    clock.advance(0.5)
    assert set(c) == {2}
    clock.advance(40 * DAY)
    assert not c


# --- whose lifetime ------------------------------------------------------------------------------------


def test_each_set_renews_with_the_lifetime_it_names(clock: Clock) -> None:
    c = AnyCache(ttl=10, timer=clock)
    c[1] = "a"
    c.set(2, "a", ttl=100)
    clock.advance(6)
    c[1] = "b"
    c.set(2, "b")  # the cache's again
    assert c.expires_in(1) == c.expires_in(2) == 10
    clock.advance(6)
    assert c == {1: "b", 2: "b"}
    clock.advance(4)
    assert c == {}


def test_no_lifetime_and_one_of_its_own(clock: Clock) -> None:
    c = AnyCache(timer=clock)
    c[1] = 1
    c.set(2, 2, ttl=5)
    c.update({3: 3})
    c.set_many([4, 5], [4, 5], ttl=7)
    c.setdefault(6, 6)
    assert [c.expires_in(key) for key in range(1, 7)] == [None, 5, None, 7, 7, None]
    clock.advance(5)
    assert set(c) == {1, 3, 4, 5, 6}
    clock.advance(1e9)
    assert set(c) == {1, 3, 6}


def test_touch(clock: Clock) -> None:
    c = cache_of({1: 1, 2: 2, 3: 3}, ttl=10, timer=clock)
    clock.advance(8)
    assert c.touch(1) is True and c.touch(2, ttl=1) is True and c.touch(3, ttl=math.inf) and not c.touch(9)
    assert [c.expires_in(key) for key in (1, 2, 3)] == [10, 1, None]
    clock.advance(1)
    assert c.touch(2) is False and set(c) == {1, 3}
    stats = adds_up(c)
    assert (stats["sets"], stats["hits"], stats["misses"]) == (3, 0, 0)


def test_expires_in(clock: Clock) -> None:
    c = AnyCache(idle=5, timer=clock)
    c.set(1, 1, ttl=20)
    assert c.expires_in(1) == 5, "the earlier of the two"
    for _ in range(4):
        clock.advance(4)
        assert c.expires_in(1) == 1, "asking is no use of it"
        c[1]
    assert c.expires_in(1) == 4, "the lifetime is not renewed by use"
    with pytest.raises(KeyError):
        c.expires_in(2)


def test_a_refreshed_entry_holds_up_no_other(clock: Clock) -> None:
    """cachebox: refreshing the oldest key kept 100,000 expired entries behind it."""
    c = cache_of(dict.fromkeys(range(20_000), 0), ttl=60, timer=clock, key=int, value=int)
    full = c.nbytes
    clock.advance(59)
    c[0] = 1
    c.touch(1)
    clock.advance(1)
    assert set(c) == {0, 1} and len(c) == 2
    assert c.stats()["expired"] == 19_998 and c.nbytes < full / 20
    c._check()


def test_lifetimes_of_a_second_to_thirty_days(clock: Clock) -> None:
    rng = random.Random(3)
    start = clock.now
    ends: dict[int, float] = {}
    c = AnyCache(key=int, value=int, timer=clock)
    for key in range(5000):
        ttl = float(rng.choice([1, 10, 60, 3600, DAY, 7 * DAY, 30 * DAY])) * rng.uniform(0.5, 1)
        c.set(key, key, ttl=ttl)
        ends[key] = start + ttl
    for moment in sorted(rng.sample(list(ends.values()), 60)):
        clock.now = moment
        assert set(c) == {key for key, end in ends.items() if end > moment}
        adds_up(c)
    clock.now = start + 30 * DAY
    assert len(c) == 0 and c.stats()["expired"] == 5000 and c.nbytes < 64 << 10


def test_one_long_jump(clock: Clock) -> None:
    for jump in (1.0, 3600.0, DAY, 400 * DAY, 1e12):
        c = AnyCache(key=int, value=int, timer=clock)
        for key in range(2000):
            c.set(key, key, ttl=0.001 * 1.008**key)  # a millisecond to two hours
        alive = {key for key in range(2000) if clock.now + 0.001 * 1.008**key > clock.now + jump}
        clock.advance(jump)
        assert set(c) == alive and len(c) == len(alive)
        adds_up(c)


# --- idle ----------------------------------------------------------------------------------------------

USES: dict[str, Callable[[Any], object]] = {
    "get": lambda c: c.get(1),
    "[]": lambda c: c[1],
    "get_many": lambda c: c.get_many([1]),
    "setdefault": lambda c: c.setdefault(1, 5),
    "touch": lambda c: c.touch(1),
    "set": lambda c: c.set(1, 1),
    "update": lambda c: c.update({1: 1}),
    "set_many": lambda c: c.set_many([1], [1]),
    "_get_with_lifetime": lambda c: c._get_with_lifetime(1),
}
NO_USES: dict[str, Callable[[Any], object]] = {
    "in": lambda c: 1 in c,
    "len": len,
    "iter": lambda c: list(c.items()),
    "==": lambda c: c == {1: 1},
    "expires_in": lambda c: c.expires_in(1),
    "copy": lambda c: c.copy(),
    "stats": lambda c: c.stats(),
    "repr": repr,
    "keys": lambda c: 1 in c.keys(),  # noqa: SIM118
    "items": lambda c: (1, 1) in c.items(),
    "expire": lambda c: c.expire(),
}


@pytest.mark.parametrize("how", USES)
def test_use_keeps_an_entry(how: str, clock: Clock) -> None:
    c = cache_of({1: 1}, idle=10, timer=clock)
    for _ in range(5):
        clock.advance(9)
        USES[how](c)
        assert c.expires_in(1) == 10
    just_before(c, clock, 1, clock.now + 10)


@pytest.mark.parametrize("how", NO_USES)
def test_looking_without_using_does_not(how: str, clock: Clock) -> None:
    c = cache_of({1: 1}, idle=10, timer=clock)
    before = c.stats()
    clock.advance(9)
    NO_USES[how](c)
    after = c.stats()
    assert (after["hits"], after["misses"]) == (before["hits"], before["misses"])
    assert c.expires_in(1) == 1
    clock.advance(1)
    assert not c


def test_idle_and_lifetime_together(clock: Clock) -> None:
    c = cache_of({1: 1}, ttl=25, idle=10, timer=clock)
    for _ in range(3):
        clock.advance(8)
        assert c.get(1) == 1
    assert c.expires_in(1) == 1
    clock.advance(1)
    assert 1 not in c, "the lifetime ends however much it is used"


def test_idle_entries_go_one_by_one(clock: Clock) -> None:
    c = cache_of(dict.fromkeys(range(1000), 0), idle=100, timer=clock, key=int, value=int)
    used: dict[int, float] = dict.fromkeys(range(1000), clock.now)
    rng = random.Random(5)
    for _ in range(300):
        clock.advance(1)
        for key in rng.sample(range(1000), 5):
            if c.get(key) is not None:
                used[key] = clock.now
        alive = {key for key, at in used.items() if clock.now < at + 100}
        used = {key: used[key] for key in alive}
        assert len(c) == len(alive)
    assert set(c) == set(used)
    adds_up(c)


# --- sweeping ------------------------------------------------------------------------------------------


def test_expire_returns_what_it_removed(clock: Clock) -> None:
    log = Removals()
    c = cache_of({i: str(i) for i in range(100)}, ttl=10, timer=clock, on_remove=log)
    c.set("later", 1, ttl=20)
    assert c.expire() == []
    clock.advance(10)
    assert same_whatever_order([(*item, "") for item in c.expire()], [(i, str(i), "") for i in range(100)])
    assert log.causes() == ["expired"] * 100 and c.expire() == [] and c == {"later": 1}


def test_writing_and_reading_sweep_too(clock: Clock) -> None:
    """Without `len`, `stats` or `expire`: a number per operation, so as many operations as entries do."""
    acts: list[Callable[[Any, int], object]] = [
        lambda c, i: c.set(-1 - i % 10, 0, ttl=1e9),
        lambda c, i: c.get(-1),
        lambda c, i: c.pop(-1, 0),
    ]
    for act in acts:
        c = cache_of(dict.fromkeys(range(5000), 0), ttl=10, timer=clock, key=int, value=int)
        full = c.nbytes
        clock.advance(10)
        for i in range(5100):
            act(c, i)
        assert c.nbytes < full / 4


def test_no_operation_sweeps_very_much_at_once(clock: Clock) -> None:
    """Bounded work per operation: an entry's end is told by the callback."""
    log = Removals()
    c = cache_of(dict.fromkeys(range(20_000), 0), ttl=10, timer=clock, key=int, value=int, on_remove=log)
    clock.advance(10)
    acts: list[Callable[[int], object]] = [
        lambda i: c.set(-1 - i, 0),
        lambda i: c.get(-1 - i),
        lambda i: c.pop(-1 - i, None),
        lambda i: c.touch(-1 - i),
        lambda i: -1 - i in c,
        lambda i: c.setdefault(-1 - i, 0),
    ]
    for i in range(60):
        before = len(log)
        acts[i % len(acts)](i)
        assert len(log) - before <= 100
    assert len(log) < 20_000


def test_expired_is_what_a_set_a_pop_and_a_clear_meet(clock: Clock) -> None:
    acts: list[Callable[[Any], object]] = [
        lambda c: c.set(1, "new"),
        lambda c: c.pop(1, None),
        lambda c: c.clear(),
        lambda c: c.delete_many([1]),
        lambda c: c.setdefault(1, "new"),
        lambda c: c.update({1: "new"}),
        lambda c: c.set_many([1], ["new"]),
    ]
    for act in acts:
        log = Removals()
        c = cache_of({1: "old"}, ttl=5, timer=clock, on_remove=log)
        clock.advance(5)
        act(c)
        stats = adds_up(c)
        assert log == [(1, "old", "expired")]
        assert (stats["expired"], stats["replaced"], stats["removed"]) == (1, 0, 0)


# --- odd clocks ----------------------------------------------------------------------------------------


@pytest.fixture(params=[{"ttl": 60}, {"idle": 60}, {"ttl": 60, "max_items": 100}])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


def test_a_clock_that_goes_backwards_loses_nothing(config: dict[str, Any], clock: Clock) -> None:
    """Deadlines stay where they are: what is not yet due by the clock's own word is there."""
    c = cache_of({i: i for i in range(50)}, timer=clock, **config)
    clock.now -= 500
    assert len(c) == 50 and c[1] == 1
    assert c.expires_in(2) == 560
    c["new"] = 1
    assert c == {"new": 1} | {i: i for i in range(50)}
    clock.now += 60  # the new one's time, and by idleness that of key 1
    assert "new" not in c and 2 in c
    clock.now = 1060
    assert len(c) == 0
    adds_up(c)


def test_a_clock_that_jumps_about(clock: Clock) -> None:
    rng = random.Random(17)
    c = AnyCache(key=int, value=int, ttl=10, timer=clock)
    for step in range(3000):
        clock.now = 1000 + rng.uniform(-50, 50)
        key = rng.randrange(200)
        c.set(key, step)
        assert c[key] == step and c.expires_in(key) == pytest.approx(10)
        if step % 100 == 0:
            adds_up(c)
    clock.now = 2000
    assert len(c) == 0
    adds_up(c)


CALLS: list[Callable[[Any], object]] = [
    lambda c: c[1],
    lambda c: c.get(1),
    lambda c: c.set(1, "new"),
    lambda c: c.set(2, "new"),
    lambda c: c.setdefault(2, "new"),
    lambda c: c.update({2: "new"}),
    lambda c: c.set_many([2], ["new"]),
    lambda c: c.get_many([1]),
    lambda c: c.delete_many([1]),
    lambda c: c.pop(1),
    lambda c: c.popitem(),
    lambda c: c.touch(1),
    lambda c: c.clear(),
    lambda c: c.expire(),
    lambda c: c.expires_in(1),
    lambda c: 1 in c,
    list,
    len,
    lambda c: c.copy(),
    lambda c: c.stats(),
    lambda c: c == {1: "old"},
]


@pytest.mark.parametrize("call", CALLS)
def test_a_clock_that_raises_changes_nothing(call: Callable[[Any], object]) -> None:
    broken = False

    def timer() -> float:
        if broken:
            raise OSError("no time")
        return 0.0

    log = Removals()
    c = cache_of({1: "old"}, ttl=60, timer=timer, on_remove=log)
    broken = True
    with pytest.raises(OSError, match="no time"):
        call(c)
    broken = False
    agrees(c, {1: "old"})
    stats = adds_up(c)
    assert stats["sets"] == 1 and not log


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", [None, "noon", [], object()])
def test_a_clock_that_tells_no_time(call: Callable[[Any], object], bad: Any) -> None:
    now: Any = 0.0
    c = cache_of({1: "old"}, ttl=60, timer=lambda: now)
    now = bad
    with pytest.raises(TypeError, match=f"^timer must give seconds as a number, not {type(bad).__name__}$"):
        call(c)
    now = 1.0
    agrees(c, {1: "old"})


def test_a_clock_beyond_all_floats() -> None:
    now: Any = 0.0
    c = AnyCache(ttl=60, timer=lambda: now)
    now = 10**400
    with pytest.raises(OverflowError, match=r"^timer must give seconds that a float can hold, not this int$"):
        c.get(1)


def test_a_clock_whose_number_fails() -> None:
    class Number:
        def __float__(self) -> float:
            raise ZeroDivisionError("of its own")

    now: Any = 0.0
    c = AnyCache(ttl=60, timer=lambda: now)
    now = Number()
    with pytest.raises(ZeroDivisionError, match="of its own"):
        c.get(1)


def test_a_clock_that_says_nan_or_infinity_breaks_nothing() -> None:
    clock = Clock(0.0)
    c = cache_of({1: "old"}, ttl=60, timer=clock)
    for odd in (math.nan, math.inf, -math.inf):
        clock.now = odd
        for call in CALLS:
            with contextlib.suppress(KeyError, ValueError, OverflowError):
                call(c)
            c._check()
    clock.now = 1.0
    c.clear()
    c[1] = 1
    adds_up(c)


def test_a_clock_that_uses_the_cache() -> None:
    depth, c = 0, None

    def timer() -> float:
        nonlocal depth
        if c is not None and depth == 0:
            depth += 1
            try:
                c.get(1), c.set(3, 3), c.pop(3), len(c), list(c), c.stats(), c.expire()
            finally:
                depth -= 1
        return 5.0

    c = cache_of({1: "old"}, ttl=60, timer=timer)
    for call in CALLS[:5]:
        call(c)
    depth = 1  # a walk that its own thread inserts into ends, also where the clock does
    assert set(c) == {1, 2}
    adds_up(c)


def test_the_clock_is_asked_by_operations_only() -> None:
    asked = 0

    def timer() -> float:
        nonlocal asked
        asked += 1
        return 0.0

    c = cache_of({1: 1}, ttl=0.001, timer=timer)
    before, swept = asked, threading.Event()
    other = AnyCache(ttl=0.001, on_remove=lambda *_: swept.set())
    other[1] = 1
    assert swept.wait(10), "the sweeper has come by"
    assert asked == before and 1 in c and asked > before
