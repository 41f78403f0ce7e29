"""All operations mixed, time passing, with the rules in plain Python beside: the two must not differ."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cache_helpers import CLOCK, REMOVALS, AnyCache, Removal, adds_up, same_whatever_order
from cache_reference import COUNTED, Entry, Reference
from machines import MappingMachine
from strategies import KEYS, NUMBERED, VALUES

RECORD = np.dtype([("id", "i4"), ("name", "S6")])
records = st.integers(0, 9).map(lambda i: np.array((i, b"name"), RECORD)[()])
ALL_VALUES = {**VALUES, "record": (RECORD, records)}
DAY = 86_400.0
# Sums and differences of these are exact, whatever is added to what.
times = st.sampled_from([2.0**-10, 0.5, 1.0, 10.0, 60.0, 600.0, 3600.0, DAY, 30 * DAY, 40 * DAY])
moments = times | st.integers(1, 2**12).map(lambda n: n / 1024)
lifetimes = st.none() | moments | st.just(math.inf)


def outcome(call: Any, target: Any) -> tuple[str, Any]:
    """What a call returns, or why it does not; records can't be compared with what is none."""
    try:
        return "returned", repr(call(target))
    except (KeyError, ValueError) as error:
        return "raised", type(error)


class CacheMachine(MappingMachine):
    """A cache and its model, and what each says that it removed."""

    key_kind = "int"
    value_kind = "int"
    config: ClassVar[dict[str, Any]] = {}
    late_sweeps = False

    @initialize(data=st.data(), n=st.sampled_from([0, 5, 300]))
    def begin(self, data: st.DataObject, n: int) -> None:
        kind, self.keys = KEYS[self.key_kind]
        value, self.values = ALL_VALUES[self.value_kind]
        self.numbered = NUMBERED[self.key_kind]
        self.max_bytes = self.config.get("max_bytes")
        # Where a bound of bytes or a sweep that may come late decides who goes, the model follows.
        self.follows = bool(self.max_bytes) or self.late_sweeps
        REMOVALS.clear()
        self.expected: list[Removal] = []
        self.mark = self.expected_mark = 0
        self.c: Any = AnyCache(key=kind, value=value, timer=CLOCK, on_remove=REMOVALS, **self.config)
        rules = {name: value for name, value in self.config.items() if name in ("ttl", "idle")}
        if not self.follows:
            rules["max_items"] = self.config.get("max_items")
        self.model = Reference(timer=CLOCK, on_remove=lambda *removal: self.expected.append(removal), **rules)
        self.fill(0, n, data)

    # --- both at once ---

    def there(self) -> list[Any]:
        """Also what was there until it expired."""
        return list(self.model.entries)

    def both(self, call: Any, *, ordered: bool = True) -> None:
        """The same of the cache and the model: results, errors, and removals but for expiry."""
        found = outcome(call, self.c)
        if found == ("raised", ValueError):
            self.refused()
            return
        expected = outcome(call, self.model)
        self.follow_evictions()
        assert found == expected
        self.settle(ordered=ordered)

    def refused(self) -> None:
        """An entry was too large: `setdefault` has missed, and nothing else has happened."""
        assert self.max_bytes
        misses = self.c.stats()["misses"]
        assert misses - self.model.counts["misses"] in (0, 1)
        self.model.counts["misses"] = misses
        self.settle()

    def follow_evictions(self) -> None:
        """How many bytes a cache holds is its own affair: the model takes its victims from it."""
        if not self.follows:
            return
        counted = "evicted_by_bytes" if self.max_bytes else "evicted_by_count"
        for key, value, cause in REMOVALS[self.mark :]:
            if cause == "evicted":
                assert repr(self.model.remove(key, cause, counted)) == repr(value)

    def both_many(self, call: Any) -> None:
        """As `both`; where a bound of bytes evicts in the middle, the model goes on from what is left."""
        if not self.follows:
            self.both(call)
            return
        before = self.model.contents()
        assert outcome(call, self.c)[0] == "returned"
        if "evicted" not in {cause for _, _, cause in REMOVALS[self.mark :]}:
            outcome(call, self.model)
            self.settle()
            return
        self.start_again(before)

    def start_again(self, before: dict[Any, Any]) -> None:
        stats = adds_up(self.c)
        gone = [key for key, _, cause in REMOVALS[self.mark :] if cause == "evicted"]
        assert all(key in self.c or key in gone for key in before)
        self.take_over(stats)
        self.expected[:] = REMOVALS
        self.mark = self.expected_mark = len(REMOVALS)

    def take_over(self, stats: dict[str, int]) -> None:
        """Let the model hold what the cache does. None of these idles: its ends could not be told apart."""
        self.model.counts.update({name: stats[name] - self.model.counts[name] for name in COUNTED})
        self.model.entries.clear()
        self.model.entries.update({key: Entry(key, value) for key, value in self.c.items()})
        for key, entry in self.model.entries.items():
            left = self.c.expires_in(key)
            entry.until = math.inf if left is None else CLOCK.now + left

    def settle(self, *, ordered: bool = True) -> None:
        """Compare what was removed since the last time; expiry is told at any time after it is due."""
        self.model.now()
        real = [removal for removal in REMOVALS[self.mark :] if removal[2] != "expired"]
        expected = [removal for removal in self.expected[self.expected_mark :] if removal[2] != "expired"]
        if ordered and not self.follows:
            assert list(map(repr, real)) == list(map(repr, expected))
        assert same_whatever_order(real, expected)
        self.mark, self.expected_mark = len(REMOVALS), len(self.expected)
        told, due = self.expired(REMOVALS), self.expired(self.expected)
        assert not [removal for removal in told if removal not in due]
        if any(cause == "evicted" for _, _, cause in real):
            assert len(told) == len(due), "what has expired goes first"

    @staticmethod
    def expired(log: list[Removal]) -> list[str]:
        return [repr(removal) for removal in log if removal[2] == "expired"]

    # --- one key ---

    @rule(data=st.data(), ttl=lifetimes)
    def set_with_lifetime(self, data: st.DataObject, ttl: float | None) -> None:
        key, value = self.drawn(data), data.draw(self.values)
        self.both(lambda c: c.set(key, value, ttl))
        self.both(lambda c: c.expires_in(key))

    @rule(data=st.data(), ttl=lifetimes)
    def touch(self, data: st.DataObject, ttl: float | None) -> None:
        key = self.drawn(data)
        self.both(lambda c: c.touch(key, ttl))

    @rule(data=st.data())
    def ask_for_its_end(self, data: st.DataObject) -> None:
        key = self.drawn(data)
        self.both(lambda c: c.expires_in(key))

    @rule(count=st.integers(1, 5))
    def popitem(self, count: int) -> None:
        for _ in range(min(count, len(self.model))):
            key, value = self.c.popitem()
            assert self.model.pop(key) == value
            self.settle()
        if not self.model:
            assert outcome(lambda c: c.popitem(), self.c) == ("raised", KeyError)

    # --- time ---

    @rule(seconds=moments)
    def pass_time(self, seconds: float) -> None:
        CLOCK.advance(seconds)
        self.sweep()

    def sweep(self) -> None:
        """Who goes depends on whether what has expired at the hand left before or after others came."""
        if "max_items" in self.config and not self.late_sweeps:
            len(self.c)

    @rule(data=st.data(), before=st.booleans())
    def pass_time_until_one_ends(self, data: st.DataObject, before: bool) -> None:
        """To the very moment, or to the last float before it."""
        ends = sorted(
            {entry.end for entry in self.model.entries.values() if CLOCK.now < entry.end < math.inf}
        )
        if not ends:
            return
        end = ends[data.draw(st.integers(0, len(ends) - 1))]
        CLOCK.now = math.nextafter(end, 0) if before else end
        for key in list(self.model.entries):
            assert (key in self.c) == (key in self.model)
        CLOCK.now = end
        self.sweep()

    @rule()
    def expire(self) -> None:
        mark = len(REMOVALS)
        returned = self.c.expire()
        self.model.now()
        assert same_whatever_order([(*item, "expired") for item in returned], REMOVALS[mark:])
        self.sync()

    # --- many ---

    @rule(data=st.data(), form=st.sampled_from(["dict", "pairs", "|="]))
    def update(self, data: st.DataObject, form: str) -> None:
        new = data.draw(st.dictionaries(self.keys, self.modest(), max_size=6))
        forms: dict[str, Any] = {
            "dict": lambda c: c.update(new),
            "pairs": lambda c: c.update(list(new.items())),
            "|=": lambda c: c.__ior__(new) is c,
        }
        self.both_many(forms[form])

    def modest(self) -> st.SearchStrategy[Any]:
        """Values of which a few fit into any bound."""
        return self.values.filter(lambda value: not hasattr(value, "__len__") or len(value) < 600)

    @rule(data=st.data(), ttl=lifetimes)
    def set_many(self, data: st.DataObject, ttl: float | None) -> None:
        pairs = data.draw(st.lists(st.tuples(self.keys, self.modest()), max_size=8))
        keys, values = [key for key, _ in pairs], [value for _, value in pairs]
        self.both_many(lambda c: c.set_many(keys, values, ttl))

    @rule(data=st.data())
    def get_many(self, data: st.DataObject) -> None:
        keys, default = [self.drawn(data) for _ in range(data.draw(st.integers(0, 5)))], object()
        self.both(lambda c: c.get_many(keys))
        self.both(lambda c: c.get_many(keys, default))
        found = [key in self.model for key in keys]
        assert self.c.get_many(keys, mask=True)[1] == found
        self.model.get_many(keys)

    @rule(data=st.data())
    def delete_many(self, data: st.DataObject) -> None:
        keys = [self.drawn(data) for _ in range(data.draw(st.integers(0, 5)))]
        self.both(lambda c: c.delete_many(keys))

    @rule(start=st.integers(0, 500), count=st.integers(1, 300), data=st.data())
    def fill_many(self, start: int, count: int, data: st.DataObject) -> None:
        self.fill(start, count, data)

    def fill(self, start: int, count: int, data: st.DataObject) -> None:
        value, ttl = data.draw(self.modest()), data.draw(lifetimes)
        keys = list(map(self.numbered, range(start, start + count)))
        self.both_many(lambda c: c.set_many(keys, [value] * count, ttl))

    @rule(start=st.integers(0, 500), count=st.integers(1, 300))
    def drain(self, start: int, count: int) -> None:
        keys = [self.numbered(i) for i in range(start, start + count)]
        self.both(lambda c: c.delete_many(keys))

    @precondition(lambda self: self.key_kind == self.value_kind == "int" and not self.follows)
    @rule(start=st.integers(-50, 500), count=st.integers(0, 300))
    def arrays(self, start: int, count: int) -> None:
        keys = np.arange(start, start + count)
        self.both(lambda c: c.set_many(*self.native(c, keys, keys * 7)))
        values, found = self.c.get_many(keys, mask=True)
        seen = [value if there else None for value, there in zip(values, found, strict=True)]
        assert seen == self.model.get_many(keys.tolist())
        self.both(lambda c: c.delete_many(*self.native(c, keys[::2])))

    def native(self, target: Any, *arrays: Any) -> list[Any]:
        """Arrays for the cache, lists for the model."""
        return [array if target is self.c else array.tolist() for array in arrays]

    @rule()
    def clear(self) -> None:
        self.both(lambda c: c.clear(), ordered=False)

    # --- the whole ---

    @rule(how=st.sampled_from(["copy", "copy.copy", "deepcopy", "pickle"]))
    def copied(self, how: str) -> None:
        self.sync()
        calls: dict[str, Any] = {
            "copy": self.c.copy,
            "copy.copy": lambda: copy.copy(self.c),
            "deepcopy": lambda: copy.deepcopy(self.c),
            "pickle": lambda: pickle.loads(pickle.dumps(self.c)),
        }
        made = calls[how]()
        if self.max_bytes:  # a copy is laid out anew, and may not have room for all
            assert {cause for _, _, cause in REMOVALS[self.mark :]} <= {"evicted"}
            del REMOVALS[self.mark :]
        names = ("kinds", "ttl", "idle", "max_items", "max_bytes", "timer", "on_remove")
        assert all(getattr(made, name) == getattr(self.c, name) for name in names)
        if self.config.keys() & {"max_items", "max_bytes", "idle"}:
            made = self.c  # its queue, and what was idle for how long, is not all in what can be seen
        else:
            made, self.c = self.c, made
            made.clear()
            made._check()
            cleared = [(key, value, "cleared") for key, value in self.model.contents().items()]
            assert same_whatever_order(REMOVALS[self.mark :], cleared)
            del REMOVALS[self.mark :]
            stats = adds_up(self.c)
            self.model.counts.update({name: stats[name] - self.model.counts[name] for name in COUNTED})
        del made
        assert len(REMOVALS) == self.mark, "a cache that is dropped says nothing"
        for key in self.model.entries:
            assert self.c.expires_in(key) == self.model.expires_in(key)
        self.sync()

    @rule(data=st.data())
    def union(self, data: st.DataObject) -> None:
        new = data.draw(st.dictionaries(self.keys, self.modest(), max_size=4))
        self.sync()
        made = self.c | new
        if not self.config.keys() & {"max_items", "max_bytes"}:
            assert made == {**self.model.contents(), **new}
        del made, REMOVALS[self.mark :]  # what was replaced in the copy
        self.sync()

    @rule(data=st.data())
    def views(self, data: st.DataObject) -> None:
        some = {self.drawn(data) for _ in range(3)}
        contents = self.model.contents()
        for operate in (operator.and_, operator.or_, operator.sub, operator.xor):
            assert operate(self.c.keys(), some) == operate(contents.keys(), some)
        assert len(list(self.c.values())) == len(contents)
        assert self.c.keys() == contents.keys()

    @rule(data=st.data())
    def replaced_while_walking(self, data: st.DataObject) -> None:
        value, seen = data.draw(self.modest()), []
        if self.follows:
            return
        for key in self.c:
            seen.append(key)
            self.both(lambda c, key=key: c.__setitem__(key, value))
        assert len(seen) == len(self.model) and set(seen) == self.model.entries.keys()

    @rule(seconds=moments, at=st.integers(0, 20))
    def time_passes_while_walking(self, seconds: float, at: int) -> None:
        seen, walk = [], iter(self.c)
        for _ in range(at):
            seen += [key for key in [next(walk, self)] if key is not self]
        CLOCK.advance(seconds)
        self.sweep()
        rest = list(walk)
        alive = self.model.contents()
        assert all(key in alive for key in rest)
        assert len(set(seen)) == len(seen) and len(set(rest)) == len(rest) and not set(seen) & set(rest)
        assert alive.keys() <= {*seen, *rest}

    @precondition(lambda self: not self.config.keys() & {"max_items", "max_bytes"})
    @rule(data=st.data())
    def removed_while_walking(self, data: st.DataObject) -> None:
        seen, gone = [], set()
        for key in self.c:
            seen.append(key)
            victim = self.drawn(data) if len(seen) < 4 else key
            if victim in self.model.entries and len(seen) % 3:
                gone.add(victim)
                self.both(lambda c, victim=victim: c.pop(victim))
        assert len(set(seen)) == len(seen)
        assert self.model.contents().keys() <= set(seen)

    @precondition(lambda self: not self.config.keys() & {"max_items", "max_bytes"})
    @rule()
    def inserted_while_walking(self) -> None:
        fresh = [key for key in map(self.numbered, range(1000)) if key not in self.model]
        walk = iter(self.c.items())
        if fresh and self.model:
            value = next(walk)[1]
            self.both(lambda c: c.__setitem__(fresh[0], value))
            with pytest.raises(RuntimeError, match="during iteration"):
                next(walk)

    @rule()
    def sync(self) -> None:
        """What has expired is gone by now, and the two are the same in all that can be seen."""
        self.model.now()
        assert len(self.c) == len(self.model)
        self.settle()
        assert sorted(self.expired(REMOVALS)) == sorted(self.expired(self.expected))
        contents = self.model.contents()
        assert dict(self.c.items()) == contents
        assert self.c == contents
        stats = adds_up(self.c)
        assert {name: stats[name] for name in self.model.stats()} == self.model.stats()

    @invariant()
    def sound(self) -> None:
        if hasattr(self, "c"):
            self.c._check()
            assert self.max_bytes is None or self.c.nbytes <= self.max_bytes

    def teardown(self) -> None:
        if hasattr(self, "c"):
            self.sync()


