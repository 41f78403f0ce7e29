"""What maps hold, over what was put in: `python benches/memory.py`.

Checkpoints: a map is filled with `--n` random keys, drained to half, filled again and drained, in random
order and one operation at a time; at 100 moments, evenly spaced, `nbytes` is set against the payload (entries
times the bytes of a key and a value). The promise leaves 256 KiB, which are taken off first. For entries of
16 bytes the promise is of bytes an entry beyond the payload.

Scan: bytes an entry at every 1,000th n while filling from half of `--n` to 1.1 times `--n`: the worst n and
the median. For `Map()` and dict that is the table; the objects are the program's own. All of it is counted by
the maps (`nbytes`, `sys.getsizeof`), so the figures don't depend on the machine.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, MutableMapping
from statistics import median
from typing import Any

from _common import Figures, arguments, save
from ebbmap import Map

Mapping = MutableMapping[int, Any]
FIXED = 256 << 10
CHECKPOINTS = 100
SCAN_EVERY = 1_000


def blob(size: int) -> Callable[[int], bytes]:
    return lambda i: b"%0*d" % (size, i)


def whole(i: int) -> int:
    return 1_000_000_000 + i  # a new object each time


# The map, its values, and the bytes of an entry.
INLINE: dict[str, tuple[Callable[[], Map[int, Any]], Callable[[int], Any], int]] = {
    "Map(int, 'V56')": (lambda: Map(int, "V56"), blob(56), 64),
    "Map(int, 'V128')": (lambda: Map(int, "V128"), blob(128), 136),
    "Map(int, bytes), 128 B": (lambda: Map(int, bytes), blob(128), 136),
    "Map(int, int)": (lambda: Map(int, int), whole, 16),
}


def steps(m: Mapping, value: Callable[[int], Any], n: int, seed: int) -> Iterator[None]:
    """Fill, half-drain, refill, drain; one operation at each step."""
    order = random.Random(seed)
    inside: list[int] = []
    outside = order.sample(range(1 << 62), n)
    for target in (n, n // 2, n, 0):
        order.shuffle(inside)
        order.shuffle(outside)
        while len(inside) < target:
            inside.append(outside.pop())
            m[inside[-1]] = value(len(inside))
            yield
        while len(inside) > target:
            outside.append(inside.pop())
            del m[outside[-1]]
            yield


def checkpoints(m: Map[int, Any], value: Callable[[int], Any], n: int, seed: int) -> list[tuple[int, int]]:
    """Entries and `nbytes` at moments evenly spaced; the last is after the last operation."""
    total = n + 2 * (n - n // 2) + n
    moments = {round(total * i / CHECKPOINTS) for i in range(1, CHECKPOINTS + 1)}
    walk = enumerate(steps(m, value, n, seed), 1)
    return [(len(m), m.nbytes) for done, _ in walk if done in moments]


def over_payload(curve: list[tuple[int, int]], entry: int) -> float:
    """The worst of (nbytes - 256 KiB) / payload; of an empty map, infinite if it holds more than 256 KiB."""
    return max((nbytes - FIXED) / (entries * entry or 1e-9) for entries, nbytes in curve)


def beyond_payload(curve: list[tuple[int, int]], entry: int) -> float:
    """The worst of bytes an entry beyond payload and 256 KiB."""
    return max((nbytes - FIXED - entries * entry) / (entries or 1e-9) for entries, nbytes in curve)


def scan(m: Mapping, value: Callable[[int], Any], n: int, held: Callable[[Any], int]) -> list[float]:
    """Bytes an entry at every 1,000th entry from n / 2 to 1.1 n, filling in random order."""
    keys = random.Random(28).sample(range(1 << 62), n + n // 10)
    found = []
    for i, key in enumerate(keys, 1):
        m[key] = value(i)
        if i >= n // 2 and i % SCAN_EVERY == 0:
            found.append(held(m) / i)
    return found


def report_checkpoints(figures: Figures, n: int, seed: int) -> None:
    for name, (make, value, entry) in INLINE.items():
        curve = checkpoints(make(), value, n, seed)
        if entry >= 64:
            worst = over_payload(curve, entry)
            figures.add(f"{name}: worst nbytes over payload", worst, "x", at_most=1.10)
        else:
            worst = beyond_payload(curve, entry)
            figures.add(f"{name}: worst bytes an entry beyond payload", worst, "B", at_most=12)
        figures.add(f"{name}: nbytes when drained", curve[-1][1] / 1024, "KiB", at_most=FIXED / 1024)
        figures.results[f"{name}: curve"] = curve


def report_scans(figures: Figures, n: int) -> None:
    subjects: dict[str, tuple[Callable[[], Mapping], Callable[[Any], int], float | None, float | None]] = {
        "Map(int, int)": (lambda: Map(int, int), lambda m: int(m.nbytes), 28, 24),
        "Map(), table": (Map, lambda m: int(m.nbytes), 38, 34),
        "dict, table": (dict, sys.getsizeof, None, None),
    }
    for name, (make, held, worst, typical) in subjects.items():
        found = scan(make(), whole, n, held)
        figures.add(f"{name}: bytes an entry, worst n", max(found), "B", at_most=worst)
        figures.add(f"{name}: bytes an entry, median n", median(found), "B", at_most=typical)
    objects = 2 * sys.getsizeof(whole(0))
    figures.add("dict: bytes an entry of its int objects", objects, "B")


def main() -> None:
    args = arguments(__doc__, n=1_000_000, seed=28)
    figures = Figures()
    report_checkpoints(figures, args.n, args.seed)
    report_scans(figures, args.n)
    save(args, "memory", figures.results)


if __name__ == "__main__":
    main()
