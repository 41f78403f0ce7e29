"""Memoized functions that leave their process: sent by value, and by name."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import cloudpickle
import pytest

from ebbmap import Cache


def run(program: str, *args: object, folder: Path | None = None) -> str:
    """What a Python program prints, run as `__main__` in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, args)]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=120, cwd=folder
    ).stdout.strip()


SEND = """
    import sys, cloudpickle
    from ebbmap import Cache

    cache = Cache()
    @cache.memoize
    def sq(n): return n * n
    @cache.memoize
    def add(a, b=0): return a + b
    @cache.memoize(ttl=60, stale=5)
    def late(n): return -n
    @cache.memoize(key=lambda n: str(n))
    def keyed(n): return n + 1
    @cache.memoize
    async def asynchronous(n): return n
    @Cache(key=int, value=int).memoize
    def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
    class Shop:
        @cache.memoize
        def price(self, n): return n + 2
    sq(2)
    with open(sys.argv[1], "wb") as file:
        cloudpickle.dump((sq, add, late, keyed, asynchronous, fib, Shop), file)
"""
RECEIVE = """
    import asyncio, pickle, sys

    sq, add, late, keyed, asynchronous, fib, Shop = pickle.load(open(sys.argv[1], "rb"))
    five = asyncio.run(asynchronous(5))
    print(sq(7), sq(7), add(1, b=2), late(3), keyed(4), five, fib(30), Shop().price(6))
    print(sq.cache is add.cache, sq.cache[2], sq.invalidate(7), sq.invalidate(7), sq.refresh(3))
"""


def test_a_function_sent_by_value_works_where_it_arrives(tmp_path: Path) -> None:
    run(SEND, tmp_path / "sent")
    calls, cache = run(RECEIVE, tmp_path / "sent").splitlines()
    assert calls == "49 49 3 -3 5 5 832040 8"
    assert cache == "True 4 True False 9"


def test_a_function_is_sent_while_a_call_of_it_is_under_way() -> None:
    cache = Cache()
    sent: list[bytes] = []

    @cache.memoize
    def load(n: int) -> int:
        if not sent:
            sent.append(cloudpickle.dumps(load))
        return n

    load(1)
    arrived = cloudpickle.loads(sent[0])
    sent.append(b"")
    assert arrived(1) == 1


def test_a_function_is_sent_to_a_worker_of_joblib() -> None:
    pytest.importorskip("joblib")
    program = """
        from joblib import Parallel, delayed
        from ebbmap import Cache

        @Cache().memoize
        def sq(n): return n * n

        print(Parallel(n_jobs=2)(delayed(sq)(n) for n in (1, 2, 2)))
    """
    assert run(program) == "[1, 4, 4]"
