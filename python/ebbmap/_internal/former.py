"""Where pickles of earlier versions look for what has moved since.

A pickle holds names of modules, private ones too. Whoever moves what pickles name enters the old place here.
"""

from __future__ import annotations

import sys
from types import ModuleType

from ebbmap._convert.imports import load

_MOVED = {
    "ebbmap._absent": ("ebbmap._internal.absent", {"ABSENT"}),
    "ebbmap._cache": ("ebbmap._internal.cache", {"Cache", "_rebuild", "_refill"}),
    "ebbmap._flights": ("ebbmap._internal.flights", {"Flights"}),
    "ebbmap._flights_async": ("ebbmap._internal.flights_async", {"AsyncFlights"}),
    "ebbmap._map": ("ebbmap._internal.map", {"Map", "_rebuild"}),
    "ebbmap._memoize": (
        "ebbmap._internal.memoize",
        {
            "Keywords",
            "_ClassMemo",
            "_Keys",
            "_Memo",
            "_Parts",
            "_forget",
            "_fresh",
            "_in_order",
            "_store",
            "_typed_key",
            "_unpickled",
        },
    ),
    "ebbmap._owners": ("ebbmap._internal.owners", {"function"}),
    "ebbmap._views": ("ebbmap._internal.views", {"ItemsView", "KeysView", "ValuesView"}),
}


class _Former(ModuleType):
    """A module that is no more. It imports the present one when it is asked for a name that moved there."""

    def __init__(self, name: str, present: str, names: set[str]) -> None:
        super().__init__(name)
        self._present, self._names = present, names

    def __getattr__(self, name: str) -> object:
        if name not in self._names:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(load(self._present), name)


def register() -> None:
    """Have `import` find the former modules."""
    for name, (present, names) in _MOVED.items():
        sys.modules[name] = _Former(name, present, names)
