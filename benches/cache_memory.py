"""What caches hold when full, and when all has expired and nobody calls: `python benches/cache_memory.py`.

Each cache is filled with `--n` entries in a fresh process of its own, and then left alone until 2 s after the
last one has expired. The keys are ints made for the purpose, which some caches keep and some don't; the value
is one shared object, or in the second part `bytes(128)` made for each entry. RSS is what the process has more
than before the cache was made, with the library imported and used once. `nbytes` is the cache's own count.

Lifetimes are `--ttl` seconds, or more for a cache that takes longer to be filled.
"""

from __future__ import annotations

import gc
import time
from typing import Any, NamedTuple

from _caches import PEERS, Made, Maker, ours, plain_dict
from _common import Figures, arguments, fresh, progress, resident, save

MIB = 1 << 20
INT, ANY, BYTES = "Cache(ttl=, key=int)", "Cache(ttl=)", "Cache(ttl=, key=int, value=bytes)"
BEST = "cachebox.TTLCache"
DICT = "dict, no lifetimes"
MAKERS: dict[str, Maker] = {
    INT: ours(key=int),
    ANY: ours(),
    BYTES: ours(key=int, value=bytes),
    DICT: plain_dict,
    **PEERS,
}
SHARED = (INT, ANY, *PEERS)  # filled with one shared value
BLOBS = (BYTES, DICT, *PEERS)  # filled with a value of 128 bytes each
PAYLOAD = 8 + 128


class Seen(NamedTuple):
    """Bytes: of RSS beyond those at the start, and by the cache's own count, where it has one."""

    full: int
    full_nbytes: int
    rest: int
    rest_nbytes: int


def fill(made: Made, n: int, blobs: bool) -> None:
    """Keys all over 30 bits, each an object made here."""
    shared = bytes(128)
    for i in range(n):
        made.put((i * 0x9E3779B1) & 0x3FFFFFFF, bytes(128) if blobs else shared)


def look(cache: Any, start: int) -> tuple[int, int]:
    gc.collect()
    return resident() - start, int(getattr(cache, "nbytes", 0))


def run(name: str, n: int, ttl: float, blobs: bool) -> Seen | float:
    """One cache, in a process of its own; where it took too long to fill, the seconds that it took."""
    fill(MAKERS[name](10, ttl), 10, blobs)
    gc.collect()
    start = resident()
    made = MAKERS[name](2 * n, ttl)
    began = time.monotonic()
    fill(made, n, blobs)
    filled = time.monotonic()
    full = look(made.cache, start)
    if (took := time.monotonic() - began) > ttl:
        return took
    if name != DICT:
        time.sleep(filled + ttl + 2 - time.monotonic())
    return Seen(*full, *look(made.cache, start))


def seen(name: str, n: int, ttl: float, blobs: bool) -> Seen:
    """One cache, with lifetimes long enough for it to be filled."""
    progress(f"{name}: {n:,} {'values of 128 B' if blobs else 'int keys'}, filled, expired, and 2 s more")
    while isinstance(found := fresh(run, name, n, ttl, blobs), float):
        ttl = 1.5 * found
    return found


def report_shared(figures: Figures, n: int, ttl: float) -> None:
    """One shared value: bytes an entry when full, and what is left."""
    all_seen = {name: seen(name, n, ttl, False) for name in SHARED}
    targets = {INT: 45.0, ANY: all_seen[BEST].full / n}
    for name, found in all_seen.items():
        figures.add(f"{name}: RSS an entry", found.full / n, "B", at_most=targets.get(name))
        report_rest(figures, name, found)


def report_blobs(figures: Figures, n: int, ttl: float) -> None:
    """Values of 128 bytes: what is held over the payload, and what is left."""
    for name in BLOBS:
        found = seen(name, n, ttl, True)
        if name == BYTES:
            figures.add(f"{name}: nbytes over payload", found.full_nbytes / n / PAYLOAD, "x", at_most=1.22)
        target = 1.22 if name == BYTES else None
        figures.add(f"{name}, 128 B: RSS over payload", found.full / n / PAYLOAD, "x", at_most=target)
        if name != DICT:
            report_rest(figures, f"{name}, 128 B", found)


def report_rest(figures: Figures, name: str, found: Seen) -> None:
    """What is left 2 s after all have expired."""
    mine = found.full_nbytes > 0
    if mine:
        figures.add(f"{name}: nbytes after expiry", found.rest_nbytes / MIB, "MiB", at_most=0.5)
    figures.add(f"{name}: RSS after expiry", found.rest / MIB, "MiB", at_most=3 if mine else None)


def main() -> None:
    args = arguments(__doc__, n=1_000_000, ttl=6.0)
    figures = Figures()
    report_shared(figures, args.n, args.ttl)
    report_blobs(figures, args.n, args.ttl)
    save(args, "cache_memory", figures.results)


if __name__ == "__main__":
    main()
