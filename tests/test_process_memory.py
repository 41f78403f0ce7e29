"""One pool of memory for all maps and caches of a process: `ebbmap.memory()`."""

from __future__ import annotations

import pytest

import ebbmap
from ebbmap import Cache, Map
from map_helpers import MIB, RSS, linux, run


def test_memory_tells_what_all_tables_hold() -> None:
    before = ebbmap.memory()
    assert set(before) == {"reserved_bytes", "held_bytes", "spare_bytes", "returned_bytes", "mappings"}
    maps = [Map(int, bytes) for _ in range(500)]
    for m in maps:
        m.update((i, b"x" * 100) for i in range(60))
    full = ebbmap.memory()
    held = full["held_bytes"] - before["held_bytes"]
    own = Map(int, bytes).nbytes
    assert held == sum(m.nbytes - own for m in maps)
    assert full["held_bytes"] + full["spare_bytes"] <= full["reserved_bytes"]
    del m
    maps.clear()
    after = ebbmap.memory()
    assert after["held_bytes"] == before["held_bytes"]
    assert after["returned_bytes"] > full["returned_bytes"]
    assert after["spare_bytes"] <= before["spare_bytes"] + MIB


@linux
def test_what_small_tables_held_goes_back_to_the_system() -> None:
    run(
        RSS
        + """
    import ebbmap
    def fill(m):
        for i in range(60):
            m[i] = b"x" * 100
    tables = [Map(int, bytes) for _ in range(4_000)]
    gc.collect()
    start = rss()
    for m in tables:
        fill(m)
    full = rss()
    assert full - start > 24 << 20, full - start
    for m in tables:
        m.clear()
    assert rss() - start < 4 << 20, (rss() - start, ebbmap.memory())
    for m in tables:
        fill(m)
    assert abs(rss() - full) < 2 << 20, (rss() - full, ebbmap.memory())
    """
    )


@linux
def test_mappings_are_few_whatever_is_deleted() -> None:
    run(
        RSS
        + """
    import ebbmap
    def mappings():
        with open("/proc/self/maps") as file:
            return sum(1 for _ in file)
    start = mappings()
    m = Map(int, bytes)
    for i in range(8_000):
        m[i] = bytes(33_000)
    for i in range(0, 8_000, 2):
        del m[i]
    assert mappings() - start <= 100, mappings() - start
    for i in range(0, 8_000, 2):
        m[i] = bytes(33_000)
    assert len(m) == 8_000 and mappings() - start <= 100, mappings() - start
    m.clear()
    assert rss() < 200 << 20 and ebbmap.memory()["mappings"] <= 10, ebbmap.memory()
    """
    )


def test_a_cache_and_a_map_share_the_pool() -> None:
    before = ebbmap.memory()["held_bytes"]
    c: Cache[int, bytes] = Cache(ttl=60, key=int, value=bytes)
    m = Map(int, int)
    c[1], m[1] = b"x", 1
    assert ebbmap.memory()["held_bytes"] > before
    del c, m
    assert ebbmap.memory()["held_bytes"] == before


@linux
def test_after_a_peak_few_addresses_stay_reserved() -> None:
    """A small map lives on, and what is spare of the pool is in no large area."""
    run(
        """
    import ebbmap
    def reserved():
        return ebbmap.memory()["reserved_bytes"]
    small = ebbmap.Map(int, bytes, {i: bytes(100) for i in range(1_000)})
    for size, count in (100, 1_000_000), (1_000, 200_000), (40_000, 5_000):
        m = ebbmap.Map(int, bytes)
        for i in range(count):
            m[i] = bytes(size)
        assert reserved() > 128 << 20
        for i in range(count):
            del m[i]
        assert reserved() <= 16 << 20, ebbmap.memory()
    small.clear()
    assert reserved() <= 8 << 20, ebbmap.memory()
    """
    )


@linux
def test_an_address_space_is_used_to_the_end() -> None:
    """Where a larger area is refused, a smaller one does; and what is empty or spare makes room."""
    run(
        """
    import resource
    from pathlib import Path
    import ebbmap
    limit = 256 << 20
    used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
    for which in resource.RLIMIT_AS, resource.RLIMIT_DATA:
        start = used if which == resource.RLIMIT_AS else 1024 * int(
            Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]
        )
        resource.setrlimit(which, (start + limit, resource.RLIM_INFINITY))
        for size in 100, 30_000, 2 << 20, 100:
            m = ebbmap.Map(int, bytes)
            value = bytes(size)
            try:
                for i in range(limit // size):
                    m[i] = value
            except MemoryError:
                pass
            else:
                raise AssertionError("no limit")
            assert m.nbytes > limit * 3 // 4, (which, size, m.nbytes, ebbmap.memory())
            for i in range(0, len(m), 2):
                del m[i]
            m[-1] = value
            assert m[-1] == value
            m.clear()
        resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        del m
    """
    )


LOCKED = """
    import ctypes, os
    def lock_memory(how):
        # Else CPython's own memory could not grow.
        if ctypes.CDLL(None).mlockall(how):
            print("not permitted")
            os._exit(0)
    CURRENT, FUTURE = 1, 2
"""


def _run_locked(script: str) -> None:
    if run(RSS + LOCKED + script).strip() == "not permitted":
        pytest.skip("this process may not lock memory")


@linux
def test_locked_memory_is_what_tables_hold() -> None:
    """After `mlockall(MCL_FUTURE)` a mapping gets all its memory at once, and keeps it."""
    _run_locked(
        """
    import ebbmap
    ebbmap.Map(int, int)[1] = 1
    lock_memory(FUTURE)
    start = rss()
    for _ in range(2):
        m = ebbmap.Map(int, bytes)
        for i in range(600_000):
            m[i] = bytes(100)
        held = ebbmap.memory()["held_bytes"]
        assert held > 60 << 20 and rss() - start <= held + (8 << 20), (rss() - start, ebbmap.memory())
        for i in range(600_000):
            del m[i]
        assert rss() - start <= 8 << 20, (rss() - start, ebbmap.memory())
    """
    )


@linux
def test_memory_that_is_locked_later_goes_back() -> None:
    _run_locked(
        """
    import ebbmap
    m = ebbmap.Map(int, bytes)
    start = rss()
    for i in range(600_000):
        m[i] = bytes(100)
    lock_memory(CURRENT)
    for i in range(600_000):
        del m[i]
    assert rss() - start <= 16 << 20, (rss() - start, ebbmap.memory())
    """
    )
