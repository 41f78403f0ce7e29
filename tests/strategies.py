"""What hypothesis fills maps and caches with, by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st


class Colliding:
    """A key of one of two hashes."""

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return self.name % 2

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Colliding) and self.name == other.name

    def __repr__(self) -> str:
        return f"Colliding({self.name})"


small = st.integers(0, 60)
KEYS: dict[str, tuple[type, st.SearchStrategy[Any]]] = {
    "int": (int, small | st.integers(-(2**63), 2**63 - 1)),
    "str": (str, small.map(str) | st.text(st.characters(), max_size=20)),
    "bytes": (bytes, small.map(lambda i: b"%d" % i) | st.binary(max_size=80)),
    "object": (object, small | st.text(max_size=3) | st.tuples(small, small) | st.booleans() | st.none()),
    "colliding": (object, small.map(Colliding)),
}
lengths = st.sampled_from([0, 1, 60, 64, 65, 130, 500, 4000, 33_000])
VALUES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (int, st.integers(-(2**63), 2**63 - 1)),
    "float": (float, st.floats(allow_nan=False)),
    "str": (str, st.text(max_size=30) | lengths.map(lambda n: "é" * n)),
    "bytes": (bytes, st.binary(max_size=300) | lengths.map(bytes)),
    "object": (object, st.integers() | st.lists(small, max_size=2)),
    "dtype": (np.dtype("f4"), st.floats(width=32, allow_nan=False).map(np.float32)),
}
# The i-th key of a kind.
NUMBERED: dict[str, Callable[[int], Any]] = {
    "int": int,
    "str": str,
    "bytes": lambda i: b"%d" % i,
    "object": int,
    "colliding": lambda i: Colliding(i % 100),
}

# What is drawn depends on a machine's kinds, which types can't follow.
boolean: Any = st.booleans()
