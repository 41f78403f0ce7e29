"""`ebbmap.Map` beside Go's map: the same writes, and what the engine itself says after each."""

from __future__ import annotations

from dataclasses import dataclass

from ebbmap import Map
from ebbmap.gomap.heap import ASSUMED, Outside
from ebbmap.gomap.plan.python import content_bytes
from ebbmap.gomap.types import MapType

_WORD = 8


@dataclass(frozen=True, slots=True)
class Held:
    """What an `ebbmap.Map` holds at one moment, in bytes and pages."""

    nbytes: int
    payload_bytes: int
    page_bytes: int
    index_bytes: int
    segments: int
    pages: int
    pages_given_back: int


class Beside:
    """An `ebbmap.Map` of integers, or of `key_bytes` long keys, to bytes; written to as the Go map is."""

    @classmethod
    def of(cls, kind: MapType, outside: Outside = ASSUMED) -> Beside:
        """One for the contents of a Go map: what its pointers and strings lead to is in the entries."""
        key = content_bytes(kind.key, outside, outside.key)
        return cls(round(key), round(content_bytes(kind.elem, outside, outside.elem)))

    def __init__(self, key_bytes: int, value_bytes: int) -> None:
        self.name = f"Map({'int' if key_bytes <= _WORD else 'bytes'}, bytes)"
        self._map: Map[int | bytes, bytes] = Map(int if key_bytes <= _WORD else bytes, bytes)
        self._key_bytes = key_bytes
        self._value = bytes(value_bytes)

    def insert(self, key: int) -> None:
        """Insert the entry of one number."""
        self._map[self._key(key)] = self._value

    def delete(self, key: int) -> None:
        """Delete it."""
        del self._map[self._key(key)]

    def _key(self, key: int) -> int | bytes:
        return key if self._key_bytes <= _WORD else key.to_bytes(self._key_bytes, "little")

    def held(self) -> Held:
        """The engine's own figures now."""
        stats = self._map.stats()
        return Held(
            nbytes=self._map.nbytes,
            payload_bytes=stats["payload_bytes"],
            page_bytes=stats["page_bytes"],
            index_bytes=stats["index_bytes"],
            segments=stats["segments"],
            pages=stats["pages_got"] - stats["pages_given_back"],
            pages_given_back=stats["pages_given_back"],
        )
