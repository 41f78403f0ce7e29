"""What type checkers see of `Cache(...)`: mypy checks this file, nothing runs it."""

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

Cache(max_items="1000")  # type: ignore[call-overload]
Cache(size=1000)  # type: ignore[call-overload]
Cache(1000)  # type: ignore[call-overload]
