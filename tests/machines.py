"""What the machines that compare a map, or a cache, with a model of it have in common."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from strategies import boolean


class MappingMachine(RuleBasedStateMachine):
    """The operations on one key; `both` does one to the mapping and the model, and compares."""

    keys: st.SearchStrategy[Any]
    values: st.SearchStrategy[Any]
    model: Any

    def both(self, call: Any) -> None:
        raise NotImplementedError

    def there(self) -> list[Any]:
        """Keys worth asking for."""
        return list(self.model)

    def drawn(self, data: st.DataObject) -> Any:
        """A key, as often as not one that is there."""
        there = self.there()
        if there and data.draw(boolean):
            return there[data.draw(st.integers(0, len(there) - 1))]
        return data.draw(self.keys)

    @rule(data=st.data())
    def set(self, data: st.DataObject) -> None:
        key, value = self.drawn(data), data.draw(self.values)
        self.both(lambda m: m.__setitem__(key, value))

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        key, default = self.drawn(data), object()
        for call in (
            lambda m: m[key],
            lambda m: m.get(key),
            lambda m: m.get(key, default),
            lambda m: key in m,
            lambda m: key in m.keys(),  # noqa: SIM118
        ):
            self.both(call)

    @rule(data=st.data(), how=st.sampled_from(["del", "pop", "pop default"]))
    def remove(self, data: st.DataObject, how: str) -> None:
        key = self.drawn(data)
        calls: dict[str, Any] = {
            "del": lambda m: m.__delitem__(key),
            "pop": lambda m: m.pop(key),
            "pop default": lambda m: m.pop(key, None),
        }
        self.both(calls[how])

    @rule(data=st.data())
    def setdefault(self, data: st.DataObject) -> None:
        key, value = self.drawn(data), data.draw(self.values)
        self.both(lambda m: m.setdefault(key, value))
