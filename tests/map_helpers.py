"""What the tests of `Map` and `Cache` share: samples of kinds, the memory promise, threads, processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from ebbmap import Map
from ebbmap._convert.dtypes import Codec

MIB = 1 << 20
NAN = float("nan")
# The fixed part of the memory promise.
FIXED = 256 << 10

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# What a script begins with that reads its own resident memory.
RSS = """
    import gc, sys
    from ebbmap import Map
    def rss():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
"""
# A script that does something over and over, and prints by how many bytes its resident memory grew.
OVER_AND_OVER = (
    RSS
    + """
    from ebbmap import Cache
    def again(work, times):
        for i in range(times): work(i)
        gc.collect()
    m, c, bounded = Map(int, bytes), Cache(ttl=60, key=int), Cache(max_bytes=200_000, key=int, value=bytes)
    def cleared(table, i):
        table[i] = b"x"
        table.clear()
    works = {
        "maps": lambda i: Map(int, bytes, {i: b"x"}),
        "maps of pairs": lambda i: Map(int, int, {i: i}),
        "objects": lambda i: Map({i: i}),
        "large maps": lambda i: Map(int, int, dict.fromkeys(range(5000), i)) if i % 20 == 0 else None,
        "copies": lambda i: Map(int, bytes, {i: b"x"}).copy(),
        "caches": lambda i: Cache(ttl=60, max_items=10, key=int).set(i, i),
        "clear": lambda i: cleared(m, i),
        "clear a cache": lambda i: cleared(c, i),
        "lengths in turn": lambda i: bounded.set(1, b"x" * (100_000 if i % 2 else 90_000)),
    }
    work = works[sys.argv[1]]
    again(work, 500)
    before = rss()
    again(work, 5000)
    print(rss() - before)
    """
)
# What a script begins with that limits its own memory, once a thread that has just begun has reserved its
# addresses.
LIMIT = """
    import resource, sys, time
    from ebbmap import Map
    from ebbmap._internal import bulk
    def reserved():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * 4096
    def limit(extra):
        used = None
        while used != reserved():
            used = reserved()
            time.sleep(0.05)
        resource.setrlimit(resource.RLIMIT_AS, (used + extra, resource.RLIM_INFINITY))
