"""Which of the runtime's functions assigns to a map: `mapfast` of `cmd/compile/internal/walk`, 64-bit."""

from __future__ import annotations

from enum import Enum

from ebbmap.gomap.types import INLINE_LIMIT, Alg, MapType
from ebbmap.gomap.version import GoVersion


class Path(Enum):
    """A function that assigns, by its name in the runtime."""

    GENERIC = "mapassign"
    FAST32 = "mapassign_fast32"
    FAST64 = "mapassign_fast64"
    FAST64_POINTER = "mapassign_fast64ptr"
    STRING = "mapassign_faststr"


def path(kind: MapType) -> Path:
    """The function that the compiler chooses for `m[key] = elem`."""
    key = kind.key
    if kind.elem.size > INLINE_LIMIT:
        return Path.GENERIC
    if key.alg is Alg.STRING:
        return Path.STRING
    if key.alg is not Alg.MEM or key.size not in (4, 8):
        return Path.GENERIC
    if key.size == 4:
        return Path.FAST32
    return Path.FAST64_POINTER if key.pointers else Path.FAST64


def prunes(kind: MapType, version: GoVersion) -> bool:
    """Whether a Swiss table that runs out of slots first tries to clear its tombstones.

    The fast functions do from Go 1.25, that for pointers from Go 1.27; the generic one does not.
    """
    least = {Path.GENERIC: None, Path.FAST64_POINTER: 27}.get(path(kind), 25)
    return version.swiss and least is not None and version.minor >= least
