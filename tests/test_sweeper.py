"""The thread that sweeps: when it can't be started, when others are busy, and when it keeps the process."""

from __future__ import annotations

import sys

import pytest

from map_helpers import run, run_to_done

HEAD = """
    import logging, resource, sys, threading, time
    from ebbmap import Cache

    class Log(logging.Handler):
        def __init__(self):
            super().__init__()
            self.lines = []
        def emit(self, record):
            self.lines.append(f"{record.name} {record.levelname}: {record.getMessage()}")

    log = Log()
    logging.getLogger("ebbmap").addHandler(log)
    logging.getLogger("ebbmap").propagate = False

    def wait_for(done, seconds=10):
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            time.sleep(0.005)
        return done()

    def limit(left):
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + left, resource.RLIM_INFINITY))

    def unlimit():
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.parametrize("left", range(8128, 8449, 16))
def test_little_address_space_does_not_abort(left: int) -> None:
    """A stack fits, and perhaps not what else a new thread needs."""
    run_to_done(
        HEAD
        + f"""
    c = Cache(ttl=0.02, on_remove=lambda *_: None)
    limit({left} << 10)
    try:
        c[1] = object()
    except MemoryError:
        pass
    time.sleep(0.25)
    unlimit()
    c[2] = 2
    assert wait_for(lambda: c.stats()["entries"] == 0)
    print("done")
    """
    )


@linux
def test_a_thread_that_can_not_be_started_is_logged_once_and_tried_again() -> None:
    run_to_done(
        HEAD
        + """
    c = Cache(ttl=0.05, key=int, value=int)
    limit(4 << 20)
    for i in range(200):
        c[i] = i
    begun = time.perf_counter()
    for i in range(20_000):
        c[i % 200] = i
    each = (time.perf_counter() - begun) / 20_000
    assert c.get(1) == 19_801 and each < 20e-6, each
    unlimit()
    line, = log.lines
    assert line.startswith("ebbmap WARNING: the thread that removes expired entries can't be started"), line
    time.sleep(1.1)
    c[1] = 1  # starts it
    assert wait_for(lambda: c.nbytes < 20_000)
    assert len(log.lines) == 1
    print("done")
    """
    )


def test_expired_objects_go_beside_busy_threads() -> None:
    """In proportion: the thread keeps the interpreter for about as long as it has waited for it."""
    run_to_done(
        HEAD
        + """
    ended = False
    def busy():
        while not ended:
            pass
    threads = [threading.Thread(target=busy) for _ in range(2)]
    c = Cache()
    n = 300_000
    c.set_many(range(n), [object() for _ in range(n)], ttl=0.001)
    [thread.start() for thread in threads]
    begun = time.monotonic()
    swept = wait_for(lambda: c.nbytes < 100_000, 20)
    took = time.monotonic() - begun
    ended = True
    [thread.join() for thread in threads]
    assert swept and took < 3, took  # a short turn at a time takes six seconds
    print("done")
    """
    )


def test_the_end_names_an_on_remove_that_blocks() -> None:
    printed = run(
        """
        import logging, threading, time
        from ebbmap import Cache

        class Log(logging.Handler):
            def emit(self, record):
                print(record.name, record.levelname, record.getMessage(), flush=True)
                released.set()
        logging.getLogger("ebbmap").addHandler(Log())
        logging.getLogger("ebbmap").propagate = False
        begun, released = threading.Event(), threading.Event()
        def blocks(*_):
            begun.set()
            released.wait(30)
        c = Cache(ttl=0.01, on_remove=blocks)
        c[1] = 1
        begun.wait()
        """,
        timeout=60,
    )
    assert printed.startswith(
        "ebbmap WARNING the interpreter can't exit before on_remove=<function blocks at "
    )


@linux
def test_one_thread_serves_caches_that_come_and_go() -> None:
    """A thread for each kept megabytes of stacks until it ran: a busy machine had thousands of them."""
    run_to_done(
        HEAD
        + """
    import os
    def tasks():
        return set(os.listdir("/proc/self/task"))
    before = tasks()
    Cache(ttl=60, key=int)[1] = 1
    sweeper = tasks() - before
    assert len(sweeper) == 1
    for i in range(2_000):
        Cache(ttl=60, key=int)[i] = i
        assert tasks() - before == sweeper
    assert wait_for(lambda: tasks() == before)
    Cache(ttl=60, key=int)[1] = 1
    assert len(tasks() - before) == 1
    print("done")
    """
    )


@linux
def test_the_thread_of_many_caches_rests() -> None:
    """Each of 5,000 caches has something due at another time."""
    run_to_done(
        HEAD
        + """
    import os
    before = set(os.listdir("/proc/self/task"))
    caches = [Cache(key=int, value=int) for _ in range(5_000)]
    for place, c in enumerate(caches):
        for i in range(4):
            c.set(i, i, ttl=0.2 + 0.5 * i + 0.5 * place / len(caches) if i else 1_000)
    (sweeper,) = set(os.listdir("/proc/self/task")) - before
    def waits():
        with open(f"/proc/self/task/{sweeper}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    begun, first = time.monotonic(), waits()
    assert wait_for(lambda: sum(c.stats()["entries"] for c in caches) == len(caches))
    assert waits() - first <= 15 * (time.monotonic() - begun) + 20
    print("done")
    """
    )


def test_caches_leave_the_list_in_any_order() -> None:
    run_to_done(
        HEAD
        + """
    import random
    rng = random.Random(4)
    caches = []
    for _ in range(3_000):
        if len(caches) > rng.randrange(60):
            caches.pop(rng.randrange(len(caches)))
        c = Cache(ttl=0.3, key=int, value=int)
        c[1] = 1
        caches.append(c)
    assert wait_for(lambda: not any(c.stats()["entries"] for c in caches))
    print("done")
    """
    )
