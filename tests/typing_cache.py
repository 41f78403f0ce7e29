"""What type checkers see of `Cache(...)`: mypy and pyright check this file, nothing runs it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

import numpy as np

from ebbmap import Cache


def told(key: object, value: object, cause: str) -> None: ...


assert_type(Cache(), Cache[Any, Any])
assert_type(Cache(ttl=timedelta(hours=1), max_items=1000, on_remove=told), Cache[Any, Any])
assert_type(Cache(key=int, ttl="1h"), Cache[int, Any])
assert_type(Cache(value=bytes, max_bytes="1GiB"), Cache[Any, bytes])
assert_type(Cache(key=int, value=bytes, idle=60), Cache[int, bytes])
assert_type(Cache(key=int, value=np.dtype("f4")), Cache[int, Any])
assert_type(Cache(value=np.dtype("f4")), Cache[Any, Any])
assert_type(Cache[str, list[int]](), Cache[str, list[int]])
assert_type(Cache[str, list[int]](max_items=4), Cache[str, list[int]])
assert_type(Cache[str, list[int]](key=str, ttl=60), Cache[str, list[int]])
assert_type(Cache[str, list[int]](key=str, value=object), Cache[str, list[int]])
assert_type(Cache[tuple[int, int], bytes](value=bytes), Cache[tuple[int, int], bytes])
assert_type(Cache[int, np.float32](key=int, value="f4"), Cache[int, np.float32])

declared: Cache[str, int] = Cache(ttl=1)
of_strs: Cache[str, list[int]] = Cache(key=str, max_items=3)
wrong: Cache[str, int] = Cache(key=int)  # type: ignore[arg-type]


class Service:
    def __init__(self) -> None:
        self.sessions: Cache[str, dict[str, int]] = Cache(ttl="1h")
        self.anything = Cache(ttl="1h")


assert_type(Service().sessions, Cache[str, dict[str, int]])
assert_type(Service().anything, Cache[Any, Any])

Cache[str, int](key=int)  # type: ignore[arg-type]
Cache(max_items="1000")  # type: ignore[call-overload]
Cache(size=1000)  # type: ignore[call-overload]
Cache(1000)  # type: ignore[call-overload]