"""

KEYS: dict[type, list[Any]] = {
    object: [0, "text", b"bytes", (1, "pair"), None, 2.5, frozenset({1})],
    int: [0, 1, -1, 255, 2**31, 2**63 - 1, -(2**63)],
    str: ["", "a", "key", "naïve", "日本", "x" * 100, "\x00", "a\x00b"],
    bytes: [b"", b"a", b"key", b"\xff\x00", b"x" * 100],
}
VALUES: dict[type, list[Any]] = {
    object: [None, [1, 2], "text", object, 3.5],
    int: [0, -1, 2**63 - 1, -(2**63)],
    float: [0.0, -1.5, float("inf"), 1e-300],
    str: ["", "value", "žluť", "y" * 1000],
    bytes: [b"", b"value", bytes(range(256)), b"y" * 1000],
}
KINDS = [(key, value) for key in KEYS for value in VALUES]


def named(kinds: tuple[type, type]) -> str:
    """The name of a parameter."""
    return f"{kinds[0].__name__}-{kinds[1].__name__}"


def model_of(kinds: tuple[type, type]) -> dict[Any, Any]:
    """A dict with every sample key of a kind, and every sample value."""
    keys, values = KEYS[kinds[0]], VALUES[kinds[1]]
    return {key: values[i % len(values)] for i, key in enumerate(keys)}


def agrees(m: Any, model: Mapping[Any, Any]) -> None:
    """Assert that a map or cache holds what its model does, and is sound."""
    m._check()
    assert len(m) == len(model)
    found = dict(m.items())
    assert found == model
    assert all(m[key] == value for key, value in model.items())


def promised(m: Map[Any, Any]) -> int:
    """The most bytes that promise 1 lets a map of entries of fixed size hold.

    The hash kept with a key that is an object is of the entry, though not of what `stats()` calls payload.
    """
    stats = m.stats()
    entries = stats["entries"]
    payload = stats["payload_bytes"] + (8 * entries if m.kinds[0] is object else 0)
    return (payload * 11 // 10 if payload >= 64 * entries else payload + 12 * entries) + FIXED


def run(script: str, *args: object, timeout: float = 60, **environment: str) -> str:
    """What a script prints that runs in a process of its own; fails with its stderr where it fails."""
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script), *map(str, args)]
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def run_to_done(script: str, timeout: float = 60) -> None:
    """Run a script, which prints `done` as its last step, in a process of its own."""
    assert run(script, timeout=timeout).strip() == "done"


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[Callable[[], int]]:
    """Another thread calls `work` over and over; gives a function that says how often it has."""
    count, done = [0], threading.Event()

    def loop() -> None:
        while not done.is_set():
            work()
            count[0] += 1

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield lambda: count[0]
    finally:
        done.set()
        thread.join()


def together(*works: Callable[[], object]) -> None:
    """Run each in a thread, all from one moment on; raise what any of them raised."""
    barrier, errors = threading.Barrier(len(works)), list[BaseException]()

    def one(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]


def popitem_hands_out_each_once(m: Any) -> None:
    """Assert that threads which empty a map or cache get each of its entries, and none twice."""
    before = sorted(m)
    taken: list[list[Any]] = [[] for _ in range(4)]

    def work(mine: list[Any]) -> None:
        while True:
            try:
                mine.append(m.popitem()[0])
            except KeyError:
                return

    together(*(partial(work, mine) for mine in taken))
    assert before and sorted(key for mine in taken for key in mine) == before


def walk_gives_each_once(m: Any) -> None:
    """Assert that threads which share an iterator of a map or cache get each of its values once."""
    shared = iter(m.values())
    taken: list[list[Any]] = [[] for _ in range(4)]
    together(*(partial(mine.extend, shared) for mine in taken))
    assert sorted(value for mine in taken for value in mine) == sorted(m.values())


def changes_while_taken(m: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that `pop` and `popitem` return what is there when they end, though int32s change meanwhile."""
    during = partial(_act_while_decoding, m, monkeypatch)
    assert during(lambda: m.update({1: 20}), lambda: m.pop(1)) == 20 and not m
    assert during(lambda: m.update({1: 20}), m.popitem) == (1, 20) and not m
    assert during(m.clear, lambda: m.pop(1, None)) is None and not m
    assert during(m.popitem, lambda: m.pop(1, None)) is None and not m
    assert during(lambda: (m.clear(), m.update({2: 20})), m.popitem) == (2, 20) and not m
    with pytest.raises(KeyError):
        during(m.clear, m.popitem)
    for call in (lambda: m.pop(1), m.popitem):
        with pytest.raises(ZeroDivisionError):
            during(lambda: 1 // 0, call)
        assert dict(m) == {1: 10}


def _act_while_decoding(
    m: Any, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], call: Callable[[], object]
) -> object:
    """What `call` of `{1: 10}` returns, where `act` comes in while the first value is made."""
    decode, acts = Codec.decode, [act]

    def act_and_decode(codec: Codec, data: bytes) -> Any:
        if acts:
            acts.pop()()
        return decode(codec, data)

    m.clear()
    m[1] = 10
    with monkeypatch.context() as patch:
        patch.setattr(Codec, "decode", act_and_decode)
        result = call()
    assert not acts
    return result


def at_the_limit(made: str) -> None:
    """Assert that a map or cache that meets its process's limit raises, stays whole, and goes on."""
    script = (
        LIMIT
        + """
    from ebbmap import Cache
    m = eval(sys.argv[1])
    key, value = m.kinds
    key_of = {str: str}.get(key, lambda i: i)
    value_of = {bytes: lambda i: b"%100d" % i, str: "value {}".format}.get(value, lambda i: i)
    for i in range(1000): m[key_of(i)] = value_of(i)
    limit(8 << 20)
    i, failed, copied = 1000, False, True
    try:
        while True:
            m[key_of(i)] = value_of(i)
            i += 1
    except MemoryError:
        failed = True  # nothing that makes an object: there is no memory
    try:
        m.copy()
    except MemoryError:
        copied = False
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    m._check()
    # The memory for the next number may be what is refused first.
    assert failed and len(m) - i in (0, 1), (len(m), i)
    assert all(m[key_of(j)] == value_of(j) for j in range(i))
    for j in range(i, i + 1000): m[key_of(j)] = value_of(j)
    for j in range(i + 1000): del m[key_of(j)]
    m._check()
    print(i > 20_000, m.nbytes < 64 << 10, copied)
    """
    )
    assert run(script, made).split() == ["True", "True", "False"]


