"""What a small table takes: `python tests/process/small.py`.

Many equal tables are made and filled. Prints a line of JSON for each kind of table: bytes a table of resident
memory, by `nbytes`, and by `sys.getsizeof`; and the contents of one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from readings import limit, read, tell

from ebbmap import Cache, Map

AnyMap: Any = Map
AnyCache: Any = Cache
BLOB = b"v" * 100


def _ints() -> Any:
    table = AnyMap(int, int)
    for i in range(10):
        table[i] = i
    return table


def _blobs() -> Any:
    table = AnyMap(int, bytes)
    for i in range(60):
        table[i] = BLOB
    return table


def _cache(**settings: Any) -> Any:
    table = AnyCache(**settings)
    table[1] = 1
    return table


TABLES: dict[str, tuple[Callable[[], Any], int]] = {
    "10 ints": (_ints, 160),
    "cache of one": (lambda: _cache(ttl=3600), 16),
    "cache of one int": (lambda: _cache(ttl=3600, key=int, value=int), 16),
    "60 blobs": (_blobs, 60 * 108),
    "no entry": (lambda: AnyMap(int, int), 0),
    "cache of none": (lambda: AnyCache(ttl=3600), 0),
}
"""What makes a table, and the bytes of its contents: an object counts as its pointer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=10_000)
    count: int = parser.parse_args().tables
    limit(2 << 30)
    for name, (make, contents) in TABLES.items():
        tables: list[Any] = [None] * count
        tables[0] = make()
        before = read().resident
        for t in range(count):
            tables[t] = make()
        resident = (read().resident - before) / count
        table = tables[-1]
        sizes = {"resident": resident, "nbytes": table.nbytes, "getsizeof": sys.getsizeof(table)}
        tell(name=name, contents=contents, **sizes)
        kept.append(tables)  # what is given back would serve the next ones, unseen


kept: list[list[Any]] = []

if __name__ == "__main__":
    main()
