"""Caches and the process: its collector, its threads, its forks, its end, and the end of its memory."""

from __future__ import annotations

import gc
import math
from typing import Any

import pytest

from cache_helpers import AnyCache, Clock, Removals, adds_up, cache_of
from ebbmap import Cache
from map_helpers import run


@pytest.fixture
def clock() -> Clock:
    return Clock()


class OfItsOwn(Cache[Any, Any]):
    """A cache that calls itself."""

    def __init__(self, what: str) -> None:
        config: dict[str, Any] = {what: getattr(self, what + "_method")}
        super().__init__(ttl=60, **config)

    def on_remove_method(self, *removal: object) -> None:
        raise AssertionError("dropping a cache calls nothing")

    def timer_method(self) -> float:
        return 1.0


@pytest.mark.parametrize("what", ["on_remove", "timer"])
def test_a_cache_that_calls_itself_is_collected(what: str) -> None:
    c = OfItsOwn(what)
    c[1] = c
    del c
    gc.collect()
    # A weak reference would not show it: those to garbage are cleared first, whether it can be freed or not.
    assert not [o for o in gc.get_objects() if type(o) is OfItsOwn]


def test_the_callables_of_live_caches_survive_the_collector(clock: Clock) -> None:
    log = Removals()
    c = cache_of({1: 1}, ttl=60, timer=clock, on_remove=log)
    gc.collect()
    clock.advance(60)
    assert len(c) == 0 and log == [(1, 1, "expired")]
    assert c.timer is clock and c.on_remove is log


def test_the_sweeper_has_room_for_recursion() -> None:
    """As deep as the interpreter allows: through on_remove, and through C."""
    printed = run(
        """
        import threading
        from ebbmap import Cache

        def comparing():
            class Deep:
                def __lt__(self, other):
                    return sorted([Deep(), Deep()]) == []
            try:
                sorted([Deep(), Deep()])
            except RecursionError:
                print("recursion")

        def evicting():
            small = Cache(max_items=1, on_remove=lambda k, v, cause: small.set(k + 1, v))
            small[0] = 0
            small[1] = 1
            print(len(small))

        for deep in (comparing, evicting):
            done = threading.Event()
            def removed(*_):
                deep()
                done.set()
            c = Cache(ttl=0.001, on_remove=removed)
            c[1] = 1
            assert done.wait(30)
        """
    )
    assert printed == "recursion\n1\n"


def test_a_panic_in_one_cache_leaves_the_others_swept() -> None:
    printed = run(
        """
        import sys, threading
        from ebbmap import Cache

        sys.unraisablehook = lambda _: None
        Cache(max_items=1, on_remove=lambda *_: 1 / 0).update({1: 1, 2: 2})
        panic, = (each for each in BaseException.__subclasses__() if each.__name__ == "PanicException")
        failing, told = threading.Event(), threading.Event()
        def fail(*_):
            failing.set()
            raise panic("for the test")
        bad = Cache(ttl=0.001, on_remove=fail)
        bad[1] = 1
        assert failing.wait(20)
        good = Cache(ttl=0.001, on_remove=lambda *_: told.set())
        good[1] = 1
        print(told.wait(20), len(bad))
        """,
        timeout=60,
    )
    assert printed == "True 0\n"


def test_the_interpreter_waits_for_an_on_remove_whose_cache_has_gone() -> None:
    printed = run(
        """
        import sys, threading, time
        from ebbmap import Cache

        started = threading.Event()
        def slow(*_, sleep=time.sleep):
            started.set()
            sleep(0.3)
            print("told", flush=True)
        c = Cache(ttl=0.001, on_remove=slow)
        c[1] = 1
        assert started.wait(10)
        del c

        class Late:
            def __del__(self, sleep=time.sleep):
                sleep(0.6)
        sys.late = Late()  # the interpreter takes its time to go
        """
    )
    assert printed == "told\n"


