"""The operations that `lanes.py` counts, each between two calls of `getloadavg`, which end a part.

Takes the file of a native module, to be used in place of the package's own. Prints, as JSON, what was done in
each part and how often.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader
from typing import Any

LOOP, LOOP_OF_PAIRS = "the loop alone", "the loop alone, of keys and values"
Pairs = list[tuple[Any, Any]]

KEYS: dict[str, Callable[[int], Any]] = {
    "int": int,
    "str": lambda i: f"key{i:08d}",
    "bytes": lambda i: b"key%08d" % i,
    "object": lambda i: f"key{i:08d}",
}
VALUES: dict[str, Callable[[int], Any]] = {
    "int": lambda i: i + 10**9,
    "bytes": lambda i: b"%032d" % i,
    "object": lambda i: [i],
}
MAPS = (("int", "int"), ("int", "bytes"), ("str", "object"), ("bytes", "bytes"), ("object", "object"))
CACHES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("int", "bytes", {}),
    ("object", "object", {}),
    ("object", "object", {"ttl": 3600}),
    ("object", "object", {"max_items": 10**6}),
)


def use(core: str) -> None:
    """Have `ebbmap` take this file for its native module."""
    loader = ExtensionFileLoader("ebbmap._core", core)
    spec = importlib.util.spec_from_file_location("ebbmap._core", core, loader=loader)
    assert spec is not None
    sys.modules["ebbmap._core"] = module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)


def loop(_: Any, pairs: list[Any]) -> None:
    for _pair in pairs:
        pass


def loop_of_pairs(_: Any, pairs: Pairs) -> None:
    for _key, _value in pairs:
        pass


def get(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m[key]


def method_get(m: Any, keys: list[Any]) -> None:
    get = m.get
    for key in keys:
        get(key)


def contains(m: Any, keys: list[Any]) -> None:
    for key in keys:
        key in m  # noqa: B015  # what is counted


def length(m: Any, keys: list[Any]) -> None:
    for _key in keys:
        len(m)


def delete(m: Any, keys: list[Any]) -> None:
    for key in keys:
        del m[key]


def set_pairs(m: Any, pairs: Pairs) -> None:
    for key, value in pairs:
        m[key] = value


def subjects() -> Iterator[tuple[str, Any, Callable[[int], Any], Callable[[int], Any]]]:
    from ebbmap import Cache, Map

    kinds: dict[str, Any] = {"int": int, "str": str, "bytes": bytes, "object": object}
    for key, value in MAPS:
        yield f"Map({key}, {value})", Map(kinds[key], kinds[value]), KEYS[key], VALUES[value]
    for key, value, settings in CACHES:
        described = "".join(f", {name}=" for name in settings)
        cache: Any = Cache(key=kinds[key], value=kinds[value], **settings)
        yield f"Cache({key}, {value}{described})", cache, KEYS[key], VALUES[value]


def main() -> None:
    core, n = sys.argv[1], int(sys.argv[2])
    use(core)
    gc.disable()
    parts: list[tuple[str, int]] = []

    def count(name: str, work: Callable[[Any, list[Any]], None], m: Any, items: list[Any]) -> None:
        """For a quarter of the items and for half: the difference has nothing of what is around them."""
        for some in (items[: n // 4], items[n // 2 :]):
            os.getloadavg()
            work(m, some)
            os.getloadavg()
            parts.append((name, len(some)))

    numbers = list(range(n))
    random.Random(28).shuffle(numbers)
    count(LOOP, loop, None, numbers)
    count(LOOP_OF_PAIRS, loop_of_pairs, None, [(number, number) for number in numbers])
    for subject, m, key_of, value_of in subjects():
        keys, absent = [key_of(i) for i in numbers], [key_of(n + i) for i in numbers]
        pairs = [(key, value_of(i)) for key, i in zip(keys, numbers, strict=True)]
        new = [(key, value_of(i)) for key, i in zip(absent, numbers, strict=True)]
        set_pairs(m, pairs)
        for work in (get, method_get, contains, length):
            work(m, keys)  # CPython adapts its code to what it has run
        count(f"{subject}: m[key]", get, m, keys)
        count(f"{subject}: m[key] = value, existing", set_pairs, m, pairs)
        count(f"{subject}: key in m", contains, m, keys)
        count(f"{subject}: key in m, absent", contains, m, absent)
        count(f"{subject}: m.get(key)", method_get, m, keys)
        count(f"{subject}: m.get(key), absent", method_get, m, absent)
        count(f"{subject}: len(m)", length, m, keys)
        count(f"{subject}: del m[key]", delete, m, keys)
        count(f"{subject}: m[key] = value, new", set_pairs, m, new)
    print(json.dumps(parts))


if __name__ == "__main__":
    main()
