"""One pool of memory for all maps and caches of a process: `ebbmap.memory()`."""

from __future__ import annotations

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
