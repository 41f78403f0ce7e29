"""A map and a cache whose memory follows their contents, up and down.

>>> from ebbmap import Map
>>> m = Map(int, bytes)
>>> m[42] = b"..."
>>> m.nbytes
>>> from ebbmap import Cache
>>> c = Cache(ttl="1h", max_items=1000)
>>> c[42] = "..."
"""

from __future__ import annotations

import atexit
import os

from ebbmap import _core
from ebbmap._convert import imports as _imports
from ebbmap._core import __version__
from ebbmap._internal.cache import Cache
from ebbmap._internal.former import register as _register_former_modules
from ebbmap._internal.map import Map
from ebbmap._internal.memory import memory
from ebbmap._internal.views import ItemsView, KeysView, ValuesView

__all__ = ["Cache", "ItemsView", "KeysView", "Map", "ValuesView", "__version__", "memory"]


_core._check_interpreter()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_core._before_fork,
        after_in_parent=_core._after_fork,
        after_in_child=_core._after_fork_in_child,
    )
    # After the native module's: this waits first, while the threads that import may still use tables.
    os.register_at_fork(
        before=_imports.before_fork,
        after_in_parent=_imports.after_fork,
        after_in_child=_imports.after_fork_in_child,
    )

atexit.register(_core._stop_sweeper)

_register_former_modules()
