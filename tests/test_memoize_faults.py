"""What a memoized function survives: interrupts, other callers on the same thread, being sent by value."""

from __future__ import annotations

import copy
import ctypes
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from ebbmap import Cache
from ebbmap._internal.absent import ABSENT
from map_helpers import run_to_done

SECONDS = float(os.environ.get("EBBMAP_STORM_SECONDS", "1.5"))  # of interrupts in each test
KEYS = 50


class Interrupt(BaseException):
    """As `KeyboardInterrupt`: no `except Exception` takes it."""


@pytest.fixture
def interrupts() -> Iterator[None]:
    """A signal that raises, all the time."""

    def interrupt(signum: int, frame: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _calls_of(load: Any, key: int) -> list[Callable[[], Any]]:
    return [lambda: load(key), lambda: load.invalidate(key), lambda: load.refresh(key)]


def _all_answer(load: Any) -> None:
    """Every key answers, in a thread that did not make the interrupted calls."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.extend(load(key) for key in range(KEYS)), daemon=True)
    thread.start()
    thread.join(10)
    assert answers == [key * key for key in range(KEYS)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one may come in a finalizer
@pytest.mark.parametrize(
    "options", [{}, {"ttl": 0.002, "stale": 0.001}, {"key": lambda key: (key, "")}], ids=str
)
def test_a_signal_leaves_no_key_stuck(options: dict[str, Any], interrupts: None) -> None:
    @Cache().memoize(**options)
    def load(key: int) -> int:
        return key * key

    end, i = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        i += 1
        with suppress(Interrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.0001)
            for call in _calls_of(load, i % KEYS):
                call()
            signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    _all_answer(load)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one may come in a finalizer
def test_an_exception_from_another_thread_leaves_no_key_stuck() -> None:
    @Cache().memoize
    def load(key: int) -> int:
        return key * key

    done = threading.Event()

    def work() -> None:
        i = 0
        while not done.is_set():
            i += 1
            with suppress(Interrupt):
                for call in _calls_of(load, i % KEYS):
                    call()

    def guarded() -> None:
        while not done.is_set():
            with suppress(Interrupt):
                work()

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupt)
        )
        time.sleep(0.0001)
    done.set()
    thread.join(10)
    _all_answer(load)


ASYNC_STORM = """
    import asyncio, ctypes, os, signal, sys, threading, time
    from contextlib import suppress
    from ebbmap import Cache

    KEYS = 50
    sys.unraisablehook = lambda unraisable: None  # what comes in a finalizer

    class Interrupt(BaseException):
        pass

    def interrupt_thread(thread):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupt))

    @Cache().memoize(**{options})
    async def load(key):
        await asyncio.sleep(0)
        return key * key

    async def work(first):
        for i in range(first, first + 10_000):
            key = i % KEYS
            answers = await asyncio.gather(load(key), load(key), load.refresh(key), load((key + 1) % KEYS))
            right = [key ** 2] * 3 + [((key + 1) % KEYS) ** 2]
            # An interrupted `gather` may list the interrupt.
            assert all(one == two or type(one) is Interrupt for one, two in zip(answers, right)), answers
            load.invalidate(key)

    def run(first):
        # A loop that is left as it is, or closed with whatever is left in it.
        loops[threading.get_ident()] = loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        try:
            loop.run_until_complete(work(first))
        finally:
            if first % 2:
                loop.close()

    def stop_loops():
        # One in which an interrupt took away what was to go on would wait without end.
        for loop in list(loops.values()):
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)

    def run_on(done, errors, n=0):
        while not done.is_set():
            n += 1
            try:
                while not done.is_set():
                    n += 1
                    run(n * 7)
            except Interrupt:
                pass
            except BaseException as error:
                errors.append(error)

    done, errors, loops = threading.Event(), [], {}
    {storm}
    errors = [error for error in errors if "same key" in str(error) or isinstance(error, AssertionError)]
    assert not errors, errors

    async def answers():
        return await asyncio.gather(*(load(key) for key in range(KEYS)))

    asyncio._set_running_loop(None)  # an interrupt may have left one
    assert asyncio.run(asyncio.wait_for(answers(), 10)) == [key * key for key in range(KEYS)]
    print("done")
    sys.stdout.flush()
    os._exit(0)  # whatever is left of the loops
