"""A map whose memory follows its contents, up and down.

>>> from ebbmap import Map
>>> m = Map(int, bytes)
>>> m[42] = b"..."
>>> m.nbytes
"""

from __future__ import annotations

import os

from ebbmap import _core
from ebbmap._map import ItemsView, KeysView, Map, ValuesView

__all__ = ["ItemsView", "KeysView", "Map", "ValuesView"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # here, as it is most of the time an import would take

        return version("ebbmap")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_core._before_fork,
        after_in_parent=_core._after_fork,
        after_in_child=_core._after_fork_in_child,
    )
