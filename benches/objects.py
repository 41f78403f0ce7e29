"""What caches of objects hold, beside the same values as bytes: `python benches/objects.py`.

Two cases, each in a fresh process. RSS is what the process has more than before the cache was made.

* **A bound in bytes.** 16 MiB for small dicts, which are Python's, and for the same values as JSON, which are
  in the table. The cache is offered twice `--n` entries, more than it holds.
* **What is left.** `--n` entries, of which each hundredth lives on and the rest expires, 1.5 s after that.
  CPython gives an arena of small objects back only when all in it are gone, so those that live on keep the
  memory of others.
"""

from __future__ import annotations

import gc
import json
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from _common import Figures, arguments, fresh, progress, resident, save
from ebbmap import Cache

MIB = 1 << 20
BOUND = 16 * MIB
LIFE, WAIT = 4.0, 1.5


class Kind(NamedTuple):
    options: dict[str, Any]
    value: Callable[[int], Any]


def record(i: int) -> dict[str, Any]:
    return {"id": i, "name": f"customer {i}", "visits": i % 97}


KINDS = {
    "dicts": Kind({}, record),
    "JSON as bytes": Kind({"key": int, "value": bytes}, lambda i: json.dumps(record(i)).encode()),
}


def bounded(kind: str, n: int) -> tuple[int, int]:
    """RSS and `nbytes` of a full cache."""
    options, value = KINDS[kind]
    gc.collect()
    start = resident()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it says what is shown here
        cache: Cache[Any, Any] = Cache(max_bytes=BOUND, **options)
    for i in range(n):
        cache[i] = value(i)
    gc.collect()
    assert cache.stats()["evicted_by_bytes"] > 0
    return resident() - start, cache.nbytes


def left(kind: str, n: int) -> tuple[int, int]:
    """RSS when full, and after most have expired."""
    options, value = KINDS[kind]
    gc.collect()
    start = resident()
    cache: Cache[Any, Any] = Cache(**options)
    end = time.monotonic() + LIFE
    for i in range(n):
        if i % 100 == 0:
            cache[i] = value(i)
        else:
            cache.set(i, value(i), ttl=max(end - time.monotonic(), 0.001))
    full = resident() - start
    time.sleep(max(end + WAIT - time.monotonic(), 0))
    gc.collect()
    assert len(cache) == -(-n // 100)
    return full, resident() - start


def main() -> None:
    args = arguments(__doc__, n=300_000)
    figures = Figures()
    for kind in KINDS:
        progress(f"{kind}: 16 MiB, and {args.n:,} of which most expire")
        rss, nbytes = fresh(bounded, kind, 2 * args.n)
        figures.add(f"{kind}, max_bytes of 16 MiB: RSS", rss / MIB, "MiB")
        figures.add(f"{kind}, max_bytes of 16 MiB: nbytes", nbytes / MIB, "MiB", at_most=16.0)
        full, rest = fresh(left, kind, args.n)
        figures.add(f"{kind}, {args.n:,}: RSS when full", full / MIB, "MiB")
        figures.add(f"{kind}, {args.n // 100:,} of them left: RSS", rest / MIB, "MiB")
    save(args, "objects", figures.results)


if __name__ == "__main__":
    main()
