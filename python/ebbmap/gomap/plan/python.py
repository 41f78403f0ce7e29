"""What the same entries cost in Python: in a `dict`, and in `ebbmap.Map` by its promise."""

from __future__ import annotations

from dataclasses import replace

from ebbmap.gomap.heap import Outside
from ebbmap.gomap.types import GoType, MapType

_SIZED = {f"{sign}int{bits}" for sign in ("", "u") for bits in ("", 8, 16, 32, 64)}
_INTEGERS = _SIZED | {"bool", "byte", "rune", "uintptr"}
_INT = 32  # an int object of up to 60 bits, as pymalloc rounds it
_BYTES = 33  # a bytes object, beyond its content
_STR = 49  # an ASCII str object, beyond its content
_ENTRY = 24  # of a dict: hash, key, value
_SMALL_ENTRY = 64  # bytes of payload from which ebbmap's promise counts no index
_SLACK = 256 << 10


def _aligned(size: float) -> float:
    return -(-size // 16) * 16


def python_object_bytes(kind: GoType, outside: Outside, mean: float) -> float:
    """Bytes of the Python object that stands for a value: an int, a str, a dict, or bytes of the same size.

    `mean` are the bytes of each string in it.
    """
    if kind.basic in _INTEGERS:
        return _INT
    if kind.basic == "string":
        return _aligned(_STR + mean)
    inner = sum(count * _filled_dict(map_, outside.within(mean)) for map_, count in kind.held.maps)
    content = content_bytes(kind, replace(outside, entries=0), mean)
    return inner + (_aligned(_BYTES + content) if content else 0.0)


def content_bytes(kind: GoType, outside: Outside, mean: float) -> float:
    """Bytes of the value itself: pointers and string headers are replaced by what they lead to."""
    held = kind.held
    behind = held.strings * (mean - 16)
    behind += sum(count * (content_bytes(pointee, outside, mean) - 8) for pointee, count in held.pointees)
    if outside.box:
        behind += held.boxes * (outside.box - 16)
    if outside.pointee is not None:
        behind += sum(count for _, count in held.unknown) * (outside.pointee - 8)
    if outside.entries is not None:
        behind += sum(count * (_payload(map_, outside.within(mean)) - 8) for map_, count in held.maps)
    return max(0.0, kind.size + behind)


def _filled_dict(kind: MapType, outside: Outside) -> float:
    """An inner map as a dict."""
    entries = outside.inner_entries(kind)
    return dict_bytes(kind, outside, entries, entries)


def _payload(kind: MapType, outside: Outside) -> float:
    """Bytes of the entries of an inner map."""
    return outside.inner_entries(kind) * payload_bytes(kind, outside)


def dict_table_bytes(entries: int) -> int:
    """`sys.getsizeof` of a dict that `entries` inserts have filled (CPython 3.11 to 3.14)."""
    if entries == 0:
        return 64
    slots = dict_slots(entries)
    index = 1 if slots < 1 << 8 else 2 if slots < 1 << 16 else 4 if slots < 1 << 32 else 8
    return 96 + slots * index + 2 * slots // 3 * _ENTRY


def dict_slots(entries: int) -> int:
    """The least power of two, 8 at least, of which two thirds hold `entries`."""
    return max(8, 1 << (-(-3 * entries // 2) - 1).bit_length())


def dict_bytes(kind: MapType, outside: Outside, peak: int, left: int) -> float:
    """A dict that had `peak` entries and has `left`: its table, which stays, and the objects."""
    key = python_object_bytes(kind.key, outside, outside.key)
    objects = key + python_object_bytes(kind.elem, outside, outside.elem)
    return dict_table_bytes(peak) + left * objects


def dict_resizing_bytes(kind: MapType, outside: Outside, peak: int) -> float:
    """At the last resize before `peak`: the old and the new table, and the objects there were."""
    before = 2 * (dict_slots(peak) // 2) // 3 if peak > 5 else 0
    return dict_table_bytes(peak) + dict_bytes(kind, outside, before, before)


def payload_bytes(kind: MapType, outside: Outside) -> float:
    """Bytes of one key and one value themselves."""
    key = content_bytes(kind.key, outside, outside.key)
    return key + content_bytes(kind.elem, outside, outside.elem)


def ebbmap_bytes(kind: MapType, outside: Outside, entries: int) -> float:
    """The most that an inline `ebbmap.Map` holds, by its promise: it depends on its contents alone."""
    payload = payload_bytes(kind, outside)
    overhead = 0.1 * payload if payload >= _SMALL_ENTRY else 12
    return entries * (payload + overhead) + _SLACK
