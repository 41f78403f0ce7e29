"""The rules of `Cache` in plain Python: slow, small, and plain to see. What the tests compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from math import inf
from typing import Any

_ABSENT: Any = object()
OnRemove = Callable[[Any, Any, str], object]


class Entry:
    """A key and its value, when it ends, and what the hand knows of it."""

    def __init__(self, key: Any, value: Any) -> None:
        self.key, self.value = key, value
        self.until = self.idle_until = inf
        self.standing: int | str = "guest"  # or "tried"; or, judged and used, for how many laps it may idle
        self.came = 0  # in that lap, if it is tried
        self.used_early = False  # in the lap in which it came, if it is tried
        self.used = False  # otherwise, since the hand last came by

    @property
    def end(self) -> float:
        return min(self.until, self.idle_until)


class Eviction:
    """SIEVE, with trials for a share of the newcomers (docs/design.md). The queue is the dict of entries."""

    def __init__(self, queue: dict[Any, Entry]) -> None:
        self.queue = queue
        self.hand: Entry | None = None
        self.lap = 0
        self.share, self.carried = 64, 0  # of 64 newcomers, so many are tried; and what is left over
        self.counts: Counter[str] = Counter()

    def come(self, entry: Entry) -> None:
        self.carried += self.share
        if self.carried >= 64:
            self.carried -= 64
            entry.standing, entry.came = "tried", self.lap

    def is_new(self, entry: Entry) -> bool:
        """Tried, and not before the next lap."""
        return entry.standing == "tried" and entry.came == self.lap

    def use(self, entry: Entry) -> None:
        if self.is_new(entry):
            entry.used_early = True
        else:
            entry.used = True

    def leave(self, entry: Entry) -> None:
        """Before the entry does."""
        if self.hand is entry:
            self.hand = next(iter(self.since(entry)[1:]), None)

    def since(self, entry: Entry | None) -> list[Entry]:
        """An entry and what came after it."""
        queue = list(self.queue.values())
        return queue[queue.index(entry) :] if entry else []

    def victim(self) -> Entry:
        while True:
            rest = self.since(self.hand)
            if all(map(self.is_new, rest)):
                self.begin_lap()
                rest = self.since(self.hand)
            if not self.stays(rest[0]):
                return rest[0]
            self.hand = rest[1] if rest[1:] else None

    def begin_lap(self) -> None:
        self.learn()
        self.lap += 1
        self.hand = next(iter(self.queue.values()))

    def learn(self) -> None:
        tried, tried_used, idle, idle_used = (
            self.counts[name] for name in ("tried", "tried, used", "idle", "idle, used")
        )
        if min(tried, idle) < 32:
            return
        more = 2 * tried_used * idle > idle_used * tried
        self.share = min(64, self.share + 16) if more else max(1, self.share - 8)
        self.counts.clear()

    def stays(self, entry: Entry) -> bool:
        """Whether the entry that the hand is at stays for this lap; it has been judged then."""
        if self.is_new(entry):
            return True
        if entry.standing == "tried" and not entry.used_early:
            self.count("tried", entry.used)
        if entry.standing == 0:
            self.count("idle", entry.used)
        entry.standing, entry.used = self.judged(entry), False
        return entry.standing >= 0

    def count(self, what: str, used: bool) -> None:
        self.counts[what] += 1
        self.counts[f"{what}, used"] += used

    @staticmethod
    def judged(entry: Entry) -> int:
        """For how many laps it may idle after this one; -1: it has to go."""
        if entry.used:
            return 1 if entry.standing == "guest" else 2
        if isinstance(entry.standing, int):
            return entry.standing - 1
        return 0 if entry.used_early else -1


class Reference(MutableMapping[Any, Any]):
    """A cache that looks for expired entries first in everything it does.

    A dict keeps the order in which its keys came, so `entries` is the queue too: the oldest first.
    """

    def __init__(
        self,
        *,
        timer: Callable[[], float],
        ttl: float | None = None,
        idle: float | None = None,
        max_items: int | None = None,
        on_remove: OnRemove | None = None,
    ) -> None:
        self.timer, self.ttl, self.idle, self.max_items = timer, ttl, idle, max_items
        self.on_remove = on_remove
        self.entries: dict[Any, Entry] = {}
        self.eviction = Eviction(self.entries)
        self.counts: Counter[str] = Counter()
        self.looked_at = -inf

    # --- time ---

    def now(self) -> float:
        """The time, after removing what has ended by then."""
        now = self.timer()
        if now != self.looked_at:  # lifetimes are longer than nothing
            for key in [key for key, entry in self.entries.items() if entry.end <= now]:
                self.remove(key, "expired", "expired")
        self.looked_at = now
        return now

    def renew(self, entry: Entry, ttl: float | None) -> None:
        """A lifetime that begins now; None: the cache's."""
        lifetime = self.ttl if ttl is None else ttl
        entry.until = inf if lifetime is None else self.timer() + lifetime

    def access(self, entry: Entry) -> None:
        self.eviction.use(entry)
        self.keep_from_idling(entry)

    def keep_from_idling(self, entry: Entry) -> None:
        if self.idle is not None:
            entry.idle_until = self.timer() + self.idle

    # --- leaving ---

    def remove(self, key: Any, cause: str, counted_as: str) -> Any:
        entry = self.entries[key]
        self.eviction.leave(entry)
        del self.entries[key]
        self.tell(entry, cause, counted_as)
        return entry.value

    def tell(self, entry: Entry, cause: str, counted_as: str) -> None:
        self.counts[counted_as] += 1
        if self.on_remove is not None:
            self.on_remove(entry.key, entry.value, cause)

    def evict(self) -> None:
        self.remove(self.eviction.victim().key, "evicted", "evicted_by_count")

    # --- one key ---

    def set(self, key: Any, value: Any, ttl: float | None = None) -> None:
        self.now()
        self.counts["sets"] += 1
        entry = self.entries.get(key)
        if entry is None:
            if len(self.entries) == self.max_items:
                self.evict()
            entry = self.entries[key] = Entry(key, value)
            self.eviction.come(entry)
        else:
            self.tell(entry, "replaced", "replaced")
            entry.value = value
            self.eviction.use(entry)
        self.renew(entry, ttl)
        self.keep_from_idling(entry)

    __setitem__ = set

    def look(self, key: Any) -> Any:
        """The value, or `_ABSENT`: counted, and a use of the entry."""
        self.now()
        entry = self.entries.get(key)
        self.counts["hits" if entry else "misses"] += 1
        if entry is None:
            return _ABSENT
        self.access(entry)
        return entry.value

    def get(self, key: Any, default: Any = None) -> Any:
        found = self.look(key)
        return default if found is _ABSENT else found

    def __getitem__(self, key: Any) -> Any:
        found = self.look(key)
        if found is _ABSENT:
            raise KeyError(key)
        return found

    def setdefault(self, key: Any, default: Any = None) -> Any:
        found = self.look(key)
        if found is not _ABSENT:
            return found
        self.set(key, default)
        return default

    def __contains__(self, key: Any) -> bool:
        self.now()
        return key in self.entries

    def touch(self, key: Any, ttl: float | None = None) -> bool:
        self.now()
        entry = self.entries.get(key)
        if entry is None:
            return False
        self.renew(entry, ttl)
        self.access(entry)
        return True

    def expires_in(self, key: Any) -> float | None:
        now = self.now()
        end = self.entries[key].end
        return None if end == inf else end - now

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def pop(self, key: Any, default: Any = _ABSENT) -> Any:
        self.now()
        if key in self.entries:
            return self.remove(key, "deleted", "deleted")
        if default is _ABSENT:
            raise KeyError(key)
        return default

    # --- many ---

    def get_many(self, keys: Iterable[Any], default: Any = None) -> list[Any]:
        return [self.get(key, default) for key in keys]

    def set_many(self, keys: Iterable[Any], values: Iterable[Any], ttl: float | None = None) -> None:
        for key, value in zip(keys, values, strict=True):
            self.set(key, value, ttl)

    def delete_many(self, keys: Iterable[Any]) -> int:
        before = self.counts["deleted"]
        for key in keys:
            self.pop(key, None)
        return self.counts["deleted"] - before

    def expire(self) -> None:
        self.now()

    def clear(self) -> None:
        self.now()
        for key in list(self.entries):
            self.remove(key, "cleared", "cleared")

    def __ior__(self, other: Any) -> Reference:
        self.update(other)
        return self

    # --- the whole ---

    def __iter__(self) -> Iterator[Any]:
        self.now()
        return iter(list(self.entries))

    def __len__(self) -> int:
        self.now()
        return len(self.entries)

    def contents(self) -> dict[Any, Any]:
        """What is alive. No use of anything."""
        self.now()
        return {key: entry.value for key, entry in self.entries.items()}

    def stats(self) -> dict[str, int]:
        """The counts that a `Cache` keeps too."""
        self.now()
        removed = self.counts["deleted"] + self.counts["cleared"]
        return {**{name: self.counts[name] for name in COUNTED}, "removed": removed, "entries": len(self)}


COUNTED = ["hits", "misses", "sets", "replaced", "expired"]
COUNTED += ["evicted_by_count", "evicted_by_bytes", "deleted", "cleared"]
