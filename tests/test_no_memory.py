"""Without memory nothing aborts: each allocation fails in turn, and processes are at their limits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ebbmap import Cache, ItemsView, KeysView, Map, ValuesView
from ebbmap._core import CacheIterator, Flight, MapIterator
from ebbmap.metrics import Registration
from map_helpers import run, run_to_done
from public_operations import OPERATIONS, Call, Table

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that refuses allocations."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux, for its C library, and a C compiler")
    made = tmp_path_factory.mktemp("shim") / "fail_alloc.so"
    subprocess.run(
        [compiler, "-O1", "-Wall", "-Werror", "-fPIC", "-shared", "-o", made, HERE / "fail_alloc.c"],
        check=True,
    )
    return made


# Between them they have every kind of key and value, and every way to be bounded; the long form takes all.
SOME = [
    "map of objects",
    "map of text",
    "bounded of records",
    "heavy of inline",
    "expiring of surrogates",
    "timed of large",
]


def fail_alloc(*args: str, **environment: str) -> int:
    """Run `fail_alloc.py`; how many calls failed."""
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "fail_alloc.py", *args],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-10_000:]
    return int(ran.stdout.split()[0])


@pytest.mark.parametrize("table", SOME)
def test_each_native_allocation_of_each_operation_may_fail(shim: Path, table: str) -> None:
    # Tables ask the pool, which seldom asks the C library: see below. Caches have native parts of their own.
    least = 0 if table.startswith("map") else 40
    assert fail_alloc("native", "7", table, LD_PRELOAD=str(shim)) >= least


@pytest.mark.parametrize("table", SOME)
def test_each_request_of_each_operation_to_the_pool_may_fail(table: str) -> None:
    assert fail_alloc("pool", "7", table) > 50


@pytest.mark.parametrize("table", SOME)
def test_each_of_cpythons_allocations_of_each_operation_may_fail(table: str) -> None:
    pytest.importorskip("_testcapi", reason="CPython was built without its test module")
    assert fail_alloc("python", "3", table) > 500


def public(owner: type) -> set[str]:
    """What a class has that is for its users: not what is private, of every object or of every class."""
    names = {name for name in dir(owner) if not name.startswith("_") or name.endswith("__")}
    return {name for name in names - NO_OPERATIONS if getattr(owner, name) is not getattr(object, name, None)}


# Data of a class, and what is called as one is defined.
NO_OPERATIONS = {
    *(
        "__abstractmethods__",
        "__annotations__",
        "__annotations_cache__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__hash__",
        "__module__",
    ),
    *(
        "__orig_bases__",
        "__parameters__",
        "__slotnames__",
        "__slots__",
        "__static_attributes__",
        "__weakref__",
    ),
    *("__class__", "__init_subclass__", "__subclasshook__", "__new__"),
}


@pytest.mark.parametrize(
    "owner", [Map, Cache, KeysView, ItemsView, ValuesView, MapIterator, CacheIterator, Flight, Registration]
)
def test_no_operation_is_left_out(owner: type) -> None:
    assert public(owner) <= set(OPERATIONS[owner.__name__])


def test_no_operation_of_memoized_functions_is_left_out() -> None:
    memoized = Cache().memoize(str.upper)
    named = {*vars(memoized), *(name for cls in type(memoized).__mro__[:-1] for name in vars(cls))}
    own = {name for name in named if not name.startswith("_")}
    assert own == set(OPERATIONS["memoized"])


def called(call: Call) -> set[str]:
    """The names of the functions that a call calls."""
    names = set[str]()
    if isinstance(call, partial):
        names.add(call.func.__name__)

    def note(frame: FrameType, event: str, what: Any) -> None:
        names.add(what.__name__ if event.startswith("c_") else frame.f_code.co_name)

    sys.setprofile(note)
    try:
        call()
    except Exception:
        pass
    finally:
        sys.setprofile(None)
    return names


@pytest.mark.parametrize("owner", [Map, Cache])
def test_an_operation_uses_what_it_is_named_for(owner: type) -> None:
    table = "map of text" if owner is Map else "expiring of text"
    for name in public(owner):
        if callable(getattr(owner, name)) and not name.startswith("_"):
            assert any(name in called(call) for call in OPERATIONS[owner.__name__][name](Table(table, 3))), (
                name
            )


def test_maps_in_maps_are_dropped_without_memory(shim: Path) -> None:
    script = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from ebbmap import Map
        from fail_alloc import Native
        dropped = 0
        class Counted:
            def __del__(self):
                global dropped
                dropped += 1
        chain = Map({i: Map({0: Counted()}) for i in range(300)})  # of which each waits for those around it
        for _ in range(39):
            chain = Map({0: chain})
        refuser = Native()
        refuser.refuse(1, after=True)
        del chain
        refuser.stop()
        assert dropped == 300, dropped
        print("done")
    """
    assert run(script, HERE, LD_PRELOAD=str(shim)).strip() == "done"


