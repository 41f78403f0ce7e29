"""All operations mixed, with a dict beside: hypothesis looks for a sequence after which the two differ."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ebbmap import Map
from machines import MappingMachine
from map_helpers import FIXED, promised
from strategies import KEYS, NUMBERED, VALUES

AnyMap: Any = Map


class MapMachine(MappingMachine):
    """A map and its model."""

    key_kind = "int"
    value_kind = "int"

    @initialize(data=st.data(), n=st.sampled_from([0, 5, 600]))
    def begin(self, data: st.DataObject, n: int) -> None:
        kind, keys = KEYS[self.key_kind]
        value, values = VALUES[self.value_kind]
        self.keys, self.values = keys, values
        self.m: Any = AnyMap(kind, value)
        self.model: dict[Any, Any] = {}
        self.numbered = NUMBERED[self.key_kind]
        self.fill(0, n, data.draw(values))

    def both(self, call: Any) -> None:
        """The same of the map and the model: results, or errors."""
        outcomes: list[Any] = []
        for target in (self.m, self.model):
            try:
                outcomes.append(call(target))
            except KeyError as error:
                outcomes.append(("KeyError", error.args))
        assert outcomes[0] == outcomes[1]

    # --- one key ---

    @rule(count=st.integers(1, 5))
    def popitem(self, count: int) -> None:
        for _ in range(min(count, len(self.model))):
            key, value = self.m.popitem()
            assert self.model.pop(key) == value

    # --- many ---

    @rule(data=st.data(), form=st.sampled_from(["dict", "pairs", "Map", "|=", "|", "reversed |"]))
    def update(self, data: st.DataObject, form: str) -> None:
        new = data.draw(st.dictionaries(self.keys, self.values, max_size=6))
        if form == "|=":
            self.m |= new
        elif form == "|":
            self.m = self.m | new
        elif form == "reversed |":
            self.m = new | self.m
            self.model = new | self.model
            return
        else:
            self.m.update({"dict": new, "pairs": list(new.items()), "Map": Map(new)}[form])
        self.model.update(new)

    @rule(data=st.data())
    def set_many(self, data: st.DataObject) -> None:
        pairs = data.draw(st.lists(st.tuples(self.keys, self.values), max_size=8))
        self.m.set_many([key for key, _ in pairs], [value for _, value in pairs])
        self.model.update(pairs)

    @rule(data=st.data())
    def get_many(self, data: st.DataObject) -> None:
        keys = [self.drawn(data) for _ in range(data.draw(st.integers(0, 5)))]
        assert self.m.get_many(keys) == [self.model.get(key) for key in keys]
        found = [key in self.model for key in keys]
        assert self.m.get_many(keys, mask=True)[1] == found

    @rule(data=st.data())
    def delete_many(self, data: st.DataObject) -> None:
        keys = [self.drawn(data) for _ in range(data.draw(st.integers(0, 5)))]
        assert self.m.delete_many(keys) == len({key for key in keys if key in self.model})
        for key in keys:
            self.model.pop(key, None)

    @rule(start=st.integers(0, 1000), count=st.integers(1, 700), data=st.data())
    def fill_many(self, start: int, count: int, data: st.DataObject) -> None:
        self.fill(start, count, data.draw(self.values))

    def fill(self, start: int, count: int, value: Any) -> None:
        new = dict.fromkeys(map(self.numbered, range(start, start + count)), value)
        self.m.update(new)
        self.model.update(new)

    @rule(start=st.integers(0, 1000), count=st.integers(1, 900))
    def drain(self, start: int, count: int) -> None:
        keys = [self.numbered(i) for i in range(start, start + count)]
        assert self.m.delete_many(keys) == sum(self.model.pop(key, self) is not self for key in set(keys))

    @precondition(lambda self: self.key_kind == "int" and self.value_kind in ("int", "float", "dtype"))
    @rule(start=st.integers(-50, 1000), count=st.integers(0, 500))
    def arrays(self, start: int, count: int) -> None:
        keys = np.arange(start, start + count)
        values = (keys % 7).astype({"int": "i8", "float": "f8", "dtype": "f4"}[self.value_kind])
        self.m.set_many(keys, values)
        self.model.update(zip(keys.tolist(), values.tolist(), strict=True))
        assert (self.m.get_many(keys) == values).all()
        assert self.m.delete_many(keys[::2]) == len(keys[::2])
        for key in keys[::2].tolist():
            del self.model[key]

    @rule()
    def clear(self) -> None:
        if len(self.model) < 1000:  # or nothing would ever grow
            self.m.clear()
            self.model.clear()

    # --- the whole ---

    @rule(how=st.sampled_from(["copy", "copy.copy", "deepcopy", "pickle", "rebuilt"]))
    def copied(self, how: str) -> None:
        before, kinds = self.m, self.m.kinds
        if how in ("deepcopy", "pickle") and self.key_kind == "colliding" and len(self.model) > 50:
            return
        calls: dict[str, Any] = {
            "copy": before.copy,
            "copy.copy": lambda: copy.copy(before),
            "deepcopy": lambda: copy.deepcopy(before),
            "pickle": lambda: pickle.loads(pickle.dumps(before)),
            "rebuilt": lambda: AnyMap(*kinds, before),
        }
        self.m = calls[how]()
        assert self.m == before and self.m.kinds == kinds and self.m is not before
        before.clear()
        before._check()

    @rule(data=st.data())
    def views(self, data: st.DataObject) -> None:
        some = {self.drawn(data) for _ in range(3)}
        for operate in (operator.and_, operator.or_, operator.sub, operator.xor):
            assert operate(self.m.keys(), some) == operate(self.model.keys(), some)
        assert len(list(self.m.values())) == len(self.model)
        assert self.m.keys() == self.model.keys()

    @rule(data=st.data())
    def replaced_while_walking(self, data: st.DataObject) -> None:
        value, seen = data.draw(self.values), 0
        for key in self.m:
            self.m[key] = self.model[key] = value
            seen += 1
        assert seen == len(self.model)

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "m"):
            return
        self.m._check()
        assert len(self.m) == len(self.model)
        assert dict(self.m.items()) == self.model
        assert self.m == self.model
        stats = self.m.stats()
        fixed = self.value_kind not in ("str", "bytes") and self.key_kind not in ("str", "bytes")
        limit = promised(self.m) if fixed else 2 * stats["payload_bytes"] + 12 * len(self.m) + 2 * FIXED
        assert self.m.nbytes <= limit, stats


PAIRS = [(key, value) for key in KEYS for value in VALUES]
COLLIDING_STEPS, STEPS = 15, 25


@pytest.mark.parametrize(("key", "value"), PAIRS)
def test_a_map_is_a_dict(key: str, value: str) -> None:
    machine = type("Machine", (MapMachine,), {"key_kind": key, "value_kind": value})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=COLLIDING_STEPS if key == "colliding" else STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
