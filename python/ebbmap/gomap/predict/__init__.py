"""What a Go map holds, in closed form: microseconds for any number of entries up to 10^10.

The rules are those of `runtime/map.go` (to Go 1.23) and `internal/runtime/maps` (1.24 and later); what
depends on hashes is given as its expectation. `HMap` and `SwissMap` are the same, executed entry by entry.
"""

from __future__ import annotations

from ebbmap.gomap.heap import Outside
from ebbmap.gomap.predict.base import MAX_ENTRIES, ClassicShape, Footprint, Predictor, SwissShape
from ebbmap.gomap.predict.classic import ClassicPredictor
from ebbmap.gomap.predict.swiss import SwissPredictor
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion

__all__ = [
    "MAX_ENTRIES",
    "ClassicPredictor",
    "ClassicShape",
    "Footprint",
    "Outside",
    "Predictor",
    "SwissPredictor",
    "SwissShape",
    "predictor",
]


def predictor(kind: MapType, version: GoVersion, outside: Outside | None = None) -> Predictor:
    """The predictor for `kind` under `version`.

    What `outside` gives no size for is not counted: by default no string, box or inner map.
    """
    return (SwissPredictor if version.swiss else ClassicPredictor)(kind, version, outside or Outside())
