"""Who can take part: maps of Python's own, ebbmap's, other libraries', and Go's.

A Python subject is loaded and made in the measured process; Go's are a program (`golang`, `toolchains`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ebbmap.lab.subjects import bounded, caches, dicts, ebb, peers
from ebbmap.lab.subjects.base import Kind, Loader, Subject, UnavailableError

__all__ = [
    "BOUNDED",
    "CACHES",
    "GO",
    "KNOWN",
    "MAPS",
    "PYTHON",
    "TIMED",
    "Kind",
    "Loader",
    "Subject",
    "UnavailableError",
]

PYTHON: Mapping[str, Loader] = {**dicts.LOADERS, **peers.LOADERS, **ebb.LOADERS}
GO = ("go:inline", "go:pointer", "go:recreate")
CACHES: Mapping[str, Loader] = {**caches.LOADERS, **ebb.CACHES}
"""Caches in which entries live for a while."""
TIMED = frozenset((*GO, *caches.TIMED, *ebb.CACHES))
"""Those of them that can go by another clock than the wall's, and so replay a log."""
BOUNDED: Mapping[str, Loader] = {**bounded.LOADERS, **ebb.BOUNDED}
"""What holds the newest entries, so many of them."""
KNOWN = tuple(dict.fromkeys((*GO, *PYTHON, *BOUNDED, *CACHES)))
MAPS = (*GO, *dicts.LOADERS, *peers.MAPS, *ebb.MAPS)
"""Who takes part in an experiment with maps when nobody is named."""
