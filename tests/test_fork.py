"""Every way that a process can be forked: with Python's hooks and without, from any thread."""

from __future__ import annotations

import os

import pytest

from map_helpers import run_to_done

if not hasattr(os, "fork"):
    pytest.skip("there is no fork here", allow_module_level=True)

FORKS = {
    "os.fork": "os.fork()",
    "C": "ctypes.PyDLL(None).fork()",
    "C, without the GIL": "ctypes.CDLL(None).fork()",
    "pty": "pty.fork()[0]",
}

HEAD = """
    import ctypes, os, pty, signal, sys, threading, time, warnings
    from ebbmap import Cache, Map
    warnings.simplefilter("ignore")

    def wait_for(done):
        end = time.monotonic() + 10
        while not done() and time.monotonic() < end:
            time.sleep(0.01)
        return done()

    def in_child(fork, work):
        child = fork()
        if child == 0:
            signal.alarm(20)
            try:
                os._exit(0 if work() else 1)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(2)
        return child

    def ended(child):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            got, status = os.waitpid(child, os.WNOHANG)
            if got:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        return "it hangs"
"""


def head(fork: str) -> str:
    """What the script of a test begins with.

    The child of a C fork that keeps the GIL hangs in CPython's ``drop_gil`` if another thread had asked for
    the GIL, which it does once it has waited for the switch interval. Where another thread had only waited,
    the child may hang in the C library's ``pthread_cond_signal``: so nothing is to be swept before the fork.
    """
    return HEAD + ("    sys.setswitchinterval(60)\n" if "PyDLL" in fork else "")


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
@pytest.mark.parametrize("kinds", ["key=int, value=bytes", ""], ids=["inline", "objects"])
def test_a_child_is_swept(fork: str, kinds: str) -> None:
    run_to_done(
        head(fork)
        + f"""
    c = Cache(ttl=1, {kinds})
    for i in range(10_000):
        c[i] = b"x" * 100
    assert c.nbytes > 200_000
    def work():
        return wait_for(lambda: c.nbytes < 100_000) and c._check() is None
    child = in_child(lambda: {fork}, work)
    assert ended(child) == 0
    assert work()
    print("done")
    """
    )


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
def test_a_child_may_fork_again(fork: str) -> None:
    run_to_done(
        head(fork)
        + f"""
    c = Cache(ttl=0.5, key=int, value=bytes)
    for i in range(50_000):
        c[i] = b"x" * 100
    def swept():
        return wait_for(lambda: c.nbytes < 100_000)
    child = in_child(lambda: {fork}, lambda: ended(in_child(lambda: {fork}, swept)) == 0 and swept())
    assert ended(child) == 0
    print("done")
    """
    )


def test_a_child_inherits_no_half_change() -> None:
    pytest.importorskip("numpy")
    run_to_done(
        HEAD
        + """
    import numpy as np
    m, c = Map(int, int), Cache(ttl=0.01, key=int, value=int)
    keys, done = np.arange(20_000), threading.Event()
    def work(table):
        while not done.is_set():
            table.set_many(keys, keys)
            table.delete_many(keys)
    threads = [threading.Thread(target=work, args=(table,)) for table in (m, c)]
    for thread in threads:
        thread.start()
    def whole():
        m._check(), c._check()
        m[-1] = 1
        c[-1] = 1
        new = Map(int, bytes)  # the pool of memory is whole too
        new.update((i, bytes(100)) for i in range(2_000))
        new.clear()
        return m[-1] == 1
    children = [in_child(lambda: os.fork(), whole) for _ in range(20)]
    results = [ended(child) for child in children]
    done.set()
    for thread in threads:
        thread.join()
    assert results == [0] * 20, results
    print("done")
    """
    )


def test_a_child_forked_in_a_callback_of_the_sweeper_ends() -> None:
    run_to_done(
        HEAD
        + """
    children = []
    def on_remove(key, value, cause):
        child = os.fork()
        if child:
            children.append(child)
    c = Cache(ttl=0.01, on_remove=on_remove)
    c[1] = 1
    assert wait_for(lambda: children)
    assert ended(children[0]) == 0
    print("done")
    """
    )


IN_THREAD = """
    def in_thread(work):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
"""


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
@pytest.mark.parametrize("end", ["return", "sys.exit(3)", "os._exit(0)"])
@pytest.mark.parametrize("on_remove", ["None", "lambda *_: None"])
@pytest.mark.parametrize("rest", [0, 0.4])
def test_a_child_ends_with_the_thread_that_forked(fork: str, end: str, on_remove: str, rest: float) -> None:
    """With code 0, as without a cache: the main thread, which would set another, did not come along."""
    run_to_done(
        head(fork)
        + IN_THREAD
        + f"""
    c = Cache(ttl=0.05, on_remove={on_remove})
    children = []
    def work():
        c[1] = object()
        c.set(2, object(), ttl=60)
        child = {fork}
        if child == 0:
            signal.alarm(20)
            time.sleep({rest})
            {end}
        children.append(child)
        time.sleep(0.05)
    in_thread(work)
    assert ended(children[0]) == 0
    print("done")
    """
    )


def test_a_child_of_the_main_thread_ends_as_it_says() -> None:
    run_to_done(
        HEAD
        + """
    c = Cache(ttl=0.05)
    c[1] = object()
    child = os.fork()
    if child == 0:
        sys.exit(3)
    assert ended(child) == 3
    print("done")
    """
    )


