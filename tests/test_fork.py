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


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
@pytest.mark.parametrize("kinds", ["key=int, value=bytes", ""], ids=["inline", "objects"])
def test_a_child_is_swept(fork: str, kinds: str) -> None:
    run_to_done(
        HEAD
        + f"""
    c = Cache(ttl=0.5, {kinds})
    for i in range(50_000):
        c[i] = b"x" * 100
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
        HEAD
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
