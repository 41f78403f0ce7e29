"""Python's own `dict`, left to itself and copied into a new one from time to time."""

from __future__ import annotations

import platform

from ebbmap.lab.subjects.base import Kind, Loader, MapSubject, like_dict

VERSION = f"{platform.python_implementation()} {platform.python_version()}"


class Recreated(MapSubject):
    """A `dict` with the document's remedy: a new one takes over what is left."""

    def __init__(self) -> None:
        self._take({})

    def maintain(self) -> None:
        self._take(dict(self._dict))

    def _take(self, fresh: dict[int, bytes]) -> None:
        self._dict = fresh
        super().__init__(fresh, fresh.__setitem__, fresh.__delitem__)


LOADERS: dict[str, Loader] = {
    "dict": lambda: Kind(VERSION, lambda _: like_dict({})),
    "dict:recreate": lambda: Kind(VERSION, lambda _: Recreated()),
}
