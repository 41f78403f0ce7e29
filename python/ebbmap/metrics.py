"""Caches as seen by Prometheus: `register(cache, name)`. Needs `ebbmap[metrics]`.

With a cache's name as the label `cache`: the gauges `ebbmap_cache_entries`, `ebbmap_cache_bytes` (all that it
holds) and `ebbmap_cache_payload_bytes` (of keys and values), the counters `ebbmap_cache_hits_total`,
`ebbmap_cache_misses_total` and, by the label `cause`, `ebbmap_cache_removals_total`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "ebbmap.metrics needs prometheus-client: pip install 'ebbmap[metrics]'", name=error.name
    ) from None

from ebbmap import Cache

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["Registration", "register"]

_GAUGES = {
    "entries": ("entries", "Entries that are alive."),
    "bytes": ("nbytes", "Bytes held: entries and index."),
    "payload_bytes": ("payload_bytes", "Bytes of keys and values; an object counts as its pointer."),
}
_COUNTERS = {"hits": "Lookups that found an entry.", "misses": "Lookups that found none."}
_REMOVALS = "Entries removed, by cause: as `on_remove` names them."
_CAUSES = {
    "expired": ("expired",),
    "evicted": ("evicted_by_count", "evicted_by_bytes"),
    "replaced": ("replaced",),
    "deleted": ("deleted",),
    "cleared": ("cleared",),
}


class Registration:
    """A cache registered under a name."""

    def __init__(self, collector: _Caches, name: str, cache: Cache[Any, Any]) -> None:
        self._collector, self._name, self._cache = collector, name, ref(cache)

    def unregister(self) -> None:
        """Take the cache out of the metrics; nothing happens the second time."""
        self._collector.remove(self._name, self)


def register(cache: Cache[Any, Any], name: str, registry: CollectorRegistry | None = None) -> Registration:
    """Have `registry` (by default the process's) show `cache`, labelled `name`, until it is dropped.

    Its `stats()` are read when the metrics are (O(1), and as much for each entry that has expired), and it is
    not kept alive. The figures are of one process: the client's multiprocess mode leaves them out.

    Raises `ValueError` if a cache has that name in that registry, `TypeError` for what is no cache, or a name
    that is no str.
    """
    if not isinstance(cache, Cache):
        raise TypeError(f"cache must be a Cache, not {type(cache).__name__}")
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    collector = _collector_of(REGISTRY if registry is None else registry)
    return collector.add(cache, name)


class _Caches(Collector):
    """The caches of one registry: each metric is one family with a line a cache."""

    def __init__(self) -> None:
        self._registered: dict[str, Registration] = {}

    def add(self, cache: Cache[Any, Any], name: str) -> Registration:
        mine = Registration(self, name, cache)
        while (other := self._registered.setdefault(name, mine)) is not mine:
            if other._cache() is not None:
                raise ValueError(f"a cache is registered as {name!r} already")
            self.remove(name, other)
        return mine

    def remove(self, name: str, registration: Registration) -> None:
        with _changing:
            if self._registered.get(name) is registration:
                del self._registered[name]

    def describe(self) -> Iterable[Metric]:
        return _families([])

    def collect(self) -> Iterable[Metric]:
        return _families(list(self._alive()))

    def _alive(self) -> Iterator[tuple[str, dict[str, int]]]:
        for name, registration in list(self._registered.items()):
            cache = registration._cache()
            if cache is None:
                self.remove(name, registration)
            else:
                yield name, cache.stats()


def _families(caches: list[tuple[str, dict[str, int]]]) -> Iterator[Metric]:
    for name, (key, text) in _GAUGES.items():
        gauge = GaugeMetricFamily(f"ebbmap_cache_{name}", text, labels=["cache"])
        for cache, stats in caches:
            gauge.add_metric([cache], stats[key])
        yield gauge
    for name, text in _COUNTERS.items():
        counter = CounterMetricFamily(f"ebbmap_cache_{name}", text, labels=["cache"])
        for cache, stats in caches:
            counter.add_metric([cache], stats[name])
        yield counter
    yield _removals(caches)


def _removals(caches: list[tuple[str, dict[str, int]]]) -> Metric:
    counter = CounterMetricFamily("ebbmap_cache_removals", _REMOVALS, labels=["cache", "cause"])
    for cache, stats in caches:
        for cause, keys in _CAUSES.items():
            counter.add_metric([cache, cause], sum(stats[key] for key in keys))
    return counter


_collectors: WeakKeyDictionary[CollectorRegistry, _Caches] = WeakKeyDictionary()
_changing = RLock()  # a collection within may run a `__del__` that unregisters


def _collector_of(registry: CollectorRegistry) -> _Caches:
    with _changing:
        if (collector := _collectors.get(registry)) is None:
            collector = _Caches()
            registry.register(collector)
            _collectors[registry] = collector
        return collector
