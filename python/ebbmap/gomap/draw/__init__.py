"""Pictures of Go's maps at work: `ebbmap draw`.

`picture()` is one moment as SVG; `ebbmap.gomap.draw.page` a page that one can step through.
"""

from __future__ import annotations

from typing import Any

from ebbmap.gomap.draw.scene import AnyMap, scene
from ebbmap.gomap.draw.svg import to_svg
from ebbmap.gomap.heap import ASSUMED
from ebbmap.gomap.hmap import HMap
from ebbmap.gomap.swiss import SwissMap
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion


def new_map(kind: MapType, version: GoVersion, seed: int = 0) -> AnyMap:
    """An empty executable model of the map type under that release."""
    model = SwissMap[Any, Any] if version.swiss else HMap[Any, Any]
    made: AnyMap = model(kind, version, seed=seed, outside=ASSUMED)
    return made


def picture(kind: MapType, version: GoVersion, entries: int, deleted: int, seed: int = 0) -> str:
    """SVG of a map after `entries` inserts and `deleted` deletes, the oldest first; O(entries)."""
    made = new_map(kind, version, seed)
    for key in range(entries):
        made[key] = key
    for key in range(deleted):
        del made[key]
    return to_svg(scene(made))