"""
SIGNALS = """
    def interrupt(signum, frame):
        while frame is not None and frame.f_code is not run_on.__code__:
            if frame.f_code is sys.unraisablehook.__code__:
                return
            frame = frame.f_back
        if frame is not None:
            raise Interrupt
    signal.signal(signal.SIGALRM, interrupt)
    threading.Timer({seconds}, lambda: (done.set(), stop_loops())).start()
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.0001)
    while not done.is_set():
        try:
            run_on(done, errors, time.monotonic_ns() % 1000)
        except Interrupt:
            pass
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
"""
THREADS = """
    def guarded():
        while not done.is_set():
            with suppress(Interrupt):
                run_on(done, errors, time.monotonic_ns() % 1000)
    threads = [threading.Thread(target=guarded, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + {seconds}
    while time.monotonic() < end:
        for thread in threads:
            interrupt_thread(thread)
        time.sleep(0.001)
        if time.monotonic_ns() % 50 == 0:
            stop_loops()
    done.set()
    for _ in range(100):
        stop_loops()
        for thread in threads:
            interrupt_thread(thread)
            thread.join(0.1)
    assert not any(thread.is_alive() for thread in threads)
"""


@pytest.mark.parametrize("options", [{}, {"ttl": 0.002, "stale": 0.001}], ids=str)
@pytest.mark.parametrize("storm", [SIGNALS, THREADS], ids=["signals", "threads"])
def test_interrupts_leave_no_key_of_a_coroutine_stuck(storm: str, options: dict[str, Any]) -> None:
    program = ASYNC_STORM.replace("{storm}", storm.replace("{seconds}", str(SECONDS)).strip())
    run_to_done(program.replace("{options}", repr(options)))


def test_a_call_that_is_done_is_no_part_of_a_circle() -> None:
    cache = Cache()
    in_user, go_on = threading.Event(), threading.Event()

    @cache.memoize
    def user(key: int) -> str:
        in_user.set()
        go_on.wait(10)
        return f"user {key}"

    @cache.memoize
    def profile(key: int) -> str:
        return f"profile of {user(key)}"

    for _ in range(20):
        cache.clear()
        in_user.clear()
        go_on.clear()
        results: list[Any] = []

        def first(results: list[Any] = results) -> None:
            try:
                user(5)
                results.append(profile(5))
            except RuntimeError as error:
                results.append(error)

        threads = [threading.Thread(target=first)]
        threads[0].start()
        in_user.wait(10)
        threads.append(threading.Thread(target=lambda results=results: results.append(profile(5))))
        threads[1].start()
        time.sleep(0.002)  # the second waits in `user`
        go_on.set()
        for thread in threads:
            thread.join(10)
        assert results == ["profile of user 5"] * 2


def test_greenlets_of_one_thread_are_callers_of_their_own() -> None:
    greenlet = pytest.importorskip("greenlet")

    @Cache().memoize
    def load(key: int) -> str:
        greenlet.getcurrent().parent.switch("waits")
        return f"loaded {key}"

    callers = [greenlet.greenlet(load) for _ in range(3)]
    assert [caller.switch(1) for caller in callers] == ["waits"] * 3
    assert [caller.switch() for caller in callers] == ["loaded 1"] * 3
    assert load(1) == "loaded 1"


def test_a_call_that_calls_itself_in_a_greenlet_is_refused() -> None:
    greenlet = pytest.importorskip("greenlet")

    @Cache().memoize
    def load(key: int) -> Any:
        return load(key)

    with pytest.raises(RuntimeError, match="same key again"):
        greenlet.greenlet(load).switch(1)


def test_the_sentinel_is_itself_wherever_it_goes() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    assert copy.copy(ABSENT) is copy.deepcopy(ABSENT) is ABSENT
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(ABSENT, protocol)) is ABSENT
        assert cloudpickle.loads(cloudpickle.dumps(ABSENT, protocol)) is ABSENT


@pytest.mark.parametrize(
    "options", ["", "(ttl=60, stale=30)", "(key=lambda n, **more: ('square', n, *more.items()))"]
)
def test_a_function_sent_by_value_works_where_it_arrives(options: str) -> None:
    pytest.importorskip("cloudpickle")
    run_to_done(f"""
        import cloudpickle
        from ebbmap import Cache
        @Cache(ttl=60).memoize{options}
        def square(n, *, times=1):
            return n * n * times
        assert square(3) == 9
        there = cloudpickle.loads(cloudpickle.dumps(square))
        assert (there(7), there(7), there(3), there(2, times=2)) == (49, 49, 9, 8)
        assert there.cache is not square.cache
        assert there.invalidate(7) and there(7) == 49
        print("done")
    """)


def test_a_function_works_in_joblib_workers() -> None:
    pytest.importorskip("joblib")
    run_to_done("""
        from joblib import Parallel, delayed
        from ebbmap import Cache
        @Cache(ttl=60).memoize
        def square(n):
            return n * n
        assert Parallel(n_jobs=2)(delayed(square)(n % 3) for n in range(6)) == [0, 1, 4, 0, 1, 4]
        print("done")
    """)
