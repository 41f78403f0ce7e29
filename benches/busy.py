"""How long expired objects stay beside busy threads: `python benches/busy.py`.

`--n` objects expire at one moment, and nobody calls the cache. Meanwhile no, one or two threads run Python
code all the time, so the sweeping thread has to wait for the GIL. A figure is how many seconds after the
deadline the last object is gone: the median of `--rounds`, each in a fresh process, with and without an
`on_remove` that counts.
"""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any

from _common import Figures, arguments, fresh, progress, save
from ebbmap import Cache

PATIENCE = 60.0
EMPTY = 100_000  # bytes: `nbytes` below it says so, and sweeps nothing, as `len` would


def run(n: int, busy: int, tells: bool, ttl: float) -> float:
    """Seconds from the deadline until all are gone."""
    gone = [0]

    def count(*_: object) -> None:
        gone[0] += 1

    cache: Cache[Any, Any] = Cache(on_remove=count if tells else None)
    deadline = time.monotonic() + ttl
    for i in range(n):
        cache.set(i, bytearray(8), ttl=deadline - time.monotonic())
    if time.monotonic() > deadline - 0.5:  # too late to see all expire at one moment
        cache.clear()
        return run(n, busy, tells, 2 * ttl)
    stop = False

    def work() -> None:
        while not stop:
            sum(range(100))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(busy)]
    for thread in threads:
        thread.start()
    while cache.nbytes > EMPTY and time.monotonic() < deadline + PATIENCE:
        time.sleep(0.01)
    took = time.monotonic() - deadline
    stop = True
    for thread in threads:
        thread.join()
    return took


def main() -> None:
    args = arguments(__doc__, n=1_000_000, rounds=3)
    figures = Figures()
    for tells in (False, True):
        for busy in (0, 1, 2):
            name = f"{busy} busy threads, {'on_remove' if tells else 'no on_remove'}"
            progress(name)
            took = median(fresh(run, args.n, busy, tells, 6.0) for _ in range(args.rounds))
            figures.add(f"{name}: the last of {args.n:,} is gone after", took, "s")
    save(args, "busy", figures.results)


if __name__ == "__main__":
    main()
