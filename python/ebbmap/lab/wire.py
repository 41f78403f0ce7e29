"""The lines a measured process and the lab exchange.

The process writes one JSON object a line; after `ready`, `begin`, `end`, `sample` and `outcome` it waits for
a line back, in which time the lab measures it. Go's side of it is `subjects/go/wire.go`.

    ready     version, note, partial    made its buffers; nothing under test exists yet
    begin     step                      about to begin a step, or a phase that is sampled
    progress  done                      the part of the step that is done, 0 to 1
    end       entries, heap_bytes, seconds, slowest_op_ns
    sample    t, alive, held, heap_bytes, done
    outcome   peak_alive, slowest_op_ns, asked, expired_returned, live_lost, late_ns
    done                                all steps are through
    skip      why                       this subject can't run here
"""

from __future__ import annotations

import json
import os
from typing import Any


class Wire:
    """The measured process's end; writes and reads unbuffered, and keeps nothing."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink

    def send(self, event: str, **fields: Any) -> None:
        """Write one line."""
        os.write(self._sink, json.dumps({"event": event, **fields}).encode() + b"\n")

    def ask(self, event: str, **fields: Any) -> None:
        """Write one line and wait for the answer; ends the process if the lab is gone."""
        self.send(event, **fields)
        if not os.read(self._source, 1):
            raise SystemExit(1)
