"""Go's type syntax, and the sizes its compiler gives to types (64-bit).

`parse_map("map[int][128]byte")` tells all that a model of Go's maps needs: sizes, alignment, where
pointers are, and which parts lie outside the map's own memory.
"""

from __future__ import annotations

from ebbmap.gomap.tokens import GoTypeError, UnknownTypeError
from ebbmap.gomap.types.definitions import Types, parse, parse_map
from ebbmap.gomap.types.kinds import INLINE_LIMIT, WORD, Alg, GoType, Held, MapType, most_entries
from ebbmap.gomap.types.named import NAMED

__all__ = [
    "INLINE_LIMIT",
    "NAMED",
    "WORD",
    "Alg",
    "GoType",
    "GoTypeError",
    "Held",
    "MapType",
    "Types",
    "UnknownTypeError",
    "most_entries",
    "parse",
    "parse_map",
]
