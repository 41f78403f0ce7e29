"""The memory promise for all tables of a process together, in one place, with each of its terms named."""

from __future__ import annotations

from typing import NamedTuple

MIB = 1 << 20

SHARE = 1.10
"""Of the contents: the bytes of all keys and values, as `stats()["payload_bytes"]` counts them."""
SMALL_ENTRY = 12
"""Bytes more for each entry with less than `SMALL_BELOW` bytes of contents."""
SMALL_BELOW = 64
CACHE_ENTRY = 13
"""Bytes more for each entry of a cache: its deadline and its place in a list."""
BOUNDED_ENTRY = 9
"""Bytes more for each entry of a cache with `max_items` or `max_bytes`."""
IDLE_ENTRY = 5
"""Bytes more for each entry of a cache with `idle`."""
TABLE = 2 << 10
"""Bytes for each table that exists, also an empty one: the object itself and what is partly empty of it."""
FIXED = 4 * MIB
"""Bytes for the process: what may stay when there is nothing any more."""

MAPPINGS = 100
"""Mappings for the process, and one more for each `MAPPING_BYTES` that may be resident."""
MAPPING_BYTES = 64 * MIB

ONE_TABLE_FIXED = 256 << 10
"""The fixed part of the promise for one table, by its own `nbytes`."""


class Contents(NamedTuple):
    """What tables without objects hold: all that the promise depends on."""

    payload: int = 0
    """Bytes of keys and values."""
    tables: int = 0
    small: int = 0
    """Entries with less than 64 bytes of contents."""
    cached: int = 0
    """Entries of caches; those of bounded caches and of caches with `idle` are counted again below."""
    bounded: int = 0
    idle: int = 0


def most_resident(contents: Contents) -> int:
    """The most bytes that may be resident over the start."""
    entries = (
        SMALL_ENTRY * contents.small
        + CACHE_ENTRY * contents.cached
        + BOUNDED_ENTRY * contents.bounded
        + IDLE_ENTRY * contents.idle
    )
    return round(SHARE * contents.payload) + entries + TABLE * contents.tables + FIXED


def most_mappings(resident: int) -> int:
    """The most mappings over the start, where so many bytes may be resident."""
    return MAPPINGS + resident // MAPPING_BYTES


def most_of_one(payload: int, entries: int, of_a_cache: bool = False) -> int:
    """The most that one table of entries of one size may hold, by its own `nbytes`."""
    small = payload < SMALL_BELOW * entries
    own = payload + SMALL_ENTRY * entries if small else round(SHARE * payload)
    return own + CACHE_ENTRY * entries * of_a_cache + ONE_TABLE_FIXED