# The queue of a cache is short, or the hand would never come round.
LATE = {"late_sweeps": True}
PROFILES: list[tuple[str, str, dict[str, Any]]] = [
    ("int", "bytes", {"ttl": 60.0}),
    ("int", "bytes", {"max_bytes": 64 << 10, "ttl": 3600.0}),
    ("int", "int", {"idle": 10.0}),
    ("int", "int", {"max_items": 8}),
    ("object", "object", {"ttl": 60.0, "idle": 10.0}),
    ("object", "object", {"max_items": 5, "idle": 60.0}),
    ("object", "object", {"max_bytes": 16 << 10}),
    ("int", "int", {"max_items": 8, "ttl": 60.0, **LATE}),
    ("str", "object", {"max_items": 30, "ttl": 1.0, **LATE}),
    ("str", "str", {"ttl": DAY, "max_items": 20}),
    ("str", "str", {"max_bytes": 64 << 10}),
    ("bytes", "object", {"ttl": 0.5}),
    ("int", "record", {"ttl": 600.0, "max_items": 40}),
    ("colliding", "object", {"ttl": 60.0, "max_items": 12}),
    ("colliding", "bytes", {"idle": 1.0}),
    ("str", "float", {}),
]


@pytest.mark.parametrize(
    ("key", "value", "config"),
    PROFILES,
    ids=lambda part: "-".join(part) or "plain" if isinstance(part, dict) else part,
)
def test_a_cache_follows_the_rules(key: str, value: str, config: dict[str, Any]) -> None:
    late = config.get("late_sweeps", False)
    config = {name: given for name, given in config.items() if name != "late_sweeps"}
    attributes = {"key_kind": key, "value_kind": value, "config": config, "late_sweeps": late}
    machine = type("Machine", (CacheMachine,), attributes)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],  # explaining takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