def test_a_child_is_swept_for_as_long_as_it_has_threads() -> None:
    """The thread that forked has ended; the child lives on with another, and ends with that."""
    run_to_done(
        HEAD
        + IN_THREAD
        + """
    import weakref
    class Value:
        pass
    reading, writing = os.pipe()
    c = Cache(ttl=0.05)
    c[1] = 1
    children = []
    def work():
        child = os.fork()
        if child:
            children.append(child)
            return
        value = Value()
        c.set(2, value, ttl=0.3)
        witness = weakref.ref(value)
        def live_on():
            time.sleep(0.1)
            os.write(writing, b"+" if wait_for(lambda: witness() is None) else b"-")
        threading.Thread(target=live_on).start()
    in_thread(work)
    assert ended(children[0]) == 0 and os.read(reading, 100) == b"+"
    print("done")
    """
    )


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
def test_a_memoized_call_of_another_thread_is_made_anew_in_a_child(fork: str) -> None:
    run_to_done(
        head(fork)
        + f"""
    parent = os.getpid()
    begun = threading.Event()
    cache = Cache()
    @cache.memoize
    def slow(x):
        if os.getpid() == parent:
            begun.set()
            time.sleep(1)
        return os.getpid()
    thread = threading.Thread(target=slow, args=(1,))
    thread.start()
    begun.wait()
    child = in_child(lambda: {fork}, lambda: slow(1) == os.getpid())
    assert ended(child) == 0
    thread.join()
    assert slow(1) == parent
    print("done")
    """
    )


def test_children_that_are_killed_hurt_nobody() -> None:
    run_to_done(
        HEAD
        + """
    import random
    c = Cache(ttl=0.02, key=int, value=int)
    def use():
        for i in range(100_000):
            c[i % 1000] = i
    children = []
    thread = threading.Thread(target=use)
    thread.start()
    while thread.is_alive():
        child = in_child(os.fork, lambda: [use() for _ in range(100)])
        time.sleep(random.random() / 100)
        os.kill(child, signal.SIGKILL)
        assert ended(child) == -signal.SIGKILL
    thread.join()
    assert wait_for(lambda: c.nbytes < 50_000)
    c._check()
    print("done")
    """
    )


FIRST_CALLS = {
    "bulk": "m.get_many([1])",
    "dtype": "Map(int, 'f4')",
    "memoize": "c.memoize(len, key=len)",
    "deepcopy": "c.__deepcopy__({})",
}


@pytest.mark.parametrize("call", FIRST_CALLS.values(), ids=FIRST_CALLS)
def test_a_child_may_import_what_another_thread_is_importing(call: str) -> None:
    """The other thread makes the first call of its kind, which imports modules."""
    pytest.importorskip("numpy")
    run_to_done(
        HEAD
        + f"""
    m, c = Map(int, int, {{1: 1}}), Cache(max_items=9)
    asked, go_on = threading.Semaphore(0), threading.Semaphore(0)
    def work():
        {call}
    class Stopper:  # a finder that finds nothing, and stops a thread that imports
        def find_spec(self, name, path=None, target=None):
            if threading.current_thread() is thread:
                asked.release()
                go_on.acquire(timeout=0.02)
    def call_and_tell():
        work()
        done.append(1)
        asked.release()
    sys.meta_path.insert(0, Stopper())
    thread, done, children = threading.Thread(target=call_and_tell), [], []
    thread.start()
    while asked.acquire() and not done:
        if len(children) < 12:
            children.append(in_child(os.fork, lambda: work() is None))
        go_on.release()
    thread.join()
    results = [ended(child) for child in children]
    assert not any(results), results
    print("done")
    """
    )


def test_operations_import_nothing_that_a_fork_does_not_wait_for() -> None:
    pytest.importorskip("numpy")
    run_to_done(
        HEAD
        + """
    from ebbmap._convert import imports
    unguarded = []
    def watch(event, args):
        if event == "import" and not imports._IMPORTING._is_owned():
            unguarded.append(args[0])
    async def wait(x):
        return x
    sys.addaudithook(watch)
    m, c = Map(int, int, {i: i for i in range(100)}), Cache(ttl="1h", max_items=1000)
    m.set_many([1], [2]), m.get_many([1]), m.get_many(list(range(100)), 0), m.delete_many([1])
    c.set_many([1], [2])
    m.copy(), m | {1: 2}, m == {1: 2}, repr(m), repr(c), c.copy(), c.__deepcopy__({}), c.stats(), m.stats()
    m.__reduce_ex__(4), c.__reduce_ex__(4), iter(m).__reduce_ex__(4)
    c.set(1, 2, ttl="2s"), c.touch(1, ttl="1s")
    with warnings.catch_warnings():
        Cache(max_bytes="1MiB")
    c.memoize(len, key=len), c.memoize(wait)
    now = [0.0]
    kept = Cache(ttl=1, timer=lambda: now[0])
    @kept.memoize(stale=10)
    def once(x):
        return 1 / (now[0] == 0)
    once(1)
    now[0] = 2.0
    once(1)
    assert wait_for(lambda: "logging" in sys.modules)
    Map(int, "f4")
    import numpy as np  # which is there
    keys = np.arange(100)
    text = Map(int, "S8")
    text.set_many(keys[:2], np.array([b"a", b"12345678"], "S20"))
    m.set_many(keys, keys), m.get_many(keys), m.get_many(keys, 0, mask=True), m.delete_many(keys)
    Map(int, "M8[s]")[1] = "2020-01-01"
    Map(int, np.dtype([("a", "i4"), ("b", "f4")]))[1] = 1, 2
    assert not unguarded, unguarded
    print("done")
    """
    )
