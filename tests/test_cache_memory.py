"""Memory follows what is alive: after expiry by itself, under a bound of bytes, and at a process's limit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cache_helpers import AnyCache, Clock, adds_up
from map_helpers import FIXED, LIMIT, MIB, RSS, at_the_limit, linux, run

BENCHES = Path(__file__).parent.parent / "benches"

CACHES: list[tuple[dict[str, Any], Any, float]] = [
    # Settings, a value, and the most bytes an entry may cost beyond its payload.
    ({"ttl": 60, "key": int}, None, 29),
    ({"ttl": 60, "key": int, "value": int}, 7, 29),
    ({"ttl": 60}, None, 37),
    ({"ttl": 60, "key": int, "value": bytes}, b"x" * 128, 29.92),
    ({"ttl": 60, "idle": 30, "key": int}, None, 45),
    ({"max_items": 10**6, "key": int}, None, 37),
]


@pytest.mark.parametrize(("config", "value", "most"), CACHES, ids=str)
def test_bytes_an_entry(config: dict[str, Any], value: Any, most: float) -> None:
    """Fill to many sizes, let all expire, twice: an entry never costs more than this and a fixed part."""
    clock = Clock()
    c = AnyCache(timer=clock, **config)
    for _ in range(2):
        for i in range(120_000):
            c[i] = value
            if i % 4000 == 0:
                stats = c.stats()
                assert stats["nbytes"] <= stats["payload_bytes"] + most * stats["entries"] + FIXED, stats
        clock.advance(60)
        if "ttl" not in config:
            c.clear()
        assert len(c) == 0 and c.nbytes < 64 << 10
    adds_up(c)


ONE: list[dict[str, Any]] = [
    {"ttl": 60},
    {"ttl": 60, "key": int},
    {"max_items": 10},
    {"ttl": 60, "idle": 60, "max_items": 10},
]


@pytest.mark.parametrize("config", ONE, ids=str)
def test_one_entry_takes_little_all_its_life(config: dict[str, Any]) -> None:
    clock = Clock()
    c = AnyCache(timer=clock, **config)
    for _ in range(3):
        c[1] = None
        for _ in range(590):
            assert len(c) == 1 and c.nbytes <= 2 << 10
            clock.advance(0.1)
    adds_up(c)


def test_nbytes_is_its_parts() -> None:
    clock = Clock()
    c = AnyCache(ttl=60, max_items=5000, max_bytes="1MiB", key=int, value=bytes, timer=clock)
    rng = random.Random(1)
    for i in range(20_000):
        c.set(rng.randrange(8000), b"x" * rng.randrange(300), ttl=rng.choice([1, 60, 1e6]))
        clock.advance(0.01)
        if i % 500 == 0:
            stats = c.stats()
            parts = {name for name in stats if name.endswith("_bytes")} - {
                "payload_bytes",
                "evicted_by_bytes",
            }
            assert sum(stats[part] for part in parts) == stats["nbytes"] == c.nbytes <= MIB, stats


def test_small_caches_are_small() -> None:
    for config in ({}, {"ttl": 60}, {"max_items": 10}, {"key": int, "value": bytes, "ttl": 60, "idle": 5}):
        c = AnyCache(**config)
        assert c.nbytes < 2 << 10
        for i in range(10):
            c[i] = b"v"
        assert c.nbytes < 12 << 10


def test_no_operation_does_much_at_once() -> None:
    """Pages got and given back, segments split and merged: while it fills, evicts and expires."""
    clock = Clock()
    c = AnyCache(ttl=60, max_items=20_000, key=int, value=int, timer=clock)
    counted = ("splits", "merges", "pages_got", "pages_given_back")
    worst, before = dict.fromkeys(counted, 0), c.stats()

    def note() -> None:
        nonlocal before
        now = c.stats()
        worst.update({name: max(worst[name], now[name] - before[name]) for name in counted})
        before = now

    for key in range(30_000):
        c[key] = key
        note()
    for _ in range(3000):
        clock.advance(0.02)  # ends by the dozen
        for key in range(7):
            c[-key] = 0
        note()
    assert worst["splits"] <= 2 and worst["merges"] <= 20, worst
    assert worst["pages_got"] <= 20 and worst["pages_given_back"] <= 40, worst


# --- max_bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_bytes", [1 << 20, 5_000_000])
def test_never_above_max_bytes_in_a_long_run_of_mixed_sizes(max_bytes: int) -> None:
    clock, rng = Clock(), random.Random(max_bytes)
    c = AnyCache(max_bytes=max_bytes, ttl=500, key=int, value=bytes, timer=clock)
    sizes = [rng.randrange(4097) for _ in range(4096)]
    values = [b"v" * size for size in sizes]
    highest = 0
    for step in range(100_000):
        key = (step * 2_654_435_761) % 7919
        if step % 5 < 3:
            c[key] = values[step % 4096]
        elif step % 5 == 3:
            c.get(key)
        else:
            c.pop(key, None)
        held = c.nbytes
        assert held <= max_bytes, step
        highest = max(highest, held)
        if step % 100 == 0:
            clock.advance(1)
    assert highest > max_bytes * 0.95, "the room is used"
    adds_up(c)


# --- the process ---------------------------------------------------------------------------------------

AT_REST = (
    RSS
    + """
    import time
    from ebbmap import Cache
    made = eval(sys.argv[1])
    n = int(sys.argv[2])
    shared = object()
    value = {object: lambda i: shared, bytes: lambda i: b"%128d" % i, int: int}[made.kinds[1]]
    def fill(c, n):
        for i in range(n): c.set(i, value(i))
    fill(Cache(key=int, value=made.kinds[1]), 2000); gc.collect()
    before = rss()
    fill(made, n)
    top, full = rss() - before, made.nbytes
    end = time.monotonic() + made.ttl + 2
    while (made or rss() - before > 1 << 20) and time.monotonic() < end: time.sleep(0.02)
    print(top, full, rss() - before, made.nbytes, len(made))
    """
)


@linux
@pytest.mark.parametrize("made", ["Cache(ttl=1, key=int)", "Cache(ttl=1, key=int, value=bytes)"])
def test_two_seconds_after_all_has_expired_nothing_is_held(made: str) -> None:
    top, full, left, nbytes, alive = map(int, run(AT_REST, made, 150_000).split())
    assert alive == 0 and full > 3 * MIB and top > 3 * MIB, "there was something to give back"
    assert nbytes <= MIB // 2 and left <= 3 * MIB, (nbytes, left)


@linux
@pytest.mark.parametrize("kinds", ["key=int, value=int", "key=int, value=bytes", "", "key=str, value=str"])
def test_at_the_limit_there_is_memory_error_and_all_is_as_it_was(kinds: str) -> None:
    at_the_limit(f"Cache(ttl=3600, idle=3600, max_items=10**9, {kinds})")


@linux
def test_expiry_at_the_limit_gives_memory_back() -> None:
    script = (
        LIMIT
        + """
    import time
    from ebbmap import Cache
    c = Cache(ttl=2, key=int, value=bytes)
    for i in range(60_000): c[i] = b"%100d" % i
    full = c.nbytes
    limit(0)
    end = time.monotonic() + 10
    while (c or c.nbytes * 21 > full) and time.monotonic() < end: time.sleep(0.02)
    small = c.nbytes
    for i in range(30_000): c.set(i, b"%100d" % i, ttl=60)  # what was given back can be had again
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    c._check()
    print(full // small, len(c))
    """
    )
    ratio, count = run(script).split()
    assert int(ratio) > 20 and count == "30000"


@linux
def test_a_short_soak(tmp_path: Path) -> None:
    """benches/soak.py in seconds instead of minutes: after each peak the memory is back where it was."""
    found = tmp_path / "soak.json"
    size = ["--seconds", "6", "--peaks", "3", "--alive", "60000"]
    command = [sys.executable, "soak.py", *size, "--json", str(found)]
    done = subprocess.run(command, cwd=BENCHES, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(found.read_text())["results"]["rounds"]
    assert len(rows) == 3
    for row in rows:
        assert row["wrong answers"] == 0 and row["alive at the peak"] > 10_000
        assert row["nbytes at the peak"] > 3 * MIB and row["nbytes in the trough"] <= MIB
        assert row["RSS at the peak"] - row["RSS in the trough"] > MIB
        assert row["RSS in the trough"] - rows[0]["RSS in the trough"] <= 3 * MIB