def test_the_end_waits_for_no_more_than_a_turn_of_the_sweeper() -> None:
    printed = run(
        """
        import atexit, threading, time
        told = []
        atexit.register(lambda: print(len(told) < 500))  # before ebbmap's own, and so called after it
        from ebbmap import Cache

        def slow(*removal):
            told.append(removal)
            time.sleep(0.005)
        c = Cache(ttl=0.05, on_remove=slow)
        c.update((i, i) for i in range(2000))
        while not told:
            time.sleep(0.01)
        """
    )
    assert printed == "True\n"


FORKS = """
import os, sys, threading, time
hook = []
def hooks():
    for work in hook:
        work()
os.register_at_fork(before=hooks, after_in_parent=hooks)
import numpy as np
from ebbmap import Cache, Map

stop = []
def forks(count):
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
"""


@pytest.mark.parametrize(
    "work",
    [
        "c.set(1, 1, ttl=0.05)",
        "Cache(ttl=1)[1] = 1",
        "c.set_many(np.arange(500), np.arange(500))",
        "c.get_many(np.arange(500), 0)",
        "m.set_many(np.arange(500), np.arange(500))",
    ],
)
def test_hooks_of_a_fork_may_use_caches(work: str) -> None:
    """Those registered before ebbmap was imported run while it keeps all quiet."""
    script = f"""
def work():
    {work}
c, m = Cache(ttl=100, key=int, value=int), Map(int, int)
hook.append(work)
forks(3)
print("forked")
"""
    assert run(FORKS + script, timeout=20) == "forked\n"


def test_threads_may_use_caches_while_another_forks() -> None:
    script = """
def use():
    i = 0
    while not stop:
        c = Cache(ttl=0.001)  # news for the sweeper, and then gone again
        c[i] = i
        i += 1
        time.sleep(0)

threads = [threading.Thread(target=use) for _ in range(2)]
[thread.start() for thread in threads]
hook.append(lambda: time.sleep(0.01))  # as logging's does, which waits for its lock
forks(5)
stop.append(1)
[thread.join() for thread in threads]
print("forked")
"""
    assert run(FORKS + script, timeout=30) == "forked\n"


def test_two_threads_may_fork() -> None:
    script = """
hook.append(lambda: time.sleep(0.005))
c = Cache(ttl=1)
c[1] = 1
threads = [threading.Thread(target=forks, args=(5,)) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("forked")
"""
    assert run(FORKS + script, timeout=30) == "forked\n"


def test_no_memory_to_tell_what_expired_is_an_error_and_no_endless_loop() -> None:
    printed = run(
        """
        import resource
        from ebbmap import Cache

        now, told = [0.0], []
        removed = lambda key, value, cause: told.append(cause)
        c = Cache(ttl=1, value=bytes, timer=lambda: now[0], on_remove=removed)
        c[1] = b"x" * (200 << 20)
        now[0] = 5.0
        size = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (size + (60 << 20), resource.RLIM_INFINITY))
        for call in (c.__len__, c.stats, c.clear, c.expire, c.popitem):
            try:
                print(call())
            except MemoryError:
                print("MemoryError")
        print(c.get(1), told)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(len(c), told)
        """,
        timeout=20,
    )
    assert printed == "MemoryError\n" * 5 + "None []\n0 ['expired']\n"


def test_a_refusal_that_was_done_without_evicts_nobody_later() -> None:
    """What the bound refused, and was done without, is no reason to evict when it is memory that is short."""
    c = AnyCache(key=int, value=bytes, max_bytes="1MiB", timer=Clock())
    for i in range(20_000):
        c[i] = b"v" * (i % 100)
    c.delete_many([key for key in c if key % 8])
    before = adds_up(c)
    c._set_allowance(0)
    with pytest.raises(MemoryError):
        c[-1] = b"w" * 100_000
    assert adds_up(c)["evicted_by_bytes"] == before["evicted_by_bytes"] > 0


@pytest.mark.parametrize("end", [math.inf, 1e300, 1e15])
def test_at_the_end_of_time_all_has_expired(end: float, clock: Clock) -> None:
    c = cache_of({i: i for i in range(100)}, ttl=60, timer=clock)
    c.set("for ever", 1, ttl=math.inf)
    clock.now = end
    assert 1 not in c and len(c) == 1 and list(c) == ["for ever"]
    assert adds_up(c)["expired"] == 100
