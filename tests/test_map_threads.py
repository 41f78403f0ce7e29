"""Writers, readers and bulk calls together; forks in the middle. No sleeps: work is counted, not timed."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import Any

import numpy as np
import pytest

from ebbmap import Map
from map_helpers import agrees, popitem_hands_out_each_once, run, together, walk_gives_each_once

AnyMap: Any = Map


@pytest.fixture(autouse=True)
def switch_often() -> Any:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_writers_readers_and_bulk_calls_together() -> None:
    m = Map(int, int, {i: i for i in range(1000)})
    steady = np.arange(1000)
    done = threading.Event()

    def write(lane: int) -> None:
        for i in range(3000):
            key = 10_000 * lane + i % 400
            m[key] = key
            if i % 3 == 0:
                m.pop(key, None)
            if i % 50 == 0:
                m.setdefault(key, key)

    def write_bulk(lane: int) -> None:
        keys = np.arange(2000) + 100_000 * lane
        for _ in range(40):
            m.set_many(keys, keys)
            assert m.delete_many(keys) == 2000, "nobody else has these keys"

    def read() -> None:
        while not done.is_set():
            assert all(m[key] == key for key in range(0, 1000, 37))
            assert m.get(-1) is None and 5 in m and m.nbytes > 0 and len(m) >= 1000

    def read_bulk() -> None:
        while not done.is_set():
            assert (m.get_many(steady) == steady).all()
            values, found = m.get_many(np.arange(100_000, 102_000), mask=True)
            assert ((values == np.arange(100_000, 102_000)) | ~found).all()

    def whole() -> None:
        for _ in range(15):
            assert len(m.copy()) >= 1000
            assert repr(m).startswith("Map(int, int, {")
            assert m != {}
            m._check()

    def writers() -> None:
        together(lambda: write(1), lambda: write(2), lambda: write_bulk(1), lambda: write_bulk(2), whole)
        done.set()

    def guarded() -> None:
        try:
            writers()
        finally:
            done.set()

    together(guarded, read, read_bulk)
    m._check()
    assert all(m[key] == key for key in m)
    assert set(range(1000)) <= set(m)


def test_bulk_writes_are_seen_key_by_key_and_never_undone() -> None:
    m = Map(int, int)
    keys = np.arange(20_000)
    done = threading.Event()

    def write() -> None:
        try:
            for round_ in range(1, 40):
                m.set_many(keys, np.full(20_000, round_))
        finally:
            done.set()

    def read() -> None:
        seen = np.zeros(20_000, int)
        while not done.is_set():
            values, found = m.get_many(keys, mask=True)
            assert (values >= seen).all() and (found == (values > 0)).all()
            seen = values

    together(write, read, read)


def test_keys_that_another_thread_changes_during_a_bulk_call() -> None:
    """Some old and some new keys are set; each is where it is looked for."""
    run(
        """
        import sys, threading
        import numpy as np
        from ebbmap import Cache, Map

        for make in (lambda: Map(int, int), lambda: Cache(key=int, value=int)):
            for wait in range(6):
                keys = np.arange(300_000) * 7919
                values = np.arange(300_000)
                m, begun = make(), threading.Event()

                def change():
                    begun.wait()
                    for _ in range(wait * 200):
                        pass
                    keys[:] = keys[::-1].copy()

                changing = threading.Thread(target=change)
                changing.start()
                begun.set()
                m.set_many(keys, values)
                changing.join()
                m._check()
                assert all(key in m for key in m)
                m.set_many(keys, values)
                assert m.get_many(keys, mask=True)[1].all()
        """
    )


def test_objects_with_threads_that_meet_in_eq() -> None:
    class Key:
        def __init__(self, name: int) -> None:
            self.name = name

        def __hash__(self) -> int:
            return self.name % 5

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and self.name == other.name

    m: Map[Any, Any] = Map()

    def work(lane: int) -> None:
        for i in range(400):
            name = 1000 * lane + i % 20
            m[Key(name)] = name
            assert m[Key(name)] == name, "no other thread has these keys"
            if i % 2:
                assert m.pop(Key(name)) == name

    together(*(partial(work, lane) for lane in range(4)))
    m._check()
    assert len({key.name for key in m}) == len(m) == 4 * 10


def test_counting_with_setdefault_loses_nothing() -> None:
    m: Map[int, list[int]] = Map()

    def work(me: int) -> None:
        for i in range(2000):
            m.setdefault(i % 50, []).append(me)

    together(*(partial(work, me) for me in range(4)))
    assert sum(len(found) for found in m.values()) == 8000 and len(m) == 50


@pytest.mark.parametrize("kinds", [(int, int), (int, "int32"), (str, str)], ids=str)
def test_each_entry_is_handed_out_once(kinds: tuple[Any, Any]) -> None:
    model = {
        i if kinds[0] is int else f"\ud800{i}": i if kinds[1] is not str else f"{i}" for i in range(4000)
    }
    m = AnyMap(*kinds, model)
    popitem_hands_out_each_once(m)
    agrees(m, {})
    m.update(model)
    taken: list[list[Any]] = [[] for _ in range(4)]

    def pop_all(mine: list[Any]) -> None:
        mine.extend(key for key in model if m.pop(key, None) is not None)

    together(*(partial(pop_all, mine) for mine in taken))
    agrees(m, {})
    assert sorted(key for mine in taken for key in mine) == sorted(model)


@pytest.mark.parametrize("kinds", [(int, int), (int, "int32"), (object, object)], ids=str)
def test_a_walk_that_threads_share_gives_each_entry_once(kinds: tuple[Any, Any]) -> None:
    m = AnyMap(*kinds, {i: i for i in range(8000)})
    walk_gives_each_once(m)


def test_walks_end_cleanly_while_others_write() -> None:
    m = Map(int, bytes, dict.fromkeys(range(500), b"x"))
    done = threading.Event()

    def write() -> None:
        try:
            for i in range(4000):
                m[i % 700] = b"y" * (i % 90)
                if i % 5 == 0:
                    m.pop(i % 700, None)
        finally:
            done.set()

    def walk() -> None:
        while not done.is_set():
            try:
                for key, value in m.items():
                    assert 0 <= key < 700 and set(value) <= {ord("x"), ord("y")}
            except RuntimeError as error:
                assert "changed size" in str(error)

    together(write, walk, walk)
    m._check()


def test_a_fork_while_other_threads_work() -> None:
    printed = run(
        """
        import os, threading, warnings
        import numpy as np
        from ebbmap import Map
        warnings.simplefilter("ignore")  # 3.12 warns of forks beside threads
        m, objects = Map(int, int), Map()
        keys = np.arange(200_000)
        m.set_many(keys, keys)
        done = threading.Event()
        def bulk():
            while not done.is_set():
                m.set_many(keys, keys)
                m.get_many(keys)
        def single():
            i = 0
            while not done.is_set():
                objects[i % 1000] = m.get(i % 1000)
                i += 1
        threads = [threading.Thread(target=work, daemon=True) for work in (bulk, bulk, single)]
        for thread in threads: thread.start()
        for _ in range(8):
            child = os.fork()
            if child == 0:
                m._check(); objects._check()
                assert (m.get_many(keys) == keys).all()
                m.set_many(keys + 200_000, keys)
                m.clear(); m[1] = 2; objects.clear()
                m._check()
                os._exit(0 if m == {1: 2} else 3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        done.set()
        for thread in threads: thread.join()
        m._check(); objects._check()
        print(len(m))
        """
    )
    assert printed.strip() == "200000"


def test_others_run_while_a_fork_waits_for_a_bulk_call() -> None:
    """A fork that kept the interpreter meanwhile would let nobody count."""
    run(
        """
        import os, threading, time, warnings
        import numpy as np
        from ebbmap import Map
        warnings.simplefilter("ignore")
        counted, done = 0, threading.Event()
        def count():
            global counted
            while not done.is_set(): counted += 1
        threading.Thread(target=count, daemon=True).start()
        keys = np.random.default_rng(1).integers(0, 1 << 60, 1_000_000)
        for _ in range(20):
            m = Map(int, int)
            setting = threading.Thread(target=m.set_many, args=(keys, keys))
            setting.start()
            time.sleep(0.01)
            before, began = counted, time.perf_counter()
            child = os.fork()
            if child == 0: os._exit(0)
            took, during = time.perf_counter() - began, counted - before
            os.waitpid(child, 0)
            setting.join()
            if took > 0.05: break
        done.set()
        assert took <= 0.05 or during > 10_000, (took, during)
        """
    )


def test_a_fork_with_another_modules_lock_under_which_a_map_is_used() -> None:
    run(
        """
        import os, threading, warnings
        warnings.simplefilter("ignore")
        lock = threading.Lock()
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
        import numpy as np
        from ebbmap import Map  # after it, so that its hook comes first
        m, keys, done = Map(int, int), np.arange(2000), threading.Event()
        def work():
            while not done.is_set():
                with lock: m.set_many(keys, keys)
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads: thread.start()
        for _ in range(50):
            child = os.fork()
            if child == 0:
                m._check()
                os._exit(0 if len(m) in (0, 2000) else 3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        done.set()
        """
    )


def test_a_bulk_call_that_meets_a_fork_does_not_hold_it_up() -> None:
    """A hook that runs between ours and the fork waits for another thread, which begins a bulk call."""
    printed = run(
        """
        import os, threading, warnings
        asked, answered = threading.Event(), threading.Event()
        def meanwhile():  # registered first, so run last
            asked.set()
            answered.wait(1)
        os.register_at_fork(before=meanwhile)
        import numpy as np
        from ebbmap import Map
        warnings.simplefilter("ignore")
        m = Map(int, int)
        keys = np.arange(1000)
        m.set_many(keys, keys)
        def reader():
            asked.wait()
            answered.set()
            m.get_many(keys)
        thread = threading.Thread(target=reader)
        thread.start()
        child = os.fork()
        if child == 0:
            m.get_many(keys)
            os._exit(0)
        thread.join()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        timeout=20,
    )
    assert printed.strip() == "0"