@pytest.mark.parametrize("kinds", ["int, int", "int, str", "str, bytes", "int, 'S9'", "object, str"])
@pytest.mark.parametrize("table", ["Map({})", "Cache(key={0}, value={1})"])
def test_setdefault_without_memory_sets_nothing(table: str, kinds: str) -> None:
    """What it returns is made before the value is set, so no refusal comes between."""
    pytest.importorskip("_testcapi", reason="CPython was built without its test module")
    if "'" in kinds:
        pytest.importorskip("numpy")
    made = table.format(kinds) if table.startswith("Map") else table.format(*kinds.split(", "))
    run_to_done(f"""
        import _testcapi
        from ebbmap import Cache, Map
        key = {{"int": 7, "str": "seven", "object": 7}}["{kinds.partition(",")[0]}"]
        value = {{"int": 10**18, "str": "x" * 50}}.get("{kinds.rpartition(" ")[2]}", b"x" * 9)
        # A dtype makes a closure for its first value: CPython 3.12 and 3.13 crash without memory for cells.
        {made}.setdefault(key, value)
        refused = 0
        for nth in range(60):  # the allocation after so many
            table = {made}
            _testcapi.set_nomemory(nth, nth + 1)
            try:
                table.setdefault(key, value)
                stays = True
            except (MemoryError, SystemError):  # NumPy hashes a dtype, and leaves its error behind
                stays = False
            finally:
                _testcapi.remove_mem_hooks()
            assert (key in table) is stays, nth
            refused += not stays
        assert refused > 0
        print("done")
    """)


@pytest.mark.parametrize("spare", [1, 4, 9, 10, 16])
def test_a_process_at_its_limit_is_swept(spare: int) -> None:
    pytest.importorskip("resource")
    run_to_done(f"""
        import resource, time
        from ebbmap import Cache
        caches = [Cache(ttl=0.3, key=int, value=bytes) for _ in range(50)]
        for c in caches:
            for i in range(300):
                c[i] = b"x" * 100
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ({spare} << 20), -1))
        end = time.monotonic() + 5
        while any(c.nbytes > 20_000 for c in caches) and time.monotonic() < end:
            time.sleep(0.05)
        assert all(len(c) == 0 for c in caches)
        for c in caches:
            c._check()
        print("done")
    """)


fragile = pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 14),
    reason="CPython 3.12 and 3.13 crash without memory for a generator, a cell or a traceback's frame",
)


@pytest.mark.parametrize(
    ("before", "made"),
    [
        pytest.param("M = type('M', (Map,), {})", "M()", marks=fragile),
        ("C = type('C', (Cache,), {})", "C(ttl=5)"),
        pytest.param("", "type('M', (Map,), {})()", marks=fragile),
        pytest.param("", "type('C', (Cache,), {})(ttl=5)", marks=fragile),
        pytest.param("", "Cache().memoize(abs)", marks=fragile),
        pytest.param("C = type('C', (Flight,), {})", "C()", marks=fragile),
    ],
)
def test_an_instance_with_attributes_that_can_not_be_made(before: str, made: str) -> None:
    """CPython drops what it has allocated, all zero bytes, where there is no memory for the attributes."""
    run_to_done(
        f"""
        import _testcapi
        from ebbmap import Cache, Map
        from ebbmap._core import Flight
        {before}
        for nth in range(1, 80):
            for count in (1, 8):
                try:
                    _testcapi.set_nomemory(nth, nth + count)
                    {made}
                except (MemoryError, SystemError):
                    pass
                finally:
                    _testcapi.remove_mem_hooks()
        print("done")
        """
    )
