"""What the tests of `Cache` share: a clock, a log of removals, and books that must balance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from ebbmap import Cache

AnyCache: Any = Cache
Removal = tuple[Any, Any, str]


class Clock:
    """Time that moves only when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        self.now += seconds
        return self.now

    def __reduce__(self) -> str:
        return "CLOCK"  # a copy goes by the same clock


class Removals(list[Removal]):
    """An `on_remove` that keeps what it is called with."""

    def __call__(self, key: Any, value: Any, cause: str) -> None:
        self.append((key, value, cause))

    def causes(self) -> list[str]:
        return [cause for _, _, cause in self]

    def __reduce__(self) -> str:
        return "REMOVALS"  # a copy tells the same log


# For caches that are pickled or copied.
CLOCK = Clock()
REMOVALS = Removals()


def cache_of(contents: Any = (), /, **config: Any) -> Any:
    """A cache with these contents."""
    made = AnyCache(**config)
    made.update(contents)
    return made


def adds_up(c: Cache[Any, Any]) -> dict[str, int]:
    """Assert that a cache is sound and that its books balance; returns its stats."""
    c._check()
    stats = c.stats()
    gone = ("replaced", "expired", "evicted_by_count", "evicted_by_bytes", "removed")
    assert stats["sets"] == stats["entries"] + sum(stats[name] for name in gone), stats
    assert stats["removed"] == stats["deleted"] + stats["cleared"], stats
    return stats


def same_whatever_order(some: Iterable[Removal], others: Iterable[Removal]) -> bool:
    """Whether two logs have the same removals; values need be neither hashable nor orderable."""
    return sorted(map(repr, some)) == sorted(map(repr, others))


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for what the sweeper, or another thread or process, will do in its own time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)
