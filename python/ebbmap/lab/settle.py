"""How long a cache takes to get back to what is alive."""

from __future__ import annotations

from collections.abc import Sequence

from ebbmap.lab.model import Sample, Settings

SLACK = 8 << 20
"""What an interpreter or a runtime may need besides, in bytes."""


def settle_seconds(samples: Sequence[Sample], settings: Settings) -> float | None:
    """Seconds from when most were alive until RSS is below twice their payload, and stays there to the end.

    `SLACK` comes on top of the payload. `None`: it never gets there.
    """
    peak = max(samples, key=lambda sample: sample.alive)
    settled: float | None = None
    for sample in samples:
        if sample.t < peak.t or (settled is not None and _follows(sample, settings)):
            continue
        settled = sample.t if _follows(sample, settings) else None
    return None if settled is None else settled - peak.t


def _follows(sample: Sample, settings: Settings) -> bool:
    return sample.rss_bytes <= 2 * settings.payload_bytes(sample.alive) + SLACK
