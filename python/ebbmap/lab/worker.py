"""The measured process: `python -m ebbmap.lab.worker SCENARIO SUBJECT N VALUE_BYTES HEAP`, run by the lab.

It speaks the lines of `wire` on its standard input and output. HEAP is `books`, `traced`
or `none` (see `heap`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ebbmap.lab import heap
from ebbmap.lab.bench import Bench
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.subjects import PYTHON, UnavailableError
from ebbmap.lab.wire import Wire

METERS = {"books": heap.books, "traced": heap.traced, "none": heap.none}


def main(words: Sequence[str]) -> None:
    """Take one subject through one scenario."""
    scenario, subject, n, value_bytes, meter = words
    wire = Wire(sys.stdin.fileno(), sys.stdout.fileno())
    try:
        run(wire, scenario, subject, int(n), int(value_bytes), meter)
    except UnavailableError as error:
        wire.send("skip", why=str(error))


def run(wire: Wire, scenario: str, subject: str, n: int, value_bytes: int, meter: str) -> None:
    """Report the steps of `scenario` for `subject`; raises `UnavailableError`."""
    kind = PYTHON[subject]()
    bench = Bench(wire, METERS[meter], value_bytes)
    wire.ask("ready", version=kind.version, note=kind.note, partial=kind.partial)
    SCENARIOS[scenario].drive(bench, lambda: kind.make(n), n)
    wire.send("done")


if __name__ == "__main__":
    main(sys.argv[1:])
