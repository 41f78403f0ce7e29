"""What a scenario asks of a Python subject."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sized
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, Protocol

from ebbmap.lab.heap import HeapMeter
from ebbmap.lab.model import Settings

Put = Callable[[int, bytes], object]
Remove = Callable[[int], object]


class UnavailableError(Exception):
    """This subject can't run here: its text says why."""


class Subject(Protocol):
    """A map of `int` to `bytes` under test.

    `put` and `remove` are the container's own calls, bound, so that nothing of the lab's is timed with them.
    """

    put: Put
    remove: Remove

    def entries(self) -> int:
        """How many entries it holds, by its own account."""

    def maintain(self) -> None:
        """What a program does from time to time to get memory back; most do nothing."""

    def collect(self) -> None:
        """Run the garbage collector."""

    def heap_bytes(self, heap: HeapMeter) -> int:
        """The bytes it holds now."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of subject, its library imported: which version, and how to make one for an experiment."""

    version: str
    make: Callable[[Settings], Any]
    """What it makes is as the scenario wants it: a `Subject`, a `caches.Cache`, a `bounded.Bounded`."""
    note: str = ""
    partial: bool = False
    """Whether the heap meter misses some of what it holds."""


Loader = Callable[[], Kind]
"""Imports what the subject needs; raises `UnavailableError`."""


class MapSubject:
    """Most subjects: a container, its calls, and Python's allocators to ask for its bytes."""

    def __init__(self, container: Sized, put: Put, remove: Remove) -> None:
        self.put = put
        self.remove = remove
        self._container = container

    def entries(self) -> int:
        return len(self._container)

    def maintain(self) -> None:
        """Nothing: the container is left to itself."""

    def collect(self) -> None:
        gc.collect()

    def heap_bytes(self, heap: HeapMeter) -> int:
        return heap()


def like_dict(container: Any) -> MapSubject:
    """A subject for a container that is written and deleted from as a `dict` is."""
    return MapSubject(container, container.__setitem__, container.__delitem__)


def installed(module: str, package: str) -> tuple[ModuleType, str]:
    """The module and the version of the package it comes from; `UnavailableError` if it is not there."""
    try:
        return import_module(module), version(package)
    except PackageNotFoundError:
        raise UnavailableError(f"{package} is not installed") from None
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == module
        raise UnavailableError(
            f"{package} is not installed" if absent else f"{package} does not load: {error}"
        ) from None
