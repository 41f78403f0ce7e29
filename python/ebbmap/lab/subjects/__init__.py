"""Who can take part: maps of Python's own, ebbmap's, other libraries', and Go's.

A Python subject is loaded and made in the measured process; Go's are a program (`golang`, `toolchains`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ebbmap.lab.subjects import dicts, ebb, peers
from ebbmap.lab.subjects.base import Kind, Loader, Subject, UnavailableError

__all__ = ["DEFAULT", "GO", "KNOWN", "PYTHON", "Kind", "Loader", "Subject", "UnavailableError"]

PYTHON: Mapping[str, Loader] = {**dicts.LOADERS, **peers.LOADERS, **ebb.LOADERS}
GO = ("go:inline", "go:pointer", "go:recreate")
KNOWN = (*GO, *PYTHON)
DEFAULT = (*GO, *dicts.LOADERS, *peers.DEFAULT, *ebb.DEFAULT)
"""Who takes part when nobody is named."""
