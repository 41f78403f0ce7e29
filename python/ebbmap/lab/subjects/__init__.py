"""Who can take part: maps of Python's own, ebbmap's, other libraries', and Go's.

A Python subject is loaded and made in the measured process; Go's are a program (`golang`, `toolchains`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ebbmap.lab.subjects import dicts, ebb, peers
from ebbmap.lab.subjects.base import Kind, Loader, Subject, UnavailableError

__all__ = ["GO", "KNOWN", "MAPS", "PYTHON", "Kind", "Loader", "Subject", "UnavailableError"]

PYTHON: Mapping[str, Loader] = {**dicts.LOADERS, **peers.LOADERS, **ebb.LOADERS}
GO = ("go:inline", "go:pointer", "go:recreate")
KNOWN = (*GO, *PYTHON)
MAPS = (*GO, *dicts.LOADERS, *peers.MAPS, *ebb.MAPS)
"""Who takes part in an experiment with maps when nobody is named."""
