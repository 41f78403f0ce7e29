"""What type checkers see of `Map`: mypy and pyright check this file, nothing runs it."""

from __future__ import annotations

from collections import UserDict
from collections.abc import KeysView, Mapping, MutableMapping
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

from ebbmap import Cache, Map

IntMap = Map[int, bytes]
IntCache = Cache[int, bytes]


def what_maps_are(mapping: Mapping[int, bytes], mutable: MutableMapping[int, bytes]) -> None:
    assert_type(Map(int, bytes), Map[int, bytes])
    assert_type(Map(str, float, {"a": 1.5}), Map[str, float])
    assert_type(Map(str, int, {"a": 1}, b=2), Map[str, int])
    assert_type(Map(bytes, int, [(b"a", 1)]), Map[bytes, int])
    assert_type(Map({"a": 1}), Map[str, int])
    assert_type(Map({"a": 1}.items()), Map[str, int])
    assert_type(Map(int, {1: "a"}), Map[int, str])
    assert_type(Map(int, np.dtype("f4")), Map[int, Any])
    assert_type(Map(a=1), Map[str, int])
    assert_type(Map(object, bytes), Map[object, bytes])
    assert_type(Map(), Map[Any, Any])
    assert_type(Map(int), Map[int, Any])


def what_a_subscript_says() -> None:
    assert_type(Map[str, list[int]](), Map[str, list[int]])
    assert_type(Map[str, list[int]](str), Map[str, list[int]])
    assert_type(Map[str, list[int]](str, object), Map[str, list[int]])
    assert_type(Map[tuple[int, int], bytes](object, bytes), Map[tuple[int, int], bytes])
    assert_type(Map[tuple[int, int], list[int]](object, object), Map[tuple[int, int], list[int]])
    assert_type(Map[str, list[int]]({"a": [1]}), Map[str, list[int]])
    assert_type(Map[str, list[int]](a=[1]), Map[str, list[int]])
    assert_type(Map[int, np.float32](int, "f4"), Map[int, np.float32])
    Map[str, int]({1: 2})  # type: ignore[arg-type]


def what_is_told_of_a_map(m: IntMap, c: IntCache) -> None:
    objects: Map[str, list[int]] = Map()
    # pyright takes `object` for the type itself, unless the class is subscripted.
    pairs: Map[tuple[int, int], bytes] = Map(object, bytes)  # pyright: ignore[reportAssignmentType]
    dicts: Map[str, dict[str, int]] = Map(str, object)  # pyright: ignore[reportAssignmentType]
    objects["a"], pairs[1, 2], dicts["a"] = [1], b"", {}
    what_maps_are(m, m)
    what_maps_are(c, c)
    keys: KeysView[int] = m.keys()
    plain: dict[int, bytes] = dict(m)
    m.update(dict.fromkeys(keys, b"") | plain)
    wrong: Map[int, bytes] = Map(str, bytes)  # type: ignore[assignment]
    m.update(wrong)


def what_goes_in(m: IntMap, c: IntCache) -> None:
    m.update({4: b"d"})
    m.update([(4, b"d")])
    m.update(UserDict({4: b"d"}))
    m.update(Map({4: b"d"}))
    Map(str, int).update({"a": 1}, b=2)
    Map(str, int).update(b=2)
    m |= {3: b"c"}
    m |= [(3, b"c")]
    c |= {3: b"c"}
    for many in (m, c):
        many.set_many([1], [b"a"])
        many.set_many(np.array([1]), iter([b"a"]))
        many.delete_many({1, 2})
        many.delete_many(np.array([1]))
        many.get_many(range(9))


def what_comes_out(m: IntMap, c: IntCache) -> None:
    assert_type(m.get(1), bytes | None)
    assert_type(m.get(1, b""), bytes)
    assert_type(m.pop(1), bytes)
    assert_type(m.pop(1, None), bytes | None)
    assert_type(m.popitem(), tuple[int, bytes])
    assert_type(m.copy(), Map[int, bytes])
    assert_type(m | {2: b"b"}, Map[int, bytes])
    assert_type({2: b"b"} | m, Map[int, bytes])
    assert_type(c | {2: b"b"}, Cache[int, bytes])
    assert_type(Map.fromkeys([1, 2], b""), Map[int, bytes])
    assert_type(Map.fromkeys([1, 2]), Map[int, Any | None])


def what_many_keys_give(m: Map[int, float], c: IntCache, keys: npt.NDArray[np.int64], mask: bool) -> None:
    assert_type(m.get_many([1, 2]), list[float | None])
    assert_type(m.get_many({1, 2}, 0.5), list[float])
    assert_type(m.get_many([1, 2], "none"), list[float | str])
    assert_type(m.get_many([1, 2], mask=True), tuple[list[float | None], list[bool]])
    assert_type(m.get_many(keys), npt.NDArray[Any])
    assert_type(m.get_many(keys, 0), npt.NDArray[Any])
    assert_type(m.get_many(keys, mask=True), tuple[npt.NDArray[Any], npt.NDArray[np.bool_]])
    assert_type(m.get_many([1, 2], mask=mask), Any)
    assert_type(Map(int, np.float32).get_many(keys), npt.NDArray[Any])
    assert_type(Map(int, "V16").get_many(keys), npt.NDArray[Any])
    assert_type(c.get_many([1, 2]), list[bytes | None])
    assert_type(c.get_many(keys), list[bytes | None])
    assert_type(c.get_many(keys, mask=True), tuple[list[bytes | None], list[bool]])
    m.get_many([1, 2], mask=1)  # type: ignore[call-overload]
    m.get_many([1, 2], 0, True)  # type: ignore[call-overload]
    m.get_many(["a"])  # type: ignore[list-item]


class Sub(Map[int, str]):
    def __missing__(self, key: int) -> str:
        return str(key)


assert_type(Sub(int, str).copy(), Sub)
assert_type(Sub(int, str) | {1: "a"}, Sub)


def what_is_refused(m: IntMap, c: IntCache) -> None:
    m["a"] = b""  # type: ignore[index]
    m[1] = "a"  # type: ignore[assignment]
    m.update({"a": 1})  # type: ignore[dict-item]
    m.update(5)  # type: ignore[call-overload]
    m.update(a=b"")  # type: ignore[call-overload]
    m | {"a": 1}  # type: ignore[dict-item]
    m | 5  # type: ignore[operator]
    m |= {"a": 1}  # type: ignore[dict-item]
    {"a": "b"} | m  # type: ignore[operator]
    m.set_many(5, [b"a"])  # type: ignore[arg-type]
    m.set_many([1], ["a"])  # type: ignore[list-item]
    m.get_many(5)  # type: ignore[call-overload]
    m.delete_many(5)  # type: ignore[arg-type]
    m.pop(key=1)  # type: ignore[call-overload]
    c.update({"a": 1})  # type: ignore[dict-item]
    c |= {"a": 1}  # type: ignore[dict-item]
    c.set_many(5, [b"a"])  # type: ignore[arg-type]
    c.delete_many(["a"])  # type: ignore[list-item]
