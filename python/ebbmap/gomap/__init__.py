"""Go's map, explained: types, sizes, executable models, a predictor, and pictures of all that."""

from __future__ import annotations

from ebbmap.gomap.hmap import HMap
from ebbmap.gomap.predict import Footprint, Outside, predictor
from ebbmap.gomap.swiss import SwissMap
from ebbmap.gomap.types import GoTypeError, MapType, parse_map
from ebbmap.gomap.version import GoVersion

__all__ = [
    "Footprint",
    "GoTypeError",
    "GoVersion",
    "HMap",
    "MapType",
    "Outside",
    "SwissMap",
    "parse_map",
    "predictor",
]
