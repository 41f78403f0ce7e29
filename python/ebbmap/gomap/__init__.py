"""Go's map, explained: types, sizes, executable models, a predictor, and pictures of all that."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ebbmap.gomap.hmap import HMap as HMap
    from ebbmap.gomap.predict import Footprint as Footprint
    from ebbmap.gomap.predict import Outside as Outside
    from ebbmap.gomap.predict import predictor as predictor
    from ebbmap.gomap.swiss import SwissMap as SwissMap
    from ebbmap.gomap.types import GoTypeError as GoTypeError
    from ebbmap.gomap.types import MapType as MapType
    from ebbmap.gomap.types import Types as Types
    from ebbmap.gomap.types import parse_map as parse_map
    from ebbmap.gomap.version import GoVersion as GoVersion

# Imported when first asked for: a plan, which has to be quick, needs no executable model.
_HOMES = {
    "Footprint": "predict",
    "GoTypeError": "types",
    "GoVersion": "version",
    "HMap": "hmap",
    "MapType": "types",
    "Outside": "predict",
    "SwissMap": "swiss",
    "Types": "types",
    "parse_map": "types",
    "predictor": "predict",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
