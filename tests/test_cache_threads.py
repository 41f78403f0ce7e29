"""A cache among threads, tasks and forks, while entries expire and are evicted; and its sweeper."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from cache_helpers import AnyCache, Clock, adds_up, until
from map_helpers import linux, popitem_hands_out_each_once, run, together, walk_gives_each_once


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


# --- threads -------------------------------------------------------------------------------------------

CONFIGS: list[dict[str, Any]] = [
    {"ttl": 0.005, "key": int, "value": int},
    {"ttl": 0.01, "max_items": 300, "key": int, "value": int},
    {"ttl": 0.02, "idle": 0.005, "max_bytes": 40_000},
    {"idle": 0.01, "max_items": 50, "key": str, "value": bytes},
]


@pytest.mark.parametrize("config", CONFIGS, ids="-".join)
def test_all_operations_at_once(config: dict[str, Any]) -> None:
    key_of: Any = str if config.get("key") is str else int
    value_of: Any = (lambda key: b"%d" % int(key)) if config.get("value") is bytes else int
    told: Counter[str] = Counter()
    lock = threading.Lock()

    def on_remove(key: Any, value: Any, cause: str) -> None:
        assert value == value_of(key), "no entry is mixed up with another"
        with lock:
            told[cause] += 1

    c = AnyCache(**config, on_remove=on_remove)

    def one_by_one(seed: int) -> None:
        rng = random.Random(seed)
        for i in range(1500):
            key = key_of(rng.randrange(800))
            c.set(key, value_of(key), ttl=rng.choice([None, 0.001, 0.01, 10]))
            assert c.get(key) in (None, value_of(key))
            other = key_of(rng.randrange(800))
            assert c.pop(other, None) in (None, value_of(other))
            c.touch(key), key in c, c.setdefault(other, value_of(other))
            if i % 100 == 0:
                c.expire(), len(c), c.popitem() if len(c) > 40 else None

    def many(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            keys = [key_of(rng.randrange(800)) for _ in range(40)]
            c.set_many(keys, [value_of(key) for key in keys])
            found = zip(keys, c.get_many(keys), strict=True)
            assert all(value in (None, value_of(key)) for key, value in found)
            c.delete_many(keys[:10])

    def whole() -> None:
        for _ in range(25):
            assert all(value == value_of(key) for key, value in c.items())
            assert all(value == value_of(key) for key, value in dict(c.items()).items())
            repr(c), adds_up(c), c == {}, c.nbytes
            if "max_items" in config:
                assert len(c) <= config["max_items"]
            if "max_bytes" in config:
                assert c.nbytes <= config["max_bytes"]

    try:
        together(*(partial(one_by_one, seed) for seed in range(3)), partial(many, 9), whole)
    except KeyError as error:
        assert "empty" in str(error)  # between `len` and `popitem`
    c.clear()
    stats = adds_up(c)
    causes = {"replaced": "replaced", "expired": "expired", "deleted": "deleted", "cleared": "cleared"}
    until(lambda: all(told[cause] == c.stats()[name] for name, cause in causes.items()))
    assert told["evicted"] == stats["evicted_by_count"] + stats["evicted_by_bytes"]


def test_each_removal_is_told_once_whoever_removes() -> None:
    """The sweeper, four threads that expire, and a thread that pops: each entry has one end."""
    lock, ends = threading.Lock(), Counter[int]()

    def on_remove(key: Any, value: Any, cause: str) -> None:
        with lock:
            ends[key] += 1

    c = AnyCache(ttl=0.003, key=int, on_remove=on_remove)
    returned: list[list[Any]] = [[] for _ in range(4)]

    def expire(mine: list[Any]) -> None:
        for _ in range(200):
            mine += c.expire()

    def fill() -> None:
        for key in range(4000):
            c[key] = key
            if key % 5 == 0:
                c.pop(key, None)

    together(fill, *(partial(expire, mine) for mine in returned))
    until(lambda: not c)
    until(lambda: len(ends) == 4000)
    assert set(ends.values()) == {1}
    keys = [key for mine in returned for key, _ in mine]
    assert len(keys) == len(set(keys)), "nor is one returned twice"


def test_popitem_hands_each_entry_out_once() -> None:
    c = AnyCache(ttl=3600, key=int, value=int)
    c.set_many(range(8000), range(8000))
    popitem_hands_out_each_once(c)
    assert adds_up(c)["deleted"] == 8000


def test_a_walk_that_threads_share_gives_each_entry_once() -> None:
    c = AnyCache(key=int, value="int32")
    c.set_many(range(5000), range(5000))
    walk_gives_each_once(c)


def test_walks_never_end_early_for_what_others_do() -> None:
    c = AnyCache(key=int, value=bytes, max_items=5000)
    c.update(dict.fromkeys(range(300), b"there all along"))
    done = threading.Event()

    def write() -> None:
        try:
            for i in range(6000):
                c.set(1000 + i % 1500, b"y" * (i % 90), ttl=(0.001, 0.01, 60)[i % 3])
                c.pop(1000 + i * 7 % 1500, None)
        finally:
            done.set()

    def walk() -> None:
        while not done.is_set():
            seen = [key for key, _ in c.items()]
            assert len(set(seen)) == len(seen) and set(range(300)) <= set(seen)

    together(write, walk, walk)
    adds_up(c)


def test_the_bound_holds_at_every_moment() -> None:
    c = AnyCache(max_items=100, key=int, value=int)
    large = AnyCache(max_bytes=64 << 10, key=int, value=bytes)
    done = threading.Event()

    def write(lane: int) -> None:
        for i in range(3000):
            c[lane * 10_000 + i] = i
            large[lane * 10_000 + i] = b"x" * (i % 700)

    def writers() -> None:
        try:
            together(*(partial(write, lane) for lane in range(3)))
        finally:
            done.set()

    def watch() -> None:
        while not done.is_set():
            assert len(c) <= 100 and large.nbytes <= 64 << 10

    together(writers, watch)
    assert len(c) == 100
    adds_up(c), adds_up(large)


def test_arrays_beside_the_sweeper() -> None:
    """Bulk calls hold no interpreter; nor does the sweeper."""
    c = AnyCache(ttl=0.02, key=int, value=int)
    keys = np.arange(20_000)

    def work(lane: int) -> None:
        mine = keys + 100_000 * lane
        for _ in range(15):
            c.set_many(mine, mine)
            values, found = c.get_many(mine, mask=True)
            assert ((values == mine) | ~found).all()
            c.delete_many(mine[::3])

    together(*(partial(work, lane) for lane in range(2)))
    until(lambda: c.nbytes < 64 << 10)
    adds_up(c)


def test_tasks() -> None:
    """No call waits for another task, so tasks need no care at all."""
    clock = Clock()
    c = AnyCache(ttl=5, max_items=60, timer=clock)

    async def work(lane: int) -> None:
        for i in range(200):
            key = (lane, i % 30)
            c[key] = i
            await asyncio.sleep(0)
            assert c.get(key) in (None, i)
            clock.advance(0.01)
            if i % 10 == 0:
                c.expire()
            await asyncio.sleep(0)
            c.pop((lane, (i + 5) % 30), None)

    async def all_of_them() -> None:
        await asyncio.gather(*(work(lane) for lane in range(20)))

    asyncio.run(all_of_them())
    assert len(c) <= 60
    adds_up(c)


def test_caches_made_and_dropped_beside_the_sweeper() -> None:
    def work(lane: int) -> None:
        for i in range(150):
            c = AnyCache(ttl=(0.001, 0.0001, 10)[i % 3], **({"key": int, "value": int} if i % 2 else {}))
            c.update({j: j for j in range(i % 40)})
            if i % 10 == 0:
                time.sleep(0.002)

    together(*(partial(work, lane) for lane in range(3)))


# --- forks ---------------------------------------------------------------------------------------------


def test_forks_while_threads_and_the_sweeper_work() -> None:
    printed = run(
        """
        import os, threading, time, warnings
        from ebbmap import Cache
        warnings.simplefilter("ignore")  # 3.12 warns of forks beside threads
        inline, objects = Cache(ttl=0.01, key=int, value=int), Cache(ttl=0.02, max_items=500)
        kept = Cache(ttl=3600, key=int, value=int)
        kept.set_many(range(5000), range(5000))
        done = threading.Event()
        def work(c):
            i = 0
            while not done.is_set():
                c[i % 3000] = i
                c.get(i % 700)
                i += 1
        threads = [threading.Thread(target=work, args=(c,), daemon=True) for c in (inline, objects)]
        for thread in threads: thread.start()
        for _ in range(8):
            time.sleep(0.02)
            child = os.fork()
            if child == 0:
                for c in (inline, objects, kept): c._check()
                assert len(kept) == 5000 and kept[77] == 77
                inline.set_many(range(20_000), range(20_000))
                objects["child"] = 1
                deadline = time.monotonic() + 10
                while (inline.nbytes > 100_000 or objects) and time.monotonic() < deadline: time.sleep(0.005)
                fine = inline.nbytes <= 100_000 and not inline and not objects
                os._exit(0 if fine else 3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        done.set()
        for thread in threads: thread.join()
        time.sleep(0.05)
        print(len(inline), len(objects), len(kept))
        """
    )
    assert printed.split() == ["0", "0", "5000"]


def test_a_child_of_a_child() -> None:
    printed = run(
        """
        import os, time
        from ebbmap import Cache
        c = Cache(ttl=0.3, key=int, value=int)
        c.set_many(range(20_000), range(20_000))
        def emptied():
            deadline = time.monotonic() + 10
            while c.nbytes > 100_000 and time.monotonic() < deadline: time.sleep(0.01)
            return c.nbytes <= 100_000
        def grow(depth):
            child = os.fork()
            if child:
                fine = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and emptied()
            else:
                fine = grow(depth - 1) if depth else emptied()
            if not child: os._exit(0 if fine else 3)
            return fine
        print(grow(2))
        """
    )
    assert printed.strip() == "True"


def test_a_child_may_be_the_first_to_use_a_cache() -> None:
    printed = run(
        """
        import os, time
        from ebbmap import Cache
        before = Cache(ttl=0.1, key=int, value=int)  # nothing in it: no sweeper yet
        child = os.fork()
        if child == 0:
            after = Cache(ttl=0.1, key=int, value=int)
            for c in (before, after): c.set_many(range(20_000), range(20_000))
            deadline = time.monotonic() + 10
            while before.nbytes + after.nbytes > 100_000 and time.monotonic() < deadline: time.sleep(0.01)
            os._exit(0 if before.nbytes + after.nbytes <= 100_000 else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert printed.strip() == "0"


# --- the sweeper ---------------------------------------------------------------------------------------

TASKS = """
    import ctypes, os, sys, time
    from ebbmap import Cache
    def tasks(): return set(os.listdir("/proc/self/task"))
    def until(condition):
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.01)
    def switches(tid):
        with open(f"/proc/self/task/{tid}/status") as file:
            return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    before = tasks()
"""


@linux
def test_one_sweeper_for_the_process_gone_with_the_last_cache() -> None:
    printed = run(
        TASKS
        + """
    plain = Cache(max_items=5)
    plain[1] = 1
    print(len(tasks() - before))
    for round_ in range(3):
        caches = [Cache(ttl=60) for _ in range(50)]
        for c in caches: c[1] = 1
        print(len(tasks() - before))
        del caches, c
        until(lambda: tasks() == before)
    print(len(plain))
    """
    )
    assert printed.split() == ["0", "1", "1", "1", "1"]


@linux
def test_no_sweeper_for_a_clock_of_ones_own() -> None:
    printed = run(
        TASKS
        + """
    c = Cache(ttl=0.01, timer=time.monotonic)
    c[1] = 1
    print(len(tasks() - before))
    """
    )
    assert printed.strip() == "0"


@linux
@pytest.mark.parametrize(
    ("made", "what"),
    [
        ("Cache(ttl=0.05, key=int, value=int)", "c.set_many(range(999), range(999)); until(lambda: not c)"),
        ("Cache(ttl=0.05)", "c[1] = 1; until(lambda: not c)"),
        ("Cache(ttl=3600)", "c[1] = 1"),
        ("Cache(idle='7d', key=int)", "c[1] = 1; c[1]"),
        ("Cache(ttl=60)", "c.set(1, 1, ttl=float('inf'))"),
    ],
)
def test_no_wake_ups_when_nothing_can_expire(made: str, what: str) -> None:
    printed = run(
        TASKS
        + """
    c = eval(sys.argv[1])
    exec(sys.argv[2])
    time.sleep(0.6)  # what it still had to do
    new = tasks() - before
    counted = {tid: switches(tid) for tid in new}
    time.sleep(1)
    print(sum(switches(tid) - counted[tid] for tid in new), len(new) <= 1)
    """,
        made,
        what,
    )
    assert printed.split() == ["0", "True"]


@linux
@pytest.mark.parametrize("kinds", ["key=int, value=int", "key=str, value=bytes", "key=bytes, value=float"])
def test_no_interpreter_needed_for_inline_kinds(kinds: str) -> None:
    """One long call in C holds the interpreter; when it returns, the memory is back already."""
    printed = run(
        TASKS
        + """
    sys.setswitchinterval(100)  # nobody is given the interpreter in between
    c = eval(f"Cache(ttl=0.3, {sys.argv[1]})")
    make = {int: int, str: str, bytes: lambda i: b"%d" % i, float: float}
    key, value = map(make.get, c.kinds)
    c.update((key(i), value(i)) for i in range(20_000))
    full = c.nbytes
    ctypes.PyDLL(None).usleep(1_500_000)
    print(full > 300_000, c.nbytes < 64 << 10)
    """,
        kinds,
    )
    assert printed.split() == ["True", "True"]


def test_the_sweeper_of_objects_waits_for_the_interpreter_and_no_lock() -> None:
    """Values whose end uses the cache, in the sweeper's thread, while this one goes on."""
    ended: list[int] = []

    class Value:
        def __init__(self, key: int) -> None:
            self.key = key

        def __del__(self) -> None:
            c.get(self.key), len(c)
            ended.append(self.key)

    c = AnyCache(ttl=0.02)
    for key in range(500):
        c[key] = Value(key)
        c.get(key // 2)
    until(lambda: len(ended) == 500)
    assert sorted(ended) == list(range(500)) and not c


@pytest.mark.parametrize("kinds", ["", "key=int, value=int"])
def test_exit_with_live_caches(kinds: str) -> None:
    """The sweeper neither holds up the end of the process nor outlives what it needs."""
    printed = run(
        """
        import subprocess, sys
        script = '''
        import sys, threading
        from ebbmap import Cache
        told = []
        caches = [Cache(ttl=0.001 * (i + 1), {} on_remove=lambda *r: told.append(r)) for i in range(30)]
        for c in caches: c.update({{i: i for i in range(300)}})
        '''.replace("\\n        ", "\\n")
        script = script.format(sys.argv[1] + "," if sys.argv[1] else "")
        for _ in range(8):
            subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
        print("ended")
        """,
        kinds,
    )
    assert printed.strip() == "ended"


@pytest.mark.parametrize(
    "what", ["on_remove", "timer", "eq", "hash", "del", "dtype", "pairs", "pair", "keys", "float"]
)
def test_exit_with_daemon_threads_in_python_code(what: str) -> None:
    """Before 3.14 such a thread is ended by unwinding it, which must not reach the binding."""
    script = """
        import sys, threading
        from ebbmap import Cache, Map
        class Key:
            def __init__(self, n): self.n = n
            def __hash__(self): return 1 if what == "eq" else slow(self.n)
            def __eq__(self, other): return slow(self.n == other.n)
        class Value:
            def __del__(self): slow(1)
        class Number:
            def __float__(self): return slow(1.0)
        class Keyed:
            def keys(self): return range(100)
            def __getitem__(self, key): return slow(key)
        def slow(result, *_):
            for _ in range(20): began.set()
            return result
        def slowly(*items):
            for item in items: yield slow(item)
        what, began = sys.argv[1], threading.Event()
        made = {
            "on_remove": lambda: Cache(max_items=20, on_remove=slow),
            "timer": lambda: Cache(ttl=9, timer=lambda: slow(1.0)),
            "dtype": lambda: Map(int, "i4,i4"),
            "float": lambda: Map(int, float),
        }
        m = made.get(what, Map)()
        def work():
            while True:
                for i in range(100):
                    key = Key(i % 7) if what in ("eq", "hash") else i
                    given = {"del": Value, "float": Number}.get(what, lambda: (i, i))()
                    match what:
                        case "pairs": m.update(slowly((i, i)))
                        case "pair": m.update([slowly(i, i)])
                        case "keys": m.update(Keyed())
                        case _: m[key] = given
        threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
        for thread in threads: thread.start()
        if what != "dtype": began.wait()
    """
    for _ in range(6):
        run(script, what)


def test_a_signal_ends_the_wait_for_on_remove_at_exit() -> None:
    run(
        """
        import signal, threading
        from ebbmap import Cache
        began = threading.Event()
        def stuck(*removed):
            began.set()
            threading.Event().wait()
        def interrupt(*signal):
            raise KeyboardInterrupt
        c = Cache(ttl=0.01, on_remove=stuck)
        c[1] = 1
        began.wait()
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    """,
        timeout=20,
    )


def test_the_sweepers_callbacks_have_a_threads_stack() -> None:
    """Callbacks that set again, and are called for it: Python stops that, as in a thread of its own."""
    said = run("""
        import sys, time
        from ebbmap import Cache
        sys.unraisablehook = lambda args: None
        calls = 0
        def again(key, value, cause):
            global calls
            calls += 1
            c[2] = value
        c = Cache(ttl=0.1, on_remove=again)
        c.set(2, 0, ttl=3600)
        c[1] = 1
        end = time.monotonic() + 30
        while calls < 300 and time.monotonic() < end: time.sleep(0.01)
        time.sleep(0.1)  # what is called last comes back through all of them
        print(calls >= 300)
    """)
    assert said.strip() == "True"
