"""`ebbmap.metrics`: what Prometheus reads of caches."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest

from cache_helpers import Clock
from ebbmap import Cache, Map

pytest.importorskip("prometheus_client")

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from ebbmap.metrics import register


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def read(registry: CollectorRegistry, name: str, cache: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"ebbmap_cache_{name}", {"cache": cache, **labels})


def removals(registry: CollectorRegistry, cache: str) -> dict[str, float | None]:
    causes = ("expired", "evicted", "replaced", "deleted", "cleared")
    return {cause: read(registry, "removals_total", cache, cause=cause) for cause in causes}


def test_what_a_cache_holds(registry: CollectorRegistry) -> None:
    cache = Cache(key=int, value=bytes)
    register(cache, "customers", registry)
    assert read(registry, "entries", "customers") == 0
    cache.update({n: bytes(100) for n in range(1000)})
    assert read(registry, "entries", "customers") == 1000
    assert read(registry, "bytes", "customers") == cache.nbytes
    assert read(registry, "payload_bytes", "customers") == cache.stats()["payload_bytes"] == 108_000


def test_hits_and_misses(registry: CollectorRegistry) -> None:
    cache: Any = Cache()
    register(cache, "customers", registry)
    cache[1] = 1
    for key in (1, 1, 2):
        cache.get(key)
    assert read(registry, "hits_total", "customers") == 2
    assert read(registry, "misses_total", "customers") == 1


def test_removals_by_cause(registry: CollectorRegistry) -> None:
    clock = Clock()
    cache: Any = Cache(max_items=20, timer=clock)
    register(cache, "customers", registry)
    for n in range(25):
        cache[n] = n  # 5 evicted
    for n in range(20, 24):
        cache[n] = n  # 4 replaced
    for n in range(20, 23):
        del cache[n]
    cache.touch(23, ttl=1)
    cache.touch(24, ttl=1)
    clock.now += 1
    assert read(registry, "entries", "customers") == 15
    cache.clear()
    found = {"expired": 2, "evicted": 5, "replaced": 4, "deleted": 3, "cleared": 15}
    assert removals(registry, "customers") == found


def test_evictions_by_bytes_count_too(registry: CollectorRegistry) -> None:
    cache: Any = Cache(value=bytes, max_bytes="1MiB")
    register(cache, "customers", registry)
    for n in range(100):
        cache[n] = bytes(100_000)
    evicted = removals(registry, "customers")["evicted"]
    assert evicted == 100 - len(cache) > 80


def test_caches_share_the_families(registry: CollectorRegistry) -> None:
    caches: list[Any] = [Cache(), Cache()]
    for name, cache in zip(("one", "two"), caches, strict=True):
        register(cache, name, registry)
        cache[name] = 1
    text = generate_latest(registry).decode()
    assert text.count("# TYPE ebbmap_cache_entries gauge") == 1
    assert text.count("# TYPE ebbmap_cache_removals_total counter") == 1
    assert 'ebbmap_cache_entries{cache="one"} 1.0' in text
    assert 'ebbmap_cache_entries{cache="two"} 1.0' in text
    assert 'ebbmap_cache_removals_total{cache="two",cause="evicted"} 0.0' in text


def test_a_name_is_taken_once(registry: CollectorRegistry) -> None:
    cache: Any = Cache()
    first = register(cache, "customers", registry)
    for again in (cache, Cache()):
        with pytest.raises(ValueError, match="a cache is registered as 'customers' already"):
            register(again, "customers", registry)
    register(cache, "customers", CollectorRegistry())
    first.unregister()
    other: Any = Cache()
    register(other, "customers", registry)
    first.unregister()  # not the other
    assert read(registry, "entries", "customers") == 0


def test_a_dropped_cache_disappears(registry: CollectorRegistry) -> None:
    cache: Any = Cache()
    register(cache, "customers", registry)
    del cache
    gc.collect()
    assert read(registry, "entries", "customers") is None
    other: Any = Cache()
    register(other, "customers", registry)
    assert read(registry, "entries", "customers") == 0
    del other
    gc.collect()
    another: Any = Cache()
    register(another, "customers", registry)  # without a reading between
    assert read(registry, "entries", "customers") == 0


def test_a_reading_leaves_nothing_of_a_dropped_cache(registry: CollectorRegistry) -> None:
    cache: Any = Cache()
    registration = weakref.ref(register(cache, "customers", registry))
    assert registration() is not None, "the registry has it"
    del cache
    gc.collect()
    assert read(registry, "entries", "customers") is None
    assert registration() is None


def test_the_process_has_a_registry() -> None:
    cache: Any = Cache()
    registration = register(cache, "test_the_process_has_a_registry")
    try:
        assert read(REGISTRY, "entries", "test_the_process_has_a_registry") == 0
    finally:
        registration.unregister()
    assert read(REGISTRY, "entries", "test_the_process_has_a_registry") is None


def test_nothing_but_a_cache_is_taken(registry: CollectorRegistry) -> None:
    other: Any = Map()
    with pytest.raises(TypeError, match="cache must be a Cache, not Map"):
        register(other, "customers", registry)
    assert generate_latest(registry) == b""


def test_a_name_is_text(registry: CollectorRegistry) -> None:
    cache: Any = Cache()
    with pytest.raises(TypeError, match="name must be a str, not int"):
        register(cache, 5, registry)  # type: ignore[arg-type]  # what is tested


def test_without_the_client_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['prometheus_client'] = None; import ebbmap.metrics"
    ran = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "ebbmap.metrics needs prometheus-client: pip install 'ebbmap[metrics]'" in ran.stderr