def python_allocations_failing(made: str) -> None:
    """CPython's own allocator refuses, once, at each place: `MemoryError`, and all is as it was."""
    pytest.importorskip("_testcapi", reason="CPython was built without its test module")
    printed = run(
        """
        import _testcapi, sys
        import numpy as np
        from ebbmap import Cache, Map
        from ebbmap._internal import bulk

        class Record: pass
        class Wrong:
            __hash__ = None
        record = np.array((7, b"v"), [("a", "i4"), ("b", "S200")])[()]
        key, value = ("key",), Record()
        samples = {
            (object, object): (key, value), (int, float): (2**40, 2.5), (str, str): ("k\\ud800", "é" * 300),
            (bytes, bytes): (b"k" * 300, b"v" * 300), (int, int): (2**40, 2**41), (str, object): ("é", value),
            (object, str): (key, "v\\ud800"), (int, record.dtype): (2**40, record),
        }
        calls = [
            lambda m, k, v: m[k], lambda m, k, v: m.get(k), lambda m, k, v: list(m.items()),
            lambda m, k, v: m.pop(k), lambda m, k, v: m.popitem(), lambda m, k, v: m.__setitem__(k, v),
            lambda m, k, v: m.get_many([k, k]), lambda m, k, v: m.set_many([k], [v]),
            lambda m, k, v: m.copy(), lambda m, k, v: m.setdefault(k, v), lambda m, k, v: m.update([(k, v)]),
            lambda m, k, v: m._snapshot(), lambda m, k, v: m.delete_many([k]), lambda m, k, v: m._peek(k, 1),
            lambda m, k, v: m.stats(), lambda m, k, v: m.nbytes, lambda m, k, v: m.kinds,
        ]
        # What raises: a key or value of no kind, a key that is not there, pairs that are none.
        wrong = Wrong()
        calls += [
            lambda m, k, v: m[wrong], lambda m, k, v: m.get(wrong), lambda m, k, v: m.pop(wrong),
            lambda m, k, v: m.__setitem__(k, wrong), lambda m, k, v: m.__delitem__(wrong),
            lambda m, k, v: m.update([wrong]), lambda m, k, v: m.update([(k, v, v)]),
            lambda m, k, v: m.set_many([k, k], [v]), lambda m, k, v: m.get_many([wrong]),
            lambda m, k, v: m[k + k], lambda m, k, v: m.pop(k + k),
        ]
        if "Cache" in sys.argv[1]:
            calls += [
                lambda m, k, v: m.touch(k), lambda m, k, v: m.set(k, v, ttl=5), lambda m, k, v: m.stats(),
                lambda m, k, v: m.expires_in(k), lambda m, k, v: m._get_with_lifetime(k),
                lambda m, k, v: m.expire(),
            ]
        failures = 0
        for kinds, (k, v) in samples.items():
            for number, call in enumerate(calls):
                try:
                    # Makes what is kept, also closures: CPython 3.12 and 3.13 crash without memory for one.
                    call(eval(sys.argv[1]), k, v)
                except Exception:
                    pass
                for nth in range(1, 40):
                    m = eval(sys.argv[1])
                    m[k] = v
                    error = None
                    _testcapi.set_nomemory(nth, nth + 1)
                    try:
                        call(m, k, v)
                    except MemoryError:
                        error = True
                    except Exception:
                        pass  # what the call raises with memory; a panic is no Exception
                    finally:
                        _testcapi.remove_mem_hooks()
                    m._check()
                    failures += error is True
                    if error:
                        # A removal may be done, and fail in the telling.
                        told_of = number == 12 and "on_remove" in sys.argv[1] and not m
                        assert told_of or dict(m._snapshot()) == {k: v}, (kinds, number, nth)
        print(failures > 100)
        """,
        made,
        timeout=120,
    )
    assert printed.strip() == "True"
