"""The measured process: `python -m ebbmap.lab.worker SUBJECT HEAP SETTINGS`, run by the lab.

It speaks the lines of `wire` on its standard input and output. HEAP is `books`, `traced` or `none` (see
`heap`), SETTINGS are `model.Settings` as JSON.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Sequence

from ebbmap.lab import heap
from ebbmap.lab.bench import Bench
from ebbmap.lab.model import Settings
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.subjects import UnavailableError
from ebbmap.lab.wire import Wire

METERS = {"books": heap.books, "traced": heap.traced, "none": heap.none}


def main(words: Sequence[str]) -> None:
    """Take one subject through one scenario."""
    subject, meter, settings = words
    wire = Wire(sys.stdin.fileno(), sys.stdout.fileno())
    try:
        run(wire, subject, meter, Settings.from_json(json.loads(settings)))
    except UnavailableError as error:
        wire.send("skip", why=str(error))


def run(wire: Wire, subject: str, meter: str, settings: Settings) -> None:
    """Report the steps of the scenario for `subject`; raises `UnavailableError`."""
    scenario = SCENARIOS[settings.scenario]
    kind = scenario.loaders[subject]()
    drive = scenario.prepare(settings)
    gc.freeze()  # so that the collector's time is the subject's
    bench = Bench(wire, METERS[meter], settings.value_bytes)
    wire.ask("ready", version=kind.version, note=kind.note, partial=kind.partial)
    drive(bench, lambda: kind.make(settings))
    wire.send("done")


if __name__ == "__main__":
    main(sys.argv[1:])
